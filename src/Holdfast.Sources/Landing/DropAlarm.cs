namespace Holdfast.Sources.Landing;

/// <summary>What a person has to look at. The names are those of the JSON output, and stay.</summary>
public enum AlarmKind
{
    /// <summary>A dump was due, and no good one came.</summary>
    Missing = 1,
    Shrunken = 2,
    Format = 3,
    Checksum = 4,
    Name = 5,

    /// <summary>Its writer never finished it.</summary>
    Unfinished = 6,

    /// <summary>Something has been there for long and is not complete.</summary>
    Late = 7,

    /// <summary>As much lies there as may; nothing more is let in.</summary>
    Full = 8,

    /// <summary>Links, folders, pipes: nothing that a dump is, left where it was or put aside.</summary>
    Odd = 9,

    /// <summary>What was taken has not been stored for long.</summary>
    NotStored = 10,

    /// <summary>This machine's clock is behind what was written before, so that nobody can say what is missing.</summary>
    Clock = 11,

    /// <summary>What could not be read is not in its snapshot, and stays in the landing.</summary>
    Unreadable = 12,

    /// <summary>Something lies here of a drop point that the plan does not name.</summary>
    Unplanned = 13,
}

/// <param name="Kind">What it is.</param>
/// <param name="Drop">Name of the drop point.</param>
/// <param name="Count">How many dumps or files.</param>
/// <param name="Since">Seconds since 1970; 0 where that is not known.</param>
public sealed record DropAlarm(AlarmKind Kind, string Drop, int Count, long Since);

/// <summary>What lies at a drop point now.</summary>
public sealed record DropState
{
    /// <summary>Files in reach of the account.</summary>
    public int Files { get; init; }

    /// <summary>Bytes on the disk, there and on the way to the vault.</summary>
    public long Bytes { get; init; }
    public int Odd { get; init; }

    /// <summary>Files that have been there for too long, and since when the oldest has.</summary>
    public int Late { get; init; }
    public long LateSince { get; init; }

    /// <summary>Files that were taken and are not stored yet, and since when the oldest of them are.</summary>
    public int Waiting { get; init; }
    public long WaitingSince { get; init; }

    /// <summary>Taken files that are not whole in the vault and stay for somebody to look at, and since when the oldest do.</summary>
    public int Unreadable { get; init; }
    public long UnreadableSince { get; init; }

    /// <summary>When the newest good dump was taken that is not stored yet; 0 for none.</summary>
    public long Come { get; init; }

    /// <summary>It was tried to store some, in vain.</summary>
    public bool IsFailing { get; init; }

    /// <summary>The account can put nothing more there.</summary>
    public bool IsClosed { get; init; }
}

/// <summary>Says what is wrong at a drop point. No clock, no disk.</summary>
public static class DropJudge
{
    const long Patience = 3_600; // seconds that what was taken may wait once its backup failed; and that a clock may differ
    const long Day = 86_400; // seconds

    public static IReadOnlyList<DropAlarm> Alarms(DropPoint drop, DropHistory history, DropState state, long now)
    {
        var alarms = new List<DropAlarm>();
        if (Math.Max(history.Since, history.Dumps.Count > 0 ? history.Dumps.Max(d => d.Taken) : 0) is var latest && latest > now + Patience)
            alarms.Add(new DropAlarm(AlarmKind.Clock, drop.Name, 1, latest));
        // What a clock from ahead wrote says nothing of what came; all else does.
        var reference = history.Dumps.Where(d => d.IsGood).Select(d => d.Taken).Append(history.Since).Append(state.Come).Where(t => t <= now + Patience).Max();
        if (drop.Every > TimeSpan.Zero && reference == 0)
            reference = now;
        if (drop.Every > TimeSpan.Zero && now > reference + (long)(drop.Every + drop.Grace).TotalSeconds)
            alarms.Add(new DropAlarm(AlarmKind.Missing, drop.Name, 1, reference));
        // What was wrong is told until a dump with nothing wrong followed, and for as long as it takes for another to be due: a good one that follows at once hides nothing.
        var shownFrom = now - (long)(drop.Every > TimeSpan.Zero ? drop.Every + drop.Grace : TimeSpan.FromSeconds(Day)).TotalSeconds;
        var whole = history.Dumps.ToList().FindLastIndex(d => d.Faults == DumpFaults.None);
        var shown = history.Dumps.Where((d, i) => i > whole || d.Taken >= shownFrom).ToList();
        foreach (var (fault, kind) in new[] { (DumpFaults.Shrunken, AlarmKind.Shrunken), (DumpFaults.Format, AlarmKind.Format), (DumpFaults.Checksum, AlarmKind.Checksum), (DumpFaults.Name, AlarmKind.Name), (DumpFaults.Unfinished, AlarmKind.Unfinished) })
        {
            if (shown.Where(d => d.Faults.HasFlag(fault)).ToList() is { Count: > 0 } with)
                alarms.Add(new DropAlarm(kind, drop.Name, with.Count, with[0].Taken));
        }
        if (state.Late > 0)
            alarms.Add(new DropAlarm(AlarmKind.Late, drop.Name, state.Late, state.LateSince));
        if (state.IsClosed)
            alarms.Add(new DropAlarm(AlarmKind.Full, drop.Name, 1, 0));
        if (state.Odd > 0)
            alarms.Add(new DropAlarm(AlarmKind.Odd, drop.Name, state.Odd, 0));
        if (state.Waiting > 0 && now - state.WaitingSince > (state.IsFailing ? Patience : Day))
            alarms.Add(new DropAlarm(AlarmKind.NotStored, drop.Name, state.Waiting, state.WaitingSince));
        if (state.Unreadable > 0)
            alarms.Add(new DropAlarm(AlarmKind.Unreadable, drop.Name, state.Unreadable, state.UnreadableSince));
        return alarms;
    }
}
