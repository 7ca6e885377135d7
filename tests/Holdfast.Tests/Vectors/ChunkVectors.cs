using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Index;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;

namespace Holdfast.Tests.Vectors;

/// <summary>Sections 2, 4 and 6 to 8: encoding, names and cuts of chunks, packs, index runs.</summary>
static class ChunkVectors
{
    public static void AddTo(VectorList list)
    {
        Encoding(list);
        Chunks(list);
        Packs(list);
        Runs(list);
    }

    static void Encoding(VectorList list)
    {
        var writer = new ByteWriter();
        foreach (var number in (ulong[])[0, 127, 128, 300, ulong.MaxValue])
            writer.Var(number);
        foreach (var number in (long[])[0, -1, 1, -64, 64, long.MinValue, long.MaxValue])
            writer.VarSigned(number);
        writer.Bytes("ward"u8);
        writer.Bytes([]);
        list.Encode("2", "numbers and bytes",
        [
            "var 0 a", "var 127 b", "var 128 c", "var 300 d", "var 18446744073709551615 e", "svar 0 f", "svar -1 g", "svar 1 h", "svar -64 i", "svar 64 j", "svar -9223372036854775808 k",
            "svar 9223372036854775807 l", Fields.Bytes("ward"u8, "m"), "bytes - n",
        ], writer.Span);
        var header = new ByteWriter();
        new ObjectHeader(ObjectType.Snapshot, Sample.Vault, Sample.Domain, 1_000).Write(header);
        list.Encode("4", "object header", Sample.Header(ObjectType.Snapshot, Sample.Domain, 1_000), header.Span);
    }

    static void Chunks(VectorList list)
    {
        using var keys = Sample.DomainKeys();
        var digest = Sample.Hash(7);
        foreach (var keyClass in Enum.GetValues<KeyClass>())
            list.Hmac("6.1", $"id of a chunk of class {(byte)keyClass}", "chunk-id", Sample.DedupKey, [(byte)keyClass, .. digest.ToArray()], keys.ChunkId(keyClass, digest).ToArray());
        foreach (var bytes in (int[])[1, 16_384, 16_385, 300_000, 1_000_000])
            list.All.Add(new("6.1", $"digest of kind blocks of {bytes} bytes", "block-digest", "block-digest", [("length", bytes)], [("out", BlockDigest.Of(Sample.Stream(bytes)).ToArray())]));
        list.Hmac("6.1", "id of kind blocks", "block-chunk-id", Sample.DedupKey, [(byte)KeyClass.Content, .. digest.ToArray()], keys.ChunkId(KeyClass.Content, digest, DigestKind.Blocks).ToArray());

        const int length = 9_000_000;
        var data = Sample.Stream(length);
        var lengths = new List<string>();
        using var cutter = new Cutter(Sample.CutterKey);
        for (var at = 0; at < length;)
        {
            var next = cutter.Next(data.AsSpan(at), isLast: true);
            lengths.Add($"{next}");
            at += next;
        }
        list.All.Add(new("6.2", "cuts of a file", "cut", "", [("cutterKey", Sample.CutterKey), ("length", length)], [("lengths", lengths)]));
    }

    static void Packs(VectorList list)
    {
        using var domain = Sample.DomainKeys();
        var sealing = Sample.SealingKey(KeyClass.Content);
        var (ciphertext, shared) = XWing.EncapsulateDerand(sealing.PublicKey, Sample.Ephemeral);
        var seal = new SessionSeal(Sample.Domain, KeyClass.Content, Sample.Epoch, Sample.Session, sealing.KeyId, ciphertext);
        var salt = Sample.Id(0xB0);
        var writer = new ByteWriter();
        new PackHeader(Sample.Vault, seal, Sample.Writer, 1, Sample.Generation, salt).Write(writer);
        var header = list.Encode("7.1", "pack header",
        [
            .. Sample.Header(ObjectType.Pack, Sample.Domain, 0), "u8 1 class", "u8 0 retention class", "u16 0 zero", $"u32 {Sample.Epoch} key epoch", Fields.Raw(Sample.Writer.ToArray(), "writer"),
            "u32 1 writer epoch", $"u32 {Sample.Generation} dedup generation", Fields.Raw(Sample.Session.ToArray(), "session"), Fields.Raw(salt.ToArray(), "pack salt"),
            Fields.Raw(sealing.KeyId.ToArray(), "sealing key id"), Fields.Raw(ciphertext, "ciphertext"), Fields.Raw(new byte[16], "zero"),
        ], writer.Span);

        using var session = seal.SessionKey(Sample.Vault, shared);
        using var derived = SessionSeal.PackKey(session, salt);
        using var key = new AeadKey(derived.Span);
        using var sealer = new FrameSealer(3);
        var payload = Sample.Stream(40); // two chunks that do not compress
        var stored = sealer.Seal(key, 5, payload, DigestKind.Whole, out var codec).ToArray();
        Assert.Equal(PackFormat.CodecStored, codec);
        list.Seal("7.2", "frame 5 of a pack", "frame", derived.Span.ToArray(), Fields.Encode(["u32 0 zero", "u64 5 number"]), [], payload, stored);

        var ids = new[] { domain.ChunkId(KeyClass.Content, Sample.Hash(1)), domain.ChunkId(KeyClass.Content, Sample.Hash(2)) };
        string[] footer = ["var 1 frames", "var 56 stored length", "var 40 payload length", "u8 0 codec", "var 2 chunks", "var 30 chunk length", "var 10 chunk length", Fields.Raw(ids[0].ToArray(), "id"), Fields.Raw(ids[1].ToArray(), "id")];
        var plaintext = Fields.Encode(footer);
        Assert.True(PackFooter.TryParse(plaintext, PackFormat.HeaderSize + 56, out var parsed) && parsed!.Ids.SequenceEqual(ids));
        list.Encode("7.3", "footer, before its zeros", footer, plaintext);
        string[] inBlocks = ["var 1 frames", "var 56 stored length", "var 40 payload length", "u8 2 codec", "var 1 chunks", "var 40 chunk length", Fields.Raw(ids[0].ToArray(), "id")];
        Assert.True(PackFooter.TryParse(Fields.Encode(inBlocks), PackFormat.HeaderSize + 56, out parsed) && parsed is { Codecs: [PackFormat.CodecStored], Kinds: [DigestKind.Blocks] });
        list.Encode("7.3", "footer of a stored frame of kind blocks", inBlocks, Fields.Encode(inBlocks));
        using var footerKey = SessionSeal.FooterKey(domain, salt);
        var sealedFooter = new byte[plaintext.Length + Aead.TagSize];
        footerKey.Seal(new byte[12], plaintext, sealedFooter, PackWriter.FooterAad(header));
        list.Seal("7.3", "sealed footer", "footer", Kdf.DeriveKey(Sample.IndexKey, Labels.Footer, salt.ToArray()).Span.ToArray(), new byte[12], header[..144], plaintext, sealedFooter);
        string[] trailer = [$"u32 {sealedFooter.Length} footer length", "u32 0 parity length", Fields.Raw("HF-END\r\n"u8, "end")];
        Assert.Equal(PackFormat.EndMagic.ToArray(), Fields.Encode(trailer)[8..]);
        list.Encode("7.3", "trailer", trailer, Fields.Encode(trailer));
    }

    static void Runs(VectorList list)
    {
        using var folder = new TempFolder();
        var path = Path.Combine(folder.Path, "run-00");
        var ids = Enumerable.Range(0, 172).Select(i => Sample.Hash((ulong)i)).Order().ToList();
        var salt = Sample.Id(0xE0);
        using var domain = Sample.DomainKeys();
        using (var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write))
        {
            using var run = new IndexRunWriter(file, Sample.Vault, domain, [new IndexedPack(Sample.Hash(900), KeyClass.Content, Sample.Id(0xF0))], ids.Count, RunSeal.Of(domain, salt));
            for (var i = 0; i < ids.Count; i++)
                run.Add(new IndexEntry(ids[i].Prefix, 0, (uint)i));
            run.Finish();
        }
        var bytes = File.ReadAllBytes(path);
        const int filterSize = 256; // 64 * ceil(1,720 / 512)
        var filterAt = 144 + 56;
        var fencesAt = filterAt + filterSize;
        list.Encode("8", "start of an index run of 172 entries",
        [
            .. Sample.Header(ObjectType.IndexRun, Sample.Domain, 0), "u32 1 packs", $"u32 {Sample.Generation} dedup generation", "u64 172 entries", $"u64 {filterSize} filter bytes", "u64 2 blocks",
            Fields.Raw(salt.ToArray(), "salt"), Fields.Raw(new byte[16], "zero"), Fields.Raw(bytes.AsSpan(128, 16), "tag"), Fields.Raw(Sample.Hash(900).ToArray(), "pack"), "u8 1 class", Fields.Raw(new byte[7], "zero"), Fields.Raw(Sample.Id(0xF0).ToArray(), "ends"),
        ], bytes.AsSpan(0, filterAt));
        list.All.Add(new("8.1", "filter", "filter", "", [("ids", ids.Select(i => i.ToString()).ToArray()), ("bytes", filterSize)], [("out", bytes[filterAt..fencesAt])]));
        list.Encode("8", "fences: big-endian numbers, little-endian on disk", [.. new[] { ids[0], ids[170] }.Select(id => $"u64 {(ulong)(id.Prefix >> 64)} fence")], bytes.AsSpan(fencesAt, 16));
        var key = Kdf.DeriveKey(Sample.IndexKey, Labels.IndexRun, salt.ToArray()).Span.ToArray();
        list.Derive("5.5", "run key", "index-run", Sample.IndexKey, salt.ToArray(), key);
        list.Seal("8.2", "tag of the fixed part", "", key, [254, .. Enumerable.Repeat((byte)255, 11)], bytes[..128], [], bytes[128..144]);
        var before = bytes.AsSpan(0, fencesAt + 16);
        list.Seal("8.2", "tag of what is before the blocks", "", key, [.. Enumerable.Repeat((byte)255, 12)], SHA256.HashData(before), [], bytes[(fencesAt + 16)..(fencesAt + 32)]);
        var second = bytes.AsSpan(4_096 * 2, 4_096);
        list.Encode("8", "entry", [Fields.Raw(ids[170].ToArray().AsSpan(0, 16), "half of the id"), "u32 0 pack", "u32 170 chunk"], second[..24]);
        list.Seal("8.2", "tag of block 1", "", key, [1, .. new byte[11]], second[..4_080].ToArray(), [], second[4_080..].ToArray());
    }
}
