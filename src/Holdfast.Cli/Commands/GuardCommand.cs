using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Cli.Commands;

static class GuardCommand
{
    static readonly Option<string> StateOption = new("--state")
    {
        Description = "Folder for the guard's own clock and memory, that the vault's owner cannot write to.",
        HelpName = "FOLDER",
        DefaultValueFactory = _ => "/var/lib/holdfast/guard",
    };

    static readonly Option<bool> OnceOption = new("--once") { Description = "Look once and end." };

    public static Command Create() => Session.Command("guard", "Make the vault's files immutable, and let go only of what no lock holds. Runs until it is stopped; needs root (Linux).", command =>
    {
        command.Options.Add(KeyFolder.VaultOption);
        command.Options.Add(StateOption);
        command.Options.Add(OnceOption);
    }, Run);

    static int Run(Session session)
    {
        if (!OperatingSystem.IsLinux())
            throw new HoldfastException(ErrorCode.Usage, "Immutable flags are known on Linux only.", "Keep the vault on a Linux host, or go without the guard.");
        FlagGuard.RequirePrivilege();
        if (VaultKeeper.IsInObjectStore(KeyFolder.LocalFolder(session)))
            throw new HoldfastException(ErrorCode.Usage, "The vault's packs lie in an object store, which locks them itself: there are no files to make immutable.", "`holdfast status` says where they are.");
        var guard = new FlagGuard(KeyFolder.LocalFolder(session), session.Parsed.GetValue(StateOption)!);
        var once = session.Parsed.GetValue(OnceOption);
        var (told, trouble) = ("", "");
        try
        {
            var look = guard.Look(); // what cannot work at all fails here, and not every ten seconds
            Tell(session, look);
            session.Json(w =>
            {
                w.WriteNumber("guarded", look.Guarded);
                w.WriteNumber("cleared", look.Cleared);
                w.WriteNumber("refused", look.Refused);
                w.WriteNumber("missing", look.Missing);
                w.WriteNumber("written", look.Written);
                w.WriteNumber("foldersNotGuarded", look.Faults.Count);
            });
            if (once)
                return look.Refused > 0 ? (int)ErrorCode.LockRefused : look.Faults.Count > 0 ? (int)look.Faults[0].Fault.Code : look.Missing > 0 ? (int)ErrorCode.PackMissing : 0;
            trouble = Trouble(look);
        }
        catch (HoldfastException e) when (!once && e.Code is ErrorCode.LogDamaged or ErrorCode.LogForked or ErrorCode.GuardStateDamaged or ErrorCode.GuardStateFull or ErrorCode.FormatNewer)
        {
            Warn(e); // nothing is let go, and what is stored is made immutable all the same: a guard that ended would not do that
        }
        session.Note("Guarding; Ctrl+C ends it. The files stay immutable.");
        FlagGuard.Serve(() =>
        {
            var now = guard.Look();
            told = "";
            if (now.Cleared > 0 || now.Refused > 0 || Trouble(now) != trouble)
                Tell(session, now);
            trouble = Trouble(now);
        }, Warn, session.Stop);
        return 0;

        void Warn(HoldfastException e)
        {
            if (e.Message == told)
                return; // once, not every ten seconds
            told = e.Message;
            session.Warn($"holdfast: {e.Message}\n  what to do: {e.Guidance}");
        }
    }

    static void Tell(Session session, GuardLook look)
    {
        session.Step($"{Text.Count(look.Guarded, "file and folder", "files and folders")} guarded{(look.Cleared > 0 ? $"; {Text.Count(look.Cleared, "file")} let go, whose locks are over" : "")}.");
        if (look.Refused > 0)
            session.Warn($"holdfast: the log gives up {Text.Count(look.Refused, "file")} whose locks are NOT over. They stay immutable. Treat the host that holds the log's key as taken over, until shown otherwise.");
        if (Trouble(look) is { Length: > 0 } trouble)
            session.Warn(trouble);
    }

    /// <summary>What is not guarded though it should be; the same text for the same trouble.</summary>
    static string Trouble(GuardLook look)
    {
        var lines = look.Faults.Select(f => f.Folder.EndsWith("/keeper/folders", StringComparison.Ordinal) ? $"holdfast: {f.Fault.Message}\n  what to do: {f.Fault.Guidance}" : $"holdfast: the folder {Text.Name(System.Text.Encoding.UTF8.GetBytes(f.Folder))} {(f.Fault.Code == ErrorCode.WrongVault ? "is NOT THE ONE that was there" : "is NOT guarded, the others are")}: {f.Fault.Message}\n  what to do: {f.Fault.Guidance}").ToList();
        if (look.Missing > 0)
            lines.Add($"holdfast: of {Text.Count(look.Missing, "locked pack or object", "locked packs and objects")} there is no file that can be made immutable.\n  what to do: see that all disks are mounted (holdfast store list), that the user who owns the vault owns its files too, and that no process holds a lease on them (/proc/locks); then holdfast verify.");
        if (look.Written > 0)
            lines.Add($"holdfast: {Text.Count(look.Written, "file was", "files were")} open for writing when made immutable; on XFS and Btrfs the process that has them open can write on.\n  what to do: where this does not go away by itself, find that process (fuser -v on the vault's packs and objects), end it, and run holdfast verify --full. The guard needs CAP_LEASE to look.");
        return string.Join('\n', lines);
    }
}
