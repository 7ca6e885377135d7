using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using Holdfast.Core.Chunking;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

public enum DefectKind : byte
{
    /// <summary>A name that a snapshot needs is nowhere.</summary>
    Missing = 1,

    /// <summary>The bytes do not give the name.</summary>
    Damaged = 2,

    /// <summary>A frame does not open, or a chunk is not what its id says.</summary>
    ContentWrong = 3,

    /// <summary>A file that does not belong in the vault.</summary>
    Foreign = 4,

    /// <summary>It did not answer: nothing is known of its bytes.</summary>
    Unread = 5,
}

/// <param name="Kind">What is wrong.</param>
/// <param name="Store">Pack or object.</param>
/// <param name="Name">Which; for a foreign file the name it bears, none where that is no name.</param>
/// <param name="Copy">Number of the copy, 0 first.</param>
/// <param name="HasGoodCopy">True where another copy of the same name is sound.</param>
/// <param name="Path">Where a foreign file lies.</param>
public sealed record Defect(DefectKind Kind, StoreKind Store, Hash32 Name, int Copy, bool HasGoodCopy, string? Path = null);

/// <summary>What a verify read and found.</summary>
/// <param name="Packs">Copies of packs read.</param>
/// <param name="OpenedPacks">Copies of packs of which every frame was opened and every chunk compared.</param>
/// <param name="ClosedPacks">Copies of packs that the key does not open: their bytes were compared with their names.</param>
/// <param name="AllPacks">Copies of packs there are.</param>
/// <param name="Objects">Copies of objects read.</param>
/// <param name="Bytes">Bytes read.</param>
/// <param name="Chunks">Chunks compared.</param>
/// <param name="Defects">What is wrong.</param>
/// <param name="Found">The same, by name, with what was sound.</param>
public sealed record VerifyResult(long Packs, long OpenedPacks, long ClosedPacks, long AllPacks, long Objects, long Bytes, long Chunks, IReadOnlyList<Defect> Defects, ReadFindings Found)
{
    /// <summary>True where everything that was read can be restored.</summary>
    public bool IsSound => Defects.All(d => d.Kind == DefectKind.Foreign || d.HasGoodCopy);
}

/// <summary>How far a verify is; read from any thread while it runs.</summary>
public sealed class VerifyProgress
{
    long _bytes;

    public long Bytes => Volatile.Read(ref _bytes);
    public long All { get; internal set; }

    internal void Add(long bytes) => Interlocked.Add(ref _bytes, bytes);
}

/// <summary>Reads what is stored: without a key, bytes against names; with the reading keys, each frame and each chunk, in the same pass.</summary>
/// <param name="store">What to read.</param>
/// <param name="keys">Null: names only.</param>
/// <param name="ends">Digests of the ends of packs, by name: where such a pack has them and its frames all open, its bytes give its name, and are not hashed for that.</param>
/// <param name="progress">How far it is.</param>
/// <param name="threads">How many.</param>
/// <param name="ct">Stops it.</param>
sealed class Verifier(IStore store, ReadingKeys? keys, IReadOnlyDictionary<Hash32, Id16> ends, VerifyProgress progress, int threads, CancellationToken ct)
{
    const int BufferSize = 4 << 20; // bytes
    const int MaxOrdered = 512; // files: of more, the last ones do not matter

    readonly ConcurrentBag<Defect> _defects = [];
    readonly ConcurrentBag<Hash32> _good = [];
    readonly ConcurrentBag<Hash32> _opened = [];
    readonly ConcurrentBag<(StoreKind, Hash32)> _vanished = []; // listed, and not there when their turn came
    ExceptionDispatchInfo? _fault;
    long _bytes;
    long _packs;
    long _closed;
    long _allPacks;
    long _objects;
    long _chunks;

    /// <param name="needed">Gives the packs and objects that the log says must be there at that moment.</param>
    /// <param name="choose">Which packs to read; null for all.</param>
    /// <param name="note">Gets what was found, also where the run was interrupted or failed: what has been seen is not lost with it.</param>
    public VerifyResult Run(Func<HashSet<(StoreKind Kind, Hash32 Name)>> needed, Func<Hash32, bool>? choose, Action<ReadFindings> note)
    {
        var before = needed();
        var all = store.List(StoreKind.Pack).Concat(store.List(StoreKind.Object)).ToList();
        _allPacks = all.Count(a => a is { Kind: StoreKind.Pack, Name.IsNone: false });
        foreach (var foreign in all.Where(a => a.Name.IsNone))
            _defects.Add(new Defect(DefectKind.Foreign, foreign.Kind, Hash32.None, 0, false, foreign.Path));
        var present = all.Where(a => !a.Name.IsNone).Select(a => (a.Kind, a.Name)).ToHashSet();
        Miss([.. before.Where(n => !present.Contains(n))]);

        // The store numbers the copies of a name as they come, over all folders, whatever number their files bear.
        var chosen = all.Where(a => !a.Name.IsNone && (a.Kind == StoreKind.Object || choose is null || choose(a.Name)))
            .GroupBy(a => (a.Kind, a.Name)).OrderByDescending(g => g.Key.Kind == StoreKind.Pack).ThenBy(g => g.Key.Name).ToList();
        var items = chosen.SelectMany(g => g.OrderBy(a => a.Copy).Take(StoreExtensions.MaxCopies).Select((a, number) => a with { Copy = number })).ToList();
        var queue = new ConcurrentQueue<StoredName>(keys is not null && items.Count <= MaxOrdered ? items.OrderByDescending(Cost) : items);
        progress.All = queue.Sum(q => Math.Min(q.Size, StoreExtensions.MaxObject));
        Workers.Run(threads, "holdfast verify", () => Work(queue), Stop);
        Miss([.. _vanished.Distinct()]);
        var result = Result();
        var isWhole = _fault is null && !ct.IsCancellationRequested;
        var several = isWhole ? [] : chosen.Where(g => g.Skip(1).Any()).Select(g => g.Key.Name).ToHashSet(); // whose other copies may not have been read
        note(isWhole ? result.Found : result.Found with { Damaged = [.. result.Found.Damaged.Where(n => !several.Contains(n))], ContentWrong = [.. result.Found.ContentWrong.Where(n => !several.Contains(n))] });
        _fault?.Throw();
        ct.ThrowIfCancellationRequested();
        return result;

        // An expiry may have come meanwhile, or a folder of the vault may have moved.
        void Miss(List<(StoreKind Kind, Hash32 Name)> names)
        {
            if (names.Count == 0)
                return;
            var still = StillNeeded();
            foreach (var (kind, name) in names.Where(n => still.Contains(n) && !IsThere(n.Kind, n.Name)))
                _defects.Add(new Defect(DefectKind.Missing, kind, name, 0, false));
        }

        HashSet<(StoreKind, Hash32)> StillNeeded()
        {
            try
            {
                return needed();
            }
            catch (HoldfastException)
            {
                return before; // what was found is told whatever the log has come to
            }
        }
    }

    bool IsThere(StoreKind kind, Hash32 name)
    {
        try
        {
            using var copy = store.Open(kind, name);
            return copy is not null;
        }
        catch (HoldfastException)
        {
            return false;
        }
    }

    /// <summary>Reads one pack, its bytes and its frames. Of several copies the best counts.</summary>
    /// <returns>What is wrong with it; null where nothing is, or where the keys do not open it.</returns>
    public (DefectKind? Fault, bool IsOpened) CheckOne(Hash32 pack)
    {
        var buffer = new byte[BufferSize];
        using var frames = new FrameBuffer();
        DefectKind? worst = DefectKind.Missing;
        for (var number = 0; number < StoreExtensions.MaxCopies; number++)
        {
            using (var copy = store.Open(StoreKind.Pack, pack, number))
            {
                if (copy is null)
                    break;
            }
            var fault = Check(new StoredName(StoreKind.Pack, pack, number, 0), buffer, frames);
            if (!_opened.IsEmpty)
                return (null, true);
            if (number == 0 || fault is null || (worst is not null && fault != DefectKind.Damaged)) // bytes that give the name say more than those that do not
                worst = fault;
        }
        return (worst, false);
    }

    VerifyResult Result()
    {
        var good = _good.ToHashSet();
        var unread = _defects.Where(d => d.Kind == DefectKind.Unread).Select(d => d.Name).ToHashSet(); // a copy of them may be sound
        var defects = _defects.Select(d => d with { HasGoodCopy = good.Contains(d.Name) }).OrderBy(d => d.Name).ToList();
        return new VerifyResult(_packs, _opened.Count, _closed, _allPacks, _objects, _bytes, _chunks, defects,
            new ReadFindings { Sound = good, Opened = _opened.ToHashSet(), Damaged = Names(DefectKind.Damaged), ContentWrong = Names(DefectKind.ContentWrong), Missing = Names(DefectKind.Missing) });

        HashSet<Hash32> Names(DefectKind kind) => [.. defects.Where(d => d.Kind == kind && !d.HasGoodCopy && !unread.Contains(d.Name)).Select(d => d.Name)];
    }

    /// <summary>Bytes to hash and to unpack. What compresses well takes many times as long as what does not: it goes first, so that the threads end together.</summary>
    long Cost(StoredName item)
    {
        if (item.Kind != StoreKind.Pack)
            return item.Size;
        try
        {
            using var copy = store.Open(item.Kind, item.Name, item.Copy);
            if (copy is null)
                return item.Size;
            using var one = new SingleCopy(copy);
            using var pack = PackReader.Open(one, item.Name, keys!);
            return item.Size + pack.Footer.ChunkLengths.Sum(l => (long)l);
        }
        catch (HoldfastException)
        {
            return item.Size; // its turn comes, and says what is wrong with it
        }
    }

    void Work(ConcurrentQueue<StoredName> queue)
    {
        try
        {
            var buffer = new byte[BufferSize];
            using var frames = new FrameBuffer();
            while (_fault is null && !ct.IsCancellationRequested && queue.TryDequeue(out var item))
            {
                if (Check(item, buffer, frames) is { } kind)
                    _defects.Add(new Defect(kind, item.Kind, item.Name, item.Copy, false));
            }
        }
        catch (Exception e)
        {
            Stop(e);
        }
    }

    void Stop(Exception fault) => Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(fault), null);

    DefectKind? Check(StoredName item, byte[] buffer, FrameBuffer frames)
    {
        try
        {
            return CheckOnce(item, buffer, frames);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.StoreUnavailable or ErrorCode.SystemLimit)
        {
            // For a moment, it may be: a share is away, or no more files may be open just now.
        }
        try
        {
            return CheckOnce(item, buffer, frames);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.StoreUnavailable)
        {
            return Answers(item) ? DefectKind.Damaged : DefectKind.Unread;
        }
    }

    /// <summary>True where a file gives its ends: then the disk is there, and what it does not give of the middle is lost. Of a disk that gives nothing, nothing is known.</summary>
    bool Answers(StoredName item)
    {
        try
        {
            using var copy = store.Open(item.Kind, item.Name, item.Copy);
            if (copy is null || copy.Size == 0)
                return copy is not null;
            copy.Forget(); // memory answers for a disk that is gone
            Span<byte> end = stackalloc byte[1];
            copy.Read(0, end);
            copy.Read(copy.Size - 1, end);
            return true;
        }
        catch (HoldfastException)
        {
            return false;
        }
    }

    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>, <c>SystemLimit</c>.</exception>
    DefectKind? CheckOnce(StoredName item, byte[] buffer, FrameBuffer frames)
    {
        try
        {
            // Copies of one name are told apart by their order in the store.
            using var copy = store.Open(item.Kind, item.Name, item.Copy);
            if (copy is null)
            {
                _vanished.Add((item.Kind, item.Name));
                return null;
            }
            var fault = IsTooLong(item, copy) ? DefectKind.Damaged : item.Kind == StoreKind.Pack && keys is not null ? CheckPack(item.Name, copy, buffer, frames) : CheckName(item.Name, copy, buffer);
            Interlocked.Add(ref item.Kind == StoreKind.Pack ? ref _packs : ref _objects, 1);
            if (fault is null)
                _good.Add(item.Name);
            return fault;
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.PackDamaged or ErrorCode.Truncated or ErrorCode.FormatNewer)
        {
            Interlocked.Add(ref item.Kind == StoreKind.Pack ? ref _packs : ref _objects, 1);
            return DefectKind.Damaged;
        }
    }

    DefectKind? CheckPack(Hash32 name, IStoredItem copy, byte[] buffer, FrameBuffer frames)
    {
        using var one = new SingleCopy(copy);
        try
        {
            using var pack = PackReader.Open(one, name, keys!);
            if (pack.IsReadable)
                return CheckContent(pack, copy, buffer, frames);
            if (pack.IsSealedToNone)
                return CheckName(name, copy, buffer) ?? DefectKind.ContentWrong;
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.KeyTooNarrow)
        {
            // Of a domain or class this key does not open: its name is checked all the same.
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.FormatNewer)
        {
            // What is in it a later version knows.
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.PackDamaged)
        {
            return CheckName(name, copy, buffer) ?? DefectKind.ContentWrong; // as it was written
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.WrongVault)
        {
            return CheckName(name, copy, buffer) ?? DefectKind.Foreign; // a sound pack, in the wrong vault
        }
        Interlocked.Increment(ref _closed);
        return CheckName(name, copy, buffer);
    }

    /// <summary>A file longer than any pack or object is none, and is not read: it may have no end.</summary>
    static bool IsTooLong(StoredName item, IStoredItem copy) => copy.Size > (item.Kind == StoreKind.Pack ? PackFormat.MaxSize : StoreExtensions.MaxObject);

    DefectKind? CheckName(Hash32 name, IStoredItem copy, byte[] buffer) => NameIsRight(name, copy, buffer) ? null : DefectKind.Damaged;

    bool NameIsRight(Hash32 name, IStoredItem copy, byte[] buffer)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Hash(sha, copy, 0, copy.Size, buffer);
        return new Hash32(sha.GetHashAndReset()) == name;
    }

    void Hash(IncrementalHash sha, IStoredItem copy, long from, long to, byte[] buffer)
    {
        for (var at = from; at < to;)
        {
            ct.ThrowIfCancellationRequested();
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, to - at));
            copy.Read(at, part);
            sha.AppendData(part);
            at += part.Length;
            Count(part.Length);
        }
    }

    DefectKind? CheckContent(PackReader pack, IStoredItem copy, byte[] buffer, FrameBuffer frames)
    {
        var footer = pack.Footer;
        var domain = keys!.Domain(pack.Header.Seal.Domain);
        var isNamed = domain.HasGeneration(pack.Header.Generation); // else no key gives these ids
        var wrong = !isNamed;
        using var sha = HasItsEnds(pack, copy) ? null : IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        frames.KeepsStored = sha is not null;
        if (sha is not null)
            Hash(sha, copy, 0, PackFormat.HeaderSize, buffer);
        for (var frame = 0; frame < footer.Frames; frame++)
        {
            ct.ThrowIfCancellationRequested();
            ReadOnlySpan<byte> payload;
            try
            {
                payload = pack.ReadFrame(frame, frames);
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.PackDamaged)
            {
                if (CheckName(pack.Name, copy, buffer) is { } damage)
                    return damage;
                if (keys.OpensAllLike(pack.Header.Seal))
                    return DefectKind.ContentWrong; // as it was written, which no other copy mends
                Interlocked.Increment(ref _closed); // a cut key goes by the salt, and a second pack may have that
                return null;
            }
            sha?.AppendData(frames.LastStored);
            Count(footer.StoredLength(frame));
            var start = 0;
            for (var chunk = footer.FirstChunks[frame]; isNamed && chunk < footer.FirstChunks[frame + 1]; chunk++)
            {
                var digest = ChunkRef.DigestOf(payload.Slice(start, footer.ChunkLengths[chunk]), footer.Kinds[frame]);
                wrong |= domain.ChunkId(pack.Header.Seal.Class, digest, pack.Header.Generation, footer.Kinds[frame]) != footer.Ids[chunk];
                start += footer.ChunkLengths[chunk];
            }
        }
        Interlocked.Add(ref _chunks, footer.Chunks);
        if (sha is not null)
        {
            Hash(sha, copy, footer.FrameStarts[footer.Frames], copy.Size, buffer);
            if (new Hash32(sha.GetHashAndReset()) != pack.Name)
                return DefectKind.Damaged;
        }
        if (wrong)
            return DefectKind.ContentWrong;
        _opened.Add(pack.Name);
        return null;
    }

    bool HasItsEnds(PackReader pack, IStoredItem copy)
    {
        if (!ends.TryGetValue(pack.Name, out var known))
            return false;
        var header = new byte[PackFormat.HeaderSize];
        var tail = new byte[copy.Size - pack.Footer.FrameStarts[pack.Footer.Frames]];
        copy.Read(0, header);
        copy.Read(copy.Size - tail.Length, tail);
        if (PackEnds.Digest(header, tail) != known)
            return false;
        Count(header.Length + tail.Length);
        return true;
    }

    void Count(long bytes)
    {
        Interlocked.Add(ref _bytes, bytes);
        progress.Add(bytes);
    }

    /// <summary>Shows one copy as if it were the only one, so that a damaged one is not read from its sound neighbour.</summary>
    sealed class SingleCopy(IStoredItem copy) : IStore, IDisposable
    {
        public IStoredItem? Open(StoreKind kind, Hash32 name, int number) => number == 0 ? new Borrowed(copy) : null;
        public IStaged Stage(bool large) => throw new NotSupportedException();
        public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => throw new NotSupportedException();
        public IEnumerable<StoredName> List(StoreKind kind) => [];

        public void Dispose()
        {
            // The copy is the caller's.
        }
    }

    sealed class Borrowed(IStoredItem item) : IStoredItem
    {
        public long Size => item.Size;
        public void Read(long offset, Span<byte> destination) => item.Read(offset, destination);

        public void Dispose()
        {
            // The item is the caller's.
        }
    }
}
