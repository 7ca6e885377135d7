using System.CommandLine;
using System.Text;
using Holdfast.Cli.Emergencies;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

/// <summary>A snapshot named on the command line, and the source it must be of.</summary>
static class SnapshotArgument
{
    public static readonly Option<string?> NameOption = new("--name") { Description = "Only snapshots of the source of this name: `latest` is then its latest.", HelpName = "NAME" };

    public static readonly Option<bool> UnverifiedOption = new("--unverified") { Description = "Read the snapshot even where it is not what its agent signed, and say so: where there is no other." };

    /// <summary>Where the person asked for it, a snapshot that nobody vouches for is read all the same; loudly.</summary>
    /// <returns>Says afterwards whether that was the case.</returns>
    public static Func<bool> AllowUnverified(Session session, Vault vault)
    {
        var isDoubted = false;
        if (session.Parsed.GetValue(UnverifiedOption))
        {
            vault.Unverified = fault =>
            {
                isDoubted = true;
                session.Warn($"holdfast: UNVERIFIED: this snapshot would be refused: {fault}.");
                session.Warn("  Nobody vouches for its names and contents: anyone with a put key may have made them up. Have whoever knows the data look at it before it is used.");
            };
        }
        return () => isDoubted;
    }

    public static Argument<string> Make(string name = "SNAPSHOT", string which = "The snapshot") => new(name) { Description = $"{which}: its id or the first letters of it (4 at least), `latest`, or `latest~1` for the one before (~2 and so on); with several sources `latest` takes --name." };

    /// <param name="session">A person at its terminal is told what `latest` stood for.</param>
    /// <param name="vault">Where to look.</param>
    /// <param name="keys">For --name.</param>
    /// <param name="which">As it was typed.</param>
    /// <param name="tell">False where the command says it itself.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: `latest` of several sources, and nothing says of which.</exception>
    public static SnapshotRecord Find(Session session, Vault vault, ReadingKeys keys, string which, bool tell = true)
    {
        var name = session.Parsed.GetValue(NameOption);
        if (name is null)
            RequireOneSource(vault, which, "");
        var record = name is not null ? vault.Find(which, SourcesOf(session, vault, keys, name)[0]) : vault.Find(which);
        if (which.StartsWith("latest", StringComparison.Ordinal) && tell && !Console.IsErrorRedirected)
            session.Note($"{which} is {Words(record, SnapshotsCommand.Describe(vault, record, keys))}");
        return record;
    }

    /// <summary>Finds a snapshot where the key that opens names is not asked for: `--name` takes put.key alone.</summary>
    /// <param name="session">Names it.</param>
    /// <param name="vault">Where to look.</param>
    /// <param name="which">As it was typed.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: `latest` of several sources, and nothing says of which.</exception>
    public static SnapshotRecord FindByPutKey(Session session, Vault vault, string which)
    {
        if (session.Parsed.GetValue(NameOption) is { } name)
            return vault.Find(which, new KeyFolder(session).SourceOf(vault, name));
        RequireOneSource(vault, which, " (it needs put.key)");
        return vault.Find(which);
    }

    /// <summary>Whose `latest` is the newest of all is a matter of minutes: with several sources it would bring one department's data back, or lock it, in place of another's.</summary>
    /// <param name="vault">Its snapshots count.</param>
    /// <param name="which">As it was typed.</param>
    /// <param name="needs">What --name takes here.</param>
    static void RequireOneSource(Vault vault, string which, string needs)
    {
        const int shown = 5;
        if (!which.StartsWith("latest", StringComparison.Ordinal))
            return;
        // Of which source one without its object is, nobody can tell: it makes no second one.
        var newest = vault.State.Snapshots.Where(s => s is { IsRemoved: false, Object: not null }).GroupBy(s => s.Source).Select(of => of.Last()).OrderByDescending(s => s.Ordinal).ToList();
        if (newest.Count > 1)
            throw new HoldfastException(ErrorCode.Usage, $"There are snapshots of {newest.Count} sources, and `{which}` does not say of which.",
                $"Add --name NAME{needs}, or name the snapshot by its id: `holdfast snapshots` lists both. The newest of each source: {string.Join(", ", newest.Take(shown).Select(s => $"{Text.Id(s.Snapshot)} ({Text.Time(s.Committed)})"))}{(newest.Count > shown ? $" and {newest.Count - shown} more" : "")}.");
    }

    /// <summary>The source for a person: as it was named, or as the keys tell without asking anybody, or by its number.</summary>
    public static string SourceWords(Session session, Vault vault, SnapshotRecord record)
    {
        if (session.Parsed.GetValue(NameOption) is { } name)
            return Text.Name(Encoding.UTF8.GetBytes(name));
        var folder = new KeyFolder(session);
        using var keys = folder.IsGiven ? folder.OpenNames(vault) : null;
        return SnapshotsCommand.Describe(vault, record, keys) is { } tree ? $"{Text.Name(tree.SourceName)} ({Text.Id(record.Source)})" : Text.Id(record.Source);
    }

    /// <summary>Which state of what a snapshot is, for a person: its id, when it was committed, and of which source it is, where the key tells.</summary>
    public static string Words(SnapshotRecord record, TreeSection? tree) => Words(RestoredState.Of(record, tree));

    public static string Words(RestoredState state) => $"snapshot {Text.Id(state.Snapshot)} of {Text.Time(state.Committed)} (vault time{(ClockApart(state.ClientTime, state.Committed) is { } clock ? $"; {clock}" : "")}), source {(state.Names is var (source, host, _)
        ? $"{Text.Name(source)} on {Text.Name(host)}"
        : Text.Id(state.Source))}";

    /// <summary>What the clock of the machine that made a snapshot said, where that is more than a day from the vault's time: after a power-off, or where a clock is wrong, the vault's
    /// alone may not tell which snapshot is of which day. Null where they agree.</summary>
    public static string? ClockApart(SnapshotRecord record) => ClockApart(record.Object?.ClientTime, record.Committed);

    static string? ClockApart(long? time, ulong committed) => time is { } said && Int128.Abs((Int128)said - committed) > Core.Retention.RetentionPolicy.Day ? $"its machine's clock said {Text.Time(said)}" : null;

    /// <summary>The sources of a name, one in each trust domain that has it.</summary>
    /// <exception cref="HoldfastException"><c>SnapshotMissing</c>: none has.</exception>
    public static IReadOnlyList<Id16> SourcesOf(Session session, Vault vault, ReadingKeys keys, string name)
    {
        var bytes = Encoding.UTF8.GetBytes(name);
        var sources = keys.Domains.Select(d => d.SourceId(bytes)).Where(id => vault.State.Snapshots.Exists(s => s.Source == id && !s.IsRemoved)).ToList();
        if (sources.Count == 0 && vault.State.Snapshots.Count(s => s is { IsRemoved: false, Object: null }) is var unread and > 0)
            throw new HoldfastException(ErrorCode.ObjectMissing, $"No snapshot that can be read is of a source with this name; {Text.Count(unread, "snapshot")} cannot be read now, and may be.",
                "`holdfast status` says what is missing or damaged, and what to do: mount the disk that is away, or bring the object back from another copy of the vault.");
        if (sources.Count == 0 && vault.Keeper is { Log.IsInPart: true, LogFault: { } fault })
            throw new HoldfastException(fault.Code, $"What can be read of the log names no snapshot of a source with this name; what the rest of it named is not known. {fault.Message}", fault.Guidance);
        return sources.Count > 0 ? sources
            : throw NoneOfName(vault, new KeyFolder(session).Line("snapshots", vault, opens: true));
    }

    /// <summary>Which source a snapshot was of that was removed, nobody can tell any more.</summary>
    internal static HoldfastException NoneOfName(Vault vault, string list) => new(ErrorCode.SnapshotMissing, "There is no snapshot of a source with this name.",
        $"`{list}` lists the names there are; upper and lower case differ.{(vault.State.Snapshots.Exists(s => s.IsRemoved) ? " Where there were some, an expiry may have removed them once no lock held them: `holdfast log entries` says when one ran." : "")}");

    /// <summary>A path within a snapshot as a person may write it: ./notes/, /notes and notes are one; or escaped, as `ls` prints it, where nothing has the very name that was typed. The root is empty.</summary>
    public static byte[] PathWithin(Session session, Vault vault, ReadingKeys keys, SnapshotRecord record, string typed)
    {
        var forms = Forms(typed);
        return forms.Count > 1 && !Has(session, vault, keys, record, forms[0]) && Has(session, vault, keys, record, forms[1]) ? forms[1] : forms[0];
    }

    /// <summary>What may be meant: the very name, and what it says escaped.</summary>
    static List<byte[]> Forms(string typed)
    {
        var path = Joined(Encoding.UTF8.GetBytes(typed));
        return Text.Unescaped(typed) is { } name && Joined(name) is var other && !other.SequenceEqual(path) ? [path, other] : [path];
    }

    static byte[] Joined(ReadOnlySpan<byte> path)
    {
        var joined = new List<byte>(path.Length);
        foreach (var part in path.Split((byte)'/'))
        {
            if (path[part] is [] or [(byte)'.'])
                continue;
            if (joined.Count > 0)
                joined.Add((byte)'/');
            joined.AddRange(path[part]);
        }
        return [.. joined];
    }

    static bool Has(Session session, Vault vault, ReadingKeys keys, SnapshotRecord snapshot, byte[] wanted) => Look(session, vault, keys, snapshot, wanted).Has;

    /// <summary>Whether a snapshot has a path, and what kept that part of it from being read.</summary>
    static (bool Has, ErrorCode Fault) Look(Session session, Vault vault, ReadingKeys keys, SnapshotRecord snapshot, byte[] wanted)
    {
        if (snapshot.Object is null)
            return (false, ErrorCode.ObjectMissing);
        try
        {
            return (vault.Rows(snapshot, keys, session.Stop, wanted).Any(rows => Enumerable.Range(0, rows.Count).Any(row => rows.Path(row).SequenceEqual(wanted))), ErrorCode.None);
        }
        catch (HoldfastException e)
        {
            return (false, e.Code);
        }
    }

    /// <summary>Says how much of a path there is, and which other snapshots have all of it. The path itself stays out of the words: they end up in logs.</summary>
    public static HoldfastException NoSuchPath(Session session, Vault vault, ReadingKeys keys, SnapshotRecord record, string typed)
    {
        const int looked = 200; // snapshots, the newest first: each costs a walk down its tree
        var id = Text.Id(record.Snapshot);
        string Line(string call) => new KeyFolder(session).Line(call, vault, opens: true);
        var forms = Forms(typed);
        if (forms.Exists(path => Has(session, vault, keys, record, path)))
            return new HoldfastException(ErrorCode.SnapshotMissing, "The path is there, and is no file.", $"`{Line($"ls -l {id} PATH")}` shows what it is; a folder comes back with `{Line($"restore {id} FOLDER --include PATH")}`.");
        var there = forms.Max(path => Enumerable.Range(0, path.Length).Where(i => path[i] == '/').ToList().FindLastIndex(end => Has(session, vault, keys, record, path[..end])) + 1);
        var all = vault.State.Snapshots.Where(s => !s.IsRemoved && s != record).OrderByDescending(s => s.Source == record.Source).ThenByDescending(s => s.Ordinal).ToList();
        var found = all.Take(looked).Select(s => (Record: s, Seen: forms.Select(path => Look(session, vault, keys, s, path)).MaxBy(seen => seen.Has))).ToList();
        var others = found.Where(f => f.Seen.Has).Select(f => f.Record).OrderByDescending(s => s.Ordinal).ToList();
        var closed = found.Count(f => f.Seen.Fault == ErrorCode.KeyTooNarrow);
        var unread = found.Count(f => f.Seen.Fault != ErrorCode.None) - closed;
        var open = (closed > 0 ? $"; {Text.Count(closed, "snapshot")} this key does not open" : "")
            + (unread > 0 ? $"; of {Text.Count(unread, "snapshot")} it is not known, since that part of them cannot be read" : "")
            + (all.Count > looked ? $"; {all.Count - looked:#,0} more were not looked at, and `holdfast find NAME` looks in all" : "");
        return new HoldfastException(ErrorCode.SnapshotMissing, "There is no such path in the snapshot.", (others.Count == 0
            ? $"No other snapshot {(open.Length == 0 ? "" : "that was looked at ")}has it{open}. "
            : $"It is in {Text.Count(others.Count, "other snapshot")}, the newest {Text.Id(others[0].Snapshot)} of {Text.Time(others[0].Committed)}: name that one. ")
            + $"{(there == 0 ? "Nothing of it is there" : there == 1 ? "Here its first part is there, and no more" : $"Here its first {there} parts are there, and no more")}: `{Line($"ls {id}{(there > 0 ? " PATH" : "")}")}` shows what else is{(others.Count == 0 ? $", and `{Line("find NAME")}` in which folder a name lies" : "")}. Paths are relative to the source's root; upper and lower case differ.");
    }

    /// <summary>For commands that need the opening key itself, and write what they found.</summary>
    public static (Vault Vault, OpeningKeys Keys) OpenAll(Session session)
    {
        var vault = KeyFolder.OpenVault(session);
        try
        {
            var folder = new KeyFolder(session);
            folder.Remember(vault, toChange: true);
            EmergencyRecords.EnterKept(session, vault);
            return (vault, folder.Open(vault));
        }
        catch
        {
            vault.Dispose();
            throw;
        }
    }

    public static (Vault Vault, ReadingKeys Keys) Open(Session session)
    {
        var vault = KeyFolder.OpenVault(session);
        try
        {
            var folder = new KeyFolder(session);
            folder.Remember(vault);
            EmergencyRecords.EnterKept(session, vault);
            return (vault, folder.OpenReading(vault));
        }
        catch
        {
            vault.Dispose();
            throw;
        }
    }
}
