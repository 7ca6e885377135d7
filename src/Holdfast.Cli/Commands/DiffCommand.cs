using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;

namespace Holdfast.Cli.Commands;

static class DiffCommand
{
    static readonly Argument<string> Before = SnapshotArgument.Make("BEFORE", "The earlier snapshot");
    static readonly Argument<string> After = SnapshotArgument.Make("AFTER", "The later snapshot");

    public static Command Create() => Session.Command("diff", "Show what differs between two snapshots: + new, - removed, M content or kind changed, A only attributes changed (permissions, owner, times of files).", command =>
    {
        command.Arguments.Add(Before);
        command.Arguments.Add(After);
        command.Options.Add(SnapshotArgument.NameOption);
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    static int Run(Session session)
    {
        var (vault, keys) = SnapshotArgument.Open(session);
        using (vault)
        using (keys)
        {
            var (earlier, later) = (SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(Before)!), SnapshotArgument.Find(session, vault, keys, session.Parsed.GetValue(After)!));
            if (earlier.Source != later.Source)
                session.Warn($"holdfast: these are two sources: {SnapshotArgument.Words(earlier, SnapshotsCommand.Describe(vault, earlier, keys))}; and {SnapshotArgument.Words(later, SnapshotsCommand.Describe(vault, later, keys))}. With --name NAME, `latest` and `latest~1` are of one");
            var lost = new LostParts(session);
            using var before = new Cursor(told => vault.Rows(earlier, keys, session.Stop, lost: told), lost.Of(earlier));
            using var after = new Cursor(told => vault.Rows(later, keys, session.Stop, lost: told), lost.Of(later));
            var changes = session.JsonList("changes");
            before.Next();
            after.Next();
            while (!before.Ended || !after.Ended)
            {
                var order = before.Ended ? 1 : after.Ended ? -1 : TreePath.Compare(before.Path, after.Path);
                if (order < 0 && !after.MayHaveHad(before.Path))
                    Tell('-', before);
                else if (order > 0 && !before.MayHaveHad(after.Path))
                    Tell('+', after);
                else if (order == 0 && Differs(before, after) is { } sign)
                    Tell(sign, after);
                if (order <= 0)
                    before.Next();
                if (order >= 0)
                    after.Next();
            }
            changes.Dispose();
            return lost.Tell();

            void Tell(char sign, Cursor at)
            {
                session.Row(session.IsJson ? "" : $"{sign} {Text.Name(at.Path)}");
                changes.Add(w =>
                {
                    w.WriteString("change", sign switch { '+' => "added", '-' => "removed", 'M' => "content", _ => "attributes" });
                    w.WriteName("path", at.Path);
                });
            }
        }
    }

    static char? Differs(Cursor l, Cursor r)
    {
        var (a, i, b, j) = (l.Rows, l.Row, r.Rows, r.Row);
        if (a.Kind[i] != b.Kind[j] || a.Size[i] != b.Size[j] || a.RawDevice[i] != b.RawDevice[j] || a.Digest[i] != b.Digest[j] || !SameContent(a, i, b, j) || !(a.LinkTarget[i] ?? []).AsSpan().SequenceEqual(b.LinkTarget[j]))
            return 'M';
        return a.Mode[i] != b.Mode[j] || a.Uid[i] != b.Uid[j] || a.Gid[i] != b.Gid[j] || !(a.Xattrs[i] ?? []).AsSpan().SequenceEqual(b.Xattrs[j])
            || (a.Kind[i] != EntryKind.Directory && (a.MtimeSeconds[i] != b.MtimeSeconds[j] || a.MtimeNanoseconds[i] != b.MtimeNanoseconds[j])) ? 'A' : null;
    }

    /// <summary>Of two rows with the same digest, or with none: then what lies in it, and where between its holes.</summary>
    static bool SameContent(EntryBatch a, int i, EntryBatch b, int j)
    {
        if (a.Digest[i].IsNone && (a.Extents[i] is null != b.Extents[j] is null || !a.Extents[i].AsSpan().SequenceEqual(b.Extents[j])))
            return false;
        if (!a.Digest[i].IsNone || (a.ChunkLists[i] is { } l && b.ChunkLists[j] is { } r && l.AsSpan().SequenceEqual(r)))
            return true;
        try
        {
            return a.ChunksOf(i).SequenceEqual(b.ChunksOf(j));
        }
        catch (HoldfastException e) when (e.Code is ErrorCode.ObjectDamaged or ErrorCode.ChunkMissing or ErrorCode.PackMissing or ErrorCode.PackDamaged or ErrorCode.StoreUnavailable or ErrorCode.Truncated)
        {
            return false; // a list that cannot be read, and is another than the one it is compared with
        }
    }

    sealed class Cursor : IDisposable
    {
        readonly IEnumerator<EntryBatch> _batches;
        LostRows? _lost; // between the row before and this one

        public Cursor(Func<Action<LostRows>, IEnumerable<EntryBatch>> read, Action<LostRows> tell) => _batches = read(lost =>
        {
            tell(lost);
            _lost = new LostRows(_lost?.First ?? lost.First, lost.Next, 0);
        }).GetEnumerator();

        public EntryBatch Rows { get; private set; } = new(1);
        public int Row { get; private set; }
        public bool Ended { get; private set; }
        public ReadOnlySpan<byte> Path => Rows.Path(Row);

        /// <summary>Whether a path that is not here is among rows that cannot be read: nobody knows then.</summary>
        public bool MayHaveHad(ReadOnlySpan<byte> path) => _lost is not null && TreePath.Compare(path, _lost.First) >= 0 && (_lost.Next is null || TreePath.Compare(path, _lost.Next) < 0);

        public void Next()
        {
            if (Ended)
                return;
            _lost = null;
            if (++Row < Rows.Count)
                return;
            if (!_batches.MoveNext())
            {
                Ended = true;
                return;
            }
            Rows = _batches.Current;
            Row = 0;
        }

        public void Dispose() => _batches.Dispose();
    }
}
