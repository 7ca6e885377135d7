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

/// <summary>A real disk that fails at the call with a given number. After a crash it forgets what was never made durable.</summary>
sealed class FaultyDisk(int failAt, Fault fault) : Disk
{
    readonly List<(string Path, FaultyFile File)> _open = [];

    public int Calls { get; private set; }
    public bool HasFailed { get; private set; }

    /// <summary>True where this call must fail.</summary>
    bool Fails(bool writes)
    {
        lock (_open)
        {
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

    public override bool Rename(string from, string name, bool replace) => Fails(writes: false) ? throw Error() : base.Rename(from, name, replace);

    public override void SyncFolder(string path)
    {
        if (Fails(writes: false))
            throw Error();
        base.SyncFolder(path);
    }

    public override void MakeFolder(string path, bool ownerOnly = false)
    {
        if (Fails(writes: true))
            throw Error();
        base.MakeFolder(path, ownerOnly);
    }

    public override void Discard(string path)
    {
        if (HasFailed && fault != Fault.Full)
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
