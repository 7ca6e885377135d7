using System.Globalization;
using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>The vault's own time: it never goes back, and advances by the lesser of what the wall clock and the boot clock say, plus 500 ppm while it is behind the
/// wall clock. Time spent powered off does not count until something outside the machine attests it (invariant 3).</summary>
/// <remarks>Doubt lengthens locks and stops expiry. It never stops a backup. Where a leaf is ahead of what the clock saw pass, locks are born by the leaf, and end by the clock: whichever
/// of the two is wrong, no lock is short (docs/format.md, section 12.3).</remarks>
public sealed class VaultClock
{
    const int MaxSize = 4_096; // bytes of its file
    const string Head = "holdfast clock v2";
    const string EarlierHead = "holdfast clock v1";
    const int MaxSights = 16; // of the last machines, or starts of one, that have looked
    const ulong PartsPerMillion = 500;
    const string NoMachine = "-";
    const ulong LastEnd = 1_000 * Retention.LockRules.LastEnd; // milliseconds

    /// <summary>Seconds: a wall clock, or a leaf, further ahead than this is not believed at all.</summary>
    public const ulong DoubtAfter = 35 * 86_400;

    /// <summary>Seconds: what a machine says has passed counts up to this where others have looked since it last did. Locks may have begun meanwhile by a clock that was behind,
    /// and would be short by what it makes up for: this is less than the margin they have.</summary>
    public const ulong MostMissed = Retention.LockRules.Margin / 2;

    readonly string _path;
    readonly Disk _disk;
    readonly IMachineTime _machine;
    readonly List<Sight> _sights = []; // the latest last
    ulong _passed; // milliseconds since 1970 UTC that have passed for certain
    ulong _unseen; // milliseconds of vault time beyond them, which leaves alone tell of
    ulong _forward; // milliseconds by which approvers have set it forward: they are in what has passed
    string _noted = ""; // the start whose sight is the latest in the file

    /// <summary>What a machine's clocks said when it last looked.</summary>
    /// <param name="Machine">Its id; empty where it has none.</param>
    /// <param name="Passed">What had passed for certain, milliseconds since 1970 UTC.</param>
    /// <param name="Wall">Its wall clock, milliseconds since 1970 UTC.</param>
    /// <param name="SinceBoot">Milliseconds.</param>
    /// <param name="BootId">Of its start.</param>
    readonly record struct Sight(string Machine, ulong Passed, ulong Wall, ulong SinceBoot, string BootId)
    {
        /// <summary>What this machine's clocks both say has passed, milliseconds since 1970 UTC; null where they say nothing.</summary>
        /// <param name="now">What they say now.</param>
        public ulong? Until(Sight now)
        {
            var said = now.Wall - Math.Min(now.Wall, Wall);
            if (now.BootId == BootId)
                return Passed + Math.Min(now.SinceBoot - Math.Min(now.SinceBoot, SinceBoot), said);
            // After a restart only the time since it counts: how long the machine was off, nobody here knows. One that has run for longer than its wall clock says has
            // passed is a copy of the machine, or lies; and how long another machine has run says nothing of what has passed since this one looked.
            return now.Machine.Length > 0 && now.Machine == Machine && !now.BootId.StartsWith(MachineTime.UnknownBoot, StringComparison.Ordinal) && now.SinceBoot <= said
                && Passed + now.SinceBoot <= now.Wall // else the wall clock was behind when this was seen, and what it said since is no measure
                ? Passed + now.SinceBoot
                : null;
        }
    }

    bool _saysForward; // a build that knew nothing of it had what the leaves tell

    VaultClock(string path, Disk disk, IMachineTime machine)
    {
        _path = path;
        _disk = disk;
        _machine = machine;
    }

    /// <summary>Starts a clock at the wall time: the one moment it is believed.</summary>
    public static VaultClock Create(string path, Disk disk, IMachineTime machine)
    {
        var clock = new VaultClock(path, disk, machine) { _passed = machine.Wall };
        clock.Save();
        return clock;
    }

    /// <summary>Another machine's vault clock as that told it, running on by this machine's; nothing of it is kept.</summary>
    /// <param name="now">Vault time there, seconds since 1970.</param>
    /// <param name="passed">What had passed for certain there, seconds since 1970.</param>
    /// <param name="disk">Unused.</param>
    /// <param name="machine">This machine's clocks.</param>
    internal static VaultClock Told(ulong now, ulong passed, Disk disk, IMachineTime machine)
    {
        passed = Math.Min(passed, Retention.LockRules.LastEnd);
        var clock = new VaultClock("", disk, machine) { _passed = 1_000 * passed, _unseen = 1_000 * (Math.Clamp(now, passed, Retention.LockRules.LastEnd) - passed) };
        clock.Look();
        return clock;
    }

    /// <param name="path">Its file.</param>
    /// <param name="disk">Where it is saved.</param>
    /// <param name="machine">The machine's clocks.</param>
    /// <param name="latestLeaf">Vault time of the newest leaf that is not far beyond a moment, or beyond leaves before it (<see cref="Projection.TimeOfLeaves"/>): the clock is never before it, even
    /// where its file was lost or put back.</param>
    /// <param name="forward">Seconds by which approvers have set it forward in all (<see cref="Projection.SetForward"/>), and all locks with it.</param>
    public static VaultClock Open(string path, Disk disk, IMachineTime machine, Func<ulong, ulong> latestLeaf, ulong forward = 0)
    {
        var clock = new VaultClock(path, disk, machine);
        var isKept = PlainFile.IsOne(path) && PlainFile.ReadAll(path, MaxSize) is { } bytes && clock.TryTake(Encoding.UTF8.GetString(bytes));
        clock.Advance();
        if (isKept && clock._saysForward)
            clock.GoForward(forward);
        else
            clock._forward = 1_000 * forward; // what the leaves tell has it
        var told = 1_000 * latestLeaf(Math.Max(clock.Milliseconds, machine.Wall) / 1_000 + DoubtAfter);
        // With no note of its own, and a wall clock before every leaf, there is nothing to hold against the leaves.
        if (!isKept && told == 0)
            told = 1_000 * latestLeaf(ulong.MaxValue);
        // Of what they say, what the wall clock says too has passed: a note that was put back is held against nobody more than one that is gone.
        var ahead = told - Math.Min(told, clock.Milliseconds);
        var unseen = Math.Min(ahead, told - Math.Min(told, machine.Wall));
        clock._unseen += unseen;
        clock._passed += ahead - unseen;
        clock.Look();
        return clock;
    }

    /// <summary>Goes forward by what approvers have set it forward since it last did: no more than all locks were lengthened by, wherever it stands. What leaves told of up to then has passed with it.</summary>
    /// <param name="forward">Seconds, in all since the vault was made.</param>
    /// <param name="most">No more seconds than these.</param>
    internal void GoForward(ulong forward, ulong most = Retention.LockRules.LastEnd)
    {
        var more = Math.Min(1_000 * Behind(forward), Math.Min(1_000 * most, LastEnd - Math.Min(LastEnd, Milliseconds)));
        _unseen -= Math.Min(_unseen, more);
        _passed += more;
        _forward = Math.Max(_forward, 1_000 * forward);
        Look();
    }

    /// <summary>It was set forward by more than the log tells of, as where a log was put back that ends before that: then locks end by it that were never lengthened.</summary>
    /// <param name="forward">Seconds by which all locks were lengthened.</param>
    internal bool IsBeyond(ulong forward) => _forward / 1_000 > forward;

    /// <summary>Seconds of what approvers have set it forward that are not in it yet.</summary>
    internal ulong Behind(ulong forward) => forward - Math.Min(forward, _forward / 1_000);

    /// <summary>Seconds since 1970 UTC by the vault clock.</summary>
    public ulong Now
    {
        get
        {
            Advance();
            return Milliseconds / 1_000;
        }
    }

    /// <summary>Seconds since 1970 UTC that have passed for certain: what leaves alone tell of is not among them.</summary>
    public ulong Passed
    {
        get
        {
            Advance();
            return _passed / 1_000;
        }
    }

    /// <summary>Seconds of vault time that leaves alone tell of: locks begin by them, and none ends.</summary>
    public ulong Unseen => _unseen / 1_000;

    /// <summary>From when a lock's length counts: the later of vault time and a wall clock within reason, so that no lock is born short after a long power-off.</summary>
    public ulong LockFrom
    {
        get
        {
            var now = Now;
            var wall = _machine.Wall / 1_000;
            return wall > now && wall - now <= DoubtAfter ? wall : now;
        }
    }

    /// <summary>Seconds the wall clock is ahead of (positive) or behind (negative) what has passed for certain.</summary>
    public long WallOffset => (long)(_machine.Wall / 1_000) - (long)Passed;

    /// <summary>Seconds since 1970 UTC that every source of time says have passed.</summary>
    public ulong Certain => Math.Min(Passed, _machine.Wall / 1_000);

    /// <summary>True where every source of time says that this moment has passed.</summary>
    public bool HasPassed(ulong moment) => Certain > moment;

    /// <summary>Vault time.</summary>
    ulong Milliseconds => _passed + _unseen;

    Sight Here => new(_machine.MachineId, _passed, _machine.Wall, _machine.SinceBoot, _machine.BootId);

    void Advance()
    {
        var here = Here;
        var at = _sights.FindLastIndex(s => s.BootId == here.BootId);
        if (at < 0)
            at = _sights.FindLastIndex(s => s.Machine == here.Machine);
        if (at >= 0 && _sights[at].Until(here) is { } until && until > _passed)
        {
            var advance = until - _passed;
            if (at < _sights.Count - 1)
                advance = MakeUp(at, advance);
            _passed += advance;
            // The boot clock may be slow by as much: this makes up for it, and leads no further than the wall clock says. Else it would add up to days.
            _passed += Math.Min(advance * PartsPerMillion / 1_000_000, here.Wall - Math.Min(here.Wall, _passed));
        }
        Look();
    }

    /// <summary>Others have looked since the sight that says so. What all of them together make up for after any look is less than the margin.</summary>
    /// <returns>How much of it counts, milliseconds.</returns>
    ulong MakeUp(int at, ulong advance)
    {
        const ulong most = 1_000 * MostMissed, little = most / MaxSights;
        if (advance > most)
            _sights.Clear();
        else if (advance > little)
            _sights.RemoveRange(0, at); // where machines look by turns, this one's is the oldest
        return Math.Min(advance, most);
    }

    /// <summary>Notes what this machine's clocks say.</summary>
    void Look()
    {
        var here = Here;
        if (_sights.Exists(s => s.BootId == here.BootId && s.SinceBoot > here.SinceBoot))
            return; // an older state of the machine, a copy of it runs on: the counter of one start never goes back
        _sights.RemoveAll(s => s.BootId == here.BootId || (s.Machine == here.Machine && s.BootId.StartsWith(MachineTime.UnknownBoot, StringComparison.Ordinal)));
        _sights.Add(here);
        if (_sights.Count > MaxSights)
            _sights.RemoveAt(0);
    }

    /// <summary>The file says that this machine looked last: what another one saw before is held against what begins now.</summary>
    bool IsNoted => _noted == _machine.BootId;

    /// <summary>Makes it durable that this machine is about to have a lock begin.</summary>
    public void Note()
    {
        if (IsNoted)
            return;
        Save();
        if (IsNoted)
            return;
        _sights.Clear(); // an older state of a machine, which has no sight: then nobody has one
        Write();
    }

    /// <summary>Makes the clock's state durable.</summary>
    public void Save()
    {
        Advance();
        Write();
    }

    void Write()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Head}\n{_passed} {_unseen} {_forward}\n");
        foreach (var s in _sights)
            text.Append(CultureInfo.InvariantCulture, $"{(s.Machine.Length > 0 ? s.Machine : NoMachine)} {s.Passed} {s.Wall} {s.SinceBoot} {s.BootId}\n");
        _disk.Replace(_path, Encoding.UTF8.GetBytes($"{text}{NoteCheck.Of(text.ToString())}\n"));
        _noted = _sights.Count > 0 ? _sights[^1].BootId : "";
    }

    /// <summary>Takes over the state that a file has; false, and nothing of it, where it makes no sense.</summary>
    bool TryTake(string text)
    {
        if (text.Split('\n') is [EarlierHead, var earlier, ""])
            return TryTakeEarlier(text, earlier);
        if (text.Split('\n') is not [Head, var time, .. var sights, var check, ""] || sights.Length > MaxSights || check != NoteCheck.Of(text[..^(check.Length + 1)])
            || time.Split(' ') is not [var first, var second, .. { Length: <= 1 } third] || !TryRead(first, out var passed) || !TryRead(second, out var unseen) || !TryRead(third.FirstOrDefault("0"), out var forward)
            || unseen > LastEnd || passed > LastEnd - unseen || forward > LastEnd)
            return false;
        var taken = new List<Sight>();
        foreach (var line in sights)
        {
            if (line.Split(' ') is not [var machine, var then, var wall, var sinceBoot, { Length: > 0 } bootId]
                || !TryRead(then, out var at) || !TryRead(wall, out var wallAt) || !TryRead(sinceBoot, out var ran) || at > passed)
                return false;
            taken.Add(new Sight(machine == NoMachine ? "" : machine, at, wallAt, ran, bootId));
        }
        (_passed, _unseen, _forward, _saysForward) = (passed, unseen, forward, third.Length > 0);
        _sights.AddRange(taken);
        _noted = taken.Count > 0 ? taken[^1].BootId : "";
        return true;
    }

    /// <summary>As builds before the sights wrote it: vault time, wall clock and time since boot, boot id, from some on what is unseen, and then a check too.</summary>
    bool TryTakeEarlier(string text, string line)
    {
        if (line.Split(' ') is not { Length: >= 4 and <= 6 } parts || !TryRead(parts[0], out var time) || !TryRead(parts[1], out var wall) || !TryRead(parts[2], out var sinceBoot)
            || !TryRead(parts.ElementAtOrDefault(4) ?? "0", out var unseen) || time > LastEnd || unseen > time || (parts.Length == 6 && parts[5] != NoteCheck.Of(text[..^(parts[5].Length + 1)])))
            return false;
        (_passed, _unseen) = (time - unseen, unseen);
        _sights.Add(new Sight("", _passed, wall, sinceBoot, parts[3]));
        return true;
    }

    static bool TryRead(string number, out ulong value) => ulong.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out value);
}
