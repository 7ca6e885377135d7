using Holdfast.Core.Codec;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Grants;

/// <summary>What an agent's host is told of the snapshot that comes.</summary>
/// <param name="Run">Of this run.</param>
/// <param name="Snapshot">Its id.</param>
/// <param name="Committed">Vault time of its commit.</param>
/// <param name="ClientTime">What the clock of the machine said that made it.</param>
/// <param name="Source">Its source.</param>
/// <param name="SourceName">The source's name.</param>
/// <param name="HostName">Of the machine that made it.</param>
/// <param name="RootPath">Path of the source there; empty for a stream.</param>
/// <param name="Entries">No more rows come than so many.</param>
/// <param name="Bytes">Of all its files.</param>
/// <param name="Problems">Entries that were left out when it was made, or in doubt.</param>
/// <param name="IsPart">Not all of it was granted.</param>
public sealed record GrantStand(Id16 Run, Id16 Snapshot, ulong Committed, long ClientTime, Id16 Source, byte[] SourceName, byte[] HostName, byte[] RootPath, ulong Entries, ulong Bytes, ulong Problems, bool IsPart)
{
    public byte[] ToArray()
    {
        var writer = new ByteWriter();
        writer.Id(Run);
        writer.Id(Snapshot);
        writer.U64(Committed);
        writer.I64(ClientTime);
        writer.Id(Source);
        writer.Bytes(SourceName);
        writer.Bytes(HostName);
        writer.Bytes(RootPath);
        writer.U64(Entries);
        writer.U64(Bytes);
        writer.U64(Problems);
        writer.U8(IsPart ? (byte)1 : (byte)0);
        return writer.ToArray();
    }

    /// <summary>Null where they make no sense.</summary>
    public static GrantStand? Parse(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        var stand = new GrantStand(reader.Id(), reader.Id(), reader.U64(), reader.I64(), reader.Id(), Name(ref reader), Name(ref reader), Name(ref reader), reader.U64(), reader.U64(), reader.U64(), false);
        var isPart = reader.U8();
        reader.Require(isPart <= 1);
        return reader.IsDone ? stand with { IsPart = isPart == 1 } : null;
    }

    static byte[] Name(ref ByteReader reader) => reader.Bytes(TreeSection.MaxName).ToArray();
}
