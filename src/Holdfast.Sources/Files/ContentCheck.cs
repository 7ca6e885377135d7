using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files;

/// <summary>Compares a file that is there with what a snapshot says it holds.</summary>
static class ContentCheck
{
    public delegate int Reader(Span<byte> destination, long offset);

    /// <summary>True where every byte is as in the row. A file with holes is not compared: it counts as different.</summary>
    public static bool Matches(Reader read, EntryBatch batch, int row, CancellationToken ct)
    {
        if (batch.Size[row] == 0)
            return true;
        if (batch.Extents[row] is not null)
            return false;
        try
        {
            var buffer = Array.Empty<byte>();
            long at = 0;
            foreach (var chunk in batch.ChunksOf(row))
            {
                ct.ThrowIfCancellationRequested();
                if (buffer.Length < chunk.Length)
                    buffer = new byte[chunk.Length];
                var bytes = buffer.AsSpan(0, chunk.Length);
                if (!Fill(read, bytes, at) || !chunk.Names(bytes))
                    return false;
                at += chunk.Length;
            }
            return at == batch.Size[row];
        }
        catch (IOException)
        {
            return false;
        }
        catch (HoldfastException)
        {
            return false; // the list of its chunks cannot be read: whoever then writes it meets that again, and tells it
        }
    }

    static bool Fill(Reader read, Span<byte> bytes, long from)
    {
        for (var done = 0; done < bytes.Length;)
        {
            var count = read(bytes[done..], from + done);
            if (count == 0)
                return false;
            done += count;
        }
        return true;
    }
}
