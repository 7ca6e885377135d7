using System.Globalization;
using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Keys;

/// <summary>The files of a key folder. Each is written whole and durably or not at all, readable by its owner alone whatever the umask, and never over one that is in use.</summary>
/// <param name="folder">Full path; it need not be there yet.</param>
/// <param name="disk">Where changes go.</param>
/// <param name="warn">Gets what a person should know of the files.</param>
sealed class KeyFiles(string folder, Disk? disk = null, Action<string>? warn = null)
{
    const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
    static readonly string[] Pipes = ["/dev/fd/", "/dev/stdin", "/proc/"];
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    static readonly string[] Names = [KeyFolder.AgentFile, KeyFolder.OpeningFile, KeyFolder.SecretFile, KeyFolder.PutFile]; // put.key last: by it a folder is told to be put aside

    const string Prepared = ".new";

    readonly Disk _disk = Known(folder, disk ?? Disk.Real);

    static Disk Known(string folder, Disk disk)
    {
        FolderOwner.Know(folder);
        return disk;
    }

    string PathOf(string file) => Path.Combine(folder, file);

    public bool Has(string file) => File.Exists(PathOf(file));

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>NoPermission</c>.</exception>
    public byte[] Read(string file)
    {
        WarnIfOpen(PathOf(file), file, warn);
        return UserFile.Kept(PathOf(file), $"The key folder's {file}", UserFile.KeyLimit, $"Name the folder that `holdfast init` wrote the keys to: --keys FOLDER. {Lost(file)}");
    }

    /// <summary>The same of one that makes sense; else it is named.</summary>
    public T Read<T>(string file, Func<byte[], T> parse)
    {
        var bytes = Read(file);
        try
        {
            return parse(bytes);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.KeyFileBad)
        {
            throw new HoldfastException(e.Code, $"{PathOf(file)}: {e.Message}", e.Guidance, e);
        }
    }

    byte[] Kept(string file) => UserFile.Kept(PathOf(file), file, UserFile.KeyLimit);

    /// <summary>What is left to do where no folder has the file any more.</summary>
    static string Lost(string file) => file is KeyFolder.PutFile or KeyFolder.AgentFile
        ? "Where put.key and agent.key are lost, `holdfast key issue --out NEW-FOLDER`, with a folder that has the opening key, makes new ones."
        : "Where opening.key is lost, `holdfast recover-key --out NEW-FOLDER` rebuilds it from the recovery kit. A folder with put.key and agent.key alone backs up, and opens nothing.";

    /// <summary>The opening key opens with a secret alone, which is not in the folder.</summary>
    public bool NeedsSecret
    {
        get
        {
            try
            {
                return !Has(KeyFolder.SecretFile) && !OpeningKeyFile.Parse(Kept(KeyFolder.OpeningFile)).Slots.Any(s => s.Kind == KeySlotKind.Passphrase);
            }
            catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
            {
                return false; // told where the file is used
            }
        }
    }

    /// <summary>The vault that the folder's keys are of; null where it has none that can be read.</summary>
    public Id16? Vault()
    {
        try
        {
            if (Has(KeyFolder.OpeningFile))
                return OpeningKeyFile.Parse(Kept(KeyFolder.OpeningFile)).VaultId;
            if (!Has(KeyFolder.PutFile))
                return null;
            using var put = PutKey.Parse(Kept(KeyFolder.PutFile));
            return put.Vault;
        }
        catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
        {
            return null; // told where the file is used
        }
    }

    /// <summary>The key of the log that they were made for; null where no put key says.</summary>
    public string? LogKey()
    {
        try
        {
            if (!Has(KeyFolder.PutFile))
                return null;
            using var put = PutKey.Parse(Kept(KeyFolder.PutFile));
            return put.LogKey;
        }
        catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
        {
            return null; // told where the file is used
        }
    }

    /// <summary>Says at every use that a secret lies open to others of this machine. Only of files: a pipe is between two processes.</summary>
    public static void WarnIfOpen(string path, string what, Action<string>? warn)
    {
        if (OperatingSystem.IsWindows() || Array.Exists(Pipes, p => path.StartsWith(p, StringComparison.Ordinal)) || !File.Exists(path))
            return;
        if ((File.GetUnixFileMode(path) & Others) != 0)
            warn?.Invoke($"holdfast: WARNING: {what} can be read or changed by others than its owner. chmod 600 mends that; if others were on this machine, treat the key as known to them.");
    }

    /// <summary>Keeps other commands from changing the folder until it is disposed of.</summary>
    /// <exception cref="HoldfastException"><c>VaultBusy</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>.</exception>
    public IDisposable Alone()
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var since = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                return FolderOwner.Act(PathOf("lock"), () => new FileStream(PathOf("lock"), options));
            }
            catch (DirectoryNotFoundException e)
            {
                throw new HoldfastException(ErrorCode.KeyFileBad, "The key folder that was named is not there; nothing was changed.", "Look at --keys or HOLDFAST_KEYS: name the key folder that was made with this vault.", e);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (DiskFault.Of(e) is { Code: not ErrorCode.StoreUnavailable } plain)
                    throw FolderOwner.IsAtMercy(folder) ? plain : new HoldfastException(plain.Code, "The key folder cannot be written to, and this command changes keys.", "Run as the folder's owner, with the folder on a disk that takes writes.", e);
                if (TimeProvider.System.GetElapsedTime(since) > Patience)
                    throw new HoldfastException(ErrorCode.VaultBusy, "Another command has been changing this key folder for half a minute.",
                        "Let it end (it may be waiting for a passphrase), then run this one again.", e)
                    { IsTransient = true };
                Thread.Sleep(50); // the system's wait for a lock has no time limit, and cannot be taken back
            }
        }
    }

    /// <summary>Refuses a folder that holds keys, or cannot be written to. Changes nothing.</summary>
    /// <param name="unfinished">Keys of this vault, whose making was cut short, do not count: it never was one.</param>
    /// <exception cref="HoldfastException"><c>VaultExists</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>, <c>Usage</c>.</exception>
    public void RequireFree(Id16 unfinished = default)
    {
        VaultKeeper.RequireName(folder);
        if (Has(KeyFolder.SecretFile) && Names.Count(Has) == 1)
            throw new HoldfastException(ErrorCode.VaultExists, "The folder holds an opening.secret, and no opening.key that it opens.",
                "It may be of an opening.key that is kept elsewhere, so it is never overwritten: name another folder (--keys or --out). If it is left from a `recover-key` or `init` that was cut short, it opens nothing: move it away, then run this again.");
        if (Array.Exists(Names, n => File.Exists(PathOf(n))) && !AreOf(unfinished))
            throw new HoldfastException(ErrorCode.VaultExists, "The key folder holds the keys of a vault already.",
                "Name another folder with --keys (or --out); keys are never overwritten. If they are left from an `init` that was cut short and made no vault, they open nothing: move them away.");
        if (FolderOwner.IsAtMercy(folder))
            throw new HoldfastException(ErrorCode.NoPermission, "The keys would be root's, in a folder of another user's, who could put other keys in their place.",
                "Nothing was made. Name a folder in one of root's (/root/holdfast-keys); or make the folder for that user first (sudo install -d -m 700 -o USER FOLDER): then the keys are that user's.");
        try
        {
            Disk.RequireWritable(folder);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.NoPermission or ErrorCode.ReadOnlyMedia)
        {
            throw new HoldfastException(e.Code, e.Code == ErrorCode.NoPermission ? "This user may not write keys to that folder." : "The disk of the folder for the keys is mounted read-only.",
                "Nothing was made. Name a folder for the keys that you may write to, on a disk that takes writes.", e);
        }
    }

    bool AreOf(Id16 vault)
    {
        if (vault == Id16.None)
            return false;
        try
        {
            using var put = PutKey.Parse(Kept(KeyFolder.PutFile));
            return put.Vault == vault;
        }
        catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Gives keys whose vault was never finished another name: they stay, and are in nobody's way.</summary>
    /// <returns>True where there were some.</returns>
    public bool PutAside(Id16 unfinished)
    {
        if (!AreOf(unfinished))
            return false;
        foreach (var name in Names.Where(n => File.Exists(PathOf(n))))
            _disk.Rename(PathOf(name), PathOf($"{name}.unused-{unfinished.ToString()[..8]}"), replace: true);
        _disk.SyncFolder(folder);
        return true;
    }

    /// <summary>Gives the secret of an earlier epoch another name: it opens that epoch's opening key, which is kept, and not the one of today.</summary>
    public void PutSecretAside(uint epoch)
    {
        if (!Has(KeyFolder.SecretFile))
            return;
        _disk.Rename(PathOf(KeyFolder.SecretFile), PathOf($"{KeyFolder.SecretFile}.epoch{epoch}"), replace: true);
        _disk.SyncFolder(folder);
    }

    /// <summary>Writes a new vault's keys.</summary>
    /// <param name="keys">The new keys.</param>
    /// <param name="passphrase">Null: a key-file slot, with its secret beside it.</param>
    /// <exception cref="HoldfastException"><c>DiskFull</c>, and what else the disk reports.</exception>
    public void Write(NewVaultKeys keys, string? passphrase) => Written(() =>
    {
        _disk.MakeDurable(folder, ownerOnly: true);
        Write(KeyFolder.PutFile, keys.Put.ToText());
        Write(KeyFolder.AgentFile, keys.Agent.ToText());
        WriteOpeningHere(keys.OpeningSeed, keys.Put.Vault, 1, passphrase);
    });

    /// <summary>Writes an opening key file, and its secret beside it where there is no passphrase.</summary>
    public void WriteOpening(SecretBytes seed, Id16 vault, uint epoch, string? passphrase) => Written(() => WriteOpeningHere(seed, vault, epoch, passphrase));

    /// <summary>A full disk of keys is none of the vault's: no folder that is added to the vault gives it room.</summary>
    void Written(Action write)
    {
        try
        {
            write();
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull)
        {
            var there = folder;
            while (!Directory.Exists(there) && Path.GetDirectoryName(there) is { } above)
                there = above;
            throw new HoldfastException(e.Code, $"The disk that the keys should be on is full{DiskFault.Room(there)}: they were not written.", "Free space on that disk, or name a key folder on another one; then run this again.", e);
        }
    }

    void WriteOpeningHere(SecretBytes seed, Id16 vault, uint epoch, string? passphrase)
    {
        _disk.MakeDurable(folder, ownerOnly: true);
        var opening = OpeningKeyFile.Create(vault, epoch);
        if (passphrase is null)
        {
            using var secret = SecretBytes.Random(OpeningKeyFile.RawKeySize);
            opening = opening.AddRawKey(seed.Span, secret.Span);
            Write(KeyFolder.SecretFile, Encoding.ASCII.GetBytes(Convert.ToBase64String(secret.Span) + "\n"));
        }
        else
        {
            opening = opening.AddPassphrase(seed.Span, passphrase, Argon2Cost.Default);
        }
        Write(KeyFolder.OpeningFile, opening.ToArray());
    }

    /// <summary>The epochs that pending files are of, the latest first: what the log says of epochs may be made up.</summary>
    IEnumerable<uint> PendingEpochs()
    {
        try
        {
            return [.. Directory.EnumerateFiles(folder, $"{KeyFolder.OpeningFile}.epoch*.new")
                .Select(f => uint.TryParse(Path.GetFileName(f).AsSpan()[$"{KeyFolder.OpeningFile}.epoch".Length..^".new".Length], NumberStyles.None, CultureInfo.InvariantCulture, out var epoch) ? epoch : 0).Where(e => e > 0).OrderDescending()];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return []; // a folder that may be entered and not listed
        }
    }

    static string PendingFile(uint epoch) => $"{KeyFolder.OpeningFile}.epoch{epoch}.new";

    /// <summary>Opens a vault's keyring with the opening key, or with the one that a rotation left under its first name when it was cut short after its leaf.</summary>
    /// <param name="vault">The vault.</param>
    /// <param name="unwrap">Gives an opening key file's seed.</param>
    /// <exception cref="HoldfastException"><c>WrongKey</c>, <c>KeyFileBad</c>, <c>WrongVault</c>.</exception>
    public OpeningKeys Open(Vault vault, Func<OpeningKeyFile, SecretBytes> unwrap)
    {
        var file = Read(KeyFolder.OpeningFile, bytes => OpeningKeyFile.Parse(bytes));
        file.RequireVault(vault.Id);
        foreach (var epoch in PendingEpochs().Where(e => e > file.Epoch && e <= vault.State.KeyEpoch))
        {
            var isOpen = false;
            try
            {
                using var pending = unwrap(OpeningKeyFile.Parse(Read(PendingFile(epoch))));
                isOpen = true;
                return vault.Unlock(pending);
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.WrongKey or ErrorCode.KeyFileBad)
            {
                // Of a rotation that lost to another one, or was cut short before its leaf: nothing is sealed to it.
                if (!isOpen && epoch == vault.State.KeyEpoch)
                    warn?.Invoke($"holdfast: a rotation was cut short: {PendingFile(epoch)} in the key folder may be of the key epoch that the vault is in, and what was given does not open it. If `holdfast key rotate --new-secret FILE` made it, that FILE does: never delete it, and finish with `holdfast key rotate --opening-secret FILE`");
            }
        }
        using var seed = unwrap(file);
        return vault.Unlock(seed);
    }

    /// <summary>Begins a new key epoch; the folder's files are of it afterwards. Cut short anywhere, the folder still opens all that is in the vault. Call it with the
    /// folder <see cref="Alone"/>.</summary>
    /// <param name="vault">The vault.</param>
    /// <param name="keys">What <see cref="Open"/> gave.</param>
    /// <param name="wrap">Wraps a new epoch's seed.</param>
    public uint Rotate(Vault vault, OpeningKeys keys, Func<SecretBytes, uint, OpeningKeyFile> wrap)
    {
        if (Read(KeyFolder.OpeningFile, bytes => OpeningKeyFile.Parse(bytes)).Epoch < keys.Keyring.Epoch && Has(PendingFile(keys.Keyring.Epoch)))
            TakePending(keys.Keyring.Epoch, Read(PendingFile(keys.Keyring.Epoch))); // an earlier rotation was cut short here
        using var put = Has(KeyFolder.PutFile) ? Read(KeyFolder.PutFile, text => PutKey.Parse(text)) : null;
        // A pending file of the next epoch is of a rotation that was cut short before its leaf: nothing is sealed to it.
        byte[] made = [];
        var (epoch, rotated) = vault.Rotate(keys, put, (seed, next) =>
        {
            made = wrap(seed, next).ToArray();
            _disk.Replace(PathOf(PendingFile(next)), made);
        });
        TakePending(epoch, made);
        if (rotated is not null)
            _disk.Replace(PathOf(KeyFolder.PutFile), rotated.ToText());
        return epoch;
    }

    /// <summary>Puts the pending opening key in the place of the old one, which stays beside it.</summary>
    /// <param name="epoch">Its epoch.</param>
    /// <param name="pending">What it holds.</param>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>: it is no opening key of that epoch.</exception>
    void TakePending(uint epoch, byte[] pending)
    {
        if (OpeningKeyFile.Parse(pending).Epoch != epoch)
            throw new HoldfastException(ErrorCode.KeyFileBad, $"{PendingFile(epoch)} in the key folder is no opening key of epoch {epoch}.", "Put it back from a copy of the key folder, or rebuild the opening key from the recovery kit.");
        var old = Read(KeyFolder.OpeningFile);
        _disk.Replace(PathOf($"{KeyFolder.OpeningFile}.epoch{OpeningKeyFile.Parse(old).Epoch}"), old);
        _disk.Replace(PathOf(KeyFolder.OpeningFile), pending);
        _disk.Discard(PathOf(PendingFile(epoch)));
    }

    /// <summary>Keeps issued keys durably under names that no command reads: they get their own when the log knows them.</summary>
    public void Prepare(PutKey put, AgentKey agent) => Written(() =>
    {
        _disk.MakeDurable(folder, ownerOnly: true);
        _disk.Replace(PathOf(KeyFolder.PutFile + Prepared), put.ToText());
        _disk.Replace(PathOf(KeyFolder.AgentFile + Prepared), agent.ToText());
    });

    /// <summary>Gives prepared keys their names.</summary>
    public void TakePrepared()
    {
        foreach (var name in new[] { KeyFolder.PutFile, KeyFolder.AgentFile })
        {
            if (!_disk.Rename(PathOf(name + Prepared), PathOf(name), replace: false))
                throw Taken(name);
        }
        _disk.SyncFolder(folder);
    }

    void Write(string file, ReadOnlySpan<byte> bytes)
    {
        if (!_disk.WriteNew(PathOf(file), bytes))
            throw Taken(file);
    }

    static HoldfastException Taken(string file) => new(ErrorCode.VaultExists, $"There is a {file} in the key folder already.", "Name another folder; keys are never overwritten.");
}
