using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;

namespace Holdfast.Cli.Keys;

/// <summary>How an agent reaches its gateway: the file <c>gateway.access</c> of a key folder. With <c>agent.key</c> beside it, it is all that a protected machine has: nothing that reads or opens a backup.</summary>
/// <param name="Url">Where the gateway answers; ends with a slash.</param>
/// <param name="Fingerprint">Of the gateway's certificate.</param>
/// <param name="LogKey">Of the vault's log, as it was when this agent was enrolled.</param>
public sealed record GatewayAccess(Uri Url, string Fingerprint, VerifierKey LogKey)
{
    public const string FileName = "gateway.access";
    public const string SeenFile = "gateway.seen";
    public const string ReceiptsFolder = "receipts";
    const string Head = "holdfast gateway access v1";

    public byte[] ToArray() => Encoding.UTF8.GetBytes($"{Head}\n{Url}\n{KeeperClients.Written(Fingerprint)}\n{LogKey}\n");

    static GatewayAccess? Parse(string text) =>
        text.Split('\n') is [Head, var at, var written, var key, ""] && KeeperAccess.TryUrl(at, out var url) && KeeperClients.TryFingerprint(written, out var fingerprint) && VerifierKey.TryParse(key, out var logKey)
            ? new GatewayAccess(url, fingerprint, logKey) : null;

    /// <summary>What a key folder has; null where it is no agent's.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>, <c>NoPermission</c>.</exception>
    internal static GatewayAccess? Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            return null;
        return Parse(UserFile.KeptText(path, $"The key folder's {FileName}")) ?? throw new HoldfastException(ErrorCode.KeyFileBad, $"The key folder's {FileName} makes no sense.", "Put it back from a copy of the key folder; or enrol the agent anew, with a folder of its own.");
    }

    /// <summary>The gateway that the call means; null where it means a vault or a keeper.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>: these keys go through a gateway, and another place is named.</exception>
    internal static GatewayAccess? Meant(Session session)
    {
        var keys = new KeyFolder(session);
        if (!keys.IsGiven || Read(keys.Folder) is not { } access)
            return null;
        var named = session.Parsed.GetValue(KeyFolder.VaultOption);
        if (named is { Length: > 0 } && !(KeeperAccess.TryUrl(named, out var url) && url == access.Url))
            throw new HoldfastException(ErrorCode.Usage, $"These keys are an agent's, which backs up through the gateway at {access.Url}, and --vault names another place.", "Leave --vault out, or name the gateway; where the gateway has moved, change its address in gateway.access.");
        return access;
    }
}
