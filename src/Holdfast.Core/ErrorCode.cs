namespace Holdfast.Core;

/// <summary>Stable across versions: printed, documented at docs/errors.md, and the exit status of the process.</summary>
/// <remarks>A number is never reused. 3 is no exception: a backup that had to leave files out ends with it.</remarks>
public enum ErrorCode
{
    None = 0,
    Internal = 1,
    Usage = 2,
    Incomplete = 3,

    VaultMissing = 10,
    VaultExists = 11,
    WrongKey = 12,
    WrongVault = 13,
    FormatNewer = 14,
    NoPermission = 15,
    ReadOnlyMedia = 16,
    KeyFileBad = 17,
    VaultBusy = 18,
    KeyTooNarrow = 19,

    PackMissing = 20,
    PackDamaged = 21,
    ObjectMissing = 22,
    ObjectDamaged = 23,
    Truncated = 24,
    ForeignFile = 25,
    ChunkMissing = 26,
    SnapshotMissing = 27,
    IndexDamaged = 28,
    SnapshotDefective = 29,

    LockRefused = 30,
    QuorumMissing = 31,
    QuotaExceeded = 32,
    ClockInDoubt = 33,
    CommitRefused = 34,
    LockTooLong = 35,
    NotConfirmed = 36,

    LogForked = 40,
    LogDamaged = 41,
    ProofInvalid = 42,
    SnapshotRefused = 43,
    LeafRefused = 44,
    VaultIsCopy = 45,
    GuardStateDamaged = 46,
    GuardStateFull = 48,
    NotWitnessed = 49,

    SourceMissing = 50,
    SourceUnreadable = 51,
    ProducerFailed = 52,
    TargetNotEmpty = 53,
    TargetUnsafe = 54,
    RestoreMismatch = 55,
    TargetMissing = 56,
    ErasureApplies = 57,
    JobOverdue = 58,
    LandingAlarm = 59,

    DiskFull = 60,
    StoreUnavailable = 61,
    OutputFailed = 62,
    SystemLimit = 63,
    KeyringFull = 64,
    StoreUnsafe = 65,
    SessionLost = 66,
    AgentUnproved = 67,
    RunDone = 68,
    DatabaseUnavailable = 69,

    SharesTooFew = 70,
    ShareBad = 71,
    AttestationLate = 72,

    Interrupted = 130,
}
