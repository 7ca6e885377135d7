using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Vectors;

/// <summary>Sections 11 and 12: the log, the objects its leaves name, ends of locks.</summary>
static class LogVectors
{
    static string Origin => $"holdfast/{Sample.Vault}";

    public static string Verifier
    {
        get
        {
            using var signer = new Ed25519Signer(Sample.LogSeed);
            return new VerifierKey(Origin, signer.PublicKey.ToArray()).ToString();
        }
    }

    public static void AddTo(VectorList list)
    {
        Log(list);
        Objects(list);
        Approvals(list);
        Erasures(list);
        Locks(list);
    }

    static void Erasures(VectorList list)
    {
        using var opening = new SecretBytes(Sample.OpeningSeed);
        byte[] context = [.. Sample.Vault.ToArray(), .. BitConverter.GetBytes(Sample.Epoch), .. Sample.Domain.ToArray(), .. Sample.Source.ToArray()];
        using var derived = Kdf.DeriveKey(Sample.OpeningSeed, Labels.ErasureKey, context);
        var raw = derived.Span.ToArray();
        list.Derive("11.8", "key of a source's entries", "erasure-key", Sample.OpeningSeed, context, raw);
        using var key = Holdfast.Core.Keys.ErasureKey.Of(opening, Sample.Vault, Sample.Epoch, Sample.Domain, Sample.Source);
        var reference = key.Reference((byte)ErasureOf.Path, "lab/scan.dcm"u8);
        list.Hmac("11.8", "reference of a path", "erasure-reference", raw, [1, .. "lab/scan.dcm"u8], reference.ToArray());
        list.Hmac("11.8", "reference of a content", "erasure-reference", raw, [2, .. Sample.Hash(41).ToArray()], key.Reference((byte)ErasureOf.Content, Sample.Hash(41).ToArray()).ToArray());

        string[] words = [Fields.Bytes("lab/scan.dcm"u8, "named"), Fields.Bytes("case 17"u8, "reason"), Fields.Raw(new byte[1_024 - 21], "filling")];
        list.Encode("11.8", "words of an entry", words, Fields.Encode(words));
        using var treeSeed = Holdfast.Core.Keys.SealingKey.Seed(opening, Sample.Vault, Sample.Epoch, Sample.Domain, KeyClass.Tree, Id16.None);
        var box = list.Box("11.8", "box of words", "payload", treeSeed.Span.ToArray(), [.. Sample.Vault.ToArray(), .. Sample.Domain.ToArray(), 24], Fields.Encode(words));
        var sealing = Sample.SealingKey(KeyClass.Tree).KeyId;
        var payload = list.Object("11.4", "payload", ObjectType.Payload, Sample.Domain, [Fields.Raw(Sample.Salt, "salt"), Fields.Raw(sealing.ToArray(), "sealing key id"), Fields.Bytes(box, "box")],
            new Holdfast.Core.Keys.SealedWords(Sample.Vault, Sample.Domain, new Hash32(Sample.Salt), sealing, box).ToArray());
        Assert.True(Holdfast.Core.Keys.SealedWords.TryParse(payload, out var sealedWords));
        Assert.Equal(payload, sealedWords.ToArray());

        var step = new EmergencyObject(Sample.Vault, Sample.Domain, new Hash32(Sample.Salt), Sample.Id(0xE9), EmergencyStep.Begun, Sample.Snapshot, Sample.Id(0xEA), Sample.Id(0xD0), Sample.Hash(43), 1_767_225_600, payload);
        list.Object("11.9", "step of an emergency", ObjectType.Emergency, Sample.Domain,
        [
            Fields.Raw(Sample.Salt, "salt"), Fields.Raw(Sample.Id(0xE9).ToArray(), "emergency"), "u8 1 begun", Fields.Raw(Sample.Snapshot.ToArray(), "snapshot"), Fields.Raw(Sample.Id(0xEA).ToArray(), "place"),
            Fields.Raw(Sample.Id(0xD0).ToArray(), "approver"), Fields.Raw(step.Proof.ToArray(), "proof"), "u64 1767225600 at", Fields.Bytes(payload, "words"),
        ], step.ToArray());
        Assert.True(EmergencyObject.TryParse(step.ToArray(), out var taken));
        Assert.Equal(step.ToArray(), taken.ToArray());

        var named = new Hash32(System.Security.Cryptography.SHA256.HashData(payload));
        var entry = new ErasureEntry(Sample.Vault, Sample.Domain, new Hash32(Sample.Salt), Sample.Id(0xE8), Sample.Source, Sample.Epoch, ErasureKind.Erased, ErasureOf.Path, 1_767_225_600, reference, named, 1_800_000_000, Hash32.None);
        entry = entry with { Tag = key.Tag(entry.Tagged()) };
        list.Hmac("11.8", "tag of an entry", "erasure-tag", raw, entry.Tagged(), entry.Tag.ToArray());
        list.Object("11.8", "entry", ObjectType.Erasure, Sample.Domain,
        [
            Fields.Raw(Sample.Salt, "salt"), Fields.Raw(Sample.Id(0xE8).ToArray(), "entry"), Fields.Raw(Sample.Source.ToArray(), "source"), $"u32 {Sample.Epoch} epoch", "u8 1 erased", "u8 1 path", "u64 1767225600 through",
            Fields.Raw(reference.ToArray(), "reference"), Fields.Raw(named.ToArray(), "words"), "u64 1800000000 words until", Fields.Raw(entry.Tag.ToArray(), "tag"),
        ], entry.ToArray());
        Assert.True(ErasureEntry.TryParse(entry.ToArray(), out var read));
        Assert.Equal(entry, read);
    }

    static void Approvals(VectorList list)
    {
        using var one = new Ed25519Signer(Sample.AgentSeed);
        using var two = new Ed25519Signer(Sample.LogSeed);
        foreach (var (signer, name) in new[] { (one, "one"), (two, "two") })
            list.Hash("11.7", $"id of approver {name}", "approver-id", signer.PublicKey.ToArray(), Approver.Of(signer.PublicKey).Id.ToArray());
        list.Text("11.7", "approver's public key", [("publicKey", one.PublicKey.ToArray())], Approver.Of(one.PublicKey).ToString());
        using (var heir = SuccessionKey.Of(new SecretBytes((ReadOnlySpan<byte>)Sample.OpeningSeed), Sample.Vault))
        {
            using var secret = Kdf.DeriveKey(Sample.OpeningSeed, Labels.SuccessionKey, Sample.Vault.ToArray());
            list.Derive("11.7", "succession key", "succession-key", Sample.OpeningSeed, Sample.Vault.ToArray(), secret.Span);
            list.Hash("11.7", "id of the succession key", "approver-id", heir.PublicKey.ToArray(), Approver.Of(heir.PublicKey).Id.ToArray());
        }
        var set = ApproverSet.Of(1, [one.PublicKey.ToArray(), two.PublicKey.ToArray()])!;
        string[] people = ["u8 1 quorum", "var 2 people", .. set.People.Select(p => Fields.Raw(p.PublicKey, "key"))];
        list.Encode("11.7", "set of approvers", people, Fields.Encode(people));
        list.Hash("11.7", "digest of a set of approvers", "", Fields.Encode(people), set.Digest.ToArray());
        var (salt, why) = (new Hash32(Sample.Salt), "the disk is full");
        list.Hash("11.7", "hash of a reason", "", [.. Sample.Salt, .. System.Text.Encoding.UTF8.GetBytes(why)], ApprovalRequest.ReasonHash(salt, why).ToArray());
        var head = new RequestHead(Sample.Vault, salt, Sample.Id(0xE0), set.People[0].Id, 1_767_225_600, 1_767_830_400, ApprovalRequest.ReasonHash(salt, why));
        string[] Body(RequestKind kind, params string[] rest) =>
            [Fields.Raw(Sample.Salt, "salt"), Fields.Raw(Sample.Id(0xE0).ToArray(), "request"), Fields.Raw(head.Requester.ToArray(), "requester"), "u64 1767225600 made", "u64 1767830400 until", Fields.Raw(head.Reason.ToArray(), "reason"), $"u8 {(int)kind} kind", .. rest];
        static string[] Rules(ulong lockedFor) => [$"u64 {lockedFor} base retention", "var 8 weeks", "var 12 months", "var 7 years", "u64 0 quota a day", "u64 0 quota locked"];
        var before = new RetentionPolicy(2_592_000, 8, 12, 7, 0, 0);
        byte[]? policy = null;
        foreach (var (name, asked, rest) in new (string, ApprovalRequest, string[])[]
        {
            ("policy", new ApprovalRequest.Policy(head, Sample.Source, before, before with { Base = 864_000 }), [Fields.Raw(Sample.Source.ToArray(), "source"), .. Rules(2_592_000), .. Rules(864_000)]),
            ("approvers", new ApprovalRequest.Approvers(head, set.Digest, set), [Fields.Raw(set.Digest.ToArray(), "before"), .. people]),
            ("a succession", new ApprovalRequest.Succession(head, set.Digest, set), [Fields.Raw(set.Digest.ToArray(), "before"), .. people]),
            ("witnesses", new ApprovalRequest.Witnesses(head, ApprovalRequest.WitnessDigest([]), ["witness+key"]), [Fields.Raw(ApprovalRequest.WitnessDigest([]).ToArray(), "before"), "var 1 witnesses", Fields.Bytes("witness+key"u8, "witness")]),
            ("a longer hold", new ApprovalRequest.HoldLonger(head, 1_777_000_000, [Sample.Snapshot]), ["u64 1777000000 held until", "var 1 snapshots", Fields.Raw(Sample.Snapshot.ToArray(), "snapshot")]),
            ("a hold lifted", new ApprovalRequest.HoldLifted(head, [Sample.Snapshot]), ["var 1 snapshots", Fields.Raw(Sample.Snapshot.ToArray(), "snapshot")]),
            ("an emergency released", new ApprovalRequest.Release(head, Sample.Id(0xE9), Sample.Snapshot, Sample.Id(0xEA), Sample.Id(0xD0)),
                [Fields.Raw(Sample.Id(0xE9).ToArray(), "emergency"), Fields.Raw(Sample.Snapshot.ToArray(), "snapshot"), Fields.Raw(Sample.Id(0xEA).ToArray(), "place"), Fields.Raw(Sample.Id(0xD0).ToArray(), "begun by")]),
            ("a mark taken back", new ApprovalRequest.Unmark(head, Sample.Source, 17), [Fields.Raw(Sample.Source.ToArray(), "source"), "u64 17 marked by leaf"]),
            ("an agent revoked", new ApprovalRequest.Revoke(head, Sample.Agent), [Fields.Raw(Sample.Agent.ToArray(), "agent")]),
        })
        {
            var bytes = asked.ToArray();
            list.Object("11.7", $"request: {name}", ObjectType.Request, Id16.None, Body(asked.Kind, rest), bytes);
            Assert.True(ApprovalRequest.TryParse(bytes, out var parsed));
            Assert.Equal(bytes, parsed.ToArray());
            policy ??= bytes;
        }
        var time = new ApprovalRequest.Time(head with { Until = 1_767_312_000 }, 86_400, 1_762_041_600, 1_767_225_600).ToArray();
        list.Object("11.7", "request: time", ObjectType.Request, Id16.None,
            [.. Body(RequestKind.Time, "u64 86400 set forward before", "u64 1762041600 counted", "u64 1767225600 now").Select(f => f == "u64 1767830400 until" ? "u64 1767312000 until" : f)], time);
        Assert.True(ApprovalRequest.TryParse(time, out var told));
        Assert.Equal(5_184_000UL, ((ApprovalRequest.Time)told).Forward);
        list.Hash("11.7", "digest of no witnesses", "", [0], ApprovalRequest.WitnessDigest([]).ToArray());
        var file = new RequestFile(policy!, why, []).Sign(Decision.Approved, two);
        var signature = file.Signed[0].Signature;
        list.Sign("11.7", "an approval", "approval", Sample.LogSeed, [1, .. System.Security.Cryptography.SHA256.HashData(policy!)], two.PublicKey.ToArray(), signature.Bytes);
        list.Object("11.7", "approval", ObjectType.Approval, Id16.None, [Fields.Bytes(policy!, "request"), "u8 1 decision", "var 1 signatures", Fields.Raw(signature.Approver.ToArray(), "approver"), Fields.Raw(signature.Bytes, "signature")], file.All(Decision.Approved)!.ToArray());
        list.Text("13.6", "request file", [("request", policy!), ("reason", why), ("approver", signature.Approver.ToArray()), ("signature", signature.Bytes)], file.ToString());
        Assert.True(RequestFile.TryParse(file.ToString().Replace("\n", "  \r\n", StringComparison.Ordinal), out var read));
        Assert.Equal(file.ToString(), read.ToString());
    }

    static void Log(VectorList list)
    {
        using var signer = new Ed25519Signer(Sample.LogSeed);
        var leaf = new Leaf(LeafType.Commit, 1_767_225_600, Sample.Snapshot, Sample.Agent, 1_769_817_600, 131_072, 2, Sample.Hash(31));
        var bytes = list.Encode("11.3", "leaf of a commit",
        [
            "u8 1 version", "u8 2 type", "u16 0 zero", "u64 1767225600 vault time", Fields.Raw(Sample.Snapshot.ToArray(), "subject"), Fields.Raw(Sample.Agent.ToArray(), "actor"), "u64 1769817600 expiry", "u64 131072 bytes",
            "u64 2 packs", Fields.Raw(Sample.Hash(31).ToArray(), "payload"),
        ], leaf.ToArray());
        list.Encode("11.10", "leaf of a mark",
        [
            "u8 1 version", "u8 27 type", "u16 0 zero", "u64 1767225600 vault time", Fields.Raw(Sample.Source.ToArray(), "source"), Fields.Raw(new byte[16], "actor"), "u64 1 marked", "u64 0 b", "u64 0 c", Fields.Raw(new byte[32], "payload"),
        ], new Leaf(LeafType.Sensitive, 1_767_225_600, Sample.Source, Id16.None, 1, 0, 0, Hash32.None).ToArray());
        list.Encode("11.1", "the leaf in a bundle", ["u16be 100 length", Fields.Raw(bytes, "leaf")], [0, 100, .. bytes]);

        byte[][] leaves = [bytes, .. Enumerable.Range(1, 6).Select(i => Sample.Hash((ulong)i).ToArray())];
        var tree = new MerkleTree();
        foreach (var one in leaves)
            tree.Add(LogHash.Leaf(one));
        for (var index = 0; index < leaves.Length; index += 3)
        {
            list.All.Add(new("11.1", $"leaf {index} of 7", "merkle", "", [("leaves", leaves.Select(Convert.ToHexStringLower).ToArray()), ("index", index)],
                [("leafHash", LogHash.Leaf(leaves[index]).ToArray()), ("root", tree.Root(7).ToArray()), ("path", tree.ProveInclusion(index, 7).Select(h => h.ToString()).ToArray())]));
        }
        var key = new VerifierKey(Origin, signer.PublicKey.ToArray());
        list.Hash("11.2", "key id", "", [.. System.Text.Encoding.UTF8.GetBytes(Origin), 0x0A, 0x01, .. signer.PublicKey], key.KeyId);
        list.Text("11.2", "verifier key", [("origin", Origin), ("publicKey", signer.PublicKey.ToArray())], Verifier);
        var checkpoint = Checkpoint.Sign(Origin, 7, tree.Root(7), signer);
        Assert.True(checkpoint.IsSignedBy(key));
        list.Text("11.2", "checkpoint", [("origin", Origin), ("size", 7), ("root", tree.Root(7).ToArray()), ("seed", Sample.LogSeed)], checkpoint.Note);
        var proof = new LogProof(leaves[0], 0, tree.ProveInclusion(0, 7), checkpoint);
        Assert.True(proof.IsValid(key));
        list.Text("11.2", "proof", [("leaf", leaves[0]), ("index", 0), ("path", proof.Path.Select(h => h.ToString()).ToArray()), ("checkpoint", checkpoint.Note)], proof.ToString());
    }

    static void Objects(VectorList list)
    {
        var (salt, vault) = (new Hash32(Sample.Salt), Sample.Vault);
        var policy = new RetentionPolicy(2_592_000, 8, 12, 7, 1UL << 40, 1UL << 44);
        string[] rules = ["u64 2592000 base retention", "var 8 weeks", "var 12 months", "var 7 years", $"u64 {1UL << 40} quota a day", $"u64 {1UL << 44} quota locked"];
        using var signer = new Ed25519Signer(Sample.AgentSeed);
        var genesis = new Genesis
        {
            Salt = salt,
            Vault = vault,
            Kind = VaultKind.Real,
            Created = 1_767_225_600,
            ShortestLock = 86_400,
            LongestLock = 315_360_000,
            Policy = policy,
            Reserve = 268_435_456,
            LogKey = Verifier,
            Domains = [Sample.Domain],
            Quorum = 2,
            Approvers = [(Sample.Id(0xD0), signer.PublicKey.ToArray())],
            Witnesses = ["witness+key"],
            TimeSources = ["time.example"],
        };
        list.Object("11.4", "genesis", ObjectType.Genesis, Id16.None,
        [
            Fields.Raw(Sample.Salt, "salt"), Fields.Raw(vault.ToArray(), "vault"), "u8 1 kind", "u64 1767225600 created", "u64 86400 shortest lock", "u64 315360000 longest lock", .. rules, "u64 268435456 reserve",
            Fields.Bytes(System.Text.Encoding.ASCII.GetBytes(Verifier), "log verifier key"), "var 1 domains", Fields.Raw(Sample.Domain.ToArray(), "domain"), "u8 2 quorum", "var 1 approvers", Fields.Raw(Sample.Id(0xD0).ToArray(), "approver"),
            Fields.Raw(signer.PublicKey, "key"), "var 1 witnesses", Fields.Bytes("witness+key"u8, "witness"), "var 1 time sources", Fields.Bytes("time.example"u8, "time source"),
        ], genesis.ToArray());
        string[] basis = [Fields.Bytes("Records Management Code of Practice 2023"u8, "legal basis")];
        var longer = genesis with { LegalBasis = "Records Management Code of Practice 2023" };
        list.Encode("11.4", "end of a genesis with a legal basis", basis, longer.ToArray().AsSpan(genesis.ToArray().Length));
        var approved = genesis with { SuccessionKey = signer.PublicKey.ToArray() };
        list.Encode("11.4", "end of a genesis with a succession key", [Fields.Bytes([], "no legal basis"), Fields.Raw(signer.PublicKey, "succession key")], approved.ToArray().AsSpan(genesis.ToArray().Length));
        foreach (var one in new[] { genesis, longer, approved, approved with { LegalBasis = longer.LegalBasis } })
        {
            Assert.True(Genesis.TryParse(one.ToArray(), out var read));
            Assert.Equal(one.ToArray(), read!.ToArray());
        }
        list.Object("11.4", "policy", ObjectType.Policy, Id16.None, [Fields.Raw(Sample.Salt, "salt"), Fields.Raw(Sample.Id(0xD1).ToArray(), "policy"), Fields.Raw(Sample.Source.ToArray(), "source"), .. rules],
            new PolicyObject(vault, salt, Sample.Id(0xD1), Sample.Source, policy).ToArray());
        list.Object("11.4", "expiry list", ObjectType.ExpiryList, Id16.None,
            [Fields.Raw(Sample.Salt, "salt"), "var 2 names", "u8 1 pack", Fields.Raw(Sample.Hash(1).ToArray(), "name"), "u8 2 object", Fields.Raw(Sample.Hash(0).ToArray(), "name")],
            new ExpiryList(vault, salt, [(StoreKind.Object, Sample.Hash(0)), (StoreKind.Pack, Sample.Hash(1))]).ToArray());
        list.Object("11.4", "enrolment", ObjectType.Enrolment, Id16.None,
            [Fields.Raw(Sample.Salt, "salt"), "u8 1 agent", Fields.Raw(Sample.Agent.ToArray(), "id"), "u32 0 epoch", Fields.Raw(signer.PublicKey, "public key"), Fields.Raw(Sample.Domain.ToArray(), "domain")],
            new Enrolment(vault, salt, EnrolmentKind.Agent, Sample.Agent, 0, signer.PublicKey.ToArray(), Sample.Domain).ToArray());

        using var openingSeed = new SecretBytes(Sample.OpeningSeed);
        using var treeSeed = Holdfast.Core.Keys.SealingKey.Seed(openingSeed, vault, Sample.Epoch, Sample.Domain, KeyClass.Tree, Id16.None);
        string[] late = ["var 1 files", Fields.Bytes("lab/scan.dcm"u8, "path"), Fields.Raw(Sample.Hash(41).ToArray(), "digest")];
        list.Encode("11.5", "late digests", late, Fields.Encode(late));
        var box = list.Box("11.5", "box of late digests", "payload", treeSeed.Span.ToArray(), [.. vault.ToArray(), .. Sample.Domain.ToArray(), 12], Fields.Encode(late));
        list.Object("11.4", "attestation", ObjectType.Attestation, Sample.Domain,
        [
            Fields.Raw(Sample.Salt, "salt"), Fields.Raw(Sample.Snapshot.ToArray(), "snapshot"), "u8 2 full", "var 2 packs", "var 300 chunks", "var 3000012 bytes read", "u8 1 root matches", "u8 1 pack set matches",
            "u8 0 contents match", "var 1 defects", "u8 2 kind", Fields.Raw(Sample.Hash(1).ToArray(), "name"), Fields.Bytes(box, "box"),
        ], new AttestationObject(vault, Sample.Domain, salt, Sample.Snapshot, AttestationDepth.Full, 2, 300, 3_000_012, true, true, false, [(AttestationDefect.PackDamaged, Sample.Hash(1))], box).ToArray());
    }

    static void Locks(VectorList list)
    {
        foreach (var (retention, expiry) in new[] { (604_800UL, 1_769_817_600UL), (2_592_000UL, 1_769_817_601UL), (3UL, 1_769_817_600UL), (315_360_000UL, 4_291_747_100UL) })
        {
            var name = Sample.Hash(expiry);
            list.All.Add(new("12.1", $"end of a pack's lock, base retention {retention}", "lock-end", "", [("pack", name.ToArray()), ("baseRetention", retention), ("expiry", expiry)],
                [("end", LockRules.PackEnd(name, expiry, LockRules.Quantum(retention)))]));
        }
    }
}
