using System.CommandLine;
using System.Text;
using System.Text.Json;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keys;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Landing;

namespace Holdfast.Cli.Commands;

static class PolicyCommand
{
    public static readonly Option<string?> NameOption = new("--name") { Description = "Of the source of this name only; needs put.key. Default: of all sources that have none of their own.", HelpName = "NAME" };
    static readonly Option<bool> NewSourceOption = new("--new-source") { Description = "There is no snapshot of that name yet: the policy is for later ones." };
    static readonly Option<string?> LockOption = new("--lock") { Description = "How long every later snapshot is locked: 60d, 6m, 1y. Shorter than now takes approvers (approval request).", HelpName = "TIME" };

    static readonly Option<bool> SensitiveOption = new("--sensitive") { Description = "Mark it as sensitive: what it holds is restored into isolation alone, and comes out of it with the quorum (two at least) or a recorded clinical emergency. At once, for what is there too; it takes approvers to take that back (approval request unmark). Alone, or with --name." };

    /// <summary>What says how a policy is to be, and whose.</summary>
    public static Option[] ChangeOptions => [NameOption, NewSourceOption, LockOption, InitCommand.WeeksOption, InitCommand.MonthsOption, InitCommand.YearsOption, InitCommand.DailyOption, InitCommand.LockedOption];

    public static Command Create()
    {
        var policy = new Command("policy", """
            Show how long what is backed up from now on is kept, and have it kept longer.

            A policy is only ever raised: locks longer, more weeks, months and years, larger quotas; weakening one takes approvers (holdfast approval request policy). A source whose data must not wander into use on one person's word is marked as sensitive (--sensitive). What was committed before keeps the lock it has (holdfast lock lengthens that).
            """);
        policy.Subcommands.Add(Session.Command("show", "Show the policies in force.", command =>
        {
            command.Options.Add(NameOption);
            KeyFolder.AddTo(command, reading: true);
        }, Show));
        policy.Subcommands.Add(Session.Command("set", "Raise the policy of all sources, or of one. What is not named stays as it is.", command =>
        {
            foreach (var option in ChangeOptions)
                command.Options.Add(option);
            command.Options.Add(SensitiveOption);
            command.Options.Add(InitCommand.ConfirmOption);
            KeyFolder.AddTo(command, reading: false);
        }, Set));
        return policy;
    }

    static int Show(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        var folder = new KeyFolder(session);
        folder.Remember(vault);
        var named = Source(session, vault);
        var lost = named is { } source ? vault.State.LostPoliciesFor(source) : vault.State.LostPolicies;
        var isAllSensitive = vault.State.Sensitive.ContainsKey(Id16.None);
        var marked = vault.State.Sensitive.Keys.Where(s => !s.IsNone && (named is null || s == named)).Order().ToList();
        var own = vault.State.Policies.Keys.Where(s => !s.IsNone && (named is null || s == named)).Order().Select(s => (Source: s, Policy: vault.State.PolicyFor(s))).ToList();
        session.Json(w =>
        {
            w.WriteStartObject("policy");
            Write(w, vault.State.PolicyFor(named ?? Id16.None));
            w.WriteEndObject();
            w.WriteStartArray("sources");
            foreach (var (of, policy) in own)
            {
                w.WriteStartObject();
                w.WriteString("source", of.ToString());
                Write(w, policy);
                w.WriteEndObject();
            }
            w.WriteEndArray();
            w.WriteBoolean("allSourcesSensitive", isAllSensitive);
            w.WriteStartArray("sensitiveSources");
            foreach (var of in marked)
                w.WriteStringValue(of.ToString());
            w.WriteEndArray();
            w.WriteNumber("longestLockSeconds", vault.State.Genesis!.LongestLock);
            if (vault.State.Genesis.LegalBasis is { } basis)
                w.WriteString("legalBasis", basis);
            PolicyDoubt.Write(w, lost);
        });
        PolicyDoubt.Print(session, lost, "");
        if (named is { } one)
        {
            session.Line($"Source {Typed(session)} ({Text.Id(one)}, {(own.Count > 0 ? "a policy of its own" : "the policy of all sources")}): {Describe(vault.State.PolicyFor(one))}{Mark(vault, one)}");
            return 0;
        }
        session.Line($"All sources: {Describe(vault.State.PolicyFor(Id16.None))}{(isAllSensitive ? Sensitive : "")}");
        using var keys = own.Count + marked.Count > 0 ? folder.OpenNames(vault) : null;
        foreach (var of in own.ConvertAll(o => o.Source).Union(marked).Order())
            session.Line($"Source {(NameOf(vault, of, keys) is { } name ? $"{name} ({Text.Id(of)})" : Text.Id(of))}: {(own.Exists(o => o.Source == of) ? Describe(vault.State.PolicyFor(of)) : "the policy of all sources")}{Mark(vault, of)}");
        session.Line($"No lock is longer than {Text.Span(vault.State.Genesis!.LongestLock)}: that was fixed when the vault was made{(vault.State.Genesis.LegalBasis is { } basis ? $", by: {basis}" : "")}.");
        return 0;
    }

    static int Set(Session session)
    {
        var (change, marks) = (Change(session), session.Parsed.GetValue(SensitiveOption));
        if (marks && change != new PolicyChange())
            throw new HoldfastException(ErrorCode.Usage, "--sensitive goes with no change of the policy. Nothing was changed.", "Run it once with --sensitive, and once with the rest.");
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var source = Source(session, vault) ?? Id16.None;
        if (!source.IsNone && !session.Parsed.GetValue(NewSourceOption) && !vault.State.Snapshots.Exists(s => s.Source == source))
        {
            throw new HoldfastException(ErrorCode.SnapshotMissing, $"There is no snapshot of a source of this name. Nothing was changed, as {(marks ? "one person takes no mark back" : "a policy is never lowered again")}.",
                "`holdfast snapshots` lists the names; where none was given, it is the folder's path. For a source that is to be backed up under this name later, add --new-source.");
        }
        if (marks)
            return MarkSensitive(session, vault, source, source.IsNone ? Id16.None : Doubtful(session, vault));
        var before = vault.State.PolicyFor(source);
        var wanted = change.Of(before);
        InitCommand.RequirePlaces(wanted);
        // A policy that is refused asks for no date; one that locks longer than before does.
        if (!wanted.IsWeakerThan(before) && wanted.Longest > before.Longest && wanted.Longest <= vault.State.Genesis!.LongestLock)
            InitCommand.ConfirmLong(session, vault.Keeper.Clock.LockFrom + wanted.Longest, vault.Keeper.Clock.LockFrom, vault.Keeper.FolderStore is null ? null : vault.Keeper.Folder, "nothing was changed");
        var isChanged = vault.Keeper.SetPolicy(source, change, Id16.None);
        var policy = vault.State.PolicyFor(source);
        session.Json(w =>
        {
            w.WriteBoolean("changed", isChanged);
            if (!source.IsNone)
                w.WriteString("source", source.ToString());
            w.WriteStartObject("policy");
            Write(w, policy);
            w.WriteEndObject();
        });
        session.Step($"{(source.IsNone ? "All sources without a policy of their own" : $"Source {Typed(session)} ({Text.Id(source)})")}: {Describe(policy)}{(isChanged ? ". From the next backup on, and never lowered again; the log has a record of it." : ". That is what was in force already; nothing was changed.")}");
        return 0;
    }

    /// <summary>The source of a landing's dumps that are no good, beside this one: they hold the same. None where there is no such.</summary>
    static Id16 Doubtful(Session session, Vault vault)
    {
        var name = session.Parsed.GetValue(NameOption)!;
        var doubtful = new KeyFolder(session).SourceOf(vault, name + DropPoint.Doubtful);
        return name.StartsWith(DropPoint.Prefix, StringComparison.Ordinal) && !name.EndsWith(DropPoint.Doubtful, StringComparison.Ordinal) || vault.State.Snapshots.Exists(s => s.Source == doubtful) ? doubtful : Id16.None;
    }

    /// <param name="session">Of the command.</param>
    /// <param name="vault">The vault.</param>
    /// <param name="source">None: all.</param>
    /// <param name="beside">Marked with it; none where there is none.</param>
    static int MarkSensitive(Session session, Vault vault, Id16 source, Id16 beside)
    {
        var isChanged = vault.Keeper.MarkSensitive(source, Id16.None); // the keeper says which client it was
        if (!beside.IsNone && vault.Keeper.MarkSensitive(beside, Id16.None))
            session.Step($"Source {Typed(session)}{DropPoint.Doubtful} ({Text.Id(beside)}), where the landing's dumps go that are no good, is marked as sensitive too.");
        session.Json(w =>
        {
            w.WriteBoolean("changed", isChanged);
            if (!source.IsNone)
                w.WriteString("source", source.ToString());
            w.WriteBoolean("sensitive", true);
        });
        session.Step($"{(source.IsNone ? "All sources are" : $"Source {Typed(session)} ({Text.Id(source)}) is")} marked as sensitive{(isChanged ? ": what is there, and what is backed up later, is restored into isolation alone. The log has a record of it; `holdfast approval request unmark` asks for it to be taken back." : " already; nothing was changed.")}");
        return 0;
    }

    const string Sensitive = "; SENSITIVE: restored into isolation alone";

    static string Mark(Vault vault, Id16 source) => vault.State.IsSensitive(source) ? Sensitive : "";

    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static PolicyChange Change(Session session) => new(InitCommand.Length(session, LockOption), Given(session, InitCommand.WeeksOption), Given(session, InitCommand.MonthsOption), Given(session, InitCommand.YearsOption),
        InitCommand.Size(session, InitCommand.DailyOption) is var daily and > 0 ? daily : null, InitCommand.Size(session, InitCommand.LockedOption) is var locked and > 0 ? locked : null);

    /// <summary>Null for all sources.</summary>
    public static Id16? Source(Session session, Vault vault) => session.Parsed.GetValue(NameOption) is { } name ? new KeyFolder(session).SourceOf(vault, name) : null;

    /// <summary>The name that the newest snapshot of a source says; null without a key, or where there is none.</summary>
    static string? NameOf(Vault vault, Id16 source, ReadingKeys? keys) => vault.State.Snapshots.Where(s => s.Source == source && !s.IsRemoved).Reverse()
        .Select(s => SnapshotsCommand.Describe(vault, s, keys)).OfType<TreeSection>().Select(t => Text.Name(t.SourceName)).FirstOrDefault();

    /// <summary>The name as it was typed: what is kept of it in the vault is sealed.</summary>
    static string Typed(Session session) => Text.Name(Encoding.UTF8.GetBytes(session.Parsed.GetValue(NameOption)!));

    static uint? Given(Session session, Option<uint> option) => session.Parsed.GetResult(option) is { Implicit: false } ? session.Parsed.GetValue(option) : null;

    static string Describe(RetentionPolicy policy) => "every snapshot for " + StatusCommand.Policy(policy)
        + (policy.DailyQuota > 0 ? $"; at most {Text.Bytes(policy.DailyQuota)} new a day" : "") + (policy.LockedQuota > 0 ? $"; at most {Text.Bytes(policy.LockedQuota)} locked" : "");

    static void Write(Utf8JsonWriter w, RetentionPolicy policy)
    {
        w.WriteNumber("lockSeconds", policy.Base);
        w.WriteNumber("weeks", policy.Weeks);
        w.WriteNumber("months", policy.Months);
        w.WriteNumber("years", policy.Years);
        w.WriteNumber("dailyQuota", policy.DailyQuota);
        w.WriteNumber("lockedQuota", policy.LockedQuota);
    }
}
