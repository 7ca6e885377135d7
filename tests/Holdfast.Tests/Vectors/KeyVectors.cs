using System.Text;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;

namespace Holdfast.Tests.Vectors;

/// <summary>Sections 1, 5 and 13: keys, key files, shares.</summary>
static class KeyVectors
{
    public static void AddTo(VectorList list)
    {
        XWingPair(list);
        Tree(list);
        KeyFiles(list);
        OpeningKey(list);
        ApproverKey(list);
        Shares(list);
    }

    static void XWingPair(VectorList list)
    {
        using var key = new XWingPrivateKey(Sample.OpeningSeed);
        var (ciphertext, shared) = XWing.EncapsulateDerand(key.PublicKey, Sample.Ephemeral);
        Assert.Equal(shared.Span.ToArray(), key.Decapsulate(ciphertext).Span.ToArray());
        list.All.Add(new("1", "X-Wing", "xwing", "", [("seed", Sample.OpeningSeed), ("ephemeral", Sample.Ephemeral)],
            [("publicKey", key.PublicKey.ToArray()), ("ciphertext", ciphertext), ("sharedSecret", shared.Span.ToArray())]));
        using var signer = new Ed25519Signer(Sample.AgentSeed);
        list.Sign("1", "Ed25519", "", Sample.AgentSeed, "message"u8.ToArray(), signer.PublicKey.ToArray(), signer.Sign("message"u8));
    }

    static void Tree(VectorList list)
    {
        using var opening = new SecretBytes(Sample.OpeningSeed);
        using var domain = Sample.DomainKeys();
        var vault = Sample.Vault.ToArray();
        byte[] context = [.. vault, .. BitConverter.GetBytes(Sample.Epoch)];
        using var keyringSeed = Kdf.DeriveKey(Sample.OpeningSeed, Labels.KeyringSeed, context);
        list.Derive("5.2", "keyring seed", "keyring-seed", Sample.OpeningSeed, context, keyringSeed.Span);
        foreach (var keyClass in Enum.GetValues<KeyClass>())
        {
            using var seed = SealingKey.Seed(opening, Sample.Vault, Sample.Epoch, Sample.Domain, keyClass, Id16.None);
            list.Derive("5.2", $"sealing seed, class {(byte)keyClass}", "sealing-seed", Sample.OpeningSeed, [.. context, .. Sample.Domain.ToArray(), (byte)keyClass, .. new byte[16]], seed.Span);
        }
        var sealing = Sample.SealingKey(KeyClass.Content);
        list.Hash("5.2", "sealing key id", "sealing-key-id", sealing.PublicKey, sealing.KeyId.ToArray());

        string[] secret = ["var 1 domains", .. Sample.DomainFields, "var 1 earlier seeds", "u32 1 epoch", Fields.Raw(Sample.Bytes(0x33, 32), "seed")];
        var box = list.Box("5.4", "box of a keyring", "keyring", keyringSeed.Span.ToArray(), context, Fields.Encode(secret));
        string[] body = [Fields.Raw(Sample.Salt, "salt"), $"u32 {Sample.Epoch} epoch", "u64 1767225600 vault time", "var 3 rows", .. Sample.RowFields, Fields.Bytes(box, "box")];
        string[] whole = [.. Sample.Header(ObjectType.Keyring, Id16.None, Fields.Encode(body).Length), .. body];
        var bytes = list.Encode("5.4", "keyring", whole, Fields.Encode(whole));
        Assert.True(Keyring.TryParse(bytes, out var keyring) && keyring!.TryOpen(opening, out var domains, out var seeds) && domains.Count == 1 && seeds.Count == 1);
        list.Encode("5.4", "what the box of a keyring holds", secret, Fields.Encode(secret));

        var (_, shared) = XWing.EncapsulateDerand(sealing.PublicKey, Sample.Ephemeral);
        var seal = new SessionSeal(Sample.Domain, KeyClass.Content, Sample.Epoch, Sample.Session, sealing.KeyId, []);
        using var session = seal.SessionKey(Sample.Vault, shared);
        list.Derive("5.5", "session key", "session", shared.Span.ToArray(),
            [.. vault, .. Sample.Domain.ToArray(), 1, .. BitConverter.GetBytes(Sample.Epoch), .. Sample.Session.ToArray(), .. sealing.KeyId.ToArray()], session.Span);
        var salt = Sample.Id(0xB0);
        list.Derive("5.5", "pack key", "pack", session.Span.ToArray(), salt.ToArray(), SessionSeal.PackKey(session, salt).Span);
        list.Derive("5.5", "section key", "section", session.Span.ToArray(), [1, .. Sample.Snapshot.ToArray()], SessionSeal.SectionKey(session, 1, Sample.Snapshot).Span);
        list.Derive("5.5", "footer key", "footer", Sample.IndexKey, salt.ToArray(), Kdf.DeriveKey(Sample.IndexKey, Labels.Footer, salt.ToArray()).Span);
        list.Derive("5.5", "refs key", "references", Sample.IndexKey, Sample.Snapshot.ToArray(), Kdf.DeriveKey(Sample.IndexKey, Labels.References, Sample.Snapshot.ToArray()).Span);
        list.Hmac("10.1", "source id", "source-id", Sample.IndexKey, [.. Sample.Domain.ToArray(), .. "ward"u8], domain.SourceId("ward"u8).ToArray());
        var (ward, agent, random, tag) = (domain.SourceId("ward"u8), Sample.Id(0xA6), Sample.Id(0x5E).ToArray()[..8], new byte[8]);
        domain.SessionTag(ward, agent, random, tag);
        list.Hmac("10.1", "second half of a session id", "session-id", Sample.IndexKey, [.. Sample.Domain.ToArray(), .. ward.ToArray(), .. agent.ToArray(), .. random], tag);
    }

    static void KeyFiles(VectorList list)
    {
        using var agent = new AgentKey(Sample.Vault, Sample.Agent, Sample.AgentSeed);
        File(list, "agent key", "holdfast agent key v1", [Fields.Raw(Sample.Vault.ToArray(), "vault"), Fields.Raw(Sample.Agent.ToArray(), "agent"), Fields.Raw(Sample.AgentSeed, "seed")], agent.ToText());
        using var logSeed = new SecretBytes(Sample.LogSeed);
        File(list, "log key", "holdfast log key v1", [Fields.Raw(Sample.Vault.ToArray(), "vault"), Fields.Raw(Sample.LogSeed, "seed")], LogKeyFile.Write(Sample.Vault, logSeed));

        var domain = Sample.DomainKeys();
        var verifier = LogVectors.Verifier;
        using var put = new PutKey(Sample.Vault, verifier, domain, [.. Enum.GetValues<KeyClass>().Select(Sample.SealingKey)], Sample.Writer, 1);
        File(list, "put key", "holdfast put key v1",
        [
            Fields.Raw(Sample.Vault.ToArray(), "vault"), Fields.Bytes(Encoding.ASCII.GetBytes(verifier), "log verifier key"), .. Sample.DomainFields, "var 3 rows", .. Sample.RowFields,
            Fields.Raw(Sample.Writer.ToArray(), "writer"), "u32 1 writer epoch",
        ], put.ToText());

        var (name, seed) = (Sample.SealingKey(KeyClass.Tree).KeyId, Sample.Bytes(0x44, 32));
        using var scoped = new ScopedKeys(Sample.Vault, Sample.Id(0xF0), KeyClass.Tree, 1_800_000_000, [Sample.DomainKeys()], new Dictionary<Id16, SecretBytes> { [name] = new(seed) },
            new Dictionary<Id16, SecretBytes> { [Sample.Snapshot] = new(Sample.Bytes(0x55, 32)) });
        File(list, "scoped key", "holdfast scoped key v1",
        [
            Fields.Raw(Sample.Vault.ToArray(), "vault"), Fields.Raw(Sample.Id(0xF0).ToArray(), "key"), "u8 2 class", "u64 1800000000 replace by", "var 1 domains", .. Sample.DomainFields,
            "var 1 sealing keys", Fields.Raw(name.ToArray(), "sealing key id"), Fields.Raw(seed, "sealing seed"),
            "var 1 packs and sections", Fields.Raw(Sample.Snapshot.ToArray(), "snapshot"), Fields.Raw(Sample.Bytes(0x55, 32), "key of its section"),
        ], scoped.ToText());
    }

    static void File(VectorList list, string name, string firstLine, string[] body, byte[] text)
    {
        var bytes = Fields.Encode(body);
        Assert.Equal(KeyText.Read(firstLine, text), bytes);
        list.Hash("13.1", $"check of a {name}", "", [.. Encoding.ASCII.GetBytes(firstLine), .. bytes], System.Security.Cryptography.SHA256.HashData([.. Encoding.ASCII.GetBytes(firstLine), .. bytes])[..8]);
        list.Encode("13.1", $"body of a {name}", body, bytes);
        list.Text("13.1", name, [("firstLine", firstLine), ("body", bytes)], Encoding.ASCII.GetString(text));
    }

    static void ApproverKey(VectorList list)
    {
        const string passphrase = "correct horse battery staple";
        using var signer = new Ed25519Signer(Sample.AgentSeed);
        byte[] binding = [.. "HFAPPR1 Holdfast approval key. It belongs to one person alone.\n"u8, .. signer.PublicKey];
        var (salt, cost) = (Sample.Bytes(0x77, 16), new Argon2Cost(8_192, 1));
        using var secret = cost.Derive(Encoding.UTF8.GetBytes(passphrase), salt);
        var writer = new Holdfast.Core.Codec.ByteWriter();
        KeySlot.Wrap(KeySlotKind.Passphrase, cost, salt, secret.Span, binding, Sample.AgentSeed).Write(writer);
        string[] before = [Fields.Raw(binding.AsSpan(..63), "magic"), Fields.Raw(signer.PublicKey, "public key"), Fields.Raw(writer.Span, "slot of kind 1")];
        var sum = System.Security.Cryptography.SHA256.HashData([.. Labels.ApproverKeyFile, .. Fields.Encode(before)]);
        list.Hash("13.5", "sum of an approver's key file", "approver-key-file", Fields.Encode(before), sum);
        string[] whole = [.. before, Fields.Raw(sum, "sum")];
        var file = ApproverKeyFile.Parse(Fields.Encode(whole));
        using var opened = file.Open(passphrase);
        Assert.Equal(signer.PublicKey.ToArray(), opened.PublicKey.ToArray());
        list.Encode("13.5", "approver's key file", whole, file.ToArray());
    }

    static void OpeningKey(VectorList list)
    {
        const string passphrase = "correct horse battery staple";
        var (salt, rawSalt, raw) = (Sample.Bytes(0x77, 16), Sample.Bytes(0x97, 16), Sample.Bytes(0x66, 32));
        var cost = new Argon2Cost(8_192, 1);
        byte[] binding = [.. Sample.Vault.ToArray(), .. BitConverter.GetBytes(Sample.Epoch)];
        using var secret = cost.Derive(Encoding.UTF8.GetBytes(passphrase), salt);
        list.All.Add(new("13.2", "secret of a passphrase", "argon2id", "", [("passphrase", Encoding.UTF8.GetBytes(passphrase)), ("salt", salt), ("memoryKiB", 8_192), ("passes", 1), ("lanes", 1)],
            [("out", secret.Span.ToArray())]));
        string[] slots = [];
        foreach (var (kind, slotSalt, slotCost, key) in new[] { (KeySlotKind.Passphrase, salt, cost, secret.Span.ToArray()), (KeySlotKind.RawKey, rawSalt, default, raw) })
        {
            string[] header = [$"u8 {(byte)kind} kind", Fields.Raw(slotSalt, "salt"), .. kind == KeySlotKind.Passphrase ? new[] { "u32 8192 memory", "u32 1 passes", "u32 1 lanes" } : []];
            byte[] context = [.. binding, .. Fields.Encode(header)];
            var writer = new Holdfast.Core.Codec.ByteWriter();
            KeySlot.Wrap(kind, slotCost, slotSalt, key, binding, Sample.OpeningSeed).Write(writer);
            var slot = writer.ToArray();
            var (check, wrapped) = (slot[^64..^48], slot[^48..]);
            using var wrap = Kdf.DeriveKey(key, Labels.KeySlot, context);
            list.Derive("13.2", $"check of a slot of kind {(byte)kind}", "key-slot-check", key, context, check);
            list.Derive("13.2", $"wrap key of a slot of kind {(byte)kind}", "key-slot", key, context, wrap.Span);
            list.Seal("13.2", $"wrapped seed of a slot of kind {(byte)kind}", "", wrap.Span.ToArray(), new byte[12], context, Sample.OpeningSeed, wrapped);
            slots = [.. slots, .. header, Fields.Raw(check, "check"), Fields.Raw(wrapped, "wrapped seed")];
        }
        string[] before = [Fields.Raw("HFKEYS1 Holdfast opening key file. Keep copies of it with the recovery kit.\n"u8, "magic"), Fields.Raw(Sample.Vault.ToArray(), "vault"), $"u32 {Sample.Epoch} epoch", "u8 2 slots", .. slots];
        var sum = System.Security.Cryptography.SHA256.HashData([.. Labels.KeyFile, .. Fields.Encode(before)]);
        list.Hash("13.2", "sum of an opening key file", "key-file", Fields.Encode(before), sum);
        string[] whole = [.. before, Fields.Raw(sum, "sum")];
        var file = OpeningKeyFile.Parse(Fields.Encode(whole));
        Assert.Equal(Sample.OpeningSeed, file.OpenWithPassphrase(passphrase).Span.ToArray());
        Assert.Equal(Sample.OpeningSeed, file.OpenWithRawKey(raw).Span.ToArray());
        list.Encode("13.2", "opening key file", whole, file.ToArray());
    }

    static void Shares(VectorList list)
    {
        byte[] context = [.. Sample.Vault.ToArray(), .. BitConverter.GetBytes(Sample.Epoch)];
        using var check = new SecretBytes(4);
        Kdf.Derive(Sample.OpeningSeed, Labels.SeedCheck, context, check.Span);
        list.Derive("13.3", "seed check", "seed-check", Sample.OpeningSeed, context, check.Span);
        byte[][] terms = [Sample.Stream(32), Sample.Bytes(0x5A, 32)]; // of x and x^2: three of four shares give the seed
        var payloads = Enumerable.Range(1, 4).Select(x => Enumerable.Range(0, 32).Select(i =>
            (byte)(Sample.OpeningSeed[i] ^ Shamir.Multiply(terms[0][i], (byte)x) ^ Shamir.Multiply(terms[1][i], Shamir.Multiply((byte)x, (byte)x)))).ToArray()).ToArray();
        list.All.Add(new("13.3", "payloads of shares", "shamir", "", [("secret", Sample.OpeningSeed), ("threshold", 3), ("terms", terms.Select(Convert.ToHexStringLower).ToArray())],
            [("shares", payloads.Select(Convert.ToHexStringLower).ToArray())]));
        var shares = payloads.Select((p, i) => RecoveryShare.Create(Sample.Vault, Sample.Epoch, 0x1122334455667788, 3, i + 1, 4, check.Span, p)).ToList();
        Assert.Equal(Sample.OpeningSeed, RecoveryShares.Combine(shares[1..]).Span.ToArray());
        for (var x = 1; x <= shares.Count; x++)
        {
            string[] before =
            [
                Fields.Raw(Sample.Vault.ToArray(), "vault"), $"u32 {Sample.Epoch} epoch", $"u64 {0x1122334455667788} set", "u8 3 threshold", $"u8 {x} index", "u8 4 total", Fields.Raw(check.Span, "seed check"),
                Fields.Raw(payloads[x - 1], "payload"),
            ];
            var bytes = Fields.Encode(before);
            var sum = System.Security.Cryptography.SHA256.HashData([.. Labels.ShareCheck, .. bytes])[..3];
            byte[] share = [.. bytes, .. sum];
            list.Hash("13.3", $"check of share {x}", "share-check", bytes, sum);
            list.Hash("13.3", $"bytes of the words of share {x}", "share-words", share, System.Security.Cryptography.SHA256.HashData([.. Labels.ShareWords, .. share])[..4]);
            list.Encode("13.3", $"share {x}", [.. before, Fields.Raw(sum, "check")], share);
            list.All.Add(new("13.3", $"print of share {x}", "share", "", [("share", share)], [("text", shares[x - 1].ToText()), ("qr", shares[x - 1].ToQrText()), ("words", shares[x - 1].Words)]));
        }
    }
}
