using System.CommandLine;
using Holdfast.Cli.Emergencies;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

static class RestoreCommand
{
    static readonly Argument<string> Snapshot = SnapshotArgument.Make();
    static readonly Argument<string> TargetArgument = new("TARGET") { Description = "Folder to restore into: empty, or not there yet." };
    public static readonly Option<string[]> IncludeOption = new("--include") { Description = "Only what matches, and all below it; may be repeated. " + NamePattern.Rules, HelpName = "PATTERN", DefaultValueFactory = _ => [] };
    public static readonly Option<bool> ResumeOption = new("--resume") { Description = "Go on with an interrupted restore: files that are equal byte for byte stay, all others of the snapshot are written anew, changed ones too. Takes the snapshot by its id: `latest` may be another one by now." };
    public static readonly Option<bool> OverwriteOption = new("--overwrite") { Description = "Replace what is there. What the snapshot does not have stays, and is counted." };
    public static readonly Option<bool> ByNameOption = new("--owners-by-name") { Description = "Owners, and users and groups in access control lists, by their names on this machine, where it has them; the others by number, which is told." };

    static readonly Option<bool> IsolatedOption = new("--isolated") { Description = "An emergency restore: one person, at once, into a new folder TARGET that nobody else can enter; with --reason. All who look at the vault see it; `holdfast emergency release` lets it out." };

    /// <summary>What care needs all the same, of what was lawfully erased.</summary>
    public static readonly Option<string?> WithErasedOption = new("--with-erased") { Description = "Bring also what the erasure register leaves out, for this reason: that it was asked for is recorded, with the reason, sealed to the opening key; both stay as long as the vault.", HelpName = "REASON" };

    public static Command Create() => Session.Command("restore", "Bring a snapshot back, whole or in part.", command =>
    {
        command.Arguments.Add(Snapshot);
        command.Arguments.Add(TargetArgument);
        foreach (var option in new Option[] { IncludeOption, ResumeOption, OverwriteOption, ByNameOption, WithErasedOption, IsolatedOption, EmergencyCommand.ClinicalOption, EmergencyCommand.ReasonOption, EmergencyCommand.PersonOption, EmergencyCommand.ApproverOption, ThreadsArgument.Option, SnapshotArgument.NameOption, SnapshotArgument.UnverifiedOption })
            command.Options.Add(option);
        KeyFolder.AddTo(command, reading: true, scoped: false);
    }, Run);

    static int Run(Session session)
    {
        ProcessLimits.RequireProc();
        var threads = ThreadsArgument.Get(session);
        var existing = Existing(session);
        var (resume, overwrite) = (existing == ExistingFiles.KeepEqual, existing == ExistingFiles.Replace);
        var isClinical = EmergencyCommand.IsClinical(session);
        if (isClinical && session.Parsed.GetValue(IsolatedOption))
            throw new HoldfastException(ErrorCode.Usage, "--isolated and --clinical-emergency contradict each other: the one restores into isolation, the other to where it is used.", "Give --isolated, where a folder can be had that nobody else can enter; `holdfast emergency release` takes --clinical-emergency then.");
        if (!isClinical && !session.Parsed.GetValue(IsolatedOption) && new Option<string?>[] { EmergencyCommand.ReasonOption, EmergencyCommand.PersonOption, EmergencyCommand.ApproverOption }.Any(o => session.Parsed.GetValue(o) is not null))
            throw new HoldfastException(ErrorCode.Usage, "A reason and a person are those of an emergency restore, and --isolated was not given.", "Add --isolated; or leave them out, for a restore that is no emergency.");
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var isDoubted = SnapshotArgument.AllowUnverified(session, vault);
            var record = SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(Snapshot)!, tell: false);
            if (resume)
                RequireId(session.Parsed.GetValue(Snapshot)!, record);
            var tree = SnapshotsCommand.Describe(vault, record, keys);
            var typed = session.Parsed.GetValue(IncludeOption)!;
            NamePattern.Require(typed, "--include number");
            var patterns = typed.Select(Pattern).ToList();
            var isIsolated = session.Parsed.GetValue(IsolatedOption);
            vault.RequireRestorable(record, keys, isIsolated || isClinical);
            var bringErased = BringErased(session, vault, record, keys);
            IDisposable? held = null;
            IsolatedPlace? former = null;
            var place = isIsolated ? EmergencyCommand.Begin(session, vault, record, session.Parsed.GetValue(TargetArgument)!, resume, typed, out held, out former) : null;
            using var _ = held;
            var path = place?.Content ?? NotIsolated(Path.GetFullPath(session.Parsed.GetValue(TargetArgument)!));
            // Only now, so that a call that cannot be run makes no folder.
            using var target = FileTarget.Create(path, new FileTargetOptions
            {
                Existing = existing,
                MapOwnersByName = session.Parsed.GetValue(ByNameOption),
                Stop = session.Stop,
                Forbidden = [.. vault.Keeper.Folders, .. session.Parsed.GetValue(KeyFolder.KeysOption) is { Length: > 0 } keyFolder ? [keyFolder] : Array.Empty<string>()],
            });
            var open = Enumerable.Range(0, patterns.Count).ToHashSet(); // those that have matched nothing yet
            if (patterns.Count == 0 && !resume && !overwrite)
                WarnIfTight(session, path, record.Object?.LogicalBytes ?? 0);
            session.Note($"Restoring {SnapshotArgument.Words(record, tree)}.");
            var isOutside = isClinical && EmergencyCommand.Outside(session, vault, record, $"to {path}");
            var filter = new PathFilter(patterns.Count == 0 ? null : path => Matches(patterns, open, path));
            var progress = new RestoreProgress();
            RestoreResult result;
            TimeSpan elapsed;
            using (var line = new ProgressLine(session, time => $"{Text.Count(progress.Files, "file")}, {ProgressLine.Rate(progress.Bytes, progress.Planned, time)}"))
            {
                result = Restore(record, path, () => vault.Restore(record, keys, target, filter, progress, threads, session.Stop, Below(typed), bringErased, isIsolated || isOutside), progress);
                elapsed = line.Elapsed;
            }
            if (patterns.Count > 0 && result.Matched == 0 && result.Lost == 0)
            {
                if (place is not null)
                    EmergencyCommand.NothingCame(session, vault, place, former);
                throw new HoldfastException(ErrorCode.SnapshotMissing, $"Nothing in the snapshot matches; {(resume || overwrite ? "nothing was brought into the target" : "the target has only its root folder")}.", Hint(typed, tree) + "`holdfast find PATTERN --snapshot SNAPSHOT` shows what a pattern matches.");
            }
            if (patterns.Count > 0 || result.Lost > 0) // then what stands there besides may be of the snapshot all the same
                result = result with { Written = result.Written with { Strangers = null } };
            var isLogged = result.IsWhole && !isDoubted() && patterns.Count == 0 && Record(session, vault, record, result);
            var status = RestoreReport.Tell(session, RestoredState.Of(record, tree), tree is { Problems: > 0 } ? vault.ProblemsOf(record, keys) : [], result, target, elapsed, patterns.Count > 0, isLogged, isDoubted(), result.Failed + result.Lost > 0 ? vault.Keeper.Lost : []);
            if (place is not null)
                EmergencyCommand.Restored(session, vault, place, former);
            TellUnmatched(session, typed, open, tree);
            return open.Count > 0 && status is 0 or (int)ErrorCode.ErasureApplies ? (int)ErrorCode.Incomplete : status;
        }
    }

    /// <summary>A pattern that was mistyped is told though others match something.</summary>
    public static void TellUnmatched(Session session, string[] typed, HashSet<int> open, TreeSection? tree)
    {
        foreach (var number in open.Order())
            session.Warn($"holdfast: nothing in the snapshot matches --include {typed[number].Replace("\n", "\\x0a", StringComparison.Ordinal)}; what the others match is there");
        if (open.Count > 0 && Hint(open.Select(number => typed[number]), tree) is { Length: > 0 } hint)
            session.Warn($"  what to do: {hint.TrimEnd()}");
    }

    /// <summary>What is to become of what is there.</summary>
    public static ExistingFiles Existing(Session session) => (session.Parsed.GetValue(ResumeOption), session.Parsed.GetValue(OverwriteOption)) switch
    {
        (true, true) => throw new HoldfastException(ErrorCode.Usage, "--resume and --overwrite contradict each other.", "With --resume equal files stay and all others are replaced; with --overwrite every file is written anew."),
        (true, _) => ExistingFiles.KeepEqual,
        (_, true) => ExistingFiles.Replace,
        _ => ExistingFiles.Refuse,
    };

    /// <summary>What an emergency isolated is not written to by any other restore.</summary>
    public static string NotIsolated(string path)
    {
        for (var at = FolderPath.Real(path); at is not null; at = Path.GetDirectoryName(at))
        {
            if (IsolatedPlace.IsAt(at))
                throw InPlace();
        }
        return path;
    }

    static HoldfastException InPlace() => new(ErrorCode.TargetNotEmpty, "That folder is, or lies in, the isolated place of an emergency restore.", "To go on with that one: --isolated --resume. Name another folder for this one.");

    /// <summary>Why patterns may match nothing: a path is written as it stands in the snapshot, and not as it was on the machine. Names stay out of the words.</summary>
    static string Hint(IEnumerable<string> patterns, TreeSection? tree)
    {
        var root = System.Text.Encoding.UTF8.GetString(tree?.RootPath ?? []).TrimEnd('/');
        var rooted = patterns.Where(p => p.TrimEnd('/').Contains('/')).ToList();
        if (root.Length > 0 && rooted.Exists(p => p.TrimEnd('/') == root || p.StartsWith(root + "/", StringComparison.Ordinal)))
            return "A pattern with / in it begins at the source's root, and here one begins with the path that the source had: leave that part away (all of --include, where it is the whole). ";
        return NamePattern.Hint(patterns) + (rooted.Count > 0 ? "A pattern with / in it begins at the source's root; upper and lower case differ. " : "");
    }

    static string GoOn(SnapshotRecord record) => $"To go on, run the same command with --resume, and with {Text.Id(record.Snapshot)} for the snapshot: what is whole stays, the rest is brought.";

    /// <summary>A target that was begun with one snapshot is not gone on with by another that was committed since: in an attack, that one holds what the attacker left.</summary>
    static void RequireId(string which, SnapshotRecord record)
    {
        if (which.StartsWith("latest", StringComparison.Ordinal))
            throw new HoldfastException(ErrorCode.Usage, $"--resume goes on with the snapshot that the target was begun with, and `{which}` may be another one by now.",
                $"Name the snapshot by its id, which the restore printed when it began. `{which}` is {Text.Id(record.Snapshot)} now, from {Text.Time(record.Committed)}: only if that is the one you began with, put its id in place of `{which}`. "
                + "To have another state, restore it into another folder.");
    }

    /// <summary>What is cut short says how to go on.</summary>
    static RestoreResult Restore(SnapshotRecord record, string path, Func<RestoreResult> restore, RestoreProgress progress)
    {
        try
        {
            return restore();
        }
        catch (OperationCanceledException e)
        {
            throw new HoldfastException(ErrorCode.Interrupted, $"Interrupted: this run brought {Text.Count(progress.Files, "file")} of the snapshot, whole; what was being written was taken back.", GoOn(record), e);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull)
        {
            throw new HoldfastException(e.Code, $"{e.Message} {Text.Bytes(new DriveInfo(path).AvailableFreeSpace)} are free in {path}, and at least {Text.Bytes(Math.Max(0, progress.Planned - progress.Standing))} more are needed.", $"Free space, or restore into a folder on another disk. {GoOn(record)}", e);
        }
        catch (HoldfastException e) when (progress.Files > 0 && !e.Guidance.Contains("--resume", StringComparison.Ordinal))
        {
            throw new HoldfastException(e.Code, $"{e.Message} This run brought {Text.Count(progress.Files, "file")} of the snapshot, whole.", $"{e.Guidance} {GoOn(record)}", e);
        }
    }

    /// <summary>No refusal: holes and further names of one file take no room, and nobody knows before how many there are.</summary>
    public static void WarnIfTight(Session session, string path, ulong bytes)
    {
        var free = new DriveInfo(path).AvailableFreeSpace;
        if (bytes > (ulong)free)
            session.Warn($"holdfast: the snapshot's files have {Text.Bytes(bytes)}, the target's disk has {Text.Bytes(free)} free. Unless much of it is holes or hard links, it will not fit.");
    }

    static Excludes Pattern(string text)
    {
        while (text.StartsWith("./", StringComparison.Ordinal))
            text = text[2..] is var rest && rest.TrimEnd('/').Contains('/') ? rest : "/" + rest;
        // A slash at the end alone, as `ls` prints it behind a folder's name, ties nothing to the root.
        return NamePattern.Parse(text.Trim('/') is not { Length: > 0 } inner ? text : text.TrimEnd('/').Contains('/') ? "/" + inner : inner);
    }

    /// <summary>The folder or entry in which all is that patterns can match: what of the tree lies elsewhere need not be read, and may be damaged. Null where that is not known.</summary>
    public static byte[]? Below(string[] patterns)
    {
        string[]? common = null;
        foreach (var pattern in patterns)
        {
            var path = pattern;
            while (path.StartsWith("./", StringComparison.Ordinal))
                path = path[2..];
            if (!pattern.TrimEnd('/').Contains('/'))
                return null; // at any depth
            var names = path.Trim('/').Split('/').TakeWhile(name => name.Length > 0 && name.IndexOfAny(['*', '?', '[', '\\', ' ']) < 0).ToArray();
            common = common is null ? names : [.. common.Zip(names).TakeWhile(n => n.First == n.Second).Select(n => n.First)];
        }
        return common is { Length: > 0 } ? System.Text.Encoding.UTF8.GetBytes(string.Join('/', common)) : null;
    }

    /// <summary>What patterns choose of a snapshot: all of it, where there are none.</summary>
    /// <param name="typed">The patterns.</param>
    /// <param name="open">Those that have matched nothing yet.</param>
    public static PathFilter Filter(string[] typed, HashSet<int> open)
    {
        var patterns = typed.Select(Pattern).ToList();
        return new PathFilter(typed.Length == 0 ? null : path => Matches(patterns, open, path));
    }

    static bool Matches(List<Excludes> patterns, HashSet<int> open, ReadOnlySpan<byte> path)
    {
        var matched = false;
        for (var i = 0; i < patterns.Count && !path.IsEmpty && !(matched && open.Count == 0); i++)
        {
            if ((matched && !open.Contains(i)) || !patterns[i].Match(path, isFolder: true))
                continue;
            matched = true;
            open.Remove(i);
        }
        return matched;
    }

    /// <summary>Whether what was erased is brought all the same. The log is told first; where it cannot be, care goes on, and that is said.</summary>
    public static bool BringErased(Session session, Vault vault, SnapshotRecord record, Core.Keys.ReadingKeys keys)
    {
        if (session.Parsed.GetValue(WithErasedOption) is not { } typed)
            return false;
        var reason = ErasureCommand.Reason(typed);
        if (!vault.HasErased(record, keys))
            return true;
        try
        {
            vault.RecordErasedAsked((Core.Keys.OpeningKeys)keys, record, reason);
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: that erased data is asked for could NOT be recorded in the log: {e.Message} Write it down, with the reason, and tell the data protection officer");
        }
        return true;
    }

    /// <summary>A restore is a fact of the log: it says that the whole snapshot came back. Where the log cannot be written, the restore counts all the same.</summary>
    static bool Record(Session session, Vault vault, SnapshotRecord record, RestoreResult result)
    {
        try
        {
            vault.Keeper.Record(LeafType.Restore, record.Snapshot, Id16.None, (ulong)result.Register.LeftOut, (ulong)(result.Bytes + result.Written.KeptBytes), (ulong)(result.Files + result.Written.Names + result.Written.Kept));
            return true;
        }
        catch (HoldfastException e)
        {
            session.Note($"The restore could not be noted in the log: {e.Message}");
            return false;
        }
    }
}
