using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.Commands;

/// <summary>What `status` says of legal holds, and of what people approved that is not in force yet: all who look at a vault see it coming.</summary>
static class GovernanceReport
{
    const ulong Soon = 7 * RetentionPolicy.Day;

    /// <summary>Title and text of each line; a title that is empty goes on with the one above.</summary>
    public static IEnumerable<(string Title, string Text)> Lines(Vault vault)
    {
        var (state, now) = (vault.State, vault.Keeper.Clock.Now);
        var held = state.HeldAt(now).ToList();
        if (held.Count > 0)
        {
            var first = held.Min(s => s.HeldUntil);
            yield return ("Legal hold", $"{Text.Count(held.Count, "snapshot")}; the first hold ends {Text.Time(first)}{(first - now < Soon ? $": IN {Text.Span(first - now).ToUpperInvariant()}; `holdfast {(state.Approvers.IsNobody ? "hold renew" : "approval request hold")}` has it stand for longer" : "")}");
        }
        if (!state.Approvers.IsNobody)
        {
            var people = state.Approvers;
            yield return ("Approvers", $"{people.Quorum} of {people.People.Count} approve what weakens protection{(people.Quorum == people.People.Count ? "; WITHOUT ONE TO SPARE: one lost key, and nothing can be approved until the opening key has replaced them, which takes 30 days" : "")}");
            foreach (var request in state.Requests.Where(r => r.IsWaiting))
                yield return ("", $"APPROVED, {Text.Id(request.Id)}: to {RequestWords.Of(request.Asked)[0]}; in force from {Text.Time(request.From)}, unless one approver objects (holdfast approval get {Text.Id(request.Id)} --out FILE)");
        }
    }

    public static void Write(Utf8JsonWriter w, Vault vault)
    {
        var (state, now) = (vault.State, vault.Keeper.Clock.Now);
        w.WriteNumber("held", state.HeldAt(now).Count());
        if (state.HeldAt(now).Select(s => s.HeldUntil).DefaultIfEmpty().Min() is var first and > 0)
            w.WriteString("firstHoldEnds", Text.Iso(first));
        w.WriteNumber("approvers", state.Approvers.People.Count);
        w.WriteNumber("quorum", state.Approvers.Quorum);
        w.WriteNumber("requestsApprovedAndNotInForce", state.Requests.Count(r => r.IsWaiting));
    }
}
