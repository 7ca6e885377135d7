using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>Keeps apart those who look at files of a folder and replace them by what they saw. The folder itself is locked (flock(2)): that leaves no file in it, and takes no right to write there.</summary>
public static class FolderLock
{
    /// <summary>Waits for it. To be held for moments.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="patience">For so long.</param>
    /// <returns>Null where it cannot be had: somebody else holds it all the time, this user may not read the folder, or there are no such locks (elsewhere than on Linux; on some network file systems).</returns>
    public static IDisposable? Take(string folder, TimeSpan patience)
    {
        if (!OperatingSystem.IsLinux() || Open(folder) is not { } file)
            return null;
        var since = TimeProvider.System.GetTimestamp();
        while (Libc.FileLock(file, Libc.LockAlone) != 0)
        {
            if (Marshal.GetLastPInvokeError() != Libc.WouldBlock || TimeProvider.System.GetElapsedTime(since) > patience)
            {
                file.Dispose();
                return null;
            }
            Thread.Sleep(5); // the system's wait for a lock has no time limit, and cannot be taken back
        }
        return file;
    }

    static SafeFileHandle? Open(string folder)
    {
        try
        {
            return FolderOwner.Read(folder, () => Libc.Open(folder, Libc.OpenFolder)) is var descriptor and >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
