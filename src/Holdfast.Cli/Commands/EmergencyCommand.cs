using System.CommandLine;
using Holdfast.Cli.Emergencies;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>Emergency restores, from their beginning (`restore --isolated`) to their end.</summary>
static class EmergencyCommand
{
    static readonly Argument<string> PlaceArgument = new("PLACE") { Description = "The isolated place." };
    static readonly Argument<string> TargetArgument = new("TO") { Description = "Where it is to be used: a path that is not there yet, on the same file system." };
    static readonly Argument<string> EmergencyArgument = new("EMERGENCY") { Description = "Its id, or the first letters of it (4 at least); or its isolated place." };
    public static readonly Option<bool> ClinicalOption = new("--clinical-emergency") { Description = "On your word alone, since a patient cannot wait: out of isolation without a second person, or, from `restore` and `cat` of a source that is marked as sensitive, to where it is used at once. With --reason. The log has a record of it, and all who look at the vault see it." };
    public static readonly Option<string?> ReasonOption = new("--reason") { Description = "Why. Sealed to the opening key.", HelpName = "TEXT" };
    public static readonly Option<string?> PersonOption = new("--person") { Description = "Who you are; this machine's user name where nothing is said. Sealed to the opening key.", HelpName = "NAME" };
    public static readonly Option<string?> ApproverOption = new("--as-approver") { Description = "Your approver id, where you are one: your own approval does not count for the release then.", HelpName = "ID" };

    public static Command Create()
    {
        var emergency = new Command("emergency", """
            See, release and close emergency restores.

            One person with an opening key begins one at once: holdfast restore SNAPSHOT PLACE --isolated --reason TEXT. Everybody who looks at the vault sees it. To leave isolation takes one approver who did not begin it, of a source that is marked as sensitive the quorum (two at least), or a clinical emergency on one person's word; both are recorded.
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

    const int MaxPerson = 200; // characters

    static string Person(Session session) => Person(session.Parsed.GetValue(PersonOption), Environment.UserName);

    /// <param name="typed">As the person said; null where nothing was.</param>
    /// <param name="user">This machine's name of the user; empty where it has none.</param>
    internal static string Person(string? typed, string user)
    {
        if (typed is null)
            return IsName(user) ? user : UserNumber();
        return IsName(typed) ? typed : throw new HoldfastException(ErrorCode.Usage, "The person's name (--person) has to be one line of text, not empty and not too long.", $"{MaxPerson} characters at most, without control characters.");

        static bool IsName(string text) => text.Length <= MaxPerson && RequestFile.IsReason(text);
    }

    static string UserNumber()
    {
        try
        {
            return OperatingSystem.IsLinux() && File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith("Uid:", StringComparison.Ordinal))?.Split('\t') is [_, _, var effective, ..] ? $"uid {effective}" : "no name";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "no name";
        }
    }

    /// <summary>A step that is made where the place is.</summary>
    static EmergencyObject Step(Session session, Vault vault, EmergencyStep step, IsolatedPlace place, string reason, string where) => vault.Emergency(step, place.Emergency, place.Place, place.Snapshot,
        step == EmergencyStep.Begun ? place.Commitment : place.Secret, Approver(session), Person(session), reason, where, Now);

    static ulong Now => (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>Begins an emergency restore, or goes on with one: the place is shut and marked, and the log told, before anything is restored.</summary>
    /// <param name="former">The place as it was, where its restore had ended: to bring more is another emergency. Else null.</param>
    public static IsolatedPlace Begin(Session session, Vault vault, SnapshotRecord record, string folder, bool resume, IReadOnlyList<string> patterns, out IDisposable? held, out IsolatedPlace? former)
    {
        folder = FolderPath.Full(folder);
        _ = (Reason(session), Person(session), Approver(session)); // before a folder is made for it
        if (vault.Keeper.Folders.Any(f => FolderPath.IsWithin(folder, f) || FolderPath.IsWithin(f, folder)))
            throw new HoldfastException(ErrorCode.TargetUnsafe, "That is no isolated place: it lies in the vault, or the vault in it. Nothing was restored.", "Name another folder.");
        held = IsolatedPlace.Hold(folder, session.Warn);
        var known = IsolatedPlace.Read(folder);
        if (known is not null && (!resume || known.Vault != vault.Id || known.Snapshot != record.Snapshot || known.State is PlaceState.Releasing or PlaceState.Released))
            throw new HoldfastException(ErrorCode.TargetNotEmpty, $"That folder is the isolated place of emergency {Text.Id(known.Emergency)} already{(known.State is PlaceState.Releasing or PlaceState.Released ? ", which was released" : "")}.", resume ? "--resume goes on with the same snapshot of the same vault, while it is isolated. Name another folder." : $"To go on with it, add --resume and name snapshot {Text.Id(known.Snapshot)}; or name another folder.");
        former = known is { State: PlaceState.Isolated } ? known : null;
        if (known is not null)
        {
            IsolatedPlace.RequireShut(folder, SharedFolders.Here);
            if (former is not null || IsOver(vault, known.Emergency))
                known = known.Anew(Approver(session)); // seen as such: what somebody approved of is not what comes now
        }
        var place = known is null ? IsolatedPlace.Make(folder, vault.Id, record.Snapshot, Approver(session)) : (known with { State = PlaceState.Restoring }).Write();
        if (known is null)
            held = IsolatedPlace.Hold(folder, session.Warn);
        if (vault.State.Emergency(place.Emergency) is null && !EmergencyRecords.Kept(vault.Id).Any(s => s.Emergency == place.Emergency))
            Record(session, vault, place, $"into {folder}{string.Concat(patterns.Select(p => $"; --include {p}"))}");
        session.Note($"holdfast: EMERGENCY {place.Emergency}: what is restored is isolated in {folder}. All who look at the vault see it, until it is released (holdfast emergency release) or closed");
        return place;
    }

    static bool IsOver(Vault vault, Id16 emergency) => vault.State.Emergency(emergency) is { IsOpen: false } || EmergencyRecords.Kept(vault.Id).Any(s => s.Emergency == emergency && s.Step != EmergencyStep.Begun);

    /// <summary>Care goes first: where not even the record can be made, that is said.</summary>
    static void Record(Session session, Vault vault, IsolatedPlace place, string where)
    {
        try
        {
            EmergencyRecords.Enter(session, vault, Step(session, vault, EmergencyStep.Begun, place, Reason(session), where));
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: NO RECORD of this emergency could be made: {e.Message} Write it down, and tell the approvers: emergency {place.Emergency}, snapshot {place.Snapshot}");
        }
    }

    /// <summary>Says who asks, and why, of what is not isolated; before anything is done.</summary>
    /// <returns>Whether one person's word is given for it.</returns>
    public static bool IsClinical(Session session)
    {
        if (!session.Parsed.GetValue(ClinicalOption))
            return false;
        _ = (Reason(session), Person(session), Approver(session));
        return true;
    }

    /// <summary>Brings what is sensitive to where it is used on one person's word, where no place can be isolated (a network share, a pipe): an emergency that is begun and released at once. The log is told first.</summary>
    /// <returns>False where there is nothing to tell: it is brought as always.</returns>
    public static bool Outside(Session session, Vault vault, SnapshotRecord record, string where)
    {
        if (!vault.State.IsSensitive(record))
        {
            session.Note("holdfast: the source is not marked as sensitive: there is nothing to be released, and no emergency is recorded");
            return false;
        }
        var place = IsolatedPlace.New("", vault.Id, record.Snapshot, Approver(session));
        session.Warn($"holdfast: CLINICAL EMERGENCY {place.Emergency}: what is SENSITIVE goes {where}, outside isolation, on your word alone. All who look at the vault see it");
        Record(session, vault, place, where);
        Override(session, vault, place, where, wasClosed: false);
        return true;
    }

    /// <summary>A place has one emergency: the one that it does not go on with is over.</summary>
    static void Leave(Session session, Vault vault, IsolatedPlace left, string where)
    {
        if (IsOver(vault, left.Emergency))
            return;
        try
        {
            EmergencyRecords.Enter(session, vault, Step(session, vault, EmergencyStep.Closed, left, Reason(session), where));
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: emergency {left.Emergency} could not be closed, though its place goes on with another: {e.Message} Close it by its id (holdfast emergency close)");
        }
    }

    /// <summary>Nothing was brought: the place has the state again, and the emergency, that it had before.</summary>
    public static void NothingCame(Session session, Vault vault, IsolatedPlace place, IsolatedPlace? former)
    {
        if (former is null)
            return;
        former.Write();
        Leave(session, vault, place, "nothing was brought");
    }

    /// <summary>The restore came to its end, whatever it had to tell.</summary>
    public static void Restored(Session session, Vault vault, IsolatedPlace place, IsolatedPlace? former)
    {
        (place with { State = PlaceState.Isolated }).Write();
        if (former is not null)
            Leave(session, vault, former, $"goes on as emergency {place.Emergency}");
        session.Step($"  isolated           in {place.Content}; emergency {Text.Id(place.Emergency)}");
    }

    static int Release(Session session)
    {
        var (folder, to) = (FolderPath.Full(session.Parsed.GetValue(PlaceArgument)!), FolderPath.Full(session.Parsed.GetValue(TargetArgument)!));
        _ = (session.Parsed.GetValue(ClinicalOption) || session.Parsed.GetValue(ReasonOption) is not null ? Reason(session) : null, Person(session), Approver(session)); // before anything is done
        using var held = IsolatedPlace.Hold(folder, session.Warn);
        var place = IsolatedPlace.Read(folder) ?? throw new HoldfastException(ErrorCode.Usage, "That folder is no isolated place.", "Name the folder that was given to `holdfast restore --isolated`.");
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        if (place.Vault != vault.Id)
            throw new HoldfastException(ErrorCode.WrongVault, $"What is isolated there is of vault {place.Vault}, and this is {vault.Id}.", "Name the right vault (--vault).");
        EmergencyRecords.EnterKept(session, vault);
        var goesElsewhere = place.HasNotMoved && place.Target != to;
        if (place is { State: PlaceState.Released } or { State: PlaceState.Releasing, Target: { } } && place.Target != to && !goesElsewhere)
            throw new HoldfastException(ErrorCode.Usage, $"That emergency {(place.State == PlaceState.Released ? "was released" : "is being released")} to another path already.", $"It is {place.Target}.");
        if (place.State == PlaceState.Restoring)
            AllowCut(session, place);
        if (place.State is PlaceState.Restoring or PlaceState.Isolated || goesElsewhere) // what was released may be in use there
            RequireFree(place, to);
        if (place.State is PlaceState.Restoring or PlaceState.Isolated)
            Permit(session, vault, place, to);
        place = place.MoveTo(to);
        session.Json(w =>
        {
            w.WriteString("emergency", place.Emergency.ToString());
            w.WriteString("released", to);
        });
        session.Step($"Released: what emergency {Text.Id(place.Emergency)} restored is in {to}.");
        return 0;
    }

    /// <summary>What came before a restore was cut short may be what a patient needs.</summary>
    static void AllowCut(Session session, IsolatedPlace place)
    {
        if (!session.Parsed.GetValue(ClinicalOption) || !Directory.Exists(place.Content))
            throw new HoldfastException(ErrorCode.Incomplete, "The restore into that place has not come to its end: it stays isolated.", $"Go on with it: holdfast restore {Text.Id(place.Snapshot)} PLACE --isolated --resume --reason TEXT, with the same --include where it had any. Where a patient cannot wait for the rest: --clinical-emergency --reason TEXT lets out what is there, which is recorded.");
        session.Warn("holdfast: the restore into that place has NOT come to its end: what leaves isolation may be a PART of it, and nothing names what is missing");
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
    static void Permit(Session session, Vault vault, IsolatedPlace place, string to)
    {
        var (known, people) = (vault.State.Emergency(place.Emergency), vault.State.Approvers);
        var isClinical = session.Parsed.GetValue(ClinicalOption);
        if (known is { IsOpen: false, End.Step: EmergencyStep.Released or EmergencyStep.Overridden } || EmergencyRecords.Kept(vault.Id).Any(s => s.Emergency == place.Emergency && s.Step == EmergencyStep.Overridden))
            return; // killed between the record and the move
        if (known is { IsOpen: true } && vault.State.IsReleaseApproved(known) && TryRelease(session, vault, place, to, isClinical))
            return;
        if (isClinical)
        {
            Override(session, vault, place, $"to {to}", wasClosed: known is { IsOpen: false });
            return;
        }
        if (known is { IsOpen: false })
            throw new HoldfastException(ErrorCode.QuorumMissing, "That emergency was closed: what it restored goes no further. It stays isolated.", "Begin another one, where it is needed after all (restore --isolated --resume goes on in the same place). Where a patient cannot wait: --clinical-emergency --reason TEXT, which is recorded.");
        var isSensitive = vault.State.Find(place.Snapshot) is { } record && vault.State.IsSensitive(record);
        var needed = isSensitive ? Math.Max(ApprovalRequest.LeastForSensitive, (int)people.Quorum) : 1;
        throw new HoldfastException(ErrorCode.QuorumMissing, people.IsNobody ? "This vault has no approvers, so nobody can approve of a release. It stays isolated."
            : isSensitive ? $"What was restored is of a source that is marked as sensitive: its release takes {needed} approvers who did not begin it. It stays isolated." : "Nobody else has approved of this release. It stays isolated.",
            (people.IsNobody ? "" : $"`holdfast approval request release {place.Emergency} --out FILE` makes a request; {(needed == 1 ? "one approver" : $"{needed} approvers")} who did not begin this {(needed == 1 ? "signs" : "sign")} it, and `holdfast approval submit` brings it to the vault; then run this again. ")
            + "Where a patient cannot wait: --clinical-emergency --reason TEXT, which is recorded.");
    }

    /// <returns>False where it cannot be recorded, and one person's word is to do instead.</returns>
    static bool TryRelease(Session session, Vault vault, IsolatedPlace place, string to, bool isClinical)
    {
        try
        {
            vault.Keeper.Enter(Step(session, vault, EmergencyStep.Released, place, session.Parsed.GetValue(ReasonOption) is null ? "approved" : Reason(session), $"to {to}"));
            return true;
        }
        catch (HoldfastException e) when (isClinical)
        {
            session.Warn($"holdfast: the release that was approved could NOT be recorded: {e.Message} A patient cannot wait: it leaves isolation on your word alone");
            return false;
        }
    }

    /// <summary>Care goes first: nothing that is lost or full keeps a patient waiting.</summary>
    static void Override(Session session, Vault vault, IsolatedPlace place, string where, bool wasClosed)
    {
        if (wasClosed)
            session.Warn($"holdfast: emergency {Text.Id(place.Emergency)} WAS CLOSED, and leaves isolation on your word alone");
        try
        {
            EmergencyRecords.Enter(session, vault, Step(session, vault, EmergencyStep.Overridden, place, Reason(session), where));
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: NO RECORD could be made that this leaves isolation on one person's word: {e.Message} Write it down, and tell the approvers: emergency {place.Emergency}, snapshot {place.Snapshot}");
        }
    }

    static int Close(Session session)
    {
        _ = Reason(session);
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault, toChange: true);
        EmergencyRecords.EnterKept(session, vault);
        var typed = session.Parsed.GetValue(EmergencyArgument)!;
        var place = Directory.Exists(typed) ? IsolatedPlace.Read(FolderPath.Full(typed)) : null;
        var which = Find(vault, place?.Emergency.ToString() ?? typed);
        if (!which.IsOpen)
            throw new HoldfastException(ErrorCode.Usage, "That emergency is over already.", "`holdfast emergency list` shows how it ended.");
        vault.Keeper.Enter(vault.Emergency(EmergencyStep.Closed, which.Id, which.Begun.Place, which.Begun.Snapshot, place?.Secret ?? Hash32.None, Approver(session), Person(session), Reason(session), "", Now));
        session.Json(w => w.WriteString("closed", which.Id.ToString()));
        session.Step($"Emergency {Text.Id(which.Id)} is closed. Remove what lies in its isolated place yourself: nothing releases it any more.");
        return 0;
    }

    public static EmergencyRecord Find(Vault vault, string typed)
    {
        var found = vault.State.Emergencies.Where(e => e.Id.ToString().StartsWith(typed, StringComparison.OrdinalIgnoreCase)).ToList();
        return typed.Length >= 4 && found.Count == 1 ? found[0] : throw new HoldfastException(ErrorCode.Usage, found.Count > 1 ? "Those letters fit several emergencies." : "The log has no such emergency.", "`holdfast emergency list` shows those that it has.");
    }

    /// <summary>A snapshot that expired, or cannot be read, is not called sensitive for what other sources are.</summary>
    static bool IsSensitive(Projection state, EmergencyRecord emergency) => state.Find(emergency.Begun.Snapshot) is { } record && state.IsSensitive(record, isReader: true);

    /// <summary>What `status`, `emergency list` and `approval list` say of one.</summary>
    public static string Words(Projection state, EmergencyRecord emergency)
    {
        var of = $"{Text.Id(emergency.Id)}: restore of snapshot {Text.Id(emergency.Begun.Snapshot)}{(IsSensitive(state, emergency) ? ", of a SENSITIVE source" : "")}, begun {Text.Time(emergency.Begun.At)} by {(emergency.Begun.Approver.IsNone ? "one person" : $"approver {Text.Id(emergency.Begun.Approver)}")}";
        return emergency.End?.Step switch
        {
            null => $"OPEN EMERGENCY {of}{(state.IsReleaseApproved(emergency) ? "; its release is approved" : "; neither released nor closed")}, in an isolated place",
            EmergencyStep.Overridden => $"RELEASED ON ONE PERSON'S WORD (clinical emergency), {Text.Time(emergency.Ended)}: {of}",
            EmergencyStep.Released => $"released {Text.Time(emergency.Ended)}, as approved: {of}",
            _ => $"closed {Text.Time(emergency.Ended)}: {of}",
        };
    }

    /// <summary>The same of a step that cannot be read.</summary>
    public static string Words(LostStep lost) => $"EMERGENCY {Text.Id(lost.Emergency)}: its step `{lost.Step.ToString().ToLowerInvariant()}` of {Text.Time(lost.At)} CANNOT BE READ: its object is missing or damaged";

    static int List(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        var folder = new KeyFolder(session);
        folder.Remember(vault);
        EmergencyRecords.EnterKept(session, vault);
        using var keys = folder.IsGiven ? folder.OpenNames(vault) as OpeningKeys : null;
        var (all, kept, refused) = (vault.State.Emergencies, EmergencyRecords.Kept(vault.Id), EmergencyRecords.CountRefused(vault.Id));
        session.Json(w =>
        {
            w.WriteStartArray("emergencies");
            foreach (var emergency in all)
                Write(w, vault.State, emergency, keys);
            w.WriteEndArray();
            w.WriteNumber("notInTheLogYet", kept.Count);
            w.WriteNumber("refusedByTheLog", refused);
            w.WriteNumber("unreadable", vault.State.LostEmergencies.Count);
        });
        foreach (var emergency in all)
        {
            session.Line(Words(vault.State, emergency));
            foreach (var step in new[] { emergency.Begun, emergency.End }.OfType<EmergencyObject>())
            {
                if (keys is not null && Vault.Words(keys, step) is var (person, reason, where))
                    session.Line($"          {step.Step.ToString().ToLowerInvariant()} by {person}: {reason}{(where.Length > 0 ? $" ({where})" : "")}");
            }
        }
        foreach (var lost in vault.State.LostEmergencies)
            session.Line(Words(lost));
        foreach (var step in kept)
            session.Line($"NOT IN THE LOG YET: {Text.Id(step.Emergency)}, {step.Step.ToString().ToLowerInvariant()} {Text.Time(step.At)}; kept on this machine");
        if (refused > 0)
            session.Line($"NOT TAKEN BY THE LOG: {Text.Count(refused, "step")} of emergencies on this machine, kept here");
        if (all.Count + kept.Count + refused + vault.State.LostEmergencies.Count == 0)
            session.Note("holdfast: there was no emergency restore");
        return 0;
    }

    static void Write(System.Text.Json.Utf8JsonWriter w, Projection state, EmergencyRecord emergency, OpeningKeys? keys)
    {
        w.WriteStartObject();
        w.WriteString("emergency", emergency.Id.ToString());
        w.WriteString("snapshot", emergency.Begun.Snapshot.ToString());
        w.WriteString("place", emergency.Begun.Place.ToString());
        w.WriteString("state", emergency.End?.Step.ToString().ToLowerInvariant() ?? "open");
        w.WriteBoolean("releaseApproved", state.IsReleaseApproved(emergency));
        w.WriteBoolean("sensitive", IsSensitive(state, emergency));
        w.WriteString("begun", Text.Iso(emergency.Begun.At));
        w.WriteString("inTheLogSince", Text.Iso(emergency.Entered));
        if (emergency.End is not null)
            w.WriteString("ended", Text.Iso(emergency.Ended));
        if (keys is not null && Vault.Words(keys, emergency.Begun) is var (person, reason, where))
        {
            w.WriteString("person", person);
            w.WriteString("reason", reason);
            w.WriteString("where", where);
        }
        w.WriteEndObject();
    }
}
