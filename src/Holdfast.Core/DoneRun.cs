using Holdfast.Core.Log;

namespace Holdfast.Core;

/// <summary>A named run that was found committed, by a leaf that was checked here.</summary>
/// <param name="Snapshot">Its id.</param>
/// <param name="Committed">Vault time.</param>
/// <param name="Proof">Leaf, audit path and checkpoint.</param>
public sealed record DoneRun(Id16 Snapshot, ulong Committed, LogProof Proof);
