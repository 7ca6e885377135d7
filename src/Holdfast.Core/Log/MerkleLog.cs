using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Holdfast.Core.Crypto;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Log;

/// <summary>An append-only Merkle log in a folder, laid out as C2SP tlog-tiles with a signed checkpoint. Opening reads every leaf and checks them all against the
/// checkpoint: whoever uses the log has a log that is whole.</summary>
/// <remarks>Entries and tiles are durable before the checkpoint that covers them; what lies beyond the checkpoint is overwritten. Not safe for concurrent
/// use: the keeper's lock keeps writers apart; readers of other processes see one checkpoint or the next.</remarks>
public sealed partial class MerkleLog
{
    public const int MaxLeaf = 65_535; // bytes
    const long FirstBytes = 16 << 20; // that leaves may have together,
    const int MoreBytes = 1_024; // and so many more for each: one may be long, not all of them
    const int TileSize = 256; // hashes, and entries in a bundle
    const int TileHeight = 8;
    const int Tries = 20;
    const int EntryLevel = -1; // below the hashes
    const int KeptPartials = 16; // of a level: as many commits may come while the log is copied

    readonly string _folder;
    readonly Disk _disk;
    readonly List<byte[]> _leaves = [];
    long _bytes; // of these

    MerkleLog(string folder, Disk disk, VerifierKey key)
    {
        _folder = folder;
        _disk = disk;
        Key = key;
    }

    public VerifierKey Key { get; }
    public MerkleTree Tree { get; } = new();

    public Checkpoint? Checkpoint { get; private set; }
    public long Size => Tree.Size;

    /// <summary>Bytes of a leaf; none of one that is lost.</summary>
    public byte[] Leaf(long index) => _leaves[(int)index];

    /// <summary>A new log; it exists from its first append on.</summary>
    public static MerkleLog Create(string folder, Disk disk, VerifierKey key)
    {
        disk.MakeFolder(folder);
        disk.SyncFolder(Path.GetDirectoryName(folder)!);
        return new MerkleLog(folder, disk, key);
    }

    /// <summary>Opens a log and checks all of it.</summary>
    /// <exception cref="HoldfastException"><c>LogDamaged</c>: so where the checkpoint is not signed by the key, which a bit that flipped in it looks like.</exception>
    public static MerkleLog Open(string folder, Disk disk, VerifierKey key)
    {
        var log = new MerkleLog(folder, disk, key);
        for (var attempt = 1; ; attempt++)
        {
            var checkpoint = log.ReadCheckpoint();
            if (log.TryLoad(checkpoint.Size))
            {
                if (log.Tree.Root(checkpoint.Size) != checkpoint.Root)
                    throw Damaged("its leaves do not give the root that was signed");
                log.Checkpoint = checkpoint;
                return log;
            }
            if (attempt == Tries)
                throw Damaged("a file of it is missing or cut short");
            // A writer may have moved on between checkpoint and bundle: look again.
            Thread.Yield();
        }
    }

    /// <summary>Takes in what others have appended since.</summary>
    public void Refresh()
    {
        for (var attempt = 1; ; attempt++)
        {
            var checkpoint = ReadCheckpoint();
            if (checkpoint.Size < Size)
                throw Forked("it is shorter than it was a moment ago");
            if (TryLoad(checkpoint.Size))
            {
                if (Tree.Root(checkpoint.Size) != checkpoint.Root)
                    throw Damaged("its leaves do not give the root that was signed");
                Checkpoint = checkpoint;
                return;
            }
            if (attempt == Tries)
                throw Damaged("a file of it is missing or cut short");
            Thread.Yield();
        }
    }

    /// <summary>Appends leaves durably, all or none, and signs the new checkpoint.</summary>
    /// <returns>Index of the first.</returns>
    public long Append(IReadOnlyList<byte[]> leaves, Ed25519Signer signer) => Append(leaves, () => Checkpoint.Sign(Key.Name, Size, Tree.Root(Size), signer));

    /// <summary>Takes over, durably, what another log of the same key has more than this one, and the checkpoint that covers it.</summary>
    /// <exception cref="HoldfastException"><c>LogForked</c>: this log is not the other's beginning; it stays as it was.</exception>
    public void Follow(MerkleLog other)
    {
        if (Checkpoint is not null)
            other.RequireExtends(Checkpoint);
        if (other.Size > Size)
            Append(other._leaves[(int)Size..(int)other.Size], () => other.Checkpoint!);
    }

    /// <summary>Takes over what a copy of this log has more than this one, once all of it gives the root that the log's key has signed.</summary>
    /// <param name="leaves">From this log's end on.</param>
    /// <param name="checkpoint">Covers them.</param>
    /// <exception cref="HoldfastException"><c>LogForked</c>: they do not go on from what is here; it stays as it was.</exception>
    public void Take(IReadOnlyList<byte[]> leaves, Checkpoint checkpoint)
    {
        if (!checkpoint.IsSignedBy(Key))
            throw Forked("its checkpoint is signed by another key");
        if (checkpoint.Size != Size + leaves.Count || leaves.Any(l => l.Length > MaxLeaf))
            throw Forked($"it has {checkpoint.Size} leaves, and {Size} of it were seen before");
        var tree = new MerkleTree();
        for (var i = 0L; i < Size; i++)
            tree.Add(Tree.Leaf(i));
        foreach (var leaf in leaves)
            tree.Add(LogHash.Leaf(leaf));
        if (tree.Root(checkpoint.Size) != checkpoint.Root)
            throw Forked("it does not go on from what was seen before");
        if (leaves.Count > 0)
            Append(leaves, () => checkpoint);
    }

    long Append(IReadOnlyList<byte[]> leaves, Func<Checkpoint> cover)
    {
        var first = Size;
        DiscardPartials();
        foreach (var leaf in leaves)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(leaf.Length, MaxLeaf);
            Keep(leaf, LogHash.Leaf(leaf));
        }
        WriteEntries(first);
        WriteTiles(first);
        var checkpoint = cover();
        _disk.Replace(Path.Combine(_folder, "checkpoint"), Encoding.UTF8.GetBytes(checkpoint.Note));
        Checkpoint = checkpoint;
        return first;
    }

    public LogProof Prove(long index) => new(_leaves[(int)index], index, Tree.ProveInclusion(index, Size), Checkpoint!);

    /// <summary>Checks that this log still begins with what an earlier checkpoint covered.</summary>
    /// <exception cref="HoldfastException"><c>LogForked</c>.</exception>
    public void RequireExtends(Checkpoint earlier)
    {
        if (!earlier.IsSignedBy(Key))
            throw Forked("the earlier checkpoint was signed by another key");
        if (earlier.Size > Size)
            throw Forked($"it has {Size} leaves, the earlier checkpoint had {earlier.Size}");
        if (Tree.Root(earlier.Size) != earlier.Root)
            throw Forked("its beginning is not what the earlier checkpoint covered");
    }

    Checkpoint ReadCheckpoint()
    {
        string text;
        try
        {
            text = new UTF8Encoding(false, true).GetString(PlainFile.ReadAll(Path.Combine(_folder, "checkpoint"), Checkpoint.MaxLength) ?? throw Damaged("its checkpoint is too long, or no file"));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or DecoderFallbackException)
        {
            throw Damaged("its checkpoint is missing or no text", CheckpointElsewhere);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
        if (!Checkpoint.TryParse(text, out var checkpoint))
            throw Damaged("its checkpoint cannot be read", CheckpointElsewhere);
        return checkpoint.IsSignedBy(Key) ? checkpoint : throw Damaged("its checkpoint is not as the key signed it that this vault was made with: bytes of it are damaged, or someone put another log there", CheckpointElsewhere);
    }

    bool TryLoad(long size)
    {
        while (Size < size)
        {
            var bundle = Size / TileSize;
            var width = Math.Min(size - bundle * TileSize, TileSize);
            byte[] bytes;
            try
            {
                bytes = PlainFile.ReadAll(FilePath("tile/entries", bundle, (int)width), TileSize * (2 + MaxLeaf)) ?? throw Damaged("a bundle of entries is too long, or no file");
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                return false;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw DiskFault.Of(e);
            }
            var rest = bytes.AsSpan();
            for (var i = 0; i < width; i++)
            {
                if (rest.Length < 2 || rest.Length - 2 < BinaryPrimitives.ReadUInt16BigEndian(rest))
                    throw Damaged("a bundle of entries is cut short");
                var length = BinaryPrimitives.ReadUInt16BigEndian(rest);
                if (bundle * TileSize + i >= Size)
                {
                    var leaf = rest.Slice(2, length).ToArray();
                    Keep(leaf, LogHash.Leaf(leaf));
                }
                rest = rest[(2 + length)..];
            }
            if (!rest.IsEmpty)
                throw Damaged("a bundle of entries is too long");
        }
        return true;
    }

    /// <summary>Takes in one more leaf. Whoever writes to the folder can make each as long as a leaf may be, and the root shows it when all are read: that must not fill memory first.</summary>
    void Keep(byte[] leaf, Hash32 hash)
    {
        _bytes += leaf.Length;
        _leaves.Add(leaf);
        Tree.Add(hash);
        if (_bytes > FirstBytes + MoreBytes * Size)
            throw Damaged("its leaves are longer than those of any vault");
    }

    void WriteEntries(long first)
    {
        for (var bundle = first / TileSize; bundle * TileSize < Size; bundle++)
        {
            var width = (int)Math.Min(Size - bundle * TileSize, TileSize);
            var bytes = new Codec.ByteWriter(width * 104);
            for (var i = 0; i < width; i++)
            {
                var leaf = _leaves[(int)(bundle * TileSize) + i];
                BinaryPrimitives.WriteUInt16BigEndian(bytes.Reserve(2), (ushort)leaf.Length);
                bytes.Raw(leaf);
            }
            Write(FilePath("tile/entries", bundle, width), bytes.Span);
        }
    }

    void WriteTiles(long first)
    {
        var (from, to) = (first, Size);
        for (var level = 0; from < to; level++)
        {
            for (var tile = from / TileSize; tile * TileSize < to; tile++)
            {
                var (path, bytes) = Tile(level, tile, to);
                Write(path, bytes);
            }
            from /= TileSize;
            to /= TileSize;
        }
    }

    /// <summary>A tile of hashes as the leaves give it.</summary>
    /// <param name="level">0 for the hashes of leaves.</param>
    /// <param name="tile">Its number.</param>
    /// <param name="hashes">How many the level has.</param>
    (string Path, byte[] Bytes) Tile(int level, long tile, long hashes)
    {
        var width = (int)Math.Min(hashes - tile * TileSize, TileSize);
        var bytes = new byte[width * Hash32.Size];
        for (var i = 0; i < width; i++)
            Tree.Subtree(level * TileHeight, tile * TileSize + i).CopyTo(bytes.AsSpan(i * Hash32.Size));
        return (FilePath(string.Create(CultureInfo.InvariantCulture, $"tile/{level}"), tile, width), bytes);
    }

    void Write(string path, ReadOnlySpan<byte> bytes)
    {
        var folder = Path.GetDirectoryName(path)!;
        if (!Directory.Exists(folder))
        {
            // Each new folder's own name must be durable too.
            var missing = new Stack<string>();
            for (var at = folder; !Directory.Exists(at); at = Path.GetDirectoryName(at)!)
                missing.Push(at);
            _disk.MakeFolder(folder);
            foreach (var made in missing)
                _disk.SyncFolder(Path.GetDirectoryName(made)!);
        }
        _disk.Replace(path, bytes);
    }

    /// <summary>A partial tile is a beginning of the next one: once a checkpoint covers that, the old one says nothing new. The last few stay: whoever copies the log file by file, the checkpoint first, while it
    /// grows, has a copy of the log as it was then. What reaches beyond the checkpoint is of an append that came to nothing.</summary>
    void DiscardPartials()
    {
        var count = Size;
        for (var level = EntryLevel; count > 0; level++)
        {
            var kept = 0;
            foreach (var (tile, width) in Partials(level, count))
            {
                if (tile * TileSize + width > count || ++kept > KeptPartials)
                    _disk.Discard(FilePath(Kind(level), tile, width));
            }
            if (level > EntryLevel)
                count /= TileSize;
        }
    }

    /// <summary>The partial files of a level that are there, of its last tile and the one before, the widest first.</summary>
    /// <param name="level"><see cref="EntryLevel"/> for the leaves, 0 for the hashes of them.</param>
    /// <param name="count">How many of them the level has.</param>
    IEnumerable<(long Tile, int Width)> Partials(int level, long count) =>
        new[] { count / TileSize, count / TileSize - 1 }.Where(t => t >= 0).SelectMany(t => Widths(Kind(level), t).Where(w => w < TileSize).OrderDescending().Select(w => (t, w)));

    static string Kind(int level) => level == EntryLevel ? "tile/entries" : string.Create(CultureInfo.InvariantCulture, $"tile/{level}");

    /// <summary>tile/L/x001/x234/067 and, where it is not full, .p/W behind it.</summary>
    string FilePath(string kind, long number, int width)
    {
        var path = TilePath(number);
        if (width < TileSize)
            path = string.Create(CultureInfo.InvariantCulture, $"{path}.p/{width}");
        return Path.Combine(_folder, kind, path);
    }

    /// <summary>Path of a whole tile below its level's folder.</summary>
    internal static string TilePath(long number)
    {
        var path = (number % 1000).ToString("d3", CultureInfo.InvariantCulture);
        for (var rest = number / 1000; rest > 0; rest /= 1000)
            path = $"x{(rest % 1000).ToString("d3", CultureInfo.InvariantCulture)}/{path}";
        return path;
    }

    const string CheckpointElsewhere = "Where nothing but the file `log/checkpoint` is damaged, the vault is read with the key folder that was used last (--keys), and what is said then tells whether the file `checkpoint` of that folder may take its place. Otherwise: ";

    /// <summary>What to do about a damaged log.</summary>
    internal const string BringBack = "Do not write to this vault; packs and snapshots are not touched by this. Next: put the damaged folder `log` aside (docs/manual/operate.md says how, where a guard runs), and bring it back from another copy of the vault or from the guard's state folder, the newest there is; then `holdfast log verify` and `holdfast snapshots`. "
        + "An older log costs what came after it: snapshots committed, locks lengthened and keys rotated since are not in it, and what only those snapshots need is given up in time. With one, commands end with LogForked until `holdfast log accept` takes it for good (docs/errors.md); after that, back up at once.";

    static HoldfastException Damaged(string what, string first = "") => new(ErrorCode.LogDamaged, $"The vault's log is damaged: {what}.", first + BringBack);

    static HoldfastException Forked(string what) => new(ErrorCode.LogForked, $"This is not the log that was seen before: {what}.",
        "Treat it as an attack until shown otherwise: someone put an older or another log in its place. Compare with the checkpoints that you, your agents and your witnesses kept (holdfast log verify --since FILE).");
}
