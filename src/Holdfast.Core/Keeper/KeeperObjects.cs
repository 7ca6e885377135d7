using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

public enum EnrolmentKind : byte
{
    Agent = 1,
    Writer = 2,
    CleanRoom = 3,
}

/// <summary>Who may sign snapshots or write packs (docs/format.md, section 11.4).</summary>
public sealed record Enrolment(Id16 Vault, Hash32 Salt, EnrolmentKind Kind, Id16 Id, uint Epoch, byte[] PublicKey, Id16 Domain)
{
    public byte[] ToArray()
    {
        var body = new ByteWriter();
        body.Hash(Salt);
        body.U8((byte)Kind);
        body.Id(Id);
        body.U32(Epoch);
        body.Raw(PublicKey);
        body.Id(Domain);
        return ObjectHeader.Wrap(ObjectType.Enrolment, Vault, Id16.None, body);
    }

    public static bool TryParse(ReadOnlySpan<byte> bytes, out Enrolment? enrolment)
    {
        enrolment = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Enrolment || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var parsed = new Enrolment(header.Vault, reader.Hash(), (EnrolmentKind)reader.U8(), reader.Id(), reader.U32(), reader.Raw(Ed25519Signer.PublicKeySize).ToArray(), reader.Id());
        if (!reader.IsDone || parsed.Kind is < EnrolmentKind.Agent or > EnrolmentKind.CleanRoom)
            return false;
        enrolment = parsed;
        return true;
    }
}

/// <summary>A policy for one source or all: what later commits get (docs/format.md, section 11.4).</summary>
public sealed record PolicyObject(Id16 Vault, Hash32 Salt, Id16 Policy, Id16 Source, RetentionPolicy Retention)
{
    public byte[] ToArray()
    {
        var body = new ByteWriter();
        body.Hash(Salt);
        body.Id(Policy);
        body.Id(Source);
        Retention.Write(body);
        return ObjectHeader.Wrap(ObjectType.Policy, Vault, Id16.None, body);
    }

    public static bool TryParse(ReadOnlySpan<byte> bytes, out PolicyObject? policy)
    {
        policy = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Policy || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var parsed = new PolicyObject(header.Vault, reader.Hash(), reader.Id(), reader.Id(), RetentionPolicy.Read(ref reader));
        if (!reader.IsDone)
            return false;
        policy = parsed;
        return true;
    }
}

/// <summary>What an expiry removed (docs/format.md, section 11.4): ascending, each once.</summary>
public sealed record ExpiryList(Id16 Vault, Hash32 Salt, IReadOnlyList<(StoreKind Kind, Hash32 Name)> Names)
{
    public byte[] ToArray()
    {
        var body = new ByteWriter(64 + 33 * Names.Count);
        body.Hash(Salt);
        body.Var((ulong)Names.Count);
        foreach (var (kind, name) in Names.OrderBy(n => n.Kind).ThenBy(n => n.Name))
        {
            body.U8((byte)kind);
            body.Hash(name);
        }
        return ObjectHeader.Wrap(ObjectType.ExpiryList, Vault, Id16.None, body);
    }

    public static bool TryParse(ReadOnlySpan<byte> bytes, out ExpiryList? list)
    {
        list = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.ExpiryList || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var salt = reader.Hash();
        var count = reader.Count(reader.Remaining / 33);
        var names = new List<(StoreKind, Hash32)>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var kind = (StoreKind)reader.U8();
            var name = reader.Hash();
            reader.Require(kind is StoreKind.Pack or StoreKind.Object && (i == 0 || (names[^1].Item1, names[^1].Item2).CompareTo((kind, name)) < 0));
            names.Add((kind, name));
        }
        if (!reader.IsDone)
            return false;
        list = new ExpiryList(header.Vault, salt, names);
        return true;
    }
}

/// <summary>What an attestation may find (docs/format.md, section 11.4), and what it names.</summary>
public enum AttestationDefect : byte
{
    /// <summary>A pack of the set is not in the vault (the pack), or no sound pack has a chunk (nothing).</summary>
    PackMissing = 1,

    /// <summary>A pack's bytes are not those that were written (the pack).</summary>
    PackDamaged = 2,

    /// <summary>A pack is as it was written, and what it holds is not what it says (the pack).</summary>
    ContentWrong = 3,

    /// <summary>The tree is not what the agent signed (the snapshot object).</summary>
    RootWrong = 4,

    /// <summary>A pack that the snapshot needs is not in its pack set (the pack). Beside lost packs of the set: what they held was read from it, and no snapshot holds it for as long.</summary>
    PackSetWrong = 5,

    /// <summary>A file's content is not what its row says (nothing).</summary>
    SampleWrong = 6,

    /// <summary>Leaf and object do not agree in what a restore asks of them, or the pack set does not add up (the snapshot object).</summary>
    RecordWrong = 7,

    /// <summary>A snapshot object that the pack set builds on is missing or damaged, so that the set cannot be told (that object).</summary>
    ObjectMissing = 8,
}

/// <summary>How much of a snapshot an attestation looked at (docs/format.md, section 11.4).</summary>
public enum AttestationDepth : byte
{
    /// <summary>Contents of a sample of its files.</summary>
    Sample = 1,

    /// <summary>All contents.</summary>
    Full = 2,

    /// <summary>A sample; and each pack of its set that was not opened before, to its last frame and chunk.</summary>
    SampleAndPacks = 3,

    /// <summary>All contents, and the packs likewise.</summary>
    FullAndPacks = 4,
}

/// <summary>What the clean room found when it re-opened a snapshot (docs/format.md, section 11.4).</summary>
/// <param name="Defects">Kind, and the name of the pack or object.</param>
/// <param name="LateDigests">Sealed digests of files over 64 MiB; empty where there are none.</param>
public sealed record AttestationObject(Id16 Vault, Id16 Domain, Hash32 Salt, Id16 Snapshot, AttestationDepth Depth, ulong Packs, ulong Chunks, ulong BytesRead,
    bool RootMatches, bool PackSetMatches, bool SampleMatches, IReadOnlyList<(AttestationDefect Kind, Hash32 Name)> Defects, byte[] LateDigests)
{
    public const int MaxBox = 64 << 20; // bytes

    public bool IsFull => Depth is AttestationDepth.Full or AttestationDepth.FullAndPacks;

    public bool IsGood => RootMatches && PackSetMatches && SampleMatches && Defects.Count == 0;

    /// <summary>Packs of the snapshot are lost or damaged, and yet all of it was read and found right: sound packs hold what they held.</summary>
    public bool IsHealed => IsFull && RootMatches && SampleMatches && Defects.Count > 0 && Defects.All(d => d.Kind is AttestationDefect.PackMissing or AttestationDefect.PackDamaged && !d.Name.IsNone);

    /// <summary>The same, but for packs that no other snapshot holds for as long: all could be read, and may not stay.</summary>
    public bool IsReadable => IsFull && RootMatches && SampleMatches && Defects.Any(d => d.Kind == AttestationDefect.PackSetWrong) && Defects.Any(d => d.Kind != AttestationDefect.PackSetWrong)
        && Defects.All(d => d.Kind is AttestationDefect.PackMissing or AttestationDefect.PackDamaged or AttestationDefect.PackSetWrong && !d.Name.IsNone);

    /// <summary>With the packs that were read and are not held as defects: then it is not healed.</summary>
    public AttestationObject NotHeld(IReadOnlyCollection<Hash32> packs) => packs.Count == 0 ? this
        : this with { PackSetMatches = false, Defects = [.. Defects.Concat(packs.Select(p => (AttestationDefect.PackSetWrong, p))).Distinct().Order()] };

    public byte[] ToArray()
    {
        var body = new ByteWriter(256);
        body.Hash(Salt);
        body.Id(Snapshot);
        body.U8((byte)Depth);
        body.Var(Packs);
        body.Var(Chunks);
        body.Var(BytesRead);
        body.U8(RootMatches ? (byte)1 : (byte)0);
        body.U8(PackSetMatches ? (byte)1 : (byte)0);
        body.U8(SampleMatches ? (byte)1 : (byte)0);
        body.Var((ulong)Defects.Count);
        foreach (var (kind, name) in Defects)
        {
            body.U8((byte)kind);
            body.Hash(name);
        }
        body.Bytes(LateDigests);
        return ObjectHeader.Wrap(ObjectType.Attestation, Vault, Domain, body);
    }

    public static bool TryParse(ReadOnlySpan<byte> bytes, out AttestationObject? attestation)
    {
        attestation = null;
        if (!ObjectHeader.TryParse(bytes, out var header) || header.Type != ObjectType.Attestation || header.BodyLength != (ulong)(bytes.Length - ObjectHeader.Size))
            return false;
        var reader = new ByteReader(bytes[ObjectHeader.Size..]);
        var salt = reader.Hash();
        var snapshot = reader.Id();
        var kind = reader.U8();
        var packs = reader.Var();
        var chunks = reader.Var();
        var read = reader.Var();
        var (root, set, sample) = (reader.U8(), reader.U8(), reader.U8());
        reader.Require(Enum.IsDefined((AttestationDepth)kind) && root <= 1 && set <= 1 && sample <= 1);
        var count = reader.Count(reader.Remaining / 33);
        var defects = new List<(AttestationDefect, Hash32)>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            defects.Add(((AttestationDefect)reader.U8(), reader.Hash()));
        var box = reader.Bytes(MaxBox).ToArray();
        if (!reader.IsDone)
            return false;
        attestation = new AttestationObject(header.Vault, header.Domain, salt, snapshot, (AttestationDepth)kind, packs, chunks, read, root == 1, set == 1, sample == 1, defects, box);
        return true;
    }
}
