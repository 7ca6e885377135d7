using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Grants;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

/// <summary>Brings back to an agent's host what a clean room granted to it, once. Nothing of the vault and no key comes here; what comes is written by this machine's own target, which believes no path.</summary>
static class AgentRestore
{
    const string GoOn = "To go on, run the same command with --resume, while the grant stands; else have another one made. What is whole stays.";

    static readonly Argument<string> UrlArgument = new("URL") { Description = "Where the clean room answers: https://HOST:PORT." };
    static readonly Argument<string> FingerprintArgument = new("FINGERPRINT") { Description = "Of its certificate, sha256:HEX, as `holdfast cleanroom grant` shows it there." };
    static readonly Argument<string> TargetArgument = new("TARGET") { Description = "Folder to restore into: empty, or not there yet." };
    static readonly Option<string?> CodeOption = new("--code-file") { Description = "File with the code that `holdfast cleanroom grant` showed; without it, it is asked for.", HelpName = "FILE" };

    public static Command Create() => Session.Command("restore", "Bring back here what a clean room granted to this agent (holdfast cleanroom grant).", command =>
    {
        foreach (var argument in new[] { UrlArgument, FingerprintArgument, TargetArgument })
            command.Arguments.Add(argument);
        foreach (var option in new Option[] { CodeOption, RestoreCommand.ResumeOption, RestoreCommand.OverwriteOption, RestoreCommand.ByNameOption, ThreadsArgument.Option, KeyFolder.KeysOption })
            command.Options.Add(option);
    }, Run);

    static int Run(Session session)
    {
        session.Network.Require();
        ProcessLimits.RequireProc();
        var existing = RestoreCommand.Existing(session);
        var threads = ThreadsArgument.Get(session);
        if (!KeeperAccess.TryUrl(session.Parsed.GetValue(UrlArgument)!, out var url))
            throw new HoldfastException(ErrorCode.Usage, "That is no address of a clean room.", "Such as https://cleanroom.example.nhs.uk:8447 - with no path behind it.");
        if (!KeeperClients.TryFingerprint(session.Parsed.GetValue(FingerprintArgument)!, out var fingerprint))
            throw new HoldfastException(ErrorCode.Usage, "That is no fingerprint.", "It is sha256: and 64 hexadecimal digits; `holdfast cleanroom grant` shows it when it starts.");
        var folder = FolderPath.Full(new KeyFolder(session).Folder);
        var path = RestoreCommand.NotIsolated(Path.GetFullPath(session.Parsed.GetValue(TargetArgument)!));
        using var agent = AgentKey.Parse(UserFile.Kept(Path.Combine(folder, KeyFolder.AgentFile), "The key folder's agent.key"));
        var logKey = GatewayAccess.Read(folder)?.LogKey.ToString();
        if (!EnrolmentTokens.TryRead(Code(session), out var code))
            throw new HoldfastException(ErrorCode.Usage, "That is no code of a grant.", "It is 32 hexadecimal digits, with hyphens between; `holdfast cleanroom grant` shows it when it starts.");
        var options = new GrantOptions(existing switch { ExistingFiles.KeepEqual => GrantMode.Resume, ExistingFiles.Replace => GrantMode.Overwrite, _ => GrantMode.Empty }, session.Parsed.GetValue(RestoreCommand.ByNameOption));
        using var run = GrantRun.Begin(session.Network.Grant(url, fingerprint, session.Stop), agent, logKey, code, options, session.Stop);
        var progress = new RestoreProgress();
        try
        {
            using var target = FileTarget.Create(path, new FileTargetOptions { Existing = existing, MapOwnersByName = options.ByNames, Stop = session.Stop, Forbidden = [folder] });
            var state = RestoredState.Of(run.Stand);
            if (existing == ExistingFiles.Refuse && !run.Stand.IsPart)
                RestoreCommand.WarnIfTight(session, path, run.Stand.Bytes);
            session.Note($"Restoring {SnapshotArgument.Words(state)}.");
            RestoreResult result;
            TimeSpan elapsed;
            using (var line = new ProgressLine(session, time => $"{Text.Count(progress.Files, "file")}, {ProgressLine.Rate(progress.Bytes, progress.Planned, time)}"))
            {
                result = run.Restore(target, progress, threads);
                elapsed = line.Elapsed;
            }
            if (run.Stand.IsPart || result.Lost > 0) // then what stands there besides may be of the snapshot all the same
                result = result with { Written = result.Written with { Strangers = null } };
            Report(session, run, result, target);
            if (run.Stand.IsPart && result.Matched == 0 && result.Lost == 0)
                throw new HoldfastException(ErrorCode.SnapshotMissing, "Nothing in the snapshot matches what was granted.", "Have another grant made, in the clean room, with other patterns (--include): `holdfast find PATTERN --snapshot SNAPSHOT` there shows what one matches.");
            var status = RestoreReport.Tell(session, state, [], result, target, elapsed, run.Stand.IsPart, isLogged: false, isDoubted: false, result.Away > 0 ? ["those in the clean room"] : []);
            if (status != 0)
                session.Warn($"holdfast: `status`, `find`, `snapshots`, `erasure`, other copies of the vault and its disks are looked after in the clean room, and the log's record of this is made there. Here: {(result.Away + result.UnreadPacks > 0 ? "the grant stands, and once the clean room can read again" : "where another grant was made")}, the same command with --resume, and no id, goes on");
            if (result.Unmatched > 0)
                session.Warn($"holdfast: {Text.Count(result.Unmatched, "pattern")} of what was granted (--include) {(result.Unmatched == 1 ? "matches" : "match")} nothing in the snapshot; what the others match is there. The clean room shows which");
            return result.Unmatched > 0 && status is 0 or (int)ErrorCode.ErasureApplies ? (int)ErrorCode.Incomplete : status;
        }
        catch (Exception e) when (e is OperationCanceledException or HoldfastException { Code: ErrorCode.Interrupted })
        {
            throw new HoldfastException(ErrorCode.Interrupted, $"Interrupted: this run brought {Text.Count(progress.Files, "file")} of the snapshot, whole; what was being written was taken back.", GoOn, e);
        }
        catch (HoldfastException e) when (e.Code != ErrorCode.SnapshotMissing)
        {
            Stopped(run, progress);
            throw progress.Files == 0 ? e : new HoldfastException(e.Code, $"{e.Message} This run brought {Text.Count(progress.Files, "file")} of the snapshot, whole.", e.Guidance.Contains("--resume", StringComparison.Ordinal) ? e.Guidance : $"{e.Guidance} {GoOn}", e);
        }
    }

    /// <summary>The clean room records how it came out; numbers alone go there.</summary>
    static void Report(Session session, GrantRun run, RestoreResult result, ITreeWriter target)
    {
        try
        {
            run.Report(result.IsWhole ? GrantOutcome.Whole : GrantOutcome.NotWhole, result.Files + result.Written.Names + result.Written.Kept, result.Bytes + result.Written.KeptBytes, result.Failed + result.Lost + target.Problems.Sum(p => p.Entries));
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: the clean room could not be told that the restore came to its end: {e.Message} Tell whoever gave the grant, so that it is ended there");
        }
    }

    static void Stopped(GrantRun run, RestoreProgress progress)
    {
        try
        {
            run.Report(GrantOutcome.Stopped, progress.Files, progress.Standing, 0);
        }
        catch (HoldfastException)
        {
            // What stopped it says enough.
        }
    }

    static string Code(Session session)
    {
        if (session.Parsed.GetValue(CodeOption) is { } file)
            return UserFile.FirstLine(file, "The file with the code");
        return Console.IsInputRedirected ? UserFile.InputText(session.Stop) : Prompt.Hidden("Code: ", session.Stop) ?? "";
    }
}
