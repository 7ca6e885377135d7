namespace Holdfast.Core.Gateway;

/// <summary>A gateway as an agent reaches it (docs/protocol.md). Nothing that it says is believed which the vault's log has not signed.</summary>
public interface IGateway
{
    /// <summary>Where it is: <c>https://HOST:PORT/</c>.</summary>
    string Place { get; }

    /// <summary>Fingerprints of the certificates of this connection: the agent's, and the gateway's.</summary>
    (Hash32 Client, Hash32 Gateway) Ends { get; }

    /// <summary>Bytes of small chunks that are sent with one request: less where sending is slow.</summary>
    int MostAtOnce => AgentRequest.MostChunkBytes;

    /// <summary>Asks, and rides over cuts and restarts for as long as its patience lasts.</summary>
    /// <exception cref="HoldfastException">What the gateway refuses it with; <c>StoreUnavailable</c>; <c>AgentUnproved</c>: prove first.</exception>
    byte[] Ask(AgentRequest request);
}
