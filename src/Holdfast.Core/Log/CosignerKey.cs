using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Log;

/// <summary>Who cosigns logs, a witness, as text: name+key id+key (C2SP tlog-cosignature, cosignature/v1 with Ed25519). A key of its own kind: no log's key passes for a witness's, nor the other way round.</summary>
public sealed record CosignerKey(string Name, byte[] PublicKey)
{
    public const byte Ed25519 = 4;
    const int TimeSize = 8; // bytes

    public byte[] KeyId => NoteKey.Id(Name, Ed25519, PublicKey);

    public override string ToString() => NoteKey.Text(Name, Ed25519, PublicKey);

    public static bool TryParse(string text, [NotNullWhen(true)] out CosignerKey? key)
    {
        key = NoteKey.TryParse(text, Ed25519, Ed25519Signer.PublicKeySize, out var name, out var bytes) ? new CosignerKey(name, bytes) : null;
        return key is not null;
    }

    /// <summary>The signature line for a checkpoint.</summary>
    /// <param name="body">The note's text.</param>
    /// <param name="signer">Of this key.</param>
    /// <param name="time">Seconds since 1970.</param>
    internal string Line(string body, Ed25519Signer signer, ulong time)
    {
        var stamp = new byte[TimeSize];
        BinaryPrimitives.WriteUInt64BigEndian(stamp, time);
        return $"— {Name} {Convert.ToBase64String([.. KeyId, .. stamp, .. signer.Sign(Message(body, time))])}\n";
    }

    /// <summary>Total. When it was cosigned, where the signature is this key's and holds; null otherwise.</summary>
    /// <param name="body">The note's text.</param>
    /// <param name="name">Of the signature line.</param>
    /// <param name="signature">Its bytes, key id first.</param>
    internal ulong? Time(string body, string name, ReadOnlySpan<byte> signature)
    {
        if (name != Name || signature.Length != NoteKey.IdSize + TimeSize + Ed25519Signer.SignatureSize || !signature[..NoteKey.IdSize].SequenceEqual(KeyId))
            return null;
        var time = BinaryPrimitives.ReadUInt64BigEndian(signature[NoteKey.IdSize..]);
        return time is > 0 and <= long.MaxValue && Ed25519Signer.Verify(PublicKey, Message(body, time), signature[(NoteKey.IdSize + TimeSize)..]) ? time : null;
    }

    static byte[] Message(string body, ulong time) => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"cosignature/v1\ntime {time}\n{body}"));
}
