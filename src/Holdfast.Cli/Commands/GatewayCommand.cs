using System.CommandLine;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>The gateway: takes in what agents send, names, compresses and seals it, and has the keeper commit it. It holds nothing that opens what is stored.</summary>
static class GatewayCommand
{
    const string IdentityFile = "gateway.pem"; // in the key folder

    static readonly Option<string> ListenOption = ListenAddress.Option(8445);
    static readonly Option<string?> DailyOption = new("--daily-limit") { Description = "Bytes that one agent may send in a day, such as 500GiB. Default: as many as it likes; what is kept has quotas of its own (holdfast policy).", HelpName = "SIZE" };

    public static Command Create()
    {
        var gateway = new Command("gateway", "Take in backups of agents: other machines, which can send, and read nothing.");
        gateway.Subcommands.Add(Session.Command("serve", "Answer agents, over TLS. Runs until it is stopped.", command =>
        {
            command.Options.Add(ListenOption);
            command.Options.Add(DailyOption);
            command.Options.Add(KeyFolder.VaultOption);
            command.Options.Add(KeyFolder.KeysOption);
        }, Serve));
        return gateway;
    }

    static int Serve(Session session)
    {
        session.Network.Require();
        var at = ListenAddress.Of(session, ListenOption);
        var daily = (long)InitCommand.Size(session, DailyOption);
        using var vault = KeyFolder.OpenVault(session);
        var keys = new KeyFolder(session);
        using var put = keys.Put();
        vault.Require(put);
        keys.Remember(vault, toChange: true);
        var path = Path.Combine(keys.Folder, IdentityFile);
        if (!File.Exists(path))
            Disk.Real.WriteNew(path, Encoding.UTF8.GetBytes(session.Network.NewIdentity("holdfast gateway"))); // one that another made meanwhile stays
        var identity = UserFile.KeptText(path, $"The gateway's certificate and key ({IdentityFile})");
        var fingerprint = session.Network.Fingerprint(identity);
        using var desk = new GatewayDesk(vault, put, Hash32.TryParse(fingerprint, out var self) ? self : default, new GatewayLimits { DailyBytes = daily }) { Warn = Once(session) };
        session.Network.Serve(desk, at, identity, address =>
        {
            session.Step($"Listening on {address}");
            session.Step($"Fingerprint {KeeperClients.Written(fingerprint)}");
            session.Note($"Gateway of vault {vault.Id}, writer {put.Writer}, {Text.Count(vault.State.Agents.Count, "agent")} enrolled; Ctrl+C ends it.");
        }, text => session.Warn($"holdfast: {text}"), session.Stop);
        return 0;
    }

    static Action<string> Once(Session session)
    {
        var told = new HashSet<string>();
        return text =>
        {
            lock (told)
            {
                if (told.Add(text))
                    session.Warn($"holdfast: {text}");
            }
        };
    }
}
