using System.CommandLine;
using Holdfast.Cli.Emergencies;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>Emergency restores, from their beginning (`restore --isolated`) to their end.</summary>
static class EmergencyCommand
{
    static readonly Argument<string> PlaceArgument = new("PLACE") { Description = "The isolated place." };
    static readonly Argument<string> TargetArgument = new("TO") { Description = "Where it is to be used: a path that is not there yet, on the same file system." };
    static readonly Argument<string> EmergencyArgument = new("EMERGENCY") { Description = "Its id, or the first letters of it (4 at least)." };
    static readonly Option<bool> ClinicalOption = new("--clinical-emergency") { Description = "On your word alone, since a patient cannot wait for a second person. The log has a record of it, and all who look at the vault see it." };

    public static readonly Option<string?> ReasonOption = new("--reason") { Description = "Why. Sealed to the opening key.", HelpName = "TEXT" };
    public static readonly Option<string?> PersonOption = new("--person") { Description = "Who you are; this machine's user name where nothing is said. Sealed to the opening key.", HelpName = "NAME" };
    public static readonly Option<string?> ApproverOption = new("--as-approver") { Description = "Your approver id, where you are one: your own approval does not count for the release then.", HelpName = "ID" };

    public static Command Create()
    {
        var emergency = new Command("emergency", """
            See, release and close emergency restores.

            One person with an opening key begins one at once: holdfast restore SNAPSHOT PLACE --isolated --reason TEXT. Everybody who looks at the vault sees it. To leave isolation takes one approver who did not begin it, or a clinical emergency on one person's word; both are recorded.
            """);
        emergency.Subcommands.Add(Session.Command("list", "List emergency restores; with an opening key, who and why.", command => KeyFolder.AddTo(command, reading: true, scoped: false), List));
        emergency.Subcommands.Add(Session.Command("release", "Let what was restored out of isolation, to where it is used.", command =>
        {
            command.Arguments.Add(PlaceArgument);
            command.Arguments.Add(TargetArgument);
            foreach (var option in new Option[] { ClinicalOption, ReasonOption, PersonOption, ApproverOption })
                command.Options.Add(option);
            KeyFolder.AddTo(command, reading: false);
        }, Release));
        emergency.Subcommands.Add(Session.Command("close", "Say that an emergency restore is not needed any more; what was restored goes no further.", command =>
        {
            command.Arguments.Add(EmergencyArgument);
            foreach (var option in new Option[] { ReasonOption, PersonOption, ApproverOption })
                command.Options.Add(option);
            KeyFolder.AddTo(command, reading: false);
        }, Close));
        return emergency;
    }

    static Id16 Approver(Session session) => session.Parsed.GetValue(ApproverOption) is not { } typed ? Id16.None : Id16.TryParse(typed, out var id) ? id
        : throw new HoldfastException(ErrorCode.Usage, "That is no approver's id.", "`holdfast approval list` shows them; leave --as-approver out where you are none.");

    static string Reason(Session session) => ErasureCommand.Reason(session.Parsed.GetValue(ReasonOption) ?? throw new HoldfastException(ErrorCode.Usage, "No reason was given.", "Add --reason TEXT: one line; it is sealed, and the log has a record that there is one."));

    static string Person(Session session) => ErasureCommand.Reason(session.Parsed.GetValue(PersonOption) ?? Environment.UserName);

    static EmergencyObject Step(Session session, Vault vault, EmergencyStep step, Id16 emergency, Id16 place, SnapshotRecord record) => vault.Emergency(step, emergency, place, record, Approver(session),
        Person(session), Reason(session), (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds());

    /// <summary>Begins an emergency restore, or goes on with one: the place is shut and marked, and the log told, before anything is restored.</summary>
    public static IsolatedPlace Begin(Session session, Vault vault, SnapshotRecord record, string folder, bool resume)
    {
        folder = FolderPath.Full(folder);
        _ = (Reason(session), Person(session), Approver(session)); // before a folder is made for it
        if (vault.Keeper.Folders.Any(f => FolderPath.IsWithin(folder, f) || FolderPath.IsWithin(f, folder)))
            throw new HoldfastException(ErrorCode.TargetUnsafe, "That is no isolated place: it lies in the vault, or the vault in it. Nothing was restored.", "Name another folder.");
        var known = IsolatedPlace.Read(folder);
        if (known is not null && (!resume || known.Vault != vault.Id || known.Snapshot != record.Snapshot || known.State is PlaceState.Releasing or PlaceState.Released))
            throw new HoldfastException(ErrorCode.TargetNotEmpty, $"That folder is the isolated place of emergency {Text.Id(known.Emergency)} already{(known.State is PlaceState.Releasing or PlaceState.Released ? ", which was released" : "")}.", resume ? "--resume goes on with the same snapshot of the same vault, while it is isolated. Name another folder." : $"To go on with it, add --resume and name snapshot {Text.Id(known.Snapshot)}; or name another folder.");
        if (known is not null)
            IsolatedPlace.RequireShut(folder, SharedFolders.Here);
        var place = known is null ? IsolatedPlace.Make(folder, vault.Id, record.Snapshot, Approver(session)) : (known with { State = PlaceState.Restoring }).Write();
        if (vault.State.Emergency(place.Emergency) is null && !EmergencyRecords.Kept(vault.Id).Any(s => s.Emergency == place.Emergency))
            Record(session, vault, place, record);
        session.Note($"holdfast: EMERGENCY {place.Emergency}: what is restored is isolated in {folder}. All who look at the vault see it, until it is released (holdfast emergency release) or closed");
        return place;
    }

    /// <summary>Care goes first: where not even the record can be made, that is said.</summary>
    static void Record(Session session, Vault vault, IsolatedPlace place, SnapshotRecord record)
    {
        try
        {
            EmergencyRecords.Enter(session, vault, Step(session, vault, EmergencyStep.Begun, place.Emergency, place.Place, record));
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: NO RECORD of this emergency could be made: {e.Message} Write it down, and tell the approvers: emergency {place.Emergency}, snapshot {place.Snapshot}");
        }
    }

    /// <summary>The restore came to its end, whatever it had to tell.</summary>
    public static void Restored(Session session, IsolatedPlace place)
    {
        (place with { State = PlaceState.Isolated }).Write();
        session.Step($"  isolated           in {place.Content}; emergency {Text.Id(place.Emergency)}");
    }

    static int Release(Session session)
    {
        var (folder, to) = (FolderPath.Full(session.Parsed.GetValue(PlaceArgument)!), FolderPath.Full(session.Parsed.GetValue(TargetArgument)!));
        var place = IsolatedPlace.Read(folder) ?? throw new HoldfastException(ErrorCode.Usage, "That folder is no isolated place.", "Name the folder that was given to `holdfast restore --isolated`.");
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        if (place.Vault != vault.Id)
            throw new HoldfastException(ErrorCode.WrongVault, $"What is isolated there is of vault {place.Vault}, and this is {vault.Id}.", "Name the right vault (--vault).");
        EmergencyRecords.EnterKept(session, vault);
        if (place is { State: PlaceState.Released } or { State: PlaceState.Releasing, Target: { } } && place.Target != to)
            throw new HoldfastException(ErrorCode.Usage, $"That emergency {(place.State == PlaceState.Released ? "was released" : "is being released")} to another path already.", $"It is {place.Target}.");
        if (place.State == PlaceState.Restoring)
            throw new HoldfastException(ErrorCode.Incomplete, "The restore into that place has not come to its end: it stays isolated.", $"Go on with it: holdfast restore {Text.Id(place.Snapshot)} PLACE --isolated --resume --reason TEXT.");
        if (place.State == PlaceState.Isolated)
        {
            RequireFree(place, to);
            Permit(session, vault, place);
        }
        place = place.MoveTo(to);
        session.Json(w =>
        {
            w.WriteString("emergency", place.Emergency.ToString());
            w.WriteString("released", to);
        });
        session.Step($"Released: what emergency {Text.Id(place.Emergency)} restored is in {to}.");
        return 0;
    }

    /// <summary>Before the log is told: that it was released and cannot be is no state to be in.</summary>
    static void RequireFree(IsolatedPlace place, string to)
    {
        if (Path.Exists(to))
            throw new HoldfastException(ErrorCode.TargetNotEmpty, "Something stands where it would be released to. It stays isolated.", "Name a path that is not there yet.");
        if (Path.GetDirectoryName(to) is not { } above || !Directory.Exists(above))
            throw new HoldfastException(ErrorCode.TargetMissing, "The folder that it would be released into is not there. It stays isolated.", "Make it first.");
        Disk.RequireWritable(above);
        if (FolderPath.IsWithin(to, place.Folder))
            throw new HoldfastException(ErrorCode.Usage, "That path lies in the isolated place itself.", "Name one outside it.");
        if (!FolderPath.AreOnOneDisk(place.Folder, above))
            throw new HoldfastException(ErrorCode.TargetUnsafe, "That path is on another file system: a copy is no step that is done or not done. It stays isolated.", $"Release it to a path on the disk of {place.Folder}, and bring it on from there with what keeps owners and attributes (rsync -aHAX), compared.");
    }

    /// <summary>A second person's approval that is in force, or one person's word in a clinical emergency: the log is told before anything moves.</summary>
    static void Permit(Session session, Vault vault, IsolatedPlace place)
    {
        var (known, people) = (vault.State.Emergency(place.Emergency), vault.State.Approvers);
        var isClinical = session.Parsed.GetValue(ClinicalOption);
        if (known is { IsOpen: false, End.Step: EmergencyStep.Released or EmergencyStep.Overridden } || EmergencyRecords.Kept(vault.Id).Any(s => s.Emergency == place.Emergency && s.Step == EmergencyStep.Overridden))
            return; // killed between the record and the move
        if (known is { IsOpen: false })
            throw new HoldfastException(ErrorCode.QuorumMissing, "That emergency was closed: what it restored goes no further. It stays isolated.", "Begin another one, where it is needed after all.");
        var record = vault.State.Find(place.Snapshot) is { Object: not null } found ? found : throw new HoldfastException(ErrorCode.ObjectMissing, $"The object of snapshot {Text.Id(place.Snapshot)} is missing or damaged.", "Bring it back from another copy of the vault (`holdfast status` names it).");
        if (known is { Approved: > 0 })
            vault.Keeper.Enter(vault.Emergency(EmergencyStep.Released, place.Emergency, place.Place, record, Approver(session), Person(session), session.Parsed.GetValue(ReasonOption) ?? "approved", (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds()));
        else if (isClinical)
            EmergencyRecords.Enter(session, vault, Step(session, vault, EmergencyStep.Overridden, place.Emergency, place.Place, record));
        else
        {
            throw new HoldfastException(ErrorCode.QuorumMissing, people.IsNobody ? "This vault has no approvers, so nobody can approve of a release. It stays isolated." : "Nobody else has approved of this release. It stays isolated.",
                (people.IsNobody ? "" : $"`holdfast approval request release {place.Emergency} --out FILE` makes a request; one approver who did not begin this signs it, and `holdfast approval submit` brings it to the vault; then run this again. ")
                + "Where a patient cannot wait: --clinical-emergency --reason TEXT, which is recorded.");
        }
    }

    static int Close(Session session)
    {
        _ = Reason(session);
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault, toChange: true);
        EmergencyRecords.EnterKept(session, vault);
        var which = Find(vault, session.Parsed.GetValue(EmergencyArgument)!);
        if (!which.IsOpen)
            throw new HoldfastException(ErrorCode.Usage, "That emergency is over already.", "`holdfast emergency list` shows how it ended.");
        var record = vault.State.Find(which.Begun.Snapshot) is { Object: not null } found ? found : throw new HoldfastException(ErrorCode.ObjectMissing, $"The object of snapshot {Text.Id(which.Begun.Snapshot)} is missing or damaged.", "Bring it back from another copy of the vault (`holdfast status` names it).");
        vault.Keeper.Enter(Step(session, vault, EmergencyStep.Closed, which.Id, which.Begun.Place, record));
        session.Json(w => w.WriteString("closed", which.Id.ToString()));
        session.Step($"Emergency {Text.Id(which.Id)} is closed. Remove what lies in its isolated place yourself: nothing releases it any more.");
        return 0;
    }

    public static EmergencyRecord Find(Vault vault, string typed)
    {
        var found = vault.State.Emergencies.Where(e => e.Id.ToString().StartsWith(typed, StringComparison.OrdinalIgnoreCase)).ToList();
        return typed.Length >= 4 && found.Count == 1 ? found[0] : throw new HoldfastException(ErrorCode.Usage, found.Count > 1 ? "Those letters fit several emergencies." : "The log has no such emergency.", "`holdfast emergency list` shows those that it has.");
    }

    /// <summary>What `status`, `emergency list` and `approval list` say of one.</summary>
    public static string Words(EmergencyRecord emergency)
    {
        var of = $"{Text.Id(emergency.Id)}: snapshot {Text.Id(emergency.Begun.Snapshot)} restored into an isolated place, begun {Text.Time(emergency.Begun.At)} by {(emergency.Begun.Approver.IsNone ? "one person" : $"approver {Text.Id(emergency.Begun.Approver)}")}";
        return emergency.End?.Step switch
        {
            null => $"OPEN EMERGENCY {of}{(emergency.Approved > 0 ? "; its release is approved" : "; neither released nor closed")}",
            EmergencyStep.Overridden => $"RELEASED ON ONE PERSON'S WORD (clinical emergency), {Text.Time(emergency.Ended)}: {of}",
            EmergencyStep.Released => $"released {Text.Time(emergency.Ended)}, as a second person approved: {of}",
            _ => $"closed {Text.Time(emergency.Ended)}: {of}",
        };
    }

    static int List(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        var folder = new KeyFolder(session);
        folder.Remember(vault);
        EmergencyRecords.EnterKept(session, vault);
        using var keys = folder.IsGiven ? folder.OpenNames(vault) as OpeningKeys : null;
        var (all, kept) = (vault.State.Emergencies, EmergencyRecords.Kept(vault.Id));
        session.Json(w =>
        {
            w.WriteStartArray("emergencies");
            foreach (var emergency in all)
                Write(w, emergency, keys);
            w.WriteEndArray();
            w.WriteNumber("notInTheLogYet", kept.Count);
            w.WriteNumber("unreadable", vault.State.LostEmergencies);
        });
        foreach (var emergency in all)
        {
            session.Line(Words(emergency));
            foreach (var step in new[] { emergency.Begun, emergency.End }.OfType<EmergencyObject>())
            {
                if (keys is not null && Vault.Words(keys, step) is var (person, reason))
                    session.Line($"          {step.Step.ToString().ToLowerInvariant()} by {person}: {reason}");
            }
        }
        foreach (var step in kept)
            session.Line($"NOT IN THE LOG YET: {Text.Id(step.Emergency)}, {step.Step.ToString().ToLowerInvariant()} {Text.Time(step.At)}; kept on this machine");
        if (all.Count + kept.Count == 0)
            session.Note("holdfast: there was no emergency restore");
        return 0;
    }

    static void Write(System.Text.Json.Utf8JsonWriter w, EmergencyRecord emergency, OpeningKeys? keys)
    {
        w.WriteStartObject();
        w.WriteString("emergency", emergency.Id.ToString());
        w.WriteString("snapshot", emergency.Begun.Snapshot.ToString());
        w.WriteString("place", emergency.Begun.Place.ToString());
        w.WriteString("state", emergency.End?.Step.ToString().ToLowerInvariant() ?? "open");
        w.WriteBoolean("releaseApproved", emergency.Approved > 0);
        w.WriteString("begun", Text.Iso(emergency.Begun.At));
        w.WriteString("inTheLogSince", Text.Iso(emergency.Entered));
        if (emergency.End is not null)
            w.WriteString("ended", Text.Iso(emergency.Ended));
        if (keys is not null && Vault.Words(keys, emergency.Begun) is var (person, reason))
        {
            w.WriteString("person", person);
            w.WriteString("reason", reason);
        }
        w.WriteEndObject();
    }
}
