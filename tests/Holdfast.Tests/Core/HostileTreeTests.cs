using System.Security.Cryptography;
using Holdfast.Core;
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
    static readonly Hash32 OneDigest = new(SHA256.HashData(One));

    static Id16 Plant(TestVault test, Action<EntryBatch> fill, params byte[][] treeChunks)
    {
        var rows = new EntryBatch();
        var root = rows.Add([]);
        rows.Kind[root] = EntryKind.Directory;
        rows.Mode[root] = 0x1ED;
        fill(rows);
        var node = new ByteWriter();
        TreeNode.Write(rows, node);

        using var vault = test.Open();
        var put = test.Keys.Put;
        var source = put.Domain.SourceId("hostile"u8);
        using var session = new PackSession(vault.Id, put, source, vault.Keeper.Store, (staged, name) =>
        {
            vault.Keeper.Store.Enter(staged, StoreKind.Pack, name);
            staged.Dispose();
        }, TimeProvider.System);
        using (var tree = new PackWriter(session, KeyClass.Tree, 1))
        using (var content = new PackWriter(session, KeyClass.Content, 1))
        {
            foreach (var chunk in treeChunks.Append(node.ToArray()))
                tree.Add(chunk, put.Domain.ChunkId(KeyClass.Tree, new Hash32(SHA256.HashData(chunk))));
            content.Add(One, put.Domain.ChunkId(KeyClass.Content, OneDigest));
            tree.Finish();
            content.Finish();
        }
        var (snapshot, salt) = (Id16.New(), VaultKeeper.Salt());
        var rootNode = new ChunkRef(new Hash32(SHA256.HashData(node.Span)), node.Length);
        var section = new TreeSection
        {
            RootSalt = salt,
            Root = rootNode,
            RootLevel = 0,
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
            Entries = (ulong)rows.Count,
            Files = (ulong)rows.Count - 1,
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

    static int File(EntryBatch rows, ReadOnlySpan<byte> path, long size)
    {
        var row = rows.Add(path);
        rows.Kind[row] = EntryKind.File;
        rows.Mode[row] = 0x1A4;
        rows.Size[row] = size;
        return row;
    }

    /// <summary>A list chunk that names one chunk of one byte so many times.</summary>
    static byte[] List(int items)
    {
        var list = new ByteWriter(items * 33);
        for (var i = 0; i < items; i++)
        {
            list.Var(1);
            list.Hash(OneDigest);
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
            var before = GC.GetTotalAllocatedBytes();
            foreach (var rows in vault.Rows(vault.Find(snapshot.ToString()), keys, TestContext.Current.CancellationToken))
                Assert.Equal(2, rows.Count); // listing needs no list
            Assert.True(GC.GetTotalAllocatedBytes() - before < 64 << 20);
        }
        var measured = GC.GetTotalAllocatedBytes();
        var refused = Assert.Throws<HoldfastException>(() => Restore(test, snapshot, test["r"]));
        Assert.Equal(ErrorCode.ObjectDamaged, refused.Code);
        Assert.True(GC.GetTotalAllocatedBytes() - measured < 256 << 20);
    }

    [Fact]
    public void A_file_of_more_chunks_than_are_planned_at_once_comes_back_whole()
    {
        using var test = new TestVault();
        var list = List(100_000);
        var snapshot = Plant(test, rows => Listed(rows, File(rows, "f"u8, 600_000), declared: 600_000, lists: 6, list), list);
        var (result, problems) = Restore(test, snapshot, test["r"]);
        Assert.Empty(result.Failed);
        Assert.Empty(problems);
        Assert.Equal(Enumerable.Repeat((byte)42, 600_000), System.IO.File.ReadAllBytes(Path.Combine(test["r"], "f")));
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
        Assert.Single(result.Failed);
        Assert.Equal("b"u8.ToArray(), Assert.Single(problems).Path);
        Assert.Equal("mine", System.IO.File.ReadAllText(Path.Combine(test["r"], "a")));
        Assert.False(System.IO.File.Exists(Path.Combine(test["r"], "b")));
    }
}
