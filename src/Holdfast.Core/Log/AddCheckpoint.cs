using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Holdfast.Core.Log;

/// <summary>What a log asks a witness for (C2SP tlog-witness, add-checkpoint): cosign this, which goes on from what you cosigned last.</summary>
/// <param name="Old">Leaves that the witness cosigned last; 0 for none.</param>
/// <param name="Proof">That they are the beginning (RFC 6962, section 2.1.2).</param>
/// <param name="Checkpoint">What is to be cosigned.</param>
public sealed record AddCheckpoint(long Old, IReadOnlyList<Hash32> Proof, Checkpoint Checkpoint)
{
    public const int MaxSize = (1 << 17) + 4_096; // bytes: the longest note, and what stands before it
    const int MaxText = 16 << 10; // bytes of the note's text, which is kept whole; its signatures are not
    const int MaxProof = 63;
    const string OldSize = "old ";

    public static AddCheckpoint Of(MerkleTree tree, Checkpoint checkpoint, long old) => new(old, tree.ProveConsistency(old, checkpoint.Size), checkpoint);

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{OldSize}{Old}\n") + string.Concat(Proof.Select(h => Convert.ToBase64String(h.ToArray()) + "\n")) + "\n" + Checkpoint.Note;

    /// <summary>Total.</summary>
    public static bool TryParse(ReadOnlySpan<byte> body, [NotNullWhen(true)] out AddCheckpoint? request)
    {
        request = null;
        if (body.Length > MaxSize)
            return false;
        string text;
        try
        {
            text = new UTF8Encoding(false, true).GetString(body);
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
        var end = text.IndexOf("\n\n", StringComparison.Ordinal);
        if (end < 0 || !Checkpoint.TryParse(text[(end + 2)..], out var checkpoint) || checkpoint.TextLength > MaxText)
            return false;
        var lines = text[..end].Split('\n', MaxProof + 2);
        if (lines.Length > MaxProof + 1 || !lines[0].StartsWith(OldSize, StringComparison.Ordinal) || !TrySize(lines[0][OldSize.Length..], out var old))
            return false;
        var proof = new List<Hash32>(lines.Length - 1);
        foreach (var line in lines.AsSpan(1))
        {
            if (!TryHash(line, out var hash))
                return false;
            proof.Add(hash);
        }
        request = new AddCheckpoint(old, proof, checkpoint);
        return true;
    }

    /// <summary>Total. The body of an answer that tells the size which a witness cosigned last: the number and LF.</summary>
    public static bool TryParseSize(string body, out long size)
    {
        size = 0;
        return body.EndsWith('\n') && TrySize(body[..^1], out size);
    }

    /// <summary>A tree size in the one way it is written.</summary>
    static bool TrySize(string text, out long size) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out size) && text == size.ToString(CultureInfo.InvariantCulture);

    static bool TryHash(string line, out Hash32 hash)
    {
        Span<byte> bytes = stackalloc byte[64];
        hash = default;
        if (line.Length != 44 || !Convert.TryFromBase64String(line, bytes, out var length) || length != Hash32.Size || Convert.ToBase64String(bytes[..length]) != line)
            return false;
        hash = new Hash32(bytes[..Hash32.Size]);
        return true;
    }
}
