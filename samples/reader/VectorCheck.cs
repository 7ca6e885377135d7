// Recomputes docs/vectors.json from docs/format.md, as the reader reads: without any code of Holdfast. Sections named in comments are those of the format.
using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Org.BouncyCastle.Crypto.Generators;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Math.EC.Rfc8032;

static class VectorCheck
{
    /// <summary>0 where every vector is what the document gives.</summary>
    public static int Run(string file)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(file));
        var (right, wrong) = (0, 0);
        foreach (var vector in document.RootElement.GetProperty("vectors").EnumerateArray())
        {
            if (IsRight(new Vector(vector)))
            {
                right++;
                continue;
            }
            wrong++;
            Console.Error.WriteLine($"wrong: {vector.GetProperty("section").GetString()} {vector.GetProperty("name").GetString()}");
        }
        Console.WriteLine($"{right} right, {wrong} wrong");
        return wrong == 0 && right > 0 ? 0 : 1;
    }

    sealed class Vector(JsonElement json)
    {
        readonly JsonElement _in = json.GetProperty("in");
        readonly JsonElement _out = json.GetProperty("out");

        public string Rule => json.GetProperty("rule").GetString()!;
        public string Name => json.GetProperty("name").GetString()!;
        public string Label => json.TryGetProperty("label", out var label) ? label.GetString()! : "";
        public byte[] LabelBytes => Label.Length == 0 ? [] : VaultReader.Label(Label);
        public byte[] Bytes(string name) => Convert.FromHexString(_in.GetProperty(name).GetString()!);
        public string Text(string name) => _in.GetProperty(name).GetString()!;
        public ulong Number(string name) => _in.GetProperty(name).GetUInt64();
        public string[] List(string name) => [.. _in.GetProperty(name).EnumerateArray().Select(e => e.GetString()!)];
        public bool Gives(string name, ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(bytes) == _out.GetProperty(name).GetString();
        public bool Gives(string name, string text) => text == _out.GetProperty(name).GetString();
        public bool Gives(string name, ulong number) => number == _out.GetProperty(name).GetUInt64();
        public bool Gives(string name, IEnumerable<string> list) => list.SequenceEqual(_out.GetProperty(name).EnumerateArray().Select(e => e.GetString()!));
        public string Out(string name) => _out.GetProperty(name).GetString()!;
        public string[] OutList(string name) => [.. _out.GetProperty(name).EnumerateArray().Select(e => e.GetString()!)];
    }

    static bool IsRight(Vector v) => v.Rule switch
    {
        "derive" => v.Gives("out", VaultReader.Derive(v.Bytes("key"), v.Label, v.Bytes("context"), (int)v.Number("length"))),
        "hash" => v.Gives("out", SHA256.HashData([.. v.LabelBytes, .. v.Bytes("data")]).AsSpan(0, (int)v.Number("length"))),
        "hmac" => v.Gives("out", HMACSHA256.HashData(v.Bytes("key"), (byte[])[.. v.LabelBytes, .. v.Bytes("data")]).AsSpan(0, (int)v.Number("length"))),
        "seal" => v.Gives("out", Seal(v.Bytes("key"), v.Bytes("nonce"), [.. v.LabelBytes, .. v.Bytes("aad")], v.Bytes("plaintext"))),
        "box" => IsBox(v),
        "xwing" => IsXWing(v),
        "sign" => IsSigned(v),
        "argon2id" => v.Gives("out", Argon2id(v)),
        "shamir" => IsShared(v),
        "share" => IsPrinted(v),
        "encode" => v.Gives("out", Encode(v.List("fields"))),
        "cut" => v.Gives("lengths", Cut(v.Bytes("cutterKey"), (int)v.Number("length")).Select(n => $"{n}")),
        "block-digest" => v.Gives("out", VaultReader.BlockDigest(CutData((int)v.Number("length")))),
        "merkle" => IsInLog(v),
        "pack-set" => v.Gives("root", VaultReader.PackRoot([.. Enumerable.Range(0, (int)v.Number("count")).Select(Counted).OrderBy(Convert.ToHexStringLower, StringComparer.Ordinal)], 0)),
        "lock-end" => v.Gives("end", LockEnd(v)),
        "filter" => v.Gives("out", Filter(v)),
        "note" => IsNote(v),
        _ => false,
    };

    static byte[] Counted(int number) => SHA256.HashData(BitConverter.GetBytes((ulong)number));

    static byte[] Seal(byte[] key, byte[] nonce, byte[] aad, byte[] plaintext)
    {
        using var gcm = new AesGcm(key, 16);
        var bytes = new byte[plaintext.Length + 16];
        gcm.Encrypt(nonce, plaintext, bytes.AsSpan(0, plaintext.Length), bytes.AsSpan(plaintext.Length), aad);
        return bytes;
    }

    // Section 5.3. The reader decapsulates; the ciphertext itself follows from random bytes, which only a writer takes.
    static bool IsBox(Vector v)
    {
        var box = Convert.FromHexString(v.Out("out"));
        var shared = VaultReader.Decapsulate(v.Bytes("seed"), box[..1120], out _);
        return VaultReader.Open(VaultReader.Derive(shared, v.Label, v.Bytes("context"), 32), new byte[12], [.. v.LabelBytes, .. v.Bytes("context")], box[1120..])?.AsSpan().SequenceEqual(v.Bytes("plaintext")) == true;
    }

    static bool IsXWing(Vector v)
    {
        var shared = VaultReader.Decapsulate(v.Bytes("seed"), Convert.FromHexString(v.Out("ciphertext")), out var publicKey);
        return v.Gives("publicKey", publicKey) && v.Gives("sharedSecret", shared);
    }

    static bool IsSigned(Vector v)
    {
        byte[] message = [.. v.LabelBytes, .. v.Bytes("message")];
        var (publicKey, signature) = (new byte[32], new byte[64]);
        Ed25519.GeneratePublicKey(v.Bytes("seed"), 0, publicKey, 0);
        Ed25519.Sign(v.Bytes("seed"), 0, message, 0, message.Length, signature, 0);
        return v.Gives("publicKey", publicKey) && v.Gives("signature", signature);
    }

    static byte[] Argon2id(Vector v)
    {
        var argon2 = new Argon2BytesGenerator();
        argon2.Init(new Argon2Parameters.Builder(Argon2Parameters.Argon2id).WithVersion(0x13).WithSalt(v.Bytes("salt")).WithMemoryAsKB((int)v.Number("memoryKiB"))
            .WithIterations((int)v.Number("passes")).WithParallelism((int)v.Number("lanes")).Build());
        var secret = new byte[32];
        argon2.GenerateBytes(v.Bytes("passphrase"), secret);
        return secret;
    }

    // Section 13.3.
    static bool IsShared(Vector v)
    {
        byte[][] terms = [v.Bytes("secret"), .. v.List("terms").Select(Convert.FromHexString)];
        var shares = v.OutList("shares");
        return terms.Length == (int)v.Number("threshold") && shares.Length > 0 && v.Gives("shares", Enumerable.Range(1, shares.Length).Select(x => Convert.ToHexStringLower([.. Enumerable.Range(0, 32).Select(i =>
        {
            byte value = 0;
            for (var t = terms.Length - 1; t >= 0; t--)
                value = (byte)(VaultReader.Mul(value, (byte)x) ^ terms[t][i]);
            return value;
        })])));
    }

    static bool IsPrinted(Vector v)
    {
        const string alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        var lines = v.Out("text").Split('\n').Where(l => l.Length > 2 && l[1] == ':').Select(l => l[2..].Replace(" ", "", StringComparison.Ordinal)).ToList();
        // The check: a word of line number, data and check that has the roots 2, 4, 8 and 16.
        var areChecked = lines.Select((line, number) => new[] { 2, 4, 8, 16 }.All(root => line.Aggregate(number + 1, (sum, c) => Mul32(sum, root) ^ alphabet.IndexOf(c, StringComparison.Ordinal)) == 0));
        return VaultReader.ReadShare(v.Out("text")).AsSpan().SequenceEqual(v.Bytes("share")) && areChecked.All(c => c) && lines.Count == 7
            && v.Gives("qr", "HOLDFAST-SHARE-1:" + string.Concat(lines));
    }

    static int Mul32(int a, int b)
    {
        var product = 0;
        for (; b != 0; b >>= 1)
        {
            if ((b & 1) != 0)
                product ^= a;
            a = a << 1 ^ (a > 15 ? 0x25 : 0);
        }
        return product;
    }

    // Section 2.
    static byte[] Encode(string[] fields)
    {
        var bytes = new List<byte>();
        foreach (var field in fields)
        {
            var parts = field.Split(' ', 3);
            byte[] raw = parts[0] is "raw" or "bytes" && parts[1] != "-" ? Convert.FromHexString(parts[1]) : [];
            BigInteger Number() => BigInteger.Parse(parts[1], CultureInfo.InvariantCulture);
            switch (parts[0])
            {
                case "raw":
                    bytes.AddRange(raw);
                    break;
                case "bytes":
                    Var(bytes, (ulong)raw.Length);
                    bytes.AddRange(raw);
                    break;
                case "var":
                    Var(bytes, (ulong)Number());
                    break;
                case "svar":
                    var signed = (long)Number();
                    Var(bytes, (ulong)(signed << 1 ^ signed >> 63));
                    break;
                case "i64":
                    bytes.AddRange(BitConverter.GetBytes((long)Number()));
                    break;
                case "u16be":
                    bytes.AddRange(BitConverter.GetBytes((ushort)Number()).Reverse());
                    break;
                default:
                    bytes.AddRange(BitConverter.GetBytes((ulong)Number())[..(int.Parse(parts[0][1..], CultureInfo.InvariantCulture) / 8)]);
                    break;
            }
        }
        return [.. bytes];
    }

    static void Var(List<byte> bytes, ulong value)
    {
        for (; value > 127; value >>= 7)
            bytes.Add((byte)(value | 128));
        bytes.Add((byte)value);
    }

    // Section 6.2.
    static byte[] CutData(int length) => [.. Enumerable.Range(0, (length + 31) / 32).SelectMany(Counted).Take(length)];

    static IEnumerable<int> Cut(byte[] key, int length)
    {
        var data = CutData(length);
        using var aes = Aes.Create();
        aes.Key = key;
        for (var start = 0; start < length;)
        {
            var left = length - start;
            var end = Math.Min(left, 4_194_304);
            for (var n = 262_145; n <= Math.Min(left, 4_194_304); n++)
            {
                var word = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(start + n - 4)) ^ 0x27D4EB2F;
                if (word * 0x9E3779B1 >> 22 != 0)
                    continue;
                var decision = BinaryPrimitives.ReadUInt64LittleEndian(aes.EncryptCbc(data.AsSpan(start + n - 64, 64), new byte[16], PaddingMode.None).AsSpan(48));
                if (decision % (n <= 1_048_576 ? 2_048UL : 256UL) != 0)
                    continue;
                end = n;
                break;
            }
            yield return end;
            start += end;
        }
    }

    // Section 11.1: the path from the leaf up.
    static bool IsInLog(Vector v)
    {
        byte[][] leaves = [.. v.List("leaves").Select(l => SHA256.HashData([0, .. Convert.FromHexString(l)]))];
        var index = (int)v.Number("index");
        return v.Gives("leafHash", leaves[index]) && v.Gives("root", VaultReader.Root(leaves)) && v.Gives("path", Path(leaves, index).Select(Convert.ToHexStringLower));
    }

    static List<byte[]> Path(byte[][] leaves, int index)
    {
        if (leaves.Length == 1)
            return [];
        var split = 1;
        while (split * 2 < leaves.Length)
            split *= 2;
        return index < split ? [.. Path(leaves[..split], index), VaultReader.Root(leaves[split..])] : [.. Path(leaves[split..], index - split), VaultReader.Root(leaves[..split])];
    }

    // Section 12.1.
    static ulong LockEnd(Vector v)
    {
        var quantum = Math.Clamp(v.Number("baseRetention") / 5, 1, 28 * 86_400);
        var offset = BinaryPrimitives.ReadUInt64BigEndian(v.Bytes("pack")) % quantum;
        var end = v.Number("expiry");
        while (end % quantum != offset)
            end++;
        return Math.Min(end, 4_291_747_200);
    }

    // Section 8.2, bit by bit.
    // Section 8.1.
    static byte[] Filter(Vector v)
    {
        var filter = new byte[v.Number("bytes")];
        foreach (var id in v.List("ids").Select(Convert.FromHexString))
        {
            var block = (int)(BinaryPrimitives.ReadUInt64BigEndian(id) * (UInt128)(filter.Length / 64) >> 64);
            var bits = BinaryPrimitives.ReadUInt64BigEndian(id.AsSpan(8));
            for (var k = 0; k < 7; k++)
            {
                var bit = (int)(bits >> 9 * k & 511);
                filter[block * 64 + bit / 8] |= (byte)(1 << bit % 8);
            }
        }
        return filter;
    }

    // Sections 11.2 and 13.1.
    static bool IsNote(Vector v)
    {
        string KeyId(string origin, byte[] key) => Convert.ToHexStringLower(SHA256.HashData([.. Encoding.UTF8.GetBytes(origin), 0x0A, 0x01, .. key])[..4]);
        switch (v.Name)
        {
            case "verifier key":
                return v.Gives("text", $"{v.Text("origin")}+{KeyId(v.Text("origin"), v.Bytes("publicKey"))}+{Convert.ToBase64String([1, .. v.Bytes("publicKey")])}");
            case "checkpoint":
                var body = Encoding.UTF8.GetBytes($"{v.Text("origin")}\n{v.Number("size")}\n{Convert.ToBase64String(v.Bytes("root"))}\n");
                var (key, signature) = (new byte[32], new byte[64]);
                Ed25519.GeneratePublicKey(v.Bytes("seed"), 0, key, 0);
                Ed25519.Sign(v.Bytes("seed"), 0, body, 0, body.Length, signature, 0);
                return v.Gives("text", $"{Encoding.UTF8.GetString(body)}\n— {v.Text("origin")} {Convert.ToBase64String([.. Convert.FromHexString(KeyId(v.Text("origin"), key)), .. signature])}\n");
            case "proof":
                var path = string.Concat(v.List("path").Select(h => Convert.ToBase64String(Convert.FromHexString(h)) + "\n"));
                return v.Gives("text", $"c2sp.org/tlog-proof@v1\nextra {Convert.ToBase64String(v.Bytes("leaf"))}\nindex {v.Number("index")}\n{path}\n{v.Text("checkpoint")}");
            case "approver's public key":
                var id = SHA256.HashData([.. "holdfast/v1/approver-id"u8, .. v.Bytes("publicKey")]);
                return v.Gives("text", $"approver+{Convert.ToHexStringLower(id[..4])}+{Convert.ToBase64String(v.Bytes("publicKey"))}");
            case "request file":
                return v.Gives("text", $"holdfast approval request v1\nrequest {Convert.ToBase64String(v.Bytes("request"))}\nreason {Convert.ToBase64String(Encoding.UTF8.GetBytes(v.Text("reason")))}\napproved {Convert.ToHexStringLower(v.Bytes("approver"))} {Convert.ToBase64String(v.Bytes("signature"))}\n");
            default: // a key file
                var (first, bytes) = (v.Text("firstLine"), v.Bytes("body"));
                var base64 = Convert.ToBase64String([.. bytes, .. SHA256.HashData([.. Encoding.ASCII.GetBytes(first), .. bytes])[..8]]);
                return v.Gives("text", first + "\n" + string.Concat(base64.Chunk(76).Select(line => new string(line) + "\n")));
        }
    }
}
