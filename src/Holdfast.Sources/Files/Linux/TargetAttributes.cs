using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Owners, permissions, times and extended attributes. What this user may not set is counted as a refusal; it stops nothing.</summary>
sealed unsafe class TargetAttributes
{
    const uint SetIds = 0xC00; // set-user-id and set-group-id

    const string Forgotten = "the file system takes them and does not keep them";

    readonly TargetReport _report;
    readonly TargetDisks _disks;
    readonly bool _isRoot = Native.EffectiveUser() == 0;

    public TargetAttributes(TargetReport report, TargetDisks disks) => (_report, _disks) = (report, disks);

    static ReadOnlySpan<byte> AccessList => "system.posix_acl_access\0"u8;

    static ReadOnlySpan<byte> DefaultList => "system.posix_acl_default\0"u8;

    /// <summary>False where one of them could not be set though this user may set it and this file system has it.</summary>
    /// <param name="file">Open.</param>
    /// <param name="entry">What it is to have.</param>
    /// <param name="isMet">It was there already: attributes that it has need not be set.</param>
    public bool Set(int file, Noted entry, bool isMet = false)
    {
        var isSeen = Native.Look(file, out var stat);
        var disk = _disks.Of(stat.Device);
        var owned = SetOwner(file, entry, isSeen && IsOwners(stat, entry), disk, (uid, gid) => Native.ChangeOwner(file, uid, gid));
        var whole = SetLists(file, entry, isMet);
        var mode = owned || entry.Kind == EntryKind.Directory ? entry.Mode : entry.Mode & ~SetIds; // not for another owner than the snapshot's
        if (mode != entry.Mode)
            _report.Refusal("set-id bits", "the owner is another");
        var isAsMade = isSeen && mode == 0x180 && (stat.Mode & 0xFFF) == mode; // nothing above changes that
        if (!isAsMade && (isMet || entry.Kind == EntryKind.Directory) && (mode & SetIds) != 0 && !_isRoot)
            isAsMade = Native.Look(file, out var now) && (now.Mode & 0xFFF) == mode; // who is not in its group takes the set-group-id bit away by setting it
        if (!isAsMade)
            JudgeMode(Native.ChangeMode(file, mode), file, mode, disk);
        var times = stackalloc TimeSpec[2];
        FillTimes(times, entry);
        if (Native.SetTimes(file, times) != 0)
            _report.Refusal("times", Native.Error);
        NoteGot(file, entry);
        return whole;
    }

    bool SetLists(int file, Noted entry, bool isMet)
    {
        RemoveLists(entry, (name, value, size) => Native.GetXattr(file, (byte*)name, (byte*)value, size), name => Native.RemoveXattr(file, (byte*)name));
        return entry.Xattrs is not { } xattrs || SetXattrs(entry, xattrs, (name, value, size) => Native.SetXattr(file, (byte*)name, (byte*)value, size, 0), isMet ? (name, value) => Has(file, name, value) : null);
    }

    /// <summary>Of what a user may not set twice: a file of 0444 takes no <c>user.</c> attribute any more.</summary>
    static bool Has(int file, nint name, ReadOnlySpan<byte> value)
    {
        var there = new byte[value.Length + 1]; // one more, so that a longer one is seen
        fixed (byte* t = there)
            return Native.GetXattr(file, (byte*)name, t, (nuint)there.Length) is >= 0 and var size && there.AsSpan(0, (int)size).SequenceEqual(value);
    }

    /// <summary>Takes away from a folder that was there what somebody set on it and the snapshot does not have. Files of that kind are written anew instead.</summary>
    public void RemoveOthers(int folder, Noted entry)
    {
        var others = Xattrs.Others(folder, entry.Xattrs);
        if (others is null)
            _report.Refusal("extended attributes", Native.Error);
        foreach (var other in others ?? [])
        {
            fixed (byte* name = (byte[])[.. other, 0])
            {
                if (Native.RemoveXattr(folder, name) != 0 && Native.Error != Native.ENoData)
                    _report.Refusal("extended attributes", Native.Error);
            }
        }
    }

    static void NoteGot(int file, Noted entry)
    {
        StatX stat;
        byte nul = 0;
        if (entry.Kind == EntryKind.File && !entry.IsBrief && Native.StatX(file, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0)
        {
            entry.Got = (stat.Uid, stat.Gid, stat.Mode & 0xFFFu);
            entry.Which = (stat.Device, stat.Inode);
        }
    }

    /// <summary>Gives a file that was there already what it lacks: the run that wrote it may not have been allowed all that this one is.</summary>
    public void Freshen(int file, Noted entry)
    {
        StatX stat;
        byte nul = 0;
        if (Native.StatX(file, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) != 0 || (stat.Mode & 0xFFF) != entry.Mode || stat.Uid != entry.Uid || stat.Gid != entry.Gid
            || stat.Modified.Seconds != entry.Seconds || stat.Modified.Nanoseconds != entry.Nanoseconds)
        {
            Set(file, entry, isMet: true);
            return;
        }
        SetLists(file, entry, isMet: true); // permissions do not tell whether they differ
        NoteGot(file, entry);
    }

    /// <summary>Of a folder that stays whose it was: its time is set, and rights are taken away that the snapshot does not give, which nobody gains by. What it has not of the snapshot's is told.</summary>
    /// <param name="folder">A handle on it.</param>
    /// <param name="entry">What the snapshot has.</param>
    /// <param name="mode">The permissions that it had.</param>
    /// <returns>False where something was told.</returns>
    public bool Keep(int folder, Noted entry, uint mode)
    {
        var isAsSaid = true;
        const uint owner = 0x1C0, group = 0x38, others = 0x7, sticky = 0x200;
        var isSeen = Native.Look(folder, out var stat);
        if (!isSeen || !IsOwners(stat, entry))
            RefuseWhere(_disks.Of(stat.Device).KeepsOwners, "owners");
        var allowed = isSeen && stat.Gid == entry.Gid ? entry.Mode : (entry.Mode & ~group) | (entry.Mode & group & ((entry.Mode & others) << 3)); // another group has what everybody has
        if (!isSeen || stat.Uid != entry.Uid)
            allowed |= owner; // its owner can have it anyway
        var isMine = isSeen && (stat.Uid == entry.Uid || stat.Uid == Native.EffectiveUser()); // a third one's is not touched
        var narrow = isMine ? (mode & allowed) | (mode & sticky) : mode;
        if (!isSeen || (stat.Mode & 0xFFF) != narrow)
            _ = Native.ChangeMode(folder, narrow); // and without what was changed for this run; before its lists are looked at, whose mask the group's part is
        if (!Native.Look(folder, out stat) || (stat.Mode & 0xFFF) != entry.Mode)
            RefuseWhere(_disks.Of(stat.Device).KeepsModes, "permissions");
        if (Xattrs.Others(folder, entry.Xattrs) is not { Count: 0 } || !HasAll(folder, entry.Xattrs))
            Refuse("extended attributes");
        if (HasList(folder, entry, AccessList) || HasList(folder, entry, DefaultList))
            Refuse("access control lists");
        var times = stackalloc TimeSpec[2];
        FillTimes(times, entry);
        if (Native.SetTimes(folder, times) != 0)
            _report.Refusal("times", Native.Error);
        return isAsSaid;

        void Refuse(string what)
        {
            isAsSaid = false;
            _report.InDoubt(what, entry);
        }

        void RefuseWhere(bool isKept, string what)
        {
            if (isKept)
                Refuse(what);
            else
                _report.Refusal(what, Forgotten); // nobody can set it there
        }
    }

    static bool HasAll(int file, byte[]? xattrs)
    {
        var all = new List<(byte[] Name, byte[] Value)>();
        if (xattrs is null || !XattrList.TryDecode(xattrs, all))
            return xattrs is null;
        foreach (var (name, value) in all)
        {
            fixed (byte* n = (byte[])[.. name, 0])
            {
                if (!Has(file, (nint)n, value))
                    return false;
            }
        }
        return true;
    }

    /// <summary>True for a list that the snapshot has not: whoever it names has rights that the snapshot gives nobody.</summary>
    static bool HasList(int folder, Noted entry, ReadOnlySpan<byte> list)
    {
        fixed (byte* name = list)
            return Native.GetXattr(folder, name, null, 0) >= 0 && !XattrList.Has(entry.Xattrs, list[..^1]);
    }

    /// <summary>As <see cref="Set"/>, of a symlink or a special file just made, by a handle that names it alone: under its name another's may stand by now.</summary>
    public bool SetLate(int handle, Noted entry)
    {
        var isOwned = Native.Look(handle, out var stat) && IsOwners(stat, entry);
        var disk = _disks.Of(stat.Device);
        SetOwner(handle, entry, isOwned, disk, (uid, gid) =>
        {
            byte nul = 0;
            return Native.ChangeOwner(handle, &nul, uid, gid, Native.AtEmptyPath);
        });
        fixed (byte* path = FolderHandle.ProcPath(handle))
        {
            var start = (nint)path;
            if (entry.Kind != EntryKind.Symlink)
                RemoveLists(entry, (name, value, size) => Native.GetXattrOf((byte*)start, (byte*)name, (byte*)value, size), name => Native.RemoveXattr((byte*)start, (byte*)name));
            if (entry.Kind != EntryKind.Symlink)
                JudgeMode(Native.ChangeMode(Native.AtCurrent, path, entry.Mode, 0), handle, entry.Mode, disk);
            var whole = entry.Xattrs is not { } xattrs || SetXattrs(entry, xattrs, (n, value, size) => Native.SetXattr((byte*)start, (byte*)n, (byte*)value, size, 0), null);
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

    static bool IsOwners(in StatX stat, Noted entry) => (stat.Uid, stat.Gid) == (entry.Uid, entry.Gid);

    /// <param name="failed">What the call that set them gave.</param>
    /// <param name="file">A handle on what they were set on.</param>
    /// <param name="mode">What it is to have.</param>
    /// <param name="disk">Where it lies.</param>
    void JudgeMode(int failed, int file, uint mode, DiskTraits disk)
    {
        if (failed != 0)
            _report.Refusal("permissions", Native.Error);
        else if ((!disk.KeepsModes || (!_isRoot && (mode & SetIds) != 0)) && !(Native.Look(file, out var stat) && (stat.Mode & 0xFFF) == mode))
            _report.Refusal("permissions", disk.KeepsModes ? "this user is not in its group" : Forgotten);
    }

    /// <summary>Owner and permissions are what they are to be.</summary>
    /// <param name="file">A handle on it.</param>
    /// <param name="entry">What it is to have.</param>
    /// <param name="mode">The permissions that it had.</param>
    public static bool IsAsSaid(int file, Noted entry, uint mode) => mode == entry.Mode && Native.Look(file, out var stat) && IsOwners(stat, entry);

    /// <param name="file">A handle on it.</param>
    /// <param name="entry">Whose it is to be.</param>
    /// <param name="isOwned">It is theirs already. What root makes is root's, but for its group where the folder gives its own; and who owns the folder may have put something else there.</param>
    /// <param name="disk">Where it lies.</param>
    /// <param name="change">Gives it away.</param>
    bool SetOwner(int file, Noted entry, bool isOwned, DiskTraits disk, Func<uint, uint, int> change)
    {
        if (_isRoot && isOwned)
            return true;
        if (change(_isRoot ? entry.Uid : uint.MaxValue, entry.Gid) != 0)
        {
            _report.Refusal("owners", Native.Error);
            return false;
        }
        if (!_isRoot && entry.Uid != Native.EffectiveUser())
        {
            _report.Refusal("owners", Native.EPerm);
            return false;
        }
        if (disk.KeepsOwners || (Native.Look(file, out var stat) && IsOwners(stat, entry)))
            return true;
        _report.Refusal("owners", Forgotten);
        return false;
    }

    /// <summary>Takes away the lists of rights that the folder handed down (acl(5), default ACLs) and the snapshot does not have: with them a file is open to others than the ones it was, whatever its permissions.</summary>
    void RemoveLists(Noted entry, Func<nint, nint, nuint, nint> get, Func<nint, int> remove)
    {
        RemoveList(AccessList);
        if (entry.Kind == EntryKind.Directory)
            RemoveList(DefaultList);

        void RemoveList(ReadOnlySpan<byte> list)
        {
            fixed (byte* name = list)
            {
                if (get((nint)name, 0, 0) >= 0 && !XattrList.Has(entry.Xattrs, list[..^1]) && remove((nint)name) != 0 && Native.Error != Native.ENoData)
                    _report.Refusal("access control lists", Native.Error);
            }
        }
    }

    delegate bool Finder(nint name, ReadOnlySpan<byte> value);

    /// <param name="entry">Whose they are.</param>
    /// <param name="xattrs">Encoded.</param>
    /// <param name="set">Sets one.</param>
    /// <param name="has">True for one that is there already; null where none can be.</param>
    bool SetXattrs(Noted entry, byte[] xattrs, Func<nint, nint, nuint, int> set, Finder? has)
    {
        var list = new List<(byte[] Name, byte[] Value)>();
        if (!XattrList.TryDecode(xattrs, list))
            return false;
        var (refused, fault) = (0, 0);
        // Lists of rights last: one that takes the owner's right to write takes a user the right to set the others.
        foreach (var (name, value) in list.OrderBy(a => a.Name.AsSpan().StartsWith("system."u8)))
        {
            fixed (byte* n = (byte[])[.. name, 0])
            fixed (byte* v = (byte[])[.. value, 0])
            {
                if ((has is not null && has((nint)n, value)) || set((nint)n, (nint)v, (nuint)value.Length) == 0)
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
