using Holdfast.Core;
using Holdfast.Core.Storage;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Tests;

/// <summary>A real disk that does not give some packs at first.</summary>
/// <param name="isGone">As if they were not there; else it reports an error.</param>
/// <param name="error">Which; EIO.</param>
sealed class SilentDisk(bool isGone = false, int error = 5) : Disk
{
    readonly Dictionary<string, int> _refusals = [];
    readonly Dictionary<string, Action> _before = [];

    /// <param name="pack">Its first copy.</param>
    /// <param name="times">Then the disk gives it again.</param>
    public void Refuse(Hash32 pack, int times) => _refusals[pack.ToString()] = times;

    /// <param name="pack">When it is opened for the first time,</param>
    /// <param name="happens">this happens before.</param>
    public void Before(Hash32 pack, Action happens) => _before[pack.ToString()] = happens;

    public override SafeFileHandle? OpenStored(string path)
    {
        lock (_refusals)
        {
            if (_before.Remove(Path.GetFileName(path), out var happens))
                happens();
            if (_refusals.GetValueOrDefault(Path.GetFileName(path)) is var left && left == 0)
                return base.OpenStored(path);
            _refusals[Path.GetFileName(path)] = left - 1;
        }
        return isGone ? null : throw DiskFault.OfErrno(error);
    }
}
