using System.Runtime.InteropServices;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Snapshots;

/// <summary>What changed in a run, by kind of file: what detection reads (docs/format.md, section 10.5). Not safe for concurrent use; each thread has its own,
/// joined at the end.</summary>
public sealed class RunStatistics
{
    const int Buckets = 16; // of half a bit per byte
    const byte Format = 1;
    const int Window = 4_096; // bytes, of a large chunk
    const int SmallWindow = 1_024; // bytes, of a small one
    const int Large = 64 << 10; // bytes

    readonly Row[] _rows = [.. Enumerable.Range(0, ContentKinds.Kinds).Select(_ => new Row())];

    public sealed class Row
    {
        public ulong NewFiles { get; set; }
        public ulong NewBytes { get; set; }
        public ulong ChangedFiles { get; set; }
        public ulong ChangedBytes { get; set; }
        public ulong RemovedFiles { get; set; }
        public ulong RemovedBytes { get; set; }
        public ulong Renamed { get; set; }
        public ulong UnchangedFiles { get; set; }
        public ulong UnchangedBytes { get; set; }

        /// <summary>New chunks whose first bytes do not fit their file's name.</summary>
        public ulong Misfits { get; set; }
        public ulong[] Entropy { get; } = new ulong[Buckets];

        internal bool IsEmpty => (NewFiles | ChangedFiles | RemovedFiles | Renamed | UnchangedFiles | Misfits) == 0 && Array.TrueForAll(Entropy, e => e == 0);
    }

    public Row this[ContentKind kind] => _rows[(int)kind];

    public ulong Files(Func<Row, ulong> column) => _rows.Aggregate(0UL, (sum, row) => sum + column(row));

    /// <summary>Samples the byte entropy of a new chunk: one window of a small one, four of a large one.</summary>
    public void Sample(ContentKind kind, ReadOnlySpan<byte> chunk)
    {
        if (chunk.Length < 256)
            return; // too few bytes to say anything
        if (chunk.Length <= Large)
        {
            var length = Math.Min(chunk.Length, SmallWindow);
            Count(kind, chunk.Slice((chunk.Length - length) / 2, length));
            return;
        }
        for (var w = 0; w < 4; w++)
            Count(kind, chunk.Slice((int)((long)(chunk.Length - Window) * w / 3), Window));
    }

    void Count(ContentKind kind, ReadOnlySpan<byte> window)
    {
        // Four tables: the same byte twice in a row would wait for itself in one.
        const int tables = 4;
        Span<ushort> counts = stackalloc ushort[tables * 256];
        var counted = window.Length & ~(tables - 1);
        foreach (var four in MemoryMarshal.Cast<byte, uint>(window[..counted])) // in which order the bytes are counted makes no difference
        {
            counts[(byte)four]++;
            counts[256 + (byte)(four >> 8)]++;
            counts[512 + (byte)(four >> 16)]++;
            counts[768 + (int)(four >> 24)]++;
        }
        var logs = LogTable; // looked up once: that it is made by then is asked each time
        // Two sums: one would wait for each addition in turn.
        double a = 0, b = 0;
        for (var i = 0; i < 256; i += 2)
        {
            a += logs[counts[i] + counts[256 + i] + counts[512 + i] + counts[768 + i]];
            b += logs[counts[i + 1] + counts[256 + i + 1] + counts[512 + i + 1] + counts[768 + i + 1]];
        }
        var entropy = Math.Log2(counted) - (a + b) / counted;
        _rows[(int)kind].Entropy[Math.Clamp((int)(entropy * 2), 0, Buckets - 1)]++;
    }

    static readonly double[] LogTable = [.. Enumerable.Range(0, Window + 1).Select(n => n == 0 ? 0 : n * Math.Log2(n))];

    public void Join(RunStatistics other)
    {
        for (var k = 0; k < _rows.Length; k++)
        {
            var (to, from) = (_rows[k], other._rows[k]);
            to.NewFiles += from.NewFiles;
            to.NewBytes += from.NewBytes;
            to.ChangedFiles += from.ChangedFiles;
            to.ChangedBytes += from.ChangedBytes;
            to.RemovedFiles += from.RemovedFiles;
            to.RemovedBytes += from.RemovedBytes;
            to.Renamed += from.Renamed;
            to.UnchangedFiles += from.UnchangedFiles;
            to.UnchangedBytes += from.UnchangedBytes;
            to.Misfits += from.Misfits;
            for (var i = 0; i < Buckets; i++)
                to.Entropy[i] += from.Entropy[i];
        }
    }

    public ByteWriter ToWriter()
    {
        var writer = new ByteWriter(1024);
        writer.Var(Format);
        writer.Var((ulong)_rows.Count(r => !r.IsEmpty));
        for (var k = 0; k < _rows.Length; k++)
        {
            var r = _rows[k];
            if (r.IsEmpty)
                continue;
            writer.Var((ulong)k);
            foreach (var value in new[] { r.NewFiles, r.NewBytes, r.ChangedFiles, r.ChangedBytes, r.RemovedFiles, r.RemovedBytes, r.Renamed, r.UnchangedFiles, r.UnchangedBytes })
                writer.Var(value);
            foreach (var count in r.Entropy)
                writer.Var(count);
            writer.Var(r.Misfits);
        }
        return writer;
    }

    /// <param name="bytes">May be followed by zeros.</param>
    /// <param name="statistics">The statistics.</param>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out RunStatistics? statistics)
    {
        statistics = null;
        var parsed = new RunStatistics();
        var reader = new ByteReader(bytes);
        reader.Require(reader.Var() == Format);
        var count = reader.Count(ContentKinds.Kinds);
        var last = -1;
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var kind = reader.Count(ContentKinds.Kinds - 1);
            reader.Require(kind > last);
            last = kind;
            var r = parsed._rows[kind];
            (r.NewFiles, r.NewBytes, r.ChangedFiles, r.ChangedBytes, r.RemovedFiles) = (reader.Var(), reader.Var(), reader.Var(), reader.Var(), reader.Var());
            (r.RemovedBytes, r.Renamed, r.UnchangedFiles, r.UnchangedBytes) = (reader.Var(), reader.Var(), reader.Var(), reader.Var());
            for (var b = 0; b < Buckets; b++)
                r.Entropy[b] = reader.Var();
            r.Misfits = reader.Var();
        }
        reader.Require(!reader.Raw(reader.Remaining).ContainsAnyExcept((byte)0));
        if (!reader.IsDone)
            return false;
        statistics = parsed;
        return true;
    }
}
