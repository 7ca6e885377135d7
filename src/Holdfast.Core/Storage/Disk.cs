using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>Every change this program makes to a vault's folders goes through here: one seam where a test can fail or tear each call.</summary>
/// <remarks>Of reading, only that packs and objects are opened: what was read is checked against its name, its tag or its tree. Safe for concurrent use.</remarks>
public class Disk
{
    public static readonly Disk Real = new();

    const UnixFileMode PrivateFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode OwnerFolder = PrivateFile | UnixFileMode.UserExecute;
    internal const UnixFileMode PrivateFolder = OwnerFolder | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;

    /// <summary>Opens a pack or an object to read it; null where something else than a plain file has the name.</summary>
    public virtual SafeFileHandle? OpenStored(string path) => DiskFault.Translated(() => PlainFile.Open(path));

    /// <summary>A new file, readable by its owner alone; fails where there is one.</summary>
    public virtual DiskFile Create(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.Read };
        return DiskFault.Translated(() => new DiskFile(FolderOwner.Act(path, () => OpenNew(path, options)), Path.GetDirectoryName(path)), Path.GetDirectoryName(path));
    }

    /// <summary>A new file for tens of megabytes that are written once and not read back soon.</summary>
    public virtual DiskFile CreateLarge(string path) => FolderOwner.Act(path, () => DirectDiskFile.TryCreate(path)) ?? Create(path);

    /// <summary>A new file that is read back in a moment and forgotten: nothing hurries its bytes to the disk.</summary>
    public virtual DiskFile CreatePassing(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.ReadWrite | FileShare.Delete };
        return DiskFault.Translated(() => new DiskFile(FolderOwner.Act(path, () => OpenNew(path, options)), Path.GetDirectoryName(path)) { IsPassing = true }, Path.GetDirectoryName(path));
    }

    /// <summary>Opens a file of whole lines to add to its end, and makes it where it is missing. Several processes may: each addition goes to the end of all others.</summary>
    public virtual DiskFile AddTo(string path) =>
        DiskFault.Translated(() =>
        {
            var file = FolderOwner.Act(path, () => OpenToContinue(path));
            return new DiskFile(file, Path.GetDirectoryName(path)) { Begin = RandomAccess.GetLength(file) };
        }, Path.GetDirectoryName(path));

    static SafeFileHandle OpenToContinue(string path)
    {
        if (!OperatingSystem.IsLinux())
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read);
        var file = Libc.Open(path, Libc.WriteAtEnd | Libc.NoFollow, 0x180); // rw-------
        return file >= 0 ? new SafeFileHandle(file, ownsHandle: true) : throw DiskFault.OfErrno(Marshal.GetLastPInvokeError());
    }

    static SafeFileHandle OpenNew(string path, FileStreamOptions options)
    {
        // Private from its first moment: a mode set afterwards leaves one in which others may open it.
        if (OperatingSystem.IsLinux() && Libc.Open(path, Libc.WriteCreateNew, 0x180) is var file and >= 0)
            return Leftovers.Hold(new SafeFileHandle(file, ownsHandle: true));
        var handle = File.OpenHandle(path, options.Mode, options.Access, options.Share);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(handle, PrivateFile);
        return handle;
    }

    /// <summary>Gives a file its name. Atomic: a crash leaves the old or the new.</summary>
    /// <returns>False where <paramref name="replace"/> is not set and the name is taken.</returns>
    public virtual bool Rename(string from, string name, bool replace) => DiskFault.Translated(() => FolderOwner.Act(name, () => RenameOwn(from, name, replace)), Path.GetDirectoryName(name));

    bool RenameOwn(string from, string name, bool replace)
    {
        if (replace || !OperatingSystem.IsLinux())
        {
            try
            {
#pragma warning disable RS0030 // the one place that renames
                File.Move(from, name, replace);
#pragma warning restore RS0030
                return true;
            }
            catch (IOException) when (!replace && File.Exists(name))
            {
                return false;
            }
        }
        var error = RenameUnlessTaken(from, name);
        if (error == 0)
            return true;
        if (error == Libc.Exist)
            return false;
        if (error is not (Libc.InvalidArgument or Libc.NotSupported))
            throw DiskFault.OfErrno(error);
        // Some file systems (NFS, some FUSE) lack RENAME_NOREPLACE. A folder takes the place of nothing but an empty one, and has no further names; link refuses a taken name too.
        if (Directory.Exists(from))
        {
            if (Path.Exists(name))
                return false;
            if (Libc.RenameAt2(Libc.AtFdcwd, from, Libc.AtFdcwd, name, 0) == 0)
                return true;
            return Marshal.GetLastPInvokeError() is Libc.Exist or Libc.NotEmpty or Libc.NotFolder ? false : throw DiskFault.OfErrno(Marshal.GetLastPInvokeError());
        }
        if (Libc.Link(from, name) != 0)
            return Marshal.GetLastPInvokeError() == Libc.Exist ? false : throw DiskFault.OfErrno(Marshal.GetLastPInvokeError());
        Discard(from);
        return true;
    }

    /// <summary>Gives a name that nothing has.</summary>
    /// <returns>0, or the system's number for what is wrong: also that the file system cannot do just that.</returns>
    protected virtual int RenameUnlessTaken(string from, string name) => Libc.RenameAt2(Libc.AtFdcwd, from, Libc.AtFdcwd, name, Libc.RenameNoReplace) == 0 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary>Makes names in a folder durable.</summary>
    public virtual void SyncFolder(string path)
    {
        if (!OperatingSystem.IsLinux())
            return;
        var folder = Libc.Open(path, Libc.OpenFolder); // changes nothing
        if (folder < 0)
            throw DiskFault.OfErrno(Marshal.GetLastPInvokeError());
        try
        {
            if (Libc.Fsync(folder) != 0 && Marshal.GetLastPInvokeError() != Libc.InvalidArgument)
                throw DiskFault.OfErrno(Marshal.GetLastPInvokeError());
        }
        finally
        {
            _ = Libc.Close(folder);
        }
    }

    /// <summary>Makes a folder and those above it where they are missing.</summary>
    /// <param name="path">One that is there stays as it is.</param>
    /// <param name="ownerOnly">For keys: nobody but the owner looks in.</param>
    public virtual void MakeFolder(string path, bool ownerOnly = false) => DiskFault.Translated(() => FolderOwner.MakeFolder(path, ownerOnly ? OwnerFolder : PrivateFolder), path);

    /// <summary>Makes a folder and those above it where they are missing, and their names durable.</summary>
    public void MakeDurable(string path, bool ownerOnly = false)
    {
        path = Path.GetFullPath(path);
        var above = new List<string>();
        for (var at = path; !Directory.Exists(at) && Path.GetDirectoryName(at) is { } parent; at = parent)
            above.Add(parent);
        MakeFolder(path, ownerOnly);
        foreach (var parent in above)
        {
            try
            {
                SyncFolder(parent);
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.NoPermission)
            {
                // A folder may be writable and not readable, and then it cannot be opened to be synced.
            }
        }
    }

    /// <summary>Refuses a folder that can be neither made nor written to. Writes nothing; a read-only disk is found out even by root.</summary>
    /// <exception cref="HoldfastException"><c>NoPermission</c>, <c>ReadOnlyMedia</c>; <c>Usage</c> where a file stands in the way.</exception>
    public static void RequireWritable(string folder)
    {
        for (var at = Path.GetFullPath(folder); ; at = Path.GetDirectoryName(at) ?? throw DiskFault.OfErrno(2))
        {
            if (File.Exists(at))
                throw new HoldfastException(ErrorCode.Usage, "There is a file where a folder should be.", "Name another folder, or one below a folder that is there.");
            if (!Directory.Exists(at))
                continue;
            if (OperatingSystem.IsLinux() && Libc.Access(at, Libc.MayWriteAndEnter) != 0)
                throw DiskFault.OfErrno(Marshal.GetLastPInvokeError(), folder);
            return;
        }
    }

    /// <summary>Forgets a nameless file: one that was never entered. Nothing with a name is ever given to this.</summary>
    public virtual void Discard(string path)
    {
        try
        {
            FolderOwner.Act(path, () =>
            {
#pragma warning disable RS0030 // staging only; the layer test knows this place
                File.Delete(path);
#pragma warning restore RS0030
                return true;
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What stays in staging may be discarded by anyone at any time.
        }
    }

    /// <summary>Writes a small file apart and puts it in the place of the old one, durably.</summary>
    public void Replace(string path, ReadOnlySpan<byte> bytes) => Put(path, bytes, replace: true);

    /// <summary>Writes a new small file whole and durably, or nothing.</summary>
    /// <returns>False where the name is taken; what is there stays.</returns>
    public bool WriteNew(string path, ReadOnlySpan<byte> bytes) => Put(path, bytes, replace: false);

    bool Put(string path, ReadOnlySpan<byte> bytes, bool replace)
    {
        var apart = $"{path}.{Id16.New()}.new";
        try
        {
            using (var file = Create(apart))
            {
                file.Append(bytes);
                file.Sync();
            }
            if (!Rename(apart, path, replace))
            {
                Discard(apart);
                return false;
            }
        }
        catch
        {
            Discard(apart);
            throw;
        }
        SyncFolder(Path.GetDirectoryName(path)!);
        return true;
    }
}

/// <summary>A file being written, in order.</summary>
/// <param name="handle">Open for writing.</param>
/// <param name="folder">It lies there, for a disk that is full.</param>
public class DiskFile(SafeFileHandle handle, string? folder = null) : IDisposable
{
    const long WriteBehind = 8 << 20; // bytes after which the system is told to start writing

    long _started;

    long _length;

    /// <summary>Bytes of the file, as far as this has written it.</summary>
    public virtual long Length => _length;

    internal bool IsPassing { get; init; }

    /// <summary>Bytes of it that were there before.</summary>
    internal long Begin
    {
        init => _length = _started = value;
    }

    public virtual void Append(ReadOnlySpan<byte> bytes)
    {
        try
        {
            RandomAccess.Write(handle, bytes, _length); // of a file that is continued the system takes the end, whatever the offset (pwrite(2), BUGS)
        }
        catch (Exception e) when (DiskFault.IsOfFile(e))
        {
            throw DiskFault.Of(e, folder, bytes.Length);
        }
        _length += bytes.Length;
        // A pack's fsync at the end then waits for its last few MiB, not for all of it.
        if (_length - _started >= WriteBehind && !IsPassing && OperatingSystem.IsLinux())
        {
            _ = Libc.SyncFileRange(handle, _started, _length - _started, Libc.StartWriting);
            _started = Length;
        }
    }

    /// <summary>Makes the bytes durable.</summary>
    public virtual void Sync() => DiskFault.Translated(() =>
    {
        RandomAccess.FlushToDisk(handle);
        return true;
    });

    public virtual void Dispose()
    {
        handle.Dispose();
        GC.SuppressFinalize(this);
    }
}
