using Holdfast.Core;

namespace Holdfast.Sources.Files.Linux;

/// <summary>The target's root, and the folders below it as each thread has them open. Nothing here follows a symlink or leaves the root.</summary>
sealed unsafe class TargetFolders : IDisposable
{
    readonly ThreadLocal<FolderHandle> _handles;

    /// <exception cref="HoldfastException">The folder cannot be opened.</exception>
    public TargetFolders(string target)
    {
        fixed (byte* p = System.Text.Encoding.UTF8.GetBytes(Path.GetFullPath(target) + '\0'))
            Root = Native.OpenAt(Native.AtCurrent, p, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (Root < 0)
            throw TargetFaults.Fault("The target folder cannot be opened");
        _handles = new ThreadLocal<FolderHandle>(() => new FolderHandle(Root), trackAllValues: true);
    }

    public int Root { get; }

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
    public FolderHandle Another() => new(Root);

    /// <summary>A part of the target may be mounted read-only; where all of it is, nothing more can be done.</summary>
    public void RequireWritable()
    {
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        if (Native.Access(Root, dot, Native.WriteAccess, Native.AtEffective) != 0 && Native.Error == Native.ERofs)
            throw TargetFaults.Fault("The target cannot be written any more", Native.ERofs);
    }

    public void Dispose()
    {
        foreach (var handle in _handles.Values)
            handle.Dispose();
        _handles.Dispose();
        _ = Native.Close(Root);
    }
}
