using Holdfast.Core.Backup;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Restore;

static class FileContent
{
    /// <summary>Writes a file from beginning to end, holes as zeros.</summary>
    public static void CopyTo(EntryBatch rows, int row, ChunkReader chunks, Stream output, CancellationToken ct)
    {
        var data = new DataCursor(rows.Extents[row]);
        long position = 0;
        foreach (var chunk in rows.ChunksOf(row))
        {
            ct.ThrowIfCancellationRequested();
            var bytes = chunks.Read(KeyClass.Content, chunk);
            while (!bytes.IsEmpty)
            {
                var (offset, length) = data.Next(bytes.Length);
                WriteZeros(output, offset - position, ct);
                output.Write(bytes[..length]);
                position = offset + length;
                bytes = bytes[length..];
            }
        }
        WriteZeros(output, rows.Size[row] - position, ct);
    }

    static void WriteZeros(Stream output, long count, CancellationToken ct)
    {
        if (count <= 0)
            return;
        var zeros = new byte[64 << 10];
        for (; count > 0; count -= zeros.Length)
        {
            ct.ThrowIfCancellationRequested();
            output.Write(zeros, 0, (int)Math.Min(count, zeros.Length));
        }
    }
}
