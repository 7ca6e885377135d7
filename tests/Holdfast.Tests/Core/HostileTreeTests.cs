using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Keeper;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>Snapshots that a thief of the put key and the agent key signs: every byte of them is of his choosing.</summary>
public sealed class HostileTreeTests
{
    static readonly byte[] One = [42];
    internal static readonly Hash32 OneDigest = new(SHA256.HashData(One));
    static readonly byte[] Listable = [.. Enumerable.Repeat((byte)42, TreeChunk.LeastListed)]; // a list begins with no shorter chunk
    static readonly Hash32 ListableDigest = new(SHA256.HashData(Listable));

    static Id16 Plant(TestVault test, Action<EntryBatch> fill, params byte[][] treeChunks) => Plant(test, fill, null, treeChunks);

    static Id16 Plant(TestVault test, Action<EntryBatch> fill, Func<ChunkRef, byte[]>? above, params byte[][] treeChunks) => Plant(test, fill, above, One, treeChunks);

    /// <param name="test">The vault.</param>
    /// <param name="fill">Adds rows to the root.</param>
    /// <param name="above">Makes the root node for the one node of level 0; null: that one is the root.</param>
    /// <param name="stored">What the pack holds under the name of the one chunk.</param>
    /// <param name="treeChunks">Further chunks of class tree.</param>
    /// <param name="more">Entries in nodes that <paramref name="above"/> names besides.</param>
    /// <param name="level">Of the node that <paramref name="above"/> makes.</param>
    internal static Id16 Plant(TestVault test, Action<EntryBatch> fill, Func<ChunkRef, byte[]>? above, byte[] stored, IReadOnlyList<byte[]> treeChunks, uint more = 0, byte level = 1)
    {
        var rows = new EntryBatch();
        var root = rows.Add([]);
        rows.Kind[root] = EntryKind.Directory;
        rows.Mode[root] = 0x1ED;
        fill(rows);
        var node = new ByteWriter();
        TreeNode.Write(rows, node);
        var top = above is null ? node.ToArray() : above(new ChunkRef(new Hash32(SHA256.HashData(node.Span)), node.Length));
        if (above is not null)
            treeChunks = [.. treeChunks, node.ToArray()];

        using var vault = test.Open();
        var put = test.Keys.Put;
        var source = put.Domain.SourceId("hostile"u8);
        using var session = new PackSession(vault.Id, put, source, vault.Keeper.Store, (staged, pack) =>
        {
            vault.Keeper.Store.Enter(staged, StoreKind.Pack, pack.Name);
            staged.Dispose();
        }, TimeProvider.System);
        using (var tree = new PackWriter(session, KeyClass.Tree, 1))
        using (var content = new PackWriter(session, KeyClass.Content, 1))
        {
            foreach (var chunk in treeChunks.Append(top))
                tree.Add(chunk, put.Domain.ChunkId(KeyClass.Tree, new Hash32(SHA256.HashData(chunk))));
            content.Add(stored, put.Domain.ChunkId(KeyClass.Content, OneDigest));
            content.Add(Listable, put.Domain.ChunkId(KeyClass.Content, ListableDigest));
            tree.Finish();
            content.Finish();
        }
        var (snapshot, salt) = (Id16.New(), VaultKeeper.Salt());
        var rootNode = new ChunkRef(new Hash32(SHA256.HashData(top)), top.Length);
        var section = new TreeSection
        {
            RootSalt = salt,
            Root = rootNode,
            RootLevel = above is null ? (byte)0 : level,
            SourceName = "hostile"u8.ToArray(),
            HostName = [],
            RootPath = [],
            ProgramVersion = [],
            Users = new Dictionary<uint, byte[]>(),
            Groups = new Dictionary<uint, byte[]>(),
            OldestReread = 0,
            Problems = 0,
        };
        var unsigned = new SnapshotObject
        {
            Vault = vault.Id,
            Domain = put.Domain.Domain,
            Salt = VaultKeeper.Salt(),
            Snapshot = snapshot,
            Source = source,
            Agent = test.Keys.Agent.Agent,
            Session = session.Id,
            Writer = put.Writer,
            WriterEpoch = 1,
            KeyEpoch = put.SealingKeyFor(KeyClass.Tree, source).Epoch,
            ClientTime = 0,
            Parent = Hash32.None,
            ContentRoot = SnapshotObject.ContentRootOf(salt, vault.Id, put.Domain.Domain, source, session.Id, snapshot, Hash32.None, rootNode.Digest),
            ParentContentRoot = Hash32.None,
            Entries = (ulong)rows.Count + more,
            Files = (ulong)rows.Count + more - 1,
            LogicalBytes = 1,
            NewBytes = 1,
            Packs = new PackSet(session.Packs().Select(p => new PackRef(p.Name, p.Size))).Whole(),
            Sections =
            [
                SnapshotSection.Seal(SnapshotSection.Tree, snapshot, session, section.ToWriter()),
                SnapshotSection.Seal(SnapshotSection.Features, snapshot, session, new RunStatistics().ToWriter()),
                SnapshotSection.SealReferences(snapshot, put.Domain, []),
            ],
            Signatures = [],
        };
        vault.Keeper.Commit(unsigned with { Signatures = [new SnapshotSignature(SnapshotSignature.Agent, test.Keys.Agent.Agent, SnapshotSignature.Ed25519, test.Keys.Agent.Signer.Sign(unsigned.SignedBytes()))] });
        return snapshot;
    }

    internal static int File(EntryBatch rows, ReadOnlySpan<byte> path, long size)
    {
        var row = rows.Add(path);
        rows.Kind[row] = EntryKind.File;
        rows.Mode[row] = 0x1A4;
        rows.Size[row] = size;
        return row;
    }

    /// <summary>A list chunk that names one chunk of the fewest bytes so many times.</summary>
    static byte[] List(int items)
    {
        var list = new ByteWriter(items * 33);
        for (var i = 0; i < items; i++)
        {
            list.Var(TreeChunk.LeastListed);
            list.Hash(ListableDigest);
        }
        return list.ToArray();
    }

    static void Listed(EntryBatch rows, int row, int declared, int lists, byte[] list)
    {
        rows.ChunkLists[row] = [.. Enumerable.Repeat(new ChunkRef(new Hash32(SHA256.HashData(list)), list.Length), lists)];
        rows.ListedChunks[row] = declared;
    }

    static (RestoreResult Result, IReadOnlyCollection<TargetProblem> Problems) Restore(TestVault test, Id16 snapshot, string target, ExistingFiles existing = ExistingFiles.Refuse)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var writer = FileTarget.Create(target, new FileTargetOptions { Existing = existing });
        var result = vault.Restore(vault.Find(snapshot.ToString()), keys, writer, new PathFilter(null), new RestoreProgress(), 2, TestContext.Current.CancellationToken);
        return (result, writer.Problems);
    }

    [Fact]
    public void Lists_that_name_more_than_they_should_are_refused_before_they_fill_memory()
    {
        using var test = new TestVault();
        var list = List(100_000);
        var snapshot = Plant(test, rows => Listed(rows, File(rows, "f"u8, 100_000L * 65_536), declared: 5_000, lists: 20_000, list), list);
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            foreach (var rows in vault.Rows(vault.Find(snapshot.ToString()), keys, TestContext.Current.CancellationToken))
                Assert.Equal(2, rows.Count); // listing needs no list
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 64 << 20);
        }
        var measured = GC.GetTotalAllocatedBytes();
        Assert.Equal("f"u8.ToArray(), Assert.Single(Restore(test, snapshot, test["r"]).Result.FailedPaths));
        Assert.True(GC.GetTotalAllocatedBytes() - measured < 2L << 30, "64 GB are named; other tests that run meanwhile take some of this");
    }

    [Fact]
    public void A_file_of_more_chunks_than_are_planned_at_once_comes_back_whole()
    {
        using var test = new TestVault();
        var list = List(100_000);
        var snapshot = Plant(test, rows => Listed(rows, File(rows, "f"u8, 16 * 600_000), declared: 600_000, lists: 6, list), list);
        var (result, problems) = Restore(test, snapshot, test["r"]);
        Assert.Equal(0, result.Failed);
        Assert.Empty(problems);
        Assert.Equal(Enumerable.Repeat((byte)42, 16 * 600_000), System.IO.File.ReadAllBytes(Path.Combine(test["r"], "f")));
    }

    [Fact]
    public void A_list_of_no_lists_is_no_file()
    {
        using var test = new TestVault();
        var snapshot = Plant(test, rows => Listed(rows, File(rows, "f"u8, 5_000), declared: 5_000, lists: 0, One));
        Assert.Equal(ErrorCode.ObjectDamaged, Assert.Throws<HoldfastException>(() => Restore(test, snapshot, test["r"])).Code);
    }

    [Fact]
    public void A_hole_larger_than_any_disk_costs_that_file_alone()
    {
        using var test = new TestVault();
        var snapshot = Plant(test, rows =>
        {
            rows.Extents[File(rows, "f"u8, long.MaxValue)] = [];
            rows.Digest[File(rows, "g"u8, 1)] = OneDigest;
        });
        var (_, problems) = Restore(test, snapshot, test["r"]);
        Assert.Equal(One, System.IO.File.ReadAllBytes(Path.Combine(test["r"], "g")));
        if (!System.IO.File.Exists(Path.Combine(test["r"], "f"))) // some file systems hold it
            Assert.Equal("f"u8.ToArray(), Assert.Single(problems).Path);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        Assert.True(vault.Attest(vault.Find(snapshot.ToString()), keys, full: true, Id16.None, TestContext.Current.CancellationToken).IsGood); // and comes to an end
    }

    [Fact]
    public void A_further_name_is_not_linked_to_what_stood_there_before()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "hard links are restored on Linux alone");
        using var test = new TestVault();
        var snapshot = Plant(test, rows =>
        {
            foreach (var name in new[] { "a"u8.ToArray(), "b"u8.ToArray() })
            {
                var row = File(rows, name, 1);
                rows.Digest[row] = new Hash32(SHA256.HashData("not there"u8)); // in no pack
                (rows.LinkCount[row], rows.Inode[row]) = (2, 5);
            }
        });
        Directory.CreateDirectory(test["r"]);
        System.IO.File.WriteAllText(Path.Combine(test["r"], "a"), "mine");
        var (result, problems) = Restore(test, snapshot, test["r"], ExistingFiles.Replace);
        Assert.Equal(1, result.Failed);
        Assert.Equal("b"u8.ToArray(), Assert.Single(problems).Path);
        Assert.Equal("mine", System.IO.File.ReadAllText(Path.Combine(test["r"], "a")));
        Assert.False(System.IO.File.Exists(Path.Combine(test["r"], "b")));
    }

    /// <summary>Of what does not come back the first paths are kept, and the rest is counted.</summary>
    [Theory]
    [InlineData(1_020, 0)]
    [InlineData(0, 1_020)]
    public void A_restore_to_which_everything_goes_wrong_keeps_a_thousand_paths(int failed, int missed)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "a file system of Linux is asked for too much");
        using var test = new TestVault();
        var snapshot = Plant(test, rows =>
        {
            for (var i = 0; i < 1_020; i++)
            {
                var row = File(rows, System.Text.Encoding.ASCII.GetBytes($"f{i:d4}"), failed > 0 ? 1 : long.MaxValue);
                if (failed > 0)
                    rows.Digest[row] = new Hash32(SHA256.HashData("not there"u8));
                else
                    rows.Extents[row] = []; // a hole larger than any disk
            }
            rows.Digest[File(rows, "g"u8, 1)] = OneDigest;
        });
        var (result, problems) = Restore(test, snapshot, test["r"]);
        Assert.Equal(One, System.IO.File.ReadAllBytes(Path.Combine(test["r"], "g")));
        Assert.False(result.IsWhole);
        Assert.Equal((failed, Math.Min(failed, 1_000)), (result.Failed, result.FailedPaths.Count));
        if (failed == 0)
            Assert.SkipWhen(problems.Count == 0, "this file system holds it");
        Assert.Equal((missed, Math.Min(missed, 1_000), missed > 0 ? 1 : 0), (problems.Sum(p => p.Entries), problems.Count(p => p.Path is not null), problems.Count(p => p.Path is null)));
    }

    /// <summary>A node that is gone or makes no sense costs what is in it, and nothing else.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_part_of_the_tree_that_cannot_be_read_costs_what_is_in_it_alone(bool isThere)
    {
        using var test = new TestVault();
        var lost = new NodeChild(new ChunkRef(new Hash32(SHA256.HashData("no node"u8)), 7), 3, "l"u8.ToArray()); // l, m, m/a
        var also = lost with { Entries = 1, FirstPath = "m/b"u8.ToArray() };
        var after = new EntryBatch();
        after.Digest[File(after, "m/c/d/e"u8, 1)] = OneDigest;
        Row(after, "n", EntryKind.Directory);
        after.Digest[File(after, "n/o"u8, 1)] = OneDigest;
        var node = new ByteWriter();
        TreeNode.Write(after, node);
        var next = new NodeChild(new ChunkRef(new Hash32(SHA256.HashData(node.Span)), node.Length), 3, after.Path(0).ToArray());
        var snapshot = Plant(test, rows =>
        {
            (rows.Mode[0], rows.MtimeSeconds[0]) = (0x1ED, 1_000_000_000);
            Row(rows, "empty", EntryKind.File);
            rows.Digest[File(rows, "f"u8, 1)] = OneDigest;
            rows.Chunks[File(rows, "g"u8, 2)] = [new ChunkRef(OneDigest, 1), new ChunkRef(OneDigest, 1)];
            Row(rows, "h", EntryKind.Symlink);
        }, child =>
        {
            var top = new ByteWriter();
            HigherNode.Write(1, [new NodeChild(child, 5, []), lost, also, next], top);
            return top.ToArray();
        }, One, isThere ? [node.ToArray(), "no node"u8.ToArray()] : [node.ToArray()], more: 7);
        var (result, _) = Restore(test, snapshot, test["r"]);
        Assert.Equal((4L, 0L, false), (result.Lost, result.Failed, result.IsWhole));
        var rows = Assert.Single(result.LostRows);
        Assert.Equal(("l", "m/c/d/e", 4UL), (System.Text.Encoding.ASCII.GetString(rows.First), System.Text.Encoding.ASCII.GetString(rows.Next!), rows.Entries));
        Assert.Equal(["empty", "f", "g", "h", "m", "m/c", "m/c/d", "m/c/d/e", "n", "n/o"], Directory.EnumerateFileSystemEntries(test["r"], "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(test["r"], p)).Order(StringComparer.Ordinal));
        Assert.Equal(One, System.IO.File.ReadAllBytes(Path.Combine(test["r"], "m/c/d/e")));
        if (OperatingSystem.IsLinux())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, System.IO.File.GetUnixFileMode(Path.Combine(test["r"], "m/c")));
        // A folder of which nothing is known stays as it was where it is there, and goes on shutting out and letting in whom it did.
        Directory.CreateDirectory(test["there/m"]);
        Directory.SetLastWriteTimeUtc(test["there/m"], DateTime.UnixEpoch.AddDays(9));
        if (OperatingSystem.IsLinux())
            System.IO.File.SetUnixFileMode(test["there/m"], (UnixFileMode)0x1E8);
        Restore(test, snapshot, test["there"], ExistingFiles.Replace);
        Assert.True(Directory.Exists(test["there/m/c/d"]));
        if (OperatingSystem.IsLinux())
            Assert.Equal((UnixFileMode)0x1E8, System.IO.File.GetUnixFileMode(test["there/m"]));
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var record = vault.Find(snapshot.ToString());
            // What was asked for lies elsewhere, and what stands above it is there: the rest is not looked at.
            using var writer = FileTarget.Create(test["n"], new FileTargetOptions());
            Assert.True(vault.Restore(record, keys, writer, new PathFilter(path => path.SequenceEqual("n/o"u8)), new RestoreProgress(), 2, TestContext.Current.CancellationToken, below: "n/o"u8.ToArray()).IsWhole);
            Assert.Equal(["n", "n/o"], Directory.EnumerateFileSystemEntries(test["n"], "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(test["n"], p)).Order(StringComparer.Ordinal));
            var attested = vault.Attest(record, keys, full: true, Id16.None, TestContext.Current.CancellationToken);
            Assert.Equal((false, 5UL), (attested.IsGood, attested.Chunks));
        }
        Assert.Equal(One, System.IO.File.ReadAllBytes(Path.Combine(test["r"], "f")));
        Assert.Equal([42, 42], System.IO.File.ReadAllBytes(Path.Combine(test["r"], "g")));
        Assert.Equal(1_000_000_000, new DateTimeOffset(Directory.GetLastWriteTimeUtc(test["r"])).ToUnixTimeSeconds());
    }

    /// <summary>The node that has the root's own row is gone: the folder that was named as the target stays as it was.</summary>
    [Theory]
    [InlineData(ExistingFiles.Refuse)]
    [InlineData(ExistingFiles.Replace)]
    public void A_target_of_which_the_snapshot_says_nothing_any_more_stays_as_it_was(ExistingFiles existing)
    {
        using var test = new TestVault();
        var after = new EntryBatch();
        after.Digest[File(after, "m/c"u8, 1)] = OneDigest;
        var node = new ByteWriter();
        TreeNode.Write(after, node);
        var lost = new NodeChild(new ChunkRef(new Hash32(SHA256.HashData("no node"u8)), 7), 1, []);
        var next = new NodeChild(new ChunkRef(new Hash32(SHA256.HashData(node.Span)), node.Length), 1, after.Path(0).ToArray());
        var snapshot = Plant(test, _ => { }, _ =>
        {
            var top = new ByteWriter();
            HigherNode.Write(1, [lost, next], top);
            return top.ToArray();
        }, One, [node.ToArray()], more: 1);
        Directory.CreateDirectory(test["r"]);
        if (OperatingSystem.IsLinux())
            System.IO.File.SetUnixFileMode(test["r"], (UnixFileMode)0x1E8);
        Assert.Equal(1, Restore(test, snapshot, test["r"], existing).Result.Lost);
        Assert.Equal(One, System.IO.File.ReadAllBytes(test["r/m/c"]));
        if (OperatingSystem.IsLinux())
            Assert.Equal((UnixFileMode)0x1E8, System.IO.File.GetUnixFileMode(test["r"]));
    }

    [Fact]
    public void A_file_whose_list_of_chunks_ends_in_the_middle_is_taken_back_and_all_else_comes_back()
    {
        using var test = new TestVault();
        var list = List(5_000);
        var missing = new ChunkRef(new Hash32(SHA256.HashData("not there"u8)), 33);
        var snapshot = Plant(test, rows =>
        {
            rows.Digest[File(rows, "f"u8, 1)] = OneDigest;
            var row = File(rows, "g"u8, 16 * 5_001);
            Listed(rows, row, declared: 5_001, lists: 1, list);
            rows.ChunkLists[row] = [.. rows.ChunkLists[row]!, missing];
            rows.Digest[File(rows, "h"u8, 1)] = OneDigest;
        }, list);
        Assert.Equal("g"u8.ToArray(), Assert.Single(Restore(test, snapshot, test["r"]).Result.FailedPaths));
        Assert.Equal([test["r/f"], test["r/h"]], Directory.EnumerateFileSystemEntries(test["r"]).Order(StringComparer.Ordinal));
        Assert.Equal(One, System.IO.File.ReadAllBytes(test["r/f"]));

        // One that stands there from an earlier restore cannot be compared, and stays; all else is looked at.
        System.IO.File.WriteAllBytes(test["r/g"], [.. Enumerable.Repeat((byte)42, 16 * 5_001)]);
        System.IO.File.SetLastWriteTimeUtc(test["r/g"], DateTime.UnixEpoch);
        System.IO.File.Delete(test["r/h"]);
        Assert.Equal("g"u8.ToArray(), Assert.Single(Restore(test, snapshot, test["r"], ExistingFiles.KeepEqual).Result.FailedPaths));
        Assert.Equal([test["r/f"], test["r/g"], test["r/h"]], Directory.EnumerateFileSystemEntries(test["r"]).Order(StringComparer.Ordinal));
        Assert.Equal(16 * 5_001, new FileInfo(test["r/g"]).Length);
    }

    /// <summary>A node of level 1 with one child, or with the same child twice.</summary>
    static byte[] Higher(ChunkRef child, ulong entries, string first, byte level = 1, bool twice = false, int shared = 0)
    {
        var node = new ByteWriter();
        node.U8(level);
        node.Var(twice ? 2u : 1u);
        for (var i = 0; i < (twice ? 2 : 1); i++)
        {
            node.Hash(child.Digest);
            node.Var((ulong)child.Length);
            node.Var(entries);
            node.Var((ulong)(i == 0 ? shared : 0));
            node.Bytes(System.Text.Encoding.UTF8.GetBytes(i == 0 ? first : "z"));
        }
        return node.ToArray();
    }

    [Fact]
    public void A_higher_node_says_what_is_below_it_or_is_refused()
    {
        using var test = new TestVault();
        void Fill(EntryBatch rows) => rows.Digest[File(rows, "f"u8, 1)] = OneDigest;
        var good = Plant(test, Fill, child => Higher(child, 2, ""));
        Assert.True(Restore(test, good, test["r"]).Result.IsWhole);
        var bad = new (string What, Func<ChunkRef, byte[]> Node)[]
        {
            ("fewer entries", c => Higher(c, 1, "")), ("more entries", c => Higher(c, 3, "")), ("entries beyond counting", c => Higher(c, ulong.MaxValue, "", twice: true)), ("no entries", c => Higher(c, 0, "")),
            ("another first path", c => Higher(c, 2, "a")), ("a shared beginning of nothing", c => Higher(c, 2, "", shared: 1)), ("no path at all", c => Higher(c, 2, "../x")),
            ("another level", c => Higher(c, 2, "", level: 2)), ("a child that repeats", c => Higher(c, 1, "", twice: true)),
        };
        foreach (var (what, node) in bad)
        {
            var snapshot = Plant(test, Fill, node);
            using var vault = test.Open();
            using var keys = vault.Unlock(test.Seed);
            var record = vault.Find(snapshot.ToString());
            Assert.Equal((what, ErrorCode.ObjectDamaged), (what, Assert.Throws<HoldfastException>(() => vault.Rows(record, keys, TestContext.Current.CancellationToken).Count()).Code));
            Assert.False(vault.Attest(record, keys, full: false, Id16.None, TestContext.Current.CancellationToken).IsGood, what);
        }
    }

    [Fact]
    public void Paths_that_higher_nodes_name_are_not_kept()
    {
        using var test = new TestVault();
        var folder = string.Concat(Enumerable.Repeat(new string('d', 1_023) + "/", 63));
        var nodes = new List<byte[]>();

        byte[] Wide(ChunkRef child, ulong entries, byte level)
        {
            var children = Enumerable.Range(1, 2_047).Select(i => new NodeChild(new ChunkRef(OneDigest, 1), 1, System.Text.Encoding.ASCII.GetBytes($"{folder}{i:d4}")));
            var node = new ByteWriter();
            HigherNode.Write(level, [new NodeChild(child, entries, []), .. children], node);
            return node.ToArray();
        }

        byte[] Tower(ChunkRef leaf)
        {
            var (child, top) = (leaf, Array.Empty<byte>());
            for (byte level = 1; level <= 15; level++)
            {
                top = Wide(child, 2 + 2_047UL * (level - 1u), level);
                child = new ChunkRef(new Hash32(SHA256.HashData(top)), top.Length);
                nodes.Add(top);
            }
            nodes.Remove(top);
            return top;
        }

        var snapshot = Plant(test, rows => rows.Digest[File(rows, "f"u8, 1)] = OneDigest, Tower, One, nodes, more: 15 * 2_047, level: 15);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        using var batches = vault.Rows(vault.Find(snapshot.ToString()), keys, TestContext.Current.CancellationToken).GetEnumerator();
        Assert.True(batches.MoveNext());
        Assert.Equal(2, batches.Current.Count);
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - before < 1 << 30, "2 GB of paths that 3 MB spell; other tests that run meanwhile take some of this");
    }

    /// <summary>Whoever can store a snapshot may name a chunk of another's, with any length: that says nothing of the pack that has it.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_wrong_length_of_anothers_chunk_says_nothing_of_its_pack(bool attest)
    {
        using var test = new TestVault();
        test.Write("f", "bed 3");
        test.BackUp();
        var snapshot = Plant(test, rows => rows.Digest[File(rows, "f"u8, 4)] = new Hash32(SHA256.HashData("bed 3"u8)));
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        if (attest)
            Assert.False(vault.Attest(vault.Find(snapshot.ToString()), keys, full: true, Id16.None, TestContext.Current.CancellationToken).IsGood);
        else
            Restore(test, snapshot, test["r"]);
        Assert.Empty(vault.LastReads().Damaged);
        Assert.All(vault.Health().Problems, p => Assert.All(p.Snapshots, s => Assert.Equal(snapshot, s.Snapshot)));
    }

    /// <summary>Who names a chunk with its length vouches for nobody who names it with another.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)] // more bytes than the file's extents have room for
    public void A_chunk_that_two_files_name_with_two_lengths_is_written_to_one_of_them(bool hasHoles)
    {
        using var test = new TestVault();
        test.Write("f", "0123456789");
        test.BackUp();
        var ten = new Hash32(SHA256.HashData("0123456789"u8));
        var snapshot = Plant(test, rows =>
        {
            rows.Digest[File(rows, "a"u8, 10)] = ten;
            var row = File(rows, "b"u8, hasHoles ? 8 : 2);
            rows.Chunks[row] = hasHoles ? [new ChunkRef(new Hash32(SHA256.HashData("in no pack"u8)), 4), new ChunkRef(ten, 1)] : [new ChunkRef(OneDigest, 1), new ChunkRef(ten, 1)];
            rows.Extents[row] = hasHoles ? [new Extent(0, 5)] : null;
        });
        var (result, _) = Restore(test, snapshot, test["r"]);
        Assert.Equal("0123456789", System.IO.File.ReadAllText(Path.Combine(test["r"], "a")));
        Assert.Equal(["a"], Directory.EnumerateFileSystemEntries(test["r"]).Select(Path.GetFileName));
        Assert.Equal((1, 1), (result.Files, result.Failed));
        Assert.Equal("b"u8.ToArray(), Assert.Single(result.FailedPaths));
        Assert.False(result.IsWhole);
    }

    [Fact]
    public void Nobody_walks_past_the_last_byte_of_a_file()
    {
        foreach (var extents in new Extent[][] { [], [new Extent(3, 5)], [new Extent(3, 1), new Extent(7, 4)] })
        {
            var data = new DataCursor(extents);
            data.Skip(extents.Sum(e => e.Length));
            Assert.Equal(ErrorCode.ObjectDamaged, Assert.Throws<HoldfastException>(() => data.Next(1)).Code);
            Assert.Equal(ErrorCode.ObjectDamaged, Assert.Throws<HoldfastException>(() => data.Skip(1)).Code);
        }
    }

    [Fact]
    public void Digests_that_an_attestation_adds_are_no_more_than_a_reader_takes()
    {
        using var test = new TestVault();
        var folder = string.Concat(Enumerable.Repeat(new string('d', 1_023) + "/", 63));
        var nodes = new List<byte[]>();

        byte[] Wide(ChunkRef leaf)
        {
            var children = new List<NodeChild> { new(leaf, 1, []) };
            for (var n = 0; n < 2; n++) // 130 MB of paths
            {
                var rows = new EntryBatch();
                for (var i = 0; i < EntryBatch.MaxRows; i++)
                    rows.Chunks[File(rows, System.Text.Encoding.ASCII.GetBytes($"{folder}{n}{i:d4}"), 1)] = [new ChunkRef(OneDigest, 1)];
                var node = new ByteWriter();
                TreeNode.Write(rows, node);
                nodes.Add(node.ToArray());
                children.Add(new NodeChild(new ChunkRef(new Hash32(SHA256.HashData(node.Span)), node.Length), EntryBatch.MaxRows, rows.Path(0).ToArray()));
            }
            var top = new ByteWriter();
            HigherNode.Write(1, children, top);
            return top.ToArray();
        }

        var snapshot = Plant(test, _ => { }, Wide, One, nodes, more: 2 * EntryBatch.MaxRows);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        vault.Attest(vault.Find(snapshot.ToString()), keys, full: true, Id16.None, TestContext.Current.CancellationToken);
        var leaf = Enumerable.Range(0, (int)vault.Keeper.Log.Size).Select(i => Leaf.TryParse(vault.Keeper.Log.Leaf(i), out var l) ? l : default).Last(l => l.Type == LeafType.Attestation);
        Assert.True(AttestationObject.TryParse(vault.Keeper.Store.ReadObject(leaf.Payload), out var found));
        Assert.InRange(found!.LateDigests.Length, 32 << 20, 64 << 20);
    }

    /// <summary>All pairs of ranges at the edges of what 64 bits hold, which wrap when they are added up.</summary>
    [Fact]
    public void Extents_that_lead_out_of_a_file_or_back_are_refused()
    {
        const long most = long.MaxValue;
        long[] edges = [0, 1, 4, 5, most - 5, most - 2, most, -7, -3, -1, long.MinValue];
        long[] sizes = [0, 4, 5, 64, most - 1, most];
        var ranges = edges.SelectMany(gap => edges, (gap, length) => (Gap: gap, Length: length)).ToList();
        var sound = 0;
        foreach (var size in sizes)
        {
            foreach (var (one, two) in ranges.SelectMany(_ => ranges, (one, two) => (one, two)))
            {
                var first = new Extent(one.Gap, one.Length);
                var second = new Extent(unchecked(one.Gap + one.Length + two.Gap), two.Length);
                var rows = new EntryBatch();
                var row = File(rows, "f"u8, size);
                (rows.Extents[row], rows.Chunks[row]) = ([first, second], [new ChunkRef(OneDigest, 5)]);
                var node = new ByteWriter();
                TreeNode.Write(rows, node);
                if (!TreeNode.TryRead(node.Span, new EntryBatch()))
                    continue;
                sound++;
                Assert.True(first.Offset >= 0 && first.Length > 0 && second.Length > 0 && two.Gap > 0 && (Int128)first.Offset + first.Length + two.Gap + second.Length <= size, $"{size} {first} {second}");
            }
        }
        Assert.True(sound > 4); // 1 and 4 bytes, in either order
    }

    [Fact]
    public void An_owner_that_no_system_has_is_refused_and_not_made_another()
    {
        var rows = new EntryBatch();
        rows.Kind[rows.Add([])] = EntryKind.Directory;
        rows.Uid[0] = uint.MaxValue - 1;
        var node = new ByteWriter();
        TreeNode.Write(rows, node);
        var bytes = node.ToArray();
        Assert.True(TreeNode.TryRead(bytes, new EntryBatch()));
        var at = bytes.AsSpan().IndexOf(new byte[] { 0xFE, 0xFF, 0xFF, 0xFF, 0x0F });
        bytes[at] = 0xFF; // 2^32 - 1: chown(2) would leave the file root's
        Assert.False(TreeNode.TryRead(bytes, new EntryBatch()));
        (bytes[at], bytes[at + 4]) = (0xFE, 0x1F); // above 2^32
        Assert.False(TreeNode.TryRead(bytes, new EntryBatch()));
    }

    [Fact]
    public void Attributes_that_make_no_sense_are_refused()
    {
        foreach (var (xattrs, isSound) in new (byte[], bool)[] { ([1, 1, (byte)'a', 0], true), ([1, 0, 0], false), ([2, 1, (byte)'b', 0, 1, (byte)'a', 0], false), ([2, 1, (byte)'a', 0, 1, (byte)'a', 0], false), ([1, 1, (byte)'a', 0, 7], false), ([], false) })
        {
            var rows = new EntryBatch();
            rows.Kind[rows.Add([])] = EntryKind.Directory;
            rows.Xattrs[0] = xattrs;
            var node = new ByteWriter();
            TreeNode.Write(rows, node);
            Assert.Equal(isSound, TreeNode.TryRead(node.Span, new EntryBatch()));
        }
    }

    /// <summary>Attributes of the largest size that a row may have; no two alike.</summary>
    static byte[] LargeXattrs(int number) => XattrList.Encode([.. Enumerable.Range(0, 31).Select(i => (System.Text.Encoding.ASCII.GetBytes($"user.{number:d4}.{i:d2}"), new byte[XattrList.MaxValue]))]);

    static int Row(EntryBatch rows, string path, EntryKind kind, byte[]? xattrs = null)
    {
        var row = File(rows, System.Text.Encoding.ASCII.GetBytes(path), 0);
        (rows.Kind[row], rows.Mode[row], rows.Xattrs[row]) = (kind, 0x1ED, xattrs);
        rows.LinkTarget[row] = kind == EntryKind.Symlink ? "t"u8.ToArray() : null;
        return row;
    }

    [Fact]
    public void Attributes_of_files_that_are_written_are_kept_no_longer()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "attributes are restored on Linux alone");
        using var folder = new TempFolder();
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = new EntryBatch();
        target.Add(rows, Row(rows, "", EntryKind.Directory));
        var kept = Enumerable.Range(0, 200).Select(i => // 400 MB: more than may be kept at once
        {
            rows.Clear();
            var xattrs = LargeXattrs(i);
            var handle = target.Add(rows, Row(rows, $"f{i:d4}", EntryKind.File, xattrs));
            if (i % 2 == 0)
                target.WriteWhole(handle, []);
            else
                target.Open(handle)!.Dispose();
            return new WeakReference(xattrs);
        }).ToList();
        rows.Clear();
        target.Add(rows, Row(rows, "z", EntryKind.Directory));
        rows.Xattrs[0] = null;
        GC.Collect();
        Assert.InRange(kept.Count(k => k.IsAlive), 0, 2);
    }

    [Theory]
    [InlineData(EntryKind.Directory)]
    [InlineData(EntryKind.Symlink)]
    public void Attributes_that_are_kept_to_the_end_are_kept_once_and_up_to_a_limit(EntryKind kind)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "attributes are restored on Linux alone");
        using var folder = new TempFolder();
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = new EntryBatch();
        target.Add(rows, Row(rows, "", EntryKind.Directory));
        var same = LargeXattrs(0);
        void Add(string path, byte[] xattrs)
        {
            rows.Clear();
            target.Add(rows, Row(rows, path, kind, xattrs));
        }
        for (var i = 0; i < 200; i++)
            Add($"a{i:d4}", [.. same]);
        var refused = Assert.Throws<HoldfastException>(() =>
        {
            for (var i = 1; i < 200; i++)
                Add($"b{i:d4}", LargeXattrs(i));
        });
        Assert.Equal(ErrorCode.TargetUnsafe, refused.Code);
        Assert.Contains("--include", refused.Guidance, StringComparison.Ordinal);
    }

    [Fact]
    public void Paths_are_kept_without_the_folders_above()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "a path this long takes Linux");
        using var folder = new TempFolder();
        using var target = FileTarget.Create(folder["t"], new FileTargetOptions());
        var rows = new EntryBatch();
        target.Add(rows, Row(rows, "", EntryKind.Directory));
        var path = "";
        for (var i = 0; i < 14; i++)
        {
            path += (i == 0 ? "" : "/") + new string('d', 250);
            target.Add(rows, Row(rows, path, EntryKind.Directory));
        }
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var last = -1;
        for (var i = 0; i < 100_000; i++) // 350 MB of paths
        {
            rows.Clear();
            last = target.Add(rows, Row(rows, $"{path}/f{i:d6}", EntryKind.File));
        }
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - before < 300 << 20, "350 MB of paths; other tests that run meanwhile take some of this");
        Assert.Equal($"{path}/f099999", System.Text.Encoding.ASCII.GetString(target.PathOf(last)));
        Assert.True(target.WriteWhole(last, []));
    }

    /// <summary>Counts the bytes of attributes and extents that wait for content.</summary>
    sealed class Counting : ITreeWriter
    {
        readonly System.Collections.Concurrent.ConcurrentDictionary<int, long> _waiting = new();

        public long Most { get; private set; }
        public IReadOnlyCollection<TargetProblem> Problems => [];
        public IReadOnlyCollection<AttributeRefusal> Refusals => [];

        public int Add(EntryBatch batch, int row, bool isOnWay = false)
        {
            if (batch.Kind[row] != EntryKind.File)
                return -1;
            var handle = int.Parse(System.Text.Encoding.ASCII.GetString(batch.Path(row)[1..]), System.Globalization.CultureInfo.InvariantCulture);
            _waiting[handle] = (batch.Xattrs[row]?.Length ?? 0) + 16L * (batch.Extents[row]?.Length ?? 0);
            Most = Math.Max(Most, _waiting.Values.Sum());
            return handle;
        }

        public ReadOnlySpan<byte> PathOf(int handle) => [];
        public bool WriteWhole(int handle, ReadOnlySpan<byte> content) => _waiting.TryRemove(handle, out _);
        public IContentWriter? Open(int handle) => null;
        public void Forget(int handle) => _waiting.TryRemove(handle, out _);
        public TreeWritten Finish() => new(0, 0, 0, 0, 0);
        public void SetOwnerNames(IReadOnlyDictionary<uint, byte[]> users, IReadOnlyDictionary<uint, byte[]> groups)
        {
        }

        public void Dispose()
        {
        }
    }

    [Fact]
    public void Files_do_not_wait_with_attributes_that_fill_memory()
    {
        using var test = new TestVault();
        var nodes = Enumerable.Range(1, 100).Select(i =>
        {
            var rows = new EntryBatch();
            Row(rows, $"f{i:d3}", EntryKind.File, LargeXattrs(0));
            var node = new ByteWriter();
            TreeNode.Write(rows, node);
            return (Bytes: node.ToArray(), First: rows.Path(0).ToArray());
        }).ToList();
        var snapshot = Plant(test, _ => { }, root =>
        {
            var top = new ByteWriter();
            HigherNode.Write(1, [new NodeChild(root, 1, []), .. nodes.Select(n => new NodeChild(new ChunkRef(new Hash32(SHA256.HashData(n.Bytes)), n.Bytes.Length), 1, n.First))], top);
            return top.ToArray();
        }, One, [.. nodes.Select(n => n.Bytes)], more: (uint)nodes.Count);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var target = new Counting();
        Assert.Equal(101, vault.Restore(vault.Find(snapshot.ToString()), keys, target, new PathFilter(null), new RestoreProgress(), 2, TestContext.Current.CancellationToken).Entries);
        Assert.InRange(target.Most, 1, 70 << 20);
    }

    /// <summary>A row of some kilobytes may have extents that take a mebibyte of memory.</summary>
    [Fact]
    public void Files_do_not_wait_with_extents_that_fill_memory()
    {
        using var test = new TestVault();
        var extents = Enumerable.Range(0, 65_536).Select(i => new Extent(2L * i, 1)).ToArray();
        var absent = new Hash32(SHA256.HashData("not there"u8)); // in no pack
        var nodes = Enumerable.Range(1, 100).Select(i =>
        {
            var rows = new EntryBatch();
            var row = File(rows, System.Text.Encoding.ASCII.GetBytes($"f{i:d3}"), 2 * 65_536);
            (rows.Extents[row], rows.Chunks[row]) = (extents, [new ChunkRef(absent, 65_536)]);
            var node = new ByteWriter();
            TreeNode.Write(rows, node);
            return (Bytes: node.ToArray(), First: rows.Path(0).ToArray());
        }).ToList();
        var snapshot = Plant(test, _ => { }, root =>
        {
            var top = new ByteWriter();
            HigherNode.Write(1, [new NodeChild(root, 1, []), .. nodes.Select(n => new NodeChild(new ChunkRef(new Hash32(SHA256.HashData(n.Bytes)), n.Bytes.Length), 1, n.First))], top);
            return top.ToArray();
        }, One, [.. nodes.Select(n => n.Bytes)], more: (uint)nodes.Count);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var target = new Counting();
        Assert.Equal(100, vault.Restore(vault.Find(snapshot.ToString()), keys, target, new PathFilter(null), new RestoreProgress(), 2, TestContext.Current.CancellationToken).Failed);
        Assert.InRange(target.Most, 1, 70 << 20);
    }

    [Fact]
    public void Folders_above_what_is_asked_for_do_not_wait_with_attributes_that_fill_memory()
    {
        var filter = new PathFilter(_ => false);
        var rows = new EntryBatch();
        WeakReference Add(string path, int number)
        {
            rows.Clear();
            var xattrs = LargeXattrs(number);
            Row(rows, path, EntryKind.Directory, xattrs);
            Assert.Empty(filter.Choose(rows));
            return new WeakReference(xattrs);
        }
        var path = "a";
        var waiting = new List<WeakReference> { Add(path, 0) };
        for (var i = 1; i < 30; i++)
            waiting.Add(Add(path += "/a", i));
        Add("b", 30); // those above are above no more
        rows.Clear();
        GC.Collect();
        Assert.InRange(waiting.Count(w => w.IsAlive), 0, 2);
        path = "c";
        var refused = Assert.Throws<HoldfastException>(() =>
        {
            for (var i = 0; i < 300; i++)
                Add(path += "/c", i);
        });
        Assert.Equal(ErrorCode.TargetUnsafe, refused.Code);
    }

    /// <summary>A hole costs its writer nothing, and may be larger than anybody waits for.</summary>
    [Fact]
    public void What_goes_on_within_one_file_can_be_stopped()
    {
        var rows = new EntryBatch();
        var hole = File(rows, "hole"u8, 1L << 50);
        rows.Extents[hole] = [];
        using var stop = new CancellationTokenSource();
        using var output = new Stopping(stop);
        Assert.Throws<OperationCanceledException>(() => FileContent.CopyTo(rows, hole, null!, output, stop.Token));
        using var another = new CancellationTokenSource();
        var large = File(rows, "large"u8, 10);
        rows.Chunks[large] = [.. Enumerable.Repeat(new ChunkRef(OneDigest, 1), 10)];
        Assert.Throws<OperationCanceledException>(() => ContentCheck.Matches((buffer, _) =>
        {
            another.Cancel();
            buffer[0] = One[0];
            return 1;
        }, rows, large, another.Token));
    }

    /// <summary>Somebody presses Ctrl-C after some mebibytes.</summary>
    sealed class Stopping(CancellationTokenSource stop) : MemoryStream
    {
        long _written;

        public override void Write(byte[] buffer, int offset, int count)
        {
            if ((_written += count) > 1 << 20)
                stop.Cancel();
            Assert.InRange(_written, 0, 10 << 20);
        }
    }
}
