using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Holdfast.Core.Log;

/// <summary>Proof that a leaf stands in a log, complete in itself: leaf, index, audit path and checkpoint (C2SP tlog-proof, the leaf as extra data). Checked with
/// the log's verifier key, without vault and without any other key.</summary>
public sealed record LogProof(byte[] Leaf, long Index, IReadOnlyList<Hash32> Path, Checkpoint Checkpoint)
{
    const string FirstLine = "c2sp.org/tlog-proof@v1";
    const int MaxPath = 64;
    const int MaxLength = 1 << 20; // characters

    public bool IsValid(VerifierKey key) =>
        Checkpoint.IsSignedBy(key) && MerkleTree.VerifyInclusion(Index, Checkpoint.Size, LogHash.Leaf(Leaf), Path, Checkpoint.Root);

    public override string ToString()
    {
        var text = new StringBuilder(FirstLine).Append('\n');
        text.Append("extra ").Append(Convert.ToBase64String(Leaf)).Append('\n');
        text.Append(CultureInfo.InvariantCulture, $"index {Index}\n");
        foreach (var hash in Path)
            text.Append(Convert.ToBase64String(hash.ToArray())).Append('\n');
        return text.Append('\n').Append(Checkpoint.Note).ToString();
    }

    public static bool TryParse(string text, [NotNullWhen(true)] out LogProof? proof)
    {
        proof = null;
        if (text.Length > MaxLength)
            return false;
        var end = text.IndexOf("\n\n", StringComparison.Ordinal);
        if (end < 0 || !Checkpoint.TryParse(text[(end + 2)..], out var checkpoint))
            return false;
        var lines = text[..end].Split('\n');
        if (lines.Length is < 3 or > MaxPath + 3 || lines[0] != FirstLine || !lines[1].StartsWith("extra ", StringComparison.Ordinal)
            || !lines[2].StartsWith("index ", StringComparison.Ordinal)
            || !long.TryParse(lines[2].AsSpan(6), NumberStyles.None, CultureInfo.InvariantCulture, out var index))
            return false;
        var leaf = new byte[lines[1].Length];
        if (!Convert.TryFromBase64String(lines[1][6..], leaf, out var leafLength))
            return false;
        var path = new List<Hash32>();
        Span<byte> hash = stackalloc byte[64];
        foreach (var line in lines.AsSpan(3))
        {
            if (line.Length != 44 || !Convert.TryFromBase64String(line, hash, out var length) || length != Hash32.Size)
                return false;
            path.Add(new Hash32(hash[..Hash32.Size]));
        }
        proof = new LogProof(leaf[..leafLength], index, path, checkpoint);
        return true;
    }
}
