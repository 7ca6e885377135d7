using System.Text;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Streams;

namespace Holdfast.Tests.Sources;

public sealed class StreamTests
{
    static BackupResult BackUp(TestVault test, ISource source)
    {
        using var vault = test.Open();
        return vault.BackUp(source, new BackupRequest("dump"u8.ToArray(), [], [], test.State), test.Keys.Put, test.Keys.Agent, new BackupProgress(), CancellationToken.None);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(524_288)]
    [InlineData(524_289)]
    [InlineData(8 << 20)]
    [InlineData(20_000_001)]
    public void A_stream_of_any_length_comes_back(int length)
    {
        using var test = new TestVault();
        var bytes = TestVault.Noise(length, length);
        using var source = new StreamSource(new MemoryStream(bytes), "dump.sql"u8.ToArray(), TimeProvider.System);
        var result = BackUp(test, source);
        Assert.Equal((ulong)length, result.Archive.LogicalBytes);
        Assert.Equal(bytes, File.ReadAllBytes(Path.Combine(test.Restore(), "dump.sql")));
    }

    [Fact]
    public void A_dump_that_died_is_not_committed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs sh");
        using var test = new TestVault();
        foreach (var script in new[] { "echo half; exit 7", "echo half; kill -9 $$" })
        {
            using var producer = Producer.Start(["sh", "-c", script]);
            using var source = new StreamSource(producer.Output, "dump"u8.ToArray(), TimeProvider.System, () => producer.RequireSuccess(CancellationToken.None));
            Assert.Equal(ErrorCode.ProducerFailed, Assert.Throws<HoldfastException>(() => BackUp(test, source)).Code);
        }
        using var vault = test.Open();
        Assert.Empty(vault.State.Snapshots);
    }

    /// <summary>The medium fails in the middle.</summary>
    sealed class Failing(byte[] bytes) : MemoryStream(bytes)
    {
        public override int Read(Span<byte> buffer) => Position < Length ? base.Read(buffer) : throw new IOException("Input/output error");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(20_000_000)]
    public void A_stream_that_cannot_be_read_to_its_end_is_not_committed(int length)
    {
        using var test = new TestVault();
        using var source = new StreamSource(new Failing(TestVault.Noise(1, length)), "dump"u8.ToArray(), TimeProvider.System);
        Assert.Equal(ErrorCode.ProducerFailed, Assert.Throws<HoldfastException>(() => BackUp(test, source)).Code);
        using var vault = test.Open();
        Assert.Empty(vault.State.Snapshots);
    }

    [Fact]
    public void A_command_that_ends_well_is_committed()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs sh");
        using var test = new TestVault();
        using var producer = Producer.Start(["sh", "-c", "echo whole"]);
        using var source = new StreamSource(producer.Output, "dump"u8.ToArray(), TimeProvider.System, () => producer.RequireSuccess(CancellationToken.None));
        BackUp(test, source);
        Assert.Equal("whole\n", Encoding.ASCII.GetString(File.ReadAllBytes(Path.Combine(test.Restore(), "dump"))));
    }

    /// <summary>Its end may never be told, such as that of a child that a debugger holds.</summary>
    [Fact]
    public void Who_waits_for_the_end_of_a_command_can_be_stopped()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs sh");
        using var folder = new TempFolder();
        using var producer = Producer.Start(["sh", "-c", $"echo $$ >'{folder["id"]}'; exec >&-; exec sleep 30"]);
        Assert.Equal(-1, producer.Output.ReadByte());
        using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        Assert.ThrowsAny<OperationCanceledException>(() => producer.RequireSuccess(stop.Token));
        Assert.True(Directory.Exists($"/proc/{File.ReadAllText(folder["id"]).Trim()}"));
    }

    [Fact]
    public void A_command_that_is_not_there_says_so() =>
        Assert.Equal(ErrorCode.ProducerFailed, Assert.Throws<HoldfastException>(() => Producer.Start(["/no/such/program"])).Code);
}
