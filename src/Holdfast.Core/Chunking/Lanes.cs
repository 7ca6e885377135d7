using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Holdfast.Core.Chunking;

/// <summary>SHA-256 of sixteen messages at once (lanes.c), where the program was built with it and the processor has AVX-512. Safe for concurrent use.</summary>
static unsafe class Lanes
{
    public const int Count = 16;

    /// <summary>What one step of all lanes takes, in steps of a message that is hashed alone: with fewer lanes in use than this, hashing one by one is faster. Measured: 6.6 to 6.9.</summary>
    public const int StepCost = 7;
    internal const string File = "libholdfast-lanes.so";

    static readonly delegate* unmanaged<byte*, int*, int*, int, byte*, void> Hasher = Load(AppContext.BaseDirectory);

    /// <summary>False where messages are hashed one after the other.</summary>
    public static bool AreUsable => Hasher is not null;

    /// <summary>Hashes messages; a lane that is done takes the next one, so the longest are best given first.</summary>
    /// <param name="memory">Where they lie.</param>
    /// <param name="offsets">Of each, in <paramref name="memory"/>, bytes.</param>
    /// <param name="lengths">Of each, bytes, 0 or more.</param>
    /// <param name="digests">Filled with the SHA-256 of each, one after the other.</param>
    /// <exception cref="ArgumentOutOfRangeException">One lies outside the memory, or the digests have no room.</exception>
    public static void Hash(ReadOnlySpan<byte> memory, ReadOnlySpan<int> offsets, ReadOnlySpan<int> lengths, Span<byte> digests)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(lengths.Length, offsets.Length);
        ArgumentOutOfRangeException.ThrowIfLessThan(digests.Length, offsets.Length * Hash32.Size);
        for (var i = 0; i < offsets.Length; i++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)offsets[i], (uint)memory.Length);
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)lengths[i], (uint)(memory.Length - offsets[i]));
        }
        fixed (byte* from = memory, to = digests)
        fixed (int* at = offsets, bytes = lengths)
            Hasher(from, at, bytes, offsets.Length, to);
    }

    /// <summary>The function of the library in a folder; null where it is not there, not for this processor, or wrong.</summary>
    /// <param name="folder">Beside the program and nowhere else, as its other libraries: the system would look for a bare name in other places.</param>
    internal static delegate* unmanaged<byte*, int*, int*, int, byte*, void> Load(string folder)
    {
        if (!Path.IsPathRooted(folder) || !NativeLibrary.TryLoad(Path.Combine(folder, File), out var library)
            || !NativeLibrary.TryGetExport(library, "holdfast_lanes_usable", out var usable) || !NativeLibrary.TryGetExport(library, "holdfast_lanes", out var export)
            || ((delegate* unmanaged<int>)usable)() == 0)
            return null;
        var hash = (delegate* unmanaged<byte*, int*, int*, int, byte*, void>)export;
        return IsRight(hash) ? hash : null;
    }

    /// <summary>Each lane against the system's SHA-256, once a run, with messages that end everywhere in a block and lanes that take a second one: a processor, or a build,
    /// that gets it wrong must name no chunk.</summary>
    static bool IsRight(delegate* unmanaged<byte*, int*, int*, int, byte*, void> hash)
    {
        const int messages = Count + 128;
        var (offsets, lengths) = (new int[messages], new int[messages]);
        for (var i = 0; i < messages; i++)
        {
            lengths[i] = i < Count ? 1_024 + i : i - Count;
            offsets[i] = i == 0 ? 0 : offsets[i - 1] + lengths[i - 1];
        }
        var memory = new byte[offsets[^1] + lengths[^1]];
        for (var i = 0; i < memory.Length; i++)
            memory[i] = (byte)((uint)i * 2_654_435_761 >> 24);
        var digests = new byte[messages * Hash32.Size];
        fixed (byte* from = memory, to = digests)
        fixed (int* at = offsets, bytes = lengths)
            hash(from, at, bytes, messages, to);
        Span<byte> expected = stackalloc byte[Hash32.Size];
        for (var i = 0; i < messages; i++)
        {
            SHA256.HashData(memory.AsSpan(offsets[i], lengths[i]), expected);
            if (!expected.SequenceEqual(digests.AsSpan(i * Hash32.Size, Hash32.Size)))
                return false;
        }
        return true;
    }
}
