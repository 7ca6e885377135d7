using System.Collections.Concurrent;
using Holdfast.Core;

namespace Holdfast.Sources.Files.Linux;

/// <summary>The target's root, and the folders below it as each thread has them open. Nothing here follows a symlink or leaves the root.</summary>
sealed unsafe class TargetFolders : IDisposable
{
    readonly ThreadLocal<FolderHandle> _handles;
    readonly Dictionary<ulong, int> _disks = []; // by device: a folder on each file system that is mounted in the target, open since before anything was written there

    readonly HashSet<(ulong Device, ulong Inode)> _forbidden = [];
    readonly ConcurrentDictionary<Hash32, (ulong Device, ulong Inode, uint Owner)> _pinned = []; // by the digest of the path, which may be long
    readonly HashSet<(ulong Device, ulong Inode)> _pinnedFolders = [];
    volatile bool _hasPinned;

    /// <param name="target">The root.</param>
    /// <param name="forbidden">Folders in which nothing is made, wherever a mount or a symlink shows them.</param>
    /// <exception cref="HoldfastException">The folder cannot be opened, or is one of those.</exception>
    public TargetFolders(string target, IReadOnlyList<string> forbidden)
    {
        foreach (var folder in forbidden)
        {
            StatX there;
            fixed (byte* p = System.Text.Encoding.UTF8.GetBytes(Path.GetFullPath(folder) + '\0'))
            {
                if (Native.StatX(Native.AtCurrent, p, 0, Native.BasicStats, &there) == 0)
                    _forbidden.Add((there.Device, there.Inode));
            }
        }
        fixed (byte* p = System.Text.Encoding.UTF8.GetBytes(Path.GetFullPath(target) + '\0'))
            Root = Native.OpenAt(Native.AtCurrent, p, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (Root < 0)
            throw TargetFaults.Fault("The target folder cannot be opened");
        StatX stat;
        byte nul = 0;
        if (Native.StatX(Root, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0)
            _disks[Device = stat.Device] = Root;
        if (_disks.Count > 0 && IsForbidden(stat))
        {
            _ = Native.Close(Root);
            throw FileTarget.Inside();
        }
        _handles = new ThreadLocal<FolderHandle>(Another, trackAllValues: true);
    }

    public int Root { get; }

    /// <summary>On which the root lies.</summary>
    public ulong Device { get; }

    /// <summary>-1 where it cannot be opened, with the error set.</summary>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>: something else has taken its place. <c>StoreUnavailable</c>.</exception>
    public int Open(ReadOnlySpan<byte> path)
    {
        var folder = TryOpen(path);
        return folder >= 0 || !(TargetFaults.IsOfTheDisk(Native.Error) || Native.Error is Native.ELoop or Native.ENotDir or Native.EXDev) ? folder
            : throw TargetFaults.Fault("A folder of the target cannot be opened");
    }

    /// <summary>As <see cref="Open"/>, -1 whatever the error.</summary>
    public int TryOpen(ReadOnlySpan<byte> path) => _handles.Value!.Open(path);

    /// <summary>For two folders at once: the thread's own handle holds one.</summary>
    public FolderHandle Another() => new(Root, IsPinned);

    /// <summary>From here on a path leads to this folder or to none: somebody else can put another in its place, and back, while files are written. From one thread.</summary>
    /// <remarks>The owner is part of it: a number is given anew once its folder is removed, but nobody makes a folder of another user's.</remarks>
    /// <returns>False where another path leads to the same folder.</returns>
    public bool Pin(ReadOnlySpan<byte> path, in StatX stat)
    {
        _pinned[Key(path)] = (stat.Device, stat.Inode, stat.Uid);
        _hasPinned = true;
        return _pinnedFolders.Add((stat.Device, stat.Inode));
    }

    bool IsPinned(ReadOnlySpan<byte> path, int folder)
    {
        StatX stat;
        byte nul = 0;
        return !_hasPinned || !_pinned.TryGetValue(Key(path), out var pinned) || (Native.StatX(folder, &nul, Native.AtEmptyPath, Native.BasicStats, &stat) == 0 && pinned == (stat.Device, stat.Inode, stat.Uid));
    }

    static Hash32 Key(ReadOnlySpan<byte> path) => new(System.Security.Cryptography.SHA256.HashData(path));

    /// <summary>A part of the target may be mounted read-only; where all of it is, nothing more can be done.</summary>
    public void RequireWritable()
    {
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        if (Native.Access(Root, dot, Native.WriteAccess, Native.AtEffective) != 0 && Native.Error == Native.ERofs)
            throw TargetFaults.Fault("The target cannot be written any more", Native.ERofs);
    }

    public bool IsForbidden(in StatX stat) => _forbidden.Contains((stat.Device, stat.Inode));

    /// <summary>A folder that was there: where another file system is mounted, that one is synced too at the end.</summary>
    /// <param name="folder">A handle on it.</param>
    /// <param name="device">Where it lies.</param>
    /// <returns>True where none on that file system was met before.</returns>
    public bool Meet(int folder, ulong device)
    {
        if (_disks.ContainsKey(device))
            return false;
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var handle = Native.OpenAt(folder, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (handle >= 0)
            _disks[device] = handle; // where it cannot be opened, it cannot be finished either, and that is told
        return true;
    }

    /// <summary>Small files lie in the page cache so far, and an error of writing them later would be nobody's.</summary>
    /// <exception cref="HoldfastException">It cannot be written to the disk.</exception>
    public void Sync()
    {
        foreach (var folder in _disks.Values.Append(Root).Distinct())
        {
            if (Native.SyncFileSystem(folder) != 0 && Native.Error is not (Native.ENoSys or Native.EInval))
                throw TargetFaults.Fault("What was restored could not be written to the target's disk");
        }
    }

    public void Dispose()
    {
        foreach (var folder in _disks.Values.Where(f => f != Root))
            _ = Native.Close(folder);
        foreach (var handle in _handles.Values)
            handle.Dispose();
        _handles.Dispose();
        _ = Native.Close(Root);
    }
}
