using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Terminal;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

static class LsCommand
{
    static readonly Argument<string> Snapshot = SnapshotArgument.Make();
    static readonly Argument<string?> PathArgument = new("PATH") { Description = "A folder or file of the snapshot, as it is or as `ls` prints it; without it, the first level.", Arity = ArgumentArity.ZeroOrOne };
    static readonly Option<bool> LongOption = new("--long", "-l") { Description = "Show kind, permissions, owner and group by number, size (of a device its numbers) and time of change (UTC) too." };
    static readonly Option<bool> DeepOption = new("--recursive", "-r") { Description = "Show everything below as well." };

    static readonly Option<bool> ProblemsOption = new("--problems") { Description = "Show what the snapshot has not of its source, or has as it was read while it changed." };

    public static Command Create() => Session.Command("ls", "List the files of a snapshot.", command =>
    {
        command.Arguments.Add(Snapshot);
        command.Arguments.Add(PathArgument);
        command.Options.Add(LongOption);
        command.Options.Add(DeepOption);
        command.Options.Add(ProblemsOption);
        command.Options.Add(SnapshotArgument.NameOption);
        command.Options.Add(SnapshotArgument.UnverifiedOption);
        Keys.KeyFolder.AddTo(command, reading: true);
    }, Run);

    static int Run(Session session)
    {
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var isDoubted = SnapshotArgument.AllowUnverified(session, vault);
            var record = SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(Snapshot)!);
            if (session.Parsed.GetValue(ProblemsOption))
                return SourceProblems.List(session, vault, record, keys);
            var folder = SnapshotArgument.PathWithin(session, vault, keys, record, session.Parsed.GetValue(PathArgument) ?? "");
            var deep = session.Parsed.GetValue(DeepOption);
            var lost = new LostParts(session);
            var found = List();
            if (!found && lost.Entries == 0)
                throw SnapshotArgument.NoSuchPath(session, vault, keys, record, session.Parsed.GetValue(PathArgument) ?? "");
            var status = lost.Tell();
            return isDoubted() ? (int)Core.ErrorCode.Incomplete : status;

            bool List()
            {
                using var list = new EntryList(session, session.Parsed.GetValue(LongOption));
                var found = folder.Length == 0;
                foreach (var rows in vault.Rows(record, keys, session.Stop, folder.Length > 0 ? folder : null, lost.Of(record)))
                {
                    for (var row = 0; row < rows.Count; row++)
                    {
                        var path = rows.Path(row);
                        if (path.SequenceEqual(folder))
                        {
                            found = true;
                            if (rows.Kind[row] != EntryKind.Directory)
                                list.Add(rows, row);
                            continue;
                        }
                        if (TreePath.IsBelow(path, folder) && (deep || TreePath.Parent(path).SequenceEqual(folder)))
                            list.Add(rows, row);
                    }
                }
                return found;
            }
        }
    }
}

/// <summary>Prints entries as they come, so that a listing of millions needs no memory.</summary>
sealed class EntryList(Session session, bool isLong) : IDisposable
{
    readonly JsonList _json = session.JsonList("entries");

    public void Add(EntryBatch rows, int row)
    {
        session.Row(session.IsJson ? "" : Describe(rows, row));
        _json.Add(w =>
        {
            w.WriteName("path", rows.Path(row));
            w.WriteString("kind", rows.Kind[row].ToString());
            w.WriteString("mode", Convert.ToString(rows.Mode[row], 8));
            w.WriteNumber("uid", rows.Uid[row]);
            w.WriteNumber("gid", rows.Gid[row]);
            w.WriteNumber("size", rows.Size[row]);
            w.WriteString("mtime", Text.Iso(rows.MtimeSeconds[row], rows.MtimeNanoseconds[row]));
            if (!rows.Digest[row].IsNone)
                w.WriteString("sha256", rows.Digest[row].ToString());
            if (IsDevice(rows, row))
            {
                w.WriteNumber("major", rows.RawDevice[row] >> 32);
                w.WriteNumber("minor", (uint)rows.RawDevice[row]);
            }
            if (rows.LinkTarget[row] is { } target)
                w.WriteName("target", target);
        });
    }

    string Describe(EntryBatch rows, int row)
    {
        var name = Text.Name(rows.Path(row)) + (rows.Kind[row] == EntryKind.Directory ? "/" : "");
        if (!isLong)
            return name;
        var time = DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(rows.MtimeSeconds[row], -62_135_596_800, 253_402_300_799)).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        return string.Create(CultureInfo.InvariantCulture,
            $"{Letter(rows.Kind[row])}{Mode(rows.Mode[row])} {rows.Uid[row],6} {rows.Gid[row],6} {Size(rows, row),14} {time} {name}{(rows.LinkTarget[row] is { } target ? $" -> {Text.Name(target)}" : "")}");
    }

    /// <summary>Bytes; of a device its major and minor number.</summary>
    static string Size(EntryBatch rows, int row) => IsDevice(rows, row)
        ? string.Create(CultureInfo.InvariantCulture, $"{rows.RawDevice[row] >> 32}, {(uint)rows.RawDevice[row]}")
        : rows.Size[row].ToString("#,0", CultureInfo.InvariantCulture);

    static bool IsDevice(EntryBatch rows, int row) => rows.Kind[row] is EntryKind.CharacterDevice or EntryKind.BlockDevice;

    static char Letter(EntryKind kind) => kind switch
    {
        EntryKind.Directory => 'd',
        EntryKind.Symlink => 'l',
        EntryKind.Fifo => 'p',
        EntryKind.CharacterDevice => 'c',
        EntryKind.BlockDevice => 'b',
        _ => '-',
    };

    static string Mode(uint mode) => string.Create(9, mode, (text, m) =>
    {
        for (var i = 0; i < 9; i++)
            text[i] = (m >> (8 - i) & 1) != 0 ? "rwx"[i % 3] : '-';
        if ((m & 0x800) != 0)
            text[2] = text[2] == 'x' ? 's' : 'S';
        if ((m & 0x400) != 0)
            text[5] = text[5] == 'x' ? 's' : 'S';
        if ((m & 0x200) != 0)
            text[8] = text[8] == 'x' ? 't' : 'T';
    });

    public void Dispose() => _json.Dispose();
}
