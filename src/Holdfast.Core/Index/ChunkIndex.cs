using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Index;

/// <summary>Where a chunk lies: the pack by the number this index gives it, and the number of the chunk in the pack.</summary>
public readonly record struct ChunkPlace(int Pack, uint Number);

/// <summary>Finds chunks of one domain by id. A cache in a folder of its own: sorted runs under a memory ceiling, rebuilt from pack footers with the
/// index key alone. Safe for concurrent reading; one process writes at a time.</summary>
public sealed class ChunkIndex : IDisposable
{
    public const long DefaultCeiling = 256L << 20; // bytes
    const int Slots = 64;
    const int MergeFrom = 8; // runs in use
    const int MergeFromAtOnce = Slots - 8; // while very many are added: each is then merged once, not many times
    const int GroupChunks = 1 << 19; // 16 MiB of ids, and as much again while they become a run
    const int MaxReaders = 8; // of footers at once: each may be 64 MiB, and as much again opened

    readonly string _folder;
    readonly Id16 _vault;
    readonly DomainKeys _domain;
    readonly long _ceiling;
    readonly bool _checksAll;
    readonly Lock _lock = new();
    readonly List<IndexedPack> _packs = [];
    readonly Dictionary<Hash32, int> _packNumbers = [];
    readonly HashSet<Hash32> _gone = [];
    Dictionary<Hash32, Lazy<bool>>? _doubted; // and whether they are whole; set before anybody looks for a chunk
    volatile LoadedRun[] _runs = [];
    bool _isFilling; // very many are being added: their blocks stay on disk meanwhile

    ChunkIndex(string folder, Id16 vault, DomainKeys domain, long ceiling, bool checksAll)
    {
        _checksAll = checksAll;
        _folder = folder;
        _vault = vault;
        _domain = domain;
        _ceiling = ceiling;
    }

    sealed record LoadedRun(int Slot, IndexRun Run, int[] Packs);

    public Id16 Domain => _domain.Domain;

    /// <summary>Packs whose footer could not be read, though the disk may give it the next time: their chunks count as not there.</summary>
    public int Unread { get; internal set; }

    /// <summary>Where its runs lie.</summary>
    public string Folder => _folder;
    public long ResidentBytes => _runs.Sum(r => r.Run.ResidentBytes);
    public long Chunks => _runs.Sum(r => r.Run.Count);

    /// <summary>Opens what runs there are. A damaged run is left out: the packs it named are then missing, and <see cref="AddMissing"/> brings them back.</summary>
    /// <param name="folder">Folder of this domain's runs; made where it is missing.</param>
    /// <param name="vault">Vault id.</param>
    /// <param name="domain">Keys of the domain.</param>
    /// <param name="ceiling">Bytes of memory for filters, fences and blocks.</param>
    /// <param name="checksAll">Leaves out a run that has one damaged block anywhere; otherwise one above the ceiling is met when it is asked for.</param>
    public static ChunkIndex Open(string folder, Id16 vault, DomainKeys domain, long ceiling = DefaultCeiling, bool checksAll = false)
    {
        var index = new ChunkIndex(folder, vault, domain, ceiling, checksAll);
        index.Load();
        return index;
    }

    /// <summary>Digests of the ends of those packs whose writer told it, by name; without what else the runs hold in memory.</summary>
    public static Dictionary<Hash32, Id16> Ends(string folder, Id16 vault, DomainKeys domain)
    {
        var ends = new Dictionary<Hash32, Id16>();
        for (var slot = 0; slot < Slots; slot++)
        {
            foreach (var pack in IndexRun.TryReadPacks(Path.Combine(folder, $"run-{slot:d2}"), vault, domain) ?? [])
            {
                if (!pack.Ends.IsNone)
                    ends[pack.Name] = pack.Ends;
            }
        }
        return ends;
    }

    /// <summary>Empties the runs of a folder.</summary>
    public static void Empty(string folder)
    {
        for (var slot = 0; slot < Slots; slot++)
        {
            var path = Path.Combine(folder, $"run-{slot:d2}");
            if (File.Exists(path))
                CacheFile.Empty(path);
        }
    }

    public IndexedPack Pack(int number)
    {
        lock (_lock)
            return _packs[number];
    }

    /// <summary>Packs the runs name and that have not been dropped.</summary>
    public List<IndexedPack> Packs()
    {
        lock (_lock)
            return [.. _packs.Where(p => !_gone.Contains(p.Name))];
    }

    /// <summary>Numbers of those of the packs that the runs name.</summary>
    public List<int> NumbersOf(IEnumerable<Hash32> packs)
    {
        lock (_lock)
            return [.. packs.Where(_packNumbers.ContainsKey).Select(p => _packNumbers[p])];
    }

    /// <summary>Class of a pack that the runs name; null of any other.</summary>
    public KeyClass? ClassOf(Hash32 pack)
    {
        lock (_lock)
            return _packNumbers.TryGetValue(pack, out var number) ? _packs[number].Class : null;
    }

    public bool Knows(Hash32 pack)
    {
        lock (_lock)
            return _packNumbers.ContainsKey(pack) && !_gone.Contains(pack);
    }

    /// <summary>Packs that are no longer in the vault, or not to be believed: their chunks count as not there.</summary>
    public void Drop(IEnumerable<Hash32> packs)
    {
        lock (_lock)
            _gone.UnionWith(packs);
    }

    /// <summary>Packs that are looked at when the first of their chunks is found, once: those that are not whole count as not there.</summary>
    /// <param name="packs">Their names.</param>
    /// <param name="isWhole">From any thread.</param>
    public void Doubt(IEnumerable<Hash32> packs, Func<Hash32, bool> isWhole) => _doubted = packs.ToDictionary(p => p, p => new Lazy<bool>(() => isWhole(p)));

    bool IsOut(ChunkPlace place)
    {
        if (_gone.Count == 0 && _doubted is not { Count: > 0 })
            return false;
        var name = Pack(place.Pack).Name;
        return _gone.Contains(name) || (_doubted?.TryGetValue(name, out var whole) == true && !whole.Value);
    }

    /// <summary>Finds a chunk by its id; newest runs first, dropped packs passed over.</summary>
    public bool TryFind(Hash32 id, out ChunkPlace place) => TryFind(id.Prefix, out place);

    /// <summary>The same by the first half of the id: what is read there is checked against its digest anyway.</summary>
    public bool TryFind(UInt128 prefix, out ChunkPlace place)
    {
        foreach (var run in _runs)
        {
            if (!run.Run.TryFind(prefix, out var pack, out var number))
                continue;
            place = new ChunkPlace(run.Packs[pack], number);
            if (!IsOut(place))
                return true;
            foreach (var other in PlacesIn(run, prefix))
            {
                place = other;
                if (!IsOut(place))
                    return true;
            }
        }
        place = default;
        return false;
    }

    /// <summary>The same in those packs alone whose numbers are meant.</summary>
    public bool TryFind(UInt128 prefix, Func<int, bool> isMeant, out ChunkPlace place)
    {
        foreach (var other in _runs.SelectMany(r => PlacesIn(r, prefix)))
        {
            if (!isMeant(other.Pack) || IsOut(other))
                continue;
            place = other;
            return true;
        }
        place = default;
        return false;
    }

    /// <summary>All places of a chunk, for when the first is damaged; those in dropped packs come last.</summary>
    public List<ChunkPlace> FindAll(Hash32 id) =>
        [.. _runs.SelectMany(r => PlacesIn(r, id.Prefix)).OrderBy(p => _gone.Count > 0 && _gone.Contains(Pack(p.Pack).Name))];

    static List<ChunkPlace> PlacesIn(LoadedRun run, UInt128 prefix)
    {
        var found = new List<(uint Pack, uint Number)>();
        run.Run.FindAll(prefix, found);
        return [.. found.Select(f => new ChunkPlace(run.Packs[f.Pack], f.Number))];
    }

    /// <summary>Writes a run for packs not yet named by any, and merges runs where there are many.</summary>
    /// <param name="packs">Packs, and ids in pack order.</param>
    public void Add(IReadOnlyList<(IndexedPack Pack, Hash32[] Ids)> packs) => Add(packs, MergeFrom);

    void Add(IReadOnlyList<(IndexedPack Pack, Hash32[] Ids)> packs, int mergeFrom)
    {
        if (packs.Count == 0)
            return;
        using var writing = LockFolder();
        Load();
        var fresh = packs.Where(p => !_packNumbers.ContainsKey(p.Pack.Name)).ToList();
        if (fresh.Count > 0)
        {
            var entries = new IndexEntry[fresh.Sum(p => p.Ids.Length)];
            var at = 0;
            for (var p = 0; p < fresh.Count; p++)
            {
                for (var i = 0; i < fresh[p].Ids.Length; i++)
                    entries[at++] = new IndexEntry(fresh[p].Ids[i].Prefix, (uint)p, (uint)i);
            }
            Array.Sort(entries);
            var count = OncePerPack(entries);
            Write(FreeSlot(), [.. fresh.Select(p => p.Pack)], count, new ArraySegment<IndexEntry>(entries, 0, count));
            Load();
        }
        if (_runs.Length >= mergeFrom)
            Merge();
    }

    /// <summary>Leaves of what one pack names by one id half the first. No sound writer repeats an id; a pack may name one a million times, and each look-up would go through them all.</summary>
    /// <returns>How many are left, at the beginning.</returns>
    static int OncePerPack(Span<IndexEntry> entries)
    {
        var count = 0;
        foreach (var entry in entries)
        {
            if (count == 0 || entries[count - 1].Id != entry.Id || entries[count - 1].Pack != entry.Pack)
                entries[count++] = entry;
        }
        return count;
    }

    /// <summary>Reads the footers of packs no run names, in parallel, and adds them: after a crash, a lost cache, or another writer's work. Memory does not grow with their number.</summary>
    /// <param name="store">Where the packs are.</param>
    /// <param name="packs">Packs that may be missing.</param>
    /// <param name="progress">Footers read so far, of how many.</param>
    /// <param name="ct">Stops between packs.</param>
    /// <param name="groupChunks">Ids held in memory, and one footer's more for each that is being read, before they become a run.</param>
    /// <returns>Packs whose footer could not be read, with the reason.</returns>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>: what was not read is there, for a process that may open more.</exception>
    public List<(Hash32 Pack, HoldfastException Fault)> AddMissing(IStore store, IEnumerable<Hash32> packs, IProgress<(int Done, int All)>? progress, CancellationToken ct, int groupChunks = GroupChunks)
    {
        var missing = packs.Where(p => !Knows(p)).Distinct().ToList();
        var faults = new List<(Hash32 Pack, HoldfastException Fault)>();
        var read = new List<(IndexedPack, Hash32[])>();
        var (done, next, chunks) = (0, 0, 0L);
        var writing = Task.CompletedTask; // the last group becomes a run while the next is read
        try
        {
            var readers = Math.Min(2 * Environment.ProcessorCount, MaxReaders);
            while (next < missing.Count)
            {
                // Each reader ends where the group is full: no more is in flight than one footer each.
                Parallel.For(0, readers, new ParallelOptions { CancellationToken = ct, MaxDegreeOfParallelism = readers }, _ =>
                {
                    while (Volatile.Read(ref chunks) < groupChunks && !ct.IsCancellationRequested && Interlocked.Increment(ref next) is var taken && taken <= missing.Count)
                        ReadFooter(missing[taken - 1]);
                });
                ct.ThrowIfCancellationRequested();
                if (chunks < groupChunks)
                    continue;
                writing.GetAwaiter().GetResult();
                var group = read;
                (read, chunks, _isFilling) = ([], 0, true);
                writing = Task.Run(() => Add(group, MergeFromAtOnce), CancellationToken.None);
            }
        }
        finally
        {
            writing.GetAwaiter().GetResult();
        }
        Add(read);
        if (_isFilling)
            EndFilling();
        return faults.Find(f => f.Fault.Code == ErrorCode.SystemLimit).Fault is { } limit ? throw limit : faults;

        void ReadFooter(Hash32 name)
        {
            try
            {
                using var pack = PackReader.OpenFooter(store, name, _vault, _domain);
                lock (faults)
                {
                    read.Add((new IndexedPack(name, pack.Header.Seal.Class, Id16.None), pack.Footer.Ids));
                    chunks += pack.Footer.Ids.Length;
                }
            }
            catch (HoldfastException e) when (e.Code is not ErrorCode.KeyTooNarrow)
            {
                lock (faults)
                    faults.Add((name, e));
            }
            catch (HoldfastException)
            {
                // Of another domain: its own index names it.
            }
            progress?.Report((Interlocked.Increment(ref done), missing.Count));
        }
    }

    void EndFilling()
    {
        using var writing = LockFolder();
        Load();
        if (_runs.Length >= MergeFrom)
            Merge();
        (_isFilling, _runs) = (false, []);
        Load();
    }

    string SlotPath(int slot) => Path.Combine(_folder, $"run-{slot:d2}");

    int FreeSlot()
    {
        var used = _runs.Select(r => r.Slot).ToHashSet();
        return Enumerable.Range(0, Slots).First(s => !used.Contains(s));
    }

    void Load()
    {
        lock (_lock)
        {
            var before = _runs.ToDictionary(r => r.Slot);
            var resident = _ceiling;
            var runs = new List<LoadedRun>();
            for (var slot = 0; slot < Slots; slot++)
            {
                if (before.Remove(slot, out var same) && same.Run.IsStill(SlotPath(slot)))
                {
                    resident -= same.Run.ResidentBytes;
                    runs.Add(same);
                    continue;
                }
                // One whose file was replaced is let go, not closed: others may be reading it, and the last of them closes it.
                if (IndexRun.TryOpen(SlotPath(slot), _vault, _domain, _isFilling ? 0 : resident / 2, _checksAll) is not { } run)
                    continue;
                if (run.Generation != _domain.Generation)
                {
                    run.Dispose();
                    continue;
                }
                resident -= run.ResidentBytes;
                runs.Add(new LoadedRun(slot, run, [.. run.Packs.Select(Number)]));
            }
            _runs = [.. runs.OrderByDescending(r => r.Run.Count)]; // most chunks are in the largest
        }
    }

    int Number(IndexedPack pack)
    {
        if (!_packNumbers.TryGetValue(pack.Name, out var number))
        {
            number = _packs.Count;
            _packs.Add(pack);
            _packNumbers.Add(pack.Name, number);
        }
        return number;
    }

    /// <summary>Merges the smaller runs until each is at most half of the next: a chunk is rewritten a logarithmic number of times.</summary>
    void Merge()
    {
        var ascending = _runs.Reverse().ToList();
        var take = 2;
        var total = ascending[0].Run.Count + ascending[1].Run.Count;
        while (take < ascending.Count && ascending[take].Run.Count < 2 * total)
            total += ascending[take++].Run.Count;
        var merged = ascending.Take(take).ToList();
        // A pack that was dropped goes; one that two runs name (a crash came between writing a merged run and emptying its parts) is taken from the first: so the
        // numbers that a run's packs get ascend as they did, and its entries with them.
        var packs = new List<IndexedPack>();
        var named = new HashSet<Hash32>();
        var parts = merged.Select(r => (r.Run, Numbers: Array.ConvertAll(r.Run.Packs, Take))).ToList();
        var differs = packs.Count != merged.Sum(r => r.Run.Packs.Length);
        var count = differs ? RunMerge.Entries(parts).LongCount() : merged.Sum(r => r.Run.Count);
        Write(FreeSlot(), packs, count, RunMerge.Entries(parts));
        foreach (var run in merged)
            CacheFile.Empty(SlotPath(run.Slot));
        Load();

        uint? Take(IndexedPack pack)
        {
            if (_gone.Contains(pack.Name) || !named.Add(pack.Name))
                return null;
            packs.Add(pack);
            return (uint)packs.Count - 1;
        }
    }

    void Write(int slot, IReadOnlyList<IndexedPack> packs, long count, IEnumerable<IndexEntry> entries) =>
        CacheFile.Replace(SlotPath(slot), file =>
        {
            using var writer = new IndexRunWriter(file, _vault, _domain, packs, count);
            foreach (var entry in entries)
                writer.Add(entry);
            writer.Finish();
        });

    SafeFileHandle LockFolder()
    {
        FolderOwner.MakeFolder(_folder, Disk.PrivateFolder);
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                return PlainFile.Take(Path.Combine(_folder, "lock"));
            }
            catch (IOException e) when (PlainFile.IsTaken(e) && attempt < 6_000)
            {
                Thread.Yield();
                Task.Delay(10).Wait();
            }
        }
    }

    public void Dispose()
    {
        foreach (var run in _runs)
            run.Run.Dispose();
        _runs = [];
    }
}
