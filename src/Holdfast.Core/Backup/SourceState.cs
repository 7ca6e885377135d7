using System.Buffers.Binary;
using System.Security.Cryptography;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Backup;

/// <summary>What this machine remembers of its last run of a source, so that unchanged files are not read: rows in tree order with change times, inodes and
/// chunk ids. A file outside the vault; without it, or where it is not of the newest snapshot, everything is read and nothing is stored twice.</summary>
/// <remarks>Layout: "HFSTATE3", then blocks of u32 length and bytes, block 0 the head, a zero length, then HMAC-SHA-256 over all before it under a key of the
/// domain. What a file of very many chunks lists comes after the block with its row, in blocks of their own, whose length has its highest bit set. A cache of this machine alone:
/// its layout may change with any release.</remarks>
static class SourceState
{
    public const int MaxRuns = 30;
    public const int MaxBlock = 64 << 20; // bytes
    public const int MaxRoot = 64 << 10; // bytes
    const int EndBlock = 8 << 20; // bytes, about: a block ends with the row that leads past them. A row has 10 MiB at most
    const int PieceItems = 1 << 16; // chunks of a block of their own; and so many stand in a row's own block
    const int PieceItem = 16 + 1 + Hash32.Size; // bytes of each, at least
    const uint IsPiece = 1u << 31;
    static ReadOnlySpan<byte> Magic => "HFSTATE3"u8;
    static ReadOnlySpan<byte> Label => "holdfast/local/source-state"u8;

    /// <summary>What a state is authenticated with; the caller disposes of it.</summary>
    public static SecretBytes KeyOf(DomainKeys domain) => domain.LocalKey(Label);

    /// <summary>The same of a machine that has no key of the domain.</summary>
    public static SecretBytes KeyOf(AgentKey agent) => agent.LocalKey(Label);

    /// <param name="Parent">Name of the snapshot object the rows are of.</param>
    /// <param name="Run">Number of the run, from 0.</param>
    /// <param name="Times">Vault times of the last runs, newest last, at most 30.</param>
    /// <param name="Root">What the run was of, as its caller named it.</param>
    /// <param name="Began">When the run began by this machine's clock, in milliseconds since 1970: what changed from then on may have changed once more without looking so.</param>
    public sealed record Head(Hash32 Parent, uint Run, ulong[] Times, byte[] Root, long Began);

    /// <remarks>A state that cannot be written costs the next run its reading, never this one its snapshot: the first fault of the medium ends the writing, and
    /// <see cref="Complete"/> says so.</remarks>
    public sealed class Writer : IDisposable
    {
        readonly string _path;
        readonly string _apart; // a name of this run's own: another one of the same source may be under way
        readonly IncrementalHash _mac;
        readonly ByteWriter _bytes = new(256 << 10);
        EntryBatch? _part; // rows of a batch that does not fit a block
        FileStream? _file; // null once the medium has failed

        /// <summary>As the head has it.</summary>
        public long Began { get; } = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();

        /// <summary>Begins a new state apart; <see cref="Complete"/> gives it its name.</summary>
        public Writer(string path, SecretBytes key)
        {
            _path = path;
            _apart = $"{path}.{Id16.New()}.new";
            _mac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key.Span);
            try
            {
                Leftovers.Sweep(Disk.Real, Path.GetDirectoryName(path)!, $"{Path.GetFileName(path)}.*.new");
                _file = Begin(_apart);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return;
            }
            Write(Magic);
        }

        static FileStream Begin(string apart)
        {
            var folder = Path.GetDirectoryName(apart)!;
            FolderOwner.MakeFolder(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, BufferSize = 1 << 16 };
            if (!OperatingSystem.IsWindows())
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            var file = FolderOwner.Act(apart, () => new FileStream(apart, options));
            Leftovers.Hold(file.SafeFileHandle);
            return file;
        }

        /// <summary>Adds rows in blocks that a reader takes: files of many chunks, and long attributes, take megabytes each.</summary>
        public void Add(EntryBatch rows)
        {
            var (first, bytes) = (0, 0L);
            for (var row = 0; row < rows.Count && _file is not null; row++)
            {
                bytes += Cost(rows, row);
                if (bytes < EndBlock && row < rows.Count - 1)
                    continue;
                AddBlock(first == 0 && row == rows.Count - 1 ? rows : Part(rows, first, row));
                (first, bytes) = (row + 1, 0);
            }
        }

        static long Cost(EntryBatch rows, int row) => 128 + rows.Path(row).Length + (rows.Xattrs[row]?.Length ?? 0) + (rows.LinkTarget[row]?.Length ?? 0) + 20L * (rows.Extents[row]?.Length ?? 0)
            + 36L * (rows.ChunkLists[row]?.Length ?? 0) + (IsLong(rows, row) ? 0 : 53L * (rows.Chunks[row]?.Length ?? 0));

        static bool IsLong(EntryBatch rows, int row) => rows.ChunkLists[row] is not null && rows.Chunks[row]!.Length > PieceItems;

        EntryBatch Part(EntryBatch rows, int first, int last)
        {
            _part ??= new EntryBatch();
            _part.Clear();
            for (var row = first; row <= last; row++)
                _part.AddCopy(rows, row);
            return _part;
        }

        void AddBlock(EntryBatch rows)
        {
            _bytes.Clear();
            _bytes.U32(0);
            TreeNode.Write(rows, _bytes);
            var split = _bytes.Length;
            for (var i = 0; i < rows.Count; i++)
            {
                _bytes.I64(rows.CtimeSeconds[i]);
                _bytes.U32(rows.CtimeNanoseconds[i]);
                _bytes.U64(rows.Device[i]);
                _bytes.U64(rows.Inode[i]);
                _bytes.U8((byte)rows.ContentKind[i]);
                if (IsLong(rows, i))
                {
                    _bytes.Var(0);
                }
                else if (rows.ChunkIds[i] is { } ids)
                {
                    _bytes.Var((ulong)ids.Length);
                    foreach (var id in ids)
                        BinaryPrimitives.WriteUInt128LittleEndian(_bytes.Reserve(16), id);
                }
                else if (rows.ChunkId[i] != 0)
                {
                    _bytes.Var(1);
                    BinaryPrimitives.WriteUInt128LittleEndian(_bytes.Reserve(16), rows.ChunkId[i]);
                }
                else
                {
                    _bytes.Var(0);
                }
                if (rows.ChunkLists[i] is not null && !IsLong(rows, i)) // the node names the lists alone
                {
                    foreach (var chunk in rows.Chunks[i]!)
                    {
                        _bytes.Var((ulong)chunk.Length);
                        _bytes.Hash(chunk.Digest);
                    }
                }
            }
            _bytes.U32((uint)(split - 4));
            WriteBlock();
            for (var i = 0; i < rows.Count; i++)
            {
                if (IsLong(rows, i))
                    AddPieces(rows.Chunks[i]!, rows.ChunkIds[i]!);
            }
        }

        void AddPieces(ChunkRef[] chunks, UInt128[] ids)
        {
            for (var first = 0; first < chunks.Length; first += PieceItems)
            {
                _bytes.Clear();
                _bytes.U32(0);
                for (var i = first; i < Math.Min(first + PieceItems, chunks.Length); i++)
                {
                    BinaryPrimitives.WriteUInt128LittleEndian(_bytes.Reserve(16), ids[i]);
                    _bytes.Var((ulong)chunks[i].Length);
                    _bytes.Hash(chunks[i].Digest);
                }
                WriteBlock(IsPiece);
            }
        }

        /// <summary>Ends the file with its head and gives it its name.</summary>
        /// <returns>False where the medium has failed: then the next run reads everything.</returns>
        public bool Complete(Head head)
        {
            _bytes.Clear();
            _bytes.U32(0);
            _bytes.Hash(head.Parent);
            _bytes.U32(head.Run);
            _bytes.Var((ulong)head.Times.Length);
            foreach (var time in head.Times)
                _bytes.U64(time);
            _bytes.Bytes(head.Root);
            _bytes.I64(head.Began);
            _bytes.U32(uint.MaxValue);
            WriteBlock();
            Span<byte> end = stackalloc byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(end, _bytes.Length - 4); // the head is found from the end
            Write(end);
            try
            {
                _file?.Write(_mac.GetHashAndReset());
                _file?.Dispose();
                if (_file is null || !Disk.Real.Rename(_apart, _path, replace: true))
                    return false;
                _file = null;
                return true;
            }
            catch (Exception e) when (DiskFault.IsOfFile(e) || e is HoldfastException)
            {
                return false;
            }
        }

        void WriteBlock(uint mark = 0)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_bytes.MutableSpan, (uint)(_bytes.Length - 4) | mark);
            Write(_bytes.Span);
        }

        void Write(ReadOnlySpan<byte> bytes)
        {
            _mac.AppendData(bytes);
            try
            {
                _file?.Write(bytes);
            }
            catch (Exception e) when (DiskFault.IsOfFile(e))
            {
                Forget();
            }
        }

        void Forget()
        {
            try
            {
                _file?.Dispose();
            }
            catch (Exception e) when (DiskFault.IsOfFile(e))
            {
                // What it still held in memory did not fit either.
            }
            if (_file is not null)
                Disk.Real.Discard(_apart);
            _file = null;
        }

        public void Dispose()
        {
            Forget();
            _mac.Dispose();
        }
    }

    public sealed class Reader : IDisposable
    {
        readonly FileStream _file;
        readonly long _end;
        byte[] _block = [];

        Reader(FileStream file, Head head, long end)
        {
            _file = file;
            _end = end;
            Head = head;
        }

        public Head Head { get; }

        /// <summary>Opens a state; null where there is none, or it is damaged, or another domain's.</summary>
        public static Reader? TryOpen(string path, SecretBytes key, CancellationToken ct)
        {
            if (!File.Exists(path))
                return null;
            FileStream? file = null;
            try
            {
                if (PlainFile.Open(path) is not { } plain)
                    return null; // a pipe, or a link
                file = new FileStream(plain, FileAccess.Read, 1 << 16);
                if (ReadHead(file) is var (head, end) && head is not null && IsWhole(file, key, ct))
                {
                    file.Position = Magic.Length;
                    return new Reader(file, head, end);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Then everything is read.
            }
            catch
            {
                file?.Dispose();
                throw;
            }
            file?.Dispose();
            return null;
        }

        static bool IsWhole(FileStream file, SecretBytes key, CancellationToken ct)
        {
            file.Position = 0;
            if (file.Length < Magic.Length + 4 + Hash32.Size)
                return false;
            using var mac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key.Span);
            var buffer = new byte[1 << 16];
            var left = file.Length - Hash32.Size;
            while (left > 0)
            {
                ct.ThrowIfCancellationRequested();
                var read = file.Read(buffer, 0, (int)Math.Min(left, buffer.Length));
                if (read == 0)
                    return false;
                mac.AppendData(buffer, 0, read);
                left -= read;
            }
            Span<byte> end = stackalloc byte[Hash32.Size];
            file.ReadExactly(end);
            return CryptographicOperations.FixedTimeEquals(end, mac.GetHashAndReset());
        }

        static (Head?, long) ReadHead(FileStream file)
        {
            if (file.Length < Magic.Length + 4 + Hash32.Size)
                return (null, 0);
            Span<byte> four = stackalloc byte[4];
            file.Position = file.Length - Hash32.Size - 4;
            file.ReadExactly(four);
            var length = BinaryPrimitives.ReadInt32LittleEndian(four);
            var start = file.Length - Hash32.Size - 4 - length;
            if (length is < 40 or > 4096 + MaxRoot || start < Magic.Length + 4)
                return (null, 0);
            file.Position = start;
            var bytes = new byte[length];
            file.ReadExactly(bytes);
            var reader = new ByteReader(bytes);
            var parent = reader.Hash();
            var run = reader.U32();
            var times = new ulong[reader.Count(MaxRuns)];
            for (var i = 0; i < times.Length; i++)
                times[i] = reader.U64();
            var root = reader.Bytes(MaxRoot).ToArray();
            var began = reader.I64();
            reader.Require(reader.U32() == uint.MaxValue);
            Span<byte> magic = stackalloc byte[8];
            file.Position = 0;
            file.ReadExactly(magic);
            return (reader.IsDone && magic.SequenceEqual(Magic) ? new Head(parent, run, times, root, began) : null, start - 4);
        }

        /// <summary>The next block, until the one after it is read; empty where there is none with this mark.</summary>
        ReadOnlySpan<byte> ReadBlock(uint mark)
        {
            if (_file.Position >= _end)
                return default;
            Span<byte> four = stackalloc byte[4];
            _file.ReadExactly(four);
            var length = BinaryPrimitives.ReadUInt32LittleEndian(four) ^ mark;
            if (length is < 8 or > MaxBlock)
                return default;
            if (_block.Length < length)
                _block = new byte[length + length / 4];
            var block = _block.AsSpan(0, (int)length);
            _file.ReadExactly(block);
            return block;
        }

        /// <summary>Fills a batch with the next rows; false at the end.</summary>
        public bool Next(EntryBatch rows)
        {
            rows.Clear();
            if (_file.Position >= _end)
                return false;
            var block = ReadBlock(mark: 0);
            if (block.IsEmpty)
                return false;
            var split = BinaryPrimitives.ReadInt32LittleEndian(block[^4..]);
            if (split < 0 || split > block.Length - 4 || !TreeNode.TryRead(block[..split], rows))
                return false;
            var reader = new ByteReader(block[split..^4]);
            for (var i = 0; i < rows.Count; i++)
            {
                rows.CtimeSeconds[i] = reader.I64();
                rows.CtimeNanoseconds[i] = reader.U32();
                rows.Device[i] = reader.U64();
                rows.Inode[i] = reader.U64();
                rows.ContentKind[i] = (ContentKind)Math.Min(reader.U8(), (byte)(ContentKinds.Kinds - 1));
                var count = reader.Count(reader.Remaining / 16);
                if (count == 1 && rows.Chunks[i] is null)
                {
                    rows.ChunkId[i] = BinaryPrimitives.ReadUInt128LittleEndian(reader.Raw(16));
                }
                else if (count > 0)
                {
                    var ids = new UInt128[count];
                    for (var c = 0; c < count; c++)
                        ids[c] = BinaryPrimitives.ReadUInt128LittleEndian(reader.Raw(16));
                    rows.ChunkIds[i] = ids;
                }
                if (rows.ChunkLists[i] is not null && count > 0)
                {
                    var chunks = new ChunkRef[count];
                    for (var c = 0; c < count && !reader.Failed; c++)
                    {
                        var size = reader.Count(Packs.PackFormat.MaxChunk);
                        chunks[c] = new ChunkRef(reader.Hash(), size, rows.ListedKind[i]);
                    }
                    rows.Chunks[i] = chunks;
                }
            }
            if (!reader.IsDone)
                return false;
            for (var i = 0; i < rows.Count; i++)
            {
                if (rows.ChunkLists[i] is not null && rows.Chunks[i] is null && !ReadPieces(rows, i))
                    return false;
            }
            return true;
        }

        bool ReadPieces(EntryBatch rows, int row)
        {
            var count = rows.ListedChunks[row];
            if (PieceItem * (long)count > _end - _file.Position)
                return false;
            var (chunks, ids) = (new ChunkRef[count], new UInt128[count]);
            for (var i = 0; i < count;)
            {
                var reader = new ByteReader(ReadBlock(IsPiece));
                do
                {
                    var id = reader.Raw(16);
                    var size = reader.Count(Packs.PackFormat.MaxChunk);
                    chunks[i] = new ChunkRef(reader.Hash(), size, rows.ListedKind[row]);
                    if (reader.Failed)
                        return false;
                    ids[i++] = BinaryPrimitives.ReadUInt128LittleEndian(id);
                }
                while (reader.Remaining > 0 && i < count);
                if (!reader.IsDone)
                    return false;
            }
            (rows.Chunks[row], rows.ChunkIds[row]) = (chunks, ids);
            return true;
        }

        public void Dispose() => _file.Dispose();
    }
}
