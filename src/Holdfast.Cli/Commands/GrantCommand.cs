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
    const int MostAttempts = 3; // to have something recorded
    static readonly TimeSpan Linger = TimeSpan.FromSeconds(3); // so that an answer that was lost on its way is given again, and whoever asks hears how it ended
    static readonly TimeSpan Stopping = TimeSpan.FromSeconds(30); // for the end to be recorded by a keeper elsewhere

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
        using var reaching = new CancellationTokenSource(); // a grant that is taken back is recorded as that: until one stands, Ctrl+C ends all
        using var untilItStands = session.Stop.Register(reaching.Cancel);
        session.Reaching = reaching.Token;
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            vault.Keeper.RequireWritable(); // what the log cannot be told of is not granted
            var record = SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(Snapshot)!, tell: false);
            vault.RequireRestorable(record, keys);
            var agent = vault.State.Agent(id) ?? throw new HoldfastException(ErrorCode.Usage, "No agent of that id is enrolled, or it was revoked.", "`holdfast keeper agents` lists those that are.");
            if (record.Object!.Domain != agent.Domain)
                throw new HoldfastException(ErrorCode.NoPermission, "The snapshot is of another trust domain than the agent.", "What was kept apart when it was backed up is not granted across: restore it here (`holdfast restore`), or grant it to an agent of its own domain.");
            var tree = vault.Describe(record, keys);
            session.Note($"Granting {SnapshotArgument.Words(record, tree)}.");
            if (record.Agent != id)
                session.Warn($"holdfast: the snapshot was made by agent {Text.Id(record.Agent)}, and goes to the host of ANOTHER, {Text.Id(id)}: see that this is meant. Ctrl+C ends the grant");
            var stand = VaultRestore.StandOf(vault, record, keys, typed.Length > 0);
            HashSet<int> open = []; // patterns that have matched nothing yet
            var restore = new VaultRestore(vault, record, keys, agent, () => RestoreCommand.Filter(typed, open = [.. Enumerable.Range(0, typed.Length)]), RestoreCommand.Below(typed), threads) { Unmatched = () => open.Count };
            var grant = new Grant(vault.Id, vault.Keeper.File.LogKey, agent, RandomNumberGenerator.GetBytes(GrantProof.SecretSize), TimeSpan.FromSeconds(life), stand);
            var (end, fault, desk) = Serve(session, vault, grant, restore, at, () =>
            {
                untilItStands.Dispose();
                return () => reaching.CancelAfter(Stopping);
            });
            var (files, bytes) = desk.Done;
            session.Step($"The grant is over: {LeafWords.EndOf((ulong)end)}. {Text.Count(files, "file")}, {Text.Bytes(bytes)}{(end is GrantEnd.Whole or GrantEnd.NotWhole ? $" by the agent's word; {Text.Bytes(desk.Sent.Bytes)}" : "")} sent.");
            if (desk.Takeovers > 0)
                session.Finding($"  SHOWN AGAIN        agent and code, {Text.Count(desk.Takeovers, "time")}, with another certificate: where nobody ran the agent again, somebody else has its keys and the code, and what was sent");
            if (desk.WrongCodes > 0)
                session.Finding($"  WRONG CODES        {desk.WrongCodes}, with the agent's key");
            if (restore.Last is { } result)
            {
                if (result.Away > 0)
                    session.Warn($"holdfast: part of the vault could not be reached{(vault.Keeper.Lost is { Count: > 0 } gone ? $": {string.Join(", ", gone)}" : ", nor its keeper")}. That says nothing of what the vault holds");
                RestoreReport.TellRegister(session, result.Register);
                RestoreCommand.TellUnmatched(session, typed, open, tree);
            }
            session.Json(w =>
            {
                w.WriteString("snapshot", record.Snapshot.ToString());
                w.WriteString("agent", id.ToString());
                w.WriteString("end", end.ToString());
                w.WriteNumber("files", files);
                w.WriteNumber("bytes", bytes);
                w.WriteNumber("sent", desk.Sent.Bytes);
                w.WriteNumber("takeovers", desk.Takeovers);
                w.WriteNumber("wrongCodes", desk.WrongCodes);
                w.WriteNumber("unmatched", restore.Last?.Unmatched ?? 0);
                w.WriteNumber("leftOut", restore.Last?.Register.LeftOut ?? 0);
            });
            if (fault is not null)
                throw new HoldfastException(fault.Code, $"The end of the grant could not be recorded in the log: {fault.Message}", $"Write down how it ended. {fault.Guidance}", fault);
            return end switch { GrantEnd.Whole when restore.Last is not { Unmatched: > 0 } => 0, GrantEnd.Withdrawn => (int)ErrorCode.Interrupted, _ => (int)ErrorCode.Incomplete };
        }
    }

    static (GrantEnd End, HoldfastException? Fault, GrantDesk Desk) Serve(Session session, Vault vault, Grant grant, VaultRestore restore, System.Net.IPEndPoint at, Func<Action> stands)
    {
        var (snapshot, agent) = (grant.Stand.Snapshot, grant.Agent.Id);
        var identity = session.Network.NewIdentity("holdfast clean room"); // of this grant alone
        var fingerprint = session.Network.Fingerprint(identity);
        var secret = Id16.New();
        var mark = GrantedRestore.MarkOf(secret);
        var turn = new Lock(); // of the two records
        (GrantEnd End, HoldfastException? Fault) ended = default;
        var isRecorded = false; // or may be
        GrantDesk? made = null;
        using var desk = made = new GrantDesk(grant, restore, Hash32.TryParse(fingerprint, out var self) ? self : default)
        {
            Note = text => session.Note($"holdfast: {text}"),
            Warn = text => session.Warn($"holdfast: {text}"),
            Ended = end =>
            {
                lock (turn)
                    ended = (end, isRecorded ? Record(vault, g => g.Mark == mark && !g.IsOpen, LeafType.GrantEnded, secret, agent, (ulong)end + ((ulong)made!.Takeovers << 8), (ulong)made.Done.Bytes, (ulong)made.Done.Files) : null);
            },
        };
        using var stop = new CancellationTokenSource();
        using (desk.Over.Register(() => stop.CancelAfter(Linger)))
        {
            CancellationTokenRegistration standing = default, takenBack = default;
            try
            {
                session.Network.Serve(desk, at, identity, address =>
                {
                    var hurry = stands();
                    standing = session.Stop.Register(hurry);
                    lock (turn)
                    {
                        session.Stop.ThrowIfCancellationRequested();
                        if (ended.End != default)
                            return;
                        isRecorded = true;
                        var (b, c) = GrantedRestore.Numbers(mark);
                        if (Record(vault, g => g.Mark == mark, LeafType.Granted, snapshot, agent, vault.Keeper.Clock.Now + (ulong)grant.Life.TotalSeconds, b, c) is { } fault)
                            throw fault; // before anybody knows the code
                    }
                    takenBack = session.Stop.Register(() =>
                    {
                        hurry(); // first: what comes waits for what is being read, and for the keeper
                        desk.End(GrantEnd.Withdrawn); // at once: whoever asks is told
                    });
                    Tell(session, grant, address, fingerprint);
                }, text => session.Warn($"holdfast: {text}"), stop.Token);
            }
            finally
            {
                desk.End(GrantEnd.Withdrawn);
                takenBack.Dispose();
                standing.Dispose();
            }
        }
        return (ended.End, ended.Fault, desk);
    }

    /// <summary>What a person has to carry to the agent's host stands alone with --quiet, and with --json.</summary>
    static void Tell(Session session, Grant grant, string address, string fingerprint)
    {
        foreach (var line in new[] { $"Listening on {address}", $"Fingerprint {KeeperClients.Written(fingerprint)}", $"Code {EnrolmentTokens.Written(grant.Code)}" })
        {
            if (session.IsQuiet)
                session.Warn(line);
            else
                session.Line(line);
        }
        session.Note($"Snapshot {Text.Id(grant.Stand.Snapshot)}, for agent {Text.Id(grant.Agent.Id)} alone, once, within {Text.Span((ulong)grant.Life.TotalSeconds)}. On its host: {Shell.Program} agent restore https://HOST:{new Uri(address).Port} {KeeperClients.Written(fingerprint)} TARGET --keys FOLDER. Tell the code apart from that. Ctrl+C ends it.");
    }

    /// <summary>Has it recorded. Where a keeper elsewhere gave no answer, the log says whether it was; else it is asked for again.</summary>
    static HoldfastException? Record(Vault vault, Predicate<GrantedRestore> isThere, LeafType type, Id16 subject, Id16 agent, ulong a, ulong b, ulong c)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                vault.Keeper.Record(type, subject, agent, a, b, c);
                return null;
            }
            catch (HoldfastException e)
            {
                if (e.Code != ErrorCode.StoreUnavailable)
                    return e;
                if (IsThere(vault, isThere))
                    return null;
                if (attempt == MostAttempts)
                    return e;
            }
        }
    }

    static bool IsThere(Vault vault, Predicate<GrantedRestore> isThere)
    {
        try
        {
            vault.Keeper.Refresh();
            return vault.State.Grants.Exists(isThere);
        }
        catch (HoldfastException)
        {
            return false; // not known
        }
    }
}
