using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core.Approvals;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.Commands;

/// <summary>A request as those read it who are to approve of it.</summary>
static class RequestWords
{
    /// <summary>What it would do, as a list of lines; the first says all of it in short.</summary>
    public static IReadOnlyList<string> Of(ApprovalRequest asked) => asked switch
    {
        ApprovalRequest.Policy policy => [$"have later snapshots of {(policy.Source.IsNone ? "all sources without a policy of their own" : $"source {policy.Source}")} kept by another policy; what is locked stays locked", .. Changes(policy.Before, policy.After)],
        ApprovalRequest.Time time =>
        [
            $"have the vault's clock set forward by {Text.Duration(TimeSpan.FromSeconds(time.Forward))}; all locks and holds end so much later by it, none sooner",
            $"when this was made it was {Text.Time(time.Now)}: look at another clock than this machine's before you sign",
            $"the vault had counted to {Text.Time(time.Counted)} then",
        ],
        ApprovalRequest.Approvers approvers => [$"have {approvers.After.Quorum} of these {approvers.After.People.Count} approve from then on, and nobody else", .. approvers.After.People.Select(p => p.ToString())],
        ApprovalRequest.Succession succession => [$"have {succession.After.Quorum} of these {succession.After.People.Count} approve in place of those there are, at the word of whoever has the opening key", .. succession.After.People.Select(p => p.ToString())],
        ApprovalRequest.Witnesses { After.Count: 0 } => ["have NO witness cosign the log from then on"],
        ApprovalRequest.Witnesses witnesses => ["have these witnesses cosign the log from then on, and no other", .. witnesses.After],
        ApprovalRequest.HoldLonger longer => [$"have the legal hold of {Text.Count(longer.Snapshots.Count, "snapshot")} stand, and {(longer.Snapshots.Count == 1 ? "its lock" : "their locks")} last, until {Text.Time(longer.HeldUntil)}", .. longer.Snapshots.Select(s => s.ToString())],
        ApprovalRequest.HoldLifted lifted => [$"lift the legal hold of {Text.Count(lifted.Snapshots.Count, "snapshot")}; {(lifted.Snapshots.Count == 1 ? "its lock stays as long as it is" : "their locks stay as long as they are")}", .. lifted.Snapshots.Select(s => s.ToString())],
        ApprovalRequest.Revoke revoke => [$"believe agent {revoke.Agent} no longer: it commits nothing from then on"],
        ApprovalRequest.Release release => [$"let what emergency {Text.Id(release.Emergency)} restored (snapshot {Text.Id(release.Snapshot)}) out of its isolated place{(release.BegunBy.IsNone ? "" : $"; approver {Text.Id(release.BegunBy)} began it")}"],
        ApprovalRequest.Unmark unmark => [$"have {(unmark.Source.IsNone ? "all sources together" : $"source {unmark.Source}")} marked as sensitive NO LONGER: what {(unmark.Source.IsNone ? "those hold that have no mark of their own" : "it holds")} is restored by one person, out of isolation, from then on"],
        _ => ["something that this version does not know"],
    };

    static IEnumerable<string> Changes(RetentionPolicy before, RetentionPolicy after)
    {
        if (before.Base != after.Base)
            yield return $"lock: {Text.Span(before.Base)} -> {Text.Span(after.Base)}{Less(after.Base < before.Base)}";
        foreach (var (name, was, now) in new[] { ("weeks", before.Weeks, after.Weeks), ("months", before.Months, after.Months), ("years", before.Years, after.Years) })
        {
            if (was != now)
                yield return $"{name} kept: {was} -> {now}{Less(now < was)}";
        }
        foreach (var (name, was, now) in new[] { ("new data a day", before.DailyQuota, after.DailyQuota), ("data locked", before.LockedQuota, after.LockedQuota) })
        {
            if (was != now)
                yield return $"{name}: {Quota(was)} -> {Quota(now)}{Less(now != 0 && (was == 0 || now < was))}";
        }
    }

    static string Less(bool isLess) => isLess ? "   LESS" : "";

    static string Quota(ulong bytes) => bytes == 0 ? "no limit" : "at most " + Text.Bytes(bytes);

    /// <summary>When it comes into force, of one that is not approved yet.</summary>
    public static string Effect(ApprovalRequest asked) => asked is ApprovalRequest.Succession ? "30 days after it is submitted (a minute in a trial vault), with the next change of the vault, unless one approver objects" : asked.Cools ? "three days after it is approved (a minute in a trial vault), with the next change of the vault, unless one approver objects" : "as soon as it is approved";

    /// <summary>By which people tell each other that they have the same request in front of them: 128 bits of its SHA-256, since who makes requests could make two that agree in fewer.</summary>
    public static string Code(byte[] request) => string.Join('-', Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(request).AsSpan(0, 16)).Chunk(4).Select(c => new string(c)));

    /// <summary>What was typed is that code; hyphens and blanks do not count.</summary>
    public static bool IsCode(string typed, byte[] request) => string.Equals(typed.Replace("-", "", StringComparison.Ordinal).Replace(" ", "", StringComparison.Ordinal), Code(request).Replace("-", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase);

    public static string State(RequestRecord record, ulong now) => record switch
    {
        { Objected: > 0 } => $"OBJECTED to{(record.Objector.IsNone ? "" : $" by approver {Text.Id(record.Objector)}")}: it has no effect",
        { IsLapsed: true } => "LAPSED: what it would change was changed by something else first, or others approve by now; it has no effect",
        { InForce: > 0 } => $"in force since {Text.Time(record.InForce)}",
        _ when record.From > now => $"{Word(record)} {Text.Time(record.Approved)}; in force from {Text.Time(record.From)}, unless one approver objects",
        _ => $"{Word(record)}, and in force with the next change of the vault: too late for an objection",
    };

    static string Word(RequestRecord record) => record.Asked is ApprovalRequest.Succession ? "SIGNED WITH THE OPENING KEY" : "approved";

    public static string StateName(RequestRecord record) => record switch
    {
        { Objected: > 0 } => "objected",
        { IsLapsed: true } => "lapsed",
        { InForce: > 0 } => "inForce",
        _ => "approved",
    };

    public static void Write(Utf8JsonWriter w, ApprovalRequest asked)
    {
        w.WriteString("request", asked.Head.Id.ToString());
        w.WriteString("vault", asked.Head.Vault.ToString());
        w.WriteString("kind", asked.Kind.ToString());
        w.WriteString("requester", asked.Head.Requester.ToString());
        w.WriteString("made", Text.Iso(asked.Head.Made));
        w.WriteString("until", Text.Iso(asked.Head.Until));
        w.WriteStartArray("asks");
        foreach (var line in Of(asked))
            w.WriteStringValue(line);
        w.WriteEndArray();
    }
}
