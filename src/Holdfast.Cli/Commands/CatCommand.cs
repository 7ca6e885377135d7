using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;

namespace Holdfast.Cli.Commands;

static class CatCommand
{
    static readonly Argument<string> Snapshot = SnapshotArgument.Make();
    static readonly Argument<string> PathArgument = new("PATH") { Description = "The file's path in the snapshot, as `ls` prints it." };

    public static Command Create() => Session.Command("cat", "Write one file of a snapshot to standard output.", command =>
    {
        command.Arguments.Add(Snapshot);
        command.Arguments.Add(PathArgument);
        command.Options.Add(SnapshotArgument.NameOption);
        command.Options.Add(SnapshotArgument.UnverifiedOption);
        KeyFolder.AddTo(command, reading: true);
    }, Run, withoutJson: "Leave --json out. `holdfast ls SNAPSHOT PATH --json` describes the file.");

    static int Run(Session session)
    {
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var isDoubted = SnapshotArgument.AllowUnverified(session, vault);
            vault.Cat(SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(Snapshot)!), keys, SnapshotArgument.PathWithin(session.Parsed.GetValue(PathArgument)!), Output.Raw, session.Stop);
            return isDoubted() ? (int)Core.ErrorCode.Incomplete : 0;
        }
    }
}
