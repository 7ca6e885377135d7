using System.Text;
using Holdfast.Cli.Commands;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Backup;

namespace Holdfast.Tests.Cli.Commands;

/// <summary>What a hostile disk or log holds makes no number of `status` and `log entries` false, and ends neither.</summary>
public sealed class StatusTests
{
    [Fact]
    public void Files_longer_than_any_sum_holds_are_no_packs_and_are_not_counted_as_bytes()
    {
        using var test = new TestVault(parent: "/dev/shm"); // where a file may be as long as a number
        test.WriteSome();
        var packs = test.BackUp().Archive.Packs;
        foreach (var name in packs.ToList().Take(2).Select(p => p.Name.ToString()).Append(new string('a', 64)))
        {
            using var copy = File.Create(Path.Combine(Directory.CreateDirectory(Path.Combine(test.Folder, "packs", name[..2])).FullName, name + (packs.ToList().Any(p => p.Name.ToString() == name) ? ".1" : "")));
            copy.SetLength(long.MaxValue);
        }
        using var vault = test.Open();
        var status = VaultStatus.Of(vault, vault.Health());
        Assert.Equal((packs.Bytes, packs.Bytes, packs.Count + 1), (status.PackBytes, status.LockedBytes, status.Packs));
        Assert.Equal(packs.Bytes, status.Freed.Sum(f => f.Bytes));
    }

    [Fact]
    public void Each_source_has_its_own_latest_and_the_one_backed_up_longest_ago_stands_first()
    {
        using var test = new TestVault();
        test.WriteSome();
        var results = new List<BackupResult>();
        foreach (var name in new[] { "stopped", "runs", "lost", "runs" })
        {
            results.Add(test.BackUp(name: name));
            test.Machine.Pass(TestVault.Day);
        }
        using (var vault = test.Open())
        {
            var status = VaultStatus.Of(vault, vault.Health());
            Assert.Equal([Expected(0, 1), Expected(2, 1), Expected(3, 2)], status.Sources);
            Assert.Equal(status.Latest, status.Sources[^1].Latest);
        }
        // Of which source one without its object is, nobody can tell.
        using (var vault = test.Open())
            test.Lose(vault.State.Find(results[2].Snapshot)!.Name);
        using (var vault = test.Open())
            Assert.Equal([Expected(0, 1), Expected(3, 2)], VaultStatus.Of(vault, vault.Health()).Sources);

        SourceStatus Expected(int latest, int snapshots) => new(SourceOf(latest), results[latest].Receipt.Committed, snapshots);
        Id16 SourceOf(int result) => test.Keys.Put.Domain.SourceId(Encoding.UTF8.GetBytes(new[] { "stopped", "runs", "lost", "runs" }[result]));
    }

    [Theory]
    [InlineData(1UL << 63)]
    [InlineData(ulong.MaxValue)]
    public void A_span_longer_than_a_number_holds_is_not_below_zero(ulong seconds) => Assert.DoesNotContain("-", Text.Span(seconds), StringComparison.Ordinal);
}
