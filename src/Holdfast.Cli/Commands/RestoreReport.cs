using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

/// <summary>What came back, what did not, and what to do about it.</summary>
static class RestoreReport
{
    /// <summary>Why `status` may say of a snapshot that was restored that it never was.</summary>
    public const string WhatCounts = "a restore counts where every entry came back as the snapshot has it, owners and attributes too: run as root, or as the user whose files they all are";

    const int Shown = 20;
    const long RateFrom = 1 << 20; // bytes

    public static int Tell(Session session, RestoredState state, IReadOnlyList<SourceProblem> ofSource, RestoreResult result, ITreeWriter target, TimeSpan elapsed, bool isPart, bool isLogged, bool isDoubted, IReadOnlyList<string> gone)
    {
        var problems = target.Problems;
        var missed = result.Failed + result.Lost + problems.Sum(p => p.Entries);
        var code = result.Failed > 0 || result.Lost > 0 ? gone.Count > 0 ? ErrorCode.StoreUnavailable : ErrorCode.RestoreMismatch : result.IsWhole && !isDoubted ? result.Register.Applies ? ErrorCode.ErasureApplies : ErrorCode.None : ErrorCode.Incomplete;
        WriteJson(session, state, ofSource, result, problems, target, elapsed, isLogged, missed, code);
        var written = result.Written;
        session.Step($"{(result.Failed > 0 || result.Lost > 0 ? "NOT COMPLETE. " : "")}Restored {Text.Count(result.Files, "file")} ({Text.Bytes(result.Bytes)}) and {Text.Count(written.Folders, "folder")} in {Text.Duration(elapsed)}{Rate(result.Bytes, elapsed)}{(result.Files > 0 ? "; every piece of it matched its digest" : "")}.");
        session.Step($"  state              {SnapshotArgument.Words(state)}");
        if (isPart)
            session.Step("  a part             what --include names, and nothing else of the snapshot");
        if (written.Untouched > 0)
            session.Step($"  as they were       {Text.Count(written.Untouched, "folder")} that {(written.Untouched == 1 ? "was" : "were")} there, above what was brought back: owner and permissions were left alone");
        if (written.MoreOpen > 0)
            session.Finding($"  MORE OPEN          {written.MoreOpen} of them {(written.MoreOpen == 1 ? "lets" : "let")} in users whom the snapshot kept out: see whether they may read or exchange what was brought back (ls -ld)");
        if (state.Problems > 0)
            session.Finding($"  INCOMPLETE         {LeftOut(state)}");
        foreach (var line in SourceProblems.Lines(state.Problems, ofSource, state.Snapshot))
            session.Finding(line);
        if (written.Others > 0)
            session.Step($"  also               {Text.Count(written.Others, "symlink or special file", "symlinks and special files")}");
        if (written.Names > 0)
            session.Step($"  hard links         {Text.Count(written.Names, "further name", "further names")} of these files");
        if (result.WithHoles > 0)
            session.Step($"  holes              {Text.Count(result.WithHoles, "file")} with holes, made anew with them");
        if (written.Kept > 0)
            session.Step($"  there already      {Text.Count(written.Kept, "file")} ({Text.Bytes(written.KeptBytes)}), compared byte for byte and left in place");
        if (written.Strangers is > 0 and var strangers)
            session.Finding($"  NOT OF IT          {Text.Count(strangers, "entry", "entries")} in the target {(strangers == 1 ? "is" : "are")} not in the snapshot, and {(strangers == 1 ? "stays" : "stay")} (what lies in folders among them is not counted): only a restore into an empty folder is the snapshot and nothing else");
        if (isLogged)
            session.Step($"  logged             the log has a record that the whole snapshot came back{(result.Register.LeftOut > 0 ? ", but for what the erasure register left out" : "")}{(state.Problems > 0 ? ", as it was taken" : "")}");
        TellRegister(session, result.Register);
        if (result.UnreadPacks > 0 && result.Failed + result.Lost > 0)
        {
            session.Warn($"holdfast: the disk did not give the {(result.UnreadPacks == 1 ? "footer" : "footers")} of {Text.Count(result.UnreadPacks, "pack")}: what {(result.UnreadPacks == 1 ? "it holds" : "they hold")} could not be found");
            session.Warn("  what to do: look at the disk, its cable or its mount (dmesg shows what the system saw), then run this again with --resume and the snapshot's id, before anything else that is said here.");
        }
        if (code == ErrorCode.StoreUnavailable)
        {
            session.Warn($"holdfast: {(gone.Count == 1 ? "a folder" : "folders")} of the vault went away while this ran, or {(gone.Count == 1 ? "does" : "do")} not answer any more: {string.Join(", ", gone)}. That says nothing of what the vault holds");
            session.Warn("  what to do: look at the disk, its cable or its mount (dmesg shows what the system saw); when it is there again, run this again with --resume and the snapshot's id, before anything else that is said here.");
        }
        TellLost(session, result);
        Group(session, result.Failed, gone.Count > 0 || result.UnreadPacks > 0 ? "did not come back: no copy that could be read is whole" : "did not come back: no copy in the vault is whole", [.. result.FailedPaths.Select(p => (p, ""))], result.Failed - result.FailedPaths.Count,
            "`holdfast find NAME` shows which other snapshots have a file of that name, and `holdfast snapshots` which of those are whole; `holdfast status` names what is missing or damaged. Bring that from another copy of the vault, then run this again with --resume and the snapshot's id.");
        foreach (var group in problems.GroupBy(p => p.Fault).OrderBy(g => g.Key))
        {
            var (what, mend) = Describe(group.Key, Environment.IsPrivilegedProcess);
            Group(session, group.Sum(p => p.Entries), what, [.. group.Where(p => p.Path is not null).Select(p => (p.Path!, $"{p.Detail}{(p.Entries > 1 ? $"; {Text.Count(p.Entries, "entry", "entries")} in it" : "")}"))], NotListed(group), mend);
        }
        foreach (var refusal in target.Refusals.Where(r => r.Detail == AttributeRefusal.MayBeOthers))
        {
            Group(session, refusal.Entries, $"without the snapshot's {refusal.What}, {refusal.Detail}", [.. refusal.Paths.Select(p => (p.Length > 0 ? p : "."u8.ToArray(), ""))], refusal.Entries - refusal.Paths.Count,
                "see what lies there and who may use it (ls -la, getfacl). Where it is right, set it by hand: chown, chmod; setfacl -b -k and setfattr -x take away what the snapshot has not. How it was in the snapshot, a restore of it into an empty folder shows (--include). Where nobody else can have put anything there, make the folders above it, the target too, yours and shut for others instead (chown, chmod go-w), for the time. Then run this again with --resume and the snapshot's id.");
        }
        foreach (var refusal in target.Refusals.Where(r => r.Detail != AttributeRefusal.MayBeOthers))
            session.Warn($"holdfast: {refusal.What} not set on {Text.Count(refusal.Entries, "entry", "entries")} ({refusal.Detail}); their contents are there.");
        if (target.Refusals.Any(r => r.Detail != AttributeRefusal.MayBeOthers))
            session.Warn("  what to do: where it matters, run this again with --resume as a user who may set them (root), on a file system that has them and keeps them; where names are not known here, after users and groups of these names were made");
        if (code is ErrorCode.None or ErrorCode.ErasureApplies)
        {
            session.Step("Next: let somebody who knows the data look at it, and start what uses it from there.");
            return (int)code;
        }
        var isRefused = target.Refusals.Count > 0 || (!Environment.IsPrivilegedProcess && problems.Any(p => p.Fault == TargetFault.NotPermitted));
        session.Warn($"holdfast: {(missed > 0 ? $"{Text.Count(missed, "entry", "entries")} of the snapshot {(missed == 1 ? "is" : "are")} not in the target as {(missed == 1 ? "it" : "they")} should be{(target.Refusals.Count > 0 ? ", besides the attributes that were not set" : "")}. The log"
            : isDoubted ? "all of it came back, UNVERIFIED; the log" : "all contents came back; some attributes did not. The log")} has no record of this restore{(missed == 0 && isDoubted ? "." : $", so `holdfast status` does not count it{(isRefused ? $": {WhatCounts}" : "")}.")}");
        session.Warn($"  code: {code} ({(int)code})");
        return (int)code;
    }

    /// <summary>What the erasure register had to say: nobody is to find out later that something is not there, or is as it was before it was corrected.</summary>
    public static void TellRegister(Session session, ErasureReport register)
    {
        List(session, register.LeftOut, "LEFT OUT by the erasure register: erased at the source", register.LeftOutPaths, "`holdfast erasure list` says why. The locked copies are as they were: where an entry is wrong, `holdfast erasure withdraw` takes it back; where care needs it all the same, --with-erased REASON");
        List(session, register.Standing, "of those ERASED at the source, AND STILL IN THE TARGET: an earlier restore, or somebody, put something of that name there", register.StandingPaths, "remove it from the target (rm -r)");
        List(session, register.Corrected, "CORRECTED at the source since: what came back is as it was before", register.CorrectedPaths, "`holdfast erasure list` says why; correct it again before it is used");
        if (register.Brought > 0)
            session.Warn($"holdfast: {Text.Count(register.Brought, "entry", "entries")} that {(register.Brought == 1 ? "was" : "were")} erased at the source {(register.Brought == 1 ? "is" : "are")} brought back all the same (--with-erased): erase {(register.Brought == 1 ? "it" : "them")} again once care does not need {(register.Brought == 1 ? "it" : "them")} any more");
        if (register.NotCompared > 0)
            session.Warn($"holdfast: {Text.Count(register.NotCompared, "file has", "files have")} no SHA-256 in the snapshot (over 64 MiB), and the erasure register names files by theirs: compare them by hand (sha256sum) before they are used");
        if (register.Unknown > 0)
            session.Warn($"holdfast: part of the ERASURE REGISTER CANNOT BE READ here ({Text.Count(register.Unknown, "entry", "entries")}), and what it may have withdrawn was brought: something that was erased or corrected may have come back. `holdfast status` names what is missing; a key of an earlier epoch does not open later entries");
        if (register.Unproved > 0)
            session.Warn($"holdfast: {Text.Count(register.Unproved, "entry", "entries")} of the erasure register {(register.Unproved == 1 ? "was" : "were")} made by nobody who had the opening key of that time, and left out nothing: somebody has the log's key, a keeper's client, or an opening key that was rotated away, who should not");
    }

    static void List(Session session, long count, string what, IReadOnlyList<byte[]> paths, string mend)
    {
        if (count == 0)
            return;
        session.Warn($"holdfast: {Text.Count(count, "entry", "entries")} {what}");
        foreach (var path in paths.Take(Shown))
            session.Warn($"    {Text.Name(path)}");
        if (count > Shown)
            session.Warn($"    and {Text.Count(count - Math.Min(Shown, paths.Count), "more", "more")}; --json lists {Text.Count(paths.Count, "path")}");
        session.Warn($"  what to do: {mend}.");
    }

    static void WriteRegister(System.Text.Json.Utf8JsonWriter w, ErasureReport register)
    {
        w.WriteStartObject("erasureRegister");
        foreach (var (name, count, paths) in new[] { ("leftOut", register.LeftOut, register.LeftOutPaths), ("stillInTarget", register.Standing, register.StandingPaths), ("corrected", register.Corrected, register.CorrectedPaths) })
        {
            w.WriteNumber(name, count);
            w.WriteStartArray(name + "Paths");
            foreach (var path in paths)
            {
                w.WriteStartObject();
                w.WriteName("path", path);
                w.WriteEndObject();
            }
            w.WriteEndArray();
        }
        w.WriteNumber("brought", register.Brought);
        w.WriteNumber("notCompared", register.NotCompared);
        w.WriteNumber("unknown", register.Unknown);
        w.WriteNumber("notBelieved", register.Unproved);
        w.WriteEndObject();
    }

    static string LeftOut(RestoredState state) =>
        $"{Text.Count((long)state.Problems, "entry", "entries")} of the source {(state.Problems == 1 ? "was" : "were")} left out when this was taken, or {(state.Problems == 1 ? "is" : "are")} here as read while changing: an earlier or later snapshot may have {(state.Problems == 1 ? "it" : "them")} whole (`holdfast diff OTHER {Text.Id(state.Snapshot)}`, with another one's id for OTHER, shows what differs)";

    static long NotListed(IEnumerable<TargetProblem> problems) => problems.Where(p => p.Path is null).Sum(p => p.Entries);

    static void TellLost(Session session, RestoreResult result)
    {
        if (result.Lost == 0)
            return;
        session.Warn($"holdfast: {Text.Count(result.Lost, "entry", "entries")} did not come back, and their names are not known: parts of the snapshot's tree cannot be read");
        foreach (var rows in result.LostRows.Take(Shown))
            session.Warn($"    {LostParts.Describe(rows)}");
        if (result.LostRows.Count > Shown)
            session.Warn($"    and in {Text.Count(result.LostRows.Count - Shown, "more place")}; --json lists {Text.Count(result.LostRows.Count, "place")}");
        session.Warn("  what to do: all else that was asked for was tried. Folders among them in which something else lies were made where they were not there, open to their owner alone: see to their owners and permissions. `holdfast status` names what is missing or damaged: bring that from another copy of the vault, then run this again with --resume and the snapshot's id; an earlier or later snapshot may have these entries too.");
    }

    /// <param name="session">Gets the words.</param>
    /// <param name="count">All entries.</param>
    /// <param name="what">Happened to them.</param>
    /// <param name="list">Those that are known by their paths.</param>
    /// <param name="notListed">How many more there are.</param>
    /// <param name="mend">What to do.</param>
    static void Group(Session session, long count, string what, List<(byte[] Path, string Detail)> list, long notListed, string mend)
    {
        if (count == 0)
            return;
        session.Warn($"holdfast: {Text.Count(count, "entry", "entries")} {what}");
        foreach (var (path, detail) in list.OrderBy(e => e.Path, Comparer<byte[]>.Create((l, r) => TreePath.Compare(l, r))).Take(Shown))
            session.Warn($"    {Text.Name(path)}{(detail.Length > 0 ? $"  ({detail})" : "")}");
        if (Math.Max(0, list.Count - Shown) + notListed is var more and > 0)
            session.Warn($"    and {Text.Count(more, "more", "more")}; --json lists {(notListed > 0 ? Text.Count(list.Count, "path") : "them all")}");
        session.Warn($"  what to do: {mend}");
    }

    /// <summary>Nothing where so little was written that it tells nothing.</summary>
    internal static string Rate(long bytes, TimeSpan elapsed) => bytes < RateFrom ? "" : $", {Text.Bytes(Math.Round(bytes / Math.Max(elapsed.TotalSeconds, 0.001)))}/s";

    internal static (string What, string Mend) Describe(TargetFault fault, bool isRoot) => fault switch
    {
        TargetFault.NotPermitted when isRoot => ("may not be written even by root", "see with `lsattr -d` whether the file, or its folder, is immutable (i) or append-only (a), or lies on what is mounted read-only: find out who made it so, take that away (`chattr -i -a`), then run this again with --resume. On a network share its server decides what root may."),
        TargetFault.NotPermitted => ("may not be written by this user", "run this again with --resume as a user who may (root), or after access was granted: setfacl -m u:USER:rwx FOLDER."),
        TargetFault.InTheWay => ("could not be written: something else stands there, or took the folder away", "move that out of the way, then run this again with --resume."),
        TargetFault.NotHeld => ("cannot be held unchanged by the target's file system", "restore what is missing into a folder on a file system like that of the source (--include PATH). `holdfast cat SNAPSHOT PATH > FILE` brings a single file under any name."),
        TargetFault.FirstNameMissing => ("could not be made: a hard link takes the file, and that did not come back", "a hard link comes back with the file."),
        TargetFault.InUse => ("would lie in the vault, in one of its store folders, or in the key folder that is in use: what is there was left as it is", "where the snapshot's are wanted, restore them into another folder (--include PATH), or copy the vault or the keys elsewhere, name them there (--vault, --keys), and run this again with --resume."),
        _ => ("could not be written", "look at the target's disk (dmesg shows what the system saw), then run this again with --resume."),
    };

    static void WriteJson(Session session, RestoredState state, IReadOnlyList<SourceProblem> ofSource, RestoreResult result, IReadOnlyCollection<TargetProblem> problems, ITreeWriter target, TimeSpan elapsed, bool isLogged, long missed, ErrorCode code) => session.Json(w =>
    {
        w.WriteString("snapshot", state.Snapshot.ToString());
        w.WriteString("committed", Text.Iso(state.Committed));
        if (state.ClientTime is { } time)
            w.WriteString("clientTime", Text.Iso(time));
        w.WriteString("source", state.Source.ToString());
        if (state.Names is var (name, host, root))
        {
            w.WriteName("name", name);
            w.WriteName("host", host);
            w.WriteName("path", root);
        }
        SourceProblems.Write(w, ofSource);
        w.WriteNumber("entries", result.Entries);
        w.WriteNumber("files", result.Files);
        w.WriteNumber("bytes", result.Bytes);
        w.WriteNumber("folders", result.Written.Folders);
        w.WriteNumber("foldersLeftAsTheyWere", result.Written.Untouched);
        w.WriteNumber("foldersMoreOpen", result.Written.MoreOpen);
        w.WriteNumber("furtherNames", result.Written.Names);
        w.WriteNumber("linksAndSpecialFiles", result.Written.Others);
        w.WriteNumber("filesWithHoles", result.WithHoles);
        if (result.Written.Strangers is { } strangers)
            w.WriteNumber("notOfTheSnapshot", strangers);
        else
            w.WriteNull("notOfTheSnapshot");
        w.WriteNumber("keptFiles", result.Written.Kept);
        w.WriteNumber("keptBytes", result.Written.KeptBytes);
        w.WriteNumber("seconds", elapsed.TotalSeconds);
        w.WriteBoolean("logged", isLogged);
        w.WriteNumber("missed", missed);
        w.WriteStartArray("failed");
        foreach (var path in result.FailedPaths)
        {
            w.WriteStartObject();
            w.WriteName("path", path);
            w.WriteEndObject();
        }
        w.WriteEndArray();
        WriteRegister(w, result.Register);
        w.WriteNumber("failedNotListed", result.Failed - result.FailedPaths.Count);
        w.WriteNumber("unreadPacks", result.UnreadPacks);
        w.WriteNumber("lost", result.Lost);
        w.WriteStartArray("lostFrom");
        foreach (var rows in result.LostRows)
        {
            w.WriteStartObject();
            LostParts.Write(w, rows);
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteStartArray("problems");
        foreach (var problem in problems.Where(p => p.Path is not null))
        {
            w.WriteStartObject();
            w.WriteString("kind", problem.Fault.ToString());
            w.WriteName("path", problem.Path);
            w.WriteString("detail", problem.Detail);
            w.WriteNumber("entries", problem.Entries);
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteNumber("problemsNotListed", NotListed(problems));
        w.WriteStartArray("notSet");
        foreach (var refusal in target.Refusals)
        {
            w.WriteStartObject();
            w.WriteString("what", refusal.What);
            w.WriteString("detail", refusal.Detail);
            w.WriteNumber("entries", refusal.Entries);
            w.WriteStartArray("folders");
            foreach (var path in refusal.Paths)
            {
                w.WriteStartObject();
                w.WriteName("path", path);
                w.WriteEndObject();
            }
            w.WriteEndArray();
            w.WriteEndObject();
        }
        w.WriteEndArray();
        if (code == ErrorCode.None)
            return;
        w.WriteStartObject("error");
        w.WriteString("code", code.ToString());
        w.WriteNumber("status", (int)code);
        w.WriteString("message", missed > 0 ? "Not all of the snapshot stands in the target." : code == ErrorCode.ErasureApplies ? "The erasure register applies: `erasureRegister` says what was left out, or was corrected since." : result.IsWhole ? "The snapshot is not what its agent signed: nobody vouches for it." : "Some attributes were not set.");
        w.WriteString("guidance", code == ErrorCode.ErasureApplies ? "Let whoever is responsible for the data know; `holdfast erasure list` says why." : "`failed`, `lostFrom`, `problems` and `notSet` say what; mend it, then run the restore again with --resume.");
        w.WriteEndObject();
    });
}
