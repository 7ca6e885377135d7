using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Tests;

/// <summary>How the machine dies at a chosen call.</summary>
enum Fault
{
    /// <summary>The call does nothing, and nothing after it does.</summary>
    Stop,

    /// <summary>A write does half of its work first.</summary>
    Torn,

    /// <summary>The disk is full from here on, but calls that write nothing work.</summary>
    Full,
}

/// <summary>Names that files got and whose folder was not made durable since: a machine that loses power may forget them.</summary>
sealed class UnsyncedNames
{
    readonly HashSet<string> _paths = [];

    public void Add(string path)
    {
        lock (_paths)
            _paths.Add(path);
    }

    public void Sync(string folder)
    {
        lock (_paths)
            _paths.RemoveWhere(p => Path.GetDirectoryName(p) == folder);
    }

    /// <summary>The power goes: the files are gone.</summary>
    public void Lose()
    {
        foreach (var path in _paths)
            File.Delete(path);
        _paths.Clear();
    }
}

/// <summary>A real disk that fails at the call with a given number. After a crash it forgets what was never made durable.</summary>
/// <param name="failAt">Calls that work.</param>
/// <param name="fault">How the next one fails.</param>
/// <param name="names">Gets the new names that are not durable; several disks may share it, one after the other.</param>
sealed class FaultyDisk(int failAt, Fault fault, UnsyncedNames? names = null) : Disk
{
    readonly List<(string Path, FaultyFile File)> _open = [];

    public int Calls { get; private set; }
    public bool HasFailed { get; private set; }
    bool _isFreed;

    /// <summary>There is space again: from here on all calls work.</summary>
    public void Free() => _isFreed = true;

    /// <summary>It fails from here on.</summary>
    public void FailNow() => HasFailed = true;

    /// <summary>True where this call must fail.</summary>
    bool Fails(bool writes)
    {
        lock (_open)
        {
            if (_isFreed)
                return false;
            if (HasFailed)
                return fault != Fault.Full || writes;
            if (++Calls <= failAt)
                return false;
            HasFailed = true;
            return true;
        }
    }

    static HoldfastException Dead() => new(ErrorCode.StoreUnavailable, "The machine has stopped (a test).", "None.");

    HoldfastException Error() => fault == Fault.Full ? DiskFault.OfErrno(28) : Dead();

    public override DiskFile Create(string path)
    {
        if (Fails(writes: true))
            throw Error();
        var file = new FaultyFile(this, base.Create(path), path);
        lock (_open)
            _open.Add((path, file));
        return file;
    }

    public override DiskFile CreateLarge(string path) => Create(path);

    public override bool Rename(string from, string name, bool replace)
    {
        if (Fails(writes: false))
            throw Error();
        var isNamed = base.Rename(from, name, replace);
        if (isNamed && !replace)
            names?.Add(name);
        return isNamed;
    }

    public override void SyncFolder(string path)
    {
        if (Fails(writes: false))
            throw Error();
        base.SyncFolder(path);
        names?.Sync(path);
    }

    public override void MakeFolder(string path, bool ownerOnly = false)
    {
        if (Fails(writes: true))
            throw Error();
        base.MakeFolder(path, ownerOnly);
    }

    public override void Discard(string path)
    {
        if (HasFailed && !_isFreed && fault != Fault.Full)
            return;
        base.Discard(path);
    }

    sealed class FaultyFile(FaultyDisk disk, DiskFile inner, string path) : DiskFile(new Microsoft.Win32.SafeHandles.SafeFileHandle())
    {
        bool _synced;

        public override long Length => inner.Length;

        public override void Append(ReadOnlySpan<byte> bytes)
        {
            if (!disk.Fails(writes: true))
            {
                _synced = false;
                inner.Append(bytes);
                return;
            }
            if (disk.Torn)
                inner.Append(bytes[..(bytes.Length / 2)]);
            throw disk.Error();
        }

        public override void Sync()
        {
            if (disk.Fails(writes: false))
            {
                // What was not made durable may be lost: here, all of the file's second half is.
                if (!_synced && disk.Torn)
                {
                    inner.Dispose();
                    using var file = new FileStream(path, FileMode.Open);
                    file.SetLength(file.Length / 2);
                }
                throw disk.Error();
            }
            inner.Sync();
            _synced = true;
        }

        public override void Dispose()
        {
            inner.Dispose();
            base.Dispose();
        }
    }

    bool Torn => fault == Fault.Torn;
}
