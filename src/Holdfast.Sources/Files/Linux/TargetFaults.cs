using Holdfast.Core;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Sources.Files.Linux;

/// <summary>What an error of the system means while a tree is written back.</summary>
static class TargetFaults
{
    /// <summary>No error of the system: the folder is the vault's, or that of the keys.</summary>
    public const int Forbidden = -1;

    public static string Describe(int error) => error == Forbidden ? "the vault, one of its store folders, or the key folder" : Native.Describe(error);

    public static TargetFault FaultOf(int error) => error switch
    {
        Forbidden => TargetFault.InUse,
        Native.EAcces or Native.EPerm or Native.ERofs => TargetFault.NotPermitted,
        Native.EExist or Native.EIsDir or Native.ENotDir or Native.ENotEmpty or Native.ENoEnt => TargetFault.InTheWay,
        Native.EFBig or Native.ENameTooLong or Native.EInval or Native.EOpNotSupp or Native.EMLink or Native.EOverflow or Native.EIlSeq or Native.EXDev => TargetFault.NotHeld,
        _ => TargetFault.Failed,
    };

    /// <summary>What keeps everything out of a folder, whatever its name.</summary>
    public static bool IsOfTheFolder(int error) => error is Native.EAcces or Native.EPerm or Native.ERofs or Native.ENoEnt;

    /// <summary>What would keep everything else out too: a full or broken disk, or what the system lets the process have.</summary>
    public static bool IsOfTheDisk(int error) => error is Native.ENoSpc or Native.EDQuot or Native.EIo || IsOfTheProcess(error);

    /// <summary>Nothing is wrong with what is read or written: too many files are open.</summary>
    public static bool IsOfTheProcess(int error) => error is Native.EMFile or Native.ENFile;

    public static HoldfastException Unsafe(string why) => new(ErrorCode.TargetUnsafe, $"The snapshot was refused: {why}. Nothing was written outside the target.",
        "This tree was not written by a sound Holdfast. Treat its writer as suspect and restore from an earlier snapshot.");

    public static HoldfastException Fault(string what) => Fault(what, Native.Error);

    public static HoldfastException Fault(string what, int error)
    {
        return error switch
        {
            Native.ENoSpc or Native.EDQuot => new(ErrorCode.DiskFull, "The target's disk is full: the restore is not complete.",
                "Free space, or restore into a folder on another disk; with --resume it goes on where it stopped."),
            Native.EAcces or Native.EPerm => new(ErrorCode.NoPermission, $"{what}: the system refuses access.", "Restore into a folder that this user may write, or run as one who may."),
            _ when IsOfTheProcess(error) => DiskFault.OfErrno(error),
            Native.ERofs => new(ErrorCode.ReadOnlyMedia, $"{what}: the target is mounted read-only.", "Restore into a folder on another disk."),
            Native.ELoop or Native.ENotDir or Native.EXDev => new(ErrorCode.TargetUnsafe, $"{what}: something else has taken a folder's place in the target.",
                "Nothing was written outside the target. Restore into an empty folder that nobody else writes to."),
            _ => new(ErrorCode.StoreUnavailable, $"{what}: {Native.Describe(error)}.", "Look at the target's disk, then run the restore again with --resume."),
        };
    }
}
