using System.Diagnostics;
using Holdfast.Core;

namespace Holdfast.Control.Processes;

/// <summary>A user of this machine.</summary>
/// <param name="Id">Number.</param>
/// <param name="Group">Number of the first group.</param>
/// <param name="Home">Folder.</param>
sealed record User(string Id, string Group, string Home)
{
    /// <summary>Null where there is none of that name.</summary>
    public static User? Find(string name)
    {
        var start = new ProcessStartInfo("getent") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in new[] { "passwd", "--", name })
            start.ArgumentList.Add(argument);
        try
        {
            using var process = Process.Start(start)!;
            var line = process.StandardOutput.ReadToEnd().TrimEnd('\n');
            process.WaitForExit();
            return process.ExitCode == 0 && line.Split(':') is [_, _, var id, var group, _, var home, _] ? new User(id, group, home) : null;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new HoldfastException(ErrorCode.SystemLimit, "Users are looked up by getent, which is not here.", "Install libc-bin, or name no users in the configuration.", e);
        }
    }
}
