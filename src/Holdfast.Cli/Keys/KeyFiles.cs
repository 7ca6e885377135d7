using System.Text;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Keys;

/// <summary>The files of a key folder. Each is written whole and durably or not at all, readable by its owner alone whatever the umask, and never over one that is in use.</summary>
/// <param name="folder">Full path; it need not be there yet.</param>
/// <param name="disk">Where changes go.</param>
sealed class KeyFiles(string folder, Disk? disk = null)
{
    static readonly string[] Names = [KeyFolder.AgentFile, KeyFolder.OpeningFile, KeyFolder.SecretFile, KeyFolder.PutFile]; // put.key last: by it a folder is told to be put aside

    const string Prepared = ".new";

    readonly Disk _disk = disk ?? Disk.Real;

    string PathOf(string file) => Path.Combine(folder, file);

    /// <summary>Refuses a folder that holds keys, or cannot be written to. Changes nothing.</summary>
    /// <param name="unfinished">Keys of this vault, whose making was cut short, do not count: it never was one.</param>
    /// <exception cref="HoldfastException"><c>VaultExists</c>, <c>NoPermission</c>, <c>ReadOnlyMedia</c>, <c>Usage</c>.</exception>
    public void RequireFree(Id16 unfinished = default)
    {
        if (Array.Exists(Names, n => File.Exists(PathOf(n))) && !AreOf(unfinished))
            throw new HoldfastException(ErrorCode.VaultExists, "The key folder holds the keys of a vault already.",
                "Name another folder with --keys (or --out); keys are never overwritten. If they are left from an `init` that was cut short and made no vault, they open nothing: move them away.");
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
            using var put = PutKey.Parse(File.ReadAllBytes(PathOf(KeyFolder.PutFile)));
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

    /// <summary>Writes a new vault's keys.</summary>
    /// <param name="keys">The new keys.</param>
    /// <param name="passphrase">Null: a key-file slot, with its secret beside it.</param>
    public void Write(NewVaultKeys keys, string? passphrase)
    {
        _disk.MakeDurable(folder, ownerOnly: true);
        Write(KeyFolder.PutFile, keys.Put.ToText());
        Write(KeyFolder.AgentFile, keys.Agent.ToText());
        WriteOpening(keys.OpeningSeed, keys.Put.Vault, 1, passphrase);
    }

    /// <summary>Writes an opening key file, and its secret beside it where there is no passphrase.</summary>
    public void WriteOpening(SecretBytes seed, Id16 vault, uint epoch, string? passphrase)
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

    /// <summary>Keeps issued keys durably under names that no command reads: they get their own when the log knows them.</summary>
    public void Prepare(PutKey put, AgentKey agent)
    {
        _disk.MakeDurable(folder, ownerOnly: true);
        _disk.Replace(PathOf(KeyFolder.PutFile + Prepared), put.ToText());
        _disk.Replace(PathOf(KeyFolder.AgentFile + Prepared), agent.ToText());
    }

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
