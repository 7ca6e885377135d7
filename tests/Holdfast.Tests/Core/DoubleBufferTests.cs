using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

public sealed class DoubleBufferTests
{
    const int Size = 1 << 20; // bytes of a buffer

    /// <summary>What was handed over is not touched before it is written: its owner waits for that.</summary>
    [Fact]
    public void The_next_buffer_comes_when_the_one_before_is_written()
    {
        using var first = new AlignedBuffer(Size);
        using var pair = new DoubleBuffer(Size);
        using var gate = new ManualResetEventSlim();
        var writes = new List<int>();
        var second = pair.Hand(first, () =>
        {
            gate.Wait(TestContext.Current.CancellationToken);
            writes.Add(1);
        });
        Assert.NotSame(first, second);
        AlignedBuffer? third = null;
        var owner = new Thread(() => third = pair.Hand(second, () => writes.Add(2)));
        owner.Start();
        Assert.False(owner.Join(50)); // the first is not written
        Assert.Empty(writes);
        gate.Set();
        owner.Join();
        Assert.Same(first, third);
        pair.Finish();
        Assert.Equal([1, 2], writes);
    }

    [Fact]
    public void A_fault_is_thrown_to_the_owner_at_the_next_call_and_at_each_after_it()
    {
        using var first = new AlignedBuffer(Size);
        using var pair = new DoubleBuffer(Size);
        var second = pair.Hand(first, () => throw DiskFault.OfErrno(28));
        var isWritten = false;
        Assert.Equal(ErrorCode.DiskFull, Assert.Throws<HoldfastException>(pair.Finish).Code);
        for (var call = 0; call < 2; call++)
            Assert.Equal(ErrorCode.DiskFull, Assert.Throws<HoldfastException>(() => pair.Hand(second, () => isWritten = true)).Code);
        Assert.False(isWritten);
    }

    [Fact]
    public void Nothing_is_on_its_way_any_more_when_it_is_disposed_of()
    {
        using var first = new AlignedBuffer(Size);
        using var started = new ManualResetEventSlim();
        var isWritten = false;
        var pair = new DoubleBuffer(Size);
        pair.Hand(first, () =>
        {
            started.Set();
            Thread.Sleep(50);
            isWritten = true;
            throw DiskFault.OfErrno(5);
        });
        started.Wait(TestContext.Current.CancellationToken);
        pair.Dispose();
        Assert.True(isWritten);
        new DoubleBuffer(Size).Dispose(); // one that never had anything
    }

    /// <summary>Every byte is where it belongs, whatever the pieces were and wherever buffers and blocks end.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4_096)]
    [InlineData(Size - 1)]
    [InlineData(Size)]
    [InlineData(Size + 1)]
    [InlineData(2 * Size)]
    [InlineData(5 * Size + 4_097)]
    public void A_direct_file_has_what_was_appended(int length)
    {
        using var folder = new TempFolder();
        var bytes = TestVault.Noise(length, length);
        foreach (var piece in (int[])[4_095, Size / 2, Size, 3 * Size + 5])
        {
            var path = folder[$"{piece}"];
            using (var file = DirectDiskFile.TryCreate(path))
            {
                Assert.SkipWhen(file is null, "this file system has no direct writing");
                for (var at = 0; at < length; at += piece)
                {
                    Assert.Equal(at, file.Length);
                    file.Append(bytes.AsSpan(at, Math.Min(piece, length - at)));
                }
                file.Sync();
                Assert.Equal(length, file.Length);
                // All of it, and not only when the file is closed: what was acknowledged as synced would else be on its way.
                using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
                var synced = new byte[RandomAccess.GetLength(handle)];
                Assert.Equal(length, RandomAccess.Read(handle, synced, 0));
                Assert.True(synced.AsSpan().SequenceEqual(bytes));
            }
            Assert.True(File.ReadAllBytes(path).AsSpan().SequenceEqual(bytes));
        }
    }

    /// <summary>A pack that is given up with bytes on their way leaves no thread that writes to what is closed.</summary>
    [Fact]
    public void A_direct_file_may_be_given_up_at_any_time()
    {
        using var folder = new TempFolder();
        var bytes = TestVault.Noise(1, Size);
        for (var i = 0; i < 50; i++)
        {
            using var file = DirectDiskFile.TryCreate(folder[$"{i}"]);
            Assert.SkipWhen(file is null, "this file system has no direct writing");
            for (var k = 0; k < i % 4; k++)
                file.Append(bytes);
        }
    }
}
