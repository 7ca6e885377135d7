using System.Diagnostics.CodeAnalysis;
using System.Text;
using Holdfast.Cli.Commands;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Keys;

/// <summary>How this machine reaches a vault's keeper that is a process of its own: the file <c>keeper.access</c> of a key folder. It has a key, and opens nothing.</summary>
/// <param name="Url">Where the keeper answers; ends with a slash.</param>
/// <param name="Fingerprint">Of the keeper's certificate.</param>
/// <param name="Identity">This client's certificate and key, as PEM.</param>
public sealed record KeeperAccess(Uri Url, string Fingerprint, string Identity)
{
    public const string FileName = "keeper.access";
    const string Head = "holdfast keeper access v1";

    /// <summary>A vault that is named by its keeper's address.</summary>
    public static bool IsPlace([NotNullWhen(true)] string? vault) => vault?.StartsWith("https://", StringComparison.OrdinalIgnoreCase) == true;

    /// <summary>`https://HOST[:PORT]`, and nothing else.</summary>
    public static bool TryUrl(string text, [NotNullWhen(true)] out Uri? url) =>
        Uri.TryCreate(text, UriKind.Absolute, out url) && url is { Scheme: "https", Query: "", Fragment: "", UserInfo: "", AbsolutePath: "/", IsLoopback: _ } && url.Host.Length > 0 && text.All(c => c is > ' ' and < '\x7F');

    public byte[] ToArray() => Encoding.UTF8.GetBytes($"{Head}\n{Url}\n{KeeperClients.Written(Fingerprint)}\n{Identity}");

    static KeeperAccess? Parse(string text) =>
        text.Split('\n', 4) is [Head, var at, var written, { Length: > 0 } identity] && TryUrl(at, out var url) && KeeperClients.TryFingerprint(written, out var fingerprint) ? new KeeperAccess(url, fingerprint, identity) : null;

    /// <summary>What a key folder has; null where it has none.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>NoPermission</c>.</exception>
    internal static KeeperAccess? Read(string folder, Action<string>? warn)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return null;
        KeyFiles.WarnIfOpen(path, FileName, warn);
        return Parse(UserFile.KeptText(path, $"The key folder's {FileName}")) ?? throw new HoldfastException(ErrorCode.KeyFileBad, $"The key folder's {FileName} makes no sense.", "Put it back from a copy of the key folder; or take it away and run `holdfast join` again.");
    }

    /// <summary>The folder that stands here for the vault that a keeper elsewhere keeps.</summary>
    internal static string Reach(Session session, string named)
    {
        if (!TryUrl(named, out var url))
            throw new HoldfastException(ErrorCode.Usage, "That is no address of a keeper.", "Such as --vault https://keeper.example.nhs.uk:8444 - with no path behind it.");
        var keys = new KeyFolder(session);
        if (keys.IsGiven && GatewayAccess.Read(keys.Folder) is not null)
            throw new HoldfastException(ErrorCode.NoPermission, "These keys are an agent's: they send backups to a gateway, and can neither list nor read.", "Look and restore from a machine that has keys for it.");
        if (!keys.IsGiven || Read(keys.Folder, session.Warn) is not { } access)
            throw new HoldfastException(ErrorCode.KeyFileBad, $"How to reach that keeper is in a key folder's {FileName}, and {(keys.IsGiven ? "the one that was named has none" : "none was named")}.",
                $"`holdfast join {url} FINGERPRINT --keys FOLDER` makes it, with the fingerprint that `holdfast keeper serve` shows on the keeper's machine.");
        if (access.Url != url)
            throw new HoldfastException(ErrorCode.Usage, $"The key folder reaches its vault at {access.Url}, and --vault names another address.", $"Name that one; or, where the keeper has moved, `holdfast join` again with the new one.");
        var mirror = access.Mirror();
        session.Network.Reach(access, mirror, session.Reaching);
        return mirror;
    }

    /// <summary>The folder that stands for the vault on this machine: its log as far as it was seen, an index, what was read when. A cache; its loss costs time.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: this user has no place for it.</exception>
    string Mirror()
    {
        var state = BackupCommand.StateFolder() ?? throw new HoldfastException(ErrorCode.Usage, "This user has no home folder, and what is known of the vault has to lie somewhere.", "Name a folder of this user's own in HOLDFAST_STATE_DIR.");
        var name = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes($"{Url}\n{Fingerprint}")))[..32];
        var folder = Path.Combine(state, "keepers", name);
        if (FolderOwner.IsAnothers(folder))
            throw new HoldfastException(ErrorCode.Usage, "The folder for what is known of the vault is another user's.", "Name a folder of this user's own in HOLDFAST_STATE_DIR, or run with this user's own HOME (sudo -H).");
        return folder;
    }
}
