using System.Globalization;
using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Which vault a guard found at which path, from its first look on: another one in its place is not the vault that root meant.</summary>
sealed class GuardPins
{
    public const string Name = "pins";
    const string FirstLine = "holdfast guard pins v1";
    const int MaxSize = 1 << 20; // bytes

    readonly List<Pin> _pins = [];

    readonly record struct Pin(Id16 Vault, string LogKey, ulong Inode, string Path);

    /// <summary>Null where the file is not as it was written, or gone while what it was written with is there.</summary>
    public static GuardPins? Load(string state)
    {
        try
        {
            var bytes = PlainFile.ReadAll(Path.Combine(state, Name), MaxSize);
            return bytes is null ? null : Parse(Encoding.UTF8.GetString(bytes).Split('\n'));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return Directory.Exists(state) && Directory.EnumerateDirectories(state).Any(d => Path.Exists(Path.Combine(d, GuardMemory.Name))) ? null : new GuardPins();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
    }

    /// <exception cref="HoldfastException"><c>WrongVault</c>: another vault, or another folder, than was seen at the path; <c>LogForked</c>: the vault had another log key.</exception>
    public void Require(string path, VaultFile file, ulong inode)
    {
        foreach (var pin in _pins)
        {
            if (pin.Vault == file.Vault && pin.LogKey != file.LogKey)
                throw new HoldfastException(ErrorCode.LogForked, $"Vault {file.Vault} had another log key when the guard saw it first. It is not guarded.",
                    "Treat it as an attack until shown otherwise: a vault's log key never changes. Compare with the key in your put key file (holdfast log verify).");
            if (pin.Path == path && pin.Vault != file.Vault)
                throw new HoldfastException(ErrorCode.WrongVault, $"Where the guard knows vault {pin.Vault} there is vault {file.Vault} now. It is not guarded.",
                    "Treat it as an attack until shown otherwise, and look for the vault that was there: its files are immutable still. " + Accept);
            if (pin.Path == path && pin.Inode != inode)
                throw new HoldfastException(ErrorCode.WrongVault, $"The folder of vault {file.Vault} is another one than the guard has seen there. It is not guarded.",
                    "Was the vault copied to another disk, or a disk not mounted? If not, treat it as an attack, and look for the folder that was there: its files are immutable still. " + Accept);
        }
    }

    const string Accept = "If you put this one there yourself, take the line of this path out of the file `pins` in the guard's state folder, as root.";

    /// <summary>Notes a path durably, where it is new.</summary>
    public void Add(string state, string path, VaultFile file, ulong inode, Disk disk)
    {
        var pin = new Pin(file.Vault, file.LogKey, inode, path);
        if (_pins.Contains(pin))
            return;
        if (path.Any(char.IsControl) || file.LogKey.Any(c => c <= ' '))
            throw new HoldfastException(ErrorCode.Usage, "The vault's path has characters in it that no list of paths can hold.", "Choose a path without control characters.");
        _pins.Add(pin);
        var text = new StringBuilder(FirstLine).Append('\n');
        foreach (var known in _pins)
            text.Append(CultureInfo.InvariantCulture, $"{known.Vault} {known.LogKey} {known.Inode} {known.Path}\n");
        disk.Replace(Path.Combine(state, Name), Encoding.UTF8.GetBytes(text.ToString()));
    }

    static GuardPins? Parse(string[] lines)
    {
        var pins = new GuardPins();
        if (lines[0] != FirstLine || lines[^1].Length > 0)
            return null;
        foreach (var line in lines[1..^1])
        {
            var parts = line.Split(' ', 4);
            if (parts.Length != 4 || !Id16.TryParse(parts[0], out var vault) || !ulong.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out var inode))
                return null;
            pins._pins.Add(new Pin(vault, parts[1], inode, parts[3]));
        }
        return pins;
    }
}
