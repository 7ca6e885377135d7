namespace Holdfast.Core.Keeper;

/// <summary>One restore that was granted to an agent's host, as the log tells it. A record of it opens nothing: what does is a clean room with the opening key, while it runs.</summary>
/// <param name="Made">Vault time.</param>
/// <param name="Snapshot">Which.</param>
/// <param name="Agent">To whose host.</param>
/// <param name="Until">Vault time.</param>
public sealed record GrantedRestore(ulong Made, Id16 Snapshot, Id16 Agent, ulong Until)
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

    public bool IsOpen => Ended == 0;
}
