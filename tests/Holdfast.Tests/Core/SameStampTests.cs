using Holdfast.Core.Backup;
using Holdfast.Core.Snapshots;

namespace Holdfast.Tests.Core;

/// <summary>Changes that no stamp shows, and files that grow while they are read.</summary>
public sealed class SameStampTests
{
    /// <summary>A source of one file, of which it says what it was told.</summary>
    sealed class OneFile : ISource
    {
        readonly List<SourceProblem> _problems = [];

        public byte[] Bytes { get; init; } = [];
        public long Size { get; set; }
        public DateTimeOffset Changed { get; init; }
        public bool HasReliableInodes { get; init; } = true;
        public Extent[]? Extents { get; init; }

        /// <summary>Bytes that the file grows by at each look.</summary>
        public long Grows { get; init; }
        public int Opened { get; private set; }
        public IReadOnlyDictionary<uint, byte[]> UserNames { get; } = new Dictionary<uint, byte[]>();
        public IReadOnlyDictionary<uint, byte[]> GroupNames { get; } = new Dictionary<uint, byte[]>();
        public IReadOnlyCollection<SourceProblem> Problems => _problems;
        public void Report(SourceProblem problem) => _problems.Add(problem);

        public IEnumerable<EntryBatch> Walk(EntryBatchPool pool, CancellationToken ct)
        {
            var batch = pool.Rent();
            batch.Kind[batch.Add([])] = EntryKind.Directory;
            var row = batch.Add("file"u8);
            (batch.Kind[row], batch.Inode[row], batch.LinkCount[row], batch.MayBeSparse[row]) = (EntryKind.File, 7, 1, Extents is not null);
            Fill(batch, row);
            yield return batch;
        }

        void Fill(EntryBatch batch, int row)
        {
            batch.Size[row] = Size;
            batch.CtimeSeconds[row] = batch.MtimeSeconds[row] = Changed.ToUnixTimeSeconds();
            batch.CtimeNanoseconds[row] = batch.MtimeNanoseconds[row] = (uint)(Changed.UtcTicks % TimeSpan.TicksPerSecond * 100);
        }

        public void MeetXattrs(byte[]? xattrs)
        {
        }

        public void ReadXattrs(EntryBatch batch, int row)
        {
            // It has none.
        }

        public IContent? Open(EntryBatch batch, int row)
        {
            Opened++;
            return new Content(this);
        }

        public void Dispose()
        {
            // It holds nothing.
        }

        sealed class Content(OneFile file) : IContent
        {
            public int Read(Span<byte> destination, long offset)
            {
                var count = (int)Math.Clamp(file.Size - offset, 0, destination.Length);
                destination[..count].Clear();
                if (offset < file.Bytes.Length)
                    file.Bytes.AsSpan((int)offset, Math.Min(count, file.Bytes.Length - (int)offset)).CopyTo(destination);
                return count;
            }

            public Extent[]? DataExtents() => file.Extents;
            public bool HasChanged() => file.Grows > 0;

            public void Refresh(EntryBatch batch, int row)
            {
                file.Size += file.Grows;
                file.Fill(batch, row);
            }

            public void Dispose()
            {
                // It holds nothing.
            }
        }
    }

    static void BackUp(TestVault test, OneFile source)
    {
        using var vault = test.Open();
        vault.BackUp(source, new BackupRequest("source"u8.ToArray(), [], [], test.State) { Options = new ArchiveOptions { Threads = 1 } }, test.Keys.Put, test.Keys.Agent, new BackupProgress(), TestContext.Current.CancellationToken);
    }

    static byte[] Restored(TestVault test) => File.ReadAllBytes(Path.Combine(test.Restore(), "file"));

    /// <summary>An application writes, the backup reads, the application writes again: within one step of the clock that stamps files, no stamp tells of it.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_file_that_changed_while_the_last_run_was_under_way_is_read_again(bool hasReliableInodes)
    {
        using var test = new TestVault();
        OneFile With(OneFile like, string text) => new() { Bytes = System.Text.Encoding.ASCII.GetBytes(text), Size = text.Length, Changed = like.Changed, HasReliableInodes = hasReliableInodes };

        foreach (var step in new[] { TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(1) })
        {
            var changed = DateTimeOffset.UtcNow.AddSeconds(5); // after the run began, however slow this machine is
            var first = new OneFile { Bytes = "one"u8.ToArray(), Size = 3, Changed = new(changed.UtcTicks - changed.UtcTicks % step.Ticks, TimeSpan.Zero), HasReliableInodes = hasReliableInodes };
            BackUp(test, first);
            Assert.Equal(1, first.Opened);
            var second = With(first, "two");
            BackUp(test, second);
            Assert.Equal((1, "two"), (second.Opened, System.Text.Encoding.ASCII.GetString(Restored(test))));
        }
    }

    [Fact]
    public void A_file_that_changed_before_the_last_run_is_not_read_again()
    {
        using var test = new TestVault();
        foreach (var changed in new[] { DateTimeOffset.UtcNow.AddSeconds(-10), DateTimeOffset.UtcNow.AddYears(1) }) // and one whose clock was wrong
        {
            var opened = 0;
            for (var run = 0; run < 3; run++)
            {
                var source = new OneFile { Bytes = "one"u8.ToArray(), Size = 3, Changed = changed };
                BackUp(test, source);
                opened += source.Opened;
            }
            Assert.InRange(opened, 1, 2); // each file is read again once in thirty runs, and this may be its turn
        }
    }

    /// <summary>What a file with holes has grown by since its last reading began was not read: it is no hole.</summary>
    [Fact]
    public void A_file_with_holes_that_grows_at_each_look_ends_where_its_last_reading_did()
    {
        using var test = new TestVault();
        const long size = 1 << 20;
        var source = new OneFile { Bytes = TestVault.Noise(1, 4_096), Size = size, Changed = DateTimeOffset.UtcNow.AddDays(-1), Extents = [new Extent(0, 4_096)], Grows = 4_096 };
        BackUp(test, source);
        Assert.Equal(ProblemKind.Changed, Assert.Single(source.Problems).Kind);
        var restored = Restored(test);
        Assert.Equal(source.Size - 4_096, restored.Length);
        Assert.True(restored.AsSpan(0, 4_096).SequenceEqual(source.Bytes));
    }
}
