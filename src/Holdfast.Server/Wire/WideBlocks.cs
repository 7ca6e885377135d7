using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace Holdfast.Server.Wire;

/// <summary>Memory that connections read into, in blocks of 64 KiB: with the server's own of 4 KiB a pack takes sixteen thousand readings of the socket, each on its way through TLS and the pipes.</summary>
sealed class WideBlocks : MemoryPool<byte>, IMemoryPoolFactory<byte>
{
    const int Size = 1 << 16; // bytes
    const int MostKept = 128; // blocks nobody uses now

    readonly ConcurrentQueue<byte[]> _free = new();

    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new WideBlocks();

    public override int MaxBufferSize => Size;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, Size);
        return new Block(this, _free.TryDequeue(out var block) ? block : GC.AllocateUninitializedArray<byte>(Size, pinned: true));
    }

    protected override void Dispose(bool disposing) => _free.Clear();

    sealed class Block(WideBlocks pool, byte[] block) : IMemoryOwner<byte>
    {
        byte[]? _block = block;

        public Memory<byte> Memory => _block;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _block, null) is { } free && pool._free.Count < MostKept)
                pool._free.Enqueue(free);
        }
    }
}
