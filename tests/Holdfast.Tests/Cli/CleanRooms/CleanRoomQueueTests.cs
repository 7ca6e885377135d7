using Holdfast.Cli.CleanRooms;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Cli.CleanRooms;

/// <summary>In which order a clean room takes snapshots, and what it does with those it cannot attest.</summary>
public sealed class CleanRoomQueueTests
{
    const ulong Day = TestVault.Day;

    static Id16 BackUp(TestVault test, string text)
    {
        test.Write("f", text);
        return test.BackUp().Snapshot;
    }

    static IEnumerable<Id16> Due(TestVault test)
    {
        using var vault = test.Open();
        return [.. CleanRoomQueue.InOrder(vault).Concat(CleanRoomQueue.Defective(vault)).Select(s => s.Snapshot)];
    }

    [Fact]
    public void The_last_day_comes_first_and_then_what_is_late_from_the_newest_on()
    {
        using var test = new TestVault();
        var (a, b) = (BackUp(test, "1"), BackUp(test, "2"));
        test.Machine.Pass(Day + 60);
        var (c, d) = (BackUp(test, "3"), BackUp(test, "4"));
        Assert.Equal([c, d, b, a], Due(test));
        using var vault = test.Open();
        Assert.Equal([a, b], CleanRoomQueue.Waiting(vault).Where(s => CleanRoomQueue.IsLate(vault, s)).Select(s => s.Snapshot));
    }

    /// <summary>What has defects is looked at again after a day, and the longer it has had them the less often.</summary>
    [Fact]
    public void What_has_defects_comes_back_when_its_pause_is_over()
    {
        using var test = new TestVault();
        test.Write("f", TestVault.Noise(1, 900_000));
        var backup = test.BackUp();
        test.Machine.Pass(25 * Day); // however old it is
        var pack = backup.Archive.Written.First(w => w.Class == KeyClass.Content).Name;
        test.Lose(pack, "packs");
        Attest();
        Assert.Empty(Due(test));
        test.Machine.Pass(Day);
        Assert.Equal([backup.Snapshot], Due(test));
        test.Machine.Pass(9 * Day);
        Attest();
        test.Machine.Pass(4 * Day);
        Assert.Empty(Due(test));
        test.Machine.Pass(2 * Day);
        Assert.Equal([backup.Snapshot], Due(test));

        void Attest()
        {
            using var vault = test.Open();
            using var keys = vault.Unlock(test.Seed);
            Assert.True(vault.Attest(vault.Find("latest"), keys, AttestationDepth.SampleAndPacks, Id16.New(), TestContext.Current.CancellationToken).Defects.Count > 0);
        }
    }

    [Fact]
    public void What_failed_or_brought_the_process_down_keeps_none_of_the_others_waiting()
    {
        using var test = new TestVault();
        var (a, b) = (BackUp(test, "1"), BackUp(test, "2"));
        using var vault = test.Open();
        var due = CleanRoomQueue.InOrder(vault);
        var path = test["notes"];
        var notes = new CleanRoomNotes(path, Disk.Real);
        Assert.Equal(a, CleanRoomQueue.Next(due, notes.Failed, 1_000)!.Snapshot);
        notes.Begin(a, 1_000); // and is killed
        notes = new CleanRoomNotes(path, Disk.Real);
        Assert.Equal(new FailedAttestation(1, 1_000, ErrorCode.None), notes.Failed[a]);
        Assert.Equal(b, CleanRoomQueue.Next(due, notes.Failed, 1_000)!.Snapshot);
        notes.Fail(b, 1_000, ErrorCode.StoreUnavailable);
        Assert.Null(CleanRoomQueue.Next(due, notes.Failed, 1_599));
        Assert.Equal(a, CleanRoomQueue.Next(due, notes.Failed, 1_600)!.Snapshot);
        notes.Begin(a, 1_600);
        notes.Fail(a, 1_600, ErrorCode.KeyTooNarrow, isCounted: false);
        Assert.Equal(new FailedAttestation(2, 1_600, ErrorCode.KeyTooNarrow), new CleanRoomNotes(path, Disk.Real).Failed[a]);
        Assert.Equal(1_600 + 1_200, notes.Failed[a].Next);
        Assert.Equal(b, CleanRoomQueue.Next(due, notes.Failed, 900)!.Snapshot); // the clock went back: nothing waits for that
        for (var i = 0; i < 100; i++)
            notes.Fail(a, 2_000, ErrorCode.KeyTooNarrow);
        Assert.Equal(2_000 + 6 * 3_600, notes.Failed[a].Next);
        notes.Done(b, due.Select(d => d.Snapshot).ToHashSet());
        Assert.Equal([a], new CleanRoomNotes(path, Disk.Real).Failed.Keys);
        var before = notes.Failed[a];
        notes.Begin(a, 5_000);
        notes.TakeBack(a, before); // it was stopped, which is no fault of that snapshot's
        notes.Begin(b, 5_000);
        notes.TakeBack(b, null);
        Assert.Equal(before, Assert.Single(new CleanRoomNotes(path, Disk.Real).Failed).Value);
        notes.Done(Id16.New(), new HashSet<Id16>()); // expired meanwhile
        Assert.Empty(new CleanRoomNotes(path, Disk.Real).Failed);
    }

    [Fact]
    public void Notes_that_make_no_sense_are_none()
    {
        using var folder = new TempFolder();
        var id = Id16.New();
        File.WriteAllText(folder["n"], $"junk\n{id} 0 5 1\n{id} x 5 1\n{id} 3 5 99999\n{new string('9', 40)}\n");
        Assert.Equal(new FailedAttestation(3, 5, ErrorCode.None), Assert.Single(new CleanRoomNotes(folder["n"], Disk.Real).Failed).Value);
        File.WriteAllBytes(folder["n"], [0xFF, 0xFE, 0, 10, 10]);
        Assert.Empty(new CleanRoomNotes(folder["n"], Disk.Real).Failed);
    }
}
