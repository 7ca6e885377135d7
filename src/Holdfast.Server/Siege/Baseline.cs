using System.Globalization;
using System.Text.Json;
using Holdfast.Cli.Siege;
using Holdfast.Core;

namespace Holdfast.Server.Siege;

/// <summary>What a vault held before it was attacked, and whether it does still: read by Holdfast's own commands, and the restored files compared byte for byte.</summary>
/// <param name="stage">Runs them.</param>
/// <param name="vault">The vault's folder.</param>
/// <param name="keys">Key folder with the opening key.</param>
/// <param name="sources">What was backed up, by the id of each source's newest snapshot: folders that nobody else touches.</param>
sealed class Baseline(Stage stage, string vault, string keys, IReadOnlyDictionary<string, string> sources)
{
    IReadOnlyDictionary<string, DateTimeOffset> _locks = new Dictionary<string, DateTimeOffset>();

    public string Vault => vault;
    public string Keys => keys;
    public IReadOnlyDictionary<string, string> Sources => sources;

    /// <summary>Whether a snapshot was there before.</summary>
    public bool Known(string snapshot) => _locks.ContainsKey(snapshot);

    string Checkpoint => stage[$"judge/checkpoint-{Path.GetFileName(Path.GetDirectoryName(vault))}"];

    /// <summary>Notes what is there.</summary>
    public Baseline Noted()
    {
        stage.Holdfast(["log", "checkpoint", "--vault", vault, "--out", Checkpoint]);
        _locks = Locks(vault) ?? throw Tools.Broken("its snapshots cannot be listed");
        return this;
    }

    /// <summary>Ends of locks by snapshot; null where they cannot be listed.</summary>
    public IReadOnlyDictionary<string, DateTimeOffset>? Locks(string at)
    {
        var listed = stage.Try(["snapshots", "--json", "--vault", at, "--keys", stage.Forgetful(this)]);
        if (listed.Status != 0)
            return null;
        using var parsed = JsonDocument.Parse(listed.Out);
        return parsed.RootElement.GetProperty("snapshots").EnumerateArray().ToDictionary(s => s.GetProperty("id").GetString()!, s => s.GetProperty("lockedUntil").GetDateTimeOffset());
    }

    /// <summary>How many leaves of each type its log has.</summary>
    public IReadOnlyDictionary<string, int> Leaves()
    {
        using var log = JsonDocument.Parse(stage.Holdfast(["log", "entries", "--json", "--vault", vault]).Out);
        return log.RootElement.GetProperty("entries").EnumerateArray().Select(e => e.GetProperty("type").GetString()!).GroupBy(t => t).ToDictionary(g => g.Key, g => g.Count());
    }

    /// <summary>Looks at the vault, or at a copy of it.</summary>
    /// <param name="at">The copy's folder; null for the vault's own.</param>
    public Finding Look(string? at = null)
    {
        at ??= vault;
        var verified = stage.Try(["verify", "--vault", at]);
        if (verified.Status != 0)
            return new Finding(true, true, $"`holdfast verify` ends with {verified.Status}: {Stage.Code(verified)}");
        foreach (var (snapshot, source) in sources)
        {
            var target = stage.Fresh("restored");
            var restored = stage.Try(["restore", snapshot, target, "--vault", at, "--keys", stage.Forgetful(this)]);
            if (restored.Status != 0)
                return new Finding(true, true, $"`holdfast restore` ends with {restored.Status}: {Stage.Code(restored)}");
            if (!IsSame(source, target))
                return new Finding(true, false, "what was restored differs from what was backed up");
        }
        var log = stage.Try(["log", "verify", "--since", Checkpoint, "--vault", at]);
        var isUnseen = Stage.Code(log) == nameof(ErrorCode.NotWitnessed); // a witness that lies is told, and the log is as it was
        if (log.Status != 0 && !isUnseen)
            return new Finding(true, true, $"`holdfast log verify` ends with {log.Status}: {Stage.Code(log)}");
        var locks = Locks(at);
        foreach (var (snapshot, until) in _locks)
        {
            if (locks is null || !locks.TryGetValue(snapshot, out var now))
                return new Finding(true, false, "a snapshot is no longer listed");
            if (now < until)
                return new Finding(true, false, "a lock ends earlier than before");
        }
        return new Finding(false, false, string.Create(CultureInfo.InvariantCulture, $"verify, restore of {sources.Count} byte for byte, log and lock ends as before{(isUnseen ? "; `holdfast log verify` tells NotWitnessed" : "")}"));
    }

    /// <summary>Whether two folders have the same files, and the same bytes in them.</summary>
    internal static bool IsSame(string one, string other)
    {
        static string[] Names(string folder) => [.. Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder, f)).Order(StringComparer.Ordinal)];
        var names = Names(one);
        return names.Length > 0 && names.SequenceEqual(Names(other)) && Array.TrueForAll(names, n => File.ReadAllBytes(Path.Combine(one, n)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(other, n))));
    }
}
