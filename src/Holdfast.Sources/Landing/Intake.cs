using Holdfast.Core;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files.Linux;

namespace Holdfast.Sources.Landing;

/// <summary>Takes what is complete at one drop point out of its account's reach. A file goes by renaming from <c>in</c> to <c>hold</c>, where it is looked at again under a name that nobody else has, and on into a batch:
/// so what is checked there is what is stored. What is not complete stays.</summary>
public sealed class Intake : IDisposable
{
    const uint Open = 0x3D8; // rwx-wx--T: the account's group makes files, and lists none
    const uint Closed = 0x3C8; // rwx--x--T: it makes none
    const int MostFiles = 100_000;
    const int MostTaken = 10_000; // files in a batch: what is said of them fits into its report
    const string Hold = "hold", Odd = "odd";

    readonly DropPoint _drop;
    readonly string _taken;
    readonly LandingFiles _in;
    readonly LandingFiles _hold;
    readonly LandingFiles _odd;

    /// <exception cref="HoldfastException"><c>SourceMissing</c>: the drop point is in the plan alone.</exception>
    public Intake(LandingFolder landing, DropPoint drop)
    {
        if (!Directory.Exists(landing.Inbox(drop)))
            throw new HoldfastException(ErrorCode.SourceMissing, "The folder of a drop point is not there.", "Run `holdfast landing init` again, which makes what landing.conf names.");
        _drop = drop;
        _taken = landing.Taken(drop);
        foreach (var name in new[] { Hold, Odd })
            Disk.Real.MakeDurable(Path.Combine(_taken, name), ownerOnly: true);
        _in = LandingFiles.Open(landing.Inbox(drop));
        _hold = LandingFiles.Open(Path.Combine(_taken, Hold));
        _odd = LandingFiles.Open(Path.Combine(_taken, Odd));
    }

    /// <summary>Makes a drop point's folder as it should be.</summary>
    /// <param name="landing">The landing.</param>
    /// <param name="drop">The drop point.</param>
    /// <returns>False where this machine has no such account, with a group of its name.</returns>
    public static bool Prepare(LandingFolder landing, DropPoint drop)
    {
        var name = System.Text.Encoding.ASCII.GetBytes(drop.Account);
        if (OwnerNames.IdOf(name, user: true) is null || OwnerNames.IdOf(name, user: false) is not { } group)
            return false;
        Disk.Real.MakeDurable(landing.Inbox(drop));
        Disk.Real.MakeDurable(landing.Taken(drop), ownerOnly: true);
        using (var room = LandingFiles.Open(landing.Room(drop)))
            room.SetMode(0x1ED); // rwxr-xr-x: as sshd wants the root folder of an account
        using var inbox = LandingFiles.Open(landing.Inbox(drop));
        inbox.SetOwner(Native.EffectiveUser(), group);
        inbox.SetMode(Open);
        return true;
    }

    readonly record struct Found(byte[] Name, StatX Stat, bool IsLate, bool IsComplete);

    /// <summary>Moves what is complete into a batch of its own.</summary>
    /// <param name="now">Seconds since 1970.</param>
    /// <param name="ct">Ends it between two files.</param>
    public void Collect(long now, CancellationToken ct)
    {
        Batch? batch = null;
        LandingFiles? into = null;
        var count = 0;
        try
        {
            foreach (var name in _hold.Names().OrderBy(Key, StringComparer.Ordinal))
                Accept(name);
            var isShut = _in.Mode == Closed; // then no unfinished file gets its name, and no checksum comes
            var found = _in.Names().OrderBy(Key, StringComparer.Ordinal).Select(n => Look(n, now, isShut)).Where(f => f is not null).Select(f => f!.Value).ToList();
            var complete = found.Where(f => f.IsComplete).Select(f => Convert.ToHexString(f.Name)).ToHashSet();
            var there = found.Select(f => Convert.ToHexString(f.Name)).ToHashSet();
            foreach (var file in found.Where(f => f.IsComplete && (f.IsLate || isShut || IsWithItsOther(f.Name, there, complete))))
            {
                ct.ThrowIfCancellationRequested();
                if (_in.Move(file.Name, _hold, file.Name))
                    Accept(file.Name);
            }
        }
        finally
        {
            into?.Dispose();
        }

        void Accept(byte[] name)
        {
            if (!_hold.TryLook(name, out var stat))
                return;
            if (stat.Type != Native.TypeFile)
            {
                _hold.Move(name, _odd, System.Text.Encoding.ASCII.GetBytes(Id16.New().ToString()));
                return;
            }
            using var file = _hold.OpenFile(name);
            if (file is null || stat.LinkCount != 1 || LandingFiles.IsWritten(file))
                return; // its account has another way to it: the next run looks again
            LandingFiles.Own(file);
            if (count > MostTaken || (count == MostTaken && !Batch.IsChecksum(name, out _))) // a checksum follows its dump
            {
                into?.Dispose();
                (batch, into, count) = (null, null, 0);
            }
            batch ??= Batch.Make(_taken, now);
            into ??= LandingFiles.Open(batch.Content);
            _hold.Move(name, into, name);
            count++;
        }
    }

    /// <summary>Puts a checksum behind what it is of.</summary>
    static string Key(byte[] name) => Batch.IsChecksum(name, out var of) ? Convert.ToHexString(of) + " " : Convert.ToHexString(name);

    /// <summary>A dump and its checksum are taken together.</summary>
    bool IsWithItsOther(byte[] name, HashSet<string> there, HashSet<string> complete)
    {
        var other = Convert.ToHexString(Batch.IsChecksum(name, out var of) ? of : [.. name, .. System.Text.Encoding.ASCII.GetBytes(Batch.Checksum)]);
        return complete.Contains(other) || (!there.Contains(other) && !_drop.HasChecksums && of.Length == 0);
    }

    /// <summary>Null for what is gone, or no file.</summary>
    Found? Look(byte[] name, long now, bool isShut)
    {
        if (!_in.TryLook(name, out var stat) || stat.Type != Native.TypeFile)
            return null;
        var isLate = now - Arrived(stat) > (long)_drop.Late.TotalSeconds;
        var isQuiet = Math.Abs(now - Math.Max(stat.Changed.Seconds, stat.Modified.Seconds > now ? 0 : stat.Modified.Seconds)) >= (long)_drop.Quiet.TotalSeconds; // from ahead: a clock was wrong
        if (!isQuiet || stat.LinkCount != 1 || (Batch.IsUnfinished(name) && !isLate && !isShut))
            return new Found(name, stat, isLate, false);
        using var file = _in.OpenFile(name);
        return new Found(name, stat, isLate, file is not null && !LandingFiles.IsWritten(file));
    }

    /// <summary>Its birth, where the file system knows that: writing slowly makes nothing look young.</summary>
    static long Arrived(in StatX stat) => stat.Born.Seconds > 0 ? stat.Born.Seconds : stat.Changed.Seconds;

    public IReadOnlyList<Batch> Batches() => Batch.All(_taken);

    /// <summary>What lies there now.</summary>
    /// <param name="now">Seconds since 1970.</param>
    public DropState State(long now)
    {
        var (files, odd, late) = (0, _odd.Names().Count, 0);
        var (bytes, lateSince, waitingSince, waiting) = (0L, long.MaxValue, long.MaxValue, 0);
        foreach (var (folder, name) in _in.Names().Select(n => (_in, n)).Concat(_hold.Names().Select(n => (_hold, n))))
        {
            if (!folder.TryLook(name, out var stat))
                continue;
            bytes += (long)stat.Blocks * 512;
            if (stat.Type != Native.TypeFile)
                odd++;
            else
                files++;
            if (stat.Type == Native.TypeFile && now - Arrived(stat) > (long)(_drop.Late + _drop.Quiet).TotalSeconds)
                (late, lateSince) = (late + 1, Math.Min(lateSince, Arrived(stat)));
        }
        var (unreadable, unreadableSince, come, isFailing) = (0, long.MaxValue, 0L, false);
        foreach (var batch in Batches())
        {
            var isKept = batch.IsIncomplete;
            if (!isKept)
            {
                come = batch.Dumps().Any(d => d.IsGood) ? Math.Max(come, batch.Taken) : come;
                isFailing |= batch.IsFailed;
            }
            using var content = LandingFiles.TryOpen(batch.Content);
            foreach (var name in content?.Names() ?? []) // a run that stores it may remove it meanwhile
            {
                if (!content!.TryLook(name, out var stat))
                    continue;
                bytes += (long)stat.Blocks * 512;
                if (isKept)
                    (unreadable, unreadableSince) = (unreadable + 1, Math.Min(unreadableSince, batch.Taken));
                else
                    (waiting, waitingSince) = (waiting + 1, Math.Min(waitingSince, batch.Taken));
            }
        }
        return new DropState
        {
            Files = files,
            Bytes = bytes,
            Odd = odd,
            Late = late,
            LateSince = late > 0 ? lateSince : 0,
            Waiting = waiting,
            WaitingSince = waiting > 0 ? waitingSince : 0,
            Unreadable = unreadable,
            UnreadableSince = unreadable > 0 ? unreadableSince : 0,
            Come = come,
            IsFailing = isFailing,
            IsClosed = (_drop.Quota > 0 && bytes >= _drop.Quota) || files >= MostFiles,
        };
    }

    /// <summary>Lets the account put something there, or not: as much lies there as may. What it has open goes on; the system's own quota bounds that.</summary>
    public void Admit(bool isClosed) => _in.SetMode(isClosed ? Closed : Open);

    public void Dispose()
    {
        _in.Dispose();
        _hold.Dispose();
        _odd.Dispose();
    }
}
