using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>The keeper as a process of its own: the one that the vault's files belong to. Whoever backs up or reads does so through it, and can ask of it nothing that removes, overwrites or shortens.</summary>
static class KeeperCommand
{
    const string IdentityFile = "tls.pem"; // in the vault's folder keeper

    static readonly Argument<string> NameArgument = new("NAME") { Description = "What the client is called here." };
    static readonly Argument<string> FingerprintArgument = new("FINGERPRINT") { Description = "Of its certificate, sha256:HEX: `holdfast join` printed it there." };
    static readonly Option<string> RoleOption = new("--role") { Description = "What it may ask: backup (store and commit), read (restore and verify), attest (read, and record attestations: a clean room), manage (all).", HelpName = "ROLE", Required = true };
    static readonly Option<string?> UncommittedOption = new("--uncommitted") { Description = "How much it may store without committing it: 2TiB. Default: half of the room there is; in an object store, no limit.", HelpName = "SIZE" };
    static readonly Argument<string> AgentArgument = new("AGENT") { Description = "Its id; `holdfast keeper agents` lists them." };
    static readonly Option<string> ValidOption = new("--valid") { Description = "How long the token may be used: 1d, 2w.", HelpName = "TIME", DefaultValueFactory = _ => "1d" };
    static readonly Option<string> ListenOption = ListenAddress.Option(8444);

    public static Command Create()
    {
        var keeper = new Command("keeper", "Keep a vault for other machines, which reach it over the network and cannot touch its files.");
        keeper.Subcommands.Add(Session.Command("serve", "Answer those clients, over TLS. Runs until it is stopped, as the user whose the vault's files are.", command =>
        {
            command.Options.Add(KeyFolder.VaultOption);
            command.Options.Add(ListenOption);
        }, Serve));
        keeper.Subcommands.Add(Session.Command("allow", "Let a client in, or change what it may ask.", command =>
        {
            command.Arguments.Add(NameArgument);
            command.Arguments.Add(FingerprintArgument);
            command.Options.Add(RoleOption);
            command.Options.Add(UncommittedOption);
            command.Options.Add(KeyFolder.VaultOption);
        }, Allow));
        keeper.Subcommands.Add(Session.Command("deny", "Shut a client out, at once.", command =>
        {
            command.Arguments.Add(NameArgument);
            command.Options.Add(KeyFolder.VaultOption);
        }, Deny));
        keeper.Subcommands.Add(Session.Command("token", "Make a token that enrols one agent (holdfast agent enrol), through a gateway.", command =>
        {
            command.Arguments.Add(NameArgument);
            command.Options.Add(ValidOption);
            command.Options.Add(KeyFolder.VaultOption);
        }, Token));
        keeper.Subcommands.Add(Session.Command("agents", "List the agents that are enrolled, with what they last backed up.", command => command.Options.Add(KeyFolder.VaultOption), Agents));
        keeper.Subcommands.Add(Session.Command("revoke", "Believe an agent no longer: it commits nothing from then on, and its sources may go on under another.", command =>
        {
            command.Arguments.Add(AgentArgument);
            command.Options.Add(KeyFolder.VaultOption);
        }, Revoke));
        keeper.Subcommands.Add(Session.Command("list", "List the clients that may reach the vault.", command => command.Options.Add(KeyFolder.VaultOption), List));
        return keeper;
    }

    /// <summary>The vault's folder, on this machine.</summary>
    static string Folder(Session session)
    {
        var folder = FolderPath.Full(KeyFolder.LocalFolder(session));
        FolderOwner.Know(folder);
        _ = VaultFile.Read(folder); // there is a vault
        return folder;
    }

    static int Allow(Session session)
    {
        var (folder, name) = (Folder(session), session.Parsed.GetValue(NameArgument)!);
        if (!KeeperClients.IsName(name))
            throw new HoldfastException(ErrorCode.Usage, "A client cannot be called that.", "Letters, digits, dots, hyphens and underscores, 64 at most.");
        if (!KeeperClients.TryFingerprint(session.Parsed.GetValue(FingerprintArgument)!, out var fingerprint))
            throw new HoldfastException(ErrorCode.Usage, "That is no fingerprint.", "It is sha256: and 64 hexadecimal digits; `holdfast join` printed it on the client's machine.");
        if (!KeeperClients.TryRole(session.Parsed.GetValue(RoleOption)!, out var role))
            throw new HoldfastException(ErrorCode.Usage, "There is no such role.", "backup: store and commit. read: restore, verify, list. attest: read, and record attestations. manage: all that can be asked, longer locks and new keys too.");
        if (KeeperClients.Read(folder).FirstOrDefault(c => c.Fingerprint == fingerprint && c.Name != name) is { } other)
            throw new HoldfastException(ErrorCode.Usage, $"That fingerprint is the client {other.Name}'s already.", $"Change that one, or shut it out first (`holdfast keeper deny {other.Name}`).");
        KeeperClients.Allow(folder, new KeeperClient(name, role, fingerprint, InitCommand.Size(session, UncommittedOption) is var size and > 0 ? size : null), Disk.Real);
        session.Json(w =>
        {
            w.WriteString("name", name);
            w.WriteString("role", session.Parsed.GetValue(RoleOption)!);
        });
        session.Step($"The client {name} may {Words(role)} from now on; a keeper that runs knows it.");
        return 0;
    }

    static string Words(KeeperRole role) => role switch
    {
        KeeperRole.Backup => "back up",
        KeeperRole.Read => "read",
        KeeperRole.Attest => "read, and record attestations",
        _ => "back up, read, lengthen locks, raise policies and enrol keys",
    };

    static int Deny(Session session)
    {
        var (folder, name) = (Folder(session), session.Parsed.GetValue(NameArgument)!);
        if (!KeeperClients.Deny(folder, name, Disk.Real))
            throw new HoldfastException(ErrorCode.Usage, "There is no client of that name.", "`holdfast keeper list` lists them.");
        session.Json(w => w.WriteString("denied", name));
        session.Step($"The client {name} is shut out.");
        return 0;
    }

    static int Token(Session session)
    {
        var (folder, name) = (Folder(session), session.Parsed.GetValue(NameArgument)!);
        if (!KeeperClients.IsName(name))
            throw new HoldfastException(ErrorCode.Usage, "An agent cannot be called that.", "Letters, digits, dots, hyphens and underscores, 64 at most.");
        var valid = InitCommand.Length(session, ValidOption)!.Value;
        using var vault = KeyFolder.OpenVault(session, folder);
        var now = vault.Keeper.Clock.Now;
        var token = EnrolmentTokens.Written(EnrolmentTokens.Make(folder, name, now, now + valid, Disk.Real));
        session.Json(w =>
        {
            w.WriteString("token", token);
            w.WriteString("until", Text.Iso(now + valid));
        });
        session.Line(token);
        session.Note($"holdfast: that enrols one agent, once, until {Text.Time(now + valid)}. On its machine: {Shell.Program} agent enrol https://GATEWAY:8445 sha256:FINGERPRINT --keys FOLDER");
        return 0;
    }

    static int Agents(Session session)
    {
        using var vault = KeyFolder.OpenVault(session, Folder(session));
        var last = vault.State.Snapshots.GroupBy(s => s.Agent).ToDictionary(g => g.Key, g => (Sources: g.Select(s => s.Source).Distinct().Count(), Last: g.Max(s => s.Committed)));
        var agents = vault.State.Agents.OrderBy(a => a.Id.ToString(), StringComparer.Ordinal).ToList();
        session.Json(w =>
        {
            w.WriteStartArray("agents");
            foreach (var agent in agents)
            {
                w.WriteStartObject();
                w.WriteString("agent", agent.Id.ToString());
                w.WriteNumber("sources", last.GetValueOrDefault(agent.Id).Sources);
                if (last.TryGetValue(agent.Id, out var known))
                    w.WriteString("last", Text.Iso(known.Last));
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        foreach (var agent in agents)
            session.Line(last.TryGetValue(agent.Id, out var known) ? $"{agent.Id}  {Text.Count(known.Sources, "source"),-12} last {Text.Time(known.Last)}" : $"{agent.Id}  nothing backed up");
        return 0;
    }

    static int Revoke(Session session)
    {
        if (!Id16.TryParse(session.Parsed.GetValue(AgentArgument)!, out var agent))
            throw new HoldfastException(ErrorCode.Usage, "That is no id of an agent.", "It is 32 hexadecimal digits; `holdfast keeper agents` lists them.");
        using var vault = KeyFolder.OpenVault(session, Folder(session));
        vault.Keeper.RevokeAgent(agent);
        session.Json(w => w.WriteString("revoked", agent.ToString()));
        session.Step($"Agent {agent} is believed no longer; what it backed up stays as it is.");
        return 0;
    }

    static int List(Session session)
    {
        var clients = KeeperClients.Read(Folder(session));
        session.Json(w =>
        {
            w.WriteStartArray("clients");
            foreach (var client in clients)
            {
                w.WriteStartObject();
                w.WriteString("name", client.Name);
                w.WriteString("role", client.Role.ToString().ToLowerInvariant());
                w.WriteString("fingerprint", KeeperClients.Written(client.Fingerprint));
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        foreach (var client in clients)
            session.Line($"{client.Name,-24} {client.Role.ToString().ToLowerInvariant(),-8} {KeeperClients.Written(client.Fingerprint)}");
        if (clients.Count == 0)
            session.Note("holdfast: no client may reach this vault; `holdfast keeper allow` lets one in");
        return 0;
    }

    static int Serve(Session session)
    {
        var at = ListenAddress.Of(session, ListenOption);
        session.Network.Require();
        var folder = Folder(session);
        using var vault = KeyFolder.OpenVault(session, folder);
        vault.Keeper.RequireWritable();
        vault.Keeper.BeginSession();
        var path = Path.Combine(folder, "keeper", IdentityFile);
        if (!File.Exists(path))
            Disk.Real.WriteNew(path, System.Text.Encoding.UTF8.GetBytes(session.Network.NewIdentity("holdfast keeper"))); // one that another made meanwhile stays
        var identity = UserFile.KeptText(path, "The keeper's certificate and key (keeper/tls.pem)");
        session.Network.Serve(new KeeperDesk(vault.Keeper), Path.Combine(folder, "staging"), () => KeeperClients.Read(folder), at, identity, address =>
        {
            session.Step($"Listening on {address}");
            session.Step($"Fingerprint {KeeperClients.Written(session.Network.Fingerprint(identity))}");
            session.Note($"Keeper of vault {vault.Id}, {Text.Count(KeeperClients.Read(folder).Count, "client")}; Ctrl+C ends it.");
        }, text => session.Warn($"holdfast: {text}"), session.Stop);
        return 0;
    }
}
