using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Keeper;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>What a thief of a put key may store: packs whose chunks are not what their ids say, and snapshots that claim more than can be read in years.</summary>
public sealed class PoisonedPackTests
{
    static Hash32 Plant(TestVault test, byte[] bytes, Hash32 id) => Plant(test, (bytes, id));

    static Hash32 Plant(TestVault test, params (byte[] Bytes, Hash32 Id)[] chunks)
    {
        using var vault = test.Open();
        var put = test.Keys.Put;
        var name = Hash32.None;
        using var session = new PackSession(vault.Id, put, put.Domain.SourceId("hostile"u8), vault.Keeper.Store, (staged, pack) =>
        {
            vault.Keeper.Store.Enter(staged, StoreKind.Pack, pack.Name);
            name = pack.Name;
            staged.Dispose();
        }, TimeProvider.System);
        using var writer = new PackWriter(session, KeyClass.Content, 1);
        foreach (var (bytes, id) in chunks)
            writer.Add(bytes, id);
        writer.Finish();
        return name;
    }

    /// <summary>Backups take the planted chunk for theirs; whoever reads finds out whose fault it is, and the next run stores its own.</summary>
    /// <param name="flipped">The byte of the id that is another; none: the whole id is the right one.</param>
    [Theory]
    [InlineData(-1)]
    [InlineData(16)]
    [InlineData(31)]
    public void A_planted_chunk_is_told_by_an_attestation_and_stored_anew(int flipped)
    {
        using var test = new TestVault();
        var content = TestVault.Noise(77, 5_000);
        var id = test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(content))).ToArray();
        if (flipped >= 0)
            id[flipped] ^= 1;
        var planted = Plant(test, TestVault.Noise(5, 5_000), new Hash32(id));
        test.Write("f", content);
        test.BackUp();
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
        {
            var found = vault.Attest(vault.Find("latest"), keys, full: false, Id16.None, TestContext.Current.CancellationToken);
            Assert.Contains((AttestationDefect.ContentWrong, planted), found.Defects);
            Assert.Contains(planted, vault.LastReads().Damaged.Keys);
        }
        test.BackUp(useState: false);
        TestVault.AssertSame(test.Source, test.Restore());
    }

    static Hash32 IdOf(TestVault test, byte[] bytes) => test.Keys.Put.Domain.ChunkId(KeyClass.Content, new Hash32(SHA256.HashData(bytes)));

    /// <summary>A restore reads the packs of the snapshot, whatever others name its chunks.</summary>
    [Fact]
    public void A_restore_reads_no_planted_chunk_where_its_snapshot_has_a_sound_one()
    {
        using var test = new TestVault();
        var contents = Enumerable.Range(0, 8).Select(i => TestVault.Noise(i, 5_000)).ToList();
        for (var i = 0; i < contents.Count; i++)
            test.Write($"f{i}", contents[i]);
        test.BackUp();
        for (var pack = 0; pack < 10; pack++)
            Plant(test, [.. contents.Select((c, i) => (TestVault.Noise(100 + 8 * pack + i, 5_000), IdOf(test, c)))]);
        TestVault.AssertSame(test.Source, test.Restore());
        using var vault = test.Open();
        Assert.Empty(vault.LastReads().Damaged); // what was read and was wrong would be noted
    }

    /// <summary>Also where it is not known which packs a snapshot needs.</summary>
    [Fact]
    public void A_planted_pack_is_asked_last_once_it_was_wrong_some_times()
    {
        const int chunks = 12, packs = 10, length = 1_000_000;
        using var test = new TestVault();
        var contents = Enumerable.Range(1, chunks).Select(i => Enumerable.Repeat((byte)i, length).ToArray()).ToList();
        var planted = Enumerable.Range(0, packs).Select(pack => Plant(test, [.. contents.Select(c => (Enumerable.Repeat((byte)(100 + pack), length).ToArray(), IdOf(test, c)))])).ToList();
        var honest = Plant(test, [.. contents.Select(c => (c, IdOf(test, c)))]);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = Holdfast.Core.Index.ChunkIndex.Open(test["index"], vault.Id, domain);
        index.AddMissing(vault.Keeper.Store, planted, null, TestContext.Current.CancellationToken);
        index.AddMissing(vault.Keeper.Store, [honest], null, TestContext.Current.CancellationToken);
        using var reader = new ChunkReader(vault.Keeper.Store, index, keys, domain);
        foreach (var content in contents)
            Assert.True(reader.Read(KeyClass.Content, new ChunkRef(new Hash32(SHA256.HashData(content)), length)).SequenceEqual(content));
        Assert.Equal(packs, reader.Failed.Count); // the test is of what it says
        Assert.InRange(reader.BytesRead, chunks * length, (chunks + 4 * packs) * (long)length);
    }

    /// <summary>A pack of the snapshot's own set that is lost, whose data was stored anew elsewhere: reading does not begin with it, chunk by chunk.</summary>
    [Fact]
    public void A_pack_that_is_gone_is_asked_last_though_the_snapshot_names_it()
    {
        using var test = new TestVault();
        var content = TestVault.Noise(3, 5_000);
        var chunk = new ChunkRef(new Hash32(SHA256.HashData(content)), content.Length);
        var gone = Plant(test, [(content, IdOf(test, content))]);
        var there = Plant(test, [(content, IdOf(test, content))]);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var domain = keys.Domain(test.Keys.Put.Domain.Domain);
        using var index = Holdfast.Core.Index.ChunkIndex.Open(test["index"], vault.Id, domain);
        index.AddMissing(vault.Keeper.Store, [gone, there], null, TestContext.Current.CancellationToken);
        using var reader = new ChunkReader(vault.Keeper.Store, index, keys, domain) { Prefer = pack => pack == gone };
        Assert.True(reader.TryFind(KeyClass.Content, chunk, out var place));
        Assert.Equal(gone, index.Pack(place.Pack).Name);
        index.Drop([gone]);
        Assert.True(reader.TryFind(KeyClass.Content, chunk, out place));
        Assert.Equal(there, index.Pack(place.Pack).Name);
        Assert.True(reader.Read(KeyClass.Content, chunk).SequenceEqual(content));
        Assert.Equal([there], reader.PacksRead);
    }

    /// <summary>A row of 64 million chunks of 4 MiB, in a vault of 200 KB.</summary>
    [Fact]
    public void A_sample_of_a_file_without_end_ends()
    {
        const int items = 16_384;
        using var test = new TestVault();
        var zeros = new byte[4 << 20];
        var digest = new Hash32(SHA256.HashData(zeros));
        Plant(test, zeros, test.Keys.Put.Domain.ChunkId(KeyClass.Content, digest));
        var list = new ByteWriter();
        for (var i = 0; i < items; i++)
        {
            list.Var(4 << 20);
            list.Hash(digest);
        }
        var snapshot = HostileTreeTests.Plant(test, rows =>
        {
            var row = HostileTreeTests.File(rows, "f"u8, (long)items * 64 * (4 << 20));
            rows.ChunkLists[row] = [.. Enumerable.Repeat(new ChunkRef(new Hash32(SHA256.HashData(list.Span)), list.Length), 64)];
            rows.ListedChunks[row] = items * 64;
        }, null, [42], [list.ToArray()]);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var found = vault.Attest(vault.Find(snapshot.ToString()), keys, full: false, Id16.None, TestContext.Current.CancellationToken);
        Assert.True(found.BytesRead < 1UL << 32);
        // All of it would take years: it can be stopped.
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        Assert.ThrowsAny<OperationCanceledException>(() => vault.Attest(vault.Find(snapshot.ToString()), keys, full: true, Id16.None, stop.Token));
    }

    /// <summary>Rows that name 64 million chunks each, of which there are two: all their places together are looked up in no time.</summary>
    [Fact]
    public void Rows_that_name_the_same_lists_again_and_again_are_attested()
    {
        const int items = 100_000, lists = 600, files = 150;
        using var test = new TestVault();
        byte[][] contents = [new byte[4 << 20], Enumerable.Repeat((byte)1, 4 << 20).ToArray()];
        Plant(test, [.. contents.Select(c => (c, IdOf(test, c)))]);
        byte[] List(Hash32[] digests)
        {
            var list = new ByteWriter();
            for (var i = 0; i < items; i++)
            {
                list.Var(4 << 20);
                list.Hash(digests[i % digests.Length]);
            }
            return list.ToArray();
        }
        var list = List([.. contents.Select(c => new Hash32(SHA256.HashData(c)))]);
        Id16 PlantRows(int more) => HostileTreeTests.Plant(test, rows =>
        {
            for (var i = 0; i < files; i++)
            {
                var row = HostileTreeTests.File(rows, System.Text.Encoding.ASCII.GetBytes($"{i:d4}"), (long)items * lists * (4 << 20));
                rows.ChunkLists[row] = [.. Enumerable.Repeat(new ChunkRef(new Hash32(SHA256.HashData(list)), list.Length), lists + (i == files - 1 ? more : 0))];
                rows.ListedChunks[row] = items * lists;
            }
        }, null, [42], [list]);
        foreach (var (more, isSound) in new[] { (0, true), (1, false), (-1, false) })
        {
            var snapshot = PlantRows(more);
            using var vault = test.Open();
            using var keys = vault.Unlock(test.Seed);
            var found = vault.Attest(vault.Find(snapshot.ToString()), keys, full: false, Id16.None, TestContext.Current.CancellationToken);
            Assert.Equal((more, isSound), (more, found.RootMatches));
            if (isSound)
                Assert.Equal((ulong)files * items * lists, found.Chunks);
        }
    }

    [Fact]
    public void A_pack_without_end_is_damaged_and_not_read()
    {
        using var test = new TestVault();
        test.WriteSome();
        var result = test.BackUp();
        var pack = Directory.EnumerateFiles(Path.Combine(test.Folder, "packs"), "*", SearchOption.AllDirectories).First();
        using (var handle = File.OpenHandle(pack, FileMode.Open, FileAccess.Write))
            RandomAccess.SetLength(handle, 2L << 40); // holes: hashing them would take an hour
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        Assert.Contains(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, TestContext.Current.CancellationToken).Defects, d => d.Kind == AttestationDefect.PackDamaged);
    }

    /// <summary>Whoever may write to the state folder keeps no backup from its end.</summary>
    [Theory]
    [InlineData("rm $f && mkfifo $f")]
    [InlineData("rm $f && ln -s /dev/zero $f")]
    [InlineData("rm $f && truncate -s 2T $f")]
    [InlineData("truncate -s 2T $f")]
    public void A_state_without_end_is_none(string damage)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "pipes and devices of Linux");
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        var state = Directory.EnumerateFiles(test.State, "*.state", SearchOption.AllDirectories).Single();
        using var shell = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("sh", ["-ec", damage]) { Environment = { ["f"] = state } })!;
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
        Assert.False(test.BackUp().IsCompared);
        TestVault.AssertSame(test.Source, test.Restore());
    }
}
