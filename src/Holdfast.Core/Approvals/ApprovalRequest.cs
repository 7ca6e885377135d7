using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Codec;
using Holdfast.Core.Retention;

namespace Holdfast.Core.Approvals;

/// <summary>What a request asks for. On disk; numbers never change (docs/format.md, section 11.7).</summary>
public enum RequestKind : byte
{
    Policy = 1,
    Time = 2,
    Approvers = 3,
    Witnesses = 4,
    HoldLonger = 5,
    HoldLifted = 6,
    Revoke = 7,
    Release = 8,
    Succession = 9,
    Unmark = 10,
}

/// <summary>What all requests have.</summary>
/// <param name="Vault">Which it is for.</param>
/// <param name="Salt">Random.</param>
/// <param name="Id">Random.</param>
/// <param name="Requester">The approver who asks, whose own approval does not count; none for anybody else.</param>
/// <param name="Made">Vault time.</param>
/// <param name="Until">Vault time after which no approval is taken.</param>
/// <param name="Reason">What <see cref="ApprovalRequest.ReasonHash"/> gives for the words beside it; none without any. The words are not in the vault.</param>
public readonly record struct RequestHead(Id16 Vault, Hash32 Salt, Id16 Id, Id16 Requester, ulong Made, ulong Until, Hash32 Reason);

/// <summary>Something that only several people together may have done: the exact bytes that they sign.</summary>
/// <remarks>It names what it changes as it is (a policy, the approvers), so that an approval which was given for one state does nothing in another.</remarks>
/// <param name="Head">What all requests have.</param>
public abstract record ApprovalRequest(RequestHead Head)
{
    /// <summary>Seconds: no request may be approved for longer.</summary>
    public const ulong LongestOpen = 30 * RetentionPolicy.Day;

    public const int MaxSize = 1 << 17; // bytes
    public const int MostSnapshots = 1_024;
    public const int MostWitnesses = 16;
    const int MaxWitness = 4_096; // bytes of a verifier key

    /// <summary>Seconds between the approval and what it asks for, where that weakens what protects the vault: time to see it, and to object.</summary>
    public const ulong CoolingOff = 3 * RetentionPolicy.Day;
    public const ulong TrialCoolingOff = 60;

    /// <summary>Seconds until other approvers take the place of those who are lost: whoever of them is not has that long to object.</summary>
    public const ulong SuccessionTime = 30 * RetentionPolicy.Day;

    /// <summary>Seconds that a request to set the clock right may be approved: who signs says what time it is, and soon it is another.</summary>
    public const ulong LongestTimeOpen = RetentionPolicy.Day;

    /// <summary>Seconds that all such requests of a vault together may set its clock forward: less than there is from the longest lock to the last moment a lock can end at, so that each lock can be lengthened by as much.</summary>
    public const ulong MostForward = 3_660 * RetentionPolicy.Day;

    public abstract RequestKind Kind { get; }

    /// <summary>True for what takes effect only some days after its approval.</summary>
    public bool Cools => Kind is RequestKind.Policy or RequestKind.Approvers or RequestKind.Witnesses or RequestKind.Succession or RequestKind.Unmark;

    /// <summary>Have later snapshots of a source, or of all sources that have no policy of their own, kept by another policy.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Source">None for all.</param>
    /// <param name="Before">In force when this was asked.</param>
    /// <param name="After">To be in force.</param>
    public sealed record Policy(RequestHead Head, Id16 Source, RetentionPolicy Before, RetentionPolicy After) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.Policy;
    }

    /// <summary>Have the vault's clock count time that it did not see pass. All that ends by the clock moves with it, so that nothing ends sooner.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Before">Seconds by which the clock was set forward so before.</param>
    /// <param name="Counted">What had passed for certain by it when this was made, seconds since 1970.</param>
    /// <param name="Now">What time it was then: at the least, as all who sign this say.</param>
    public sealed record Time(RequestHead Head, ulong Before, ulong Counted, ulong Now) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.Time;

        /// <summary>Seconds that the clock was behind, and that all locks are lengthened by.</summary>
        public ulong Forward => Now - Counted;

        internal bool IsSound => Now > Counted && Now <= LockRules.LastEnd && Forward <= MostForward && Before <= MostForward - Forward && Head.Until - Head.Made <= LongestTimeOpen;
    }

    /// <summary>Other approvers, or another quorum.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Before"><see cref="ApproverSet.Digest"/> of those there are.</param>
    /// <param name="After">All of the new ones.</param>
    public sealed record Approvers(RequestHead Head, Hash32 Before, ApproverSet After) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.Approvers;
    }

    /// <summary>Other approvers, where too many of those there are lost their keys: signed by whoever has the opening seed, and by none of them.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Before"><see cref="ApproverSet.Digest"/> of those there are.</param>
    /// <param name="After">All of the new ones.</param>
    public sealed record Succession(RequestHead Head, Hash32 Before, ApproverSet After) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.Succession;
    }

    /// <summary>Other witnesses.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Before"><see cref="WitnessDigest"/> of those there are.</param>
    /// <param name="After">Verifier keys of all the new ones.</param>
    public sealed record Witnesses(RequestHead Head, Hash32 Before, IReadOnlyList<string> After) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.Witnesses;
    }

    /// <summary>Have legal holds stand for longer.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="HeldUntil">Seconds since 1970.</param>
    /// <param name="Snapshots">Which are held; ascending.</param>
    public sealed record HoldLonger(RequestHead Head, ulong HeldUntil, IReadOnlyList<Id16> Snapshots) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.HoldLonger;
    }

    /// <summary>Lift legal holds. Locks stay as long as they are.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Snapshots">Which are held; ascending.</param>
    public sealed record HoldLifted(RequestHead Head, IReadOnlyList<Id16> Snapshots) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.HoldLifted;
    }

    /// <summary>Believe an agent no longer.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Agent">Id.</param>
    public sealed record Revoke(RequestHead Head, Id16 Agent) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.Revoke;
    }

    /// <summary>Let what an emergency restored out of isolation.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Emergency">Id.</param>
    /// <param name="Snapshot">Which was restored.</param>
    /// <param name="Place">Id of the isolated place.</param>
    /// <param name="BegunBy">The approver who began it, whose approval does not count; none for anybody else.</param>
    public sealed record Release(RequestHead Head, Id16 Emergency, Id16 Snapshot, Id16 Place, Id16 BegunBy) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.Release;
    }

    /// <summary>Have a source, or all sources together, marked as sensitive no longer.</summary>
    /// <param name="Head">What all requests have.</param>
    /// <param name="Source">None for the mark of all sources.</param>
    /// <param name="Marked">Ordinal of the leaf that marked it.</param>
    public sealed record Unmark(RequestHead Head, Id16 Source, ulong Marked) : ApprovalRequest(Head)
    {
        public override RequestKind Kind => RequestKind.Unmark;
    }

    /// <summary>What is sensitive is never let out by one approver, whatever the quorum.</summary>
    public const int LeastForSensitive = 2;

    /// <summary>How many of some people have to approve: care waits for one, not for a quorum, but where a source is marked as sensitive.</summary>
    /// <param name="people">Approvers in force.</param>
    /// <param name="isSensitive">What is to be released is of such a source.</param>
    public int Needs(ApproverSet people, bool isSensitive = false) => this is Unmark || (this is Release && isSensitive) ? Math.Max(LeastForSensitive, (int)people.Quorum)
        : this is Release ? Math.Min(1, (int)people.Quorum) : people.Quorum;

    /// <summary>What a request to change witnesses names them by.</summary>
    public static Hash32 WitnessDigest(IReadOnlyList<string> witnesses)
    {
        var writer = new ByteWriter();
        Write(writer, witnesses);
        return new Hash32(SHA256.HashData(writer.Span));
    }

    /// <summary>SHA-256 of salt and words, so that the words cannot be guessed from it.</summary>
    public static Hash32 ReasonHash(Hash32 salt, string words)
    {
        Span<byte> bytes = stackalloc byte[Hash32.Size];
        salt.CopyTo(bytes);
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(bytes);
        sha.AppendData(Encoding.UTF8.GetBytes(words));
        return new Hash32(sha.GetHashAndReset());
    }

    public byte[] ToArray()
    {
        var body = new ByteWriter(256);
        body.Hash(Head.Salt);
        body.Id(Head.Id);
        body.Id(Head.Requester);
        body.U64(Head.Made);
        body.U64(Head.Until);
        body.Hash(Head.Reason);
        body.U8((byte)Kind);
        switch (this)
        {
            case Policy policy:
                body.Id(policy.Source);
                policy.Before.Write(body);
                policy.After.Write(body);
                break;
            case Time time:
                body.U64(time.Before);
                body.U64(time.Counted);
                body.U64(time.Now);
                break;
            case Approvers approvers:
                body.Hash(approvers.Before);
                approvers.After.Write(body);
                break;
            case Succession succession:
                body.Hash(succession.Before);
                succession.After.Write(body);
                break;
            case Witnesses witnesses:
                body.Hash(witnesses.Before);
                Write(body, witnesses.After);
                break;
            case HoldLonger longer:
                body.U64(longer.HeldUntil);
                Write(body, longer.Snapshots);
                break;
            case HoldLifted lifted:
                Write(body, lifted.Snapshots);
                break;
            case Revoke revoke:
                body.Id(revoke.Agent);
                break;
            case Release release:
                body.Id(release.Emergency);
                body.Id(release.Snapshot);
                body.Id(release.Place);
                body.Id(release.BegunBy);
                break;
            case Unmark unmark:
                body.Id(unmark.Source);
                body.U64(unmark.Marked);
                break;
        }
        return ObjectHeader.Wrap(ObjectType.Request, Head.Vault, Id16.None, body);
    }

    /// <summary>Total. One request has one spelling.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out ApprovalRequest? request)
    {
        request = null;
        if (bytes.Length > MaxSize || !ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Request || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var head = new RequestHead(header.Vault, reader.Hash(), reader.Id(), reader.Id(), reader.U64(), reader.U64(), reader.Hash());
        reader.Require(head.Until >= head.Made && head.Until - head.Made <= LongestOpen && !head.Id.IsNone);
        ApprovalRequest? parsed = (RequestKind)reader.U8() switch
        {
            RequestKind.Policy => new Policy(head, reader.Id(), RetentionPolicy.Read(ref reader), RetentionPolicy.Read(ref reader)),
            RequestKind.Time => new Time(head, reader.U64(), reader.U64(), reader.U64()),
            RequestKind.Approvers => new Approvers(head, reader.Hash(), ApproverSet.Read(ref reader)!),
            RequestKind.Succession => new Succession(head, reader.Hash(), ApproverSet.Read(ref reader)!),
            RequestKind.Witnesses => new Witnesses(head, reader.Hash(), Texts(ref reader)),
            RequestKind.HoldLonger => new HoldLonger(head, reader.U64(), Ids(ref reader)),
            RequestKind.HoldLifted => new HoldLifted(head, Ids(ref reader)),
            RequestKind.Revoke => new Revoke(head, reader.Id()),
            RequestKind.Release => new Release(head, reader.Id(), reader.Id(), reader.Id(), reader.Id()),
            RequestKind.Unmark => new Unmark(head, reader.Id(), reader.U64()),
            _ => null,
        };
        if (!reader.IsDone || parsed is null or Time { IsSound: false } || !parsed.ToArray().AsSpan().SequenceEqual(bytes))
            return false;
        request = parsed;
        return true;
    }

    static void Write(ByteWriter writer, IReadOnlyList<string> texts)
    {
        writer.Var((ulong)texts.Count);
        foreach (var text in texts)
            writer.Bytes(Encoding.ASCII.GetBytes(text));
    }

    static List<string> Texts(ref ByteReader reader)
    {
        var count = reader.Count(MostWitnesses);
        var list = new List<string>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var bytes = reader.Bytes(MaxWitness);
            reader.Require(bytes.IndexOfAnyExceptInRange((byte)'!', (byte)'~') < 0); // shown to who signs: one word
            list.Add(Encoding.ASCII.GetString(bytes));
        }
        return list;
    }

    static void Write(ByteWriter writer, IReadOnlyList<Id16> ids)
    {
        writer.Var((ulong)ids.Count);
        foreach (var id in ids)
            writer.Id(id);
    }

    static List<Id16> Ids(ref ByteReader reader)
    {
        var count = reader.Count(MostSnapshots);
        var list = new List<Id16>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var id = reader.Id();
            reader.Require(i == 0 || list[^1].CompareTo(id) < 0);
            list.Add(id);
        }
        reader.Require(list.Count > 0);
        return list;
    }
}
