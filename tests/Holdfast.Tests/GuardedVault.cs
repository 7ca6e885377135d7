using System.Diagnostics;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Tests;

/// <summary>A vault with a guard. Its flags are taken off again at the end, so that its folder can go.</summary>
sealed class GuardedVault : IDisposable
{
    /// <summary>nobody: owns the vault in tests of what its owner may do. Tests run as root, and root may do more.</summary>
    const string Owner = "65534";

    readonly TempFolder _guard = new();
    readonly LoopDisk? _disk;

    /// <param name="fileSystem">Of a disk of its own for the vault; null for the one that temporary folders are on.</param>
    public GuardedVault(string? fileSystem = null)
    {
        _disk = fileSystem is null ? null : LoopDisk.TryMake(fileSystem);
        if (fileSystem is not null && _disk is null)
        {
            _guard.Dispose();
            Assert.Skip($"needs root, mkfs.{fileSystem} and a kernel that knows {fileSystem}");
        }
        Vault = new TestVault(parent: _disk?.Path);
    }

    public TestVault Vault { get; }
    public string State => _guard["state"];
    public string Outer => Path.GetDirectoryName(Vault.Folder)!;
    public string this[string name] => Path.Combine(Vault.Folder, name);

    public FlagGuard Open() => new(Vault.Folder, State, Vault.Machine);

    /// <summary>One look of a guard that was just started.</summary>
    public GuardLook Look() => Open().Look();

    /// <summary>What the guard says of a vault that it should not be content with.</summary>
    public ErrorCode Refusal() => Assert.Throws<HoldfastException>(() => Look()).Code;

    public List<string> Files(string kind) => [.. Directory.GetFiles(Path.Combine(Vault.Folder, kind), "*", SearchOption.AllDirectories)];

    /// <summary>Looks for the first time, or skips the test where there are no flags.</summary>
    public void Begin()
    {
        try
        {
            Look();
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.NoPermission or ErrorCode.StoreUnavailable)
        {
            Dispose();
            Assert.Skip("needs CAP_LINUX_IMMUTABLE and a file system with immutable flags for its temporary folder: " + e.Message);
        }
    }

    /// <summary>Gives everything to a user who is not root. What is immutable stays as it is.</summary>
    public void GiveAway()
    {
        if (Environment.UserName != "root")
            Assert.Skip("needs root: it acts as another user, who owns the vault");
        Run("chown", "-R", "-f", $"{Owner}:{Owner}", Outer);
    }

    /// <summary>What the vault's owner tries in a shell.</summary>
    /// <returns>True where the shell says that it was done.</returns>
    public bool OwnerCan(string command) => Run("setpriv", "--reuid", Owner, "--regid", Owner, "--clear-groups", "sh", "-c", command) == 0;

    /// <summary>Takes flags off, as root may.</summary>
    public void Unflag(string path) => Run("chattr", "-R", "-f", "-i", "-a", path);

    public int Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true, WorkingDirectory = Outer })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }

    public void Dispose()
    {
        Unflag(Outer);
        Vault.Dispose();
        _disk?.Dispose();
        _guard.Dispose();
    }
}
