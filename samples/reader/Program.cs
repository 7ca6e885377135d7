// A reader of Holdfast vaults, written from docs/format.md alone: it shares no code with Holdfast. It rebuilds the opening seed from recovery
// shares, lists snapshots, and restores names, contents, permissions and times of files, folders and symlinks.
//
//   reader list    VAULT SHARE...
//   reader restore VAULT SNAPSHOT TARGET SHARE...
//   reader vectors FILE                              recomputes docs/vectors.json
//
// Sections named in comments are those of docs/format.md.
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Org.BouncyCastle.Crypto.Digests;
using Org.BouncyCastle.Crypto.Kems;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Math.EC.Rfc7748;
using Org.BouncyCastle.Math.EC.Rfc8032;

if (args.Length == 2 && args[0] == "vectors")
    return VectorCheck.Run(args[1]);
if (args.Length < 3 || args[0] is not ("list" or "restore"))
{
    Console.Error.WriteLine("reader list VAULT SHARE... | reader restore VAULT SNAPSHOT TARGET SHARE... | reader vectors FILE");
    return 2;
}
var restore = args[0] == "restore";
var reader = new VaultReader(args[1], args.Skip(restore ? 4 : 2).Select(File.ReadAllText));
foreach (var snapshot in reader.Snapshots)
{
    if (!restore)
        Console.WriteLine($"{snapshot.Id} {Encoding.UTF8.GetString(snapshot.SourceName)} {snapshot.Files} files");
    else if (snapshot.Id.StartsWith(args[2], StringComparison.Ordinal))
        Console.WriteLine($"{reader.Restore(snapshot, args[3])} entries restored");
}
return reader.Lost.Count > 0 ? 1 : 0;

sealed record Snapshot(string Id, byte[] SourceName, ulong Files, ulong Entries, byte[] Domain, byte[] RootDigest, int RootLevel);

/// <summary>What later snapshots need to know of one: to check that they follow it, and to tell their pack sets.</summary>
sealed record Committed(byte[] Source, byte[] ContentRoot, SortedDictionary<string, ulong>? Packs);

/// <summary>What the log says of a commit, whether its object can be read or not.</summary>
sealed record Lock(string Id, string Name)
{
    public ulong Expiry { get; set; }

    /// <summary>The object whose pack set its own is told as a difference to.</summary>
    public string? BuildsOn { get; set; }
    public string? Fault { get; set; }
}

sealed record Frame(long Offset, int Stored, int Payload, int Codec, int[] Chunks);

sealed record Pack(string File, byte[] Key, Frame[] Frames);

/// <summary>Integers little-endian, var and bytes as in section 2.</summary>
sealed class In(byte[] data)
{
    int _at;

    public bool IsEmpty => _at == data.Length;
    public byte[] Raw(int n) => data[_at..(_at += n)];
    public byte U8() => Raw(1)[0];
    public uint U32() => BinaryPrimitives.ReadUInt32LittleEndian(Raw(4));
    public ulong U64() => BinaryPrimitives.ReadUInt64LittleEndian(Raw(8));
    public byte[] Bytes() => Raw((int)Var());

    public ulong Var()
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var b = U8();
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
    }

    public long SVar()
    {
        var z = Var();
        return (long)(z >> 1) ^ -(long)(z & 1);
    }
}

sealed class VaultReader
{
    static readonly byte[] Zero = new byte[12];
    const ulong LastEnd = 4_291_747_200;

    readonly string _folder;
    readonly List<string> _folders;
    readonly byte[] _vault;
    readonly HashSet<string> _genesisDomains = [];
    readonly Dictionary<string, byte[]> _agents = [];
    readonly Dictionary<string, Committed?> _committed = []; // by name of the object
    readonly Dictionary<string, Lock> _locks = []; // by snapshot id
    readonly HashSet<(byte Kind, string Name)> _removed = []; // 1 packs, 2 objects
    readonly HashSet<string> _named = []; // objects that leaves of other types name
    readonly List<string> _faults = [];
    ulong _quantum;
    readonly Dictionary<uint, byte[]> _seeds = [];
    readonly Dictionary<string, (byte[] Index, List<(uint Generation, byte[] Key)> Dedup)> _domains = [];
    readonly Dictionary<string, (byte[] Domain, byte Class, byte[] Source, uint Epoch)> _sealing = [];
    readonly Dictionary<string, List<(Pack Pack, int Number)>> _places = [];
    readonly Dictionary<string, byte[]> _secrets = [];

    public List<Snapshot> Snapshots { get; } = [];

    /// <summary>What a restore could not bring: it goes on without.</summary>
    public List<string> Lost { get; } = [];

    public VaultReader(string folder, IEnumerable<string> shareTexts)
    {
        _folder = folder;
        // Section 3: the other folders.
        var more = Path.Combine(folder, "keeper/folders");
        _folders = [folder, .. File.Exists(more) ? File.ReadAllLines(more).Where(l => l.Length > 0) : []];
        // Section 13.3: shares, Lagrange at 0.
        var shares = shareTexts.Select(ReadShare).DistinctBy(s => s[29]).ToList();
        _vault = shares[0][..16];
        var epoch = BinaryPrimitives.ReadUInt32LittleEndian(shares[0].AsSpan(16));
        shares = [.. shares.Take(shares[0][28])];
        var seed = new byte[32];
        foreach (var share in shares)
        {
            byte weight = 1;
            foreach (var other in shares.Where(o => o[29] != share[29]))
                weight = Mul(weight, Mul(other[29], Inverse((byte)(share[29] ^ other[29]))));
            for (var i = 0; i < 32; i++)
                seed[i] ^= Mul(weight, share[35 + i]);
        }
        Check(Derive(seed, "seed-check", [.. _vault, .. U32(epoch)], 4).AsSpan().SequenceEqual(shares[0].AsSpan(31, 4)), "the shares do not give the seed");
        _seeds[epoch] = seed;

        // Section 11.3: leaves of another length or version are left aside.
        var leaves = ReadLog().Where(l => l.Length == 100 && l[0] == 1).ToList();
        ReadGenesis(ReadObject(leaves[0][68..100], 5));
        // Sections 15, 5.4: the newest leaf of the seed's epoch names the keyring.
        OpenKeyring(ReadObject(leaves.Last(l => l[1] == 11 && U64(l, 44) == epoch)[68..100], 3));
        ReadPacks();
        var expiries = new List<(byte[] Leaf, ulong Judged)>();
        for (var i = 0; i < leaves.Count; i++)
        {
            var leaf = leaves[i];
            var isRepeated = leaf[1] != 2 && !_named.Add(Hex(leaf[68..100]));
            if (leaf[1] == 9)
                ReadEnrolment(leaf);
            else if (leaf[1] == 2)
                Try(leaf);
            else if (leaf[1] == 3 && _locks.TryGetValue(Hex(leaf[12..28]), out var locked))
                locked.Expiry = Math.Max(locked.Expiry, Math.Min(U64(leaf, 44), LastEnd));
            else if (leaf[1] == 6 && isRepeated)
                _faults.Add("a second expiry of one list is not believed");
            else if (leaf[1] == 6)
                expiries.Add((leaf, Math.Min(U64(leaf, 44), leaves.Skip(i).Min(l => U64(l, 4)))));
        }
        foreach (var (leaf, judged) in expiries) // by all that the log has
            ReadExpiry(leaf, judged);
        Snapshots.RemoveAll(s => IsGone(_locks[s.Id]));
        foreach (var locked in _locks.Values.Where(l => l.Fault is not null && !IsGone(l)))
            Console.Error.WriteLine($"snapshot {locked.Id} is left out: {locked.Fault}");
        foreach (var fault in _faults)
            Console.Error.WriteLine(fault);
    }

    bool IsGone(Lock locked) => _removed.Contains((2, locked.Name)) || (_committed[locked.Name]?.Packs?.Keys.Any(p => _removed.Contains((1, p))) ?? false);

    /// <summary>One snapshot that is gone, or fails, does not hold up the others. Section 11.3: of several commits of one snapshot or object the first counts.</summary>
    void Try(byte[] leaf)
    {
        var (id, name) = (Hex(leaf[12..28]), Hex(leaf[68..100]));
        if (_locks.ContainsKey(id) || _committed.ContainsKey(name))
        {
            _faults.Add($"a second commit of snapshot {id} is not believed");
            return;
        }
        _committed[name] = null;
        var locked = _locks[id] = new Lock(id, name) { Expiry = Math.Min(U64(leaf, 44), LastEnd) };
        try
        {
            ReadSnapshot(leaf, locked);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or IndexOutOfRangeException or ArgumentException or OverflowException)
        {
            locked.Fault = e.Message;
        }
    }

    /// <summary>Section 11.4.</summary>
    void ReadGenesis(byte[] body)
    {
        var r = new In(body);
        r.Raw(32 + 16 + 1 + 3 * 8);
        _quantum = Math.Clamp(r.U64() / 5, 1, 28 * 86_400);
        _ = r.Var() + r.Var() + r.Var();
        r.Raw(3 * 8);
        r.Bytes();
        for (var n = r.Var(); n > 0; n--)
            _genesisDomains.Add(Hex(r.Raw(16)));
    }

    /// <summary>Section 12.5: what a leaf names is given up only where its lock was over by then.</summary>
    void ReadExpiry(byte[] leaf, ulong judged)
    {
        if (judged > (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 86_400)
        {
            _faults.Add("an expiry by a time that has not come gives up nothing");
            return;
        }
        In r;
        try
        {
            r = new In(ReadObject(leaf[68..100], 7));
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            _faults.Add($"an expiry gives up nothing: {e.Message}");
            return;
        }
        r.Raw(32);
        var locked = 0;
        for (var n = r.Var(); n > 0; n--)
        {
            var (kind, name) = (r.U8(), Hex(r.Raw(32)));
            var end = kind == 1 ? PackEnd(name) : ObjectEnd(name);
            if (end is null || end + 14 * 86_400 < judged)
                _removed.Add((kind, name));
            else
                locked++;
        }
        if (locked > 0)
            _faults.Add($"an expiry of {locked} names that were locked is not believed");
    }

    /// <summary>Section 12.1; null where no set names the pack, and no leaf has it for an object.</summary>
    ulong? PackEnd(string name)
    {
        var expiry = _locks.Values.Where(l => _committed[l.Name]?.Packs?.ContainsKey(name) == true).Select(l => (ulong?)l.Expiry).Max();
        return expiry is not { } e ? (_named.Contains(name) || _committed.ContainsKey(name) ? LastEnd : null)
            : Math.Min(e + (BinaryPrimitives.ReadUInt64BigEndian(Convert.FromHexString(name)) % _quantum + _quantum - e % _quantum) % _quantum, LastEnd);
    }

    /// <summary>A snapshot object stays as long as what builds on it, others for good; null where no leaf names it, and no set has it for a pack.</summary>
    ulong? ObjectEnd(string name)
    {
        if (_named.Contains(name) || (!_committed.ContainsKey(name) && _committed.Values.Any(c => c?.Packs?.ContainsKey(name) == true)))
            return LastEnd;
        var ends = new Dictionary<string, ulong>();
        foreach (var locked in _locks.Values.Reverse())
        {
            var end = ends[locked.Name] = Math.Max(ends.GetValueOrDefault(locked.Name), Math.Min(locked.Expiry + _quantum, LastEnd));
            if (locked.BuildsOn is { } parent)
                ends[parent] = Math.Max(ends.GetValueOrDefault(parent), end);
        }
        return ends.TryGetValue(name, out var found) ? found : null;
    }

    /// <summary>Section 11.6: the newest enrolment of an agent counts; a revocation names no object.</summary>
    void ReadEnrolment(byte[] leaf)
    {
        var id = Hex(leaf[12..28]);
        _agents.Remove(id);
        if (U64(leaf, 44) != 1)
            return;
        var r = new In(ReadObject(leaf[68..100], 9));
        r.Raw(32);
        var (kind, enrolled) = (r.U8(), Hex(r.Raw(16)));
        r.U32();
        if (kind == 1 && enrolled == id)
            _agents[id] = r.Raw(32);
    }

    static void Check(bool claim, string what)
    {
        if (!claim)
            throw new InvalidDataException(what);
    }

    static string Hex(byte[] bytes) => Convert.ToHexStringLower(bytes);
    static byte[] U32(uint value) => BitConverter.GetBytes(value);
    static ulong U64(byte[] bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
    public static byte[] Label(string word) => Encoding.ASCII.GetBytes("holdfast/v1/" + word);
    static byte[] Sha(params byte[][] parts) => SHA256.HashData(parts.SelectMany(p => p).ToArray());

    // Section 1.
    public static byte[] Derive(byte[] key, string label, byte[] context, int n) => HKDF.DeriveKey(HashAlgorithmName.SHA256, key, n, Label(label), context);

    public static byte[]? Open(byte[] key, byte[] nonce, byte[] aad, byte[] stored)
    {
        using var gcm = new AesGcm(key, 16);
        var plain = new byte[stored.Length - 16];
        try
        {
            gcm.Decrypt(nonce, stored.AsSpan(0, plain.Length), stored.AsSpan(plain.Length), plain, aad);
            return plain;
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
    }

    public static byte Mul(byte a, byte b)
    {
        int product = 0, x = a;
        for (var bit = 0; bit < 8; bit++)
        {
            if ((b >> bit & 1) != 0)
                product ^= x;
            x = x << 1 ^ (x > 127 ? 0x11B : 0);
        }
        return (byte)product;
    }

    static byte Inverse(byte a) => (byte)Enumerable.Range(1, 255).First(i => Mul(a, (byte)i) == 1);

    public static byte[] ReadShare(string text)
    {
        const string alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        var bits = new List<int>();
        foreach (var line in text.Split('\n').Select(l => l.Trim()).Where(l => l.Length > 2 && l[1] == ':' && char.IsAsciiDigit(l[0])))
        {
            var symbols = line[2..].ToUpperInvariant().Replace('O', '0').Replace('I', '1').Replace('L', '1').Where(alphabet.Contains).Select(c => alphabet.IndexOf(c)).ToList();
            Check(symbols.Count == 20, "a line of a share has 20 characters");
            bits.AddRange(symbols.Take(16).SelectMany(s => Enumerable.Range(0, 5).Select(b => s >> (4 - b) & 1)));
        }
        var share = bits.Chunk(8).Select(c => (byte)c.Aggregate(0, (v, b) => v << 1 | b)).ToArray();
        Check(share.Length == 70 && Sha(Label("share-check"), share[..67]).AsSpan(0, 3).SequenceEqual(share.AsSpan(67)), "a share is mistyped");
        return share;
    }

    /// <summary>Section 11: every leaf, checked against the signed root.</summary>
    List<byte[]> ReadLog()
    {
        var key = File.ReadLines(Path.Combine(_folder, "vault")).Single(l => l.StartsWith("log ", StringComparison.Ordinal))[4..].Split('+', 3);
        var note = File.ReadAllText(Path.Combine(_folder, "log/checkpoint"));
        var end = note.IndexOf("\n\n", StringComparison.Ordinal) + 1;
        var lines = note[..end].Split('\n');
        var signature = note[end..].Split('\n').First(l => l.StartsWith($"— {key[0]} ", StringComparison.Ordinal)).Split(' ')[2];
        Check(Ed25519.Verify(Convert.FromBase64String(signature), 4, Convert.FromBase64String(key[2]), 1, Encoding.UTF8.GetBytes(note[..end]), 0, Encoding.UTF8.GetByteCount(note[..end])), "the checkpoint is not signed by the log's key");
        var size = int.Parse(lines[1], System.Globalization.CultureInfo.InvariantCulture);
        var leaves = new List<byte[]>();
        for (var bundle = 0; leaves.Count < size; bundle++)
        {
            var width = Math.Min(256, size - bundle * 256);
            var name = (bundle % 1000).ToString("d3", null);
            for (var rest = bundle / 1000; rest > 0; rest /= 1000)
                name = $"x{rest % 1000:d3}/{name}";
            var bytes = File.ReadAllBytes(Path.Combine(_folder, "log/tile/entries", width == 256 ? name : $"{name}.p/{width}")).AsSpan();
            for (var i = 0; i < width; i++)
            {
                var length = BinaryPrimitives.ReadUInt16BigEndian(bytes);
                leaves.Add(bytes.Slice(2, length).ToArray());
                bytes = bytes[(2 + length)..];
            }
        }
        Check(Convert.ToBase64String(Root([.. leaves.Select(l => Sha([0], l))])) == lines[2], "the leaves do not give the signed root");
        return leaves;
    }

    public static byte[] Root(byte[][] hashes)
    {
        if (hashes.Length == 1)
            return hashes[0];
        var split = 1;
        while (split * 2 < hashes.Length)
            split *= 2;
        return Sha([1], Root(hashes[..split]), Root(hashes[split..]));
    }

    /// <summary>Section 3: the copies of a name in the order in which they are tried.</summary>
    IEnumerable<string> Copies(string kind, string name) =>
        Enumerable.Range(0, 10).SelectMany(k => _folders.Select(f => Path.Combine(f, kind, name[..2], k == 0 ? name : $"{name}.{k}"))).Where(File.Exists);

    /// <summary>Sections 3 and 4: the object's body.</summary>
    byte[] ReadObject(byte[] name, int type) => ReadObject(name, type, out _);

    byte[] ReadObject(byte[] name, int type, out byte[] domain)
    {
        var bytes = Copies("objects", Hex(name)).Select(File.ReadAllBytes).FirstOrDefault(b => SHA256.HashData(b).AsSpan().SequenceEqual(name))
            ?? throw new InvalidDataException("an object is missing, or damaged in every copy");
        Header(bytes, type);
        domain = bytes[40..56];
        return bytes[64..];
    }

    void Header(byte[] bytes, int type) => Check(Encoding.ASCII.GetString(bytes, 0, 8) == "HOLDFAST" && bytes[8] == 1 && bytes[9] == 0 && bytes[10] == 1 && bytes[11] == type
        && BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(20)) == 0 && bytes.AsSpan(24, 16).SequenceEqual(_vault), "newer format, or another vault");

    /// <summary>X-Wing (draft-connolly-cfrg-xwing-kem): the shared secret of a ciphertext.</summary>
    public static byte[] Decapsulate(byte[] seed, byte[] ciphertext, out byte[] publicKey)
    {
        var shake = new ShakeDigest(256);
        shake.BlockUpdate(seed, 0, 32);
        var expanded = new byte[96];
        shake.OutputFinal(expanded, 0, 96);
        var kem = MLKemPrivateKeyParameters.FromSeed(MLKemParameters.ml_kem_768, expanded[..64]);
        var x = expanded[64..];
        var publicX = new byte[32];
        X25519.GeneratePublicKey(x, 0, publicX, 0);
        publicKey = [.. kem.GetPublicKey().GetEncoded(), .. publicX];
        if (ciphertext.Length == 0)
            return [];
        var decapsulator = new MLKemDecapsulator(MLKemParameters.ml_kem_768);
        decapsulator.Init(kem);
        var secretM = new byte[32];
        decapsulator.Decapsulate(ciphertext, 0, 1088, secretM, 0, 32);
        var secretX = new byte[32];
        X25519.CalculateAgreement(x, 0, ciphertext, 1088, secretX, 0);
        var sha3 = new Sha3Digest(256);
        foreach (var part in new[] { secretM, secretX, ciphertext[1088..], publicX, [0x5C, 0x2E, 0x2F, 0x2F, 0x5E, 0x5C] })
            sha3.BlockUpdate(part, 0, part.Length);
        var shared = new byte[32];
        sha3.DoFinal(shared, 0);
        return shared;
    }

    /// <summary>Sections 5.2 to 5.4.</summary>
    void OpenKeyring(byte[] body)
    {
        var r = new In(body);
        r.Raw(32);
        var epoch = r.U32();
        r.U64();
        for (var n = r.Var(); n > 0; n--)
        {
            var (domain, keyClass, source, keyEpoch, key) = (r.Raw(16), r.U8(), r.Raw(16), r.U32(), r.Raw(1216));
            _sealing[Hex(Sha(Label("sealing-key-id"), key)[..16])] = (domain, keyClass, source, keyEpoch);
        }
        var box = r.Bytes();
        byte[] context = [.. _vault, .. U32(epoch)];
        var shared = Decapsulate(Derive(_seeds[epoch], "keyring-seed", context, 32), box[..1120], out _);
        var secret = Open(Derive(shared, "keyring", context, 32), Zero, [.. Label("keyring"), .. context], box[1120..]);
        Check(secret is not null, "the seed does not open the keyring");
        r = new In(secret!);
        for (var n = r.Var(); n > 0; n--)
        {
            var (id, index) = (r.Raw(16), r.Raw(32));
            r.Raw(16);
            var dedup = new List<(uint, byte[])>();
            for (var g = r.Var(); g > 0; g--)
                dedup.Insert(0, (r.U32(), r.Raw(32)));
            _domains[Hex(id)] = (index, dedup);
        }
        for (var n = r.Var(); n > 0; n--)
        {
            var earlier = r.U32();
            _seeds[earlier] = r.Raw(32);
        }
    }

    /// <summary>Section 5.5.</summary>
    byte[] SessionKey(byte[] domain, byte keyClass, uint epoch, byte[] session, byte[] keyId, byte[] ciphertext)
    {
        // Damaged or forged, a header may have any part of another's: the secret is kept by all that it follows from.
        var cached = Hex(Sha(domain, [keyClass], U32(epoch), session, keyId, ciphertext));
        if (_secrets.TryGetValue(cached, out var known))
            return known;
        var (d, c, source, e) = _sealing[Hex(keyId)];
        var shared = Decapsulate(Derive(_seeds[e], "sealing-seed", [.. _vault, .. U32(e), .. d, c, .. source], 32), ciphertext, out _);
        return _secrets[cached] = Derive(shared, "session", [.. _vault, .. domain, keyClass, .. U32(epoch), .. session, .. keyId], 32);
    }

    /// <summary>Section 7: footers give every chunk's place.</summary>
    void ReadPacks()
    {
        var names = _folders.Select(f => Path.Combine(f, "packs")).Where(Directory.Exists).SelectMany(f => Directory.EnumerateFiles(f, "*", SearchOption.AllDirectories))
            .Select(f => Path.GetFileName(f).Split('.')[0]).Where(n => n.Length == 64).Distinct().ToList();
        foreach (var name in names)
        {
            var (file, bytes) = Copies("packs", name).Select(f => (f, File.ReadAllBytes(f))).FirstOrDefault(c => Hex(SHA256.HashData(c.Item2)) == name);
            if (file is null)
            {
                Console.Error.WriteLine($"pack {name} is damaged in every copy");
                continue;
            }
            try
            {
                ReadPack(file, bytes);
            }
            catch (Exception e) when (IsWrong(e))
            {
                Console.Error.WriteLine($"pack {name} gives nothing: {e.Message}"); // section 7.1: that is of this pack alone
            }
        }
    }

    void ReadPack(string file, byte[] bytes)
    {
        Header(bytes, 1);
        var (domain, keyClass, epoch) = (bytes[40..56], bytes[64], BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(68)));
        var (session, salt, keyId, ciphertext) = (bytes[96..112], bytes[112..128], bytes[128..144], bytes[144..1264]);
        if (!_sealing.TryGetValue(Hex(keyId), out var row) || row.Class != keyClass || !row.Domain.AsSpan().SequenceEqual(domain))
            return; // sealed to a later epoch than the seed's, or to no key that a sound writer seals this to
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(bytes.Length - 16));
        var stored = bytes[(bytes.Length - 16 - length)..^16];
        var footer = Open(Derive(_domains[Hex(domain)].Index, "footer", salt, 32), Zero, [.. Label("footer"), .. bytes[..144]], stored);
        Check(footer is not null, "a footer does not open");
        var r = new In(footer!);
        var frames = new Frame[r.Var()];
        long at = 1280;
        for (var f = 0; f < frames.Length; f++)
        {
            var (storedLength, payload, codec) = ((int)r.Var(), (int)r.Var(), r.U8());
            var chunks = new int[r.Var()];
            for (var c = 0; c < chunks.Length; c++)
                chunks[c] = (int)r.Var();
            frames[f] = new Frame(at, storedLength, payload, codec, chunks);
            at += storedLength;
        }
        Check(frames.Sum(f => (long)f.Payload) <= 256L * bytes.Length, "a pack unpacks to more than it may");
        var pack = new Pack(file, Derive(SessionKey(domain, keyClass, epoch, session, keyId, ciphertext), "pack", salt, 32), frames);
        for (var i = 0; i < frames.Sum(f => f.Chunks.Length); i++)
        {
            var id = Hex(r.Raw(32));
            if (!_places.TryGetValue(id, out var places))
                _places[id] = places = [];
            if (places.LastOrDefault().Pack != pack) // of what a pack names often, the first place will do
                places.Add((pack, i));
        }
    }

    /// <summary>Section 6.1 and 7.2: a chunk by its digest, of either kind.</summary>
    byte[] Chunk(byte[] domain, byte keyClass, byte[] digest, bool inBlocks = false)
    {
        Exception? fault = null;
        foreach (var (_, key) in _domains[Hex(domain)].Dedup)
        {
            foreach (var place in _places.GetValueOrDefault(Hex(HMACSHA256.HashData(key, (byte[])[.. Label(inBlocks ? "block-chunk-id" : "chunk-id"), keyClass, .. digest])), []))
            {
                try
                {
                    return Chunk(place.Pack, place.Number, digest, inBlocks);
                }
                catch (Exception e) when (IsWrong(e))
                {
                    fault ??= e; // section 15, step 5: another place may be right
                }
            }
        }
        throw new InvalidDataException(fault?.Message ?? "a chunk is in no pack", fault);
    }

    /// <summary>What bytes that make no sense lead to.</summary>
    static bool IsWrong(Exception e) => e is InvalidDataException or IOException or IndexOutOfRangeException or ArgumentException or OverflowException or ZstdNet.ZstdException;

    static byte[] Chunk(Pack pack, int number, byte[] digest, bool inBlocks)
    {
        var index = 0;
        while (number >= pack.Frames[index].Chunks.Length)
            number -= pack.Frames[index++].Chunks.Length;
        var frame = pack.Frames[index];
        using var file = File.OpenRead(pack.File);
        file.Position = frame.Offset;
        var stored = new byte[frame.Stored];
        file.ReadExactly(stored);
        var nonce = new byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(nonce.AsSpan(4), (ulong)index);
        var payload = Open(pack.Key, nonce, Label("frame"), stored) ?? throw new InvalidDataException("a frame does not open");
        Check(frame.Codec >> 1 == (inBlocks ? 1 : 0), "a frame says another kind of digest than the tree");
        if ((frame.Codec & 1) == 1)
        {
            using var zstd = new ZstdNet.Decompressor();
            payload = zstd.Unwrap(payload, frame.Payload);
        }
        var start = frame.Chunks.Take(number).Sum();
        var chunk = payload[start..(start + frame.Chunks[number])];
        Check((inBlocks ? BlockDigest(chunk) : SHA256.HashData(chunk)).AsSpan().SequenceEqual(digest), "a chunk is not what its digest says");
        return chunk;
    }

    /// <summary>Section 6.1: the digest over a chunk's blocks.</summary>
    public static byte[] BlockDigest(byte[] chunk) =>
        SHA256.HashData([.. Label("block-digest"), .. U32((uint)chunk.Length), .. chunk.Chunk(16_384).SelectMany(b => SHA256.HashData(b))]);

    /// <summary>Sections 10 and 11.6.</summary>
    void ReadSnapshot(byte[] leaf, Lock locked)
    {
        var r = new In(ReadObject(leaf[68..100], 2, out var domain));
        Check(_genesisDomains.Contains(Hex(domain)) && _domains.ContainsKey(Hex(domain)), "it is of a domain that the vault does not have");
        r.Raw(32);
        var (id, source, agent, session) = (r.Raw(16), r.Raw(16), r.Raw(16), r.Raw(16));
        Check(id.AsSpan().SequenceEqual(leaf.AsSpan(12, 16)) && agent.AsSpan().SequenceEqual(leaf.AsSpan(28, 16)), "its object is not that of its leaf");
        r.Raw(20);
        var epoch = r.U32();
        var clientTime = r.Raw(8);
        var parent = Hex(r.Raw(32));
        var (contentRoot, parentRoot) = (r.Raw(32), r.Raw(32));
        var (entries, files, logical) = (r.Raw(8), r.U64(), r.Raw(8));
        r.Raw(8);
        Committed? before = null;
        if (parent.Trim('0').Length > 0)
        {
            Check(_committed.TryGetValue(parent, out before), "its parent is no earlier snapshot");
            Check(before is null || (before.Source.AsSpan().SequenceEqual(source) && before.ContentRoot.AsSpan().SequenceEqual(parentRoot)), "its parent is not what it says");
        }
        var packs = ReadPackSet(r, before?.Packs, U64(leaf, 60), out var isWhole);
        locked.BuildsOn = isWhole ? null : parent;
        _committed[locked.Name] = new Committed(source, contentRoot, packs); // whoever signed it: a lock is a lock
        byte[]? tree = null;
        for (var n = r.Var(); n > 0; n--)
        {
            var (number, keyId, ciphertext, stored) = (r.U8(), r.Raw(16), r.Bytes(), r.Bytes());
            if (number == 1 && _sealing.ContainsKey(Hex(keyId)))
            {
                var key = Derive(SessionKey(domain, 2, epoch, session, keyId, ciphertext), "section", [1, .. id], 32);
                tree = Open(key, Zero, [.. Label("section"), 1, .. id], stored);
            }
        }
        var signed = (byte[])[.. Label("snapshot-signature"), .. _vault, .. domain, .. source, .. session, .. id, .. contentRoot, .. parentRoot, .. clientTime, .. entries, .. logical];
        var isSigned = false;
        for (var n = r.Var(); n > 0; n--)
        {
            var (role, signer, algorithm, signature) = (r.U8(), r.Raw(16), r.U8(), r.Bytes());
            isSigned |= role == 1 && algorithm == 1 && Hex(signer) == Hex(agent) && _agents.TryGetValue(Hex(agent), out var key) && Ed25519.Verify(signature, 0, key, 0, signed, 0, signed.Length);
        }
        Check(isSigned, "it is not signed by the agent that was enrolled then");
        Check(tree is not null, "it does not open with these shares");
        r = new In(tree!);
        var (rootSalt, rootDigest) = (r.Raw(32), r.Raw(32));
        r.Var();
        var level = r.U8();
        Check(Sha(Label("content-root"), rootSalt, _vault, domain, source, session, id, parentRoot, rootDigest).AsSpan().SequenceEqual(contentRoot), "the tree is not the one that was signed");
        Snapshots.Add(new Snapshot(Hex(id), r.Bytes(), files, BinaryPrimitives.ReadUInt64LittleEndian(entries), domain, rootDigest, level));
    }

    /// <summary>Section 10.4; null where it builds on a set that cannot be told.</summary>
    static SortedDictionary<string, ulong>? ReadPackSet(In r, SortedDictionary<string, ulong>? before, ulong expected, out bool isWhole)
    {
        var (root, count, bytes, mode) = (r.Raw(32), r.U64(), r.U64(), r.U8());
        isWhole = mode == 1;
        var set = mode == 1 ? new SortedDictionary<string, ulong>(StringComparer.Ordinal) : before is null ? null : new SortedDictionary<string, ulong>(before, StringComparer.Ordinal);
        var added = new List<(string Name, ulong Size)>();
        for (var n = r.Var(); n > 0; n--)
            added.Add((Hex(r.Raw(32)), r.Var() * 65_536));
        var removed = new List<string>();
        for (var n = r.Var(); n > 0; n--)
            removed.Add(Hex(r.Raw(32)));
        if (set is null)
            return null;
        Check(removed.TrueForAll(set.Remove) && added.TrueForAll(a => set.TryAdd(a.Name, a.Size)), "its pack set takes away what was not there, or adds what was");
        ulong sum = 0;
        foreach (var size in set.Values)
            sum += size;
        Check((ulong)set.Count == count && count == expected && sum == bytes && PackRoot([.. set.Keys.Select(Convert.FromHexString)], 0).AsSpan().SequenceEqual(root), "its pack set does not add up");
        return set;
    }

    public static byte[] PackRoot(byte[][] names, int depth)
    {
        if (names.Length == 0)
            return new byte[32];
        if (names.Length <= 64)
            return Sha([Label("pack-set-leaf"), .. names]);
        bool Bit(byte[] name) => (name[depth / 8] >> (7 - depth % 8) & 1) != 0;
        return Sha(Label("pack-set-node"), PackRoot([.. names.Where(n => !Bit(n))], depth + 1), PackRoot([.. names.Where(Bit)], depth + 1));
    }

    public int Restore(Snapshot snapshot, string target)
    {
        target = Path.GetFullPath(target);
        var folders = new List<(string Path, DateTime Time, uint Mode)>();
        var count = Node(snapshot, snapshot.RootDigest, snapshot.RootLevel, snapshot.Entries, [], target, folders);
        foreach (var (path, time, mode) in Enumerable.Reverse(folders))
        {
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(path, (UnixFileMode)mode);
            Directory.SetLastWriteTimeUtc(path, time);
        }
        return count;
    }

    void Lose(string what, Exception fault)
    {
        Lost.Add(what);
        Console.Error.WriteLine($"lost: {what}: {fault.Message}");
    }

    /// <summary>Section 9.2: a node is what the node above says of it.</summary>
    int Node(Snapshot snapshot, byte[] digest, int level, ulong entries, byte[] first, string target, List<(string, DateTime, uint)> folders)
    {
        var r = new In(Chunk(snapshot.Domain, 2, digest));
        Check(r.U8() == level, "a node has another level");
        if (level == 0)
            return Rows(snapshot, r, entries, first, target, folders);
        var count = 0;
        byte[]? before = null;
        for (var n = r.Var(); n > 0; n--)
        {
            var child = r.Raw(32);
            r.Var();
            var below = r.Var();
            byte[] path = [.. (before ?? [])[..(int)r.Var()], .. r.Bytes()];
            Check(before is not null || path.AsSpan().SequenceEqual(first), "a node begins elsewhere");
            Check(below <= entries, "a node has more entries than the one above says");
            entries -= below;
            try
            {
                count += Node(snapshot, child, level - 1, below, path, target, folders);
            }
            catch (Exception e) when (IsWrong(e))
            {
                Lose($"{below} entries from {Encoding.UTF8.GetString(path)} on", e);
            }
            before = path;
        }
        Check(entries == 0 && r.IsEmpty, "a node has fewer entries than the one above says");
        return count;
    }

    /// <summary>Section 9.1: columns.</summary>
    int Rows(Snapshot snapshot, In r, ulong entries, byte[] first, string target, List<(string, DateTime, uint)> folders)
    {
        var n = (int)r.Var();
        var paths = new byte[n][];
        for (var i = 0; i < n; i++)
        {
            var shared = (int)r.Var();
            paths[i] = [.. i == 0 ? [] : paths[i - 1][..shared], .. r.Bytes()];
        }
        Check((ulong)n == entries && paths[0].AsSpan().SequenceEqual(first), "a node is not what the one above says");
        var kinds = r.Raw(n);
        var flags = r.Raw(n);
        Check(flags.All(f => (f & 128) == 0 && (f & 66) != 64), "a row has flags that this version does not know");
        var owners = new (ulong Mode, ulong Uid, ulong Gid)[r.Var()];
        for (var i = 0; i < owners.Length; i++)
            owners[i] = (r.Var(), r.Var(), r.Var());
        T[] Column<T>(Func<int, T> read) => [.. Enumerable.Range(0, n).Select(read)];
        var modes = Column(_ => owners[r.Var()].Mode);
        long second = 0;
        var seconds = Column(_ => second += r.SVar());
        var nanoseconds = Column(_ => r.Var());
        var sizes = Column(i => kinds[i] == 1 ? (long)r.Var() : 0);
        var digests = Column(i => (flags[i] & 1) != 0 ? r.Raw(32) : null);
        var chunks = Column(i => (flags[i] & 2) != 0 ? ReadChunks(snapshot, r) : null);
        var extents = Column(i =>
        {
            if ((flags[i] & 4) == 0)
                return null;
            long end = 0;
            var list = new (long Offset, long Length)[r.Var()];
            for (var e = 0; e < list.Length; e++)
            {
                list[e] = (end + (long)r.Var(), (long)r.Var());
                end = list[e].Offset + list[e].Length;
            }
            return list;
        });
        Column(i => (flags[i] & 8) != 0 ? r.Var() + r.Var() + r.Var() : 0);
        var targets = Column(i => kinds[i] == 3 ? r.Bytes() : null);
        Column(i => kinds[i] is 5 or 6 ? r.Var() + r.Var() : 0);
        Column(i => (flags[i] & 16) != 0 ? r.Bytes() : null);
        Check(r.Var() == 0 && r.IsEmpty, "a node has more than this version knows");

        var lost = Lost.Count;
        for (var i = 0; i < n; i++)
        {
            var name = Encoding.UTF8.GetString(paths[i]);
            Check(!name.Split('/').Any(c => c is "." or "..") && !name.StartsWith('/'), "a path leads outside");
            var path = Path.Combine(target, name);
            if (name.Length > 0)
                Directory.CreateDirectory(Path.GetDirectoryName(path)!); // its own row may be lost
            var time = DateTime.UnixEpoch.AddSeconds(seconds[i]).AddTicks((long)nanoseconds[i] / 100);
            if (kinds[i] == 2)
            {
                Directory.CreateDirectory(path);
                folders.Add((path, time, (uint)modes[i]));
            }
            else if (kinds[i] == 3)
            {
                File.CreateSymbolicLink(path, Encoding.UTF8.GetString(targets[i]!));
            }
            else if (kinds[i] == 1)
            {
                try
                {
                    using (var file = File.Create(path))
                    {
                        file.SetLength(sizes[i]);
                        var joined = (chunks[i] ?? (sizes[i] > 0 && extents[i] is null ? [digests[i]!] : [])).SelectMany(d => Chunk(snapshot.Domain, 1, d, inBlocks: (flags[i] & 64) != 0)).ToArray();
                        var at = 0;
                        foreach (var (offset, length) in extents[i] ?? [(0, joined.Length)])
                        {
                            file.Position = offset;
                            file.Write(joined, at, (int)length);
                            at += (int)length;
                        }
                    }
                }
                catch (Exception e) when (IsWrong(e))
                {
                    File.Delete(path);
                    Lose(name, e);
                    continue;
                }
                if (!OperatingSystem.IsWindows())
                    File.SetUnixFileMode(path, (UnixFileMode)modes[i]);
                File.SetLastWriteTimeUtc(path, time);
            }
        }
        return n - (Lost.Count - lost);
    }

    /// <summary>Sections 9.1 and 14.1.</summary>
    List<byte[]> ReadChunks(Snapshot snapshot, In r)
    {
        var list = new List<byte[]>();
        var count = r.Var();
        for (var c = count; c > 0; c--)
        {
            r.Var();
            list.Add(r.Raw(32));
        }
        if (count > 0)
            return list;
        r.Var();
        for (var l = r.Var(); l > 0; l--)
        {
            var part = new In(Chunk(snapshot.Domain, 2, r.Raw(32)));
            r.Var();
            while (!part.IsEmpty)
            {
                part.Var();
                list.Add(part.Raw(32));
            }
        }
        return list;
    }
}
