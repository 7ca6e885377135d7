using System.Text;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core.Log;

public sealed class LogTests
{
    static readonly Ed25519Signer Signer = new(new byte[32]);
    static readonly VerifierKey Key = new("holdfast/00112233445566778899aabbccddeeff", Signer.PublicKey.ToArray());

    static MerkleLog Make(TempFolder folder, int leaves)
    {
        var log = MerkleLog.Create(folder["log"], Disk.Real, Key);
        for (var i = 0; i < leaves; i++)
            log.Append([Encoding.ASCII.GetBytes($"leaf {i}")], Signer);
        return log;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(600)]
    public void A_log_of_any_size_opens_and_has_few_partial_tiles_left_over(int leaves)
    {
        using var folder = new TempFolder();
        var log = MerkleLog.Create(folder["log"], Disk.Real, Key);
        for (var i = 0; i < leaves; i += 5)
            log.Append([.. Enumerable.Range(i, Math.Min(5, leaves - i)).Select(n => Encoding.ASCII.GetBytes($"leaf {n}"))], Signer);
        var again = MerkleLog.Open(folder["log"], Disk.Real, Key);
        Assert.Equal(leaves, again.Size);
        Assert.Equal(log.Checkpoint!.Root, again.Checkpoint!.Root);
        Assert.Equal("leaf 0", Encoding.ASCII.GetString(again.Leaf(0)));
        var partial = Directory.EnumerateFiles(folder["log"], "*", SearchOption.AllDirectories).Where(f => f.Contains(".p/", StringComparison.Ordinal)).ToList();
        Assert.InRange(partial.Count, 1, 3 * 17);
        Assert.Equal(leaves >= 256, File.Exists(Path.Combine(folder["log"], "tile/0/000")));
        Assert.Equal(leaves >= 256 ? 256 * 32 : leaves * 32, new FileInfo(Path.Combine(folder["log"], leaves >= 256 ? "tile/0/000" : $"tile/0/000.p/{leaves}")).Length);
    }

    /// <summary>As one does who copies the checkpoint first, and the rest while the log grows: what the copy's checkpoint covers is all there, and is taken for whole.</summary>
    [Theory]
    [InlineData(3)]
    [InlineData(250)]
    [InlineData(256)]
    [InlineData(505)]
    public void A_copy_made_while_the_log_grows_is_the_log_of_its_checkpoint(int leaves)
    {
        using var folder = new TempFolder();
        var log = Make(folder, leaves);
        var checkpoint = File.ReadAllText(Path.Combine(folder["log"], "checkpoint"));
        var listed = Directory.GetFiles(folder["log"], "*", SearchOption.AllDirectories);
        for (var later = 0; later < 15; later++)
            log.Append([Encoding.ASCII.GetBytes($"later {later}")], Signer);
        File.WriteAllText(Path.Combine(folder["log"], "checkpoint"), checkpoint);
        foreach (var path in Directory.GetFiles(folder["log"], "*", SearchOption.AllDirectories).Except(listed))
            File.Delete(path); // nor is what came later needed
        var copy = MerkleLog.Open(folder["log"], Disk.Real, Key);
        Assert.Equal(leaves, copy.Size);
        Assert.Equal($"leaf {leaves - 1}", Encoding.ASCII.GetString(copy.Leaf(leaves - 1)));
        Assert.Empty(copy.DamagedTiles());
    }

    /// <summary>The program was killed before the checkpoint, and what it was to append came to nothing.</summary>
    [Fact]
    public void What_an_append_left_that_came_to_nothing_is_no_damage_and_goes()
    {
        using var folder = new TempFolder();
        Make(folder, 5);
        var checkpoint = File.ReadAllText(Path.Combine(folder["log"], "checkpoint"));
        MerkleLog.Open(folder["log"], Disk.Real, Key).Append([.. Enumerable.Range(0, 3).Select(n => Encoding.ASCII.GetBytes($"never {n}"))], Signer);
        File.WriteAllText(Path.Combine(folder["log"], "checkpoint"), checkpoint);
        var log = MerkleLog.Open(folder["log"], Disk.Real, Key);
        Assert.Equal(5, log.Size);
        Assert.Empty(log.DamagedTiles());
        log.Append([.. Enumerable.Range(0, 6).Select(n => Encoding.ASCII.GetBytes($"leaf {5 + n}"))], Signer);
        Assert.Empty(log.DamagedTiles());
        Assert.Equal(["5", "11"], Directory.GetFiles(Path.Combine(folder["log"], "tile/entries/000.p")).Select(f => Path.GetFileName(f)).Where(f => f.Length > 1 || f[0] > '4').OrderBy(f => f.Length));
        Assert.False(File.Exists(Path.Combine(folder["log"], "tile/entries/000.p/8")));
        Assert.False(File.Exists(Path.Combine(folder["log"], "tile/0/000.p/8")));
        Assert.True(File.Exists(Path.Combine(folder["log"], "tile/0/000.p/5")));
    }

    [Fact]
    public void Leaves_that_somebody_made_huge_are_refused_before_they_fill_memory()
    {
        using var folder = new TempFolder();
        var log = MerkleLog.Create(folder["log"], Disk.Real, Key);
        log.Append([.. Enumerable.Range(0, 10 * 256).Select(n => Encoding.ASCII.GetBytes($"leaf {n:d4}"))], Signer);
        var huge = new byte[256 * (2 + MerkleLog.MaxLeaf)];
        for (var i = 0; i < 256; i++)
            huge.AsSpan(i * (2 + MerkleLog.MaxLeaf), 2).Fill(0xFF);
        for (var bundle = 1; bundle < 10; bundle++)
            File.WriteAllBytes(Path.Combine(folder["log"], $"tile/entries/{bundle:d3}"), huge);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => MerkleLog.Open(folder["log"], Disk.Real, Key)).Code);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100 << 20);
        Assert.Equal(9 * 256, MerkleLog.Salvage(folder["log"], Disk.Real, Key, "leaf 0000".Length).Lost.Count);
    }

    [Theory]
    [InlineData(300, "tile/entries/000", 0, 0L)]
    [InlineData(300, "tile/entries/000", 3, 0L)]
    [InlineData(300, "tile/entries/001.p/44", 4, 256L)]
    public void A_damaged_leaf_is_told_by_the_hashes_and_costs_no_other(int leaves, string file, int at, long lost)
    {
        using var folder = new TempFolder();
        var root = Make(folder, leaves).Checkpoint!.Root;
        var path = Path.Combine(folder["log"], file);
        var bytes = File.ReadAllBytes(path);
        bytes[at] ^= 1; // the high byte of a length, or a byte of a leaf
        File.WriteAllBytes(path, bytes);
        Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => MerkleLog.Open(folder["log"], Disk.Real, Key)).Code);
        var log = MerkleLog.Salvage(folder["log"], Disk.Real, Key, $"leaf {lost}".Length);
        Assert.Equal(root, log.Tree.Root(log.Size));
        Assert.Equal(leaves, log.Size);
        Assert.Equal([lost], log.Lost); // also where its length is what is wrong
        Assert.All(Enumerable.Range(0, leaves).Where(i => !log.Lost.Contains(i)), i => Assert.Equal($"leaf {i}", Encoding.ASCII.GetString(log.Leaf(i))));
    }

    /// <summary>The log has gone on since, by some leaves or past a whole bundle; or not.</summary>
    [Theory]
    [InlineData(40, 40, false)]
    [InlineData(40, 44, true)]
    [InlineData(250, 300, true)]
    [InlineData(256, 256, false)]
    [InlineData(256, 257, true)]
    [InlineData(300, 300, false)]
    public void Without_its_checkpoint_a_log_is_read_as_far_as_one_kept_elsewhere_covers(int seen, int leaves, bool isCutShort)
    {
        using var folder = new TempFolder();
        var earlier = Make(folder, seen).Checkpoint!;
        if (leaves > seen)
            MerkleLog.Open(folder["log"], Disk.Real, Key).Append([.. Enumerable.Range(seen, leaves - seen).Select(n => Encoding.ASCII.GetBytes($"leaf {n}"))], Signer);
        using var stranger = new Ed25519Signer(Enumerable.Repeat((byte)9, 32).ToArray());
        foreach (var damage in new Action<string>[] { f => File.WriteAllText(f, "x"), File.Delete, f => File.WriteAllText(f, Checkpoint.Sign(Key.Name, seen, earlier.Root, stranger).Note) })
        {
            damage(Path.Combine(folder["log"], "checkpoint"));
            Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => MerkleLog.Open(folder["log"], Disk.Real, Key)).Code);
            var log = MerkleLog.Salvage(folder["log"], Disk.Real, Key, 6, earlier);
            Assert.Equal((true, isCutShort, seen, 0), (log.IsAsSeen, log.IsCutShort, log.Size, log.Lost.Count));
            Assert.Equal($"leaf {seen - 1}", Encoding.ASCII.GetString(log.Leaf(seen - 1)));
            foreach (var other in new[] { null, Checkpoint.Sign(Key.Name, seen, earlier.Root, stranger), Checkpoint.Sign(Key.Name, seen, LogHash.Empty, Signer), Checkpoint.Sign(Key.Name, leaves + 300, earlier.Root, Signer) })
                Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => MerkleLog.Salvage(folder["log"], Disk.Real, Key, 6, other)).Code);
        }
    }

    [Theory]
    [InlineData(40)]
    [InlineData(256)]
    [InlineData(600)]
    public void Each_file_of_hashes_is_compared_with_the_leaves_and_written_anew(int leaves)
    {
        using var folder = new TempFolder();
        Make(folder, leaves);
        // What stays of earlier partial files is compared by nobody: a copy may have others.
        var earlier = Directory.EnumerateFiles(folder["log/tile"], "*", SearchOption.AllDirectories).Where(f => f.Contains(".p/", StringComparison.Ordinal) && int.Parse(Path.GetFileName(f), System.Globalization.CultureInfo.InvariantCulture) is var width
            && width != leaves % 256 && !(f.Contains("tile/1/", StringComparison.Ordinal) && width == leaves / 256)).ToList();
        Assert.NotEmpty(earlier);
        earlier.ForEach(f => File.WriteAllText(f, "another"));
        var tiles = Directory.EnumerateFiles(folder["log/tile"], "*", SearchOption.AllDirectories).Where(f => !f.Contains("entries", StringComparison.Ordinal)).Except(earlier).ToList();
        Assert.Equal(leaves switch { 40 => 1, 256 => 2, _ => 4 }, tiles.Count);
        var log = MerkleLog.Open(folder["log"], Disk.Real, Key);
        foreach (var tile in tiles)
        {
            var whole = File.ReadAllBytes(tile);
            foreach (var damage in new Action[] { () => File.Delete(tile), () => File.WriteAllBytes(tile, whole[..^1]), () => File.WriteAllBytes(tile, [.. whole, 0]), () => File.WriteAllBytes(tile, [.. whole[..^1], (byte)(whole[^1] ^ 1)]) })
            {
                Assert.Empty(log.DamagedTiles());
                damage();
                Assert.Equal([tile], log.DamagedTiles());
                Assert.Equal(1, log.MendTiles());
                Assert.Equal(whole, File.ReadAllBytes(tile));
            }
        }
    }

    [Fact]
    public void Where_the_hashes_are_damaged_too_nothing_is_believed()
    {
        using var folder = new TempFolder();
        Make(folder, 300);
        foreach (var file in new[] { "tile/entries/000", "tile/0/000" })
        {
            var bytes = File.ReadAllBytes(Path.Combine(folder["log"], file));
            bytes[9] ^= 1;
            File.WriteAllBytes(Path.Combine(folder["log"], file), bytes);
        }
        Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => MerkleLog.Salvage(folder["log"], Disk.Real, Key, 6)).Code);
        File.Delete(Path.Combine(folder["log"], "tile/0/000"));
        Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(() => MerkleLog.Salvage(folder["log"], Disk.Real, Key, 6)).Code);
    }

    [Fact]
    public void The_verifier_key_has_the_form_of_signed_notes()
    {
        Assert.True(VerifierKey.TryParse(Key.ToString(), out var parsed));
        Assert.Equal(Key.PublicKey, parsed.PublicKey);
        // The example of golang.org/x/mod/sumdb/note.
        Assert.True(VerifierKey.TryParse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", out var peter));
        Assert.Equal("PeterNeumann", peter.Name);
        Assert.False(VerifierKey.TryParse("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", out _));
    }

    [Fact]
    public void A_checkpoint_of_another_key_or_an_altered_one_is_refused()
    {
        var checkpoint = Checkpoint.Sign(Key.Name, 5, LogHash.Empty, Signer);
        Assert.True(checkpoint.IsSignedBy(Key));
        Assert.True(Checkpoint.TryParse(checkpoint.Note, out var parsed));
        Assert.Equal(5, parsed.Size);
        using var other = new Ed25519Signer(Enumerable.Repeat((byte)7, 32).ToArray());
        Assert.False(Checkpoint.Sign(Key.Name, 5, LogHash.Empty, other).IsSignedBy(Key));
        for (var i = 0; i < checkpoint.Note.Length; i++)
        {
            var altered = checkpoint.Note.Remove(i, 1).Insert(i, checkpoint.Note[i] == 'A' ? "B" : "A");
            Assert.False(Checkpoint.TryParse(altered, out var read) && read.IsSignedBy(Key), $"at {i}");
        }
        Assert.True(Checkpoint.TryParse(checkpoint.Note + "— witness.example/w BAAAAAAAAAAA\n", out var cosigned) && cosigned.IsSignedBy(Key), "a witness's signature is left aside");
    }

    [Fact]
    public void A_proof_is_checked_without_the_log_and_no_altered_one_holds()
    {
        using var folder = new TempFolder();
        var log = Make(folder, 11);
        var text = log.Prove(4).ToString();
        Assert.True(LogProof.TryParse(text, out var proof) && proof.IsValid(Key));
        Assert.Equal("leaf 4", Encoding.ASCII.GetString(proof.Leaf));
        for (var i = 0; i < text.Length; i++)
        {
            var altered = text.Remove(i, 1).Insert(i, text[i] == 'A' ? "B" : "A");
            Assert.False(LogProof.TryParse(altered, out var read) && read.IsValid(Key) && !read.Leaf.AsSpan().SequenceEqual(proof.Leaf), $"at {i}");
        }
    }

    [Fact]
    public void A_log_put_back_to_an_earlier_state_is_a_fork()
    {
        using var folder = new TempFolder();
        var log = Make(folder, 3);
        var earlier = log.Checkpoint!;
        log.Append(["more"u8.ToArray()], Signer);
        log.RequireExtends(earlier);
        var later = log.Checkpoint!;
        using var other = new TempFolder();
        var replaced = Make(other, 3);
        Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(() => replaced.RequireExtends(later)).Code);
        replaced.Append(["another"u8.ToArray()], Signer);
        Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(() => replaced.RequireExtends(later)).Code);
    }

    static byte[][] Leaves(string word, int first, int count) => [.. Enumerable.Range(first, count).Select(n => Encoding.ASCII.GetBytes($"{word} {n}"))];

    /// <summary>A log of the same key that begins as another does, and then goes its own way.</summary>
    static MerkleLog Fork(TempFolder folder, int same, int own)
    {
        var log = MerkleLog.Create(folder["log"], Disk.Real, Key);
        log.Append(Leaves("leaf", 0, same), Signer);
        if (own > 0)
            log.Append(Leaves("own", same, own), Signer);
        return log;
    }

    static void Exchange(TempFolder one, TempFolder other)
    {
        Directory.Move(one["log"], one["before"]);
        Directory.Move(other["log"], one["log"]);
    }

    [Theory]
    [InlineData(40, 50)]
    [InlineData(250, 600)]
    [InlineData(256, 256)]
    public void What_others_have_appended_is_taken_in(int leaves, int later)
    {
        using var folder = new TempFolder();
        Fork(folder, leaves, 0);
        var log = MerkleLog.Open(folder["log"], Disk.Real, Key);
        var other = MerkleLog.Open(folder["log"], Disk.Real, Key);
        if (later > leaves)
            other.Append(Leaves("leaf", leaves, later - leaves), Signer);
        log.Refresh();
        Assert.Equal((later, other.Checkpoint!.Note), (log.Size, log.Checkpoint!.Note));
        Assert.Equal($"leaf {later - 1}", Encoding.ASCII.GetString(log.Leaf(later - 1)));
    }

    /// <summary>In its place there is now: an earlier state of it, a shorter one, one as long or a longer one that went its own way.</summary>
    [Theory]
    [InlineData(40, 39, 0, ErrorCode.LogForked)]
    [InlineData(300, 256, 0, ErrorCode.LogForked)]
    [InlineData(300, 100, 100, ErrorCode.LogForked)]
    [InlineData(40, 39, 1, ErrorCode.LogDamaged)]
    [InlineData(300, 0, 300, ErrorCode.LogDamaged)]
    [InlineData(40, 39, 2, ErrorCode.LogDamaged)]
    [InlineData(300, 100, 500, ErrorCode.LogDamaged)]
    public void Another_log_in_the_place_of_one_that_is_open_is_not_taken_in(int leaves, int same, int own, ErrorCode code)
    {
        using var folder = new TempFolder();
        using var other = new TempFolder();
        Fork(folder, leaves, 0);
        var log = MerkleLog.Open(folder["log"], Disk.Real, Key);
        var seen = log.Checkpoint!.Note;
        Fork(other, same, own);
        Exchange(folder, other);
        for (var again = 0; again < 2; again++)
        {
            Assert.Equal(code, Assert.Throws<HoldfastException>(log.Refresh).Code);
            Assert.Equal(seen, log.Checkpoint.Note);
            Assert.All(Enumerable.Range(0, leaves), i => Assert.Equal($"leaf {i}", Encoding.ASCII.GetString(log.Leaf(i))));
        }
    }

    static Dictionary<string, string> Files(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).ToDictionary(f => f, f => Convert.ToHexString(File.ReadAllBytes(f)));

    [Theory]
    [InlineData(40, 39, 0)]
    [InlineData(40, 39, 1)]
    [InlineData(40, 39, 2)]
    [InlineData(300, 100, 500)]
    public void A_copy_that_is_to_follow_another_log_stays_as_it_was(int leaves, int same, int own)
    {
        using var folder = new TempFolder();
        using var other = new TempFolder();
        Fork(folder, leaves, 0);
        var copy = MerkleLog.Open(folder["log"], Disk.Real, Key);
        var (files, seen) = (Files(folder["log"]), copy.Checkpoint!.Note);
        var fork = Fork(other, same, own);
        Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(() => copy.Follow(fork)).Code);
        Assert.Equal((leaves, seen), (copy.Size, copy.Checkpoint.Note));
        Assert.Equal(files, Files(folder["log"]));
        copy.Append(Leaves("leaf", leaves, 1), Signer);
        Assert.Equal(leaves + 1, MerkleLog.Open(folder["log"], Disk.Real, Key).Size);
    }

    [Theory]
    [InlineData(0, 40)]
    [InlineData(40, 40)]
    [InlineData(40, 41)]
    [InlineData(250, 600)]
    public void A_copy_follows_the_log_that_goes_on_from_it(int leaves, int later)
    {
        using var folder = new TempFolder();
        using var other = new TempFolder();
        var copy = leaves == 0 ? MerkleLog.Create(folder["log"], Disk.Real, Key) : Fork(folder, leaves, 0);
        var log = Fork(other, later, 0);
        copy.Follow(log);
        Assert.Equal((later, log.Checkpoint!.Note), (copy.Size, copy.Checkpoint!.Note));
        Assert.Equal(later, MerkleLog.Open(folder["log"], Disk.Real, Key).Size);
    }

    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    public void An_append_that_dies_anywhere_is_there_or_not(int kind)
    {
        for (var size = 254; size < 257; size++)
        {
            for (var calls = 0; ; calls++)
            {
                using var folder = new TempFolder();
                var start = MerkleLog.Create(folder["log"], Disk.Real, Key);
                start.Append([.. Enumerable.Range(0, size).Select(i => Encoding.ASCII.GetBytes($"leaf {i}"))], Signer);
                var disk = new FaultyDisk(calls, (Fault)kind);
                var log = MerkleLog.Open(folder["log"], disk, Key);
                var acknowledged = false;
                try
                {
                    log.Append(["new"u8.ToArray()], Signer);
                    acknowledged = true;
                }
                catch (HoldfastException)
                {
                    // As a crash.
                }
                var after = MerkleLog.Open(folder["log"], Disk.Real, Key);
                Assert.InRange(after.Size, acknowledged ? size + 1 : size, size + 1);
                after.Append(["later"u8.ToArray()], Signer);
                Assert.Equal("later", Encoding.ASCII.GetString(MerkleLog.Open(folder["log"], Disk.Real, Key).Leaf(after.Size - 1)));
                if (!disk.HasFailed)
                    break;
            }
        }
    }
}
