using System.Text;
using CsCheck;
using Holdfast.Core;
using Holdfast.Core.Storage;
using Holdfast.Sources.Landing;

namespace Holdfast.Tests.Sources.Landing;

public sealed class DropJudgeTests
{
    const long Day = 86_400;
    const long Start = 1_800_000_000;

    static readonly DropPoint Daily = new("epr", "drop-epr") { Source = "epr", Every = TimeSpan.FromDays(1), Grace = TimeSpan.FromHours(2) };

    static DropHistory Of(params (long Taken, long Bytes, DumpFaults Faults)[] dumps) => new(Start, [.. dumps.Select(d => new TakenDump(d.Taken, d.Bytes, d.Faults, Id16.None))]);

    static IEnumerable<AlarmKind> Kinds(DropPoint drop, DropHistory history, long now, DropState? state = null) => DropJudge.Alarms(drop, history, state ?? new DropState(), now).Select(a => a.Kind);

    [Fact]
    public void A_dump_that_is_due_and_not_there_is_missing_once_its_grace_is_over()
    {
        Assert.Empty(Kinds(Daily, Of(), Start + Day + 2 * 3_600));
        Assert.Equal([AlarmKind.Missing], Kinds(Daily, Of(), Start + Day + 2 * 3_600 + 1));
        Assert.Empty(Kinds(Daily, Of((Start + Day, 100, DumpFaults.None)), Start + 2 * Day));
        Assert.Equal([AlarmKind.Missing], Kinds(Daily, Of((Start + Day, 100, DumpFaults.None)), Start + 3 * Day));
        Assert.Empty(Kinds(Daily with { Every = TimeSpan.Zero }, Of(), Start + 1_000 * Day));
    }

    [Theory]
    [InlineData(DumpFaults.Format, AlarmKind.Format)]
    [InlineData(DumpFaults.Checksum, AlarmKind.Checksum)]
    [InlineData(DumpFaults.Name, AlarmKind.Name)]
    [InlineData(DumpFaults.Unfinished, AlarmKind.Unfinished)]
    public void A_dump_that_is_no_good_does_not_count_as_the_one_that_was_due(DumpFaults faults, AlarmKind alarm)
    {
        var history = Of((Start + Day, 100, DumpFaults.None), (Start + 2 * Day, 100, faults));

        Assert.Equal([AlarmKind.Missing, alarm], Kinds(Daily, history, Start + 3 * Day));
    }

    [Fact]
    public void What_was_wrong_is_told_until_another_is_due_though_a_good_one_followed_at_once()
    {
        var history = Of((Start + Day, 100, DumpFaults.Format), (Start + Day + 5, 100, DumpFaults.None));

        Assert.Equal([AlarmKind.Format], Kinds(Daily, history, Start + Day + 10));
        Assert.Empty(Kinds(Daily, Of((Start + Day, 100, DumpFaults.Format), (Start + Day + 5, 100, DumpFaults.None), (Start + 2 * Day, 100, DumpFaults.None)), Start + 2 * Day + 3 * 3_600));
    }

    [Fact]
    public void A_clock_that_was_put_back_hides_nothing()
    {
        var history = Of((Start + 30 * Day, 100, DumpFaults.None));

        Assert.Equal([AlarmKind.Clock], Kinds(Daily, history, Start + Day));
    }

    [Fact]
    public void Smaller_than_its_share_of_the_median_is_shrunken()
    {
        var history = Of((1, 1_000, DumpFaults.None), (2, 10, DumpFaults.Format), (3, 900, DumpFaults.None), (4, 1_100, DumpFaults.None), (5, 5_000, DumpFaults.None));

        Assert.Equal(1_100, history.MedianOf(7)); // of the good ones; one that is far off moves it little
        Assert.Equal(550, history.LeastBytes(Daily));
        Assert.Equal(1, history.LeastBytes(Daily with { LeastPercent = 1, Median = 1 }) / 50);
        Assert.Equal(0, history.LeastBytes(Daily with { LeastPercent = 0 }));
        Assert.Equal(0, Of((1, 1_000, DumpFaults.None), (2, 1_000, DumpFaults.None)).LeastBytes(Daily)); // too few to say
    }

    [Fact]
    public void What_lies_there_and_does_not_move_is_told()
    {
        var state = new DropState { Late = 2, LateSince = Start, IsClosed = true, Odd = 1, Waiting = 3, WaitingSince = Start, IsFailing = true };

        Assert.Equal([AlarmKind.Late, AlarmKind.Full, AlarmKind.Odd, AlarmKind.NotStored], Kinds(Daily, Of(), Start + 3_601, state));
        Assert.DoesNotContain(AlarmKind.NotStored, Kinds(Daily, Of(), Start + 3_600, state));
        Assert.DoesNotContain(AlarmKind.NotStored, Kinds(Daily, Of(), Start + Day, state with { IsFailing = false })); // a large dump is still looked at
        Assert.Contains(AlarmKind.NotStored, Kinds(Daily, Of(), Start + Day + 1, state with { IsFailing = false }));
        Assert.Equal([AlarmKind.Unreadable], Kinds(Daily, Of(), Start, new DropState { Unreadable = 1, UnreadableSince = Start }));
    }

    [Fact]
    public void A_sound_dump_that_is_on_its_way_to_the_vault_is_not_missing()
    {
        var now = Start + Day + 3 * 3_600;

        Assert.Equal([AlarmKind.Missing], Kinds(Daily, Of(), now));
        Assert.Empty(Kinds(Daily, Of(), now, new DropState { Come = Start + Day }));
    }

    [Fact]
    public void A_clock_that_was_ahead_once_hides_nothing_that_is_missing()
    {
        var history = Of((Start + Day, 100, DumpFaults.None), (Start + 1_000 * Day, 100, DumpFaults.None));

        Assert.Equal([AlarmKind.Clock], Kinds(Daily, history, Start + 2 * Day));
        Assert.Equal([AlarmKind.Clock, AlarmKind.Missing], Kinds(Daily, history, Start + 3 * Day));
        Assert.Equal([AlarmKind.Clock], Kinds(Daily, Of() with { Since = Start + 30 * Day }, Start));
    }

    [Fact]
    public void Junk_in_any_number_takes_neither_the_median_nor_the_last_good_dump()
    {
        using var folder = new TempFolder();
        var dumps = Enumerable.Range(0, 150).Select(n => new TakenDump(Start + n, 1_000, DumpFaults.None, Id16.New())).Concat(Enumerable.Range(0, 2_000).Select(n => new TakenDump(Start + 1_000 + n, 1, DumpFaults.Format, Id16.New()))).ToList();

        new DropHistory(Start, dumps).Write(Disk.Real, folder["epr"]);
        DropHistory.Read(folder["epr"])!.Write(Disk.Real, folder["epr"]);

        var read = DropHistory.Read(folder["epr"])!;
        Assert.Equal(1_100, read.Dumps.Count);
        Assert.Equal(dumps[149], read.Dumps.Last(d => d.IsGood));
        Assert.Equal(1_000, read.MedianOf(7));
    }

    [Fact]
    public void A_history_is_read_back_as_it_was_written_and_its_oldest_lines_go()
    {
        using var folder = new TempFolder();
        var dumps = Enumerable.Range(0, 1_500).Select(n => new TakenDump(Start + n, n, (DumpFaults)(n % 32), Id16.New())).ToList();

        new DropHistory(Start, dumps).Write(Disk.Real, folder["epr"]);

        var read = DropHistory.Read(folder["epr"])!;
        Assert.Equal(Start, read.Since);
        Assert.Equal(dumps.TakeLast(1_000), read.Dumps.TakeLast(1_000));
        Assert.Equal(dumps.SkipLast(1_000).Where(d => d.IsGood), read.Dumps.SkipLast(1_000));
        Assert.Null(DropHistory.Read(folder["none"]));
    }

    [Fact]
    public void Any_bytes_at_all_are_a_history_or_refused()
    {
        Gen.Byte.Array[0, 100].Sample(junk => { _ = DropHistory.TryParse(junk, out _); });
        var sound = Encoding.ASCII.GetBytes($"holdfast-landing 1 5\n6 7 1 {Id16.New()}\n");
        Assert.True(DropHistory.TryParse(sound, out _));
        for (var at = 0; at < sound.Length; at++)
            Assert.True(at == 21 || !DropHistory.TryParse(sound.AsSpan(0, at), out _), $"cut to {at}");
        Gen.Select(Gen.Int[0, sound.Length - 1], Gen.Byte).Sample(change =>
        {
            var changed = sound.ToArray();
            changed[change.Item1] = change.Item2;
            _ = DropHistory.TryParse(changed, out _);
        });
    }
}
