using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

static class CatCommand
{
    static readonly Argument<string> Snapshot = SnapshotArgument.Make();
    static readonly Argument<string> PathArgument = new("PATH") { Description = "The file's path in the snapshot, as it is or as `ls` prints it, with \\x0a for the byte 0a and \\\\ for a backslash. A file that has the very name that was typed goes first." };

    public static Command Create() => Session.Command("cat", """
        Write one file of a snapshot to standard output.

        Exit status 27: the snapshot has no such file; which other snapshots have the path is told. 57: it was erased at the source, and nothing is written; or it was corrected there since, and is written as it was before; or it was erased, and is written all the same (--with-erased); or it is too large to have a SHA-256 to compare. 37: the source is marked as sensitive, and what it holds is brought into isolation alone (restore --isolated), or here on one person's recorded word (--clinical-emergency --reason TEXT). A reader that closes early (head) is no failure: 0.
        """, command =>
    {
        command.Arguments.Add(Snapshot);
        command.Arguments.Add(PathArgument);
        command.Options.Add(SnapshotArgument.NameOption);
        command.Options.Add(SnapshotArgument.UnverifiedOption);
        command.Options.Add(RestoreCommand.WithErasedOption);
        foreach (var option in new Option[] { EmergencyCommand.ClinicalOption, EmergencyCommand.ReasonOption, EmergencyCommand.PersonOption, EmergencyCommand.ApproverOption })
            command.Options.Add(option);
        KeyFolder.AddTo(command, reading: true, scoped: false);
    }, Run, withoutJson: "Leave --json out. `holdfast ls SNAPSHOT PATH --json` describes the file.");

    static int Run(Session session)
    {
        var isClinical = EmergencyCommand.IsClinical(session);
        if (!isClinical && new Option<string?>[] { EmergencyCommand.ReasonOption, EmergencyCommand.PersonOption, EmergencyCommand.ApproverOption }.Any(o => session.Parsed.GetValue(o) is not null))
            throw new HoldfastException(ErrorCode.Usage, "A reason and a person are those of an emergency, and --clinical-emergency was not given.", "Add it, for a source that is marked as sensitive; or leave them out.");
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var isDoubted = SnapshotArgument.AllowUnverified(session, vault);
            var record = SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(Snapshot)!);
            if (!isClinical)
                vault.RequireNotSensitive(record); // before anything is recorded, or a path answered for
            var path = SnapshotArgument.PathWithin(session, vault, keys, record, session.Parsed.GetValue(PathArgument)!);
            try
            {
                var isOutside = isClinical && EmergencyCommand.Outside(session, vault, record, "to standard output, one file");
                var register = vault.Cat(record, keys, path, Output.Raw, session.Stop, RestoreCommand.BringErased(session, vault, record, keys), isOutside);
                RestoreReport.TellRegister(session, register);
                if (register.SaysSomething) // of this very file; else what is wrong with the register is told, and no more
                    return isDoubted() ? (int)ErrorCode.Incomplete : (int)ErrorCode.ErasureApplies;
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.SnapshotMissing)
            {
                throw SnapshotArgument.NoSuchPath(session, vault, keys, record, session.Parsed.GetValue(PathArgument)!);
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.OutputFailed)
            {
                throw new HoldfastException(e.Code, "The file did not arrive whole: standard output takes no more.", "Free space where it goes, or send it elsewhere; then run the same command again. What has arrived is no use.", e);
            }
            return isDoubted() ? (int)ErrorCode.Incomplete : 0;
        }
    }
}
