using Holdfast.Core.Storage;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Keeper;

/// <summary>Keeps keepers of several processes apart while one of them writes the log. Held for moments, not for a backup.</summary>
sealed class KeeperLock : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    readonly SafeFileHandle _file;

    KeeperLock(SafeFileHandle file) => _file = file;

    /// <exception cref="HoldfastException"><c>VaultBusy</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>.</exception>
    public static KeeperLock Take(string path) => Take(path, null, CancellationToken.None);

    /// <param name="path">Of the lock.</param>
    /// <param name="patience">How long to wait for it; null for as long as a change of the log waits.</param>
    /// <param name="ct">Ends the waiting: then it is busy.</param>
    /// <exception cref="HoldfastException"><c>VaultBusy</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>.</exception>
    public static KeeperLock Take(string path, TimeSpan? patience, CancellationToken ct)
    {
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                return new KeeperLock(PlainFile.Take(path));
            }
            catch (UnauthorizedAccessException e)
            {
                throw DiskFault.Of(e, Path.GetDirectoryName(path));
            }
            catch (IOException e) when (!Directory.Exists(Path.GetDirectoryName(path)))
            {
                throw new HoldfastException(ErrorCode.KeyFileBad, "The vault's folder `keeper` is missing, and with it the key of the log: nothing can be written.",
                    "Bring `keeper` back from another copy of the vault. Listing, restoring and verifying work without it.", e);
            }
            catch (IOException e)
            {
                if (DiskFault.Of(e, Path.GetDirectoryName(path)) is { Code: not ErrorCode.StoreUnavailable } plain)
                    throw plain;
                if (!PlainFile.IsTaken(e))
                    throw new HoldfastException(ErrorCode.StoreUnavailable, "Something else than a plain file stands at keeper/lock, or the file system has no locks: nothing is written to this vault.",
                        "Look at keeper/lock and who put it there; where it is a link or a pipe, move it away. A vault needs a file system with locks (flock).", e);
                if (ct.IsCancellationRequested || TimeProvider.System.GetElapsedTime(since) > (patience ?? Patience))
                    throw new HoldfastException(ErrorCode.VaultBusy, ct.IsCancellationRequested || patience is not null ? "Another process is writing this vault's log." : "Another process has been writing this vault's log for two minutes.",
                        "See which with `fuser` on the file keeper/lock; a process that hangs on a dead disk or mount is the usual cause. Then run the same command again.")
                    { IsTransient = true };
                Thread.Sleep(20); // the system's wait for a lock has no time limit, and cannot be taken back
            }
        }
    }

    public void Dispose() => _file.Dispose();
}
