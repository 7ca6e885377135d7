using System.Text;
using CsCheck;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Holdfast.Tests.Core.Log;

/// <summary>What C2SP tlog-witness asks of a witness, and what must hold however it dies.</summary>
public sealed class WitnessTests : IDisposable
{
    static readonly byte[] LogSeed = [.. Enumerable.Repeat((byte)1, 32)];
    static readonly byte[] WitnessSeed = [.. Enumerable.Repeat((byte)2, 32)];
    static readonly Ed25519Signer LogSigner = new(LogSeed);
    static readonly VerifierKey LogKey = new("holdfast/00112233445566778899aabbccddeeff", LogSigner.PublicKey.ToArray());
    static readonly CosignerKey Key = new("witness.example/w1", new Ed25519Signer(WitnessSeed).PublicKey.ToArray());

    readonly TempFolder _folder = new();
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeSeconds(1_800_000_000));
    readonly MerkleTree _tree = Tree(600);

    static MerkleTree Tree(int leaves, string kind = "leaf")
    {
        var tree = new MerkleTree();
        for (var i = 0; i < leaves; i++)
            tree.Add(LogHash.Leaf(Encoding.ASCII.GetBytes($"{kind} {i}")));
        return tree;
    }

    string Folder => _folder["witness"];

    Witness Open(Disk? disk = null)
    {
        if (!Directory.Exists(Folder))
            Witness.Follow(Folder, LogKey, LogKey.Name, Disk.Real);
        return Witness.Open(Folder, Key.Name, new Ed25519Signer(WitnessSeed), disk ?? Disk.Real, _time);
    }

    static Checkpoint Sign(MerkleTree tree, long size) => Checkpoint.Sign(LogKey.Name, size, tree.Root(size), LogSigner);

    static byte[] Request(MerkleTree tree, long old, long size) => Encoding.UTF8.GetBytes(AddCheckpoint.Of(tree, Sign(tree, size), old).ToString());

    WitnessAnswer Ask(Witness witness, long old, long size) => witness.AddCheckpoint(Request(_tree, old, size));

    static WitnessAnswer Ask(Witness witness, string body) => witness.AddCheckpoint(Encoding.UTF8.GetBytes(body));

    string StatePath => Path.Combine(Folder, "state", Witness.HashOf(LogKey.Name));

    /// <summary>The request that the specification shows.</summary>
    [Fact]
    public void The_example_of_the_specification_is_read_and_written_again()
    {
        const string example = "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n"
            + "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
            + "— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
        Assert.True(AddCheckpoint.TryParse(Encoding.UTF8.GetBytes(example), out var request));
        Assert.Equal((20_852_014L, 4, 20_852_163L), (request.Old, request.Proof.Count, request.Checkpoint.Size));
        Assert.Equal(example, request.ToString());
    }

    [Fact]
    public void It_cosigns_what_goes_on_from_what_it_cosigned_last()
    {
        using var witness = Open();
        foreach (var (old, size) in new[] { (0L, 1L), (1, 7), (7, 8), (8, 8), (8, 256), (256, 600), (600, 600) })
        {
            var answer = Ask(witness, old, size);
            Assert.Equal((200, WitnessAnswer.Text), (answer.Status, answer.ContentType));
            Assert.Equal(1_800_000_000UL, Sign(_tree, size).With(answer.Body).CosignedAt(Key));
            Assert.StartsWith($"— {Key.Name} ", answer.Body, StringComparison.Ordinal);
            Assert.EndsWith("\n", answer.Body, StringComparison.Ordinal);
            Assert.Single(answer.Body.TrimEnd('\n').Split('\n'));
        }
    }

    [Fact]
    public void It_answers_as_the_specification_says()
    {
        using var witness = Open();
        Assert.Equal(200, Ask(witness, 0, 100).Status);

        // Not where it stands: it says where.
        foreach (var old in new long[] { 0, 50, 99, 101 })
        {
            var conflict = Ask(witness, old, 200);
            Assert.Equal((409, "100\n", "text/x.tlog.size"), (conflict.Status, conflict.Body, conflict.ContentType));
        }
        Assert.Equal(409, Ask(witness, 50, 50).Status); // never back
        Assert.Equal(400, Ask(witness, Encoding.UTF8.GetString(Request(_tree, 100, 200)).Replace("old 100\n", "old 201\n", StringComparison.Ordinal)).Status);

        // Another history, whatever its proof says.
        var other = Tree(600, "other");
        Assert.Equal(422, witness.AddCheckpoint(Request(other, 100, 200)).Status);
        var fork = witness.AddCheckpoint(Request(other, 100, 100));
        Assert.Equal((422, 100L), (fork.Status, fork.Fork!.Value.Size));
        Assert.True(Checkpoint.TryParse(File.ReadAllText(StatePath + ".fork"), out var evidence));
        Assert.True(evidence.IsSignedBy(LogKey));
        Assert.Equal(other.Root(100), evidence.Root);
        // The right tree, without its proof, or with more.
        Assert.Equal(422, Ask(witness, new AddCheckpoint(100, [], Sign(_tree, 200)).ToString()).Status);
        Assert.Equal(422, Ask(witness, new AddCheckpoint(100, [.. _tree.ProveConsistency(100, 200), LogHash.Empty], Sign(_tree, 200)).ToString()).Status);
        Assert.Equal(422, Ask(witness, new AddCheckpoint(100, [LogHash.Empty], Sign(_tree, 100)).ToString()).Status);

        // Who says so.
        var stranger = new VerifierKey("holdfast/ffffffffffffffffffffffffffffffff", LogKey.PublicKey);
        Assert.Equal(404, Ask(witness, new AddCheckpoint(0, [], Checkpoint.Sign(stranger.Name, 1, _tree.Root(1), LogSigner)).ToString()).Status);
        var thief = new Ed25519Signer(new byte[32]);
        Assert.Equal(403, Ask(witness, AddCheckpoint.Of(_tree, Checkpoint.Sign(LogKey.Name, 200, _tree.Root(200), thief), 100).ToString()).Status);
        Assert.Equal(403, Ask(witness, AddCheckpoint.Of(_tree, Sign(_tree, 200).With($"— {LogKey.Name} {Convert.ToBase64String([.. LogKey.KeyId, .. new byte[64]])}\n"), 100).ToString()).Status); // known by name and id, and wrong
        Assert.Equal(200, Ask(witness, AddCheckpoint.Of(_tree, Sign(_tree, 200).With("— someone.else AAAAAAAAAAAA\n"), 100).ToString()).Status); // not known
        Assert.DoesNotContain("someone", File.ReadAllText(StatePath), StringComparison.Ordinal);
        Assert.Equal("200\n", Ask(witness, 0, 300).Body);
    }

    [Fact]
    public void Nothing_has_the_one_root()
    {
        using var witness = Open();
        Assert.Equal(422, Ask(witness, new AddCheckpoint(0, [], Checkpoint.Sign(LogKey.Name, 0, LogHash.Leaf([]), LogSigner)).ToString()).Status);
        Assert.Equal(422, Ask(witness, new AddCheckpoint(0, [LogHash.Empty], Sign(_tree, 5)).ToString()).Status); // no proof from nothing
        Assert.Equal(200, Ask(witness, 0, 0).Status);
        Assert.Equal(200, Ask(witness, 0, 5).Status);
    }

    [Theory]
    [InlineData("")]
    [InlineData("old 0")]
    [InlineData("old 0\n")]
    [InlineData("old 0\n\n")]
    [InlineData("old 00\n\n{note}")]
    [InlineData("old +0\n\n{note}")]
    [InlineData("old -1\n\n{note}")]
    [InlineData("old 99999999999999999999\n\n{note}")]
    [InlineData("OLD 0\n\n{note}")]
    [InlineData("old 0\r\n\n{note}")]
    [InlineData("old  0\n\n{note}")]
    [InlineData("old 0\nAAAA\n\n{note}")]
    [InlineData("old 0\n{hash} \n\n{note}")]
    [InlineData("old 0\n\n\n{note}")]
    [InlineData("\nold 0\n\n{note}")]
    [InlineData("old 0\n\n{note}\n")]
    [InlineData("old 0\n\n{note}x")]
    [InlineData("old 0\n{64 hashes}\n{note}")]
    [InlineData("old 0\n\n{note}{long}")]
    public void What_is_no_request_is_400(string body)
    {
        using var witness = Open();
        var hash = Convert.ToBase64String(new byte[32]);
        body = body.Replace("{note}", Sign(_tree, 5).Note, StringComparison.Ordinal).Replace("{hash}", hash, StringComparison.Ordinal)
            .Replace("{64 hashes}", string.Concat(Enumerable.Repeat(hash + "\n", 64)), StringComparison.Ordinal).Replace("{long}", $"— a {new string('A', 140_000)}\n", StringComparison.Ordinal);
        Assert.Equal(400, Ask(witness, body).Status);
    }

    [Fact]
    public void Sixteen_signatures_of_the_longest_kind_are_no_reason_to_refuse()
    {
        using var witness = Open();
        var line = $"— pq.example {Convert.ToBase64String(new byte[4 + 8 + 4_900])}\n";
        Assert.Equal(200, Ask(witness, new AddCheckpoint(0, [], Sign(_tree, 5).With(string.Concat(Enumerable.Repeat(line, 15)))).ToString()).Status);
    }

    [Fact]
    public void Any_bytes_have_an_answer()
    {
        using var witness = Open();
        Assert.Equal(200, Ask(witness, 0, 5).Status);
        var good = Request(_tree, 5, 9);
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[0, good.Length]).Sample(x =>
        {
            var (at, value, length) = x;
            var bytes = good.ToArray();
            bytes[at] = value;
            var answer = witness.AddCheckpoint(bytes.AsSpan(0, length == 0 ? bytes.Length : length));
            Assert.Contains(answer.Status, new[] { 200, 400, 403, 404, 409, 422 });
            return true;
        }, iter: 3_000, threads: 1);
        Gen.Byte.Array[0, 300].Sample(bytes => witness.AddCheckpoint(bytes).Status == 400, iter: 1_000);
    }

    [Fact]
    public void Its_time_never_goes_back()
    {
        using var witness = Open();
        Ask(witness, 0, 5);
        _time.Advance(TimeSpan.FromHours(1));
        var later = Sign(_tree, 5).With(Ask(witness, 5, 5).Body).CosignedAt(Key);
        Assert.Equal(1_800_003_600UL, later);
        witness.Dispose();
        var past = new FakeTimeProvider(DateTimeOffset.FromUnixTimeSeconds(1_700_000_000));
        using var again = Witness.Open(Folder, Key.Name, new Ed25519Signer(WitnessSeed), Disk.Real, past);
        Assert.Equal(later, Sign(_tree, 9).With(Ask(again, 5, 9).Body).CosignedAt(Key));
    }

    [Fact]
    public void A_log_may_have_an_origin_of_its_own_and_two_keys_and_one_is_added_while_it_runs()
    {
        using var witness = Open();
        var second = new VerifierKey("new", new Ed25519Signer(WitnessSeed).PublicKey.ToArray());
        var checkpoint = $"go.sum database tree\n5\n{Convert.ToBase64String(_tree.Root(5).ToArray())}\n";
        string Body(Ed25519Signer signer, VerifierKey key) => $"old 0\n\n{checkpoint}\n— {key.Name} {Convert.ToBase64String([.. key.KeyId, .. signer.Sign(Encoding.UTF8.GetBytes(checkpoint))])}\n";
        Assert.Equal(404, Ask(witness, Body(LogSigner, LogKey)).Status);
        Assert.True(Witness.Follow(Folder, LogKey, "go.sum database tree", Disk.Real));
        Assert.False(Witness.Follow(Folder, LogKey, "go.sum database tree", Disk.Real));
        Assert.True(Witness.Follow(Folder, second, "go.sum database tree", Disk.Real));
        Assert.Equal(200, Ask(witness, Body(LogSigner, LogKey)).Status);
        Assert.Equal(200, Ask(witness, Body(new Ed25519Signer(WitnessSeed), second).Replace("old 0", "old 5", StringComparison.Ordinal)).Status);
    }

    [Fact]
    public void A_monitor_gets_what_was_cosigned_last()
    {
        using var witness = Open();
        var hash = Witness.HashOf(LogKey.Name);
        Assert.Equal(404, witness.Latest(hash).Status);
        Ask(witness, 0, 5);
        Ask(witness, 5, 77);
        var answer = witness.Latest(hash);
        Assert.True(Checkpoint.TryParse(answer.Body, out var latest));
        Assert.Equal((200, 77L), (answer.Status, latest.Size));
        Assert.True(latest.IsSignedBy(LogKey) && latest.CosignedAt(Key) is not null);
        foreach (var wrong in new[] { "", "x", hash.ToUpperInvariant(), Witness.HashOf("other"), "../logs" })
            Assert.Equal(404, witness.Latest(wrong).Status);
    }

    /// <summary>Without what it cosigned last it could cosign anything.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("junk")]
    [InlineData("flip")]
    public void A_state_that_is_gone_or_damaged_ends_cosigning_of_that_log(string? left)
    {
        using var witness = Open();
        Ask(witness, 0, 5);
        var state = File.ReadAllText(StatePath);
        if (left is null)
            File.Delete(StatePath);
        else
            File.WriteAllText(StatePath, left == "flip" ? state.Replace("\n5\n", "\n4\n", StringComparison.Ordinal) : left);
        Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => Ask(witness, 5, 6)).Code);
        Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => Ask(witness, 0, 6)).Code);
        File.WriteAllText(StatePath, state);
        Assert.Equal(200, Ask(witness, 5, 6).Status);
    }

    /// <summary>Added again it would begin with nothing, and cosign a second root for a size.</summary>
    [Fact]
    public void A_log_that_is_followed_and_whose_state_is_gone_is_not_begun_anew()
    {
        using var witness = Open();
        Ask(witness, 0, 5);
        File.Delete(StatePath);
        var second = new VerifierKey("new", new Ed25519Signer(WitnessSeed).PublicKey.ToArray());
        foreach (var key in new[] { LogKey, second })
            Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => Witness.Follow(Folder, key, LogKey.Name, Disk.Real)).Code);
        Assert.False(File.Exists(StatePath));
        Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => witness.AddCheckpoint(Request(Tree(5, "other"), 0, 5))).Code);
    }

    /// <summary>In characters it is short enough, in bytes its state could not be read back.</summary>
    [Fact]
    public void A_long_note_does_not_end_its_log()
    {
        using var witness = Open();
        Ask(witness, 0, 5);
        foreach (var (characters, status) in new[] { (66_000, 400), (8_200, 400), (8_000, 200) })
        {
            var text = $"{LogKey.Name}\n6\n{Convert.ToBase64String(_tree.Root(6).ToArray())}\n{new string('é', characters)}\n";
            var signature = Convert.ToBase64String([.. LogKey.KeyId, .. LogSigner.Sign(Encoding.UTF8.GetBytes(text))]);
            var proof = string.Concat(_tree.ProveConsistency(5, 6).Select(h => Convert.ToBase64String(h.ToArray()) + "\n"));
            Assert.Equal(status, Ask(witness, $"old 5\n{proof}\n{text}\n— {LogKey.Name} {signature}\n").Status);
        }
        Assert.Equal(200, Ask(witness, 6, 7).Status);
    }

    [Fact]
    public void A_key_that_is_added_or_taken_out_while_it_runs_counts_at_once()
    {
        using var witness = Open();
        Assert.Equal(200, Ask(witness, 0, 5).Status);
        var signer = new Ed25519Signer([.. Enumerable.Repeat((byte)3, 32)]);
        var second = new VerifierKey(LogKey.Name, signer.PublicKey.ToArray());
        var request = AddCheckpoint.Of(_tree, Checkpoint.Sign(LogKey.Name, 6, _tree.Root(6), signer), 5).ToString();
        Assert.Equal(403, Ask(witness, request).Status);
        Witness.Follow(Folder, second, LogKey.Name, Disk.Real);
        Assert.Equal(200, Ask(witness, request).Status);
        File.WriteAllText(Path.Combine(Folder, "logs"), $"{second}\n");
        Assert.Equal(403, Ask(witness, 6, 7).Status);
    }

    /// <summary>The new state has its name, and a power cut may take that back: until the folder is synced nobody gets the cosignature, by GET neither.</summary>
    [Fact]
    public void What_is_not_durable_is_shown_to_nobody()
    {
        var disk = new UnsyncedDisk();
        using var witness = Open(disk);
        Ask(witness, 0, 5);
        disk.IsFailing = true;
        Assert.Equal(ErrorCode.DiskFull, Assert.Throws<HoldfastException>(() => Ask(witness, 5, 6)).Code);
        Assert.Contains("\n6\n", File.ReadAllText(StatePath), StringComparison.Ordinal);
        Assert.Throws<HoldfastException>(() => witness.Latest(Witness.HashOf(LogKey.Name)));
        Assert.Throws<HoldfastException>(() => Ask(witness, 6, 7));
        disk.IsFailing = false;
        Assert.Equal(200, witness.Latest(Witness.HashOf(LogKey.Name)).Status);
        Assert.Equal(200, Ask(witness, 6, 7).Status);
        witness.Dispose();
        disk.IsFailing = true; // whoever ran before may have died there
        using var again = Open(disk);
        Assert.Throws<HoldfastException>(() => again.Latest(Witness.HashOf(LogKey.Name)));
    }

    sealed class UnsyncedDisk : Disk
    {
        public bool IsFailing { get; set; }

        public override void SyncFolder(string path)
        {
            if (IsFailing)
                throw DiskFault.OfErrno(28);
            base.SyncFolder(path);
        }
    }

    [Fact]
    public void One_process_at_a_time_has_its_folder()
    {
        using var witness = Open();
        Assert.Equal(ErrorCode.VaultBusy, Assert.Throws<HoldfastException>(() => Open()).Code);
    }

    /// <summary>Two roots for one size, the second after it died at any call of the disk: of the two, one cosignature leaves it at most.</summary>
    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    [InlineData((int)Fault.Full)]
    public void Killed_anywhere_it_never_cosigns_two_roots_for_one_size(int kind)
    {
        var other = Tree(40, "other");
        var calls = 0;
        var withheld = 0;
        for (; calls < 100; calls++)
        {
            if (Directory.Exists(Folder))
                Directory.Delete(Folder, recursive: true);
            var disk = new FaultyDisk(calls, (Fault)kind);
            var given = new List<(long Size, Hash32 Root)>();
            using (var witness = Open(disk))
            {
                Try(witness, Request(_tree, 0, 20), given, (20, _tree.Root(20)));
                Try(witness, Request(_tree, 20, 40), given, (40, _tree.Root(40)));
            }
            withheld += 2 - given.Count;
            using (var witness = Open())
            {
                // As whoever has the log's key would, knowing what the witness says.
                foreach (var old in new long[] { 0, 20, 40 })
                {
                    foreach (var size in new long[] { 20, 40 }.Where(s => s >= old))
                    {
                        Try(witness, Request(other, old, size), given, (size, other.Root(size)));
                        Try(witness, Request(_tree, old, size), given, (size, _tree.Root(size)));
                    }
                }
                Assert.All(given.GroupBy(g => g.Size), g => Assert.Single(g.DistinctBy(x => x.Root)));
                Assert.True(given.Exists(g => g.Size == 40), "a crash must not end it for good");
            }
            if (!disk.HasFailed)
                break;
        }
        Assert.InRange(calls, 8, 99);
        Assert.True(withheld > 0);

        static void Try(Witness witness, byte[] request, List<(long, Hash32)> given, (long, Hash32) root)
        {
            try
            {
                if (witness.AddCheckpoint(request).Status == 200)
                    given.Add(root);
            }
            catch (HoldfastException)
            {
                // As a crash, or a disk that is full.
            }
        }
    }

    /// <summary>Checking the old size and keeping the new one is one step.</summary>
    [Fact]
    public void Of_many_at_once_each_goes_on_from_the_one_before()
    {
        using var witness = Open(new SlowDisk());
        Ask(witness, 0, 1);
        var other = Tree(600, "other");
        var cosigned = new System.Collections.Concurrent.ConcurrentBag<(long Old, long Size)>();
        Parallel.For(2, 200, new ParallelOptions { MaxDegreeOfParallelism = 8 }, size =>
        {
            for (var old = 1L; ;)
            {
                var answer = Ask(witness, old, size);
                Assert.Equal(409, witness.AddCheckpoint(Request(other, 0, size)).Status);
                if (answer.Status == 200)
                    cosigned.Add((old, size));
                if (answer.Status != 409 || (old = long.Parse(answer.Body, System.Globalization.CultureInfo.InvariantCulture)) > size)
                    return;
            }
        });
        Assert.True(Checkpoint.TryParse(witness.Latest(Witness.HashOf(LogKey.Name)).Body, out var last));
        Assert.Equal((199L, _tree.Root(199)), (last.Size, last.Root));
        Assert.Contains(199, cosigned.Select(c => c.Size));
        Assert.Equal(cosigned.Count, cosigned.DistinctBy(c => c.Old).Count());
    }

    /// <summary>Leaves the others time between a look and what follows from it.</summary>
    sealed class SlowDisk : Disk
    {
        public override bool Rename(string from, string name, bool replace)
        {
            Thread.Yield();
            Thread.Sleep(1);
            return base.Rename(from, name, replace);
        }
    }

    public void Dispose() => _folder.Dispose();
}
