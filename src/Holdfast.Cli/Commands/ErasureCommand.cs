using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Retention;

namespace Holdfast.Cli.Commands;

/// <summary>The erasure register: what was lawfully erased or corrected at a source, and is still in locked copies.</summary>
static class ErasureCommand
{
    const int Looked = 200; // snapshots: each costs a walk down its tree
    const int LookedThrough = 20; // as above, for a SHA-256: each costs all of the tree
    const ulong DefaultWords = 400 * RetentionPolicy.Day;

    static readonly Option<string[]> PathOption = new("--path") { Description = "A path of the source, as `ls` shows it: that file, or that folder and all in it. May be repeated.", HelpName = "PATH", DefaultValueFactory = _ => [] };
    static readonly Option<string[]> DigestOption = new("--sha256") { Description = "Files of the source with this SHA-256, under whatever name. May be repeated.", HelpName = "HEX", DefaultValueFactory = _ => [] };
    static readonly Option<bool> CorrectedOption = new("--corrected") { Description = "It was corrected, not erased: a restore brings it, and says that it is as it was before." };
    static readonly Option<bool> MostOption = new("--most") { Description = "Take the entries though together they name more than half of a snapshot." };
    static readonly Option<string> ReasonOption = new("--reason") { Description = "By which request or decision: a case number, not a patient's name. Sealed to the opening key.", HelpName = "TEXT", Required = true };
    static readonly Option<string?> WordsOption = new("--words-for") { Description = "How long path and reason stay readable, to holders of the opening key; 400d where nothing is said (less where no lock may be that long). The entry applies for as long as the vault.", HelpName = "TIME" };
    static readonly Argument<string> EntryArgument = new("ENTRY") { Description = "The entry: its id, or its first letters (4 at least)." };

    public static Command Create()
    {
        var erasure = new Command("erasure", """
            Keep what was lawfully erased or corrected from coming back by a restore.

            Locked copies cannot be changed. What is entered here is left out of every restore of the snapshots taken up to now, and listed there; what was corrected is restored and listed. Enter it once it is gone from the source and a backup has run since: of later snapshots an entry says nothing.
            """);
        erasure.Subcommands.Add(Session.Command("add", "Enter what was erased, or corrected, at a source.", command =>
        {
            foreach (var option in new Option[] { PathOption, DigestOption, CorrectedOption, ReasonOption, WordsOption, MostOption, SnapshotArgument.NameOption })
                command.Options.Add(option);
            KeyFolder.AddTo(command, reading: true, scoped: false);
        }, Add));
        erasure.Subcommands.Add(Session.Command("list", "List the entries, with what they name, what withdrew them, and when what was erased was asked for all the same.", command => KeyFolder.AddTo(command, reading: true, scoped: false), List));
        erasure.Subcommands.Add(Session.Command("withdraw", "Take back an entry that was wrong: restores bring again what it named. The register keeps both.", command =>
        {
            command.Arguments.Add(EntryArgument);
            command.Options.Add(ReasonOption);
            command.Options.Add(WordsOption);
            KeyFolder.AddTo(command, reading: true, scoped: false);
        }, Withdraw));
        return erasure;
    }

    /// <summary>Why somebody does something, as one line.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static string Reason(string typed) => RequestFile.IsReason(typed) ? typed
        : throw new HoldfastException(ErrorCode.Usage, "The reason has to be one line of text, not empty and not too long.", $"{RequestFile.MaxReason} characters at most, without control characters.");

    static ulong WordsUntil(Session session, Vault vault) =>
        vault.Keeper.Clock.Now + Math.Min(InitCommand.Length(session, WordsOption) ?? Math.Min(DefaultWords, vault.State.Genesis!.LongestLock), ulong.MaxValue / 2);

    static int Add(Session session)
    {
        var reason = Reason(session.Parsed.GetValue(ReasonOption)!);
        var (paths, digests) = (session.Parsed.GetValue(PathOption)!, session.Parsed.GetValue(DigestOption)!);
        if (paths.Length + digests.Length == 0)
            throw new HoldfastException(ErrorCode.Usage, "Nothing was named.", "Name what was erased: --path PATH, or --sha256 HEX.");
        var contents = digests.Select(d => Hash32.TryParse(d.ToLowerInvariant(), out var digest) ? digest.ToArray()
            : throw new HoldfastException(ErrorCode.Usage, "That is no SHA-256.", "It has 64 hexadecimal digits, as sha256sum prints them.")).ToList();
        var kind = session.Parsed.GetValue(CorrectedOption) ? ErasureKind.Corrected : ErasureKind.Erased;
        var (vault, keys) = KeyFolder.OpenToChange(session);
        using (vault)
        using (keys)
        {
            vault.RequireNewest(keys);
            var newest = Newest(session, vault, keys);
            var (domain, source, now) = (newest.Object!.Domain, newest.Source, vault.Keeper.Clock.Now);
            var named = paths.Select(p => (Of: ErasureOf.Path, Bytes: SnapshotArgument.PathWithin(session, vault, keys, newest, p))).Concat(contents.Select(c => (Of: ErasureOf.Content, Bytes: c))).ToList();
            var areSeen = RequireThere(session, vault, keys, source, named);
            var entries = new List<(Id16 Id, ErasureOf Of)>();
            foreach (var (of, bytes) in named)
                entries.Add((Enter(of, bytes), of));
            if (!areSeen)
                session.Warn("holdfast: something of what was named was not found, and not all snapshots, or not all of their files, could be looked at; it was entered all the same. See that paths are written as `holdfast ls` shows them, and digests as sha256sum gave them");
            session.Json(w =>
            {
                w.WriteStartArray("entries");
                entries.ForEach(e => w.WriteStringValue(e.Id.ToString()));
                w.WriteEndArray();
            });
            foreach (var (id, of) in entries)
                session.Step($"Entered {Text.Id(id)}: {(of == ErasureOf.Path ? "a path" : "a SHA-256")} of source {Text.Id(source)}. Restores of its snapshots up to now {(kind == ErasureKind.Erased ? "leave it out, and list it" : "bring it, and list it")}; `holdfast erasure withdraw` takes the entry back.");

            Id16 Enter(ErasureOf of, byte[] bytes)
            {
                try
                {
                    return vault.Erase(keys, domain, source, kind, of, bytes, now, reason, WordsUntil(session, vault));
                }
                catch (HoldfastException e) when (entries.Count > 0)
                {
                    throw new HoldfastException(e.Code, $"{e.Message} Of the {named.Count} that were named, {entries.Count} had been entered before it: {string.Join(", ", entries.Select(entry => Text.Id(entry.Id)))}.", e.Guidance, e);
                }
            }
        }
        return 0;
    }

    /// <summary>The newest snapshot of the source that is meant.</summary>
    static SnapshotRecord Newest(Session session, Vault vault, OpeningKeys keys) => SnapshotArgument.Find(session, vault, keys, "latest", tell: false);

    /// <summary>What is entered wrongly keeps nothing from coming back, and nobody sees it until it does; what is entered too widely keeps care from having it.</summary>
    /// <returns>False where nobody can tell whether a snapshot has all of it.</returns>
    static bool RequireThere(Session session, Vault vault, OpeningKeys keys, Id16 source, List<(ErasureOf Of, byte[] Bytes)> named)
    {
        var snapshots = vault.State.Snapshots.Where(s => !s.IsRemoved && s.Source == source && s.Object is not null).OrderByDescending(s => s.Ordinal).ToList();
        var look = new ErasureLook(named);
        var most = look.IsThrough ? LookedThrough : Looked;
        var unread = snapshots.Count > most;
        foreach (var record in snapshots.Take(most))
        {
            var count = 0L;
            try
            {
                count = look.Count(below => vault.Rows(record, keys, session.Stop, below));
            }
            catch (HoldfastException)
            {
                unread = true;
            }
            if (count * 2 > (long)record.Object!.Entries && !session.Parsed.GetValue(MostOption))
            {
                throw new HoldfastException(ErrorCode.NotConfirmed, string.Create(CultureInfo.InvariantCulture, $"What was named has {count} of the {record.Object.Entries} entries of snapshot {Text.Id(record.Snapshot)}: a restore would leave out most of it. Nothing was entered."),
                    "Name what was erased, not the folder it lay in; or add --most where all of that was.");
            }
            if (look.HasAll)
                return true;
        }
        if (!unread && !look.MayBeLarge)
            throw new HoldfastException(ErrorCode.SnapshotMissing, $"No snapshot of that source has {look.Missing switch { ErasureOf.Path => "such a path", _ => "a file of that SHA-256" }}. Nothing was entered.", "`holdfast find NAME` shows where a file lies; paths are relative to the source's root, upper and lower case differ. `holdfast cat SNAPSHOT PATH | sha256sum` gives a SHA-256.");
        return false;
    }

    static int List(Session session)
    {
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var (entries, asked) = (vault.Erasures((OpeningKeys)keys), vault.ErasedAsked((OpeningKeys)keys));
            session.Json(w =>
            {
                w.WriteStartArray("entries");
                foreach (var told in entries)
                    Write(w, told);
                w.WriteEndArray();
                w.WriteStartArray("askedForAllTheSame");
                foreach (var (record, reason) in asked)
                {
                    w.WriteStartObject();
                    w.WriteString("time", Text.Iso(record.Made));
                    w.WriteString("snapshot", record.Snapshot.ToString());
                    if (reason is not null)
                        w.WriteString("reason", reason);
                    w.WriteEndObject();
                }
                w.WriteEndArray();
                w.WriteNumber("unreadable", vault.State.LostErasures);
            });
            foreach (var told in entries)
            {
                var entry = told.Record.Entry;
                session.Line($"{entry.Entry}  {told.IsWithdrawn switch { true => "WITHDRAWN, was: ", null => "NOT APPLIED, may be withdrawn by what cannot be read: ", false => "" }}{(entry.Kind == ErasureKind.Erased ? "erased" : "corrected")}, entered {Text.Time(told.Record.Made)}, source {Text.Id(entry.Source)}{(told.IsProved switch { true => "", false => "; NOT BELIEVED: nobody made it who had the opening key of that time", null => "; NOT READABLE with a key of this epoch" })}");
                session.Line($"          {(told.IsAsNamed == false ? "SAYS ANOTHER NAME THAN IT HIDES: " : "")}{Names(told)}");
                if (told.Reason is not null)
                    session.Line($"          {Because(told.Reason)}");
                foreach (var (made, why) in told.Withdrawals)
                    session.Line($"          withdrawn {Text.Time(made)}, {Because(why)}");
            }
            foreach (var (record, reason) in asked)
                session.Line($"What was erased was asked for all the same {Text.Time(record.Made)}, of snapshot {Text.Id(record.Snapshot)}, {Because(reason)}");
            if (entries.Count == 0)
                session.Note("holdfast: the erasure register has no entry");
            return vault.State.LostErasures == 0 ? 0 : session.Fail(ErrorCode.ObjectMissing, $"{Text.Count(vault.State.LostErasures, "entry", "entries")} of the register {(vault.State.LostErasures == 1 ? "is" : "are")} missing or damaged.", ProblemReport.Advice(ErrorCode.ObjectMissing));
        }
    }

    static string Because(string? reason) => reason is null ? "for a reason that cannot be read any more" : $"because {Text.Name(System.Text.Encoding.UTF8.GetBytes(reason))}"; // whose words they are nobody knows

    static string Names(ErasureTold told) => told switch
    {
        { Record.Entry.Words.IsNone: true } => "made without words: what it names cannot be told; it applies all the same",
        { Named: null } => "what it names cannot be read any more; it applies all the same",
        { Record.Entry.Of: ErasureOf.Path } => Text.Name(told.Named),
        _ => $"SHA-256 {Convert.ToHexStringLower(told.Named)}",
    };

    static void Write(System.Text.Json.Utf8JsonWriter w, ErasureTold told)
    {
        var entry = told.Record.Entry;
        w.WriteStartObject();
        w.WriteString("entry", entry.Entry.ToString());
        w.WriteString("kind", entry.Kind == ErasureKind.Erased ? "erased" : "corrected");
        Write(w, "withdrawn", told.IsWithdrawn);
        Write(w, "believed", told.IsProved);
        Write(w, "hidesWhatItNames", told.IsAsNamed);
        w.WriteString("entered", Text.Iso(told.Record.Made));
        w.WriteString("source", entry.Source.ToString());
        w.WriteString("wordsUntil", Text.Iso(entry.WordsUntil));
        if (told.Named is not null && entry.Of == ErasureOf.Path)
            w.WriteName("path", told.Named);
        else if (told.Named is not null)
            w.WriteString("sha256", Convert.ToHexStringLower(told.Named));
        if (told.Reason is not null)
            w.WriteString("reason", told.Reason);
        w.WriteStartArray("withdrawals");
        foreach (var (made, reason) in told.Withdrawals)
        {
            w.WriteStartObject();
            w.WriteString("time", Text.Iso(made));
            if (reason is not null)
                w.WriteString("reason", reason);
            w.WriteEndObject();
        }
        w.WriteEndArray();
        w.WriteEndObject();
    }

    /// <summary>Null where it cannot be told.</summary>
    static void Write(System.Text.Json.Utf8JsonWriter w, string name, bool? value)
    {
        if (value is { } known)
            w.WriteBoolean(name, known);
        else
            w.WriteNull(name);
    }

    static int Withdraw(Session session)
    {
        var (which, reason) = (session.Parsed.GetValue(EntryArgument)!, Reason(session.Parsed.GetValue(ReasonOption)!));
        var (vault, keys) = KeyFolder.OpenToChange(session);
        using (vault)
        using (keys)
        {
            vault.RequireNewest(keys);
            var found = vault.Erasures(keys).Where(e => e.Record.Entry.Entry.ToString().StartsWith(which, StringComparison.OrdinalIgnoreCase)).ToList();
            if (which.Length < 4 || found.DistinctBy(e => e.Record.Entry.Entry).Count() != 1)
                throw new HoldfastException(ErrorCode.Usage, found.Count > 0 && which.Length >= 4 ? "Those letters fit several entries." : "The register has no such entry.", "`holdfast erasure list` shows their ids.");
            var entry = found.OrderByDescending(e => e.IsProved == true).First(); // who has the log's key can put another of the same id beside it
            if (entry.IsWithdrawn == true)
                throw new HoldfastException(ErrorCode.Usage, "That entry is withdrawn already.", "`holdfast erasure list` shows it.");
            vault.WithdrawErasure(keys, entry.Record.Entry, reason, WordsUntil(session, vault));
            session.Json(w => w.WriteString("withdrawn", entry.Record.Entry.Entry.ToString()));
            session.Step($"Entry {Text.Id(entry.Record.Entry.Entry)} is withdrawn: restores bring again what it named.");
        }
        return 0;
    }
}
