using System.Buffers;

namespace Holdfast.Core.Grants;

/// <summary>A clean room that granted a restore, as an agent's host reaches it (docs/protocol.md). Safe for concurrent use.</summary>
public interface IGrant
{
    /// <summary>Where it is: <c>https://HOST:PORT/</c>.</summary>
    string Place { get; }

    /// <summary>Fingerprints of the certificates of this connection: the agent's, and the clean room's.</summary>
    (Hash32 Client, Hash32 Server) Ends { get; }

    /// <summary>Asks, and rides over cuts for as long as its patience lasts.</summary>
    /// <exception cref="HoldfastException">What the clean room refuses it with; <c>StoreUnavailable</c>.</exception>
    GrantReply Ask(GrantRequest request);
}

/// <summary>An answer, in memory that is used again once it is disposed of.</summary>
/// <param name="owner">Of the memory.</param>
/// <param name="length">Bytes of it that are the answer.</param>
public sealed class GrantReply(IMemoryOwner<byte> owner, int length) : IDisposable
{
    public ReadOnlyMemory<byte> Bytes => owner.Memory[..length];

    public void Dispose() => owner.Dispose();
}
