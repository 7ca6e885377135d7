using System.Diagnostics.CodeAnalysis;
using System.Text;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Approvals;

/// <summary>A request on its way between people: by mail, on a stick, printed. Text, a line each (docs/format.md, section 13.6).</summary>
/// <remarks>Nothing in it is secret, and nothing in it counts but the signatures: whoever alters it makes it worthless.</remarks>
/// <param name="Request">The bytes that are signed.</param>
/// <param name="Reason">Why it is asked for; the request has a hash of it. Null for none, and where the words are not here.</param>
/// <param name="Signed">What people said to it so far.</param>
public sealed record RequestFile(byte[] Request, string? Reason, IReadOnlyList<(Decision Decision, ApprovalSignature Signature)> Signed)
{
    public const int MaxSize = 1 << 20; // bytes
    public const int MaxReason = 2_000; // characters

    const string Head = "holdfast approval request v1";
    const string Ask = "request ";
    const string Why = "reason ";
    const string Yes = "approved ";
    const string No = "objected ";

    ApprovalRequest? _asked;

    /// <exception cref="InvalidOperationException">The bytes are no request; one that was parsed always has one.</exception>
    public ApprovalRequest Asked => _asked ??= ApprovalRequest.TryParse(Request, out var request) ? request : throw new InvalidOperationException("no request");

    /// <summary>With one more word on it; an earlier one of the same person is replaced.</summary>
    public RequestFile With(Decision decision, ApprovalSignature signature) =>
        this with { Signed = [.. Signed.Where(s => s.Signature.Approver != signature.Approver), (decision, signature)] };

    /// <summary>What a person says to it.</summary>
    public RequestFile Sign(Decision decision, Ed25519Signer signer) =>
        With(decision, new ApprovalSignature(Approver.Of(signer.PublicKey).Id, signer.Sign(ApprovalObject.SignedBytes(Request, decision))));

    /// <summary>All that say the same; null where nobody does.</summary>
    public ApprovalObject? All(Decision decision) =>
        Signed.Where(s => s.Decision == decision).Select(s => s.Signature).ToList() is { Count: > 0 } signatures ? ApprovalObject.Of(Request, decision, signatures) : null;

    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(Head).Append('\n').Append(Ask).Append(Convert.ToBase64String(Request)).Append('\n');
        if (Reason is not null)
            text.Append(Why).Append(Convert.ToBase64String(Encoding.UTF8.GetBytes(Reason))).Append('\n');
        foreach (var (decision, (approver, bytes)) in Signed)
            text.Append(decision == Decision.Approved ? Yes : No).Append(approver).Append(' ').Append(Convert.ToBase64String(bytes)).Append('\n');
        return text.ToString();
    }

    /// <summary>Total. White space at the ends of lines, which mail adds, does no harm.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out RequestFile? file)
    {
        file = null;
        var lines = text.Split('\n').Select(l => l.Trim()).Where(l => l.Length > 0).ToList();
        if (text.Length > MaxSize || lines is not [Head, var ask, ..] || !TryTake(ask, Ask, out var request) || !ApprovalRequest.TryParse(request, out var asked))
            return false;
        string? reason = null;
        var signed = new List<(Decision, ApprovalSignature)>();
        foreach (var line in lines.Skip(2))
        {
            if (TryTake(line, Why, out var why) && reason is null && signed.Count == 0)
                reason = Encoding.UTF8.GetString(why);
            else if (TrySigned(line, Yes, out var yes))
                signed.Add((Decision.Approved, yes));
            else if (TrySigned(line, No, out var no))
                signed.Add((Decision.Objected, no));
            else
                return false;
        }
        // The words may be left out: a file that was taken from the vault has none.
        if (reason is not null && (ApprovalRequest.ReasonHash(asked.Head.Salt, reason) != asked.Head.Reason || !IsReason(reason))
            || signed.Count > 2 * ApproverSet.Most)
            return false;
        file = new RequestFile(request, reason, signed) { _asked = asked };
        return true;
    }

    /// <summary>One line: what is shown to who signs must not look like more of the request.</summary>
    public static bool IsReason(string text) => text.Length is > 0 and <= MaxReason && !text.Any(c => char.IsControl(c) || char.GetUnicodeCategory(c) is System.Globalization.UnicodeCategory.Format or System.Globalization.UnicodeCategory.LineSeparator or System.Globalization.UnicodeCategory.ParagraphSeparator);

    static bool TrySigned(string line, string word, out ApprovalSignature signature)
    {
        signature = default;
        if (!line.StartsWith(word, StringComparison.Ordinal) || line[word.Length..].Split(' ') is not [var id, var base64] || !Id16.TryParse(id, out var approver) || !TryBytes(base64, out var bytes) || bytes.Length != Ed25519Signer.SignatureSize)
            return false;
        signature = new ApprovalSignature(approver, bytes);
        return true;
    }

    static bool TryTake(string line, string word, out byte[] bytes)
    {
        bytes = [];
        return line.StartsWith(word, StringComparison.Ordinal) && TryBytes(line[word.Length..], out bytes);
    }

    static bool TryBytes(string base64, out byte[] bytes)
    {
        bytes = new byte[base64.Length];
        var isSound = Convert.TryFromBase64String(base64, bytes, out var length);
        bytes = isSound ? bytes[..length] : [];
        return isSound;
    }
}
