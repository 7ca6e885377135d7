using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Keeper;

/// <summary>A committed snapshot as the log and its object tell it: nothing here needs a key.</summary>
public sealed class SnapshotRecord
{
    /// <summary>Index of the commit leaf.</summary>
    public required ulong Ordinal { get; init; }
    public required Id16 Snapshot { get; init; }

    /// <summary>Name of the snapshot object.</summary>
    public required Hash32 Name { get; init; }
    public required Id16 Agent { get; init; }

    /// <summary>Vault time of the commit.</summary>
    public required ulong Committed { get; init; }

    /// <summary>Seconds from its commit to the end of the lock that it was committed with.</summary>
    public ulong Promised { get; init; }

    /// <summary>Bytes of packs that the commit brought, as the keeper counted them.</summary>
    public long Added { get; init; }

    /// <summary>Packs in its set, as the keeper counted them.</summary>
    public ulong PackCount { get; init; }

    /// <summary>Seconds since 1970: locked until then at least. Extensions lengthen it.</summary>
    public required ulong Expiry { get; set; }

    /// <summary>Seconds of it that came of the vault's clock being set forward: no longer lock, but the same by another reckoning.</summary>
    public ulong Moved { get; set; }

    /// <summary>The parsed object without its sections (<see cref="SnapshotObject.Head"/>); null where it is missing or damaged, or was removed after its lock had ended.</summary>
    public SnapshotObject? Object { get; init; }

    /// <summary>The snapshot that its pack set is told as a difference to. Null where it is told whole, and where it cannot be told: what it builds on was not committed before it, or too many differences follow each other.</summary>
    public SnapshotRecord? BuildsOn { get; init; }

    /// <summary>How many snapshots in a row, up to this one, tell their pack set as a difference.</summary>
    public int Differences { get; init; }

    /// <summary>The snapshot objects that tell which packs it needs: its own, and those its pack set is told as a difference to.</summary>
    public IEnumerable<Hash32> ToldBy()
    {
        for (var at = this; at is not null; at = at.BuildsOn)
            yield return at.Name;
    }

    /// <summary>Bytes of the object; 0 where it cannot be read.</summary>
    public long ObjectSize { get; init; }

    /// <summary>True once an expiry leaf gave up its object or one of its packs, and their locks were over.</summary>
    public bool IsRemoved { get; set; }

    /// <summary>The latest moment by which an expiry whose time has not come, by this machine's clock, gives up its object or one of its packs, whose locks would be over by then; 0 where none does.</summary>
    public ulong AwaitedAt { get; set; }

    /// <summary>The vault time by which it was judged.</summary>
    public ulong RemovedAt { get; set; }

    /// <summary>The enrolment of its agent as it stood at the commit: what was signed before an agent was revoked stays signed. Null where there was none, or its object cannot be read.</summary>
    public Enrolment? Signer { get; init; }

    /// <summary>The object of that enrolment, where it is missing or damaged: whether its agent signed it cannot be told. Else none.</summary>
    public Hash32 LostSigner { get; init; }

    /// <summary>Its agent, as enrolled then, signed it, as this snapshot and no other: a signature covers neither the salt nor the packs, and fits a second object too.</summary>
    public bool IsSigned => _isSigned ??= Signer is { } signer && Object is { } snapshot && snapshot.Snapshot == Snapshot && snapshot.IsSignedBy(Agent, signer.PublicKey);

    bool? _isSigned;

    /// <summary>Vault time of the newest attestation without defects, or 0; 0 also while there are defects.</summary>
    public ulong Attested { get; set; }

    /// <summary>Vault time of the newest attestation of everything without defects, or 0.</summary>
    public ulong FullyAttested { get; set; }
    public bool IsFullyAttested => FullyAttested > 0;

    /// <summary>Vault time of the newest attestation without defects by which each pack of its set had been opened to its last chunk, or 0.</summary>
    public ulong Opened { get; set; }

    /// <summary>Defects an attestation found, until one of everything finds none; and its vault time.</summary>
    public ulong Defects { get; set; }
    public ulong DefectsFound { get; set; }

    /// <summary>Vault time when the first of them was found, since it had none.</summary>
    public ulong DefectsSince { get; set; }

    /// <summary>The newest attestation with defects, where its object can be read, and the ordinal of its leaf.</summary>
    public (ulong Ordinal, AttestationObject? Object) DefectsIn { get; set; }

    /// <summary>Its <see cref="Expiry"/> at that leaf.</summary>
    public ulong ExpiryThen { get; set; }

    /// <summary>Vault time of the newest restore that the log has, or 0.</summary>
    public ulong Restored { get; set; }

    /// <summary>How many entries the erasure register left out of that restore.</summary>
    public ulong RestoredWithout { get; set; }

    /// <summary>Seconds since 1970 until which a legal hold stands; 0 without one.</summary>
    public ulong HeldUntil { get; set; }

    /// <summary>Vault time when it was first held; 0 where it never was.</summary>
    public ulong FirstHeld { get; set; }

    public Id16 Source => Object?.Source ?? Id16.None;
}
