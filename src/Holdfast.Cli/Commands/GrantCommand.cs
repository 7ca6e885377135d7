using System.CommandLine;
using System.Security.Cryptography;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Grants;
using Holdfast.Core.Keeper;

namespace Holdfast.Cli.Commands;

/// <summary>Grants one restore of one snapshot to the host of one agent, which holds nothing that reads a backup: the vault is opened here, and what comes of it goes there.</summary>
static class GrantCommand
{
    static readonly TimeSpan Linger = TimeSpan.FromSeconds(3); // so that an answer that was lost on its way is given again

    static readonly Argument<string> Snapshot = SnapshotArgument.Make();
    static readonly Option<string> AgentOption = new("--agent") { Description = "The agent to whose host it goes: its id (holdfast keeper agents).", HelpName = "ID", Required = true };
    static readonly Option<string> LifeOption = new("--for") { Description = "How long the grant stands: 90s, 8h, 2d; 7d at most.", HelpName = "TIME", DefaultValueFactory = _ => "8h" };
    static readonly Option<string> ListenOption = ListenAddress.Option(8447);

    public static Command Create() => Session.Command("grant", "Grant one restore to the host of an agent. Runs until it was used, its time is over, or it is stopped; the log has a record of both.", command =>
    {
        command.Arguments.Add(Snapshot);
        foreach (var option in new Option[] { AgentOption, RestoreCommand.IncludeOption, LifeOption, ListenOption, ThreadsArgument.Option, SnapshotArgument.NameOption })
            command.Options.Add(option);
        KeyFolder.AddTo(command, reading: true, scoped: false);
    }, Run);

    static int Run(Session session)
    {
        session.Network.Require();
        var at = ListenAddress.Of(session, ListenOption);
        var threads = ThreadsArgument.Get(session);
        if (!Id16.TryParse(session.Parsed.GetValue(AgentOption)!, out var id))
            throw new HoldfastException(ErrorCode.Usage, "That is no id of an agent.", "It is 32 hexadecimal digits; `holdfast keeper agents` lists them.");
        var life = InitCommand.Length(session, LifeOption)!.Value;
        if (life is 0 or > GrantedRestore.MostLife)
            throw new HoldfastException(ErrorCode.Usage, "A grant stands for some time, and for 7 days at most.", "Such as --for 8h. One that was not used in time is made anew.");
        var typed = session.Parsed.GetValue(RestoreCommand.IncludeOption)!;
        NamePattern.Require(typed, "--include number");
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            vault.Keeper.RequireWritable(); // what the log cannot be told of is not granted
            var record = SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(Snapshot)!, tell: false);
            vault.RequireRestorable(record, keys);
            var agent = vault.State.Agent(id) ?? throw new HoldfastException(ErrorCode.Usage, "No agent of that id is enrolled, or it was revoked.", "`holdfast keeper agents` lists those that are.");
            var stand = VaultRestore.StandOf(vault, record, keys, typed.Length > 0);
            var restore = new VaultRestore(vault, record, keys, agent, () => RestoreCommand.Filter(typed), RestoreCommand.Below(typed), threads);
            var grant = new Grant(vault.Id, vault.Keeper.File.LogKey, agent, RandomNumberGenerator.GetBytes(GrantProof.SecretSize), TimeSpan.FromSeconds(life), stand);
            var (end, files, bytes, fault) = Serve(session, vault, grant, restore, at);
            session.Step($"The grant is over: {LeafWords.EndOf((ulong)end)}. {Text.Count(files, "file")}, {Text.Bytes(bytes)}{(end is GrantEnd.Whole or GrantEnd.NotWhole ? " by the agent's word" : " sent")}.");
            if (restore.Last is { } result)
                RestoreReport.TellRegister(session, result.Register);
            session.Json(w =>
            {
                w.WriteString("snapshot", record.Snapshot.ToString());
                w.WriteString("agent", id.ToString());
                w.WriteString("end", end.ToString());
                w.WriteNumber("files", files);
                w.WriteNumber("bytes", bytes);
                w.WriteNumber("leftOut", restore.Last?.Register.LeftOut ?? 0);
            });
            if (fault is not null)
                throw new HoldfastException(fault.Code, $"The end of the grant could not be recorded in the log: {fault.Message}", $"Write down how it ended. {fault.Guidance}", fault);
            return end switch { GrantEnd.Whole => 0, GrantEnd.Withdrawn => (int)ErrorCode.Interrupted, _ => (int)ErrorCode.Incomplete };
        }
    }

    static (GrantEnd End, long Files, long Bytes, HoldfastException? Fault) Serve(Session session, Vault vault, Grant grant, VaultRestore restore, System.Net.IPEndPoint at)
    {
        var (snapshot, agent) = (grant.Stand.Snapshot, grant.Agent.Id);
        var identity = session.Network.NewIdentity("holdfast clean room"); // of this grant alone
        var fingerprint = session.Network.Fingerprint(identity);
        GrantDesk? made = null;
        (GrantEnd End, HoldfastException? Fault) ended = default;
        var isRecorded = false;
        using (var desk = made = new GrantDesk(grant, restore, Hash32.TryParse(fingerprint, out var self) ? self : default)
        {
            Note = text => session.Note($"holdfast: {text}"),
            Ended = end => ended = (end, isRecorded ? Record(vault, LeafType.GrantEnded, snapshot, agent, (ulong)end, (ulong)made!.Done.Bytes, (ulong)made.Done.Files) : null),
        })
        using (var stop = CancellationTokenSource.CreateLinkedTokenSource(session.Stop))
        using (desk.Over.Register(() => stop.CancelAfter(Linger)))
        {
            session.Network.Serve(desk, at, identity, address =>
            {
                if (Record(vault, LeafType.Granted, snapshot, agent, vault.Keeper.Clock.Now + (ulong)grant.Life.TotalSeconds, 0, 0) is { } fault)
                    throw fault; // before anybody knows the code
                isRecorded = true;
                session.Step($"Listening on {address}");
                session.Step($"Fingerprint {KeeperClients.Written(fingerprint)}");
                var code = $"Code {EnrolmentTokens.Written(grant.Code)}";
                if (session.IsQuiet)
                    session.Warn(code);
                else
                    session.Line(code);
                session.Note($"Snapshot {Text.Id(snapshot)}, for agent {Text.Id(agent)} alone, once, within {Text.Span((ulong)grant.Life.TotalSeconds)}. On its host: {Shell.Program} agent restore https://HOST:{new Uri(address).Port} {KeeperClients.Written(fingerprint)} TARGET --keys FOLDER. Tell the code apart from that. Ctrl+C ends it.");
            }, text => session.Warn($"holdfast: {text}"), stop.Token);
        }
        var (files, bytes) = made.Done;
        return (ended.End, files, bytes, ended.Fault);
    }

    static HoldfastException? Record(Vault vault, LeafType type, Id16 snapshot, Id16 agent, ulong a, ulong b, ulong c)
    {
        try
        {
            vault.Keeper.Record(type, snapshot, agent, a, b, c);
            return null;
        }
        catch (HoldfastException e)
        {
            return e;
        }
    }
}
