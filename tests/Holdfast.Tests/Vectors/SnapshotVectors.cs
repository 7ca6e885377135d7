using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;

namespace Holdfast.Tests.Vectors;

/// <summary>Sections 9 and 10: trees and snapshots.</summary>
static class SnapshotVectors
{
    public static void AddTo(VectorList list)
    {
        var node = Node(list);
        NodeWithBlocks(list);
        HigherNodes(list);
        PackSets(list);
        Snapshot(list, node);
    }

    static byte[] Node(VectorList list)
    {
        var rows = new EntryBatch();
        void Add(string path, EntryKind kind, uint mode, long size = 0)
        {
            var row = rows.Add(System.Text.Encoding.UTF8.GetBytes(path));
            (rows.Kind[row], rows.Mode[row], rows.Uid[row], rows.Gid[row], rows.Size[row]) = (kind, mode, 1000, 1000, size);
            (rows.MtimeSeconds[row], rows.MtimeNanoseconds[row]) = (1_767_225_600 - row * 100, 5);
            rows.LinkCount[row] = 1;
        }
        Add("", EntryKind.Directory, 0x1ED);
        Add("disk.img", EntryKind.File, 0x1A4, 3_000_000);
        Add("lab", EntryKind.Directory, 0x1ED);
        Add("lab/pipe", EntryKind.Fifo, 0x180);
        Add("lab/port", EntryKind.CharacterDevice, 0x180);
        Add("lab/today", EntryKind.Symlink, 0x1FF);
        Add("lab/x.txt", EntryKind.File, 0x1A4, 12);
        Add("zero", EntryKind.File, 0x1A4);
        rows.Digest[1] = Sample.Hash(11);
        rows.Chunks[1] = [new ChunkRef(Sample.Hash(12), 1_000), new ChunkRef(Sample.Hash(13), 500)];
        rows.Extents[1] = [new Extent(4_096, 1_000), new Extent(8_192, 500)];
        rows.RawDevice[4] = (5UL << 32) | 1;
        rows.LinkTarget[5] = "x.txt"u8.ToArray();
        rows.Digest[6] = Sample.Hash(14);
        (rows.Device[6], rows.Inode[6], rows.LinkCount[6]) = (64_769, 300, 2);
        rows.Xattrs[6] = XattrList.Encode([("user.ward"u8.ToArray(), "7"u8.ToArray())]);

        var writer = new ByteWriter();
        TreeNode.Write(rows, writer);
        Assert.True(TreeNode.TryRead(writer.Span, new EntryBatch()));
        string Path(int shared, string rest) => $"var {shared} shared\n{Fields.Bytes(System.Text.Encoding.UTF8.GetBytes(rest), "rest of the path")}";
        string[] fields =
        [
            "u8 0 level", "var 8 rows",
            .. new[] { Path(0, ""), Path(0, "disk.img"), Path(0, "lab"), Path(3, "/pipe"), Path(5, "ort"), Path(4, "today"), Path(4, "x.txt"), Path(0, "zero") }.SelectMany(p => p.Split('\n')),
            .. new[] { 2, 1, 2, 4, 5, 3, 1, 1 }.Select(k => $"u8 {k} kind"), .. new[] { 0, 7, 0, 0, 0, 0, 25, 0 }.Select(f => $"u8 {f} flags"),
            "var 4 owners", "var 493 mode", "var 1000 uid", "var 1000 gid", "var 420 mode", "var 1000 uid", "var 1000 gid", "var 384 mode", "var 1000 uid", "var 1000 gid", "var 511 mode", "var 1000 uid", "var 1000 gid",
            .. new[] { 0, 1, 0, 2, 2, 3, 1, 1 }.Select(o => $"var {o} owner"), "svar 1767225600 mtime", .. Enumerable.Repeat("svar -100 mtime", 7), .. Enumerable.Repeat("var 5 mtime ns", 8),
            "var 3000000 size", "var 12 size", "var 0 size", Fields.Raw(Sample.Hash(11).ToArray(), "digest"), Fields.Raw(Sample.Hash(14).ToArray(), "digest"),
            "var 2 chunks", "var 1000 length", Fields.Raw(Sample.Hash(12).ToArray(), "digest"), "var 500 length", Fields.Raw(Sample.Hash(13).ToArray(), "digest"),
            "var 2 extents", "var 4096 gap", "var 1000 length", "var 3096 gap", "var 500 length", "var 64769 device", "var 300 inode", "var 2 link count",
            Fields.Bytes("x.txt"u8, "target"), "var 5 major", "var 1 minor", Fields.Bytes(Fields.Encode(["var 1 attributes", Fields.Bytes("user.ward"u8, "name"), Fields.Bytes("7"u8, "value")]), "xattrs"),
            "var 0 extensions",
        ];
        return list.Encode("9.1", "node of level 0", fields, writer.Span);
    }

    static void NodeWithBlocks(VectorList list)
    {
        var rows = new EntryBatch();
        rows.Add([]);
        rows.Add("scan"u8);
        (rows.Kind[0], rows.Kind[1], rows.Size[1], rows.ListedKind[1]) = (EntryKind.Directory, EntryKind.File, 3_000_000, DigestKind.Blocks);
        rows.Chunks[1] = [new ChunkRef(Sample.Hash(12), 2_000_000, DigestKind.Blocks), new ChunkRef(Sample.Hash(13), 1_000_000, DigestKind.Blocks)];
        var writer = new ByteWriter();
        TreeNode.Write(rows, writer);
        var read = new EntryBatch();
        Assert.True(TreeNode.TryRead(writer.Span, read) && read.ChunksOf(1).SequenceEqual(rows.Chunks[1]!));
        list.Encode("9.1", "node of level 0 with chunks of kind blocks",
        [
            "u8 0 level", "var 2 rows", "var 0 shared", "bytes - rest", "var 0 shared", Fields.Bytes("scan"u8, "rest"), "u8 2 kind", "u8 1 kind", "u8 0 flags", "u8 66 flags",
            "var 1 owners", "var 0 mode", "var 0 uid", "var 0 gid", "var 0 owner", "var 0 owner", "svar 0 mtime", "svar 0 mtime", "var 0 mtime ns", "var 0 mtime ns", "var 3000000 size",
            "var 2 chunks", "var 2000000 length", Fields.Raw(Sample.Hash(12).ToArray(), "digest"), "var 1000000 length", Fields.Raw(Sample.Hash(13).ToArray(), "digest"), "var 0 extensions",
        ], writer.Span);
        foreach (var flags in (byte[])[64, 65, 128 + 2]) // not without 2, and no other
        {
            var bytes = writer.ToArray();
            bytes[Array.IndexOf(bytes, (byte)66)] = flags;
            Assert.False(TreeNode.TryRead(bytes, new EntryBatch()));
        }
    }

    static void HigherNodes(VectorList list)
    {
        var writer = new ByteWriter();
        HigherNode.Write(1, [new(new ChunkRef(Sample.Hash(21), 500), 256, []), new(new ChunkRef(Sample.Hash(22), 600), 300, "lab/x"u8.ToArray()), new(new ChunkRef(Sample.Hash(23), 70), 1, "lab/y.txt"u8.ToArray())], writer);
        list.Encode("9.2", "node of level 1",
        [
            "u8 1 level", "var 3 children", Fields.Raw(Sample.Hash(21).ToArray(), "child"), "var 500 length", "var 256 entries", "var 0 shared", "bytes - rest", Fields.Raw(Sample.Hash(22).ToArray(), "child"),
            "var 600 length", "var 300 entries", "var 0 shared", Fields.Bytes("lab/x"u8, "rest"), Fields.Raw(Sample.Hash(23).ToArray(), "child"), "var 70 length", "var 1 entries", "var 4 shared",
            Fields.Bytes("y.txt"u8, "rest"),
        ], writer.Span);
    }

    static PackSet SetOf(int count) => new(Enumerable.Range(0, count).Select(n => new PackRef(Sample.Hash((ulong)n), 65_536)));

    static void PackSets(VectorList list)
    {
        foreach (var count in new[] { 0, 1, 64, 65, 1_000 })
            list.All.Add(new("10.4", $"pack set of {count}", "pack-set", count == 0 ? "" : count <= 64 ? "pack-set-leaf" : "pack-set-node", [("count", count)], [("root", SetOf(count).Root.ToArray())]));
    }

    static void Snapshot(VectorList list, byte[] node)
    {
        using var domain = Sample.DomainKeys();
        using var signer = new Ed25519Signer(Sample.AgentSeed);
        var (source, rootNode) = (domain.SourceId("ward"u8), new Hash32(System.Security.Cryptography.SHA256.HashData(node)));
        var rootSalt = new Hash32(Sample.Bytes(0x31, 32));
        var contentRoot = SnapshotObject.ContentRootOf(rootSalt, Sample.Vault, Sample.Domain, source, Sample.Session, Sample.Snapshot, Hash32.None, rootNode);
        byte[] named = [.. Sample.Vault.ToArray(), .. Sample.Domain.ToArray(), .. source.ToArray(), .. Sample.Session.ToArray(), .. Sample.Snapshot.ToArray()];
        list.Hash("10.3", "content root", "content-root", [.. rootSalt.ToArray(), .. named, .. new byte[32], .. rootNode.ToArray()], contentRoot.ToArray());

        var tree = new TreeSection
        {
            RootSalt = rootSalt,
            Root = new ChunkRef(rootNode, node.Length),
            RootLevel = 0,
            SourceName = "ward"u8.ToArray(),
            HostName = "host"u8.ToArray(),
            RootPath = "/srv/ward"u8.ToArray(),
            ProgramVersion = "0.1.0"u8.ToArray(),
            Users = new Dictionary<uint, byte[]> { [1000] = "nurse"u8.ToArray() },
            Groups = new Dictionary<uint, byte[]> { [1000] = "ward"u8.ToArray() },
            OldestReread = 3_600,
            Problems = 0,
        };
        var section = list.Encode("10.2", "section 1, before its zeros",
        [
            Fields.Raw(rootSalt.ToArray(), "root salt"), Fields.Raw(rootNode.ToArray(), "root node"), $"var {node.Length} length", "u8 0 level", Fields.Bytes("ward"u8, "source name"), Fields.Bytes("host"u8, "host name"),
            Fields.Bytes("/srv/ward"u8, "root path"), Fields.Bytes("0.1.0"u8, "program version"), "var 1 users", "var 1000 uid", Fields.Bytes("nurse"u8, "name"), "var 1 groups", "var 1000 gid",
            Fields.Bytes("ward"u8, "name"), "var 3600 oldest re-read", "var 0 problems",
        ], tree.ToWriter().Span);
        var features = Statistics(list);

        var ids = new[] { domain.ChunkId(KeyClass.Content, Sample.Hash(1)) };
        var references = SnapshotSection.SealReferences(Sample.Snapshot, domain, ids);
        string[] plain = ["u8 0 codec", "var 1 ids", Fields.Raw(ids[0].ToArray(), "id"), Fields.Raw(new byte[222], "zeros to 256")];
        list.Encode("10.2", "section 3", plain, Fields.Encode(plain));
        list.Seal("10.2", "sealed section 3", "references", Kdf.DeriveKey(Sample.IndexKey, Labels.References, Sample.Snapshot.ToArray()).Span.ToArray(), new byte[12], [3, .. Sample.Snapshot.ToArray()], Fields.Encode(plain), references.Sealed);

        var sections = new List<SnapshotSection>();
        foreach (var (number, keyClass, text) in new[] { ((byte)1, KeyClass.Tree, section), ((byte)2, KeyClass.Features, features) })
        {
            var sealing = Sample.SealingKey(keyClass);
            var (ciphertext, shared) = XWing.EncapsulateDerand(sealing.PublicKey, Sample.Ephemeral);
            var seal = new SessionSeal(Sample.Domain, keyClass, Sample.Epoch, Sample.Session, sealing.KeyId, ciphertext);
            using var session = seal.SessionKey(Sample.Vault, shared);
            using var key = SessionSeal.SectionKey(session, number, Sample.Snapshot);
            byte[] padded = [.. text, .. new byte[(256 - text.Length % 256) % 256]];
            var stored = new byte[padded.Length + Aead.TagSize];
            Aead.Seal(key.Span, new byte[12], padded, stored, SnapshotSection.Aad(Labels.Section, number, Sample.Snapshot));
            list.Seal("10.2", $"sealed section {number}", "section", key.Span.ToArray(), new byte[12], [number, .. Sample.Snapshot.ToArray()], padded, stored);
            sections.Add(new SnapshotSection(number, sealing.KeyId, ciphertext, stored));
        }
        sections.Add(references);

        var packs = SetOf(2);
        var unsigned = new SnapshotObject
        {
            Vault = Sample.Vault,
            Domain = Sample.Domain,
            Salt = new Hash32(Sample.Salt),
            Snapshot = Sample.Snapshot,
            Source = source,
            Agent = Sample.Agent,
            Session = Sample.Session,
            Writer = Sample.Writer,
            WriterEpoch = 1,
            KeyEpoch = Sample.Epoch,
            ClientTime = -5,
            Parent = Hash32.None,
            ContentRoot = contentRoot,
            ParentContentRoot = Hash32.None,
            Entries = 8,
            Files = 3,
            LogicalBytes = 3_000_012,
            NewBytes = 131_072,
            Packs = packs.Whole(),
            Sections = sections,
            Signatures = [],
        };
        string[] message = [Fields.Raw(named, "ids"), Fields.Raw(contentRoot.ToArray(), "content root"), Fields.Raw(new byte[32], "of the parent"), "i64 -5 client time", "u64 8 entries", "u64 3000012 logical bytes"];
        Assert.Equal<byte>(unsigned.SignedBytes(), (byte[])[.. Labels.SnapshotSignature, .. Fields.Encode(message)]);
        var signature = signer.Sign(unsigned.SignedBytes());
        list.Sign("10.3", "signature of a snapshot", "snapshot-signature", Sample.AgentSeed, Fields.Encode(message), signer.PublicKey.ToArray(), signature);

        var snapshot = unsigned with { Signatures = [new SnapshotSignature(1, Sample.Agent, 1, signature)] };
        Assert.True(SnapshotObject.TryParse(snapshot.ToArray(), out var read) && read!.IsSignedBy(Sample.Agent, signer.PublicKey));
        var difference = SetOf(3).DeltaFrom(packs);
        var delta = new ByteWriter();
        difference.Write(delta);
        list.Encode("10.4", "a pack set as a difference: one added", [.. Delta(SetOf(3).Root, 3, 0, [Sample.Hash(2)])], delta.Span);
        list.Object("10", "snapshot", ObjectType.Snapshot, Sample.Domain,
        [
            Fields.Raw(Sample.Salt, "salt"), Fields.Raw(Sample.Snapshot.ToArray(), "snapshot"), Fields.Raw(source.ToArray(), "source"), Fields.Raw(Sample.Agent.ToArray(), "agent"), Fields.Raw(Sample.Session.ToArray(), "session"),
            Fields.Raw(Sample.Writer.ToArray(), "writer"), "u32 1 writer epoch", $"u32 {Sample.Epoch} key epoch", "i64 -5 client time", Fields.Raw(new byte[32], "parent"), Fields.Raw(contentRoot.ToArray(), "content root"),
            Fields.Raw(new byte[32], "content root of the parent"), "u64 8 entries", "u64 3 files", "u64 3000012 logical bytes", "u64 131072 bytes of new packs",
            .. Delta(packs.Root, 2, 1, [.. new[] { Sample.Hash(0), Sample.Hash(1) }.Order()]), "var 3 sections",
            .. sections.SelectMany(s => new[] { $"u8 {s.Number} number", Fields.Raw(s.SealingKeyId.ToArray(), "sealing key id"), Fields.Bytes(s.Ciphertext, "ciphertext"), Fields.Bytes(s.Sealed, "sealed") }),
            "var 1 signatures", "u8 1 role", Fields.Raw(Sample.Agent.ToArray(), "signer"), "u8 1 algorithm", Fields.Bytes(signature, "signature"),
        ], snapshot.ToArray());
    }

    static string[] Delta(Hash32 root, int packs, int mode, Hash32[] added) =>
    [
        Fields.Raw(root.ToArray(), "root of the set"), $"u64 {packs} packs", $"u64 {packs * 65_536} bytes", $"u8 {mode} mode", $"var {added.Length} added",
        .. added.SelectMany(name => new[] { Fields.Raw(name.ToArray(), "pack"), "var 1 size / 65536" }), "var 0 removed",
    ];

    static byte[] Statistics(VectorList list)
    {
        var statistics = new RunStatistics();
        var row = statistics[ContentKind.Text];
        (row.NewFiles, row.NewBytes, row.ChangedFiles, row.ChangedBytes, row.RemovedFiles, row.RemovedBytes, row.Renamed, row.UnchangedFiles, row.UnchangedBytes, row.Misfits) = (1, 1_000, 2, 2_000, 3, 3_000, 4, 5, 5_000, 6);
        row.Entropy[9] = 7;
        return list.Encode("10.5", "section 2, before its zeros",
        [
            "var 1 format", "var 1 rows", "var 1 kind", "var 1 files new", "var 1000 bytes new", "var 2 files changed", "var 2000 bytes changed", "var 3 files removed", "var 3000 bytes removed", "var 4 files renamed",
            "var 5 files unchanged", "var 5000 bytes unchanged", .. Enumerable.Range(0, 16).Select(b => $"var {(b == 9 ? 7 : 0)} windows"), "var 6 misfits",
        ], statistics.ToWriter().Span);
    }
}
