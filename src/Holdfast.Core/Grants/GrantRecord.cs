using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Grants;

/// <summary>Whether a piece follows.</summary>
public enum PieceState : byte
{
    /// <summary>It does.</summary>
    Here = 0,

    /// <summary>Not yet: ask again.</summary>
    Awaited = 1,

    /// <summary>There is none such: the one before was the last.</summary>
    Over = 2,
}

/// <summary>What a record of a piece is (docs/protocol.md).</summary>
enum GrantRecordKind : byte
{
    Owners = 1,
    Rows = 2,
    Listed = 3,
    Mark = 4,
    Whole = 5,
    Open = 6,
    Part = 7,
    Done = 8,
    Drop = 9,
    Finish = 10,
    Result = 11,
    Fault = 12,
}

/// <summary>One call of a restore's target, as it goes from the clean room to the agent's host.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Handle">Of a file whose content comes: they are counted from 0, in the order of the rows.</param>
/// <param name="Offset">In the file.</param>
/// <param name="Bytes">By kind; part of the piece.</param>
readonly record struct GrantRecord(GrantRecordKind Kind, int Handle, long Offset, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>Bytes that the largest record has beside its <see cref="Bytes"/>.</summary>
    public const int MostHead = 32;

    /// <summary>Bytes of rows: a node of a tree has as many at most, and one row that shared its path's beginning has all of it here.</summary>
    public const int MostBytes = TreeNode.MaxBytes + (1 << 17);

    /// <summary>Bytes of a piece.</summary>
    public const int MostPiece = MostBytes + MostHead;

    static bool HasHandle(GrantRecordKind kind) => kind is GrantRecordKind.Whole or GrantRecordKind.Open or GrantRecordKind.Part or GrantRecordKind.Done or GrantRecordKind.Drop;

    static int Most(GrantRecordKind kind) => kind switch
    {
        GrantRecordKind.Owners or GrantRecordKind.Rows or GrantRecordKind.Listed or GrantRecordKind.Result or GrantRecordKind.Fault => MostBytes,
        GrantRecordKind.Whole or GrantRecordKind.Part => PackFormat.MaxChunk,
        _ => 0,
    };

    /// <summary>All of a record but its bytes, which follow.</summary>
    /// <returns>How many bytes that took.</returns>
    public static int WriteHead(Span<byte> to, GrantRecordKind kind, int handle, long offset, int length)
    {
        to[0] = (byte)kind;
        var at = 1;
        if (HasHandle(kind))
            at += Var(to[at..], (ulong)handle);
        if (kind == GrantRecordKind.Part)
            at += Var(to[at..], (ulong)offset);
        if (Most(kind) > 0)
            at += Var(to[at..], (ulong)length);
        return at;
    }

    static int Var(Span<byte> to, ulong value)
    {
        var at = 0;
        for (; value >= 0x80; value >>= 7)
            to[at++] = (byte)(value | 0x80);
        to[at] = (byte)value;
        return at + 1;
    }

    /// <summary>Reads the next record of a piece. Total: any bytes are a record, or are none.</summary>
    /// <param name="piece">The record has part of it, and is good for as long as it is.</param>
    /// <param name="at">Where it begins; then where the next does.</param>
    /// <param name="record">What was read.</param>
    public static bool TryRead(ReadOnlyMemory<byte> piece, ref int at, out GrantRecord record)
    {
        var reader = new ByteReader(piece.Span[at..]);
        var kind = (GrantRecordKind)reader.U8();
        reader.Require(kind is >= GrantRecordKind.Owners and <= GrantRecordKind.Fault);
        var handle = HasHandle(kind) ? reader.Count(int.MaxValue) : -1;
        var offset = kind == GrantRecordKind.Part ? GrantRequest.Long(ref reader) : 0;
        var length = Most(kind) > 0 ? reader.Bytes(Most(kind)).Length : 0;
        at += reader.Position;
        record = reader.Failed ? default : new GrantRecord(kind, handle, offset, piece.Slice(at - length, length));
        return !reader.Failed;
    }
}

/// <summary>What the bytes of a record say beside rows: total on hostile bytes.</summary>
static class GrantBytes
{
    /// <summary>Chunks that one <see cref="GrantRecordKind.Listed"/> has.</summary>
    public const int MostListed = 1 << 16;

    /// <summary>Numbers of a result.</summary>
    public const int ResultCounts = 12;

    const int MostWords = 4_096; // bytes

    /// <summary>Chunks of a file whose list is too long for its row, in file order; none: that was all, or the rest cannot be read.</summary>
    public static byte[] OfListed(IReadOnlyList<ChunkRef> chunks)
    {
        var writer = new ByteWriter(chunks.Count * (Hash32.Size + 4) + 8);
        writer.Var((ulong)chunks.Count);
        foreach (var chunk in chunks)
        {
            writer.Var((ulong)chunk.Length);
            writer.Hash(chunk.Digest);
        }
        return writer.ToArray();
    }

    /// <summary>Null where they make no sense.</summary>
    public static ChunkRef[]? Listed(ReadOnlySpan<byte> bytes, DigestKind kind)
    {
        var reader = new ByteReader(bytes);
        var chunks = new ChunkRef[reader.Count(Math.Min(MostListed, reader.Remaining / Hash32.Size))];
        for (var i = 0; i < chunks.Length && !reader.Failed; i++)
        {
            var length = reader.Count(PackFormat.MaxChunk);
            chunks[i] = new ChunkRef(reader.Hash(), length, kind);
            reader.Require(length > 0);
        }
        return reader.IsDone ? chunks : null;
    }

    /// <summary>Names of owners.</summary>
    public static byte[] OfOwners(bool areGroups, IEnumerable<KeyValuePair<uint, byte[]>> names)
    {
        var writer = new ByteWriter();
        writer.U8(areGroups ? (byte)1 : (byte)0);
        foreach (var (id, name) in names)
        {
            writer.Var(id);
            writer.Bytes(name);
        }
        return writer.ToArray();
    }

    /// <summary>Adds names to those that came before; false where they make no sense.</summary>
    public static bool TryOwners(ReadOnlySpan<byte> bytes, Dictionary<uint, byte[]> users, Dictionary<uint, byte[]> groups)
    {
        var reader = new ByteReader(bytes);
        var isGroups = reader.U8();
        reader.Require(isGroups <= 1);
        while (!reader.Failed && reader.Remaining > 0)
        {
            var id = reader.Var();
            reader.Require(id < uint.MaxValue);
            var name = reader.Bytes(TreeSection.MaxName);
            if (!reader.Failed)
                reader.Require((isGroups == 1 ? groups : users).TryAdd((uint)id, name.ToArray()));
        }
        return reader.IsDone;
    }

    /// <summary>What the clean room counted. Of what the erasure register leaves out no name is told.</summary>
    public static byte[] OfResult(RestoreResult result)
    {
        var writer = new ByteWriter();
        var register = result.Register;
        foreach (var count in new[] { result.Entries, result.Matched, result.Lost, result.WithHoles, result.UnreadPacks, register.LeftOut, register.Corrected, register.NotCompared, register.Unknown, register.Unproved, result.Unmatched, result.Away })
            writer.Var((ulong)count);
        return writer.ToArray();
    }

    /// <summary>Null where they make no sense.</summary>
    public static RestoreResult? Result(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        var counts = new long[ResultCounts];
        for (var i = 0; i < counts.Length; i++)
            counts[i] = i is 4 or >= 8 ? reader.Count(int.MaxValue) : GrantRequest.Long(ref reader);
        return !reader.IsDone ? null : new RestoreResult(counts[0], 0, 0, new TreeWritten(0, 0, 0, 0, 0), 0, [], counts[1], false)
        {
            Lost = counts[2],
            WithHoles = counts[3],
            UnreadPacks = (int)counts[4],
            Unmatched = (int)counts[10],
            Away = (int)counts[11],
            Register = new ErasureReport(counts[5], [], counts[6], [], 0, counts[7], (int)counts[8], (int)counts[9]),
        };
    }

    /// <summary>Why the clean room brings no more.</summary>
    public static byte[] OfFault(HoldfastException fault)
    {
        var writer = new ByteWriter();
        writer.Var((ulong)fault.Code);
        foreach (var text in new[] { fault.Message, fault.Guidance })
            writer.Bytes(System.Text.Encoding.UTF8.GetBytes(text).AsSpan() is var bytes && bytes.Length > MostWords ? bytes[..MostWords] : bytes);
        return writer.ToArray();
    }

    /// <summary>Null where they make no sense.</summary>
    public static HoldfastException? Fault(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        var (code, message, guidance) = ((ErrorCode)reader.Count(byte.MaxValue), Text(reader.Bytes(MostWords)), Text(reader.Bytes(MostWords)));
        reader.Require(Enum.IsDefined(code) && code != ErrorCode.None);
        return reader.IsDone ? new HoldfastException(code == ErrorCode.Interrupted ? ErrorCode.StoreUnavailable : code, $"The clean room says: {message}", guidance) : null;
    }

    static string Text(ReadOnlySpan<byte> bytes) => System.Text.Encoding.UTF8.GetString(bytes);
}
