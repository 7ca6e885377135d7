using System.Text.Json;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;

namespace Holdfast.Cli.Commands;

/// <summary>What of the snapshots that a command lists cannot be read: collected while it lists, told after that.</summary>
sealed class LostParts(Session session)
{
    const int Listed = 1_000;
    const int Shown = 20;

    readonly List<(SnapshotRecord Record, LostRows Rows)> _parts = [];
    long _more;

    /// <summary>Entries that were left out.</summary>
    public ulong Entries { get; private set; }

    /// <summary>What is to be told of rows of that snapshot.</summary>
    public Action<LostRows> Of(SnapshotRecord record) => rows =>
    {
        Entries += Math.Min(rows.Entries, ulong.MaxValue - Entries);
        if (_parts.Count > 0 && _parts[^1].Record == record && _parts[^1].Rows.With(rows) is { } both)
            _parts[^1] = (record, both);
        else if (_parts.Count < Listed)
            _parts.Add((record, rows));
        else
            _more++;
    };

    /// <summary>Gives the exit status: 3 where anything was left out.</summary>
    public int Tell()
    {
        if (_parts.Count == 0)
            return 0;
        session.Json(w =>
        {
            w.WriteStartArray("lostFrom");
            foreach (var (record, rows) in _parts)
            {
                w.WriteStartObject();
                w.WriteString("snapshot", record.Snapshot.ToString());
                Write(w, rows);
                w.WriteEndObject();
            }
            w.WriteEndArray();
            w.WriteNumber("lostNotListed", _more);
        });
        session.Warn($"holdfast: {Text.Count((long)Math.Min(Entries, long.MaxValue), "entry", "entries")} could not be looked at: parts of {(_parts.Exists(p => p.Record != _parts[0].Record) ? "these snapshots' trees" : "the snapshot's tree")} cannot be read");
        foreach (var (record, rows) in _parts.Take(Shown))
            session.Warn($"    {Text.Id(record.Snapshot)}: {Describe(rows)}");
        if (_parts.Count - Shown + _more is var more and > 0)
            session.Warn($"    and in {Text.Count(more, "more place")}; --json lists {(_more > 0 ? Text.Count(_parts.Count, "place") : "them all")}");
        session.Warn("  what to do: what is listed is right; of these entries nothing is known. `holdfast status` names what is missing or damaged: bring that from another copy of the vault. An earlier or later snapshot may have them.");
        session.Warn($"  code: {ErrorCode.Incomplete} ({(int)ErrorCode.Incomplete})");
        return (int)ErrorCode.Incomplete;
    }

    /// <summary>The members that say where such rows lie.</summary>
    public static void Write(Utf8JsonWriter w, LostRows rows)
    {
        w.WriteName("path", rows.First);
        if (rows.Next is not null)
            w.WriteName("before", rows.Next);
        w.WriteNumber("entries", rows.Entries);
    }

    /// <summary>Where rows lie that nobody can read: "3 entries from a/b on, before c".</summary>
    public static string Describe(LostRows rows) =>
        $"{Text.Count((long)Math.Min(rows.Entries, long.MaxValue), "entry", "entries")} from {(rows.First.Length == 0 ? "the root" : Text.Name(rows.First))} on, {(rows.Next is null ? "to the end" : $"before {Text.Name(rows.Next)}")}";
}
