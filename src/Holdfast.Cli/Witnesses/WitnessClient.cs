using Holdfast.Core.Log;

namespace Holdfast.Cli.Witnesses;

/// <summary>A witness as a log sees it (C2SP tlog-witness).</summary>
/// <param name="Key">Whose cosignatures count.</param>
/// <param name="Url">Where it answers; ends with a slash.</param>
public abstract record WitnessClient(CosignerKey Key, Uri Url)
{
    /// <summary>Has it cosign a checkpoint.</summary>
    /// <param name="tree">Gives the proof, from whatever size it says that it saw last. Not changed meanwhile.</param>
    /// <param name="checkpoint">Of that tree.</param>
    /// <param name="old">What it saw last, as far as is known.</param>
    /// <param name="ct">Ends it.</param>
    public abstract Task<WitnessOutcome> AskAsync(MerkleTree tree, Checkpoint checkpoint, long old, CancellationToken ct);

    /// <summary>The checkpoint that it cosigned last, where it shows one that bears its cosignature; else why not.</summary>
    public abstract Task<(Checkpoint? Latest, string Why)> LatestAsync(string origin, CancellationToken ct);
}

/// <summary>What came of asking a witness.</summary>
public abstract record WitnessOutcome
{
    /// <param name="Checkpoint">With its cosignature.</param>
    public sealed record Cosigned(Checkpoint Checkpoint) : WitnessOutcome;

    /// <summary>It has cosigned nothing this time; that says nothing against the log.</summary>
    public sealed record Away(string Why) : WitnessOutcome;

    /// <summary>It has seen more than the log here holds, or another history.</summary>
    /// <param name="Size">So many leaves.</param>
    /// <param name="Theirs">What it cosigned, where it shows it; without the log's own signature it is no proof of anything.</param>
    public sealed record Seen(long Size, Checkpoint? Theirs) : WitnessOutcome;
}
