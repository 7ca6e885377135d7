using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Holdfast.Core.Keeper;

/// <summary>One restore that was granted to an agent's host, as the log tells it. A record of it opens nothing: what does is a clean room with the opening key, while it runs.</summary>
/// <param name="Made">Vault time.</param>
/// <param name="Snapshot">Which.</param>
/// <param name="Agent">To whose host.</param>
/// <param name="Until">Vault time.</param>
/// <param name="Mark">Which grant this is: <see cref="MarkOf(Id16)"/> of what its end shows.</param>
public sealed record GrantedRestore(ulong Made, Id16 Snapshot, Id16 Agent, ulong Until, Id16 Mark)
{
    /// <summary>Seconds that one is for, at most.</summary>
    public const ulong MostLife = 7 * Retention.RetentionPolicy.Day;

    /// <summary>Vault time of its end; 0 where the log has none: it is open, or whoever gave it was killed.</summary>
    public ulong Ended { get; internal set; }

    /// <summary>How it ended (docs/format.md, section 11.3).</summary>
    public ulong End { get; internal set; }

    /// <summary>By the agent's word, or what was sent.</summary>
    public ulong Bytes { get; internal set; }

    /// <summary>As above.</summary>
    public ulong Files { get; internal set; }

    /// <summary>How often agent and code were shown anew, by who had not before.</summary>
    public ulong Takeovers { get; internal set; }

    public bool IsOpen => Ended == 0;

    /// <summary>The leaf of a grant has this of a random number that its clean room keeps until it shows it with the end: nobody else ends it.</summary>
    /// <param name="secret">The number.</param>
    public static Id16 MarkOf(Id16 secret) => new(SHA256.HashData(secret.ToArray()).AsSpan(0, Id16.Size));

    /// <summary>As the two numbers of a leaf.</summary>
    public static (ulong B, ulong C) Numbers(Id16 mark)
    {
        var bytes = mark.ToArray();
        return (BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(8)));
    }

    /// <summary>From the two numbers of a leaf.</summary>
    public static Id16 MarkOf(Leaf leaf)
    {
        Span<byte> bytes = stackalloc byte[Id16.Size];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, leaf.B);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], leaf.C);
        return new Id16(bytes);
    }
}
