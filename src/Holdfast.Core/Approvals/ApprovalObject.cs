using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Approvals;

/// <summary>What an approver's signature says.</summary>
public enum Decision : byte
{
    Approved = 1,

    /// <summary>The request is to have no effect, whoever approves it.</summary>
    Objected = 2,
}

/// <summary>One person's word on a request.</summary>
/// <param name="Approver">Id.</param>
/// <param name="Bytes">Ed25519, 64 bytes.</param>
public readonly record struct ApprovalSignature(Id16 Approver, byte[] Bytes);

/// <summary>A request with the signatures of those who approve of it, or object (docs/format.md, section 11.7). In the clear: the keeper, and every reader, checks them.</summary>
/// <param name="Request">The exact bytes that were signed.</param>
/// <param name="Decision">What all of them say.</param>
/// <param name="Signatures">Ascending by approver, each once.</param>
public sealed record ApprovalObject(byte[] Request, Decision Decision, IReadOnlyList<ApprovalSignature> Signatures)
{
    public byte[] ToArray()
    {
        var body = new ByteWriter(Request.Length + 256);
        body.Bytes(Request);
        body.U8((byte)Decision);
        body.Var((ulong)Signatures.Count);
        foreach (var (approver, bytes) in Signatures)
        {
            body.Id(approver);
            body.Raw(bytes);
        }
        return ObjectHeader.Wrap(ObjectType.Approval, Asked.Head.Vault, Id16.None, body);
    }

    ApprovalRequest? _asked;

    /// <summary>The request, which parses: nothing else becomes an object.</summary>
    public ApprovalRequest Asked => _asked ??= ApprovalRequest.TryParse(Request, out var request) ? request : throw new InvalidOperationException("no request");

    /// <summary>The bytes that one signs: label, decision, SHA-256 of the request.</summary>
    public static byte[] SignedBytes(ReadOnlySpan<byte> request, Decision decision)
    {
        var writer = new ByteWriter();
        writer.Raw(Labels.Approval);
        writer.U8((byte)decision);
        writer.Hash(new Hash32(SHA256.HashData(request)));
        return writer.ToArray();
    }

    /// <summary>Total. One object has one spelling.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out ApprovalObject? approval)
    {
        approval = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Approval || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var request = reader.Bytes(ApprovalRequest.MaxSize).ToArray();
        var decision = (Decision)reader.U8();
        reader.Require(decision is Decision.Approved or Decision.Objected);
        var count = reader.Count(ApproverSet.Most);
        var signatures = new List<ApprovalSignature>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var approver = reader.Id();
            reader.Require(i == 0 || signatures[^1].Approver.CompareTo(approver) < 0);
            signatures.Add(new ApprovalSignature(approver, reader.Raw(Ed25519Signer.SignatureSize).ToArray()));
        }
        if (!reader.IsDone || !ApprovalRequest.TryParse(request, out var asked) || asked.Head.Vault != header.Vault)
            return false;
        approval = new ApprovalObject(request, decision, signatures) { _asked = asked };
        return true;
    }

    /// <summary>Puts together what several people signed.</summary>
    public static ApprovalObject Of(byte[] request, Decision decision, IEnumerable<ApprovalSignature> signatures) =>
        new(request, decision, [.. signatures.DistinctBy(s => s.Approver).OrderBy(s => s.Approver)]);

    /// <summary>Whether one of some people said that to a request.</summary>
    public static bool IsSigned(ReadOnlySpan<byte> request, Decision decision, ApprovalSignature signature, ApproverSet people) =>
        people.Find(signature.Approver) is { } person && Ed25519Signer.Verify(person.PublicKey, SignedBytes(request, decision), signature.Bytes);

    /// <summary>Why it does not hold; null where it does. The keeper asks before it writes a leaf, and every reader of the log when it reads one.</summary>
    /// <param name="people">Approvers in force.</param>
    /// <param name="now">Vault time.</param>
    /// <param name="needed">How many of them have to approve.</param>
    public string? Fault(ApproverSet people, ulong now, int needed)
    {
        if (people.IsNobody)
            return "this vault has no approvers";
        if (Signatures.DistinctBy(s => s.Approver).Count() < Signatures.Count)
            return "one approver is named twice";
        foreach (var signature in Signatures)
        {
            if (people.Find(signature.Approver) is null)
                return $"approver {signature.Approver} is none of this vault's";
            if (!IsSigned(Request, Decision, signature, people))
                return $"the signature of approver {signature.Approver} is not of this request";
        }
        if (Decision == Decision.Objected)
            return Signatures.Count > 0 ? null : "nobody signed it";
        if (Signatures.Any(s => s.Approver == Asked.Head.Requester))
            return "who asks for something does not approve of it";
        if (Asked is ApprovalRequest.Release { BegunBy.IsNone: false } release && Signatures.Any(s => s.Approver == release.BegunBy))
            return "who began an emergency does not let it out of isolation";
        if (now > Asked.Head.Until)
            return "its time is over";
        return Signatures.Count >= needed ? null : $"{Signatures.Count} of {needed} approvals are there";
    }
}
