using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core.Keeper;

namespace Holdfast.Cli.Commands;

/// <summary>What is said where a policy's object cannot be read: no lock gets shorter by it, and some get longer than they need be.</summary>
static class PolicyDoubt
{
    const string Property = "unreadablePolicies";

    /// <summary>Null where there is none.</summary>
    public static string? Words(IEnumerable<LostPolicy> policies)
    {
        var lost = policies.ToList();
        if (lost.Count == 0)
            return null;
        var isTold = lost.TrueForAll(l => l.Told is not null);
        return $"A POLICY CANNOT BE READ (object {string.Join(", ", lost.Select(l => l.Name))}), and of which source it is: until it is brought back from another copy of the vault, new snapshots of every source that it may be of are locked for as long as it asks for, "
            + $"or the one before it, whichever is longer, and their QUOTAS are the largest that any of these sets, or none where one sets none{(isTold ? "" : ". It was set by an earlier version, and all that is known of it are the locks it gave: where those are too short, lengthen new ones (holdfast lock)")}";
    }

    public static void Write(Utf8JsonWriter w, IEnumerable<LostPolicy> policies)
    {
        w.WriteStartArray(Property);
        foreach (var policy in policies)
            w.WriteStringValue(policy.Name.ToString());
        w.WriteEndArray();
    }

    /// <summary>On its own line, where there is one.</summary>
    /// <param name="session">Whose output.</param>
    /// <param name="policies">Those that cannot be read.</param>
    /// <param name="before">What the line begins with.</param>
    public static void Print(Session session, IEnumerable<LostPolicy> policies, string before)
    {
        if (Words(policies) is { } words)
            session.Line(before + words);
    }
}
