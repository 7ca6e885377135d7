using Holdfast.Cli.Commands;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Cli.Commands;

/// <summary>Which snapshots an attestation of several looks at, and which once more.</summary>
public sealed class AttestTests
{
    [Fact]
    public void Of_the_sources_that_were_named_alone()
    {
        using var test = new TestVault();
        test.Write("f", "bed 3");
        var first = test.BackUp(name: "ward").Snapshot;
        test.BackUp(name: "office");
        var second = test.BackUp(name: "ward").Snapshot;
        using var vault = test.Open();
        var ward = test.Keys.Put.Domain.SourceId("ward"u8);
        Assert.Equal([first, second], AttestCommand.Due(vault, [ward], full: false, null).Select(s => s.Snapshot));
        Assert.Empty(AttestCommand.Due(vault, [Id16.New()], full: true, null));
        Assert.Equal(3, AttestCommand.Due(vault, null, full: true, null).Count);
    }

    static void LoseContent(TestVault test, Holdfast.Core.Backup.BackupResult result)
    {
        using var vault = test.Open();
        File.Delete(vault.Keeper.FolderStore!.Find(StoreKind.Pack, result.Archive.Written.Single(w => w.Class == KeyClass.Content).Name, 0)!);
    }

    /// <summary>Three snapshots of one file. The content of the first two is lost, and the third has stored it anew; the loss of the second is known to no attestation.</summary>
    static TestVault LostTwice()
    {
        var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 600_000));
        LoseContent(test, test.BackUp());
        var second = test.BackUp(useState: false);
        using (var vault = test.Open())
        using (var keys = vault.Unlock(test.Seed))
            Assert.True(vault.Attest(vault.State.Snapshots[0], keys, full: true, Id16.None, CancellationToken.None).IsHealed);
        LoseContent(test, second);
        test.BackUp(useState: false);
        return test;
    }

    /// <param name="all">Not only what was never attested, and what has defects.</param>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_was_healed_before_another_loss_was_known_is_read_once_more_and_counts(bool all)
    {
        using var test = LostTwice();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var found = vault.State.Snapshots.Where(s => all || s != vault.State.Snapshots[1]).Select(Attest).ToList();
        Assert.All(found, f => Assert.True(f.Attestation.IsHealed || f.Attestation.IsGood));
        Assert.NotEmpty(vault.Health().Problems);
        Assert.Equal([vault.State.Snapshots[0]], AttestCommand.Unsettled(vault, found));
        Assert.Equal(all ? [] : [vault.State.Snapshots[1]], AttestCommand.Untold(vault));

        List<SnapshotRecord> again = [.. AttestCommand.Untold(vault), .. AttestCommand.Unsettled(vault, found)];
        found.AddRange(again.Select(Attest));
        Assert.Empty(AttestCommand.Unsettled(vault, found));
        Assert.Empty(vault.Health().Problems);

        (SnapshotRecord Record, AttestationObject Attestation) Attest(SnapshotRecord record) => (record, vault.Attest(record, keys, full: true, Id16.None, CancellationToken.None));
    }

    [Fact]
    public void What_was_read_from_a_pack_that_is_known_again_is_read_once_more()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 600_000));
        LoseContent(test, test.BackUp());
        var second = test.BackUp(useState: false);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        vault.Keeper.Refresh();
        var path = vault.Keeper.FolderStore!.Find(StoreKind.Pack, second.Archive.Written.Single(w => w.Class == KeyClass.Content).Name, 0)!;
        File.Move(path, test["kept"]);
        Assert.False(Attest(1).Attestation.IsGood);
        File.Move(test["kept"], path);
        var first = Attest(0);
        Assert.True(first.Attestation.IsReadable);
        Assert.Empty(AttestCommand.Unsettled(vault, [first])); // another comes first
        Assert.True(Attest(1).Attestation.IsGood);
        Assert.Equal([first.Record], AttestCommand.Unsettled(vault, [first]));
        Assert.True(Attest(0).Attestation.IsHealed);

        (SnapshotRecord Record, AttestationObject Attestation) Attest(int which) => (vault.State.Snapshots[which], vault.Attest(vault.State.Snapshots[which], keys, full: true, Id16.None, CancellationToken.None));
    }
}
