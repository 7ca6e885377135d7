using System.Buffers.Binary;
using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Index;

/// <summary>One sorted run on disk. Its filter and fences are in memory; its blocks too where it is small, else they are read one at a time.</summary>
/// <remarks>Safe for concurrent use. A block whose tag does not hold is an <c>IndexDamaged</c> fault: the index is then rebuilt from footers.</remarks>
public sealed class IndexRun : IDisposable
{
    readonly SafeFileHandle _file;
    readonly RunSeal _seal;
    readonly byte[] _filter;
    readonly ulong[] _fences;
    readonly byte[]? _blocks;
    readonly long _blocksAt;
    readonly (long Length, DateTime Written) _version;

    IndexRun(SafeFileHandle file, Head head, byte[]? blocks)
    {
        _file = file;
        _seal = head.Seal;
        Generation = head.Generation;
        Packs = head.Packs;
        Count = head.Count;
        _filter = head.Filter;
        _fences = head.Fences;
        _blocks = blocks;
        _blocksAt = head.BlocksAt;
        _version = (RandomAccess.GetLength(file), File.GetLastWriteTimeUtc(file));
    }

    /// <summary>True where the path still holds the file this run was opened from.</summary>
    public bool IsStill(string path) => File.Exists(path) && (new FileInfo(path).Length, File.GetLastWriteTimeUtc(path)) == _version;

    public uint Generation { get; }
    public IndexedPack[] Packs { get; }

    /// <summary>Entries.</summary>
    public long Count { get; }

    /// <summary>Bytes this run keeps in memory.</summary>
    public long ResidentBytes => _filter.Length + _fences.Length * 8L + (_blocks?.Length ?? 0) + Packs.Length * (long)IndexFormat.PackRecord;

    /// <summary>Opens a run file; null where it is damaged, forged, of another vault or domain, or of another format: then it is rebuilt.</summary>
    /// <param name="path">The file.</param>
    /// <param name="vault">Vault id it must be of.</param>
    /// <param name="domain">Keys of the domain it must be of.</param>
    /// <param name="residentLimit">Bytes of blocks that may be kept in memory.</param>
    /// <param name="checksAll">Looks at blocks that are not kept in memory too.</param>
    public static IndexRun? TryOpen(string path, Id16 vault, DomainKeys domain, long residentLimit, bool checksAll = false)
    {
        if (Open(path) is not { } file)
            return null;
        try
        {
            if (Head.TryRead(file, vault, domain) is { } head)
            {
                if (TryReadBlocks(file, head, residentLimit, checksAll, out var blocks))
                    return new IndexRun(file, head, blocks);
                head.Seal.Dispose();
            }
        }
        catch (IOException)
        {
        }
        file.Dispose();
        return null;
    }

    /// <summary>The packs a run names, by the same rules; little else of it is in memory meanwhile.</summary>
    public static IndexedPack[]? TryReadPacks(string path, Id16 vault, DomainKeys domain)
    {
        if (Open(path) is not { } file)
            return null;
        using (file)
        {
            try
            {
                if (Head.TryRead(file, vault, domain, packsOnly: true) is not { } head)
                    return null;
                head.Seal.Dispose();
                return head.Packs;
            }
            catch (IOException)
            {
                return null;
            }
        }
    }

    static SafeFileHandle? Open(string path) => PlainFile.IsOne(path) ? PlainFile.Open(path) : null;

    static bool TryReadBlocks(SafeFileHandle file, Head head, long residentLimit, bool checksAll, out byte[]? blocks)
    {
        blocks = null;
        var length = (long)head.Fences.Length * IndexFormat.BlockSize;
        if (length > residentLimit)
            return !checksAll || AreSound(file, head);
        blocks = new byte[length];
        if (RandomAccess.Read(file, blocks, head.BlocksAt) != blocks.Length)
            return false;
        for (var i = 0; i < head.Fences.Length; i++)
        {
            if (!head.Seal.IsSound(blocks.AsSpan(i * IndexFormat.BlockSize, IndexFormat.BlockSize), i))
                return false;
        }
        return true;
    }

    static bool AreSound(SafeFileHandle file, Head head)
    {
        const int atOnce = 256; // blocks
        var buffer = new byte[Math.Min(atOnce, head.Fences.Length) * IndexFormat.BlockSize];
        for (var i = 0; i < head.Fences.Length; i++)
        {
            if (i % atOnce == 0)
            {
                var part = buffer.AsSpan(0, Math.Min(atOnce, head.Fences.Length - i) * IndexFormat.BlockSize);
                if (RandomAccess.Read(file, part, head.BlocksAt + (long)i * IndexFormat.BlockSize) != part.Length)
                    return false;
            }
            if (!head.Seal.IsSound(buffer.AsSpan(i % atOnce * IndexFormat.BlockSize, IndexFormat.BlockSize), i))
                return false;
        }
        return true;
    }

    /// <summary>What stands before the blocks.</summary>
    sealed record Head(RunSeal Seal, uint Generation, long Count, IndexedPack[] Packs, byte[] Filter, ulong[] Fences, long BlocksAt)
    {
        const int Piece = 1 << 20; // bytes

        public static Head? TryRead(SafeFileHandle file, Id16 vault, DomainKeys domain, bool packsOnly = false)
        {
            var fixedPart = new byte[IndexFormat.FixedHeader];
            if (RandomAccess.Read(file, fixedPart, 0) != fixedPart.Length || !ObjectHeader.TryParse(fixedPart, out var header) || header.Type != ObjectType.IndexRun || header.Vault != vault || header.Domain != domain.Domain)
                return null;
            var reader = new ByteReader(fixedPart.AsSpan(ObjectHeader.Size));
            var packCount = reader.U32();
            var generation = reader.U32();
            var count = reader.U64();
            var filterLength = reader.U64();
            var blockCount = reader.U64();
            var salt = reader.Id();
            if (packCount > IndexFormat.MaxPacks || count > long.MaxValue / 64 || filterLength != (ulong)BloomFilter.SizeFor((long)count) || filterLength > (ulong)Array.MaxLength
                || blockCount != (count + IndexFormat.EntriesPerBlock - 1) / IndexFormat.EntriesPerBlock || blockCount > int.MaxValue / 8)
                return null;
            var seal = RunSeal.Of(domain, salt);
            var head = seal.IsSoundFixed(fixedPart) ? TryRead(file, fixedPart, seal, (int)packCount, generation, (long)count, (long)filterLength, (long)blockCount, packsOnly) : null;
            if (head is null)
                seal.Dispose();
            return head;
        }

        static Head? TryRead(SafeFileHandle file, byte[] fixedPart, RunSeal seal, int packCount, uint generation, long count, long filterLength, long blockCount, bool packsOnly)
        {
            var tableLength = packCount * (long)IndexFormat.PackRecord;
            var tagAt = fixedPart.Length + tableLength + filterLength + blockCount * 8;
            var blocksAt = IndexRunWriter.BlocksAt(tagAt + Aead.TagSize);
            if (RandomAccess.GetLength(file) != (blockCount == 0 ? tagAt + Aead.TagSize : blocksAt + blockCount * IndexFormat.BlockSize) || tableLength > Array.MaxLength)
                return null;

            var table = new byte[tableLength];
            var filter = new byte[packsOnly ? 0 : filterLength];
            var fences = new byte[packsOnly ? 0 : blockCount * 8];
            using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            sha.AppendData(fixedPart);
            var at = (long)fixedPart.Length;
            foreach (var part in new[] { table, filter, fences })
            {
                if (RandomAccess.Read(file, part, at) != part.Length)
                    return null;
                sha.AppendData(part);
                at += part.Length;
            }
            var piece = new byte[Math.Min(Piece, tagAt - at)];
            for (; at < tagAt; at += piece.Length)
            {
                var part = piece.AsSpan(0, (int)Math.Min(piece.Length, tagAt - at));
                if (RandomAccess.Read(file, part, at) != part.Length)
                    return null;
                sha.AppendData(part);
            }
            var tag = new byte[Aead.TagSize];
            return RandomAccess.Read(file, tag, tagAt) == tag.Length && seal.IsSoundHead(tag, sha.GetHashAndReset())
                ? new Head(seal, generation, count, PacksOf(table), filter, FencesOf(fences), blocksAt) : null;
        }

        static IndexedPack[] PacksOf(byte[] table)
        {
            var packs = new IndexedPack[table.Length / IndexFormat.PackRecord];
            for (var i = 0; i < packs.Length; i++)
            {
                var record = table.AsSpan(i * IndexFormat.PackRecord, IndexFormat.PackRecord);
                packs[i] = new IndexedPack(new Hash32(record[..Hash32.Size]), (KeyClass)record[Hash32.Size], new Id16(record[^Id16.Size..]));
            }
            return packs;
        }

        static ulong[] FencesOf(byte[] bytes)
        {
            var fences = new ulong[bytes.Length / 8];
            for (var i = 0; i < fences.Length; i++)
                fences[i] = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(i * 8));
            return fences;
        }
    }

    /// <summary>Looks up the first place of a chunk.</summary>
    /// <param name="id">First half of the id.</param>
    /// <param name="pack">Number in <see cref="Packs"/>.</param>
    /// <param name="number">Number of the chunk in the pack.</param>
    public bool TryFind(UInt128 id, out uint pack, out uint number)
    {
        pack = number = 0;
        if (Count == 0 || !BloomFilter.MayContain(_filter, id))
            return false;
        var key = (ulong)(id >> 64);
        var at = Math.Max(0, LowerBound(key) - 1);
        Span<byte> buffer = stackalloc byte[_blocks is null ? IndexFormat.BlockSize : 0];
        for (; at < _fences.Length && _fences[at] <= key; at++)
        {
            var block = Block(at, buffer);
            var entries = EntriesIn(at);
            var low = 0;
            var high = entries;
            while (low < high)
            {
                var middle = (low + high) >> 1;
                if (BinaryPrimitives.ReadUInt128BigEndian(block[(middle * IndexFormat.EntrySize)..]) < id)
                    low = middle + 1;
                else
                    high = middle;
            }
            if (low == entries)
                continue;
            var entry = Entry(block, low);
            if (entry.Id != id)
                return false;
            pack = entry.Pack;
            number = entry.Number;
            return true;
        }
        return false;
    }

    /// <summary>All places of a chunk in this run: two sessions may have stored it at the same time, and what was damaged is stored anew.</summary>
    public void FindAll(UInt128 id, List<(uint Pack, uint Number)> into)
    {
        if (Count == 0 || !BloomFilter.MayContain(_filter, id))
            return;
        var key = (ulong)(id >> 64);
        Span<byte> buffer = stackalloc byte[_blocks is null ? IndexFormat.BlockSize : 0];
        for (var at = Math.Max(0, LowerBound(key) - 1); at < _fences.Length && _fences[at] <= key; at++)
        {
            var block = Block(at, buffer);
            for (var i = 0; i < EntriesIn(at); i++)
            {
                var entry = Entry(block, i);
                if (entry.Id == id)
                    into.Add((entry.Pack, entry.Number));
            }
        }
    }

    /// <summary>All entries, ascending: for merging.</summary>
    public Reader Read() => new(this);

    /// <summary>Goes through a run once, some blocks at a time. For one thread.</summary>
    public sealed class Reader(IndexRun run)
    {
        const int BlocksAtOnce = 16;

        readonly byte[] _buffer = new byte[BlocksAtOnce * IndexFormat.BlockSize];
        int _block = -1; // number of the block at hand
        int _entry;
        int _entries; // in the block at hand

        /// <returns>False after the last one.</returns>
        /// <exception cref="HoldfastException"><c>IndexDamaged</c>.</exception>
        public bool TryNext(out IndexEntry entry)
        {
            if (_entry == _entries)
            {
                if (++_block >= run._fences.Length)
                {
                    _block = run._fences.Length;
                    entry = default;
                    return false;
                }
                if (_block % BlocksAtOnce == 0)
                    run.Blocks(_block, _buffer.AsSpan(0, Math.Min(BlocksAtOnce, run._fences.Length - _block) * IndexFormat.BlockSize));
                (_entry, _entries) = (0, run.EntriesIn(_block));
            }
            entry = run.Entry(_buffer.AsSpan(_block % BlocksAtOnce * IndexFormat.BlockSize), _entry++);
            return true;
        }
    }

    /// <summary>Copies blocks from this one on, as many as there is room for.</summary>
    void Blocks(int first, Span<byte> into)
    {
        for (var at = 0; at < into.Length; at += IndexFormat.BlockSize)
        {
            var number = first + at / IndexFormat.BlockSize;
            if (_blocks is not null)
                _blocks.AsSpan(number * IndexFormat.BlockSize, IndexFormat.BlockSize).CopyTo(into[at..]);
            else if (at == 0)
                Read(number, into);
            if (!_seal.IsSound(into.Slice(at, IndexFormat.BlockSize), number))
                throw Damaged();
        }
    }

    static HoldfastException Damaged(IOException? fault = null) => new(ErrorCode.IndexDamaged,
        "A block of the chunk index is damaged.",
        "Run `holdfast verify --rebuild-index`: the index is a cache and is rebuilt from the packs themselves.", fault);

    int EntriesIn(int block) => (int)Math.Min(IndexFormat.EntriesPerBlock, Count - (long)block * IndexFormat.EntriesPerBlock);

    IndexEntry Entry(ReadOnlySpan<byte> block, int i)
    {
        var at = block[(i * IndexFormat.EntrySize)..];
        var pack = BinaryPrimitives.ReadUInt32LittleEndian(at[16..]);
        return pack < (uint)Packs.Length ? new IndexEntry(BinaryPrimitives.ReadUInt128BigEndian(at), pack, BinaryPrimitives.ReadUInt32LittleEndian(at[20..])) : throw Damaged();
    }

    ReadOnlySpan<byte> Block(int number, Span<byte> buffer)
    {
        if (_blocks is not null)
            return _blocks.AsSpan(number * IndexFormat.BlockSize, IndexFormat.BlockSize);
        Read(number, buffer);
        return _seal.IsSound(buffer, number) ? buffer : throw Damaged();
    }

    void Read(int number, Span<byte> into)
    {
        try
        {
            if (RandomAccess.Read(_file, into, _blocksAt + (long)number * IndexFormat.BlockSize) == into.Length)
                return;
        }
        catch (IOException e)
        {
            throw Damaged(e);
        }
        throw Damaged();
    }

    /// <summary>Number of the first fence that is not below the key.</summary>
    int LowerBound(ulong key)
    {
        var at = _fences.AsSpan().BinarySearch(key);
        if (at < 0)
            return ~at;
        while (at > 0 && _fences[at - 1] == key)
            at--;
        return at;
    }

    public void Dispose()
    {
        _file.Dispose();
        _seal.Dispose();
    }
}
