using Holdfast.Core.Chunking;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Backup;

/// <summary>Where the chunks of a run go: into packs of a vault that is here, or to a gateway that does that.</summary>
interface IChunkSink
{
    /// <summary>Says where large files are cut.</summary>
    Cutter Cutter { get; }

    /// <summary>For one more thread; whoever asked for it disposes of it.</summary>
    ChunkWorker Worker(KeyClass keyClass, int level);

    /// <summary>True where all that the last run found of a file is stored still, and then it is used. For one thread.</summary>
    bool IsStored(EntryBatch rows, int row);

    /// <summary>What the run used and stored. When all workers have finished.</summary>
    StoredChunks Complete();
}

/// <summary>What a run used and stored.</summary>
/// <param name="Packs">All that its snapshot needs; none where who receives the chunks knows that.</param>
/// <param name="Written">Those among them that the run wrote.</param>
/// <param name="References">Chunks among them that lie in packs neither of the parent nor of the run.</param>
/// <param name="NewBytes">Bytes stored, or sent.</param>
sealed record StoredChunks(PackSet Packs, IReadOnlyList<WrittenPack> Written, IReadOnlyList<Hash32> References, ulong NewBytes);

/// <summary>What one thread needs to turn bytes into stored chunks of one class.</summary>
abstract class ChunkWorker : IDisposable
{
    public RunStatistics Statistics { get; } = new();

    /// <summary>Bytes this thread has read.</summary>
    public long BytesRead { get; set; }

    /// <summary>Names a chunk, and stores it where it is not known yet; by the next <see cref="Flush"/> at the latest.</summary>
    /// <param name="chunk">1 byte to 4 MiB.</param>
    /// <param name="kind">Of the file it is from.</param>
    /// <param name="id">What the state of the run remembers of it: nothing else has that number.</param>
    /// <param name="named">Of the digest.</param>
    /// <returns>Its digest.</returns>
    public abstract Hash32 Store(ReadOnlySpan<byte> chunk, ContentKind kind, out UInt128 id, DigestKind named = DigestKind.Whole);

    /// <summary>The same for bytes that stay as they are until the next <see cref="Flush"/>: they need not be copied.</summary>
    public virtual Hash32 StoreHeld(Memory<byte> chunk, ContentKind kind, out UInt128 id, DigestKind named) => Store(chunk.Span, kind, out id, named);

    /// <summary>Names chunks of kind whole that lie one after the other, many at once, and stores those that are not known yet.</summary>
    /// <param name="joined">Their bytes, each under <see cref="PackWriter.SharedLimit"/>; moved together where some are known, so that what is there afterwards means nothing.</param>
    /// <param name="lengths">Of each, bytes, 1 or more.</param>
    /// <param name="kinds">What kind of file each is from.</param>
    /// <param name="digests">Filled.</param>
    /// <param name="ids">Filled.</param>
    public abstract void StoreAll(Memory<byte> joined, ReadOnlySpan<int> lengths, ReadOnlySpan<ContentKind> kinds, Span<Hash32> digests, Span<UInt128> ids);

    /// <summary>Called before a row is done with: what names the chunks that were stored so far may be stored now.</summary>
    public virtual void Flush()
    {
    }

    /// <summary>Nothing more comes.</summary>
    public abstract void Finish();

    public abstract void Dispose();
}
