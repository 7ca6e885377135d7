using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files;

/// <summary>Compares a file that is there with what a snapshot says it holds.</summary>
static class ContentCheck
{
    const int BufferSize = 1 << 20; // bytes

    public delegate int Reader(Span<byte> destination, long offset);

    /// <summary>True where every byte is as in the row. A file with holes is not compared: it counts as different.</summary>
    public static bool Matches(Reader read, EntryBatch batch, int row)
    {
        if (batch.Size[row] == 0)
            return true;
        if (batch.Extents[row] is not null)
            return false;
        try
        {
            var buffer = new byte[(int)Math.Min(BufferSize, batch.Size[row])];
            long at = 0;
            foreach (var (digest, length) in batch.ChunksOf(row))
            {
                if (Digest(read, buffer, at, length) != digest)
                    return false;
                at += length;
            }
            return at == batch.Size[row];
        }
        catch (IOException)
        {
            return false;
        }
    }

    static Hash32 Digest(Reader read, byte[] buffer, long from, long length)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var at = from; at < from + length;)
        {
            var count = read(buffer.AsSpan(0, (int)Math.Min(buffer.Length, from + length - at)), at);
            if (count == 0)
                return Hash32.None;
            sha.AppendData(buffer, 0, count);
            at += count;
        }
        return new Hash32(sha.GetHashAndReset());
    }
}
