using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

static class SnapshotsCommand
{
    static readonly Option<string?> NameOption = new("--name") { Description = "Only snapshots of the source of this name; needs a key that opens names.", HelpName = "NAME" };

    public static Command Create() => Session.Command("snapshots", """
        List the snapshots of a vault.

        With a key that opens names (--keys), each has the name of its source (and of the host, where they are of several), and is called INCOMPLETE where entries were left out or in doubt when it was taken.
        """, command =>
    {
        command.Options.Add(NameOption);
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    const int WidestHost = 40; // characters; a longer name is shown whole, out of line

    static readonly IReadOnlyDictionary<uint, byte[]> NoOwners = new Dictionary<uint, byte[]>();

    const string LogAdvice = "Bring the folder `log` back from another copy of the vault; `holdfast status` says more. What the list has can be read and restored.";

    static int Run(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        var folder = new KeyFolder(session);
        folder.Remember(vault);
        HoldfastException? keyring = null;
        using var keys = folder.CanRead ? Open(session, folder, vault, out keyring) : null;
        var there = vault.State.Snapshots.Where(s => !s.IsRemoved).ToList();
        if (session.Parsed.GetValue(NameOption) is { } name)
        {
            if (keys is null)
                throw new HoldfastException(ErrorCode.Usage, "Without keys no snapshot can be found by name: names are sealed.", "Add --keys FOLDER, or leave --name out.");
            var sources = SnapshotArgument.SourcesOf(session, vault, keys, name);
            if (there.Count(s => s.Object is null) is var closed and > 0)
                session.Warn($"holdfast: {Text.Count(closed, "snapshot")} may be of this source too: the object that says so is missing or damaged. `holdfast snapshots` without --name lists all");
            there.RemoveAll(s => !sources.Contains(s.Source));
        }
        using var list = session.JsonList("snapshots");
        if (there.Count == 0)
            session.Line(vault.Keeper.Log is { IsInPart: true } or { IsAsSeen: true } ? "No snapshot is named by what can be read of the log." : "There is no snapshot in this vault yet. `holdfast backup FOLDER` takes the first.");
        var health = vault.Health();
        var width = there.Select(r => Proof(r, health).Length).DefaultIfEmpty().Max();
        // All before the first line, without the lists that a snapshot may fill: whether hosts are shown is of all of them.
        var trees = there.ConvertAll(r => Describe(vault, r, keys) is { } tree ? tree with { Users = NoOwners, Groups = NoOwners } : null);
        var hosts = trees.OfType<TreeSection>().Select(t => Text.Name(t.HostName)).ToHashSet();
        var hostWidth = hosts.Count > 1 ? Math.Clamp(hosts.Max(h => h.Length), "host".Length, WidestHost) : 0;
        if (there.Count > 0)
            session.Line($"{"snapshot",-9} {"committed",-21} {"locked until",-21} {"files",10} {"size",10} {"stored",10}  {"proof".PadRight(width)} {Host("host")}source");
        var now = vault.Keeper.Clock.Now;
        foreach (var (record, tree) in there.Zip(trees))
        {
            list.Add(w => Write(w, record, tree, health));
            session.Row(session.IsJson ? "" : Row(record, tree, now, $"{Proof(record, health).PadRight(width)} {Host(tree is null ? "" : Text.Name(tree.HostName))}"));
        }
        if (there.Exists(r => health.Of(r).Count > 0))
            session.Note("Some of these snapshots are not whole or not what was signed: holdfast status says what is wrong and what to do.");
        if (there.Exists(r => SnapshotArgument.ClockApart(r) is not null))
            session.Note("Times are the vault's own, which counts no time that its machine was off and begins with that machine's clock. Where the clock of the machine that backed up said another day, it stands behind the source: see which is right (holdfast status).");
        if (keys is null && there.Count > 0 && !folder.CanRead)
            session.Note("Names of sources, and which of these are INCOMPLETE, are sealed: add --keys with a folder that has the opening key.");
        if (vault.Keeper.Log.Lost.Count is var unread and > 0)
            return session.Fail(ErrorCode.LogDamaged, $"The list may not be whole: {unread:#,0} of the {Text.Count(vault.Keeper.Log.Size, "leaf", "leaves")} of the vault's log cannot be read, and may have named other snapshots.", LogAdvice);
        if (vault.Keeper.LogFault is { } fault)
            return session.Fail(fault.Code, $"The list {(vault.Keeper.Log.IsAsSeen ? "may not be" : "is")} whole. {fault.Message}", fault.Guidance);
        return keyring is null ? 0 : session.Fail(keyring.Code, $"The list is whole but for the names. {keyring.Message} Nothing can be restored without the vault's keyring.", keyring.Guidance);

        string Host(string name) => hostWidth == 0 ? "" : name.PadRight(hostWidth) + " ";
    }

    /// <summary>Keys that do not open now (the secret is kept elsewhere, this user may not read them, or there is nobody to ask for the passphrase) cost the names, not the list; so does a
    /// keyring that is missing or damaged, which is the vault's own fault and what the command ends with.</summary>
    static ReadingKeys? Open(Session session, KeyFolder folder, Vault vault, out HoldfastException? keyring)
    {
        keyring = null;
        try
        {
            return folder.OpenReading(vault);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged && session.Parsed.GetValue(NameOption) is null)
        {
            session.Warn($"holdfast: names are left out. {e.Message}");
            keyring = e;
            return null;
        }
        catch (HoldfastException e) when ((e.Code is ErrorCode.KeyFileBad or ErrorCode.NoPermission || (e.Code == ErrorCode.WrongKey && !Prompt.IsPossible)) && !folder.IsOpenedBy && session.Parsed.GetValue(NameOption) is null)
        {
            session.Warn($"holdfast: names are left out. {e.Message} {e.Guidance}");
            return null;
        }
    }

    static void Write(Utf8JsonWriter w, SnapshotRecord record, TreeSection? tree, VaultHealth health)
    {
        w.WriteString("id", record.Snapshot.ToString());
        w.WriteString("source", record.Source.ToString());
        if (tree is not null)
        {
            w.WriteName("name", tree.SourceName);
            w.WriteName("host", tree.HostName);
            w.WriteName("path", tree.RootPath);
            w.WriteNumber("problems", tree.Problems);
        }
        w.WriteString("committed", Text.Iso(record.Committed));
        if (record.Object is { } told)
            w.WriteString("clientTime", Text.Iso(told.ClientTime));
        w.WriteString("lockedUntil", Text.Iso(record.Expiry));
        WriteTime(w, "heldUntil", record.HeldUntil);
        w.WriteNumber("files", record.Object?.Files ?? 0);
        w.WriteNumber("bytes", record.Object?.LogicalBytes ?? 0);
        w.WriteNumber("bytesStored", record.Object?.NewBytes ?? 0);
        w.WriteString("proof", Proof(record, health));
        w.WriteNumber("defects", record.Defects);
        w.WriteNumber("packsMissing", health.Of(record).GetValueOrDefault(ErrorCode.PackMissing));
        w.WriteNumber("packsDamaged", health.Of(record).GetValueOrDefault(ErrorCode.PackDamaged));
        WriteTime(w, "attested", record.Attested);
        WriteTime(w, "fullyAttested", record.FullyAttested);
        WriteTime(w, "restored", record.Restored);
        if (record.Restored > 0)
            w.WriteNumber("restoredWithout", record.RestoredWithout);
    }

    static string Row(SnapshotRecord record, TreeSection? tree, ulong now, string proofAndHost) => $"{Text.Id(record.Snapshot),-9} {Text.Time(record.Committed),-21} {Text.Time(record.Expiry),-21} {(record.Object is null
        ? $"{"",32}  {proofAndHost}run holdfast verify"
        : string.Create(CultureInfo.InvariantCulture, $"{record.Object.Files,10:#,0} {Text.Bytes(record.Object.LogicalBytes),10} {Text.Bytes(record.Object.NewBytes),10}  {proofAndHost}{(tree is not null ? Text.Name(tree.SourceName) : Text.Id(record.Source))}{(tree is { Problems: > 0 } ? $"  INCOMPLETE: {Text.Count((long)tree.Problems, "entry", "entries")} left out or in doubt" : "")}{(SnapshotArgument.ClockApart(record) is { } clock ? $"  CLOCKS DIFFER: {clock}" : "")}"))}{(record.HeldUntil > now ? $"  HELD until {Text.Time(record.HeldUntil)[..10]}" : "")}";

    /// <summary>What is known of a snapshot: first what is wrong, then the most that was ever shown, each fact with its own words; absence of proof is said aloud.</summary>
    public static string Proof(SnapshotRecord record, VaultHealth health)
    {
        var known = health.Of(record);
        var facts = new List<string>();
        if (known.GetValueOrDefault(ErrorCode.PackMissing) is var missing and > 0)
            facts.Add($"{Text.Count(missing, "PACK", "PACKS")} MISSING");
        if (known.GetValueOrDefault(ErrorCode.PackDamaged) is var damaged and > 0)
            facts.Add($"{Text.Count(damaged, "PACK", "PACKS")} DAMAGED");
        if (known.ContainsKey(ErrorCode.ObjectMissing))
            facts.Add("OBJECT MISSING");
        if (known.ContainsKey(ErrorCode.ObjectDamaged))
            facts.Add("OBJECT DAMAGED");
        if (health.Healed.Contains(record))
            facts.Add($"healed {Text.Time(record.DefectsFound)[..10]}, all");
        else if (record.Defects > 0)
            facts.Add("DEFECTS");
        var was = known.Count > 0 ? "was " : "";
        if (record.IsFullyAttested)
            facts.Add($"{was}intact, all");
        else if (record.Attested > 0)
            facts.Add($"{was}intact, part");
        if (record.Restored > 0)
            facts.Add($"restored {Text.Time(record.Restored)[..10]}{(record.RestoredWithout > 0 ? $", but for {record.RestoredWithout} left out" : "")}");
        return facts.Count == 0 ? "NEVER TESTED" : string.Join("; ", facts);
    }

    static void WriteTime(Utf8JsonWriter w, string property, ulong time)
    {
        if (time > 0)
            w.WriteString(property, Text.Iso(time));
    }

    public static TreeSection? Describe(Vault vault, SnapshotRecord record, ReadingKeys? keys)
    {
        if (keys is null || record.Object is null)
            return null;
        try
        {
            return vault.Describe(record, keys);
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.KeyTooNarrow or ErrorCode.ObjectDamaged or ErrorCode.ObjectMissing)
        {
            return null;
        }
    }
}
