using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Owners, permissions, times and extended attributes. What this user may not set is counted as a refusal; it stops nothing.</summary>
sealed unsafe class TargetAttributes
{
    const uint SetIds = 0xC00; // set-user-id and set-group-id

    readonly TargetReport _report;
    readonly bool _isRoot = Native.EffectiveUser() == 0;
    readonly bool _inheritsGroup;

    public TargetAttributes(TargetFolders folders, TargetReport report)
    {
        _report = report;
        StatX stat;
        byte nul = 0;
        _inheritsGroup = Native.StatX(folders.Root, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || (stat.Mode & 0x400) != 0;
    }

    /// <summary>False where one of them could not be set though this user may set it and this file system has it.</summary>
    public bool Set(int file, Noted entry, bool isNew)
    {
        var owned = SetOwner(entry, isNew, (uid, gid) => Native.ChangeOwner(file, uid, gid));
        var whole = entry.Xattrs is not { } xattrs || SetXattrs(entry, xattrs, (name, value, size) => Native.SetXattr(file, (byte*)name, (byte*)value, size, 0));
        var mode = owned || entry.Kind == EntryKind.Directory ? entry.Mode : entry.Mode & ~SetIds; // not for another owner than the snapshot's
        if (mode != entry.Mode)
            _report.Refusal("set-id bits", "the owner is another");
        if (mode != 0x180 && Native.ChangeMode(file, mode) != 0)
            _report.Refusal("permissions", Native.Error);
        var times = stackalloc TimeSpec[2];
        FillTimes(times, entry);
        if (Native.SetTimes(file, times) != 0)
            _report.Refusal("times", Native.Error);
        NoteGot(file, entry);
        return whole;
    }

    static void NoteGot(int file, Noted entry)
    {
        StatX stat;
        byte nul = 0;
        if (entry.Kind == EntryKind.File && !entry.IsBrief && Native.StatX(file, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0)
            entry.Got = (stat.Uid, stat.Gid, stat.Mode & 0xFFFu);
    }

    /// <summary>Gives a file that was there already what it lacks: the run that wrote it may not have been allowed all that this one is.</summary>
    public void Freshen(int file, Noted entry)
    {
        StatX stat;
        byte nul = 0;
        if (Native.StatX(file, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || (stat.Mode & 0xFFF) != entry.Mode || stat.Uid != entry.Uid || stat.Gid != entry.Gid)
            Set(file, entry, isNew: false);
        else
            NoteGot(file, entry);
    }

    /// <summary>Of a folder that stays whose it was: only its time is set, and what it has not of the snapshot's is told.</summary>
    public void Keep(int folder, Noted entry, uint mode)
    {
        const string why = "it was there already, in another user's folder; see what it holds, then chown and chmod it";
        StatX stat;
        byte nul = 0;
        if (Native.StatX(folder, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || stat.Uid != entry.Uid || stat.Gid != entry.Gid)
            _report.Refusal("owners", why);
        if (mode != entry.Mode)
            _report.Refusal("permissions", why);
        if (entry.Xattrs is not null)
            _report.Refusal("extended attributes", why);
        _ = Native.ChangeMode(folder, mode); // without what was added for this run
        var times = stackalloc TimeSpec[2];
        FillTimes(times, entry);
        if (Native.SetTimes(folder, times) != 0)
            _report.Refusal("times", Native.Error);
    }

    /// <summary>As <see cref="Set"/>, of a symlink or a special file just made, by a handle that names it alone: under its name another's may stand by now.</summary>
    public bool SetLate(int handle, Noted entry)
    {
        SetOwner(entry, isNew: true, (uid, gid) =>
        {
            byte nul = 0;
            return Native.ChangeOwner(handle, &nul, uid, gid, Native.AtEmptyPath);
        });
        fixed (byte* path = FolderHandle.ProcPath(handle))
        {
            if (entry.Kind != EntryKind.Symlink && Native.ChangeMode(Native.AtCurrent, path, entry.Mode, 0) != 0)
                _report.Refusal("permissions", Native.Error);
            var start = (nint)path;
            var whole = entry.Xattrs is not { } xattrs || SetXattrs(entry, xattrs, (n, value, size) => Native.SetXattr((byte*)start, (byte*)n, (byte*)value, size, 0));
            var times = stackalloc TimeSpec[2];
            FillTimes(times, entry);
            if (Native.SetTimes(Native.AtCurrent, path, times, 0) != 0)
                _report.Refusal("times", Native.Error);
            return whole;
        }
    }

    static void FillTimes(TimeSpec* times, Noted entry)
    {
        times[0] = new TimeSpec { Seconds = entry.Seconds, Nanoseconds = entry.Nanoseconds };
        times[1] = times[0];
    }

    bool SetOwner(Noted entry, bool isNew, Func<uint, uint, int> change)
    {
        // What this user makes belongs to it already; nobody but root can give it away.
        if (isNew && _isRoot && entry.Uid == 0 && entry.Gid == 0 && !_inheritsGroup)
            return true;
        if (change(_isRoot ? entry.Uid : uint.MaxValue, entry.Gid) != 0)
        {
            _report.Refusal("owners", Native.Error);
            return false;
        }
        if (_isRoot || entry.Uid == Native.EffectiveUser())
            return true;
        _report.Refusal("owners", Native.EPerm);
        return false;
    }

    bool SetXattrs(Noted entry, byte[] xattrs, Func<nint, nint, nuint, int> set)
    {
        var list = new List<(byte[] Name, byte[] Value)>();
        if (!XattrList.TryDecode(xattrs, list))
            return false;
        var (refused, fault) = (0, 0);
        foreach (var (name, value) in list)
        {
            fixed (byte* n = (byte[])[.. name, 0])
            fixed (byte* v = (byte[])[.. value, 0])
            {
                if (set((nint)n, (nint)v, (nuint)value.Length) == 0)
                    continue;
                // A full disk is said of attributes too that are larger than this file system has room for in one file.
                if (Native.Error is Native.EPerm or Native.EAcces or Native.EOpNotSupp)
                    refused = Native.Error;
                else
                    fault = Native.Error == Native.EIo ? throw TargetFaults.Fault("Attributes cannot be written") : Native.Error;
            }
        }
        if (refused != 0)
            _report.Refusal("extended attributes", refused);
        if (fault == 0)
            return true;
        _report.Problem(entry, TargetFault.NotHeld, $"an extended attribute was not taken: {Native.Describe(fault)}");
        return false;
    }
}
