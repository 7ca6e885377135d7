using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>Makes this machine an agent: it can send backups to a gateway, and has nothing that reads one.</summary>
static class AgentCommand
{
    static readonly Argument<string> UrlArgument = new("URL") { Description = "Where the gateway answers: https://HOST:PORT." };
    static readonly Argument<string> FingerprintArgument = new("FINGERPRINT") { Description = "Of the gateway's certificate, sha256:HEX, as `holdfast gateway serve` shows it there. Take it from someone you trust." };
    static readonly Option<string?> TokenOption = new("--token-file") { Description = "File with the token that `holdfast keeper token` made; without it, it is asked for.", HelpName = "FILE" };

    public static Command Create()
    {
        var agent = new Command("agent", "Make this machine an agent, which sends its backups to a gateway and reads nothing; bring back here what was granted to it.");
        agent.Subcommands.Add(Session.Command("enrol", "Enrol this machine, by a token made for it. `holdfast backup` then goes through the gateway.", command =>
        {
            command.Arguments.Add(UrlArgument);
            command.Arguments.Add(FingerprintArgument);
            command.Options.Add(TokenOption);
            command.Options.Add(KeyFolder.KeysOption);
        }, Enrol));
        agent.Subcommands.Add(AgentRestore.Create());
        return agent;
    }

    static int Enrol(Session session)
    {
        session.Network.Require();
        if (!KeeperAccess.TryUrl(session.Parsed.GetValue(UrlArgument)!, out var url))
            throw new HoldfastException(ErrorCode.Usage, "That is no address of a gateway.", "Such as https://gateway.example.nhs.uk:8445 - with no path behind it.");
        if (!KeeperClients.TryFingerprint(session.Parsed.GetValue(FingerprintArgument)!, out var fingerprint))
            throw new HoldfastException(ErrorCode.Usage, "That is no fingerprint.", "It is sha256: and 64 hexadecimal digits; `holdfast gateway serve` shows it when it starts.");
        var folder = FolderPath.Full(new KeyFolder(session).Folder);
        InitCommand.RequireParent(folder);
        foreach (var taken in new[] { KeyFolder.PutFile, KeyFolder.OpeningFile, GatewayAccess.FileName, KeeperAccess.FileName })
        {
            if (Path.Exists(Path.Combine(folder, taken)))
                throw new HoldfastException(ErrorCode.VaultExists, $"There is a {taken} in the key folder already.", "Name another folder: an agent has one of its own, with nothing in it that reads or opens a backup.");
        }
        var gateway = session.Network.Gateway(new GatewayAccess(url, fingerprint, new VerifierKey("-", new byte[32])), 0, session.Stop);
        var hello = AgentLink.Hello(gateway);
        if (!VerifierKey.TryParse(hello.LogKey, out var logKey))
            throw new HoldfastException(ErrorCode.StoreUnavailable, "What the gateway answered makes no sense.", "Use the same release of holdfast on both machines.");
        var path = Path.Combine(folder, KeyFolder.AgentFile);
        using var agent = File.Exists(path) ? AgentKey.Parse(UserFile.Kept(path, "The key folder's agent.key")) : AgentKey.Create(hello.Vault);
        var link = new AgentLink(gateway, agent, logKey);
        if (!File.Exists(path) || !IsEnrolled(link)) // a run before may have got that far
        {
            if (!EnrolmentTokens.TryRead(Token(session), out var token))
                throw new HoldfastException(ErrorCode.Usage, "That is no token.", "It is 32 hexadecimal digits, with hyphens between; `holdfast keeper token` on the keeper's machine prints one.");
            // Durable first: an agent that the log knows and nobody has the key of would stand there for good.
            Disk.Real.MakeDurable(folder, ownerOnly: true);
            Disk.Real.WriteNew(path, agent.ToText());
            gateway.Ask(new AgentRequest.Enrol(token, agent.Agent, agent.Signer.PublicKey.ToArray()));
            link.Prove();
        }
        Disk.Real.WriteNew(Path.Combine(folder, GatewayAccess.FileName), new GatewayAccess(url, fingerprint, logKey).ToArray());
        session.Json(w =>
        {
            w.WriteString("agent", agent.Agent.ToString());
            w.WriteString("vault", hello.Vault.ToString());
            w.WriteString("url", url.ToString());
        });
        session.Step($"This machine is agent {agent.Agent} of vault {hello.Vault}.");
        session.Note($"holdfast: {Shell.Program} backup FOLDER --keys {Shell.Word(folder)} backs up through the gateway");
        return 0;
    }

    static bool IsEnrolled(AgentLink link)
    {
        try
        {
            link.Prove();
            return true;
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.NoPermission)
        {
            return false;
        }
    }

    static string Token(Session session)
    {
        if (session.Parsed.GetValue(TokenOption) is { } file)
            return UserFile.FirstLine(file, "The file with the token");
        if (Console.IsInputRedirected)
            return UserFile.InputText(session.Stop);
        return Prompt.Hidden("Token: ", session.Stop) ?? "";
    }
}
