using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>A keeper in a process of its own, most often on another machine: what it keeps is read and stored through it, and what changes its log is asked of it (docs/protocol.md). Nothing that it says is believed
/// which its log has not signed and this side has not checked.</summary>
public interface IRemoteKeeper : IStore
{
    /// <summary>Where it is, as its vault is named to a user: <c>https://HOST:PORT/</c>.</summary>
    string Place { get; }

    /// <summary>What of its log this side lacks.</summary>
    /// <param name="size">Leaves that are here.</param>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>, <c>NoPermission</c>.</exception>
    RemoteLog LogFrom(long size);

    /// <summary>Asks for a change.</summary>
    /// <param name="request">A <see cref="KeeperRequest"/>.</param>
    /// <returns>What is answered to a request of that kind; most often nothing.</returns>
    /// <exception cref="HoldfastException">What the keeper refuses it with.</exception>
    byte[] Ask(KeeperRequest request);
}

/// <summary>A keeper's log from some leaf on, as it tells it.</summary>
/// <param name="Checkpoint">The note of the checkpoint that covers them.</param>
/// <param name="Leaves">In order; none where it has no more.</param>
/// <param name="Now">Its vault clock, seconds since 1970.</param>
/// <param name="Passed">Seconds since 1970 that have passed for certain by it.</param>
public sealed record RemoteLog(string Checkpoint, IReadOnlyList<byte[]> Leaves, ulong Now, ulong Passed);
