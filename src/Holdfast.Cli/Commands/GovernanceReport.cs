using System.Text.Json;
using Holdfast.Cli.Emergencies;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.Commands;

/// <summary>What `status` says of legal holds, and of what people approved that is not in force yet: all who look at a vault see it coming.</summary>
static class GovernanceReport
{
    const ulong Soon = 7 * RetentionPolicy.Day;
    const ulong Month = 30 * RetentionPolicy.Day;

    /// <summary>Title and text of each line; a title that is empty goes on with the one above.</summary>
    public static IEnumerable<(string Title, string Text)> Lines(Vault vault)
    {
        var (state, now) = (vault.State, vault.Keeper.Clock.Now);
        foreach (var (line, i) in Shown(vault).Select(e => EmergencyCommand.Words(state, e) + (e.IsOpen ? " (holdfast emergency list)" : "")).Concat(state.LostEmergencies.Select(EmergencyCommand.Words)).Select((l, i) => (l, i)))
            yield return (i == 0 ? "EMERGENCIES" : "", line);
        if (EmergencyRecords.Kept(vault.Id).Count is var kept and > 0)
            yield return ("", $"{Text.Count(kept, "step")} of emergencies on this machine {(kept == 1 ? "is" : "are")} NOT IN THE LOG YET");
        if (EmergencyRecords.CountRefused(vault.Id) is var refused and > 0)
            yield return ("", $"{Text.Count(refused, "step")} of emergencies on this machine {(refused == 1 ? "was" : "were")} NOT TAKEN by the log, and {(refused == 1 ? "is" : "are")} kept here");
        if (state.Sensitive.Count > 0)
            yield return ("Sensitive", $"{(state.Sensitive.ContainsKey(Id16.None) ? "ALL SOURCES are marked: what they hold" : $"{Text.Count(state.Sensitive.Count, "source is", "sources are")} marked: what {(state.Sensitive.Count == 1 ? "it holds" : "they hold")}")} is restored into isolation alone, and comes out with {Math.Max(ApprovalRequest.LeastForSensitive, (int)state.Approvers.Quorum)} approvers or a recorded clinical emergency (holdfast policy show)");
        var held = state.HeldAt(now).ToList();
        if (held.Count > 0)
        {
            var first = held.Min(s => s.HeldUntil);
            yield return ("Legal hold", $"{Text.Count(held.Count, "snapshot")}; the first hold ends {Text.Time(first)}{(first - now < Soon ? $": IN {Text.Span(first - now).ToUpperInvariant()}; `holdfast {(state.Approvers.IsNobody ? "hold renew" : "approval request hold")}` has it stand for longer" : "")}");
        }
        foreach (var line in Erasures(vault))
            yield return line;
        foreach (var (granted, i) in state.Grants.Where(g => g.IsOpen ? g.Until > now : g.Ended + Soon > now).Select((g, i) => (g, i)))
            yield return (i == 0 ? "Grants" : "", $"restore of snapshot {Text.Id(granted.Snapshot)} to the host of agent {Text.Id(granted.Agent)}, {(granted.IsOpen ? $"OPEN until {Text.Time(granted.Until)}" : $"{Text.Time(granted.Ended)}: {LeafWords.EndOf(granted.End)}")}");
        if (!state.Approvers.IsNobody)
        {
            var people = state.Approvers;
            yield return ("Approvers", $"{people.Quorum} of {people.People.Count} approve what weakens protection{(people.Quorum == people.People.Count ? "; WITHOUT ONE TO SPARE: one lost key, and nothing can be approved until the opening key has replaced them, which takes 30 days" : "")}");
            foreach (var request in state.Requests.Where(r => r.IsWaiting))
                yield return ("", $"APPROVED, {Text.Id(request.Id)}: to {RequestWords.Of(request.Asked)[0]}; in force from {Text.Time(request.From)}, unless one approver objects (holdfast approval get {Text.Id(request.Id)} --out FILE)");
        }
    }

    /// <summary>Open ones, and those that ended in the last month, however they did.</summary>
    public static IReadOnlyList<EmergencyRecord> Shown(Vault vault) =>
        [.. vault.State.Emergencies.Where(e => e.IsOpen || e.Ended + Month > vault.Keeper.Clock.Now)];

    /// <summary>Who has the opening key hides data from restores by an entry: all who look see that there are some, and how new they are. What they name is sealed.</summary>
    static IEnumerable<(string Title, string Text)> Erasures(Vault vault)
    {
        var (all, now) = (vault.State.Erasures, vault.Keeper.Clock.Now);
        if (all.Count == 0 && vault.State.LostErasures == 0)
            yield break;
        var (erased, corrected, withdrawn) = (all.Count(e => e.Entry.Kind == ErasureKind.Erased), all.Count(e => e.Entry.Kind == ErasureKind.Corrected), all.Count(e => e.Entry.Kind == ErasureKind.Withdrawn));
        yield return ("Erasures", $"{Text.Count(erased, "entry", "entries")} of what restores leave out, {corrected} of what was corrected, {withdrawn} withdrawn (holdfast erasure list, with the opening key)");
        if (all.Count(e => e.Entry.Kind == ErasureKind.Erased && now - Math.Min(now, e.Made) < Soon) is var recent and > 0)
            yield return ("", $"{recent} OF THEM NEW in {Text.Span(Soon)}: are they known to the data protection officer? Nothing that they name is lost; `holdfast erasure withdraw` undoes one");
        if (vault.State.LostErasures is var lost and > 0)
            yield return ("", $"{Text.Count(lost, "entry", "entries")} CANNOT BE READ: restores cannot apply {(lost == 1 ? "it" : "them")}");
    }

    public static void Write(Utf8JsonWriter w, Vault vault)
    {
        var (state, now) = (vault.State, vault.Keeper.Clock.Now);
        w.WriteNumber("held", state.HeldAt(now).Count());
        if (state.HeldAt(now).Select(s => s.HeldUntil).DefaultIfEmpty().Min() is var first and > 0)
            w.WriteString("firstHoldEnds", Text.Iso(first));
        w.WriteBoolean("allSourcesSensitive", state.Sensitive.ContainsKey(Id16.None));
        w.WriteNumber("sourcesSensitive", state.Sensitive.Keys.Count(s => !s.IsNone));
        w.WriteNumber("emergenciesOpen", state.Emergencies.Count(e => e.IsOpen));
        w.WriteNumber("emergencyStepsUnreadable", state.LostEmergencies.Count);
        w.WriteNumber("emergenciesNotInTheLogYet", EmergencyRecords.Kept(vault.Id).Count);
        w.WriteNumber("emergenciesRefusedByTheLog", EmergencyRecords.CountRefused(vault.Id));
        w.WriteNumber("grantsOpen", state.Grants.Count(g => g.IsOpen && g.Until > now));
        w.WriteNumber("erasuresEntered", state.Erasures.Count(e => e.Entry.Kind != ErasureKind.Withdrawn));
        w.WriteNumber("erasuresWithdrawn", state.Erasures.Count(e => e.Entry.Kind == ErasureKind.Withdrawn));
        w.WriteNumber("erasuresUnreadable", state.LostErasures);
        w.WriteNumber("approvers", state.Approvers.People.Count);
        w.WriteNumber("quorum", state.Approvers.Quorum);
        w.WriteNumber("requestsApprovedAndNotInForce", state.Requests.Count(r => r.IsWaiting));
    }
}
