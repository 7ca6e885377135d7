using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Snapshots;

/// <summary>A sealed part of a snapshot.</summary>
/// <param name="Number">1 tree, 2 features, 3 references, 4 problems.</param>
/// <param name="SealingKeyId">Which key it is sealed to; none for section 3.</param>
/// <param name="Ciphertext">X-Wing, 1,120 bytes; empty for section 3.</param>
/// <param name="Sealed">Ciphertext and tag.</param>
public sealed record SnapshotSection(byte Number, Id16 SealingKeyId, byte[] Ciphertext, byte[] Sealed)
{
    public const byte Tree = 1;
    public const byte Features = 2;
    public const byte References = 3;
    public const byte Problems = 4;
    const byte NewReferences = 0;
    const byte AllReferences = 1;
    const int Padding = 256; // bytes: lengths of names do not show
    const int MaxTree = 64 << 20; // bytes, as all of these with the tag: twice a million owners' names of 25 letters
    const int MaxOther = 64 << 10;

    /// <summary>Bytes of ciphertext and tag; references have no other limit than the object's (docs/format.md, section 14).</summary>
    public static int MaxSealed(byte number) => number switch
    {
        Tree => MaxTree,
        References => StoreExtensions.MaxObject,
        _ => MaxOther,
    };

    public static KeyClass ClassOf(byte number) => number is Tree or Problems ? KeyClass.Tree : KeyClass.Features;

    public static SnapshotSection Seal(byte number, Id16 snapshot, PackSession session, ByteWriter plaintext)
    {
        Pad(plaintext);
        var (seal, secret) = session.Seal(ClassOf(number));
        using var derived = SessionSeal.SectionKey(secret, number, snapshot);
        using var key = new AeadKey(derived.Span);
        return new SnapshotSection(number, seal.SealingKeyId, seal.Ciphertext, SealWith(key, Labels.Section, number, snapshot, plaintext.Span));
    }

    /// <param name="snapshot">Whose.</param>
    /// <param name="domain">Its keys.</param>
    /// <param name="ids">Ascending.</param>
    /// <param name="areAll">These are all that it refers to, not only those that are new since its parent.</param>
    public static SnapshotSection SealReferences(Id16 snapshot, DomainKeys domain, IReadOnlyList<Hash32> ids, bool areAll = false)
    {
        var plaintext = new ByteWriter(64 + ids.Count * Hash32.Size);
        plaintext.U8(areAll ? AllReferences : NewReferences);
        plaintext.Var((ulong)ids.Count);
        foreach (var id in ids)
            plaintext.Hash(id);
        Pad(plaintext);
        using var key = SessionSeal.ReferencesKey(domain, snapshot);
        return new SnapshotSection(References, Id16.None, [], SealWith(key, Labels.References, References, snapshot, plaintext.Span));
    }

    /// <summary>What the references of a snapshot name; null where it has none that open.</summary>
    /// <param name="snapshot">With its sections.</param>
    /// <param name="domain">Its keys.</param>
    /// <param name="most">Ids that are taken in; where there are more, that is said.</param>
    public static (Hash32[] Ids, bool AreAll, bool IsCut)? OpenReferences(SnapshotObject snapshot, DomainKeys domain, int most)
    {
        if (snapshot.Section(References) is not { } section || section.Sealed.Length < Aead.TagSize)
            return null;
        var plaintext = new byte[section.Sealed.Length - Aead.TagSize];
        using (var key = SessionSeal.ReferencesKey(domain, snapshot.Snapshot))
        {
            if (!key.TryOpen(stackalloc byte[Aead.NonceSize], section.Sealed, plaintext, Aad(Labels.References, References, snapshot.Snapshot)))
                return null;
        }
        var reader = new ByteReader(plaintext);
        var kind = reader.U8();
        reader.Require(kind is NewReferences or AllReferences);
        var count = reader.Count(reader.Remaining / Hash32.Size);
        var ids = new Hash32[Math.Min(most, count)];
        for (var i = 0; i < ids.Length; i++)
            ids[i] = reader.Hash();
        return reader.Failed ? null : (ids, kind == AllReferences, ids.Length < count);
    }

    static void Pad(ByteWriter plaintext) => plaintext.Reserve((Padding - plaintext.Length % Padding) % Padding).Clear();

    static byte[] SealWith(AeadKey key, ReadOnlySpan<byte> label, byte number, Id16 snapshot, ReadOnlySpan<byte> plaintext)
    {
        var stored = new byte[plaintext.Length + Aead.TagSize];
        key.Seal(stackalloc byte[Aead.NonceSize], plaintext, stored, Aad(label, number, snapshot));
        return stored;
    }

    internal static byte[] Aad(ReadOnlySpan<byte> label, byte number, Id16 snapshot)
    {
        var aad = new ByteWriter();
        aad.Raw(label);
        aad.U8(number);
        aad.Id(snapshot);
        return aad.ToArray();
    }
}

/// <summary>A signature over what <see cref="SnapshotObject.SignedBytes()"/> gives.</summary>
public sealed record SnapshotSignature(byte Role, Id16 Signer, byte Algorithm, byte[] Signature)
{
    public const byte Agent = 1;
    public const byte Ed25519 = 1;
}

/// <summary>One snapshot as it lies in the vault (docs/format.md, section 10).</summary>
public sealed record SnapshotObject
{
    const int MaxSections = 16;
    const int MaxSignatures = 16;

    public required Id16 Vault { get; init; }
    public required Id16 Domain { get; init; }
    public required Hash32 Salt { get; init; }
    public required Id16 Snapshot { get; init; }
    public required Id16 Source { get; init; }
    public required Id16 Agent { get; init; }
    public required Id16 Session { get; init; }
    public required Id16 Writer { get; init; }
    public required uint WriterEpoch { get; init; }
    public required uint KeyEpoch { get; init; }

    /// <summary>Seconds since 1970 by the client's clock: a label, believed by nobody.</summary>
    public required long ClientTime { get; init; }

    /// <summary>Name of the parent snapshot object; none for a first one.</summary>
    public required Hash32 Parent { get; init; }
    public required Hash32 ContentRoot { get; init; }
    public required Hash32 ParentContentRoot { get; init; }
    public required ulong Entries { get; init; }
    public required ulong Files { get; init; }
    public required ulong LogicalBytes { get; init; }
    public required ulong NewBytes { get; init; }
    public required PackSetDelta Packs { get; init; }
    public required IReadOnlyList<SnapshotSection> Sections { get; init; }
    public required IReadOnlyList<SnapshotSignature> Signatures { get; init; }

    public byte[] SignedBytes() => SignedBytes(Vault, Domain, Source, Session, Snapshot, ContentRoot, ParentContentRoot, ClientTime, Entries, LogicalBytes);

    internal static byte[] SignedBytes(Id16 vault, Id16 domain, Id16 source, Id16 session, Id16 snapshot, Hash32 root, Hash32 parentRoot, long clientTime, ulong entries, ulong logicalBytes)
    {
        var writer = new ByteWriter();
        writer.Raw(Labels.SnapshotSignature);
        writer.Id(vault);
        writer.Id(domain);
        writer.Id(source);
        writer.Id(session);
        writer.Id(snapshot);
        writer.Hash(root);
        writer.Hash(parentRoot);
        writer.I64(clientTime);
        writer.U64(entries);
        writer.U64(logicalBytes);
        return writer.ToArray();
    }

    /// <summary>What the agent vouches for: every name, attribute and digest, through the root node (section 10.3).</summary>
    public static Hash32 ContentRootOf(Hash32 rootSalt, Id16 vault, Id16 domain, Id16 source, Id16 session, Id16 snapshot, Hash32 parent, Hash32 rootNode)
    {
        var writer = new ByteWriter();
        writer.Raw(Labels.ContentRoot);
        writer.Hash(rootSalt);
        writer.Id(vault);
        writer.Id(domain);
        writer.Id(source);
        writer.Id(session);
        writer.Id(snapshot);
        writer.Hash(parent);
        writer.Hash(rootNode);
        return new Hash32(SHA256.HashData(writer.Span));
    }

    public bool IsSignedBy(Id16 agent, ReadOnlySpan<byte> publicKey)
    {
        foreach (var signature in Signatures)
        {
            if (signature.Role == SnapshotSignature.Agent && signature.Signer == agent && signature.Algorithm == SnapshotSignature.Ed25519
                && Ed25519Signer.Verify(publicKey, SignedBytes(), signature.Signature))
                return true;
        }
        return false;
    }

    /// <summary>What of it is kept in memory for each snapshot of a vault: no section, and no signature that is not of its agent's kind. How much there is of both, its writer chose.</summary>
    public SnapshotObject Head => this with
    {
        Sections = [],
        Signatures = [.. Signatures.Where(s => s is { Role: SnapshotSignature.Agent, Algorithm: SnapshotSignature.Ed25519, Signature.Length: Ed25519Signer.SignatureSize })],
    };

    public SnapshotSection? Section(byte number) => Sections.FirstOrDefault(s => s.Number == number);

    /// <summary>Opens a section.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>, <c>ObjectDamaged</c>.</exception>
    public byte[] Open(byte number, ReadingKeys keys)
    {
        var section = Section(number) ?? throw Damaged();
        var references = number == SnapshotSection.References;
        using var derived = references ? null : keys.SectionKey(SealOf(section), number, Snapshot);
        using var key = derived is null ? SessionSeal.ReferencesKey(keys.Domain(Domain), Snapshot) : new AeadKey(derived.Span);
        var plaintext = new byte[Math.Max(0, section.Sealed.Length - Aead.TagSize)];
        return key.TryOpen(stackalloc byte[Aead.NonceSize], section.Sealed, plaintext, SnapshotSection.Aad(references ? Labels.References : Labels.Section, number, Snapshot))
            ? plaintext : throw Damaged();
    }

    /// <summary>How a section other than the references is sealed.</summary>
    public SessionSeal SealOf(SnapshotSection section) => new(Domain, SnapshotSection.ClassOf(section.Number), KeyEpoch, Session, section.SealingKeyId, section.Ciphertext);

    HoldfastException Damaged() => new(ErrorCode.ObjectDamaged, $"Snapshot {Snapshot} does not open.",
        "Its object in the vault is damaged, or was not written by Holdfast. Choose another snapshot, and run `holdfast verify`.");

    public byte[] ToArray()
    {
        var body = new ByteWriter(4096);
        body.Hash(Salt);
        body.Id(Snapshot);
        body.Id(Source);
        body.Id(Agent);
        body.Id(Session);
        body.Id(Writer);
        body.U32(WriterEpoch);
        body.U32(KeyEpoch);
        body.I64(ClientTime);
        body.Hash(Parent);
        body.Hash(ContentRoot);
        body.Hash(ParentContentRoot);
        body.U64(Entries);
        body.U64(Files);
        body.U64(LogicalBytes);
        body.U64(NewBytes);
        Packs.Write(body);
        body.Var((ulong)Sections.Count);
        foreach (var section in Sections)
        {
            body.U8(section.Number);
            body.Id(section.SealingKeyId);
            body.Bytes(section.Ciphertext);
            body.Bytes(section.Sealed);
        }
        body.Var((ulong)Signatures.Count);
        foreach (var signature in Signatures)
        {
            body.U8(signature.Role);
            body.Id(signature.Signer);
            body.U8(signature.Algorithm);
            body.Bytes(signature.Signature);
        }
        return ObjectHeader.Wrap(ObjectType.Snapshot, Vault, Domain, body);
    }

    public static bool TryParse(ReadOnlySpan<byte> bytes, out SnapshotObject? snapshot)
    {
        snapshot = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Snapshot || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var parsed = new SnapshotObject
        {
            Vault = header.Vault,
            Domain = header.Domain,
            Salt = reader.Hash(),
            Snapshot = reader.Id(),
            Source = reader.Id(),
            Agent = reader.Id(),
            Session = reader.Id(),
            Writer = reader.Id(),
            WriterEpoch = reader.U32(),
            KeyEpoch = reader.U32(),
            ClientTime = reader.I64(),
            Parent = reader.Hash(),
            ContentRoot = reader.Hash(),
            ParentContentRoot = reader.Hash(),
            Entries = reader.U64(),
            Files = reader.U64(),
            LogicalBytes = reader.U64(),
            NewBytes = reader.U64(),
            Packs = PackSetDelta.Read(ref reader)!,
            Sections = ReadSections(ref reader),
            Signatures = ReadSignatures(ref reader),
        };
        if (!reader.IsDone || parsed.Packs is null || parsed.Snapshot.IsNone)
            return false;
        snapshot = parsed;
        return true;
    }

    static List<SnapshotSection> ReadSections(ref ByteReader reader)
    {
        var count = reader.Count(MaxSections);
        var sections = new List<SnapshotSection>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var number = reader.U8();
            var key = reader.Id();
            var ciphertext = reader.Bytes(XWing.CiphertextSize).ToArray();
            var stored = reader.Bytes(SnapshotSection.MaxSealed(number)).ToArray();
            reader.Require(ciphertext.Length == (number == SnapshotSection.References ? 0 : XWing.CiphertextSize) && (i == 0 || sections[^1].Number < number));
            sections.Add(new SnapshotSection(number, key, ciphertext, stored));
        }
        return sections;
    }

    static List<SnapshotSignature> ReadSignatures(ref ByteReader reader)
    {
        var count = reader.Count(MaxSignatures);
        var signatures = new List<SnapshotSignature>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            signatures.Add(new SnapshotSignature(reader.U8(), reader.Id(), reader.U8(), reader.Bytes(8192).ToArray()));
        return signatures;
    }
}
