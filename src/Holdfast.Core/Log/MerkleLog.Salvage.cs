using System.Buffers.Binary;
using System.Globalization;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Log;

/// <summary>What is left of a damaged log, to read it; and the hashes beside the leaves, which that takes.</summary>
public sealed partial class MerkleLog
{
    readonly List<long> _lost = [];
    readonly Dictionary<long, Hash32> _lostHashes = [];

    /// <summary>Leaves that were signed and cannot be read any more, by their number; only <see cref="Salvage"/> gives a log with any.</summary>
    public IReadOnlyList<long> Lost => _lost;

    public bool IsLost(long index) => _lost.BinarySearch(index) >= 0;

    /// <summary>True where the log's own checkpoint is gone or damaged, and this is what one that was kept elsewhere covers.</summary>
    public bool IsAsSeen { get; private set; }

    /// <summary>True where more lies there than the checkpoint covers, and its own checkpoint, which may cover it, is gone.</summary>
    public bool IsCutShort { get; private set; }

    /// <summary>True where leaves that were signed are not read: lost, or behind what is covered.</summary>
    public bool IsInPart => Lost.Count > 0 || IsCutShort;

    /// <summary>Opens a log of which leaves are damaged, or the checkpoint, to read it: the hashes in its tiles give the root that was signed, so they tell which leaves are as they were signed, and which are lost.</summary>
    /// <param name="folder">The log.</param>
    /// <param name="disk">Where changes would go.</param>
    /// <param name="key">Its key.</param>
    /// <param name="leafLength">Bytes of most leaves: where a leaf's own length is damaged, the next one is looked for behind so many.</param>
    /// <param name="seen">A checkpoint of this log that was kept elsewhere, for where its own is gone or damaged.</param>
    /// <returns>The log, <see cref="Lost"/> leaves in their places without bytes.</returns>
    /// <exception cref="HoldfastException">As <see cref="Open"/>, where the hashes do not give that root either.</exception>
    public static MerkleLog Salvage(string folder, Disk disk, VerifierKey key, int leafLength, Checkpoint? seen = null)
    {
        var log = new MerkleLog(folder, disk, key);
        Checkpoint checkpoint;
        try
        {
            checkpoint = log.ReadCheckpoint();
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogDamaged && seen?.IsSignedBy(key) == true)
        {
            (checkpoint, log.IsAsSeen) = (seen, true);
        }
        for (long bundle = 0; bundle * TileSize < checkpoint.Size; bundle++)
        {
            var width = (int)Math.Min(checkpoint.Size - bundle * TileSize, TileSize);
            var hashes = log.ReadAtLeast("tile/0", bundle, width, TileSize * Hash32.Size, width * Hash32.Size) ?? [];
            if (hashes.Length < width * Hash32.Size)
                throw Damaged(!Directory.Exists(Path.Combine(folder, "tile")) ? "its folder `tile` is missing" : "a leaf of it is not what was signed, and the hashes that would tell which are damaged too");
            log.Take(log.ReadAtLeast("tile/entries", bundle, width, TileSize * (2 + MaxLeaf)) ?? [], hashes.AsSpan(0, width * Hash32.Size), leafLength);
        }
        if (log.Tree.Root(checkpoint.Size) != checkpoint.Root)
            throw Damaged("neither its leaves nor the hashes of them give the root that was signed");
        log.Checkpoint = checkpoint;
        log.IsCutShort = log.IsAsSeen && log.GoesOn();
        return log;
    }

    /// <summary>Takes the leaves of a bundle that have the hashes they should.</summary>
    void Take(ReadOnlySpan<byte> bundle, ReadOnlySpan<byte> hashes, int leafLength)
    {
        for (; !hashes.IsEmpty; hashes = hashes[Hash32.Size..])
        {
            var hash = new Hash32(hashes[..Hash32.Size]);
            var length = bundle.Length < 2 ? 0 : BinaryPrimitives.ReadUInt16BigEndian(bundle);
            var isSound = bundle.Length >= 2 + length && LogHash.Leaf(bundle.Slice(2, length)) == hash;
            if (!isSound)
            {
                _lost.Add(Size);
                _lostHashes[Size] = hash;
                length = (ushort)leafLength;
            }
            Keep(isSound ? bundle.Slice(2, length).ToArray() : [], hash);
            bundle = bundle[Math.Min(2 + length, bundle.Length)..];
        }
    }

    /// <summary>Puts a lost leaf back that is known from elsewhere; false where it is not the one that was signed.</summary>
    public bool TryPutBack(long index, byte[] leaf)
    {
        if (!IsLost(index) || LogHash.Leaf(leaf) != _lostHashes[index])
            return false;
        _leaves[(int)index] = leaf;
        _bytes += leaf.Length;
        return _lost.Remove(index);
    }

    /// <summary>A partial file of this width, or a later one that begins with the same; null where there is none. The widest first: that one is compared by who verifies, and what stays of earlier ones is not.</summary>
    byte[]? ReadAtLeast(string kind, long number, int width, int limit, int least = 0)
    {
        foreach (var path in Widths(kind, number).Where(w => w >= width).OrderDescending().Select(w => FilePath(kind, number, w)).Append(FilePath(kind, number, width)))
        {
            if (ReadIfThere(path, limit) is { } bytes && bytes.Length >= least)
                return bytes;
        }
        return null;
    }

    /// <summary>How wide the files of that number are.</summary>
    List<int> Widths(string kind, long number)
    {
        try
        {
            var widths = Directory.EnumerateFiles(FilePath(kind, number, TileSize) + ".p").Select(f => int.TryParse(Path.GetFileName(f), NumberStyles.None, CultureInfo.InvariantCulture, out var width) ? width : 0).Where(w => w is > 0 and < TileSize).ToList();
            return [.. widths, TileSize];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [TileSize];
        }
    }

    bool GoesOn() => File.Exists(FilePath("tile/entries", Size / TileSize, TileSize)) || Widths("tile/entries", Size / TileSize).Any(w => w < TileSize && w > Size % TileSize);

    /// <summary>The files of hashes that are not what the leaves give. Outsiders read them, and so does who salvages what is left of a damaged log.</summary>
    public IReadOnlyList<string> DamagedTiles() => [.. Tiles().Where(t => !IsThere(t.Path, t.Bytes)).Select(t => t.Path)];

    /// <summary>Writes the files of hashes anew that are not what the leaves give.</summary>
    /// <returns>How many.</returns>
    public int MendTiles()
    {
        var damaged = Tiles().Where(t => !IsThere(t.Path, t.Bytes)).ToList();
        damaged.ForEach(t => Write(t.Path, t.Bytes));
        return damaged.Count;
    }

    IEnumerable<(string Path, byte[] Bytes)> Tiles()
    {
        var hashes = Size;
        for (var level = 0; hashes > 0 && _lost.Count == 0; level++)
        {
            for (long tile = 0; tile * TileSize < hashes; tile++)
                yield return Tile(level, tile, hashes);
            hashes /= TileSize;
        }
    }

    static bool IsThere(string path, byte[] bytes) => ReadIfThere(path, bytes.Length) is { } there && there.AsSpan().SequenceEqual(bytes);

    static byte[]? ReadIfThere(string path, int limit)
    {
        try
        {
            return PlainFile.ReadAll(path, limit);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
    }
}
