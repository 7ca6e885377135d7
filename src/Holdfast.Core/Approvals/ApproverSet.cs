using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Core.Approvals;

/// <summary>A person's public key. The private one never leaves them (<see cref="ApproverKeyFile"/>).</summary>
/// <param name="Id">Follows from the key.</param>
/// <param name="PublicKey">Ed25519, 32 bytes.</param>
public sealed record Approver(Id16 Id, byte[] PublicKey)
{
    const string Head = "approver";
    const int Shown = 8; // digits of the id, in the text

    public static Approver Of(ReadOnlySpan<byte> publicKey) => new(IdOf(publicKey), publicKey.ToArray());

    /// <summary>First 16 bytes of SHA-256 over label and key (docs/format.md, section 11.7): one key is one person, under one id.</summary>
    static Id16 IdOf(ReadOnlySpan<byte> publicKey)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(Labels.ApproverId);
        sha.AppendData(publicKey);
        return new Id16(sha.GetHashAndReset().AsSpan(0, Id16.Size));
    }

    /// <summary>As text: <c>approver+</c>, the id's first 8 digits, <c>+</c>, the key in base64.</summary>
    public override string ToString() => $"{Head}+{Id.ToString()[..Shown]}+{Convert.ToBase64String(PublicKey)}";

    /// <summary>Total.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Approver? approver)
    {
        approver = null;
        Span<byte> key = stackalloc byte[Ed25519Signer.PublicKeySize];
        if (text.Split('+', 3) is not [Head, var digits, var base64] || !Convert.TryFromBase64String(base64, key, out var length) || length != key.Length)
            return false;
        var parsed = Of(key);
        if (parsed.ToString() != text || digits.Length != Shown)
            return false;
        approver = parsed;
        return true;
    }
}

/// <summary>Who approves what weakens protection, and how many of them it takes (docs/format.md, section 11.7).</summary>
/// <param name="Quorum">At least one, and at most as many as there are; 0, with nobody, where one administrator has to do and nothing is ever weakened.</param>
/// <param name="People">Ascending by id.</param>
public sealed record ApproverSet(byte Quorum, IReadOnlyList<Approver> People)
{
    public const int Most = 32;

    public static ApproverSet Nobody { get; } = new(0, []);

    public bool IsNobody => Quorum == 0;

    /// <summary>Some people, each once.</summary>
    /// <returns>Null where nobody or too many are among them, or the quorum is none that they can reach.</returns>
    public static ApproverSet? Of(int quorum, IEnumerable<byte[]> keys)
    {
        var people = keys.Select(k => Approver.Of(k)).OrderBy(a => a.Id).ToList();
        return people.Count is > 0 and <= Most && quorum > 0 && quorum <= people.Count && people.DistinctBy(p => p.Id).Count() == people.Count ? new ApproverSet((byte)quorum, people) : null;
    }

    public Approver? Find(Id16 id) => People.FirstOrDefault(p => p.Id == id);

    /// <summary>What a request to change it names it by: SHA-256 of its encoding.</summary>
    public Hash32 Digest
    {
        get
        {
            var writer = new ByteWriter();
            Write(writer);
            return new Hash32(SHA256.HashData(writer.Span));
        }
    }

    public void Write(ByteWriter writer)
    {
        writer.U8(Quorum);
        writer.Var((ulong)People.Count);
        foreach (var person in People)
            writer.Raw(person.PublicKey);
    }

    /// <summary>Null, and the reader failed, where it is none.</summary>
    public static ApproverSet? Read(ref ByteReader reader)
    {
        var quorum = reader.U8();
        var count = reader.Count(Most);
        var keys = new List<byte[]>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            keys.Add(reader.Raw(Ed25519Signer.PublicKeySize).ToArray());
        var set = reader.Failed ? null : Of(quorum, keys);
        reader.Require(set is not null && set.People.Select(p => p.PublicKey).Zip(keys).All(p => p.First.AsSpan().SequenceEqual(p.Second))); // one set has one spelling
        return reader.Failed ? null : set;
    }
}
