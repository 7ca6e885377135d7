using Holdfast.Core.Keys;
using Holdfast.Core.Restore;

namespace Holdfast.Core;

/// <summary>The note of what was read, and what was found of it.</summary>
public sealed partial class Vault
{
    static readonly TimeSpan NotePatience = TimeSpan.FromSeconds(5); // who reads does not wait for who writes the log

    readonly HashSet<Hash32> _noted = []; // packs: `find` comes to the same ones in each snapshot

    string ReadsPath => Path.Combine(Keeper.Folder, "keeper", "reads");

    /// <summary>When each pack was last read whole and found right, and which were found damaged.</summary>
    public ReadTimes LastReads() => ReadTimes.Load(ReadsPath);

    /// <summary>Told where what was found damaged could not be noted: then no status tells of it, and the next backup builds on it.</summary>
    public Action<HoldfastException>? NotNoted { get; set; }

    void Note(ReadFindings found) => Tell(found, ReadTimes.Update(ReadsPath, found, Keeper.Clock.Now));

    void Tell(ReadFindings found, HoldfastException? fault)
    {
        if (fault is null || _hasTold || found.Damaged.Concat(found.ContentWrong).All(LastReads().Damaged.ContainsKey))
            return;
        _hasTold = true; // once: a reading of many snapshots comes to the same packs
        NotNoted?.Invoke(fault);
    }

    bool _hasTold;

    /// <summary>However a reading ended, status tells from now on of packs that it found damaged, and the next backup does not build on them. Where that cannot be noted, the reading counts all the same.</summary>
    void NoteFailed(ChunkReader chunks, ReadingKeys keys, CancellationToken ct)
    {
        if (chunks.Failed.Count > 0)
            TryNote(() => FailedPacks.Judge(chunks, Keeper.Store, keys, _noted, ct), ct);
    }

    /// <summary>The same of packs that a snapshot needs and whose footers are damaged: an index that was made without them does not lead to them.</summary>
    void NoteFooters(IEnumerable<Hash32> packs, DomainKeys domain, CancellationToken ct)
    {
        List<Hash32> damaged = [.. packs.Where(p => !_noted.Contains(p))];
        if (damaged.Count == 0)
            return;
        var (named, known) = (State.NamedPacks().Packs, LastReads().Damaged);
        damaged.RemoveAll(p => !named.ContainsKey(p) || known.ContainsKey(p));
        if (damaged.Count > 0)
            TryNote(() => FailedPacks.JudgeFooters(damaged, Keeper.Store, Id, domain, ct), ct);
    }

    void TryNote(Func<ReadFindings> judge, CancellationToken ct)
    {
        try
        {
            var found = judge();
            List<Hash32> names = [.. found.Damaged, .. found.ContentWrong, .. found.Missing];
            if (names.Count == 0)
                return;
            _noted.UnionWith(names); // or could not be: they are not read whole again for that
            Tell(found, ReadTimes.TryUpdate(ReadsPath, found, Keeper.Clock.Now, NotePatience, ct));
        }
        catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
        {
            // Such as a clock's file that this user may not read, or that its disk does not give.
        }
    }
}
