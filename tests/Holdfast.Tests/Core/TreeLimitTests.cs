using System.Text;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files.Linux;

namespace Holdfast.Tests.Core;

/// <summary>Whatever a source gives: what is stored is what a reader takes.</summary>
public sealed class TreeLimitTests
{
    static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>A source of rows that no file system need have.</summary>
    sealed class Rows(Action<Action<string, EntryKind, byte[]?>> fill) : ISource
    {
        readonly List<SourceProblem> _problems = [];

        public IReadOnlyDictionary<uint, byte[]> UserNames { get; } = new Dictionary<uint, byte[]>();
        public IReadOnlyDictionary<uint, byte[]> GroupNames { get; } = new Dictionary<uint, byte[]>();
        public bool HasReliableInodes => false;
        public IReadOnlyCollection<SourceProblem> Problems => _problems;
        public void Report(SourceProblem problem) => _problems.Add(problem);
        public IContent? Open(EntryBatch batch, int row) => null;

        public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct)
        {
            var batches = new List<EntryBatch> { pool.Rent() };
            fill((path, kind, xattrs) =>
            {
                if (batches[^1].IsFull)
                    batches.Add(pool.Rent());
                var row = batches[^1].Add(Encoding.ASCII.GetBytes(path));
                (batches[^1].Kind[row], batches[^1].Mode[row], batches[^1].Xattrs[row]) = (kind, 0x1ED, xattrs);
                if (path.EndsWith('!'))
                    batches[^1].MtimeNanoseconds[row] = 2_000_000_000; // no reader takes that
            });
            return batches;
        }

        public void MeetXattrs(byte[]? xattrs)
        {
        }

        public void ReadXattrs(EntryBatch batch, int row)
        {
            // They came with the rows.
        }

        public void Dispose()
        {
        }
    }

    static (BackupResult Result, IReadOnlyCollection<SourceProblem> Problems) BackUp(TestVault test, Action<Action<string, EntryKind, byte[]?>> fill)
    {
        using var vault = test.Open();
        using var source = new Rows(fill);
        var result = vault.BackUp(source, new BackupRequest("source"u8.ToArray(), [], [], test.State) { Options = new ArchiveOptions { Threads = 1 } }, test.Keys.Put, test.Keys.Agent, new BackupProgress(), Ct);
        return (result, source.Problems);
    }

    static List<string> Paths(TestVault test)
    {
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        Assert.True(vault.Attest(vault.Find("latest"), keys, full: true, Id16.None, Ct).IsGood);
        return [.. vault.Rows(vault.Find("latest"), keys, Ct).SelectMany(rows => Enumerable.Range(0, rows.Count).Select(row => Encoding.ASCII.GetString(rows.Path(row))))];
    }

    [Fact]
    public void What_no_reader_takes_is_left_out_and_told()
    {
        byte[] unsound = [2, 1, (byte)'b', 0, 1, (byte)'a', 0];
        using var test = new TestVault();
        for (var run = 0; run < 2; run++) // from the state too
        {
            var (result, problems) = BackUp(test, add =>
            {
                add("", EntryKind.Directory, unsound);
                add("a", EntryKind.File, unsound);
                add("b", EntryKind.Directory, null);
                add("b/c", EntryKind.File, null);
                add("b/c", EntryKind.File, null);
                add("b/.", EntryKind.File, null);
                add("d", (EntryKind)9, null);
                add("e/..", EntryKind.Directory, null);
                add("e/../f", EntryKind.File, null);
                add("g", EntryKind.File, null);
                foreach (var below in new[] { "", "/b", "/b/x", "/c", "/d", "/d/y", "/e!" })
                    add($"h!{below}", below is "" or "/b" or "/d" ? EntryKind.Directory : EntryKind.File, null);
                add("i", EntryKind.File, null);
            });
            Assert.Equal(["", "a", "b", "b/c", "g", "i"], Paths(test)); // of a folder that is left out nothing stays
            Assert.Equal((6UL, 4UL), (result.Archive.Entries, result.Archive.Files));
            Assert.Equal(["", "a", "b/.", "b/c", "d", "e/..", "e/../f", "h!", "h!/b", "h!/b/x", "h!/c", "h!/d", "h!/d/y", "h!/e!"], problems.Select(p => Encoding.ASCII.GetString(p.Path)).Order(StringComparer.Ordinal));
            Assert.Equal(14UL, result.Archive.Problems);
            using (var vault = test.Open())
            using (var keys = vault.Unlock(test.Seed))
            {
                var kept = vault.ProblemsOf(vault.Find("latest"), keys);
                Assert.Equal(problems.Select(p => (p.Kind, Encoding.ASCII.GetString(p.Path))).Order(), kept.Select(p => (p.Kind, Encoding.ASCII.GetString(p.Path))).Order());
            }
            Assert.All(problems, p => Assert.Equal(ProblemKind.TooMuch, p.Kind));
        }
    }

    /// <summary>What a snapshot has room for is named, and the number says how many there are.</summary>
    [Fact]
    public void The_names_of_what_was_left_out_are_kept_as_far_as_there_is_room()
    {
        using var test = new TestVault();
        var (result, problems) = BackUp(test, add =>
        {
            add("", EntryKind.Directory, null);
            for (var i = 0; i < 4_000; i++)
                add($"{i:d4}-{new string('n', 40)}", (EntryKind)9, null);
        });
        Assert.Equal((4_000UL, 4_000), (result.Archive.Problems, problems.Count));
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var kept = vault.ProblemsOf(vault.Find("latest"), keys);
        Assert.InRange(kept.Count, 1_000, 2_000);
        Assert.Equal($"0000-{new string('n', 40)}", Encoding.ASCII.GetString(kept[0].Path));
        using var scoped = vault.CutKey(keys, KeyClass.Content, null, 0);
        Assert.Empty(vault.ProblemsOf(vault.Find("latest"), scoped));
    }

    /// <summary>Where one node ends and the next begins, neither of the two is wrong by itself.</summary>
    [Fact]
    public void A_name_that_comes_again_in_the_next_node_is_left_out()
    {
        using var test = new TestVault();
        var (_, problems) = BackUp(test, add =>
        {
            add("", EntryKind.Directory, null);
            for (var i = 0; i < 3_000; i++)
            {
                add($"{i:d4}", EntryKind.File, null);
                add($"{i:d4}", EntryKind.File, null);
            }
        });
        Assert.Equal(3_000, problems.Count);
        Assert.Equal(Enumerable.Range(0, 3_000).Select(i => $"{i:d4}").Prepend(""), Paths(test));
    }

    [Fact]
    public void A_node_above_nodes_with_the_longest_paths_is_no_larger_than_a_chunk_may_be()
    {
        using var test = new TestVault();
        var rest = string.Concat(Enumerable.Repeat("/" + new string('d', 1_023), 63));
        BackUp(test, add =>
        {
            add("", EntryKind.Directory, null);
            for (var i = 0; i < 1_200; i++) // 16 a node: 75 first paths of 64 KiB that share nothing but digits
                add($"{i:d4}{rest}", EntryKind.File, null);
        });
        Assert.Equal(1_201, Paths(test).Count);
    }

    [Theory]
    [InlineData(0, "name of the source")]
    [InlineData(1, "name of this machine")]
    [InlineData(2, "path of the folder")]
    public void A_name_that_no_reader_takes_is_refused_before_anything_is_stored(int which, string told)
    {
        using var test = new TestVault();
        using var vault = test.Open();
        BackUpNamed(TreeSection.MaxName);
        using var keys = vault.Unlock(test.Seed);
        var kept = vault.Describe(vault.Find("latest"), keys);
        Assert.Equal(TreeSection.MaxName, new[] { kept.SourceName, kept.HostName, kept.RootPath }[which].Length);
        var refused = Assert.Throws<HoldfastException>(() => BackUpNamed(TreeSection.MaxName + 1));
        Assert.Equal(ErrorCode.Usage, refused.Code);
        Assert.Contains(told, refused.Message, StringComparison.Ordinal);
        Assert.Single(vault.State.Snapshots);

        void BackUpNamed(int length)
        {
            byte[] Name(int at) => at == which ? Encoding.ASCII.GetBytes(new string('n', length)) : "n"u8.ToArray();
            using var source = new Rows(add => add("", EntryKind.Directory, null));
            vault.BackUp(source, new BackupRequest(Name(0), Name(1), Name(2), test.State) { Options = new ArchiveOptions { Threads = 1 } }, test.Keys.Put, test.Keys.Agent, new BackupProgress(), Ct);
        }
    }

    [Theory]
    [InlineData(65_535)]
    [InlineData(65_536)]
    public void A_description_that_no_reader_takes_is_not_sealed(int length)
    {
        var section = new TreeSection
        {
            RootSalt = Hash32.None,
            Root = new ChunkRef(Hash32.None, 1),
            RootLevel = 0,
            SourceName = [],
            HostName = [],
            RootPath = [],
            ProgramVersion = [],
            Users = new Dictionary<uint, byte[]> { [1_000] = new byte[length] },
            Groups = new Dictionary<uint, byte[]>(),
            OldestReread = 0,
            Problems = 0,
        };
        if (length <= TreeSection.MaxName)
            Assert.True(TreeSection.TryParse(section.ToWriter().Span, out _));
        else
            Assert.Throws<InvalidOperationException>(section.ToWriter);
    }

    [Fact]
    public void A_chunk_that_no_reader_takes_goes_into_no_pack()
    {
        using var test = new TestVault();
        using var vault = test.Open();
        using var session = new PackSession(vault.Id, test.Keys.Put, Id16.New(), vault.Keeper.Store, (staged, _) => staged.Dispose(), TimeProvider.System);
        using var writer = new PackWriter(session, KeyClass.Content, 1);
        writer.Add(new byte[PackFormat.MaxChunk], Hash32.None);
        Assert.Throws<ArgumentException>(() => writer.Add(new byte[PackFormat.MaxChunk + 1], Hash32.None));
    }

    [Fact]
    public void A_name_that_is_listed_twice_is_kept_once()
    {
        var names = new NameList();
        names.Clear();
        foreach (var name in new[] { "b", "a", "c", "a", "b", "b" })
            names.Add(Encoding.ASCII.GetBytes(name));
        names.Sort();
        Assert.Equal(["a", "b", "c"], Enumerable.Range(0, names.Count).Select(i => Encoding.ASCII.GetString(names[i])));

        Assert.Equal([2, 1, (byte)'a', 0, 1, (byte)'b', 0], XattrList.Encode([("b"u8.ToArray(), []), ("a"u8.ToArray(), []), ("b"u8.ToArray(), [])]));
    }

    /// <summary>Between the question where data begins and the one where it ends, somebody punches a hole there.</summary>
    [Fact]
    public void Data_that_is_gone_before_its_end_is_found_is_no_extent()
    {
        var punched = 0;
        long Seek(long at, int whence) => whence == Native.SeekData ? at <= 100 ? 100 : at <= 500 ? 500 : 900
            : at switch { 100 when punched++ == 0 => 100, 100 => 200, 500 => 600, _ => 1_000 };
        Assert.Equal([new Extent(100, 100), new Extent(500, 100), new Extent(900, 100)], LinuxContent.Extents(1_000, Seek)!);
        Assert.Null(LinuxContent.Extents(1_000, (at, _) => Math.Max(at, 100))); // all of it is read then
    }
}
