using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Cli.Commands;

/// <summary>What the sources of time say, for `status` and `expire`: which of them hold an expiry up, and what to do.</summary>
static class TimeReport
{
    /// <summary>What a source outside this machine that says nothing does.</summary>
    public static string Frozen(TimeSource silent) =>
        $"{Name(silent)} {(silent.Says == 0 ? "has never said what time it is" : $"said last that it is {Text.Time(silent.Says)}")}: nothing is given up whose lock ended later. Backups go on";

    /// <summary>State, reasons, then each source.</summary>
    public static IEnumerable<string> Lines(VaultTime time)
    {
        yield return time.State switch
        {
            TimeState.Sure => $"sure: {(time.Outside.Any() ? $"{time.Sources.Count} sources agree, to a day" : "this machine's clock and what the vault has counted agree, to a day; no source outside this machine is asked")}",
            TimeState.Unknown => "unknown here: `holdfast status` on the keeper's machine says what its sources of time do",
            TimeState.Frozen => $"FROZEN: {string.Join("; ", time.Silent.Select(Frozen))}",
            _ => "IN DOUBT",
        };
        foreach (var source in time.Ahead)
            yield return $"{Name(source)} says that it is {Text.Time(source.Says)}, {Text.Duration(TimeSpan.FromSeconds(source.Says - time.Counted))} later than the vault has counted";
        foreach (var source in time.Sources)
            yield return $"{Name(source)}: {(source.Says == 0 ? "nothing yet" : Text.Time(source.Says))}{(source.Kind == TimeSourceKind.Witness && source.Says > 0 ? $", {Age(time, source)}" : "")}";
    }

    /// <summary>What to do; null where there is nothing.</summary>
    public static string? Advice(VaultTime time, Vault vault)
    {
        var steps = new List<string>();
        if (time.Silent.Any(s => s.Kind == TimeSourceKind.Witness))
            steps.Add($"see that `holdfast log cosign --every 5m` runs and that the witness can be reached; one that will not come back is replaced by approval (holdfast approval request witnesses){(vault.State.Approvers.IsNobody ? ", which this vault has no approvers for: then nothing of it is given up any more" : "")}");
        if (time.Silent.Any(s => s.Kind == TimeSourceKind.Store))
            steps.Add("see that the object store answers, and that its clock is right");
        if (time.State != TimeState.Unknown && time.Ahead.Where(s => s.Says > time.Wall + VaultTime.Doubt).ToList() is { Count: > 0 } ahead)
            steps.Add($"{string.Join(" and ", ahead.Select(Name))} {(ahead.Count == 1 ? "is" : "are")} ahead of this machine too: see which clock is wrong. One that is ahead ends no lock{(ahead.Exists(s => s.Kind == TimeSourceKind.Witness) && !vault.State.Approvers.IsNobody ? "; a witness can be replaced by approval (holdfast approval request witnesses)" : "")}");
        if (time.State == TimeState.Doubted && time.Counted < time.Wall)
            steps.Add(vault.State.Approvers.IsNobody ? "once this machine's clock is right, nothing has to be mended: the vault's goes on from where it is" : "once this machine's clock is right, `holdfast approval request time` has the vault's clock set right by its approvers; no lock ends sooner by it");
        return steps.Count == 0 ? null : string.Join(". ", steps.Select(s => char.ToUpperInvariant(s[0]) + s[1..]));
    }

    static string Name(TimeSource source) => source.Kind switch
    {
        TimeSourceKind.Wall => "this machine's clock",
        TimeSourceKind.Counted => "counted by the vault",
        TimeSourceKind.Witness => $"witness {source.Name}",
        _ => "the object store",
    };

    static string Age(VaultTime time, TimeSource source) => source.Says > time.Wall ? "by its clock, which is ahead of this machine's" : $"{Text.Duration(TimeSpan.FromSeconds(time.Wall - source.Says))} ago";

    public static void Write(Utf8JsonWriter w, VaultTime time)
    {
        w.WriteStartObject("time");
        w.WriteString("state", time.State switch { TimeState.Sure => "sure", TimeState.Frozen => "frozen", TimeState.Unknown => "unknown", _ => "doubted" });
        w.WriteString("certain", Text.Iso(time.Certain));
        w.WriteStartArray("sources");
        foreach (var source in time.Sources)
        {
            w.WriteStartObject();
            w.WriteString("source", source.Kind switch { TimeSourceKind.Wall => "wall", TimeSourceKind.Counted => "counted", TimeSourceKind.Witness => "witness", _ => "store" });
            if (source.Name.Length > 0)
                w.WriteString("name", source.Name);
            if (source.Says > 0)
            {
                w.WriteString("says", Text.Iso(source.Says));
                w.WriteNumber("ageSeconds", (long)time.Wall - (long)source.Says);
            }
            w.WriteBoolean("stopsExpiry", time.Silent.Contains(source));
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteEndObject();
    }
}
