using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Log;

/// <summary>A signed statement of how large a log is and what its root is (C2SP tlog-checkpoint in a signed note).</summary>
/// <param name="Origin">Which log.</param>
/// <param name="Size">Leaves.</param>
/// <param name="Root">Root of the tree over them.</param>
/// <param name="Note">The whole text, signatures included.</param>
public sealed record Checkpoint(string Origin, long Size, Hash32 Root, string Note)
{
    public const int MaxLength = 131_072; // characters: sixteen signatures of the longest kind (C2SP signed-note), and the text
    const int MaxOrigin = 1_024; // characters
    const int MaxSignatures = 100;

    string Body => Note[..(Note.IndexOf("\n\n", StringComparison.Ordinal) + 1)];

    /// <summary>Bytes of what is signed.</summary>
    internal int TextLength => Encoding.UTF8.GetByteCount(Body);

    public static Checkpoint Sign(string origin, long size, Hash32 root, Ed25519Signer signer)
    {
        var body = string.Create(CultureInfo.InvariantCulture, $"{origin}\n{size}\n{Convert.ToBase64String(root.ToArray())}\n");
        var key = new VerifierKey(origin, signer.PublicKey.ToArray());
        var signature = signer.Sign(Encoding.UTF8.GetBytes(body));
        return new Checkpoint(origin, size, root, $"{body}\n— {origin} {Convert.ToBase64String([.. key.KeyId, .. signature])}\n");
    }

    /// <summary>True where the holder of this key signed it; other signatures (of witnesses) are left aside.</summary>
    public bool IsSignedBy(VerifierKey key) => Origin == key.Name && HasSignatureOf(key);

    /// <summary>The same, whatever the origin is called.</summary>
    public bool HasSignatureOf(VerifierKey key)
    {
        var body = Encoding.UTF8.GetBytes(Body);
        return Signatures().Any(s => IsOf(key, s) && Ed25519Signer.Verify(key.PublicKey, body, s.Bytes.AsSpan(NoteKey.IdSize)));
    }

    /// <summary>True where a signature bears this key's name and id, and does not hold.</summary>
    public bool HasBadSignatureOf(VerifierKey key)
    {
        var body = Encoding.UTF8.GetBytes(Body);
        return Signatures().Any(s => IsOf(key, s) && !Ed25519Signer.Verify(key.PublicKey, body, s.Bytes.AsSpan(NoteKey.IdSize)));
    }

    /// <summary>True where a signature bears this key's name and id, whether it holds or not.</summary>
    public bool Names(VerifierKey key) => Signatures().Any(s => IsOf(key, s));

    static bool IsOf(VerifierKey key, (string Name, byte[] Bytes) signature) => signature.Name == key.Name && signature.Bytes.AsSpan(0, NoteKey.IdSize).SequenceEqual(key.KeyId);

    /// <summary>When this witness cosigned it last, seconds since 1970; null where no cosignature of it holds.</summary>
    public ulong? CosignedAt(CosignerKey witness) => Signatures().Max(s => witness.Time(Body, s.Name, s.Bytes));

    /// <summary>The same with a cosignature more.</summary>
    public Checkpoint Cosign(CosignerKey witness, Ed25519Signer signer, ulong time) => With(witness.Line(Body, signer, time));

    /// <summary>The same with these signature lines besides, whoever made them.</summary>
    /// <param name="lines">Each ended by LF.</param>
    public Checkpoint With(string lines) => this with { Note = Note + lines };

    /// <summary>The same with no signature but those that hold, of the log and of these witnesses: of each witness its latest.</summary>
    public Checkpoint Reduced(IReadOnlyList<VerifierKey> log, IEnumerable<CosignerKey> witnesses)
    {
        var text = Encoding.UTF8.GetBytes(Body);
        var kept = log.Select(key => Signatures().FirstOrDefault(s => IsOf(key, s) && Ed25519Signer.Verify(key.PublicKey, text, s.Bytes.AsSpan(NoteKey.IdSize))))
            .Concat(witnesses.Select(key => Signatures().Where(s => key.Time(Body, s.Name, s.Bytes) is not null).OrderByDescending(s => key.Time(Body, s.Name, s.Bytes)).FirstOrDefault()));
        return this with { Note = $"{Body}\n{string.Concat(kept.Where(s => s.Bytes is not null).Select(s => $"— {s.Name} {Convert.ToBase64String(s.Bytes)}\n"))}" };
    }

    /// <summary>The signature lines of witnesses in it that hold.</summary>
    public string CosignatureLines(IEnumerable<CosignerKey> witnesses) => Reduced([], witnesses).Note[(Body.Length + 1)..];

    IEnumerable<(string Name, byte[] Bytes)> Signatures()
    {
        foreach (var line in Note[(Body.Length + 1)..].Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (TrySignature(line, out var name, out var bytes))
                yield return (name, bytes);
        }
    }

    static bool TrySignature(string line, out string name, out byte[] bytes)
    {
        name = "";
        bytes = [];
        var parts = line.Split(' ');
        if (parts.Length != 3 || parts[0] != "—" || !VerifierKey.IsName(parts[1]))
            return false;
        var buffer = new byte[parts[2].Length];
        if (!Convert.TryFromBase64String(parts[2], buffer, out var length) || length < 5)
            return false;
        name = parts[1];
        bytes = buffer[..length];
        return true;
    }

    /// <summary>Total. Reads the note; whose signatures it has is for <see cref="IsSignedBy"/> to say.</summary>
    public static bool TryParse(string note, [NotNullWhen(true)] out Checkpoint? checkpoint)
    {
        checkpoint = null;
        if (note.Length > MaxLength || !note.EndsWith('\n'))
            return false;
        var end = note.IndexOf("\n\n", StringComparison.Ordinal);
        if (end < 0 || end + 3 > note.Length)
            return false;
        var lines = note[..end].Split('\n');
        var signatures = note[(end + 2)..^1].Split('\n');
        Span<byte> root = stackalloc byte[64];
        if (lines.Length < 3 || lines[0].Length is 0 or > MaxOrigin || note.AsSpan().ContainsAnyInRange('\0', '\t') || note.AsSpan().ContainsAnyInRange('\v', '\x1F')
            || !long.TryParse(lines[1], NumberStyles.None, CultureInfo.InvariantCulture, out var size) || size < 0 || lines[1] != size.ToString(CultureInfo.InvariantCulture)
            || lines[2].Length != 44 || !Convert.TryFromBase64String(lines[2], root, out var length) || length != Hash32.Size
            || Convert.ToBase64String(root[..length]) != lines[2]
            || signatures.Length is 0 or > MaxSignatures || !Array.TrueForAll(signatures, s => TrySignature(s, out _, out _)))
            return false;
        checkpoint = new Checkpoint(lines[0], size, new Hash32(root[..Hash32.Size]), note);
        return true;
    }
}
