using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Bench;

/// <summary>Benchmarks of single parts; whole runs beside the peers are in bench/peers.</summary>
static class Program
{
    static int Main(string[] arguments)
    {
        switch (arguments)
        {
            case ["index", var millions, var folder]:
                Index(long.Parse(millions, CultureInfo.InvariantCulture) * 1_000_000, folder);
                return 0;
            case ["pack-set", var packs]:
                PackSets(int.Parse(packs, CultureInfo.InvariantCulture));
                return 0;
            case ["stages", var file]:
                Stages(file);
                return 0;
            case ["footers", var packs, var chunks, var folder]:
                Footers(int.Parse(packs, CultureInfo.InvariantCulture), int.Parse(chunks, CultureInfo.InvariantCulture), folder);
                return 0;
            case ["rebuild", var folder]:
                Rebuild(folder);
                return 0;
            case ["guard", var packs, var snapshots, var folder]:
                Guard(int.Parse(packs, CultureInfo.InvariantCulture), int.Parse(snapshots, CultureInfo.InvariantCulture), folder);
                return 0;
            case ["s3", var packs, var threads]:
                S3Bench.Run(int.Parse(packs, CultureInfo.InvariantCulture), int.Parse(threads, CultureInfo.InvariantCulture));
                return 0;
            case ["s3-commit", var packs]:
                S3CommitBench.Run(int.Parse(packs, CultureInfo.InvariantCulture));
                return 0;
            case ["passphrase"]:
                Passphrase();
                return 0;
            default:
                Console.Error.WriteLine("holdfast-bench index MILLIONS FOLDER | pack-set PACKS | stages FILE | footers PACKS CHUNKS FOLDER | rebuild FOLDER | guard PACKS SNAPSHOTS FOLDER | s3 PACKS THREADS | s3-commit PACKS | passphrase");
                return 2;
        }
    }

    /// <summary>The n-th id of the generated index, ascending in n; odd ones between are not there.</summary>
    static UInt128 Id(long n, long count) => (UInt128)(ulong)((double)n / count * ulong.MaxValue) << 64 | (ulong)n << 1;

    static void Index(long count, string folder)
    {
        Directory.CreateDirectory(folder);
        var vault = Id16.New();
        using var domain = DomainKeys.Create();
        var path = Path.Combine(folder, "run-00");
        var clock = Stopwatch.StartNew();
        var packs = (int)(count / 600) + 1; // chunks of about 110 KiB in packs of 64 MiB
        var table = Enumerable.Range(0, packs).Select(p => new IndexedPack(new Hash32(SHA256.HashData(BitConverter.GetBytes(p))), KeyClass.Content, Id16.None)).ToList();
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
        {
            using var writer = new IndexRunWriter(file, vault, domain, table, count);
            for (long n = 0; n < count; n++)
                writer.Add(new IndexEntry(Id(n, count), (uint)(n / 600), (uint)(n % 600)));
            writer.Finish();
        }
        table.Clear();
        Print("written", clock.Elapsed.TotalSeconds, "s", count);
        GC.Collect();
        var before = GC.GetTotalMemory(true);
        clock.Restart();
        using var index = ChunkIndex.Open(folder, vault, domain);
        Print("opened", clock.Elapsed.TotalSeconds, "s", count);
        Print("resident by its own count", index.ResidentBytes / 1048576.0, "MiB", count);
        Print("managed memory it added", (GC.GetTotalMemory(true) - before) / 1048576.0, "MiB", count);
        var random = new Random(1);
        const int lookups = 300_000;
        foreach (var (name, odd) in new[] { ("hits", 0UL), ("misses", 1UL) })
        {
            var found = 0;
            clock.Restart();
            for (var i = 0; i < lookups; i++)
                found += index.TryFind(Id(random.NextInt64(count), count) | odd, out _) ? 1 : 0;
            Print($"{name}: a second", lookups / clock.Elapsed.TotalSeconds, "lookups", count);
            if (found != (odd == 0 ? lookups : 0))
                throw new InvalidOperationException($"{found} of {lookups} found");
        }
        Print("peak resident set of the process", Process.GetCurrentProcess().PeakWorkingSet64 / 1048576.0, "MiB", count);
    }

    static void PackSets(int count)
    {
        var packs = Enumerable.Range(0, count).Select(p => new PackRef(new Hash32(SHA256.HashData(BitConverter.GetBytes(p))), 64 << 20)).ToList();
        var clock = Stopwatch.StartNew();
        var set = new PackSet(packs);
        Print("made and rooted", clock.Elapsed.TotalMilliseconds, "ms", count);
        clock.Restart();
        var next = new PackSet(packs.Skip(100).Append(new PackRef(new Hash32(SHA256.HashData("new"u8)), 65_536)));
        var delta = next.DeltaFrom(set);
        Print("difference told", clock.Elapsed.TotalMilliseconds, "ms", count);
        clock.Restart();
        if (set.Apply(delta)?.Root != next.Root)
            throw new InvalidOperationException("the difference does not lead there");
        Print("difference checked", clock.Elapsed.TotalMilliseconds, "ms", count);
    }

    /// <summary>What each step of a backup and a restore costs one processor, over the pieces of a file: medians of five passes.</summary>
    static void Stages(string path)
    {
        const int piece = 1 << 20;
        var bytes = File.ReadAllBytes(path);
        var count = bytes.Length / piece;
        if (count == 0)
            throw new InvalidOperationException("the file is shorter than 1 MiB");
        using var domain = DomainKeys.Create();
        using var cutter = new Cutter(domain.Cutter.Span);
        using var namer = new ChunkNamer(domain, KeyClass.Content);
        using var secret = SecretBytes.Random(Aead.KeySize);
        using var key = new AeadKey(secret.Span);
        using var sealer = new FrameSealer(1);
        using var opener = new FrameOpener();
        using var zstd = new ZstdNet.Compressor(new ZstdNet.CompressionOptions(1));
        var statistics = new RunStatistics();
        var frames = new (byte[] Stored, byte Codec)[count];
        var target = new byte[ZstdNet.Compressor.GetCompressBound(piece) + Aead.TagSize];
        var payload = new byte[piece];
        var nonce = new byte[Aead.NonceSize];
        using var handle = File.OpenHandle(path);

        Span<byte> Piece(int i) => bytes.AsSpan(i * piece, piece);
        Measure("read from the page cache", i => RandomAccess.Read(handle, target.AsSpan(0, piece), (long)i * piece));
        Measure("cut", i => cutter.Next(Piece(i), isLast: true));
        Measure("SHA-256 and id of a chunk", i => namer.Name(Piece(i), DigestKind.Whole));
        Measure($"digest over blocks and id of a chunk{(Lanes.AreUsable ? ", sixteen blocks at once" : "")}", i => namer.Name(Piece(i), DigestKind.Blocks));
        Measure("entropy of a sample", i => statistics.Sample(ContentKind.Unknown, Piece(i)));
        Measure("zstd, level 1", i => zstd.Wrap(Piece(i), target));
        Measure("AES-256-GCM", i => key.Seal(nonce, Piece(i), target.AsSpan(0, piece + Aead.TagSize), default));
        Measure("a frame: compressed and sealed", i =>
        {
            var stored = sealer.Seal(key, i, Piece(i), DigestKind.Blocks, out var codec);
            if (frames[i].Stored is null)
                frames[i] = (stored.ToArray(), codec);
        });
        Measure("a frame: opened and unpacked", i => opener.Open(key, Hash32.None, i, frames[i].Stored, frames[i].Codec, payload));
        Print("stored bytes of a byte", frames.Sum(f => (double)f.Stored.Length) / ((double)count * piece), "", bytes.Length);

        void Measure(string what, Action<int> step)
        {
            var passes = new List<double>();
            for (var pass = 0; pass < 6; pass++)
            {
                var clock = Stopwatch.StartNew();
                for (var i = 0; i < count; i++)
                    step(i);
                if (pass > 0) // the first one warms up
                    passes.Add(clock.Elapsed.TotalSeconds);
            }
            passes.Sort();
            Print(what, count * (piece / 1e6) / passes[passes.Count / 2], "MB/s", bytes.Length);
        }
    }

    /// <summary>Makes packs to rebuild an index from: real footers of so many chunks each; a chunk is a byte, so that the packs find room.</summary>
    static void Footers(int packs, int chunks, string folder)
    {
        Directory.CreateDirectory(folder);
        FolderStore.Create(folder, Disk.Real);
        var store = new FolderStore([folder], Disk.Real);
        var vault = Id16.New();
        using var domain = DomainKeys.Create();
        var keys = new ByteWriter();
        keys.Id(vault);
        domain.Write(keys);
        File.WriteAllBytes(Path.Combine(folder, "domain"), keys.ToArray());
        using var seed = SecretBytes.Random(OpeningKeyFile.SeedSize);
        using var put = new PutKey(vault, "", domain, [SealingKey.Create(seed, vault, 1, domain.Domain, KeyClass.Content, Id16.None)], Id16.New(), 1);
        using var session = new PackSession(vault, put, Id16.New(), store, (staged, pack) => store.Enter(staged, StoreKind.Pack, pack.Name), TimeProvider.System);
        using var writer = new PackWriter(session, KeyClass.Content, 1);
        var random = new Random(1);
        Span<byte> id = stackalloc byte[Hash32.Size];
        for (var pack = 0; pack < packs; pack++)
        {
            for (var chunk = 0; chunk < chunks; chunk++)
            {
                random.NextBytes(id);
                writer.Add([0], new Hash32(id));
            }
            writer.Finish();
        }
    }

    /// <summary>What it costs to make an index anew from the footers of a folder's packs.</summary>
    static void Rebuild(string folder)
    {
        var store = new FolderStore([folder], Disk.Real);
        var keys = new ByteReader(File.ReadAllBytes(Path.Combine(folder, "domain")));
        var vault = keys.Id();
        if (!DomainKeys.TryRead(ref keys, out var domain))
            throw new InvalidOperationException("the folder was not made by `footers`");
        ChunkIndex.Empty(Path.Combine(folder, "index"));
        var packs = store.List(StoreKind.Pack).Select(p => p.Name).ToList();
        var clock = Stopwatch.StartNew();
        using var index = ChunkIndex.Open(Path.Combine(folder, "index"), vault, domain!);
        var faults = index.AddMissing(store, packs, null, CancellationToken.None);
        var seconds = clock.Elapsed.TotalSeconds;
        if (faults.Count > 0)
            throw faults[0].Fault;
        Print("rebuilt from footers", seconds, "s", index.Chunks);
        Print("footers a second", packs.Count / seconds, "", packs.Count);
        Print("chunks a second", index.Chunks / seconds, "", index.Chunks);
        Print("peak resident set of the process", Process.GetCurrentProcess().PeakWorkingSet64 / 1048576.0, "MiB", index.Chunks);
        domain!.Dispose();
    }

    /// <summary>What the guard's looks cost, of a vault with so many packs (64 bytes each: the guard reads none) and so many snapshots, each with ten packs more than the one before. Needs
    /// root and leaves immutable files: chattr -R -i -a FOLDER.</summary>
    static void Guard(int packs, int snapshots, string folder)
    {
        var path = Path.Combine(folder, "vault");
        (var vault, var keys) = Vault.Create(path, new NewVault(VaultKind.Real, new RetentionPolicy(30 * RetentionPolicy.Day, 0, 0, 0, 0, 0), RetentionPolicy.Day, 3650 * RetentionPolicy.Day, 0), _ => { });
        var all = Enumerable.Range(0, packs).Select(p => new PackRef(new Hash32(SHA256.HashData(BitConverter.GetBytes(p))), 65_536)).ToList();
        foreach (var pack in all)
            File.WriteAllBytes(Path.Combine(path, "packs", pack.Name.ToString()[..2], pack.Name.ToString()), new byte[64]);
        var (set, parent) = (PackSet.Empty, Hash32.None);
        for (var i = 1; i < snapshots; i++)
            Commit(packs - 10 * (snapshots - i));
        var clock = Stopwatch.StartNew();
        var state = Path.Combine(folder, "state");
        var guard = new FlagGuard(path, state);
        Look("first look");
        Look("look again");
        Commit(packs);
        Look("look after a commit");
        clock.Restart();
        guard = new FlagGuard(path, state);
        Look("look of a guard started anew");
        var memory = new FileInfo(Path.Combine(state, vault.Id.ToString(), "memory")).Length;
        Print("memory on disk", memory / 1048576.0, "MiB", packs);
        Print("state in all", new DirectoryInfo(state).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length) / 1048576.0, "MiB", packs);
        Print("live managed memory", GC.GetTotalMemory(true) / 1048576.0, "MiB", packs);
        Print("peak resident set of the process", Process.GetCurrentProcess().PeakWorkingSet64 / 1048576.0, "MiB", packs);
        GC.KeepAlive(guard);
        vault.Dispose();
        keys.Dispose();

        void Look(string what)
        {
            var look = guard.Look();
            Print(what, clock.Elapsed.TotalSeconds, "s", look.Guarded);
            if (look.Missing > 0 || look.Guarded < packs)
                throw new InvalidOperationException($"{look.Missing} of the packs are not guarded");
            clock.Restart();
        }

        void Commit(int count)
        {
            var next = new PackSet(all.Take(count));
            var snapshot = new SnapshotObject
            {
                Vault = vault.Id,
                Domain = keys.Put.Domain.Domain,
                Salt = Hash32.None,
                Snapshot = Id16.New(),
                Source = keys.Agent.Agent,
                Agent = keys.Agent.Agent,
                Session = Id16.New(),
                Writer = keys.Put.Writer,
                WriterEpoch = 1,
                KeyEpoch = 1,
                ClientTime = 0,
                Parent = parent,
                ContentRoot = Hash32.None,
                ParentContentRoot = Hash32.None,
                Entries = 1,
                Files = 1,
                LogicalBytes = 1,
                NewBytes = 1,
                Packs = parent.IsNone || vault.State.Snapshots.Count % 64 == 0 ? next.Whole() : next.DeltaFrom(set),
                Sections = [],
                Signatures = [],
            };
            var bytes = snapshot.ToArray();
            vault.Keeper.Record(LeafType.Commit, snapshot.Snapshot, snapshot.Agent, vault.Keeper.Clock.Now + 30 * RetentionPolicy.Day, 0, (ulong)count, bytes);
            (set, parent) = (next, new Hash32(SHA256.HashData(bytes)));
        }
    }

    /// <summary>What opening with a passphrase costs (Argon2id as new key files have it).</summary>
    static void Passphrase()
    {
        using var seed = SecretBytes.Random(32);
        var file = OpeningKeyFile.Create(Id16.New(), 1).AddPassphrase(seed.Span, "a sentence of several words", Argon2Cost.Default);
        for (var i = 0; i < 3; i++)
        {
            var clock = Stopwatch.StartNew();
            using var opened = file.OpenWithPassphrase("a sentence of several words");
            Print("opened with a passphrase", clock.Elapsed.TotalMilliseconds, "ms", i + 1);
        }
        Print("peak resident set of the process", Process.GetCurrentProcess().PeakWorkingSet64 / 1048576.0, "MiB", 1);
    }

    static void Print(string what, double value, string unit, long count) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count,12:#,0}  {what,-34} {value,12:#,0.00} {unit}"));
}
