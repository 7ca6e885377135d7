using System.Buffers.Binary;
using System.Security.Cryptography;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Packs;

/// <summary>Where a chunk went.</summary>
public readonly record struct PackedChunk(int Slot, int Number);

/// <summary>Where frames are made: the memory that it takes to fill, compress and seal one. For one thread at a time.</summary>
/// <param name="level">Of zstd, 1 to 19.</param>
public sealed class PackBench(int level) : IDisposable
{
    internal FrameSealer Sealer { get; } = new(level);

    /// <summary>Small chunks wait here for a frame of theirs.</summary>
    internal byte[] Shared => field ??= GC.AllocateUninitializedArray<byte>(2 * PackFormat.SharedPayload);

    FrameOpener? _opener;
    byte[] _unpacked = [];

    /// <summary>Unpacks frames that others filled. False where one is not what it says; bytes beyond that are never written.</summary>
    /// <param name="frames">Which a reader would take (<see cref="ZstdFrame"/>); their payloads are <see cref="PackFormat.MaxChunk"/> at most together.</param>
    /// <param name="payloads">Gets theirs, good until the next call: they lie where they came, or here.</param>
    internal bool TryUnpack(IReadOnlyList<UnsealedFrame> frames, List<ReadOnlyMemory<byte>> payloads)
    {
        payloads.Clear();
        var at = 0;
        foreach (var frame in frames)
        {
            if (frame.Codec == PackFormat.CodecStored)
            {
                payloads.Add(frame.Bytes);
                continue;
            }
            if (_unpacked.Length == 0)
                _unpacked = GC.AllocateUninitializedArray<byte>(PackFormat.MaxChunk);
            var payload = _unpacked.AsMemory(at, frame.PayloadLength);
            if (!(_opener ??= new FrameOpener()).TryUnpack(frame.Bytes.Span, payload.Span))
                return false;
            payloads.Add(payload);
            at += payload.Length;
        }
        return true;
    }

    public void Dispose()
    {
        Sealer.Dispose();
        _opener?.Dispose();
    }
}

/// <summary>Writes packs of one class, one after the other, for one thread. Small chunks share frames; a pack is hashed once, while it is written.</summary>
/// <param name="session">Whose packs they are.</param>
/// <param name="keyClass">Theirs.</param>
/// <param name="bench">Where frames are made; null where it comes with <see cref="At"/>. The caller's, who may let others use it while no chunk waits (<see cref="FlushShared"/>).</param>
public sealed class PackWriter(PackSession session, KeyClass keyClass, PackBench? bench) : IDisposable
{
    const int MaxPending = 65_536; // chunks in a shared frame

    readonly PackBench? _own;
    readonly IncrementalHash _sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    readonly ByteWriter _frames = new(8192);
    readonly List<Hash32> _ids = [];
    readonly List<int> _pending = []; // lengths of the chunks in _shared; their ids are already in _ids

    PackBench? _bench = bench;
    IStaged? _staged;
    AeadKey? _key;
    byte[] _header = [];
    Id16 _salt;
    int _slot;
    int _frameCount;
    int _sharedLength;
    long _payload; // bytes of all frames before compression
    uint _generation;

    /// <summary>With a bench of its own.</summary>
    /// <param name="session">Whose packs they are.</param>
    /// <param name="keyClass">Theirs.</param>
    /// <param name="level">Of zstd, 1 to 19.</param>
    public PackWriter(PackSession session, KeyClass keyClass, int level) : this(session, keyClass, null) => _bench = _own = new PackBench(level);

    /// <summary>Chunks after which a pack ends, whatever its bytes: their ids are in memory until then.</summary>
    public int MostChunks { get; init; } = PackFormat.MaxChunks - MaxPending;

    /// <summary>Forgets all that is under way, the bench too: something failed in its midst, and what was claimed of it is stored nowhere.</summary>
    public void Abandon()
    {
        Reset();
        _sha.GetHashAndReset();
        _pending.Clear();
        _sharedLength = 0;
        _bench = _own;
    }

    /// <summary>Makes the next frames elsewhere. While no chunk waits.</summary>
    public void At(PackBench? elsewhere)
    {
        if (_pending.Count > 0)
            throw new InvalidOperationException("Chunks wait at this bench.");
        _bench = elsewhere;
    }

    /// <summary>Shorter chunks share frames.</summary>
    public const int SharedLimit = PackFormat.SharedPayload / 2; // bytes

    /// <summary>Adds a chunk: in a frame of its own where it is large, in a shared one else.</summary>
    public PackedChunk Add(ReadOnlySpan<byte> chunk, Hash32 id, DigestKind kind = DigestKind.Whole)
    {
        if (chunk.Length > PackFormat.MaxChunk)
            throw new ArgumentException($"A chunk of {chunk.Length} bytes: no reader takes more than {PackFormat.MaxChunk}.", nameof(chunk));
        if (chunk.Length < SharedLimit && kind == DigestKind.Whole) // of a shared frame all chunks are of that kind
            return Share(chunk, id);
        FlushShared();
        FinishIfFull();
        Begin();
        _ids.Add(id);
        var at = new PackedChunk(_slot, _ids.Count - 1);
        WriteFrame(chunk, [chunk.Length], kind);
        FinishIfFull();
        return at;
    }

    /// <summary>Adds chunks of kind whole that lie one after the other: those that fill frames are compressed where they lie.</summary>
    /// <param name="joined">Their bytes.</param>
    /// <param name="lengths">Of each, bytes, under <see cref="SharedLimit"/>.</param>
    /// <param name="ids">Of each.</param>
    public void AddAll(ReadOnlySpan<byte> joined, ReadOnlySpan<int> lengths, ReadOnlySpan<Hash32> ids)
    {
        while (!lengths.IsEmpty)
        {
            var (count, length) = (0, 0);
            if (_sharedLength == 0)
            {
                while (count < lengths.Length && count < MaxPending && length < PackFormat.SharedPayload)
                    length += lengths[count++];
                if (joined.Length < 2 * PackFormat.SharedPayload && lengths.Length <= MaxPending)
                    (count, length) = (lengths.Length, joined.Length); // what is left would be copied, to share a frame with what comes
            }
            if (length >= PackFormat.SharedPayload)
            {
                Begin();
                _ids.AddRange(ids[..count]);
                WriteFrame(joined[..length], lengths[..count], DigestKind.Whole);
                FinishIfFull();
            }
            else // what shares its frame with chunks that are elsewhere
            {
                (count, length) = (1, lengths[0]);
                Share(joined[..length], ids[0]);
            }
            joined = joined[length..];
            lengths = lengths[count..];
            ids = ids[count..];
        }
    }

    /// <summary>Adds a frame that others filled, as it is: who does that has looked whether every reader takes it.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="ids">Of its chunks.</param>
    public void AddFrame(UnsealedFrame frame, ReadOnlySpan<Hash32> ids)
    {
        FlushShared();
        FinishIfFull();
        Begin();
        _ids.AddRange(ids);
        Write(_bench!.Sealer.Seal(_key!, _frameCount, frame.Bytes.Span), frame.Codec, frame.PayloadLength, frame.Lengths, frame.Kind);
        FinishIfFull();
    }

    /// <summary>Adds a chunk to the shared frame at hand.</summary>
    PackedChunk Share(ReadOnlySpan<byte> chunk, Hash32 id)
    {
        Begin();
        chunk.CopyTo(_bench!.Shared.AsSpan(_sharedLength));
        _pending.Add(chunk.Length);
        _ids.Add(id);
        var at = new PackedChunk(_slot, _ids.Count - 1);
        _sharedLength += chunk.Length;
        if (_sharedLength >= PackFormat.SharedPayload || _pending.Count >= MaxPending)
        {
            FlushShared();
            FinishIfFull();
        }
        return at;
    }

    /// <summary>Completes the pack at hand, if there is one.</summary>
    public void Finish()
    {
        FlushShared();
        if (_staged is null)
            return;
        var footer = new ByteWriter(_frames.Length + _ids.Count * Hash32.Size + PackFormat.Quantum);
        footer.Var((ulong)_frameCount);
        footer.Raw(_frames.Span);
        foreach (var id in _ids)
            footer.Hash(id);
        var tail = Aead.TagSize + PackFormat.TrailerSize;
        var unpadded = _staged.Length + footer.Length + tail;
        var least = Math.Max(unpadded, (_payload + PackFormat.MaxExpansion - 1) / PackFormat.MaxExpansion);
        var padding = (int)((least + PackFormat.Quantum - 1) / PackFormat.Quantum * PackFormat.Quantum - unpadded);
        footer.Reserve(padding).Clear();

        var stored = new byte[footer.Length + tail];
        using (var key = SessionSeal.FooterKey(session.Put.Domain, _salt))
            key.Seal(stackalloc byte[Aead.NonceSize], footer.Span, stored.AsSpan(0, footer.Length + Aead.TagSize), FooterAad(_header));
        var trailer = stored.AsSpan(footer.Length + Aead.TagSize);
        BinaryPrimitives.WriteInt32LittleEndian(trailer, footer.Length + Aead.TagSize);
        PackFormat.EndMagic.CopyTo(trailer[8..]);
        Append(stored);

        var name = new Hash32(_sha.GetHashAndReset());
        var staged = _staged;
        _staged = null; // from here on the session's
        session.Enter(staged, new WrittenPack(_slot, name, staged.Length, keyClass, PackEnds.Digest(_header, stored), [.. _ids]));
        Reset();
    }

    internal static byte[] FooterAad(ReadOnlySpan<byte> header)
    {
        var aad = new ByteWriter();
        aad.Raw(Labels.Footer);
        aad.Raw(header[..PackFormat.BoundHeaderSize]);
        return aad.ToArray();
    }

    void Begin()
    {
        if (_staged is not null)
            return;
        var (seal, sessionKey) = session.Seal(keyClass);
        _salt = Id16.New();
        using var key = SessionSeal.PackKey(sessionKey, _salt);
        _key = new AeadKey(key.Span);
        _generation = session.Put.Domain.Generation;
        var header = new ByteWriter(PackFormat.HeaderSize);
        new PackHeader(session.Vault, seal, session.Put.Writer, session.Put.WriterEpoch, _generation, _salt).Write(header);
        _header = header.ToArray();
        _slot = session.NextSlot();
        _staged = session.Stage();
        Append(_header);
    }

    /// <summary>Puts the chunks that wait for others into a frame now.</summary>
    public void FlushShared()
    {
        if (_pending.Count == 0)
            return;
        WriteFrame(_bench!.Shared.AsSpan(0, _sharedLength), System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_pending), DigestKind.Whole);
        _pending.Clear();
        _sharedLength = 0;
    }

    void WriteFrame(ReadOnlySpan<byte> payload, ReadOnlySpan<int> chunks, DigestKind kind)
    {
        var stored = _bench!.Sealer.Seal(_key!, _frameCount, payload, kind, out var codec);
        Write(stored, codec, payload.Length, chunks, kind);
    }

    void Write(ReadOnlySpan<byte> stored, byte codec, int payload, ReadOnlySpan<int> chunks, DigestKind kind)
    {
        Append(stored);
        _frameCount++;
        _payload += payload;
        _frames.Var((ulong)stored.Length);
        _frames.Var((ulong)payload);
        _frames.U8((byte)(codec | (byte)kind << PackFormat.KindShift));
        _frames.Var((ulong)chunks.Length);
        foreach (var length in chunks)
            _frames.Var((ulong)length);
    }

    void FinishIfFull()
    {
        if (_staged is null)
            return;
        if (_payload >= (long)PackFormat.MaxExpansion * PackFormat.TargetSize / 2 // no more zeros than half a pack
            || _staged.Length + _frames.Length + (long)_ids.Count * Hash32.Size >= PackFormat.TargetSize - PackFormat.MaxStored / 4
            || _frameCount >= PackFormat.MaxFrames || _ids.Count >= MostChunks)
            Finish();
    }

    void Append(ReadOnlySpan<byte> bytes)
    {
        _sha.AppendData(bytes);
        _staged!.Append(bytes);
    }

    void Reset()
    {
        _staged?.Dispose();
        _staged = null;
        _key?.Dispose();
        _key = null;
        _ids.Clear();
        _frames.Clear();
        _frameCount = 0;
        _payload = 0;
    }

    /// <summary>Discards what was not finished.</summary>
    public void Dispose()
    {
        Reset();
        _own?.Dispose();
        _sha.Dispose();
    }
}
