using System.Text;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Retention;

namespace Holdfast.Core.Keeper;

public enum VaultKind : byte
{
    Real = 1,

    /// <summary>For trying out: its locks are short, and it says so wherever it is shown.</summary>
    Trial = 2,
}

/// <summary>What a vault is bound to from its first leaf on (docs/format.md, section 11.4): the only place these come from.</summary>
public sealed record Genesis
{
    const int MaxList = 1_024;
    const int MaxText = 4_096;

    public required Hash32 Salt { get; init; }
    public required Id16 Vault { get; init; }
    public required VaultKind Kind { get; init; }
    public required ulong Created { get; init; }

    /// <summary>Seconds: no lock is shorter, none longer.</summary>
    public required ulong ShortestLock { get; init; }
    public required ulong LongestLock { get; init; }
    public required RetentionPolicy Policy { get; init; }

    /// <summary>Bytes kept free for the keeper's own records.</summary>
    public required ulong Reserve { get; init; }
    public required string LogKey { get; init; }
    public required IReadOnlyList<Id16> Domains { get; init; }

    /// <summary>Approvals needed for what weakens protection; 0 for one administrator.</summary>
    public required byte Quorum { get; init; }
    public required IReadOnlyList<(Id16 Id, byte[] PublicKey)> Approvers { get; init; }
    public required IReadOnlyList<string> Witnesses { get; init; }
    public required IReadOnlyList<string> TimeSources { get; init; }

    /// <summary>By which law or rule locks may be as long as they may; null where nobody said, as in vaults whose longest lock needs no saying.</summary>
    public string? LegalBasis { get; init; }

    /// <summary>Public key of whoever has the opening seed (<see cref="Approvals.SuccessionKey"/>), Ed25519, 32 bytes: may ask for other approvers where a quorum is lost. Null in a vault without approvers.</summary>
    public byte[]? SuccessionKey { get; init; }

    public byte[] ToArray()
    {
        var body = new ByteWriter(1024);
        body.Hash(Salt);
        body.Id(Vault);
        body.U8((byte)Kind);
        body.U64(Created);
        body.U64(ShortestLock);
        body.U64(LongestLock);
        Policy.Write(body);
        body.U64(Reserve);
        body.Bytes(Encoding.ASCII.GetBytes(LogKey));
        body.Var((ulong)Domains.Count);
        foreach (var domain in Domains)
            body.Id(domain);
        body.U8(Quorum);
        body.Var((ulong)Approvers.Count);
        foreach (var (id, key) in Approvers)
        {
            body.Id(id);
            body.Raw(key);
        }
        foreach (var list in new[] { Witnesses, TimeSources })
        {
            body.Var((ulong)list.Count);
            foreach (var text in list)
                body.Bytes(Encoding.ASCII.GetBytes(text));
        }
        if (LegalBasis is not null || SuccessionKey is not null)
            body.Bytes(Encoding.UTF8.GetBytes(LegalBasis ?? ""));
        if (SuccessionKey is not null)
            body.Raw(SuccessionKey);
        return ObjectHeader.Wrap(ObjectType.Genesis, Vault, Id16.None, body);
    }

    public static bool TryParse(ReadOnlySpan<byte> bytes, out Genesis? genesis)
    {
        genesis = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Genesis || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var parsed = new Genesis
        {
            Salt = reader.Hash(),
            Vault = reader.Id(),
            Kind = (VaultKind)reader.U8(),
            Created = reader.U64(),
            ShortestLock = reader.U64(),
            LongestLock = reader.U64(),
            Policy = RetentionPolicy.Read(ref reader),
            Reserve = reader.U64(),
            LogKey = Encoding.ASCII.GetString(reader.Bytes(MaxText)),
            Domains = ReadDomains(ref reader),
            Quorum = reader.U8(),
            Approvers = ReadApprovers(ref reader),
            Witnesses = ReadTexts(ref reader),
            TimeSources = ReadTexts(ref reader),
            LegalBasis = reader.Remaining > 0 ? Basis(ref reader) : null,
            SuccessionKey = reader.Remaining > 0 ? reader.Raw(Ed25519Signer.PublicKeySize).ToArray() : null,
        };
        if (!reader.IsDone || parsed.Vault != header.Vault || parsed.Kind is not (VaultKind.Real or VaultKind.Trial)
            || parsed.ShortestLock == 0 || parsed.ShortestLock > parsed.LongestLock || parsed.Policy.Base < parsed.ShortestLock)
            return false;
        genesis = parsed;
        return true;
    }

    /// <summary>Empty only where something follows: one genesis has one spelling.</summary>
    static string? Basis(ref ByteReader reader)
    {
        var bytes = reader.Bytes(MaxText);
        reader.Require((bytes.Length > 0 || reader.Remaining > 0) && System.Text.Unicode.Utf8.IsValid(bytes));
        return reader.Failed || bytes.Length == 0 ? null : Encoding.UTF8.GetString(bytes);
    }

    static List<Id16> ReadDomains(ref ByteReader reader)
    {
        var count = reader.Count(MaxList);
        var list = new List<Id16>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            list.Add(reader.Id());
        return list;
    }

    static List<(Id16, byte[])> ReadApprovers(ref ByteReader reader)
    {
        var count = reader.Count(MaxList);
        var list = new List<(Id16, byte[])>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            list.Add((reader.Id(), reader.Raw(Ed25519Signer.PublicKeySize).ToArray()));
        return list;
    }

    static List<string> ReadTexts(ref ByteReader reader)
    {
        var count = reader.Count(MaxList);
        var list = new List<string>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            list.Add(Encoding.ASCII.GetString(reader.Bytes(MaxText)));
        return list;
    }
}
