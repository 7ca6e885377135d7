using System.CommandLine;
using System.Globalization;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>Makes the files that people sign. Whoever can read a vault's log can ask; nothing comes of it but by approval.</summary>
static class ApprovalRequests
{
    const ulong DefaultOpen = 7 * RetentionPolicy.Day;
    const ulong LeastForward = 3_600; // seconds: less is nobody's doubt

    static readonly Option<string> OutOption = new("--out") { Description = "The request's new file.", HelpName = "FILE", Required = true };
    static readonly Option<string?> ReasonOption = new("--reason") { Description = "Why, for those who are to approve. It stays in the file; the vault has a hash of it. No names of patients.", HelpName = "TEXT" };
    static readonly Option<string?> RequesterOption = new("--requester") { Description = "Your approver id, where you are one: your own approval does not count then.", HelpName = "ID" };
    static readonly Option<string> OpenOption = new("--open") { Description = "How long it may be approved: 7d; 30d at most.", HelpName = "TIME", DefaultValueFactory = _ => "7d" };
    static readonly Option<string?> NowOption = new("--now") { Description = "What time it is: 2027-03-01T12:00:00Z. This machine's clock says it where this is left out.", HelpName = "TIME" };
    static readonly Argument<string[]> SnapshotsArgument = new("SNAPSHOT") { Description = "The snapshots: ids, or their first letters.", Arity = ArgumentArity.OneOrMore };
    static readonly Argument<string> AgentArgument = new("AGENT") { Description = "Its id; `holdfast keeper agents` lists them." };
    static readonly Argument<string> EmergencyArgument = new("EMERGENCY") { Description = "Its id; `holdfast emergency list` shows those that are open." };
    static readonly Option<string?> SourceOption = new("--source") { Description = "The source by its id of 32 digits, as `log entries` and `policy show --json` have it, where its name is not known; in place of --name.", HelpName = "ID" };
    static readonly Option<string> UntilOption = LockCommand.MakeUntil("The date until which the hold stands, YYYY-MM-DD.");

    public static Command Create()
    {
        var request = new Command("request", "Make a request's file, for approvers to sign.");
        Add(request, "policy", "To weaken a policy. What is not named stays as it is, and no lock that is gets shorter.", command =>
        {
            foreach (var option in PolicyCommand.ChangeOptions)
                command.Options.Add(option);
        }, (session, vault, head) =>
        {
            var source = PolicyCommand.Source(session, vault) ?? Id16.None;
            var before = vault.State.PolicyFor(source);
            var after = PolicyCommand.Change(session).Of(before);
            InitCommand.RequirePlaces(after);
            if (!after.IsWeakerThan(before))
                throw new HoldfastException(ErrorCode.Usage, "That policy is no weaker than the one in force.", "`holdfast policy set` takes it at once; nobody needs to approve.");
            return new ApprovalRequest.Policy(head, source, before, after);
        });
        Add(request, "approvers", "To have other people approve, or another number of them. Name all that are to be.", command =>
        {
            command.Options.Add(InitCommand.ApproverOption);
            command.Options.Add(InitCommand.QuorumOption);
        }, (session, vault, head) =>
        {
            var after = InitCommand.Approvers(session);
            return !after.IsNobody ? new ApprovalRequest.Approvers(head, vault.State.Approvers.Digest, after)
                : throw new HoldfastException(ErrorCode.Usage, "Nobody was named.", "Give --approver KEY for each person who is to approve, and --quorum.");
        });
        Add(request, "succession", "To have other people approve where too many of those there are lost their keys: signed at once with the opening key, and in force 30 days later unless one of those there are objects. Name all that are to be.", command =>
        {
            command.Options.Add(InitCommand.ApproverOption);
            command.Options.Add(InitCommand.QuorumOption);
        }, (session, vault, head) =>
        {
            var after = InitCommand.Approvers(session);
            return after.IsNobody ? throw new HoldfastException(ErrorCode.Usage, "Nobody was named.", "Give --approver KEY for each person who is to approve, and --quorum.")
                : vault.State.Heir.IsNobody ? throw new HoldfastException(ErrorCode.QuorumMissing, "This vault was made by a version that gave the opening key no say in who approves.", "A quorum of its approvers alone replaces them (holdfast approval request approvers).")
                : new ApprovalRequest.Succession(head, vault.State.Approvers.Digest, after);
        }, opens: true);
        Add(request, "witnesses", "To have other witnesses cosign the log. Name all that are to be.", command => command.Options.Add(InitCommand.WitnessOption), (session, vault, head) =>
        {
            var witnesses = InitCommand.Witnesses(session);
            // Where new ones answer is kept from now on: whom to believe is not said there. Those that are known stay where they are.
            if (vault.Keeper.Remote is null && witnesses.ConvertAll(w => $"{w.Key}").Except(vault.Keeper.WitnessPlaces.Keys).Any())
                WitnessList.Add(vault.Keeper.Folder, witnesses, Disk.Real);
            else if (vault.Keeper.Remote is not null)
                session.Warn("holdfast: where new witnesses answer is kept on the keeper's machine: write a line of KEY, a blank and URL for each into its keeper/witnesses");
            return new ApprovalRequest.Witnesses(head, ApprovalRequest.WitnessDigest(vault.State.Witnesses), [.. witnesses.Select(w => w.Key.ToString())]);
        });
        Add(request, "time", "To have the vault's clock set forward, where it is behind. All locks are lengthened by as much. It may be approved for a day.", command => command.Options.Add(NowOption), (session, vault, head) =>
        {
            var clock = vault.Keeper.Clock;
            var now = session.Parsed.GetValue(NowOption) is { } typed ? Moment(typed) : (ulong)Math.Max(0, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds());
            var counted = clock.Passed;
            if (now < counted + LeastForward)
                throw new HoldfastException(ErrorCode.Usage, $"The vault's clock is not behind: it has counted to {Text.Time(counted)}.", "There is nothing to set right. A clock that is ahead never goes back: it waits until that time has come.");
            if (now > LockRules.LastEnd || now - counted > ApprovalRequest.MostForward - Math.Min(vault.State.SetForward, ApprovalRequest.MostForward))
                throw new HoldfastException(ErrorCode.Usage, $"A vault's clock is set forward by {ApprovalRequest.MostForward / RetentionPolicy.Day} days in all, at most.", "See that the time is right.");
            head = head with { Until = Math.Min(head.Until, head.Made + ApprovalRequest.LongestTimeOpen) };
            return new ApprovalRequest.Time(head, vault.State.SetForward, counted, now);
        });
        Add(request, "hold", "To have legal holds stand for longer than one person's 30 days.", command =>
        {
            command.Arguments.Add(SnapshotsArgument);
            command.Options.Add(UntilOption);
        }, (session, vault, head) =>
        {
            var until = LockCommand.Date(session, UntilOption);
            vault.Keeper.RequireAllowed(until);
            return new ApprovalRequest.HoldLonger(head, until, Snapshots(session, vault));
        });
        Add(request, "lift", "To lift legal holds. Locks stay as long as they are.", command => command.Arguments.Add(SnapshotsArgument), (session, vault, head) => new ApprovalRequest.HoldLifted(head, Snapshots(session, vault, areHeld: true)));
        Add(request, "release", "To let what an emergency restored out of isolation: one approver who did not begin it is enough; of a source that is marked as sensitive it takes the quorum, two at least.", command => command.Arguments.Add(EmergencyArgument), (session, vault, head) =>
            EmergencyCommand.Find(vault, session.Parsed.GetValue(EmergencyArgument)!) is { IsOpen: true, Begun: var begun } ? new ApprovalRequest.Release(head, begun.Emergency, begun.Snapshot, begun.Place, begun.Approver)
                : throw new HoldfastException(ErrorCode.Usage, "That emergency is over already.", "`holdfast emergency list` shows how it ended."));
        Add(request, "unmark", "To have a source, or all together, marked as sensitive no longer: the quorum, two at least, and three days.", command =>
        {
            command.Options.Add(PolicyCommand.NameOption);
            command.Options.Add(SourceOption);
        }, (session, vault, head) =>
        {
            var source = Marked(session) ?? PolicyCommand.Source(session, vault) ?? Id16.None;
            return vault.State.Sensitive.TryGetValue(source, out var marked) ? new ApprovalRequest.Unmark(head, source, marked)
                : throw new HoldfastException(ErrorCode.Usage, source.IsNone ? "The mark of all sources is not set." : "That source has no mark of its own.", "`holdfast policy show` shows what is marked as sensitive.");
        });
        Add(request, "revoke", "To believe an agent no longer.", command => command.Arguments.Add(AgentArgument), (session, vault, head) =>
            Id16.TryParse(session.Parsed.GetValue(AgentArgument)!, out var agent) && (vault.State.Agent(agent) is not null || !vault.State.LostAgent(agent).IsNone) ? new ApprovalRequest.Revoke(head, agent)
                : throw new HoldfastException(ErrorCode.Usage, "No agent of that id is enrolled.", "It is 32 hexadecimal digits; `holdfast keeper agents` lists them."));
        return request;
    }

    /// <summary>A mark may be of an id that is no name's: whoever has the log's key can make such ones.</summary>
    static Id16? Marked(Session session) => session.Parsed.GetValue(SourceOption) is not { } typed ? null
        : session.Parsed.GetValue(PolicyCommand.NameOption) is not null ? throw new HoldfastException(ErrorCode.Usage, "--source and --name say the same thing twice.", "Give one of them.")
        : IdOf(typed) ?? throw new HoldfastException(ErrorCode.Usage, "That is no source's id.", "It is 32 hexadecimal digits and not zero: `holdfast policy show --json` has those that are marked. For the mark of all leave --source out.");

    internal static Id16? IdOf(string typed) => Id16.TryParse(typed, out var id) && !id.IsNone ? id : null;

    static void Add(Command request, string name, string description, Action<Command> shape, Func<Session, Vault, RequestHead, ApprovalRequest> make, bool opens = false) => request.Subcommands.Add(Session.Command(name, description, command =>
    {
        shape(command);
        foreach (var option in new Option[] { OutOption, ReasonOption, RequesterOption, OpenOption })
            command.Options.Add(option);
        KeyFolder.AddTo(command, reading: opens, scoped: false);
    }, session => Make(session, make)));

    static int Make(Session session, Func<Session, Vault, RequestHead, ApprovalRequest> make)
    {
        var path = FolderPath.Full(session.Parsed.GetValue(OutOption)!);
        KeyFolder.RequireNew(session, path);
        var open = InitCommand.Length(session, OpenOption) ?? DefaultOpen;
        if (open > ApprovalRequest.LongestOpen)
            throw new HoldfastException(ErrorCode.Usage, "A request is open for 30 days at most.", "Give --open a shorter time.");
        var reason = session.Parsed.GetValue(ReasonOption) is { Length: > 0 } words ? words : null;
        if (reason is not null && !RequestFile.IsReason(reason))
            throw new HoldfastException(ErrorCode.Usage, "The reason is too long, or more than one line of text.", $"{RequestFile.MaxReason} characters at most, without line ends and other control characters.");
        using var vault = KeyFolder.OpenVault(session);
        var keys = new KeyFolder(session);
        keys.Remember(vault);
        var people = vault.State.Approvers;
        if (people.IsNobody)
            throw new HoldfastException(ErrorCode.QuorumMissing, "This vault has no approvers: nothing weakens its protection, whoever asks.", "Approvers are named when a vault is made (holdfast init --approver).");
        var requester = Id16.None;
        if (session.Parsed.GetValue(RequesterOption) is { } typed && (!Id16.TryParse(typed, out requester) || people.Find(requester) is null))
            throw new HoldfastException(ErrorCode.Usage, "That is no approver of this vault.", "`holdfast approval list` shows their ids. Leave --requester out where you are none.");
        var asked = make(session, vault, vault.Keeper.NewRequest(requester, open, reason));
        var needed = vault.State.Needs(asked);
        var file = new RequestFile(asked.ToArray(), reason, []);
        if (asked is ApprovalRequest.Succession)
            file = SignedByHeir(file, vault, keys);
        KeyFolder.WriteNew(path, Encoding.UTF8.GetBytes(file.ToString()));
        session.Json(w =>
        {
            RequestWords.Write(w, asked);
            w.WriteString("code", RequestWords.Code(file.Request));
            w.WriteNumber("quorum", needed);
        });
        session.Step($"Request {Text.Id(asked.Head.Id)}, code {RequestWords.Code(file.Request)}, to {RequestWords.Of(asked)[0]}.");
        if (asked is ApprovalRequest.Succession)
            session.Step($"It is signed. {Shell.Program} approval submit FILE brings it to the vault; tell all who approve now, and have one of them object where it is not meant (holdfast approval object).");
        else
            session.Step($"It takes {needed} of {people.People.Count} approvers. Send each the file and, by another way, its code; each runs {Shell.Program} approval sign FILE --key THEIR-KEY. Then: {Shell.Program} approval submit FILE");
        return 0;
    }

    /// <summary>The seed of the first key epoch signs: later opening keys open it too.</summary>
    static RequestFile SignedByHeir(RequestFile file, Vault vault, KeyFolder folder)
    {
        using var keys = folder.Open(vault);
        using var signer = SuccessionKey.Of(keys.Seeds[keys.Seeds.Keys.Min()], vault.Id);
        return vault.State.Heir.Find(Approver.Of(signer.PublicKey).Id) is not null ? file.Sign(Decision.Approved, signer)
            : throw new HoldfastException(ErrorCode.WrongKey, "The opening key is not the one that this vault was made with.", "Use the opening key, or the recovery kit, of the time when it was made (holdfast recover-key).");
    }

    static ulong Moment(string typed) => DateTimeOffset.TryParseExact(typed, "yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var moment) && moment > DateTimeOffset.UnixEpoch
        ? (ulong)moment.ToUnixTimeSeconds()
        : throw new HoldfastException(ErrorCode.Usage, "That is no time.", "Write it in UTC, as 2027-03-01T12:00:00Z.");

    static List<Id16> Snapshots(Session session, Vault vault, bool areHeld = false)
    {
        var found = session.Parsed.GetValue(SnapshotsArgument)!.Select(s => vault.Find(s)).DistinctBy(s => s.Snapshot).ToList();
        if (found.Count > ApprovalRequest.MostSnapshots)
            throw new HoldfastException(ErrorCode.Usage, "Those are too many snapshots for one request.", $"{ApprovalRequest.MostSnapshots} at most; make several.");
        if (areHeld && found.Find(s => s.HeldUntil == 0) is { } free)
            throw new HoldfastException(ErrorCode.Usage, $"Snapshot {Text.Id(free.Snapshot)} is not held: there is nothing to lift.", "`holdfast hold list` shows those that are.");
        return [.. found.Select(s => s.Snapshot).Order()];
    }
}
