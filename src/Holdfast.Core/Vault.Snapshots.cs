using System.Globalization;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core;

/// <summary>Snapshots: found, described, listed, read and restored.</summary>
public sealed partial class Vault
{
    const int LeastLetters = 4; // of a snapshot's id

    /// <summary>Finds a snapshot by id, by the first letters of its id, as "latest", or as "latest~1" for the one before that (~2 and so on); of one source where it is given.
    /// "latest" counts every snapshot that a listing shows: one that cannot be read is never passed over in silence for an older one.</summary>
    /// <exception cref="HoldfastException"><c>SnapshotMissing</c>; <c>ObjectMissing</c> where "latest" or "latest~N" is one that cannot be read, or may be.</exception>
    public SnapshotRecord Find(string which, Id16? source = null)
    {
        var all = State.Snapshots.Where(s => !s.IsRemoved).ToList();
        var there = all.Where(s => source is null || s.Source == source).ToList();
        if (which == "latest" || which.StartsWith("latest~", StringComparison.Ordinal))
        {
            var before = 0;
            if (there.Count == 0 && Keeper.LogFault is { } damaged)
                throw damaged;
            if ((which != "latest" && !int.TryParse(which["latest~".Length..], NumberStyles.None, CultureInfo.InvariantCulture, out before)) || before >= there.Count)
                throw source is not null && all.Exists(s => s.Object is null) ? OneMayBe(which, there, all) : VaultKeeper.SnapshotMissing(which);
            var chosen = there[there.Count - 1 - before];
            // Of which source a snapshot is, its object says: one without may be of any.
            var unread = chosen.Object is null ? chosen : all.LastOrDefault(s => s.Object is null && s.Ordinal > chosen.Ordinal && source is not null);
            if (Keeper.Log.IsCutShort || Keeper.Log.Lost.Any(l => (ulong)l > chosen.Ordinal))
                throw new HoldfastException(ErrorCode.LogDamaged, $"`{which}` would be snapshot {chosen.Snapshot} of {Moment(chosen.Committed)}; but the log is damaged after it, and may have named a newer one. It was not taken in its place.",
                    "Bring the log back from another copy of the vault. Where this state will do, ask for it by its id; `holdfast snapshots` lists those that are known.");
            return unread is null ? chosen : throw Unread(which, unread, there);
        }
        var found = there.Where(s => s.Snapshot.ToString().StartsWith(which, StringComparison.OrdinalIgnoreCase)).ToList();
        // A letter or two may be meant as something else, a source's name perhaps, and what is done to the wrong snapshot may be for good.
        if (which.Length < LeastLetters && found.Count == 1)
            throw VaultKeeper.SnapshotMissing($"{which} (an id takes {LeastLetters} letters at least)");
        return found.Count == 1 ? found[0] : throw VaultKeeper.SnapshotMissing(found.Count > 1 ? $"{which} (it fits {found.Count}; give more letters)" : source is null ? which : $"{which} of that source");
    }

    /// <summary>What comes before all other advice on something that is missing.</summary>
    string AwayFirst => Keeper.Away is { Count: > 0 } away ? $"A folder of the vault is not there ({string.Join(", ", away)}): mount its disk, or say where it is now (`holdfast store move OLD NEW`), and run this again. If that is not it: " : "";

    HoldfastException Unread(string which, SnapshotRecord unread, List<SnapshotRecord> there)
    {
        var older = there.FindLastIndex(s => s.Object is not null && s.Ordinal < unread.Ordinal);
        // Among snapshots of one source, one that may be of it has no number.
        var number = there.Contains(unread) ? $", or as latest~{there.Count - 1 - older}" : "";
        return new HoldfastException(ErrorCode.ObjectMissing,
            $"`{which}` {(there.Contains(unread) ? "is" : "may be")} snapshot {unread.Snapshot} of {Moment(unread.Committed)}, and its object is missing or damaged. No older snapshot was taken in its place.",
            AwayFirst + (older < 0 ? "There is no older one. " : $"The one before is {there[older].Snapshot} of {Moment(there[older].Committed)}: where an older state will do, ask for it by that id{number}. ")
            + "For this one, bring the object that `holdfast status` names back from another copy of the vault.");
    }

    /// <summary>Of the source so many snapshots cannot be read that nobody can tell which one was meant.</summary>
    HoldfastException OneMayBe(string which, List<SnapshotRecord> there, List<SnapshotRecord> all) => new(ErrorCode.ObjectMissing,
        $"{there.Count} of the source's snapshots can be read, which is too few for `{which}`; {all.Count(s => s.Object is null)} cannot, and may be of it: their objects are missing or damaged.",
        AwayFirst + $"Ask for the snapshot by its id: {(there.Count > 0 ? $"the newest that can be read is {there[^1].Snapshot} of {Moment(there[^1].Committed)}; " : "")}`holdfast snapshots` lists all.");

    static string Moment(ulong seconds) => DateTimeOffset.FromUnixTimeSeconds((long)Math.Min(seconds, 253_402_300_799)).ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture) + " UTC";

    /// <summary>The sealed description of a snapshot.</summary>
    public TreeSection Describe(SnapshotRecord record, ReadingKeys keys) =>
        TreeSection.TryParse(Whole(record).Open(SnapshotSection.Tree, keys), out var tree) ? tree! : throw Unreadable();

    /// <summary>Which entries of the source a snapshot has not, or not as they were at one moment: as many of <see cref="TreeSection.Problems"/> as it names, and none where the keys do not open that.</summary>
    public IReadOnlyList<SourceProblem> ProblemsOf(SnapshotRecord record, ReadingKeys keys)
    {
        try
        {
            return Whole(record) is var whole && whole.Section(SnapshotSection.Problems) is not null ? ProblemSection.Parse(whole.Open(SnapshotSection.Problems, keys)) ?? [] : [];
        }
        catch (HoldfastException)
        {
            return []; // section 1 has their number
        }
    }

    /// <summary>Told why a snapshot is not what its leaf and its agent's signature say, and it is read all the same. Null: it is refused.</summary>
    public Action<string>? Unverified { get; set; }

    /// <summary>Opens a snapshot to read it, and checks who vouches for it.</summary>
    /// <exception cref="HoldfastException"><c>SnapshotRefused</c>, and as <see cref="Describe"/>.</exception>
    TreeSection Checked(SnapshotRecord record, ReadingKeys keys, bool packs)
    {
        var tree = Describe(record, keys);
        if (SnapshotCheck.Fault(State, record, tree, Id, packs) is not { } fault)
            return tree;
        if (Unverified is null)
        {
            throw new HoldfastException(ErrorCode.SnapshotRefused, $"Snapshot {record.Snapshot} was refused: {fault}.",
                (record.LostSigner.IsNone ? State.HasLostLeaves ? "Bring the folder `log` back from another copy of the vault; nothing says that anybody did wrong. " : "Choose another snapshot, and find out who made this one. " : "Bring that object back from another copy of the vault; nothing says that anybody did wrong. ") + "Where there is no other, `restore`, `ls` and `cat` read it with --unverified: then nobody vouches for what it says.");
        }
        Unverified(fault);
        return tree;
    }

    /// <summary>Of each source the last snapshot that is there: a source that is no longer backed up would lose its last copy by an expiry. One whose object is missing may be of any source.</summary>
    public IReadOnlyList<SnapshotRecord> Lasts() =>
        [.. State.Snapshots.Where(s => !s.IsRemoved).GroupBy(s => s.Object is null ? s.Snapshot : s.Source).Select(g => g.MaxBy(s => s.Ordinal)!).OrderBy(s => s.Ordinal)];

    /// <summary>What changed in the run that made a snapshot.</summary>
    public RunStatistics Statistics(SnapshotRecord record, ReadingKeys keys) =>
        RunStatistics.TryParse(Whole(record).Open(SnapshotSection.Features, keys), out var statistics) ? statistics! : throw Unreadable();

    SnapshotObject Whole(SnapshotRecord record) => Keeper.State.Whole(record) ?? throw new HoldfastException(
        ErrorCode.ObjectMissing, $"The object of snapshot {record.Snapshot} is missing or damaged.", AwayFirst + "Bring it back from another copy of the vault; until then choose another snapshot.");

    static HoldfastException Unreadable() => new(ErrorCode.ObjectDamaged, "The snapshot's sealed description makes no sense.", "It was not written by a sound Holdfast. Choose another snapshot.");

    /// <summary>Rows of a snapshot in tree order; each batch holds until the next.</summary>
    /// <param name="record">The snapshot.</param>
    /// <param name="keys">Open it.</param>
    /// <param name="ct">Stops it.</param>
    /// <param name="below">Only nodes that may have this path, or what lies below it; they have others too. Null: all.</param>
    /// <param name="lost">Told of rows that cannot be read, before those that follow; null where the first of them is to end it.</param>
    public IEnumerable<EntryBatch> Rows(SnapshotRecord record, ReadingKeys keys, CancellationToken ct, byte[]? below = null, Action<LostRows>? lost = null)
    {
        var tree = Checked(record, keys, packs: false);
        var domain = keys.Domain(record.Object!.Domain);
        using var index = OpenIndex(domain, ct);
        using var chunks = Reader(record, index, keys);
        try
        {
            foreach (var batch in new TreeReader(chunks, tree.Root, tree.RootLevel, record.Object.Entries) { Lost = lost }.Rows(below))
                yield return batch;
        }
        finally
        {
            NoteFailed(chunks, keys, ct);
        }
    }

    /// <summary>Writes a file's content to a stream; where one person's word for it is recorded (<paramref name="isReleased"/>), of a sensitive source too.</summary>
    /// <returns>What the erasure register has to say of it.</returns>
    /// <exception cref="HoldfastException"><c>SnapshotMissing</c> where the snapshot has no such file; <c>ErasureApplies</c> where it was erased at the source, and <paramref name="bringErased"/> is false; <c>SensitiveSource</c>.</exception>
    public ErasureReport Cat(SnapshotRecord record, ReadingKeys keys, byte[] path, Stream output, CancellationToken ct, bool bringErased = false, bool isReleased = false)
    {
        if (!isReleased)
            RequireNotSensitive(record);
        var tree = Checked(record, keys, packs: false);
        var domain = keys.Domain(record.Object!.Domain);
        using var index = OpenIndex(domain, ct);
        using var chunks = Reader(record, index, keys);
        using var register = new ErasureRegister(State, record, keys, bringErased);
        try
        {
            foreach (var rows in new TreeReader(chunks, tree.Root, tree.RootLevel, record.Object.Entries).Rows(path))
            {
                if (TreePath.Compare(rows.Path(rows.Count - 1), path) < 0)
                    continue;
                for (var row = 0; row < rows.Count; row++)
                {
                    if (rows.Kind[row] == EntryKind.File && rows.Path(row).SequenceEqual(path))
                    {
                        if (register.LeavesOut(rows, row))
                            throw new HoldfastException(ErrorCode.ErasureApplies, "The file was erased at its source, by the erasure register. It was not given out.", "`holdfast erasure list` says why. Where care needs it all the same: --with-erased REASON, which the log has a record of.");
                        FileContent.CopyTo(rows, row, chunks, output, ct);
                        return register.Report;
                    }
                }
                break;
            }
        }
        finally
        {
            NoteFailed(chunks, keys, ct);
        }
        throw new HoldfastException(ErrorCode.SnapshotMissing, "There is no such file in the snapshot.", "`holdfast ls` and `holdfast find` show what it has; paths are relative to the source's root.");
    }

    /// <summary>Reads chunks of a snapshot from packs of its set first: whoever may store packs can have others that name the same chunks.</summary>
    ChunkReader Reader(SnapshotRecord record, ChunkIndex index, ReadingKeys keys)
    {
        TellEpoch(keys);
        return new(Keeper.Store, index, keys, keys.Domain(record.Object!.Domain)) { Prefer = pack => State.IsIn(record, pack) };
    }

    /// <summary>Before a target is made for it.</summary>
    /// <exception cref="HoldfastException">Why <see cref="Restore"/> would not begin.</exception>
    public void RequireRestorable(SnapshotRecord record, ReadingKeys keys, bool isIsolated = false)
    {
        if (!isIsolated)
            RequireNotSensitive(record);
        _ = Unverified is null ? Checked(record, keys, packs: true) : Describe(record, keys); // what is read unverified is told when it is read
        _ = keys.Domain(record.Object!.Domain);
    }

    /// <param name="record">The snapshot.</param>
    /// <param name="keys">Open it.</param>
    /// <param name="target">Where it goes.</param>
    /// <param name="filter">What of it.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <param name="ct">Stops it.</param>
    /// <param name="below">The filter takes nothing but what is at or below this path, and the folders above: other parts of the tree are not read. Null: anything.</param>
    /// <param name="bringErased">What was erased at the source, by the erasure register, is brought all the same.</param>
    /// <param name="isIsolated">It goes where nobody else can enter, or out of isolation on a recorded word: so what is sensitive is brought too.</param>
    /// <exception cref="HoldfastException"><c>SensitiveSource</c>, and others: docs/errors.md.</exception>
    public RestoreResult Restore(SnapshotRecord record, ReadingKeys keys, ITreeWriter target, PathFilter filter, RestoreProgress progress, int threads, CancellationToken ct, byte[]? below = null, bool bringErased = false, bool isIsolated = false)
    {
        if (!isIsolated)
            RequireNotSensitive(record);
        var tree = Checked(record, keys, packs: true);
        target.SetOwnerNames(tree.Users, tree.Groups);
        var domain = keys.Domain(record.Object!.Domain);
        using var index = OpenIndex(domain, ct);
        using var chunks = Reader(record, index, keys);
        using var register = new ErasureRegister(State, record, keys, bringErased);
        try
        {
            return new Restorer(Keeper.Store, chunks, keys, target, register, progress, threads > 0 ? threads : Environment.ProcessorCount, ct)
                .Run(new TreeReader(chunks, tree.Root, tree.RootLevel, record.Object.Entries) { WithAbove = true }, filter, tree.HasRoot, below);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.IndexDamaged)
        {
            throw Emptied(index, e, "Run the restore again with `--resume`: it goes on with what is not there yet.");
        }
        finally
        {
            NoteFailed(chunks, keys, ct);
        }
    }
}
