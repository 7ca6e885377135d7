using System.CommandLine;
using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Keys;

/// <summary>Which vault, and the folder that holds its keys: never inside the vault.</summary>
sealed class KeyFolder
{
    public const string PutFile = "put.key";
    public const string AgentFile = "agent.key";
    public const string OpeningFile = "opening.key";
    public const string SecretFile = "opening.secret";
    public const string CheckpointFile = "checkpoint";

    public static readonly Option<string?> VaultOption = new("--vault")
    {
        Description = "The vault's folder (or HOLDFAST_VAULT).",
        HelpName = "FOLDER",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("HOLDFAST_VAULT"),
    };

    public static readonly Option<string?> KeysOption = new("--keys")
    {
        Description = "The folder with the vault's key files (or HOLDFAST_KEYS).",
        HelpName = "FOLDER",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("HOLDFAST_KEYS"),
    };

    public static readonly Option<string?> SecretOption = new("--opening-secret")
    {
        Description = "File with the secret of the opening key's key-file slot, where it is not in the key folder.",
        HelpName = "FILE",
    };

    public static readonly Option<string?> PassphraseOption = new("--passphrase-file")
    {
        Description = "File whose first line is the opening key's passphrase; otherwise it is asked for.",
        HelpName = "FILE",
    };

    public static readonly Option<string?> ScopedOption = new("--scoped-key")
    {
        Description = "A scoped key file instead of the opening key (holdfast key scope).",
        HelpName = "FILE",
    };

    readonly Session _session;
    readonly string? _folder;
    byte[]? _rawKey; // what opened the key file, for wrapping the next epoch's seed
    string? _passphrase;

    public KeyFolder(Session session)
    {
        _session = session;
        _folder = session.Parsed.GetValue(KeysOption);
    }

    /// <summary>Adds --vault and --keys to a command.</summary>
    public static void AddTo(Command command, bool reading)
    {
        command.Options.Add(VaultOption);
        command.Options.Add(KeysOption);
        if (!reading)
            return;
        command.Options.Add(SecretOption);
        command.Options.Add(PassphraseOption);
        command.Options.Add(ScopedOption);
    }

    public static string VaultFolder(Session session) => session.Parsed.GetValue(VaultOption) is { Length: > 0 } folder ? folder : throw new HoldfastException(
        ErrorCode.Usage, "No vault was named.", "Add --vault FOLDER, or set HOLDFAST_VAULT.");

    public static Vault OpenVault(Session session) => Vault.Open(VaultFolder(session));

    /// <summary>The vault and its opening keys, for a command that makes key material: a vault that cannot be written to is refused before anybody is asked for anything.</summary>
    public static (Vault Vault, OpeningKeys Keys) OpenToChange(Session session)
    {
        var vault = OpenVault(session);
        try
        {
            vault.Keeper.RequireWritable();
            var folder = new KeyFolder(session);
            folder.Remember(vault);
            return (vault, folder.Open(vault));
        }
        catch
        {
            vault.Dispose();
            throw;
        }
    }

    public bool IsGiven => !string.IsNullOrEmpty(_folder);

    public string Folder => IsGiven ? _folder! : throw new HoldfastException(ErrorCode.Usage, "No key folder was named.", "Add --keys FOLDER (the folder that holds put.key and opening.key), or set HOLDFAST_KEYS.");

    string PathOf(string file) => Path.Combine(Folder, file);

    public PutKey Put() => PutKey.Parse(Read(PutFile));
    public AgentKey Agent() => AgentKey.Parse(Read(AgentFile));

    byte[] Read(string file)
    {
        var path = PathOf(file);
        WarnIfOpen(path, file);
        return UserFile.Bytes(path, $"The key folder's {file}", ErrorCode.KeyFileBad, UserFile.KeyLimit, "Name the folder that `holdfast init` wrote the keys to: --keys FOLDER.");
    }

    void WarnIfOpen(string path, string file)
    {
        if (!OperatingSystem.IsWindows() && File.Exists(path) && (File.GetUnixFileMode(path) & (UnixFileMode.GroupRead | UnixFileMode.OtherRead)) != 0)
            _session.Warn($"holdfast: {file} can be read by others than its owner; chmod 600 mends that.");
    }

    /// <summary>What a reading command was given: a scoped key, or the opening key.</summary>
    public ReadingKeys OpenReading(Vault vault)
    {
        if (_session.Parsed.GetValue(ScopedOption) is not { } file)
            return Open(vault);
        var scoped = ScopedKeys.Parse(UserFile.Bytes(file, "The scoped key file", ErrorCode.KeyFileBad, UserFile.KeyLimit));
        if (scoped.Vault == vault.Id)
            return scoped;
        scoped.Dispose();
        throw new HoldfastException(ErrorCode.WrongVault, $"The scoped key is of another vault; the vault here is {vault.Id}.", "Use a key that was cut for this vault.");
    }

    public bool CanRead => IsGiven || _session.Parsed.GetValue(ScopedOption) is not null;

    /// <summary>Opens the vault's keyring: with the secret file where there is one, else with the passphrase.</summary>
    public OpeningKeys Open(Vault vault)
    {
        using var seed = Seed(vault);
        return vault.Unlock(seed);
    }

    public SecretBytes Seed(Vault vault)
    {
        var file = OpeningKeyFile.Parse(Read(OpeningFile));
        file.RequireVault(vault.Id);
        // A rotation that was cut short after its leaf has left the new key file beside the old one.
        var pending = PendingFile((uint)vault.State.KeyEpoch);
        if (file.Epoch < vault.State.KeyEpoch && File.Exists(PathOf(pending)))
        {
            file = OpeningKeyFile.Parse(Read(pending));
            file.RequireVault(vault.Id);
        }
        var named = _session.Parsed.GetValue(SecretOption);
        if (named is not null || File.Exists(PathOf(SecretFile)))
        {
            var text = Encoding.ASCII.GetString(named is null ? Read(SecretFile) : UserFile.Bytes(named, "The opening secret's file", ErrorCode.KeyFileBad)).Trim();
            var secret = new byte[OpeningKeyFile.RawKeySize];
            if (!Convert.TryFromBase64String(text, secret, out var length) || length != secret.Length)
                throw new HoldfastException(ErrorCode.KeyFileBad, "The opening secret is not a key file's secret.", "It is one line of 44 characters, as `holdfast init` wrote it.");
            _rawKey = secret;
            return file.OpenWithRawKey(secret);
        }
        _passphrase = Passphrase(_session, confirm: false);
        return file.OpenWithPassphrase(_passphrase);
    }

    /// <summary>The passphrase from the file that was named, or from the terminal.</summary>
    public static string Passphrase(Session session, bool confirm)
    {
        if (session.Parsed.GetValue(PassphraseOption) is { } named)
            return UserFile.FirstLine(named, "The passphrase file", ErrorCode.KeyFileBad);
        if (!Prompt.IsPossible)
            throw new HoldfastException(ErrorCode.WrongKey, "The opening key has a passphrase, and there is no terminal to ask for it.", "Add --passphrase-file FILE or --opening-secret FILE.");
        var first = Prompt.Hidden("Passphrase of the opening key: ", session.Stop) ?? throw new HoldfastException(ErrorCode.NotConfirmed, "No passphrase was given.", "Run the command again.");
        if (confirm && first != Prompt.Hidden("The same again: ", session.Stop))
            throw new HoldfastException(ErrorCode.NotConfirmed, "The two passphrases differ; nothing was made.", "Run the command again.");
        return first;
    }

    /// <summary>Puts a key file in the place of an older one.</summary>
    public void ReplaceFile(string file, ReadOnlySpan<byte> bytes) => Disk.Real.Replace(PathOf(file), bytes);

    static string PendingFile(uint epoch) => $"{OpeningFile}.epoch{epoch}.new";

    /// <summary>Wraps a new epoch's seed with the secret that opened the present key file, and keeps it beside that file, durably: called before anything is sealed to
    /// the new seed.</summary>
    public void PrepareOpening(SecretBytes seed, Id16 vault, uint epoch)
    {
        var opening = OpeningKeyFile.Create(vault, epoch);
        opening = _rawKey is not null ? opening.AddRawKey(seed.Span, _rawKey) : opening.AddPassphrase(seed.Span, _passphrase!, Argon2Cost.Default);
        ReplaceFile(PendingFile(epoch), opening.ToArray()); // one that is there is of a rotation that was cut short before its leaf: nothing is sealed to it
    }

    /// <summary>Puts the prepared key file in the place of the old one, which stays beside it.</summary>
    public void TakeOpening(uint epoch)
    {
        var prepared = Read(PendingFile(epoch));
        var old = Read(OpeningFile);
        ReplaceFile($"{OpeningFile}.epoch{OpeningKeyFile.Parse(old).Epoch}", old);
        ReplaceFile(OpeningFile, prepared);
        Disk.Real.Discard(PathOf(PendingFile(epoch)));
    }

    /// <summary>Writes a new file whole and durably, readable by its owner alone.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c> where there is one of that name; what the disk reports.</exception>
    public static void WriteNew(string path, ReadOnlySpan<byte> bytes)
    {
        if (!Disk.Real.WriteNew(path, bytes))
            throw NameTaken();
    }

    /// <summary>Refuses a name for a new file before any work is done for it: one that is taken, or in a folder that cannot be written to.</summary>
    public static void RequireNew(string path)
    {
        if (Path.Exists(path))
            throw NameTaken();
        if (Path.GetDirectoryName(path) is not { } folder || !Directory.Exists(folder))
            throw new HoldfastException(ErrorCode.Usage, "The folder for the new file is not there.", "Make it first, or name a file in a folder that is there.");
        try
        {
            Disk.RequireWritable(folder);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.NoPermission or ErrorCode.ReadOnlyMedia)
        {
            throw new HoldfastException(e.Code, "The new file cannot be written in that folder.", "Nothing was made. Name a file in a folder that you may write to.", e);
        }
    }

    static HoldfastException NameTaken() => new(ErrorCode.Usage, "There is a file of that name already.", "Choose another name: nothing is written over it.");

    /// <summary>Compares the log with the checkpoint seen last, and remembers the present one: a log that was put back shows at the next command.</summary>
    public void Remember(Vault vault)
    {
        if (!IsGiven || !Directory.Exists(Folder))
            return;
        var path = PathOf(CheckpointFile);
        if (File.Exists(path) && Core.Log.Checkpoint.TryParse(UserFile.Text(path, "The checkpoint in the key folder", ErrorCode.KeyFileBad), out var earlier))
        {
            if (earlier.Origin != vault.Keeper.Log.Key.Name)
                throw new HoldfastException(ErrorCode.WrongVault, $"The key folder is of another vault; the vault here is {vault.Id}.", "Name the key folder that was made with this vault (--keys FOLDER).");
            vault.Keeper.Log.RequireExtends(earlier);
        }
        try
        {
            Disk.Real.Replace(path, Encoding.UTF8.GetBytes(vault.Keeper.Log.Checkpoint!.Note));
        }
        catch (HoldfastException)
        {
            // A key folder on read-only media: then nothing is remembered.
        }
    }
}
