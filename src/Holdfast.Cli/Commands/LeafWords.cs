using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core.Approvals;
using Holdfast.Core.Keeper;

namespace Holdfast.Cli.Commands;

/// <summary>A leaf of the log as people and programs read it. It holds ids, times and counts, so nothing personal can come of it.</summary>
static class LeafWords
{
    public static string Of(Leaf leaf)
    {
        var subject = Text.Id(leaf.Subject);
        return leaf.Type switch
        {
            LeafType.Genesis => $"{(leaf.C == (ulong)VaultKind.Trial ? "trial " : "")}vault {leaf.Subject} begins; locks of {Text.Span(leaf.A)} to {Text.Span(leaf.B)}",
            LeafType.Commit => $"commit of snapshot {subject}, locked until {Text.Time(leaf.A)}; {Text.Count(Int(leaf.C), "pack")}, {Text.Bytes(leaf.B)} of them not of its source before",
            LeafType.LockExtension => $"lock of snapshot {subject} lengthened to {Text.Time(leaf.A)}",
            LeafType.Policy => $"retention policy {subject} set",
            LeafType.Approval => leaf.B == 0 ? $"OBJECTION to request {subject}" : $"request {subject} {(leaf.A == (ulong)RequestKind.Succession ? "signed with the opening key" : $"approved by {Text.Count(Int(leaf.C), "approver")}")}: {Asked(leaf.A)}; in force from {Text.Time(leaf.B)} at the earliest",
            LeafType.InForce => $"request {subject} in force: {Asked(leaf.A)}",
            LeafType.Hold => leaf.C == (ulong)HoldChange.Lifted ? $"legal hold of snapshot {subject} lifted" : $"legal hold of snapshot {subject} {(leaf.C == (ulong)HoldChange.Set ? "set" : "renewed")}, until {Text.Time(leaf.A)}",
            LeafType.Erasure => $"erasure register, entry {subject}: {leaf.A switch { 1 => "something erased at a source", 2 => "something corrected at a source", 3 => "WITHDRAWN", _ => "of an unknown kind" }}",
            LeafType.ErasedAsked => $"what was erased at the source asked for all the same, of snapshot {subject}",
            LeafType.Emergency => $"EMERGENCY {subject}: {leaf.A switch { 1 => "restore begun", 2 => "released, as approved", 3 => "RELEASED ON ONE PERSON'S WORD, a clinical emergency", 4 => "closed", _ => "a step of an unknown kind" }}, {Text.Time(leaf.B)} by the clock there",
            LeafType.Sensitive => leaf.A == 1 ? $"{(leaf.Subject.IsNone ? "ALL SOURCES" : $"source {subject}")} marked as sensitive{(leaf.Actor.IsNone ? "" : $", by the keeper's client {Text.Id(leaf.Actor)}")}" : $"mark of source {subject}, of an unknown kind",
            LeafType.Granted => $"restore of snapshot {subject} GRANTED to the host of agent {Text.Id(leaf.Actor)}, until {Text.Time(leaf.A)} (grant {Text.Id(GrantedRestore.MarkOf(leaf))})",
            LeafType.GrantEnded => $"grant {Text.Id(GrantedRestore.MarkOf(leaf.Subject))} to agent {Text.Id(leaf.Actor)} ended: {EndOf(leaf.A & byte.MaxValue)}; {Text.Count(Int(leaf.C), "file")}, {Text.Bytes(leaf.B)}{((leaf.A & byte.MaxValue) is 1 or 2 ? " by the agent's word" : " sent")}{(leaf.A >> 8 is > 0 and var again ? $"; agent and code SHOWN ANEW {Text.Count(Int(again), "time")}" : "")}",
            LeafType.Expiry => $"expiry: {Text.Count(Int(leaf.C), "pack")} removed, {Text.Bytes(leaf.B)}, whose locks had ended by {Text.Time(leaf.A)}",
            LeafType.RestoreTest => $"restore test of snapshot {subject}: level {leaf.A} of 4, {Text.Bytes(leaf.B)} in {Text.Duration(TimeSpan.FromMilliseconds(Math.Min(leaf.C, uint.MaxValue)))}",
            LeafType.IncidentDecision => $"decision in incident {subject}",
            LeafType.AgentEnrolled => $"agent {subject} {(leaf.A == 2 ? "revoked" : "enrolled")}",
            LeafType.WriterEnrolled => leaf.C == 2 ? $"writer {subject}, epoch {leaf.A}, found BAD from leaf {leaf.B} on" : $"writer {subject}, epoch {leaf.A}, enrolled",
            LeafType.KeyEpoch => $"key epoch {leaf.A} begins",
            LeafType.Attestation => $"attestation of snapshot {subject}: {(leaf.A is 2 or 4 ? "all" : "a sample")}{(leaf.A is 3 or 4 ? ", all packs opened" : "")}, {(leaf.C == 0 ? "sound" : Text.Count(Int(leaf.C), "DEFECT", "DEFECTS"))}; {Text.Bytes(leaf.B)} read",
            LeafType.Refusals => $"{Text.Count(Int(leaf.C), "request")} REFUSED in the hour of {Text.Time(leaf.B)}{leaf.A switch { 1 => ": to shorten a lock", 2 => ": to commit what does not hold", 3 => ": to commit more than the quota allows", 4 => ": to weaken a policy", 5 => ": to have something done that takes approvals", 6 => ": of a keeper's client, for what it may not do", _ => "" }}",
            LeafType.StoreChanged => leaf.A == 2 ? "a folder of the vault retired" : "a folder added to the vault",
            LeafType.TimeEvidence => $"time evidence of source {subject}: {Text.Time(leaf.A)}",
            LeafType.Takeover => $"keeper {subject} takes over",
            LeafType.Verify => $"verify of {leaf.A switch { 1 => "bytes against names", 2 => "contents", _ => "contents as far as the key opens them, the rest against names" }}: {(leaf.C == 0 ? "sound" : Text.Count(Int(leaf.C), "DEFECT", "DEFECTS"))}; {Text.Bytes(leaf.B)} read",
            LeafType.RecoveryKit => $"recovery kit of key epoch {leaf.C}: any {leaf.A} of {Text.Count(Int(leaf.B), "share")} open",
            LeafType.Restore => $"restore of snapshot {subject}: {Text.Count(Int(leaf.C), "file")}, {Text.Bytes(leaf.B)}{(leaf.A > 0 ? $"; {Text.Count(Int(leaf.A), "entry", "entries")} left out by the erasure register" : "")}",
            LeafType.ScopedKey => $"scoped key {subject} cut: {Class(leaf.A)} of {(leaf.C == ScopedKeyRecord.AllPacks ? "all packs of its key epochs" : Text.Count(Int(leaf.C), "pack"))}{(leaf.B > 0 ? $", to be replaced by {Text.Time(leaf.B)}" : "")}",
            LeafType.SourceEnrolled => $"source {subject} enrolled",
            _ => $"of a type that this version does not know ({(int)leaf.Type})",
        };
    }

    /// <summary>Why a leaf is not believed.</summary>
    public static string Of(RefusedLeaf refused) => "NOT BELIEVED: " + refused.Fault switch
    {
        LeafFault.ExpiryOfLocked => $"it gives up {Text.Count(refused.Names.Count, "name")} whose locks were not over; these stay needed",
        LeafFault.ExpiryInFuture => "by this machine's clock its time has not come; what it names stays needed",
        LeafFault.ExpiryOvertaken => $"a later commit or longer lock holds {Text.Count(refused.Names.Count, "name")} that it gives up; these stay needed. A clock that was far ahead when it was written, or lost its time since, does this too",
        LeafFault.PolicyWeaker => "it keeps less long than the policy in force, which goes on",
        LeafFault.NotApproved => "it takes the approval of people who did not give it",
        LeafFault.Repeated => "an earlier leaf names its object, and what that one says counts",
        LeafFault.EpochWrong => "no such key epoch can begin there; the one before goes on",
        _ => "its snapshot was committed before, and the first commit counts",
    };

    /// <summary>Members that stay: those of every leaf, and what a, b and c mean in one of this type, under their own names.</summary>
    public static void Write(Utf8JsonWriter w, long index, Leaf leaf)
    {
        w.WriteNumber("leaf", index);
        w.WriteString("type", leaf.Type.ToString());
        w.WriteString("time", Text.Iso(leaf.VaultTime));
        w.WriteString("subject", leaf.Subject.ToString());
        w.WriteString("actor", leaf.Actor.ToString());
        w.WriteNumber("a", leaf.A);
        w.WriteNumber("b", leaf.B);
        w.WriteNumber("c", leaf.C);
        w.WriteString("payload", leaf.Payload.ToString());
        switch (leaf.Type)
        {
            case LeafType.Genesis:
                w.WriteString("vault", leaf.Subject.ToString());
                w.WriteBoolean("trial", leaf.C == (ulong)VaultKind.Trial);
                break;
            case LeafType.Commit:
                w.WriteString("snapshot", leaf.Subject.ToString());
                w.WriteString("lockedUntil", Text.Iso(leaf.A));
                w.WriteNumber("newBytes", leaf.B);
                w.WriteNumber("packs", leaf.C);
                break;
            case LeafType.Approval:
                w.WriteString("kind", Asked(leaf.A));
                w.WriteBoolean("objection", leaf.B == 0);
                w.WriteNumber("approvers", leaf.C);
                break;
            case LeafType.InForce:
                w.WriteString("kind", Asked(leaf.A));
                break;
            case LeafType.Hold:
                w.WriteString("snapshot", leaf.Subject.ToString());
                w.WriteString("change", leaf.C switch { 1 => "set", 2 => "renewed", 3 => "lifted", _ => "unknown" });
                if (leaf.A > 0)
                    w.WriteString("heldUntil", Text.Iso(leaf.A));
                break;
            case LeafType.LockExtension:
                w.WriteString("snapshot", leaf.Subject.ToString());
                w.WriteString("lockedUntil", Text.Iso(leaf.A));
                break;
            case LeafType.Expiry:
                w.WriteString("judged", Text.Iso(leaf.A));
                w.WriteNumber("bytesRemoved", leaf.B);
                w.WriteNumber("packsRemoved", leaf.C);
                break;
            case LeafType.AgentEnrolled:
                w.WriteBoolean("revoked", leaf.A == 2);
                break;
            case LeafType.WriterEnrolled:
                w.WriteNumber("epoch", leaf.A);
                w.WriteBoolean("bad", leaf.C == 2);
                break;
            case LeafType.KeyEpoch:
                w.WriteNumber("epoch", leaf.A);
                break;
            case LeafType.Attestation:
                w.WriteString("snapshot", leaf.Subject.ToString());
                w.WriteBoolean("full", leaf.A == 2);
                w.WriteNumber("bytesRead", leaf.B);
                w.WriteNumber("defects", leaf.C);
                break;
            case LeafType.Refusals:
                w.WriteString("hour", Text.Iso(leaf.B));
                w.WriteNumber("refused", leaf.C);
                break;
            case LeafType.Verify:
                w.WriteString("level", leaf.A switch { 1 => "names", 2 => "contents", _ => "contentsInPart" });
                w.WriteNumber("bytesRead", leaf.B);
                w.WriteNumber("defects", leaf.C);
                break;
            case LeafType.RecoveryKit:
                w.WriteNumber("threshold", leaf.A);
                w.WriteNumber("shares", leaf.B);
                w.WriteNumber("epoch", leaf.C);
                break;
            case LeafType.Restore:
                w.WriteString("snapshot", leaf.Subject.ToString());
                w.WriteNumber("bytes", leaf.B);
                w.WriteNumber("files", leaf.C);
                w.WriteNumber("leftOut", leaf.A);
                break;
            case LeafType.Erasure:
                w.WriteString("kind", leaf.A switch { 1 => "erased", 2 => "corrected", 3 => "withdrawn", _ => "unknown" });
                break;
            case LeafType.Emergency:
                w.WriteString("step", leaf.A switch { 1 => "begun", 2 => "released", 3 => "overridden", 4 => "closed", _ => "unknown" });
                w.WriteString("at", Text.Iso(leaf.B));
                break;
            case LeafType.Sensitive:
                w.WriteString(leaf.Subject.IsNone ? "sources" : "source", leaf.Subject.IsNone ? "all" : leaf.Subject.ToString());
                break;
            case LeafType.ErasedAsked:
                w.WriteString("snapshot", leaf.Subject.ToString());
                break;
            case LeafType.Granted:
                w.WriteString("snapshot", leaf.Subject.ToString());
                w.WriteString("agent", leaf.Actor.ToString());
                w.WriteString("until", Text.Iso(leaf.A));
                w.WriteString("grant", GrantedRestore.MarkOf(leaf).ToString());
                break;
            case LeafType.GrantEnded:
                w.WriteString("grant", GrantedRestore.MarkOf(leaf.Subject).ToString());
                w.WriteString("agent", leaf.Actor.ToString());
                w.WriteString("end", (leaf.A & byte.MaxValue) switch { 1 => "whole", 2 => "notWhole", 3 => "timeOver", 4 => "withdrawn", 5 => "wrongCodes", _ => "unknown" });
                w.WriteNumber("bytes", leaf.B);
                w.WriteNumber("files", leaf.C);
                w.WriteNumber("takeovers", leaf.A >> 8);
                break;
            case LeafType.ScopedKey:
                w.WriteString("class", Class(leaf.A));
                w.WriteBoolean("allPacks", leaf.C == ScopedKeyRecord.AllPacks);
                break;
            default:
                break;
        }
    }

    /// <summary>How a grant ended.</summary>
    public static string EndOf(ulong end) => end switch
    {
        1 => "used, and all of it stands there",
        2 => "used, and NOT all of it stands there",
        3 => "its time was over",
        4 => "taken back",
        5 => "WRONG CODES were given",
        _ => "in a way that this version does not know",
    };

    static string Asked(ulong kind) => (RequestKind)Math.Min(kind, byte.MaxValue) switch
    {
        RequestKind.Policy => "a weaker policy",
        RequestKind.Time => "the vault's clock set right",
        RequestKind.Approvers => "other approvers",
        RequestKind.Witnesses => "other witnesses",
        RequestKind.HoldLonger => "a longer legal hold",
        RequestKind.HoldLifted => "a legal hold lifted",
        RequestKind.Revoke => "an agent revoked",
        RequestKind.Release => "an emergency restore released",
        RequestKind.Unmark => "a source marked as sensitive no longer",
        RequestKind.Succession => "other approvers in place of those who are lost",
        _ => "of a kind that this version does not know",
    };

    static string Class(ulong number) => number switch { 1 => "content", 2 => "tree", 3 => "features", _ => "an unknown class" };

    static long Int(ulong number) => (long)Math.Min(number, long.MaxValue);
}
