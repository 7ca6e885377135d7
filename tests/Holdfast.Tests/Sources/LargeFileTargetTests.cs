using System.Text;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;
using Holdfast.Sources.Files.Linux;

namespace Holdfast.Tests.Sources;

/// <summary>Large files that several threads fill, in pieces that begin and end anywhere.</summary>
public class LargeFileTargetTests
{
    const int Size = (40 << 20) + 1_234; // bytes

    static byte[] Content()
    {
        var content = new byte[Size];
        new Random(5).NextBytes(content);
        content.AsSpan(3 << 20, 5 << 20).Clear(); // whole blocks of zeros
        content.AsSpan((20 << 20) + 77, 300_001).Clear(); // and some that begin and end within a block
        content.AsSpan(Size - 9_000).Clear();
        return content;
    }

    static List<(int Start, int Length)> Pieces(Random random)
    {
        var pieces = new List<(int, int)>();
        for (var at = 0; at < Size;)
        {
            var length = Math.Min(Size - at, random.Next(4) switch { 0 => random.Next(1, 100), 1 => random.Next(1, 9_000), 2 => 4_096 * random.Next(1, 50), _ => random.Next(1, 3 << 20) });
            pieces.Add((at, length));
            at += length;
        }
        return pieces;
    }

    /// <summary>Fills the file's own memory for some pieces, and hands others over; now and then what was filled is wrong, and is not kept.</summary>
    static void Put(IContentWriter writer, ReadOnlySpan<byte> piece, int start)
    {
        for (var isWrong = start % 5 == 0; start % 2 == 0; isWrong = false)
        {
            using var room = writer.Room(piece.Length, start);
            if (room is null)
                break;
            Assert.Equal(piece.Length, room.Span.Length);
            if (isWrong)
            {
                room.Span.Fill(0xAA);
                continue;
            }
            piece.CopyTo(room.Span);
            room.Keep();
            return;
        }
        writer.Write(piece, start);
    }

    static IContentWriter Open(ITreeWriter target, string name, int row, EntryBatch rows)
    {
        rows.Add(Encoding.UTF8.GetBytes(name));
        rows.Kind[row] = row == 0 ? EntryKind.Directory : EntryKind.File;
        rows.Mode[row] = 0x1C0;
        rows.LinkCount[row] = 1;
        rows.Size[row] = Size;
        return row == 0 ? null! : target.Open(target.Add(rows, row))!;
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, true)]
    [InlineData(3, true)]
    public void Pieces_from_several_threads_give_the_file(int seed, bool shuffled)
    {
        using var folder = new TempFolder();
        var content = Content();
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions()))
        {
            var rows = new EntryBatch();
            _ = Open(target, "", 0, rows);
            target.Add(rows, 0);
            IContentWriter[] writers = [Open(target, "a", 1, rows), Open(target, "b", 2, rows)];
            var random = new Random(seed);
            var pieces = Pieces(random).SelectMany(p => new[] { (Writer: 0, p.Start, p.Length), (Writer: 1, p.Start, p.Length) }).ToArray();
            if (shuffled)
                random.Shuffle(pieces);
            else
                pieces = [.. pieces.OrderBy(p => p.Writer)];
            Parallel.ForEach(pieces.Chunk(7), new ParallelOptions { MaxDegreeOfParallelism = 4 }, some =>
            {
                foreach (var (writer, start, length) in some)
                    Put(writers[writer], content.AsSpan(start, length), start);
            });
            foreach (var writer in writers)
                Assert.True(writer.Complete());
            target.Finish();
        }
        Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(folder["t/a"])), "the first file differs");
        Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(folder["t/b"])), "the second file differs");
    }

    /// <summary>A thread that goes on with another file, or elsewhere in this one, has bytes of this one in its hands that the file does not keep any more and that are not
    /// handed over yet: closed now, the file would lack them, and they would be written to whatever is opened next.</summary>
    [Theory]
    [InlineData("leaves", true)]
    [InlineData("leaves", false)]
    [InlineData("jumps", true)]
    [InlineData("jumps", false)]
    [InlineData("fills", true)]
    [InlineData("fills", false)]
    public void A_file_waits_for_bytes_that_another_thread_is_handing_over(string how, bool completes)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "large files are written behind on Linux alone");
        using var folder = new TempFolder();
        using var handle = File.OpenHandle(folder["f"], FileMode.CreateNew, FileAccess.ReadWrite);
        var content = Enumerable.Repeat((byte)7, how == "fills" ? WriteBehind.BufferSize : 100_000).ToArray();
        RandomAccess.SetLength(handle, content.Length);
        using ManualResetEventSlim isHeld = new(), goOn = new();
        var behind = new WriteBehind
        {
            Handing = _ =>
            {
                isHeld.Set();
                goOn.Wait();
            },
        };
        var file = new DirectFile(behind, (int)handle.DangerousGetHandle(), (int)handle.DangerousGetHandle());
        var other = new Thread(() =>
        {
            file.Write(content, 0);
            if (how == "leaves")
                file.Leave();
            else if (how == "jumps")
                file.Room(1, 2 * content.Length);
        });
        other.Start();
        isHeld.Wait(TestContext.Current.CancellationToken);
        byte[] found = [];
        var closing = new Thread(() =>
        {
            if (completes)
                file.Complete();
            else
                file.Forget();
            found = File.ReadAllBytes(folder["f"]);
            RandomAccess.SetLength(handle, 0); // as if another file had its number
        });
        closing.Start();
        SpinWait.SpinUntil(() => !closing.IsAlive || closing.ThreadState.HasFlag(ThreadState.WaitSleepJoin));
        goOn.Set();
        closing.Join();
        other.Join();
        behind.Dispose();
        Assert.Equal(content, found);
        Assert.Equal(0, RandomAccess.GetLength(handle));
    }

    [Fact]
    public void A_file_taken_back_while_others_write_to_it_leaves_nothing_and_harms_no_other()
    {
        using var folder = new TempFolder();
        var content = Content();
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions()))
        {
            var rows = new EntryBatch();
            _ = Open(target, "", 0, rows);
            target.Add(rows, 0);
            for (var round = 1; round <= 20; round++)
            {
                var bad = Open(target, $"{round:00}bad", 2 * round - 1, rows);
                IContentWriter? good = null;
                var pieces = Pieces(new Random(round));
                Parallel.Invoke(
                    () => pieces.ForEach(p => Put(bad, Enumerable.Repeat((byte)0xEE, Math.Min(p.Length, 50_000)).ToArray(), p.Start)),
                    () =>
                    {
                        bad.Dispose();
                        good = Open(target, $"{round:00}good", 2 * round, rows); // may well get the number of the file that was closed
                        pieces.ForEach(p => Put(good, content.AsSpan(p.Start, p.Length), p.Start));
                    });
                Assert.False(bad.Complete());
                Assert.True(good!.Complete());
                Assert.False(File.Exists(folder[$"t/{round:00}bad"]));
                Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(folder[$"t/{round:00}good"])), "the sound file differs");
                File.Delete(folder[$"t/{round:00}good"]);
            }
            target.Finish();
        }
    }
}
