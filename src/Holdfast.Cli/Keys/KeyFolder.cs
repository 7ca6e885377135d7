using System.CommandLine;
using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
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
        Description = "File whose first line is the passphrase of the opening key; without it, a passphrase is asked for where the key has one.",
        HelpName = "FILE",
    };

    public static readonly Option<string?> ScopedOption = new("--scoped-key")
    {
        Description = "A scoped key file instead of the opening key (holdfast key scope).",
        HelpName = "FILE",
    };

    /// <summary>Of a command that needs the opening key itself: typed all the same, it is refused with the reason.</summary>
    static readonly Option<string?> RefusedScopedOption = new(ScopedOption.Name) { Hidden = true };

    const int MostTries = 3; // of a passphrase, at a terminal

    readonly Session _session;
    readonly string? _folder;
    bool _isLossTold;
    KeyFiles? _files;
    byte[]? _rawKey; // what opened the key file, for wrapping the next epoch's seed
    string? _passphrase;
    bool _hasOpened; // what was given is right, whatever else is not

    /// <param name="session">Names it.</param>
    /// <param name="otherwise">The one where none is named.</param>
    public KeyFolder(Session session, string? otherwise = null)
    {
        _session = session;
        _folder = session.Parsed.GetValue(KeysOption) is { Length: > 0 } named ? named : otherwise;
        if (IsGiven)
            FolderOwner.Know(_folder!);
    }

    /// <summary>Adds --vault and --keys to a command.</summary>
    /// <param name="command">The command.</param>
    /// <param name="reading">It opens what is sealed.</param>
    /// <param name="scoped">A scoped key may be enough for it.</param>
    public static void AddTo(Command command, bool reading, bool scoped = true)
    {
        command.Options.Add(VaultOption);
        command.Options.Add(KeysOption);
        if (!reading)
            return;
        command.Options.Add(SecretOption);
        command.Options.Add(PassphraseOption);
        command.Options.Add(scoped ? ScopedOption : RefusedScopedOption);
    }

    public static string VaultFolder(Session session) => session.Parsed.GetValue(VaultOption) is { Length: > 0 } folder ? folder : throw new HoldfastException(
        ErrorCode.Usage, "No vault was named.", "Add --vault FOLDER, or set HOLDFAST_VAULT.");

    /// <summary>The vault that a command names is reached over the network: its packs lie in an object store, or a keeper or gateway stands before it.</summary>
    public static bool IsElsewhere(ParseResult parsed) => parsed.CommandResult.Command.Options.Contains(VaultOption)
        && ((parsed.GetValue(VaultOption) is { Length: > 0 } folder && (KeeperAccess.IsPlace(folder) || ObjectStorePlace.IsNamedBy(folder)))
            || (parsed.CommandResult.Command.Options.Contains(KeysOption) && parsed.GetValue(KeysOption) is { Length: > 0 } keys && File.Exists(Path.Combine(keys, GatewayAccess.FileName))));

    /// <summary>The vault's folder, for a command that has no use for its keeper's address.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static string LocalFolder(Session session) => VaultFolder(session) is var folder && !KeeperAccess.IsPlace(folder) ? folder : throw new HoldfastException(
        ErrorCode.Usage, "This is done where the vault is kept, not from a client of its keeper.", "Run the same command on the keeper's machine, with --vault and the vault's folder there.");

    public static Vault OpenVault(Session session) => OpenVault(session, VaultFolder(session) is var named && KeeperAccess.IsPlace(named) ? KeeperAccess.Reach(session, named) : named);

    public static Vault OpenVault(Session session, string path)
    {
        var vault = Vault.Open(path, seen: () => Seen(session), stores: session.Network.Stores);
        vault.NotNoted = fault => session.Warn($"holdfast: what was found damaged could not be noted ({fault.Message.TrimEnd('.')}): where nothing else tells of it, neither `holdfast status` nor the next backup knows. `holdfast verify`, where it may write to the vault, notes it");
        if (vault.Keeper.FolderListFault is { } list)
            session.Warn($"holdfast: {list.Message} {list.Guidance}");
        foreach (var away in vault.Keeper.Away)
            session.Warn(ClosedStore(away) is { } closed ? $"holdfast: a folder of the vault is not there for this user, who may not enter {closed}: {away}. What lies in it cannot be read, and a backup stores it again; run this as the vault's own user, or let this user enter" : $"holdfast: a folder of the vault is not there: {away}. What lies in it cannot be read, and a backup stores it again; mount its disk first where you can. If it was copied or moved elsewhere, say where it is now: {Shell.Program} store move {Shell.Word(away)} NEW-FOLDER");
        if (!vault.Keeper.HasKeeperFolder)
            session.Warn("holdfast: the vault's folder `keeper` is not there: it can be read and not written to, and further folders that the vault has are not known. Bring it back from another copy of the vault");
        if (vault.Keeper.Log is { IsAsSeen: true, Lost.Count: 0 })
            session.Warn($"holdfast: {vault.Keeper.LogFault!.Message} A snapshot, a longer lock or newer keys may be missing from it. `holdfast status` says what to do");
        if (vault.Keeper.Log.Lost.Count > 0)
            session.Warn($"holdfast: the vault's log is damaged: {vault.Keeper.Log.Lost.Count} of its {Text.Count(vault.Keeper.Log.Size, "leaf", "leaves")} cannot be read. What is shown is what the others say; a snapshot, a longer lock or newer keys may be missing from it. `holdfast status` says what to do");
        else if (vault.Keeper is { LogFault: { } fault, Log.IsAsSeen: false })
            session.Warn($"holdfast: {fault.Message} All that it said is in another object, so nothing is missing by it. `holdfast status` says what to do");
        return vault;
    }

    /// <summary>The folder that keeps this user from a further folder of the vault; null where that is really away.</summary>
    public static string? ClosedStore(string away) => FolderPath.ClosedOnTheWay(Path.Combine(away, "packs"));

    /// <summary>How far the keys that are named have seen the log of their vault; null where none are, or they do not say.</summary>
    static Core.Log.Checkpoint? Seen(Session session)
    {
        try
        {
            var keys = new KeyFolder(session);
            return keys.IsGiven ? new LogMemory(keys.Folder).Seen : null;
        }
        catch (HoldfastException)
        {
            return null; // told where they are used
        }
    }

    /// <summary>The vault and its opening keys, for a command that makes key material: a vault that cannot be written to is refused before anybody is asked for anything.</summary>
    public static (Vault Vault, OpeningKeys Keys) OpenToChange(Session session)
    {
        var vault = OpenVault(session);
        try
        {
            var folder = new KeyFolder(session);
            folder.Remember(vault, toChange: true); // first: to a copy nothing is written, whatever else it lacks
            vault.Keeper.RequireWritable();
            return (vault, folder.Open(vault));
        }
        catch
        {
            vault.Dispose();
            throw;
        }
    }

    /// <summary>Why the log could not be compared with what these keys saw last; null where it was, or they saw none. A command that says the log is sound must not end well with it.</summary>
    public HoldfastException? NotCompared { get; private set; }

    /// <summary>Where the vault is not the one that these keys go on with, once it was compared.</summary>
    public VaultCopy? Copy { get; private set; }

    const string NotThere = "the key folder that was named is not there";
    const string LookAgain = "Look at --keys or HOLDFAST_KEYS: name the key folder that was made with this vault, and see that its disk is mounted";

    /// <summary>It was named, and is not there, as far as this user may look.</summary>
    public bool IsAway => FolderPath.ClosedOnTheWay(Folder) is null && !Directory.Exists(Folder);

    public bool IsGiven => !string.IsNullOrEmpty(_folder);

    public string Folder => IsGiven ? _folder! : throw new HoldfastException(ErrorCode.Usage, "No key folder was named.", "Add --keys FOLDER (the folder that holds put.key and opening.key), or set HOLDFAST_KEYS.");

    /// <summary>The files in it.</summary>
    public KeyFiles Files => _files ??= new KeyFiles(Path.GetFullPath(Folder), warn: _session.Warn);

    public PutKey Put() => Files.Read(PutFile, text => PutKey.Parse(text));

    /// <summary>The source of a name, which put.key alone tells: what opens names is not asked for.</summary>
    public Id16 SourceOf(Vault vault, string name)
    {
        using var put = Put();
        vault.Require(put);
        return put.Domain.SourceId(Encoding.UTF8.GetBytes(name));
    }

    public AgentKey Agent() => Files.Read(AgentFile, text => AgentKey.Parse(text));

    /// <summary>A secret that the user named by its path.</summary>
    static byte[] Secret(Session session, string path, string what, int limit = UserFile.TextLimit)
    {
        KeyFiles.WarnIfOpen(path, char.ToLowerInvariant(what[0]) + what[1..], session.Warn);
        return UserFile.Bytes(path, what, ErrorCode.KeyFileBad, limit);
    }

    /// <summary>What a reading command was given: a scoped key, or the opening key.</summary>
    public ReadingKeys OpenReading(Vault vault)
    {
        if (_session.Parsed.GetValue(ScopedOption) is not { } file)
            return Open(vault);
        var scoped = ScopedKeys.Parse(Secret(_session, file, "The scoped key file", UserFile.KeyLimit));
        if (scoped.Vault == vault.Id)
            return scoped;
        scoped.Dispose();
        throw WrongVault("The scoped key is", vault);
    }

    /// <summary>Says which of the two names to change, where only one was typed.</summary>
    HoldfastException WrongVault(string what, Vault vault)
    {
        var (vaultTyped, keysTyped) = (IsTypedOption(VaultOption), IsTypedOption(KeysOption) || IsTypedOption(ScopedOption));
        return new HoldfastException(ErrorCode.WrongVault, $"{what} of another vault; the vault here is {vault.Id}.", (vaultTyped, keysTyped) switch
        {
            (true, false) => "The vault was named with --vault, the keys by HOLDFAST_KEYS: add --keys with the key folder that was made with this vault.",
            (false, true) => "The keys were named on the command line, the vault by HOLDFAST_VAULT: add --vault with the vault they were made with.",
            (false, false) => "Both come from HOLDFAST_VAULT and HOLDFAST_KEYS: set them to a vault and the key folder that was made with it.",
            _ => "Change --vault or --keys: name a vault and the key folder that was made with it.",
        });
    }

    /// <summary>The call says what opens the keys: then they are to be opened.</summary>
    public bool IsOpenedBy => new Option[] { ScopedOption, SecretOption, PassphraseOption }.Any(IsTypedOption);

    /// <summary>The vault was named on the command line, and the keys were not: they may be another vault's.</summary>
    public bool IsOfNamedVault => IsTypedOption(VaultOption) && !IsTypedOption(KeysOption);

    bool IsTypedOption(Option option) => _session.Parsed.GetResult(option) is { Implicit: false };

    /// <summary>A line for the shell that goes on with this call's vault and keys: with what was typed, or found without a word. What came from the environment is there for the next call too.</summary>
    /// <param name="call">Which, with its own options.</param>
    /// <param name="vault">The vault.</param>
    /// <param name="opens">It opens keys, with what opens them here; <see cref="AlsoNeeds"/> says what it needs besides.</param>
    public string Line(string call, Vault vault, bool opens = false)
    {
        var words = new StringBuilder($"holdfast {call}");
        if (IsTypedOption(VaultOption) || string.IsNullOrEmpty(_session.Parsed.GetValue(VaultOption)))
            Add("--vault", vault.Keeper.Remote?.Place ?? vault.Keeper.Folder);
        if (IsOurs && (IsTypedOption(KeysOption) || string.IsNullOrEmpty(_session.Parsed.GetValue(KeysOption))))
            Add("--keys", Folder);
        foreach (var option in opens ? new[] { SecretOption, PassphraseOption, ScopedOption } : [])
        {
            if (IsTypedOption(option))
                Add(option.Name, _session.Parsed.GetValue(option)!);
        }
        return words.ToString();

        void Add(string option, string path) => words.Append($" {option} {Shell.Word(KeeperAccess.IsPlace(path) ? path : Path.GetFullPath(path))}");
    }

    /// <summary>It was named, is there, and is no other vault's as far as was seen.</summary>
    bool IsOurs => IsGiven && !IsAway && NotCompared is not { Code: ErrorCode.WrongVault };

    /// <summary>Words on what a <see cref="Line"/> that takes the opening key needs and cannot know; empty where it works as it stands.</summary>
    public string AlsoNeeds => IsOpenedBy ? "" : !IsOurs || !Files.Has(OpeningFile) ? $", with the key folder that has {OpeningFile} (--keys)" : Files.NeedsSecret ? $", with --opening-secret and the file that {OpeningFile}'s secret lies in now" : "";

    /// <summary>Keys that open names, where that asks nobody for anything; null otherwise.</summary>
    public ReadingKeys? OpenNames(Vault vault)
    {
        try
        {
            return IsOpenedBy || (CanRead && Files.Has(SecretFile)) ? OpenReading(vault) : null;
        }
        catch (HoldfastException) when (!IsOpenedBy)
        {
            return null;
        }
    }

    /// <summary>False too where the folder is that of a machine that backs up: put and agent keys alone.</summary>
    public bool CanRead => (IsGiven && (Files.Has(OpeningFile) || !Files.Has(PutFile))) || _session.Parsed.GetValue(ScopedOption) is not null;

    /// <summary>Opens the vault's keyring: with the secret file where there is one, else with the passphrase.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c> where a scoped key was named: it opens one class, and what takes the opening key needs all.</exception>
    public OpeningKeys Open(Vault vault)
    {
        if (_session.Parsed.GetValue(RefusedScopedOption) is not null)
        {
            throw new HoldfastException(ErrorCode.KeyTooNarrow, "This command needs the opening key; a scoped key of whatever class is not enough for it.",
                "Leave --scoped-key out: the key folder's opening.key is used, with opening.secret in the key folder, --opening-secret FILE or its passphrase. What scoped keys are enough for stands in docs/manual/keys.md; `holdfast verify` needs no key at all.");
        }
        for (var tries = 1; ; tries++)
        {
            try
            {
                return Files.Open(vault, Unwrap);
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.WrongVault)
            {
                throw WrongVault("The opening key is", vault);
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.WrongKey && _passphrase is not null && !_hasOpened && tries < MostTries && _session.Parsed.GetValue(PassphraseOption) is null)
            {
                _session.Warn("holdfast: that passphrase does not open the key. Type it again (Caps Lock, keyboard layout)");
                _passphrase = null;
            }
        }
    }

    SecretBytes Unwrap(OpeningKeyFile file)
    {
        if (_rawKey is null && _passphrase is null)
            Ask(file);
        var seed = _rawKey is not null ? file.OpenWithRawKey(_rawKey) : file.OpenWithPassphrase(_passphrase);
        _hasOpened = true;
        return seed;
    }

    /// <summary>Finds what opens the key file: once, however many files there are.</summary>
    void Ask(OpeningKeyFile file)
    {
        var named = _session.Parsed.GetValue(SecretOption);
        var hasPassphrase = file.Slots.Any(s => s.Kind == KeySlotKind.Passphrase);
        if (named is null && !Files.Has(SecretFile))
        {
            if (!hasPassphrase)
                throw new HoldfastException(ErrorCode.KeyFileBad, $"{SecretFile} is not in the key folder, and this opening key opens with it alone.",
                    "If it was moved to a safe place, name it there: --opening-secret FILE. If it is lost, `holdfast recover-key --out FOLDER` rebuilds the opening key from the recovery kit.");
            _passphrase = Passphrase.OfOpeningKey.Ask(_session, PassphraseOption);
            return;
        }
        if (IsTypedOption(PassphraseOption))
            _session.Warn($"holdfast: --passphrase-file was not used: {(named is null ? $"{SecretFile} lies in the key folder" : "--opening-secret was given")}, and opens the key by itself");
        var text = Encoding.ASCII.GetString(named is null ? Files.Read(SecretFile) : Secret(_session, named, "The opening secret's file")).Trim();
        var secret = new byte[OpeningKeyFile.RawKeySize];
        if (!Convert.TryFromBase64String(text, secret, out var length) || length != secret.Length)
            throw new HoldfastException(ErrorCode.KeyFileBad, "The opening secret is not a key file's secret.", "It is one line of 44 characters, as `holdfast init` wrote it.");
        _rawKey = secret;
    }

    /// <summary>Begins a new key epoch; its opening key opens with the same secret or passphrase as the present one, or with a new secret alone.</summary>
    /// <param name="vault">The vault.</param>
    /// <param name="keys">Its keys.</param>
    /// <param name="newSecret">A new file for a new secret: written before anything opens with it. The key folder's own secret is put aside then.</param>
    public uint Rotate(Vault vault, OpeningKeys keys, string? newSecret)
    {
        vault.RequireNewest(keys);
        if (newSecret is not null)
        {
            _rawKey = System.Security.Cryptography.RandomNumberGenerator.GetBytes(OpeningKeyFile.RawKeySize);
            WriteNew(newSecret, Encoding.ASCII.GetBytes(Convert.ToBase64String(_rawKey) + "\n"));
        }
        var epoch = Files.Rotate(vault, keys, (seed, epoch) =>
        {
            var opening = OpeningKeyFile.Create(vault.Id, epoch);
            return _rawKey is not null ? opening.AddRawKey(seed.Span, _rawKey) : opening.AddPassphrase(seed.Span, _passphrase, Argon2Cost.Default);
        });
        if (newSecret is not null)
            Files.PutSecretAside(epoch - 1);
        return epoch;
    }

    /// <summary>Writes a new file whole and durably, readable by its owner alone.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c> where there is one of that name; what the disk reports.</exception>
    public static void WriteNew(string path, ReadOnlySpan<byte> bytes)
    {
        try
        {
            if (!Disk.Real.WriteNew(path, bytes))
                throw NameTaken();
        }
        catch (HoldfastException e) when (NotWritten(e.Code) is not null && !FolderOwner.IsAtMercy(Path.GetDirectoryName(path)!))
        {
            throw new HoldfastException(e.Code, $"{NotWritten(e.Code)}; the file was not written.", e.Code == ErrorCode.DiskFull ? "Free space there, or name a file on another disk; then run this again." : "Name a file in a folder that is there, and that you may write to; then run this again.", e);
        }
    }

    /// <summary>Why a file that the user named could not be written: it is none of the vault's, and nor is its disk.</summary>
    static string? NotWritten(ErrorCode code) => code switch
    {
        ErrorCode.DiskFull => "The disk that the new file should be on is full",
        ErrorCode.NoPermission => "This user may not write to the folder that the new file should be in",
        ErrorCode.ReadOnlyMedia => "The disk that the new file should be on is mounted read-only",
        ErrorCode.StoreUnavailable => "The folder that the new file should be in is gone, or its disk does not answer as it should",
        _ => null,
    };

    /// <summary>Refuses a name for a new file before any work is done for it: one that is taken, or in a folder that cannot be written to.</summary>
    public static void RequireNew(Session session, string path)
    {
        if (!KeeperAccess.IsPlace(VaultFolder(session)) && FolderPath.IsWithin(path, VaultFolder(session)))
            throw new HoldfastException(ErrorCode.Usage, "The new file would lie inside the vault.", "Name another place: whoever takes the vault must not find keys in it.");
        RequireNew(path);
    }

    /// <summary>The same where no vault is named.</summary>
    public static void RequireNew(string path)
    {
        if (Path.Exists(path))
            throw NameTaken();
        if (FolderPath.ClosedOnTheWay(path) is { } closed)
            throw new HoldfastException(ErrorCode.NoPermission, $"The new file cannot be written: this user may not enter {closed}.", "Nothing was made. Name a file in a folder that you may write to.");
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

    /// <summary>The same for a file that has a key, or opens one: of root's, it lies in no folder of another user's, who could keep others from it, or exchange it.</summary>
    public static void RequireNewSecret(Session session, string path)
    {
        RequireNew(session, path);
        RequireNewSecret(path);
    }

    /// <summary>The same where no vault is named.</summary>
    public static void RequireNewSecret(string path)
    {
        RequireNew(path);
        if (FolderOwner.IsAnothers(path))
            throw new HoldfastException(ErrorCode.NoPermission, "The new file, as secret as a key, would be root's, in a folder of another user's, who could take it away or put another in its place.",
                "Nothing was made. Name a file in a folder of root's (/root), and bring it from there to where it is kept.");
    }

    static HoldfastException NameTaken() => new(ErrorCode.Usage, "There is a file of that name already.", "Choose another name: nothing is written over it.");

    /// <summary>Compares the vault with what these keys saw of it last, and remembers what is new: a log that was put back shows at the next command. A copy of the vault elsewhere
    /// is read and not written to, and what is remembered stays: which vault these keys go on with is changed by `log accept` alone.</summary>
    /// <param name="vault">Closed to changes where it is a copy.</param>
    /// <param name="toChange">For a command whose purpose is a change.</param>
    /// <exception cref="HoldfastException"><c>LogForked</c>, <c>WrongVault</c>; <c>VaultIsCopy</c> where it is to be changed.</exception>
    public void Remember(Vault vault, bool toChange = false)
    {
        if (toChange && vault.Keeper.Closed is { } damaged)
            throw damaged;
        if (!IsGiven)
            return;
        if (IsAway)
        {
            var refusal = ReadUncompared(toChange, ErrorCode.KeyFileBad, Folder, NotThere, LookAgain);
            vault.Keeper.Closed ??= refusal;
            return;
        }
        if (Files.Vault() is { } of && of != vault.Id)
            throw WrongVault("The key folder is", vault); // before its checkpoint is remembered here, which would shut out the right one
        var memory = new LogMemory(Folder);
        if (!toChange && Files.Vault() is null && memory.Closed is null && memory.Seen is null && !IsUnreadable(memory, vault))
            return; // no key folder yet: a command that only reads makes none of it
        if (memory.Closed is { } closed)
        {
            var refusal = ReadUncompared(toChange, ErrorCode.NoPermission, closed, $"this user may not {(Directory.Exists(closed) ? "enter" : "read")} {closed}", memory.Open(closed));
            vault.Keeper.Closed ??= refusal;
            return;
        }
        if (IsUnreadable(memory, vault))
            throw new HoldfastException(ErrorCode.KeyFileBad, "The file `checkpoint` in the key folder cannot be read, or is not as the log's key signed it: whether the vault's log was put back since it was last seen cannot be told.",
                "Put the file back from a copy of the key folder. Where there is none, be sure of the log first (`holdfast log verify --since FILE`, with a checkpoint kept elsewhere); then `holdfast log accept` goes on with the log that is here. To read meanwhile: " + LogMemory.ReadUncompared);
        if (memory.Seen is { } seen && seen.Origin != vault.Keeper.Log.Key.Name)
            throw WrongVault("The key folder is", vault);
        if (memory.HasLostCheckpoint)
            _session.Warn("holdfast: what these keys saw of the vault's log (the file `checkpoint` in the key folder) is gone: whether the vault was put back to an older state since then cannot be told. If nobody took that file away on purpose, treat it as an attack; `holdfast log verify --since FILE` compares with a checkpoint kept elsewhere");
        if (memory.Compare(vault) is not { } copy)
        {
            if (toChange && memory.Place is null)
                vault.Keeper.RequireWritable(); // keys that know no place yet take none that the change is refused in
            if (vault.Keeper.WitnessFault is not null)
                return; // what witnesses deny is not remembered as the log
            Keep(memory, vault, toChange);
            vault.Keeper.Grown = () =>
            {
                try
                {
                    Keep(memory, vault, toChange);
                }
                catch (Exception e) when (e is HoldfastException or IOException)
                {
                    // What was asked for is done, and the next command compares with what was seen before it.
                }
            };
            return;
        }
        Copy = copy;
        if (toChange)
            throw copy.Refusal;
        if (vault.Keeper.Closed is null or { Code: ErrorCode.LogForked }) // that witnesses saw more than a copy has is no wonder
            vault.Keeper.Closed = copy.Refusal;
        if (copy.Behind > 0)
            _session.Warn($"holdfast: {copy.Words}");
        else
            _session.Note($"holdfast: {copy.Words}");
        if (vault.Keeper.Folders.Skip(1).Intersect(copy.IsPlaceThere ? Core.Keeper.VaultKeeper.FurtherFoldersOf(copy.Place) : []).Where(Directory.Exists).ToList() is { Count: > 0 } shared)
            _session.Warn($"holdfast: this copy still reads {(shared.Count == 1 ? "a folder" : "folders")} of the vault it was copied from: {string.Join(", ", shared)}. Copy that too, and say where the copy is: {Shell.Program} store move OLD NEW --vault {Shell.Word(vault.Keeper.Folder)}");
        _session.Json(w =>
        {
            w.WriteStartObject("copy");
            w.WriteString("of", copy.Place);
            if (copy.IsPlaceShut)
                w.WriteNull("vaultIsThere");
            else
                w.WriteBoolean("vaultIsThere", copy.IsPlaceThere);
            w.WriteNumber("leavesBehind", copy.Behind);
            w.WriteString("seen", Text.Iso(copy.Seen));
            w.WriteString("ends", Text.Iso(copy.Latest));
            w.WriteEndObject();
        });
    }

    void Keep(LogMemory memory, Vault vault, bool toChange)
    {
        if (memory.Keep(vault, toChange) is not { } lost || _isLossTold)
            return;
        _isLossTold = true; // a command looks before it changes anything, and after
        _session.Warn($"holdfast: {lost}");
    }

    /// <summary>See <see cref="LogMemory.IsUnreadable"/>.</summary>
    public bool IsUnreadable(LogMemory memory, Vault vault) => memory.IsUnreadable(vault.Keeper.Log.Key, () => Files.LogKey() == vault.Keeper.Log.Key.ToString());

    /// <summary>As <see cref="Remember"/>, for what anybody may ask without keys: a key folder that the environment names may be of another vault, or not there, and is no hindrance. Nothing is
    /// to be written to a log that is <see cref="NotCompared"/>.</summary>
    /// <returns>Words on why the log was not compared; null where nothing is to be said.</returns>
    public string? RememberIfOurs(Vault vault)
    {
        try
        {
            if (IsGiven && IsAway && !IsTypedOption(KeysOption))
                ReadUncompared(toChange: false, ErrorCode.KeyFileBad, Folder, NotThere, LookAgain);
            else
                Remember(vault);
            return null;
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.WrongVault && !IsTypedOption(KeysOption))
        {
            const string why = "HOLDFAST_KEYS names the key folder of another vault: the log was not compared with what was seen before", mend = "Add --keys FOLDER with the key folder of this vault";
            NotCompared = new HoldfastException(ErrorCode.WrongVault, $"What was read is sound; but {why}.", $"{mend}, or set HOLDFAST_KEYS to nothing, which makes no claim on the log. Then run this again.", e);
            return $"{why}. {mend}.";
        }
    }

    /// <summary>Care first: what these keys saw last cannot be looked at, so the vault is read without being compared with it, and that is said; nothing is written to a log that may have
    /// been put back.</summary>
    /// <returns>Why nothing is written.</returns>
    HoldfastException ReadUncompared(bool toChange, ErrorCode code, string closed, string why, string mend)
    {
        const string notChecked = "whether the vault's log was put back since these keys last saw it was NOT CHECKED";
        var refusal = new HoldfastException(code, $"Nothing was written: {why}, so {notChecked}.", $"{mend}. Reading the vault is allowed meanwhile.");
        if (toChange)
            throw refusal;
        NotCompared = new HoldfastException(code, $"What was read is sound; {notChecked}: {why}.", $"{mend}. Then run this again.");
        _session.Warn($"holdfast: {notChecked}: {why}. {mend}");
        _session.Json(w => w.WriteString("notCompared", closed));
        return refusal;
    }
}
