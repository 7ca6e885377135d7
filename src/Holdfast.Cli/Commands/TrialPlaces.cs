using System.Security.Cryptography;
using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>Where the trial of a folder lives: vault and keys apart from each other, found again by the folder's path.</summary>
/// <param name="Source">The folder.</param>
/// <param name="Home">Holds the trials of all folders.</param>
/// <param name="Name">Of this trial, in each of the folders of <paramref name="Home"/>.</param>
/// <param name="IsNamed">True where <paramref name="Home"/> was named with --base.</param>
sealed record TrialPlaces(string Source, string Home, string Name, bool IsNamed)
{
    public string Vault => Path.Combine(Home, "trial-vaults", Name);
    public string Keys => Path.Combine(Home, "trial-keys", Name);
    public string Proof => Path.Combine(Home, "trial-proofs", Name);

    /// <summary>What is never backed up by a trial: trials, their keys, and what they restore.</summary>
    public IReadOnlyList<string> All => [.. new[] { Vault, Keys, Proof }.Select(f => Path.GetDirectoryName(f)!)];

    /// <summary>True where a backup of the source would meet the trial itself.</summary>
    public bool IsInside => FolderPath.IsWithin(Home, Source);

    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static TrialPlaces Of(string source, string? home)
    {
        if (source.Length == 0 || home is { Length: 0 })
            throw new HoldfastException(ErrorCode.Usage, "A folder with an empty name was named.", "Name a folder with some data: holdfast up FOLDER. In a script, look at the variable that should hold its name.");
        source = FolderPath.Full(source);
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source)))[..12];
        return new TrialPlaces(source, FolderPath.Full(home ?? DefaultHome()), name, home is not null);
    }

    static string DefaultHome()
    {
        if (Environment.GetEnvironmentVariable("XDG_DATA_HOME") is { Length: > 0 } data)
            return Path.Combine(data, "holdfast");
        return Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } user ? Path.Combine(user, ".local", "share", "holdfast")
            : throw new HoldfastException(ErrorCode.Usage, "This user has no home folder in which a trial could lie.", "Name a folder for it: holdfast up FOLDER --base FOLDER.");
    }

    /// <summary>What this machine remembers of the trial: its folder and its home, a line each.</summary>
    public string? Note => BackupCommand.StateFolder() is { } state ? Path.Combine(state, $"{Name}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Home)))[..12]}.trial") : null;

    /// <summary>So that `up`, `down` and `status` find the trial without being told where it is. Where that cannot be noted, it has to be named.</summary>
    public void Remember()
    {
        if (Note is not { } note || Source.Contains('\n', StringComparison.Ordinal) || Home.Contains('\n', StringComparison.Ordinal))
            return;
        try
        {
            FolderOwner.Know(Path.GetDirectoryName(note)!);
            Disk.Real.MakeFolder(Path.GetDirectoryName(note)!);
            Disk.Real.Replace(note, Encoding.UTF8.GetBytes($"{Source}\n{Home}\n"));
        }
        catch (HoldfastException)
        {
            // It is a convenience.
        }
    }

    /// <summary>The only trial that this machine remembers and that is there; null where there is none.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: there are several.</exception>
    /// <param name="whatToName">Where there are several.</param>
    /// <param name="home">Only trials in this folder; null for all.</param>
    public static TrialPlaces? Only(string whatToName, string? home = null)
    {
        var folder = BackupCommand.StateFolder();
        var trials = folder is null || !Directory.Exists(folder) ? [] : Directory.EnumerateFiles(folder, "*.trial").Select(Read).OfType<TrialPlaces>().Where(t => VaultFile.IsOne(t.Vault) && (home is null || t.Home == FolderPath.Full(home))).OrderBy(t => t.Source, StringComparer.Ordinal).ToList();
        return trials.Count < 2 ? trials.FirstOrDefault() : throw new HoldfastException(ErrorCode.Usage, $"There are {trials.Count} trials on this machine: {string.Join(", ", trials.Select(t => $"of {t.Source} in {t.Vault}"))}.", $"Name the one that is meant: {whatToName}.");
    }

    static TrialPlaces? Read(string note) =>
        UserFile.Lines(note, "What is remembered of a trial") is [{ Length: > 0 } source, { Length: > 0 } home] && Of(source, home) is var places && places.Note == note ? places : null;
}
