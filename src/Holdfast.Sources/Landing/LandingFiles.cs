using System.Text;
using Holdfast.Core;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files.Linux;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Sources.Landing;

/// <summary>An open folder of a landing. What lies in it was put there by somebody who may be an attacker: each thing is looked at and moved by its name in this folder, through no link, and names are bytes.</summary>
sealed unsafe class LandingFiles : IDisposable
{
    const uint BirthTime = 0x800; // STATX_BTIME
    const int Directory = 0x200; // AT_REMOVEDIR
    const int MostNames = 200_000;

    readonly int _folder;

    LandingFiles(int folder) => _folder = folder;

    /// <exception cref="HoldfastException">It is not there, no folder, or not this user's to open.</exception>
    public static LandingFiles Open(string path) => TryOpen(path) ?? throw DiskFault.OfErrno(Native.ENoEnt);

    /// <summary>Null where it is not there.</summary>
    public static LandingFiles? TryOpen(string path)
    {
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            var folder = Native.OpenAt(Native.AtCurrent, p, Native.ReadOnly | Native.Folder | Native.NoFollow | Native.CloseOnExec, 0);
            return folder >= 0 ? new LandingFiles(folder) : Native.Error == Native.ENoEnt ? null : throw DiskFault.OfErrno(Native.Error);
        }
    }

    /// <summary>All names, as they were at one moment or another while this ran.</summary>
    public IReadOnlyList<byte[]> Names()
    {
        var names = new NameList();
        if (Native.Seek(_folder, 0, 0) < 0 || !names.Read(_folder))
            throw DiskFault.OfErrno(Native.Error);
        names.Sort();
        return [.. Enumerable.Range(0, Math.Min(names.Count, MostNames)).Select(i => names[i].ToArray())];
    }

    /// <summary>False where it is gone.</summary>
    public bool TryLook(byte[] name, out StatX stat)
    {
        fixed (byte* p = Ended(name))
        fixed (StatX* s = &stat)
            return Native.StatX(_folder, p, Native.AtNoFollow | Native.AtNoAutomount, Native.BasicStats | BirthTime, s) == 0;
    }

    /// <summary>Opens a plain file to read it; null where it is gone or something else.</summary>
    /// <exception cref="HoldfastException"><c>NoPermission</c>.</exception>
    public SafeFileHandle? OpenFile(byte[] name)
    {
        fixed (byte* p = Ended(name))
        {
            var file = Native.OpenAt(_folder, p, Native.ReadOnly | Native.NoFollow | Native.NonBlocking | Native.NoTerminal | Native.CloseOnExec, 0);
            if (file < 0)
            {
                return Native.Error is Native.EAcces or Native.EPerm ? throw new HoldfastException(ErrorCode.NoPermission, "What lies in the landing may not be read by this user: accounts make files that nobody opens again.", "Run `landing take` as root (the unit that `landing init` writes gives it CAP_DAC_OVERRIDE and CAP_LEASE).") : null;
            }
            var handle = new SafeFileHandle(file, ownsHandle: true);
            if (Native.Look(file, out var stat) && stat.Type == Native.TypeFile)
                return handle;
            handle.Dispose();
            return null;
        }
    }

    /// <summary>A read lease is given where nobody has the file open for writing (fcntl(2), F_SETLEASE); it is given back at once.</summary>
    /// <exception cref="HoldfastException"><c>NoPermission</c>, or <c>SystemLimit</c> where the file system has no leases.</exception>
    public static bool IsWritten(SafeFileHandle file)
    {
        var descriptor = (int)file.DangerousGetHandle();
        if (Native.FileControl(descriptor, Native.SetLease, Native.ReadLease) == 0)
        {
            _ = Native.FileControl(descriptor, Native.SetLease, Native.NoLease);
            return false;
        }
        return Native.Error switch
        {
            Native.EAgain => true,
            Native.EAcces or Native.EPerm => throw new HoldfastException(ErrorCode.NoPermission, "This user may not ask whether a file in the landing is still being written (CAP_LEASE).", "Run `landing take` as root."),
            _ => throw new HoldfastException(ErrorCode.SystemLimit, "The file system of the landing does not tell whether a file is still being written: it has no leases.", "Put the landing on a disk of this machine (ext4, XFS, Btrfs), not on a share."),
        };
    }

    /// <summary>Makes it this process's own, readable by nobody else: its account may have had it open, and has no name for it any more.</summary>
    public static void Own(SafeFileHandle file)
    {
        var descriptor = (int)file.DangerousGetHandle();
        if (Native.EffectiveUser() == 0)
            _ = Native.ChangeOwner(descriptor, 0, 0);
        _ = Native.ChangeMode(descriptor, 0x180); // rw-------
    }

    /// <summary>Gives it a name in another folder. False where that is taken, or it is gone.</summary>
    public bool Move(byte[] name, LandingFiles to, byte[] newName)
    {
        fixed (byte* from = Ended(name))
        fixed (byte* into = Ended(newName))
        {
            if (Native.RenameNew(_folder, from, to._folder, into, Native.NoReplace) == 0)
                return true;
            return Native.Error is Native.EExist or Native.ENoEnt ? false : throw DiskFault.OfErrno(Native.Error);
        }
    }

    /// <summary>Forgets a file that the vault has, or an empty folder; one that is gone is none.</summary>
    public void Forget(string name, bool isFolder = false) => Forget(Encoding.UTF8.GetBytes(name), isFolder);

    public void Forget(byte[] name, bool isFolder = false)
    {
        fixed (byte* p = Ended(name))
        {
            if (Native.Unlink(_folder, p, isFolder ? Directory : 0) != 0 && Native.Error != Native.ENoEnt)
                throw DiskFault.OfErrno(Native.Error);
        }
    }

    /// <summary>Of the folder itself.</summary>
    public uint Mode => Native.Look(_folder, out var stat) ? stat.Mode & 0xFFFu : throw DiskFault.OfErrno(Native.Error);

    /// <summary>Sets the mode of the folder itself.</summary>
    public void SetMode(uint mode)
    {
        if (Native.Look(_folder, out var stat) && (stat.Mode & 0xFFFu) != mode && Native.ChangeMode(_folder, mode) != 0)
            throw DiskFault.OfErrno(Native.Error);
    }

    public void SetOwner(uint user, uint group)
    {
        if (Native.ChangeOwner(_folder, user, group) != 0)
            throw DiskFault.OfErrno(Native.Error);
    }

    static byte[] Ended(byte[] name) => [.. name, 0];

    public void Dispose() => _ = Native.Close(_folder);
}
