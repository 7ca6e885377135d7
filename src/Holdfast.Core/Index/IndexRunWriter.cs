using System.Buffers.Binary;
using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Index;

/// <summary>Writes one sorted run as a stream: memory is the filter, the fences and one block (docs/format.md, section 8).</summary>
public sealed class IndexRunWriter : IDisposable
{
    readonly SafeFileHandle _file;
    readonly RunSeal _seal;
    readonly byte[] _filter;
    readonly ulong[] _fences;
    readonly byte[] _block = new byte[IndexFormat.BlockSize];
    readonly byte[] _head;
    readonly long _blocksAt;
    readonly long _count;
    long _written;
    int _inBlock;
    IndexEntry _last;

    /// <param name="file">An empty file, written at explicit offsets; the caller makes it durable and gives it its name.</param>
    /// <param name="vault">Vault id.</param>
    /// <param name="domain">Keys of the trust domain; ids are of its newest dedup key generation.</param>
    /// <param name="packs">Pack table; entries name packs by their number in it.</param>
    /// <param name="count">Entries that will follow.</param>
    public IndexRunWriter(SafeFileHandle file, Id16 vault, DomainKeys domain, IReadOnlyList<IndexedPack> packs, long count)
        : this(file, vault, domain, packs, count, RunSeal.New(domain))
    {
    }

    internal IndexRunWriter(SafeFileHandle file, Id16 vault, DomainKeys domain, IReadOnlyList<IndexedPack> packs, long count, RunSeal seal)
    {
        _file = file;
        _seal = seal;
        _count = count;
        _filter = new byte[BloomFilter.SizeFor(count)];
        var blocks = (count + IndexFormat.EntriesPerBlock - 1) / IndexFormat.EntriesPerBlock;
        _fences = new ulong[blocks];

        var head = new ByteWriter(IndexFormat.FixedHeader + packs.Count * IndexFormat.PackRecord);
        new ObjectHeader(ObjectType.IndexRun, vault, domain.Domain, 0).Write(head);
        head.U32((uint)packs.Count);
        head.U32(domain.Generation);
        head.U64((ulong)count);
        head.U64((ulong)_filter.Length);
        head.U64((ulong)blocks);
        head.Id(_seal.Salt);
        head.Reserve(IndexFormat.FixedHeader - head.Length).Clear();
        foreach (var pack in packs)
        {
            head.Hash(pack.Name);
            head.U8((byte)pack.Class);
            head.Reserve(7).Clear();
            head.Id(pack.Ends);
        }
        _head = head.ToArray();
        _seal.SealFixed(_head);
        _blocksAt = BlocksAt(_head.Length + _filter.Length + _fences.Length * 8L + Aead.TagSize);
    }

    internal static long BlocksAt(long metaEnd) => (metaEnd + IndexFormat.BlockSize - 1) / IndexFormat.BlockSize * IndexFormat.BlockSize;

    /// <summary>Adds the next entry; entries ascend.</summary>
    public void Add(IndexEntry entry)
    {
        if (_written > 0 && entry <= _last)
            throw new ArgumentException("Entries ascend.", nameof(entry));
        if (_inBlock == IndexFormat.EntriesPerBlock)
            FlushBlock();
        if (_inBlock == 0)
            _fences[_written / IndexFormat.EntriesPerBlock] = (ulong)(entry.Id >> 64);
        var at = _block.AsSpan(_inBlock * IndexFormat.EntrySize);
        BinaryPrimitives.WriteUInt128BigEndian(at, entry.Id);
        BinaryPrimitives.WriteUInt32LittleEndian(at[16..], entry.Pack);
        BinaryPrimitives.WriteUInt32LittleEndian(at[20..], entry.Number);
        BloomFilter.Add(_filter, entry.Id);
        _last = entry;
        _inBlock++;
        _written++;
    }

    /// <summary>Writes what stands before the blocks.</summary>
    public void Finish()
    {
        if (_written != _count)
            throw new InvalidOperationException("Another number of entries was promised.");
        if (_inBlock > 0)
            FlushBlock();
        var fences = new byte[_fences.Length * 8];
        for (var i = 0; i < _fences.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(fences.AsSpan(i * 8), _fences[i]);
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var offset = 0L;
        foreach (var part in new[] { _head, _filter, fences })
        {
            sha.AppendData(part);
            RandomAccess.Write(_file, part, offset);
            offset += part.Length;
        }
        RandomAccess.Write(_file, _seal.SealHead(sha.GetHashAndReset()), offset);
    }

    void FlushBlock()
    {
        _block.AsSpan(_inBlock * IndexFormat.EntrySize).Clear();
        var number = (_written - 1) / IndexFormat.EntriesPerBlock;
        _seal.Seal(_block, number);
        RandomAccess.Write(_file, _block, _blocksAt + number * IndexFormat.BlockSize);
        _inBlock = 0;
    }

    public void Dispose() => _seal.Dispose();
}
