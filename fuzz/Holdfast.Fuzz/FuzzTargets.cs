using System.Security.Cryptography;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Gateway;
using Holdfast.Core.Grants;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Log;
using Holdfast.Core.Packs;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Fuzz;

/// <summary>One parser, with inputs it accepts.</summary>
/// <param name="Name">As on the command line.</param>
/// <param name="Seeds">Inputs that are accepted.</param>
/// <param name="Run">True where the input is accepted; the errors a parser may give are caught here, all others are findings.</param>
public sealed record FuzzTarget(string Name, Func<IEnumerable<byte[]>> Seeds, Func<byte[], bool> Run);

/// <summary>Every parser of bytes that someone else may have written.</summary>
public static class FuzzTargets
{
    static readonly Id16 Vault = Id16.New();
    static readonly Hash32 Hash = new(SHA256.HashData("x"u8));
    static readonly DomainKeys RunKeys = DomainKeys.Create();
    static readonly Lazy<AeadKey> FrameKey = new(() => new AeadKey(new byte[32]));

    public static IReadOnlyList<FuzzTarget> All { get; } =
    [
        new("object-header", () => [Bytes(w => new ObjectHeader(ObjectType.Snapshot, Vault, Vault, 7).Write(w))], b => ObjectHeader.TryParse(b, out _)),
        new("pack-header", () => [Bytes(w => new PackHeader(Vault, new SessionSeal(Vault, KeyClass.Content, 1, Vault, Vault, new byte[XWing.CiphertextSize]), Vault, 1, 1, Vault).Write(w))], b => PackHeader.TryParse(b, out _)),
        new("pack-footer", () => [Footer(0), Footer(2)], b => PackFooter.TryParse(b, PackFormat.HeaderSize + 100 + 60, out _)),
        new("frame", () => [Frame()], RunFrame),
        new("index-run", () => [IndexRunFile()], RunIndex),
        new("tree-node", () => [Bytes(w => TreeNode.Write(Rows(), w))], b => TreeNode.TryRead(b, new EntryBatch())),
        new("snapshot", () => [Snapshot().ToArray()], b => SnapshotObject.TryParse(b, out _)),
        new("tree-section", () => [Tree()], b => TreeSection.TryParse(b, out _)),
        new("statistics", () => [Statistics()], b => RunStatistics.TryParse(b, out _)),
        new("leaf", () => [new Leaf(LeafType.Commit, 1, Vault, Vault, 1, 2, 3, Hash).ToArray()], b => Leaf.TryParse(b, out _)),
        new("genesis", () => [GenesisObject()], b => Genesis.TryParse(b, out _)),
        new("policy", () => [new PolicyObject(Vault, Hash, Vault, Vault, new RetentionPolicy(1, 2, 3, 4, 5, 6)).ToArray()], b => PolicyObject.TryParse(b, out _)),
        new("expiry-list", () => [new ExpiryList(Vault, Hash, [(StoreKind.Pack, Hash), (StoreKind.Object, Hash)]).ToArray()], b => ExpiryList.TryParse(b, out _)),
        new("attestation", () => [new AttestationObject(Vault, Vault, Hash, Vault, AttestationDepth.Full, 1, 2, 3, true, true, false, [(AttestationDefect.PackMissing, Hash)], [1, 2]).ToArray()], b => AttestationObject.TryParse(b, out _)),
        new("approval-request", () => [ARequest().ToArray()], b => ApprovalRequest.TryParse(b, out _)),
        new("approval", () => [ApprovalObject.Of(ARequest().ToArray(), Decision.Approved, [new ApprovalSignature(Vault, new byte[64])]).ToArray()], b => ApprovalObject.TryParse(b, out _)),
        new("request-file", () => [Encoding.UTF8.GetBytes(new RequestFile(ARequest().ToArray(), null, [(Decision.Objected, new ApprovalSignature(Vault, new byte[64]))]).ToString())], b => RequestFile.TryParse(Encoding.UTF8.GetString(b), out _)),
        new("approver-key-file", () => [ApproverKeyFile.Create("correct horse battery", new Argon2Cost(8_192, 1)).ToArray()], b => ApproverKeyFile.TryParse(b, out _)),
        new("erasure-entry", () => [AnErasure().ToArray()], b => ErasureEntry.TryParse(b, out _)),
        new("emergency-step", () => [new EmergencyObject(Vault, Vault, Hash, Vault, EmergencyStep.Begun, Vault, Vault, Vault, Hash, 1, new byte[1_300]).ToArray()], b => EmergencyObject.TryParse(b, out _)),
        new("release-request", () => [new ApprovalRequest.Release(new RequestHead(Vault, Hash, Vault, default, 1, 2, default), Vault, Vault, Vault, Vault).ToArray()], b => ApprovalRequest.TryParse(b, out _)),
        new("sealed-words", () => [new SealedWords(Vault, Vault, Hash, Vault, new byte[1_200]).ToArray()], b => SealedWords.TryParse(b, out _)),
        new("enrolment", () => [new Enrolment(Vault, Hash, EnrolmentKind.Agent, Vault, 1, new byte[32], Vault).ToArray()], b => Enrolment.TryParse(b, out _)),
        new("keyring", () => [KeyringObject()], b => Keyring.TryParse(b, out _)),
        new("opening-key-file", () => [OpeningKeyFile.Create(Vault, 1).AddRawKey(new byte[32], new byte[32]).ToArray()], b => OpeningKeyFile.TryParse(b, out _)),
        new("put-key", () => [Put()], b => Accepts(() => PutKey.Parse(b).Dispose())),
        new("agent-key", () => [Agent()], b => Accepts(() => AgentKey.Parse(b).Dispose())),
        new("scoped-key", () => [Scoped()], b => Accepts(() => ScopedKeys.Parse(b).Dispose())),
        new("recovery-share", () => [Share()], b => RecoveryShare.TryParse(Encoding.UTF8.GetString(b), out _, out _)),
        new("checkpoint", () => [Encoding.UTF8.GetBytes(SignedCheckpoint().Note)], b => Checkpoint.TryParse(Encoding.UTF8.GetString(b), out _)),
        new("proof", () => [Encoding.UTF8.GetBytes(new LogProof([1, 2], 0, [Hash], SignedCheckpoint()).ToString())], b => LogProof.TryParse(Encoding.UTF8.GetString(b), out _)),
        new("verifier-key", () => ["PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"u8.ToArray()], b => VerifierKey.TryParse(Encoding.UTF8.GetString(b), out _)),
        new("cosigner-key", () => ["witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv"u8.ToArray()], b => CosignerKey.TryParse(Encoding.UTF8.GetString(b), out _)),
        new("add-checkpoint", () => [Encoding.UTF8.GetBytes(new AddCheckpoint(3, [Hash], SignedCheckpoint()).ToString())], b => AddCheckpoint.TryParse(b, out _)),
        new("xattrs", () => [XattrList.Encode([("user.a"u8.ToArray(), [1]), ("user.b"u8.ToArray(), [])])], b => XattrList.TryDecode(b, [])),
        new("agent-request", () => [AgentFrames(), new AgentRequest.Ask(Vault, [new ChunkName(KeyClass.Content, DigestKind.Blocks, Hash)]).ToArray(), new AgentRequest.Finish(Vault, 5, new SnapshotStatement(Vault, 1, 2, 3, 4, [1], [2], [], new byte[64])).ToArray()], b => AgentRequest.TryParse(b, out _)),
        new("grant-request", () => [new GrantRequest.Prove(Vault, new byte[32], new byte[64], new byte[32]).ToArray(), new GrantRequest.Unwanted(Vault, 1, [(0, 3), (7, 1)]).ToArray(), new GrantRequest.Report(Vault, GrantOutcome.Whole, 1, 2, 3).ToArray()], b => GrantRequest.TryParse(b, out _)),
        new("grant-stand", () => [new GrantStand(Vault, Vault, 1, 2, Vault, [1], [2], [3], 4, 5, 6, true).ToArray()], b => GrantStand.Parse(b) is not null),
        new("grant-piece", () => [GrantPiece()], RunGrant),
        new("exclude", () => ["a/**/*.[ch]\n!keep\n\\#x\nfoo/"u8.ToArray()], RunExclude),
    ];

    static ApprovalRequest.HoldLonger ARequest() => new ApprovalRequest.HoldLonger(new RequestHead(Vault, Hash, Vault, default, 1, 2, default), 3, [Vault]);

    static ErasureEntry AnErasure() => new(Vault, Vault, Hash, Vault, Vault, 1, ErasureKind.Erased, ErasureOf.Path, 1, Hash, Hash, 2, Hash);

    static bool Accepts(Action parse)
    {
        try
        {
            parse();
            return true;
        }
        catch (HoldfastException)
        {
            return false;
        }
    }

    static byte[] Bytes(Action<ByteWriter> write)
    {
        var writer = new ByteWriter();
        write(writer);
        return writer.ToArray();
    }

    /// <param name="kind">Of the chunks' digests, as bits of the codec: 0 whole, 2 blocks.</param>
    static byte[] Footer(byte kind) => Bytes(w =>
    {
        w.Var(2);
        foreach (var (stored, payload, codec, lengths) in new[] { (100, 300, 1, new[] { 100, 200 }), (60, 44, 0, new[] { 44 }) })
        {
            w.Var((ulong)stored);
            w.Var((ulong)payload);
            w.U8((byte)(codec | kind));
            w.Var((ulong)lengths.Length);
            foreach (var length in lengths)
                w.Var((ulong)length);
        }
        for (var i = 0; i < 3; i++)
            w.Hash(Hash);
        w.Reserve(100).Clear();
    });

    static byte[] AgentFrames() => new AgentRequest.Send(Vault, KeyClass.Content, [new UnsealedFrame(PackFormat.CodecZstd, DigestKind.Whole, [600, 89], Frame()), new UnsealedFrame(PackFormat.CodecStored, DigestKind.Blocks, [3], new byte[3])]).ToArray();

    /// <summary>One record of each kind.</summary>
    static byte[] GrantPiece() => Bytes(w =>
    {
        var rows = new ByteWriter();
        rows.Var((ulong)Rows().Count);
        rows.Raw(new byte[Rows().Count]);
        TreeNode.Write(Rows(), rows);
        void Put(GrantRecordKind kind, ReadOnlySpan<byte> bytes)
        {
            Span<byte> head = stackalloc byte[GrantRecord.MostHead];
            w.Raw(head[..GrantRecord.WriteHead(head, kind, 3, 5, bytes.Length)]);
            w.Raw(bytes);
        }

        Put(GrantRecordKind.Owners, GrantBytes.OfOwners(true, [new(7, "group"u8.ToArray())]));
        Put(GrantRecordKind.Rows, rows.Span);
        Put(GrantRecordKind.Listed, GrantBytes.OfListed([new ChunkRef(Hash, 9)]));
        foreach (var kind in new[] { GrantRecordKind.Mark, GrantRecordKind.Open, GrantRecordKind.Done, GrantRecordKind.Drop, GrantRecordKind.Finish })
            Put(kind, []);
        Put(GrantRecordKind.Whole, "whole"u8);
        Put(GrantRecordKind.Part, "part"u8);
        Put(GrantRecordKind.Fault, GrantBytes.OfFault(new HoldfastException(ErrorCode.DiskFull, "What.", "How.")));
        Put(GrantRecordKind.Result, new byte[GrantBytes.ResultCounts]);
    });

    static bool RunGrant(byte[] piece)
    {
        var isSound = true;
        for (var at = 0; at < piece.Length && isSound;)
            isSound = GrantRecord.TryRead(piece, ref at, out var record) && RunGrantRecord(record);
        return isSound;
    }

    static bool RunGrantRecord(GrantRecord r) => r.Kind switch
    {
        GrantRecordKind.Owners => GrantBytes.TryOwners(r.Bytes.Span, [], []),
        GrantRecordKind.Rows => RunGrantRows(r.Bytes.Span),
        GrantRecordKind.Listed => GrantBytes.Listed(r.Bytes.Span, DigestKind.Whole) is not null,
        GrantRecordKind.Result => GrantBytes.Result(r.Bytes.Span) is not null,
        GrantRecordKind.Fault => GrantBytes.Fault(r.Bytes.Span) is not null,
        _ => true,
    };

    static bool RunGrantRows(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        _ = reader.Raw(reader.Count(EntryBatch.MaxRows));
        return !reader.Failed && TreeNode.TryRead(reader.Raw(reader.Remaining), new EntryBatch(), 4 << 20);
    }

    static byte[] Frame()
    {
        using var zstd = new ZstdNet.Compressor();
        return zstd.Wrap(Encoding.ASCII.GetBytes(string.Join(' ', Enumerable.Range(0, 200))));
    }

    /// <summary>What a writer with the key, but no good will, may have sealed.</summary>
    static bool RunFrame(byte[] compressed)
    {
        var stored = new byte[compressed.Length + Aead.TagSize];
        FrameKey.Value.Seal(new byte[Aead.NonceSize], compressed, stored, Labels.Frame);
        using var opener = new FrameOpener();
        return Accepts(() => opener.Open(FrameKey.Value, Hash, 0, stored, PackFormat.CodecZstd, new byte[689]));
    }

    static byte[] IndexRunFile()
    {
        var path = Path.GetTempFileName();
        try
        {
            using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite))
            {
                using var writer = new IndexRunWriter(file, Vault, RunKeys, [new IndexedPack(Hash, KeyClass.Content, Vault)], 200);
                for (var i = 0; i < 200; i++)
                    writer.Add(new IndexEntry((UInt128)i << 100, 0, (uint)i));
                writer.Finish();
            }
            return File.ReadAllBytes(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    static bool RunIndex(byte[] bytes)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, bytes);
            using var run = IndexRun.TryOpen(path, Vault, RunKeys, 1 << 20);
            if (run is null)
                return false;
            var entries = run.Read();
            while (entries.TryNext(out var entry))
                run.TryFind(entry.Id, out _, out _);
            return true;
        }
        finally
        {
            File.Delete(path);
        }
    }

    static EntryBatch Rows()
    {
        var rows = new EntryBatch();
        var kinds = new[] { EntryKind.Directory, EntryKind.File, EntryKind.File, EntryKind.Symlink, EntryKind.BlockDevice };
        string[] names = ["", "a", "b", "c", "d"];
        for (var i = 0; i < names.Length; i++)
        {
            rows.Add(Encoding.ASCII.GetBytes(names[i]));
            rows.Kind[i] = kinds[i];
            rows.Mode[i] = 0x1A4;
            rows.LinkCount[i] = i == 1 ? 2u : 1u;
        }
        rows.Size[1] = 5;
        rows.Digest[1] = Hash;
        rows.Size[2] = 100;
        rows.ListedKind[2] = DigestKind.Blocks;
        rows.Chunks[2] = [new ChunkRef(Hash, 30, DigestKind.Blocks), new ChunkRef(Hash, 20, DigestKind.Blocks)];
        rows.Extents[2] = [new Extent(10, 30), new Extent(60, 20)];
        rows.LinkTarget[3] = "target"u8.ToArray();
        rows.RawDevice[4] = 7UL << 32 | 1;
        rows.Xattrs[1] = XattrList.Encode([("user.x"u8.ToArray(), [1, 2])]);
        return rows;
    }

    static SnapshotObject Snapshot() => new()
    {
        Vault = Vault,
        Domain = Vault,
        Salt = Hash,
        Snapshot = Vault,
        Source = Vault,
        Agent = Vault,
        Session = Vault,
        Writer = Vault,
        WriterEpoch = 1,
        KeyEpoch = 1,
        ClientTime = 1,
        Parent = Hash,
        ContentRoot = Hash,
        ParentContentRoot = Hash,
        Entries = 1,
        Files = 1,
        LogicalBytes = 1,
        NewBytes = 1,
        Packs = new PackSet([new PackRef(Hash, 65_536)]).Whole(),
        Sections = [new SnapshotSection(1, Vault, new byte[XWing.CiphertextSize], [1, 2, 3]), new SnapshotSection(3, Id16.None, [], [1])],
        Signatures = [new SnapshotSignature(1, Vault, 1, new byte[64])],
    };

    static byte[] Tree() => new TreeSection
    {
        RootSalt = Hash,
        Root = new ChunkRef(Hash, 100),
        RootLevel = 1,
        SourceName = "s"u8.ToArray(),
        HostName = "h"u8.ToArray(),
        RootPath = "/r"u8.ToArray(),
        ProgramVersion = "1"u8.ToArray(),
        Users = new Dictionary<uint, byte[]> { [0] = "root"u8.ToArray(), [1000] = "u"u8.ToArray() },
        Groups = new Dictionary<uint, byte[]>(),
        OldestReread = 1,
        Problems = 0,
    }.ToWriter().ToArray();

    static byte[] Statistics()
    {
        var statistics = new RunStatistics();
        statistics[ContentKind.Text].NewFiles = 3;
        statistics.Sample(ContentKind.Text, new byte[1000]);
        return statistics.ToWriter().ToArray();
    }

    static byte[] GenesisObject() => new Genesis
    {
        Salt = Hash,
        Vault = Vault,
        Kind = VaultKind.Real,
        Created = 1,
        ShortestLock = 1,
        LongestLock = 10,
        Policy = new RetentionPolicy(5, 0, 0, 0, 0, 0),
        Reserve = 0,
        LogKey = "k",
        Domains = [Vault],
        Quorum = 1,
        Approvers = [(Vault, new byte[32])],
        Witnesses = ["w"],
        TimeSources = ["t"],
    }.ToArray();

    static byte[] KeyringObject()
    {
        using var seed = SecretBytes.Random(32);
        using var domain = DomainKeys.Create();
        return Keyring.Create(Vault, 1, 1, seed, [SealingKey.Create(seed, Vault, 1, domain.Domain, KeyClass.Tree, Id16.None)], [domain], new Dictionary<uint, SecretBytes>());
    }

    static byte[] Put()
    {
        using var seed = SecretBytes.Random(32);
        var domain = DomainKeys.Create();
        using var put = new PutKey(Vault, "k", domain, [.. Enum.GetValues<KeyClass>().Select(c => SealingKey.Create(seed, Vault, 1, domain.Domain, c, Id16.None))], Vault, 1);
        return put.ToText();
    }

    static byte[] Agent()
    {
        using var agent = AgentKey.Create(Vault);
        return agent.ToText();
    }

    static byte[] Scoped()
    {
        using var scoped = new ScopedKeys(Vault, Vault, KeyClass.Tree, 1, [DomainKeys.Create()], new Dictionary<Id16, SecretBytes> { [Vault] = SecretBytes.Random(32) },
            new Dictionary<Id16, SecretBytes> { [Vault] = SecretBytes.Random(32) });
        return scoped.ToText();
    }

    static byte[] Share() => Encoding.UTF8.GetBytes(RecoveryShares.Split(new byte[32], Vault, 1, 2, 3)[0].ToText());

    static Checkpoint SignedCheckpoint()
    {
        using var signer = new Ed25519Signer(new byte[32]);
        return Checkpoint.Sign("holdfast/x", 1, Hash, signer);
    }

    static bool RunExclude(byte[] bytes)
    {
        var lines = Encoding.UTF8.GetString(bytes).Split('\n');
        var excludes = new Excludes().AddLines(lines);
        foreach (var path in new[] { "a/b/c.c", "keep", "foo", "[", "a/a/a/a/a/a/a/a/a/a/a/a/b", "" })
            excludes.Match(Encoding.UTF8.GetBytes(path), isFolder: true);
        return true;
    }
}
