using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Sources.Landing;

namespace Holdfast.Cli.Landing;

/// <summary>What a run did and found. Names of drop points, counts and times; no name of a file.</summary>
sealed class LandingReport
{
    const int TightPercent = 10; // of the landing's disk, free

    readonly List<(DropPoint Drop, DropHistory History, DropState State)> _drops = [];
    readonly List<DropAlarm> _alarms = [];
    readonly List<(string Drop, HoldfastException Fault)> _faults = [];
    readonly List<(DropPoint Drop, int Files, long Bytes, Id16 Snapshot)> _stored = [];

    public int Files => _stored.Sum(s => s.Files);

    /// <summary>What is wrong: told again only where it changed.</summary>
    public string Words => string.Join('\n', _faults.Select(f => $"{f.Drop} {f.Fault.Message}").Concat(_alarms.Select(a => $"{a.Kind} {a.Drop} {a.Count} {a.Since}")));

    public void Add(DropPoint drop, DropHistory history, DropState state, long now)
    {
        _drops.Add((drop, history, state));
        _alarms.AddRange(DropJudge.Alarms(drop, history, state, now));
    }

    public void AddDisk(LandingFolder landing)
    {
        if (landing.Free < landing.Size / 100 * TightPercent)
            _alarms.Add(new DropAlarm(AlarmKind.Full, "", 1, 0));
    }

    public void AddStrays(LandingFolder landing, IReadOnlyList<DropPoint> plan)
    {
        foreach (var name in landing.Strays([.. plan.Select(d => d.Name)]))
            _alarms.Add(new DropAlarm(AlarmKind.Unplanned, name, 1, 0));
    }

    /// <param name="drop">Name of the drop point; empty for the landing itself.</param>
    /// <param name="fault">What failed.</param>
    public void Fail(string drop, HoldfastException fault)
    {
        if (!_faults.Exists(f => f.Drop == drop && f.Fault.Message == fault.Message))
            _faults.Add((drop, fault));
    }

    public void Stored(DropPoint drop, int files, long bytes, Id16 snapshot) => _stored.Add((drop, files, bytes, snapshot));

    /// <summary>Says it, and gives the exit status: of what failed before that of what is wrong with the dumps.</summary>
    /// <param name="session">Of the command.</param>
    /// <param name="landing">The landing.</param>
    /// <param name="isOnce">Else the run is one of many, and nothing ends.</param>
    /// <param name="isAsked">The user asked how things are.</param>
    public int Tell(Session session, LandingFolder landing, bool isOnce, bool isAsked = false)
    {
        if (isOnce)
            session.Json(w => Write(w, landing));
        foreach (var (drop, files, bytes, snapshot) in _stored)
            session.Step($"{drop.Name}: {Text.Count(files, "dump")}, {Text.Bytes(bytes)}, stored and locked as snapshot {Text.Id(snapshot)}.");
        if (isAsked)
            _drops.ForEach(d => session.Line(Line(d.Drop, d.History, d.State)));
        foreach (var alarm in _alarms.Where(_ => !session.IsJson))
            session.Warn($"holdfast: ALARM {Describe(alarm)}");
        foreach (var (drop, fault) in _faults.Where(_ => !session.IsJson))
            session.Warn($"holdfast: {(drop.Length > 0 ? drop : "the landing")}: {fault.Message}\n  what to do: {fault.Guidance}");
        if (!isOnce)
            return 0;
        if (_faults.Count > 0)
            return session.Fail(_faults[0].Fault.Code, $"Not all was done at the landing, {Text.Count(_faults.Count, "time")}: {_faults[0].Fault.Message}", _faults[0].Fault.Guidance);
        if (_alarms.Count == 0)
            return 0;
        return session.Fail(ErrorCode.LandingAlarm, $"{Text.Count(_alarms.Count, "alarm")} at the landing.", "Look at what makes the dump, on its own host. All that was taken is stored.");
    }

    static string Line(DropPoint drop, DropHistory history, DropState state)
    {
        var last = history.Dumps.LastOrDefault(d => d.IsGood);
        return $"{drop.Name,-20} {(last is null ? "no good dump yet" : $"last good one {Text.Time(last.Taken)}, {Text.Bytes(last.Bytes)}")}{(drop.Every > TimeSpan.Zero ? $"; the next is due by {Text.Time((last?.Taken ?? history.Since) + (long)(drop.Every + drop.Grace).TotalSeconds)}" : "")}"
            + (state.Files > 0 ? $"; {Text.Count(state.Files, "file")} there" : "") + (state.Waiting > 0 ? $"; {Text.Count(state.Waiting, "file")} taken and not stored yet" : "");
    }

    static string Describe(DropAlarm alarm)
    {
        var since = alarm.Since > 0 ? $" since {Text.Time(alarm.Since)}" : "";
        var dumps = Text.Count(alarm.Count, "dump");
        return alarm.Drop.Length == 0 ? "the landing's disk is nearly full" : $"{alarm.Drop}: " + alarm.Kind switch
        {
            AlarmKind.Missing => $"no good dump{since}, and one is due",
            AlarmKind.Shrunken => $"{dumps} much smaller than those before{since}",
            AlarmKind.Format => $"{dumps} not what is expected, or not to the end{since}",
            AlarmKind.Checksum => $"{dumps} other than the checksum beside, or without one{since}",
            AlarmKind.Name => $"{dumps} of a name that is not expected{since}",
            AlarmKind.Unfinished => $"{dumps} never finished by who wrote{since}",
            AlarmKind.Late => $"{Text.Count(alarm.Count, "file")} not complete{since}",
            AlarmKind.Full => "as much lies there as may: nothing more is let in until it is stored",
            AlarmKind.Odd => $"{Text.Count(alarm.Count, "thing")} there that {(alarm.Count == 1 ? "is" : "are")} no file",
            AlarmKind.Unplanned => "landing.conf does not name it, and something of it lies in the landing",
            AlarmKind.Unreadable => $"{Text.Count(alarm.Count, "file")} not stored in whole, and kept in the landing: the disk did not give all{since}",
            AlarmKind.NotStored => $"{Text.Count(alarm.Count, "file")} taken and not stored{since}",
            _ => $"this machine's clock is behind what was written{since}: what is missing cannot be told",
        };
    }

    void Write(Utf8JsonWriter w, LandingFolder landing)
    {
        w.WriteNumber("freeBytes", landing.Free);
        w.WriteStartArray("stored");
        foreach (var (drop, files, bytes, snapshot) in _stored)
        {
            w.WriteStartObject();
            w.WriteString("drop", drop.Name);
            w.WriteNumber("dumps", files);
            w.WriteNumber("bytes", bytes);
            w.WriteString("snapshot", snapshot.ToString());
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteStartArray("drops");
        foreach (var (drop, history, state) in _drops)
        {
            w.WriteStartObject();
            w.WriteString("drop", drop.Name);
            w.WriteNumber("files", state.Files);
            w.WriteNumber("bytes", state.Bytes);
            w.WriteNumber("notStored", state.Waiting);
            if (history.Dumps.LastOrDefault(d => d.IsGood) is { } last)
            {
                w.WriteString("lastGood", Text.Iso(last.Taken));
                w.WriteNumber("lastGoodBytes", last.Bytes);
            }
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteStartArray("alarms");
        foreach (var alarm in _alarms)
        {
            w.WriteStartObject();
            w.WriteString("kind", alarm.Kind.ToString());
            w.WriteString("drop", alarm.Drop);
            w.WriteNumber("count", alarm.Count);
            if (alarm.Since > 0)
                w.WriteString("since", Text.Iso(alarm.Since));
            w.WriteEndObject();
        }
        w.WriteEndArray();
    }
}
