using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Holdfast.Core.Chunking;

/// <summary>SHA-256 of sixteen blocks at once (lanes.c), where the program was built with it and the processor has AVX-512. Safe for concurrent use.</summary>
static unsafe class Lanes
{
    public const int Count = 16;
    const int Bytes = Count * BlockDigest.BlockSize;
    internal const string File = "libholdfast-lanes.so";

    static readonly delegate* unmanaged<byte*, byte*, void> Hasher = Load(AppContext.BaseDirectory);

    /// <summary>False where blocks are hashed one after the other.</summary>
    public static bool AreUsable => Hasher is not null;

    /// <param name="blocks">Sixteen blocks of <see cref="BlockDigest.BlockSize"/> bytes, one after the other.</param>
    /// <param name="digests">Filled with the SHA-256 of each.</param>
    public static void Hash(ReadOnlySpan<byte> blocks, Span<byte> digests)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(blocks.Length, Bytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(digests.Length, Count * Hash32.Size);
        fixed (byte* from = blocks, to = digests)
            Hasher(from, to);
    }

    /// <summary>The function of the library in a folder; null where it is not there, not for this processor, or wrong.</summary>
    /// <param name="folder">Beside the program and nowhere else, as its other libraries: the system would look for a bare name in other places.</param>
    internal static delegate* unmanaged<byte*, byte*, void> Load(string folder)
    {
        if (!Path.IsPathRooted(folder) || !NativeLibrary.TryLoad(Path.Combine(folder, File), out var library)
            || !NativeLibrary.TryGetExport(library, "holdfast_lanes_usable", out var usable) || !NativeLibrary.TryGetExport(library, "holdfast_lanes", out var export)
            || ((delegate* unmanaged<int>)usable)() == 0)
            return null;
        var hash = (delegate* unmanaged<byte*, byte*, void>)export;
        return IsRight(hash) ? hash : null;
    }

    /// <summary>Each lane against the system's SHA-256, once a run: a processor, or a build, that gets it wrong must name no chunk.</summary>
    static bool IsRight(delegate* unmanaged<byte*, byte*, void> hash)
    {
        var blocks = new byte[Bytes];
        for (var i = 0; i < blocks.Length; i++)
            blocks[i] = (byte)((uint)i * 2_654_435_761 >> 24);
        var digests = new byte[Count * Hash32.Size];
        fixed (byte* from = blocks, to = digests)
            hash(from, to);
        Span<byte> expected = stackalloc byte[Hash32.Size];
        for (var lane = 0; lane < Count; lane++)
        {
            SHA256.HashData(blocks.AsSpan(lane * BlockDigest.BlockSize, BlockDigest.BlockSize), expected);
            if (!expected.SequenceEqual(digests.AsSpan(lane * Hash32.Size, Hash32.Size)))
                return false;
        }
        return true;
    }
}
