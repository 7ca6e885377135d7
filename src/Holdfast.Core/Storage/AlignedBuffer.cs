using System.Runtime.InteropServices;

namespace Holdfast.Core.Storage;

/// <summary>Memory at an address that direct I/O takes. Native: the garbage collector neither moves nor counts it.</summary>
public sealed unsafe class AlignedBuffer : IDisposable
{
    /// <summary>Direct I/O wants addresses, offsets and lengths that are multiples of the device's block size; this covers all in use (open(2), O_DIRECT).</summary>
    public const int Alignment = 4_096;

    byte* _memory;

    /// <param name="size">Bytes, a multiple of <see cref="Alignment"/>.</param>
    public AlignedBuffer(int size)
    {
        Size = size;
        _memory = (byte*)NativeMemory.AlignedAlloc((nuint)size, Alignment);
    }

    public int Size { get; }

    public Span<byte> Span => _memory is null ? throw new ObjectDisposedException(nameof(AlignedBuffer)) : new Span<byte>(_memory, Size);

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
        GC.SuppressFinalize(this);
    }

    ~AlignedBuffer() => NativeMemory.AlignedFree(_memory);
}
