using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Holdfast.Core;

/// <summary>Hash codes of names that an attacker may choose: names in pack sets and expiry lists need no hash that they are of, and 100,000 of them with one hash code would make every table of them quadratic.
/// <see cref="HashCode"/> does not help: it takes a word of 64 bits as its halves XORed, before any seed.</summary>
/// <remarks>Multilinear hashing with halved multiplications, modulo 2^64, the upper half of it (Lemire and Kaser, "Strongly universal string hashing is fast", 2014): whatever two names differ in, for one in 2^32
/// of the seeds they have one hash code. What that leaves of an order among names that differ little, the last steps take away (those of MurmurHash3). A seed for each process.</remarks>
static class SeededHash
{
    static readonly ulong[] Seed = MakeSeed();

    static ulong[] MakeSeed()
    {
        var seed = new ulong[9];
        RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(seed.AsSpan()));
        return seed;
    }

    public static int Of(ulong a, ulong b)
    {
        var seed = Seed;
        return Finish(seed[8] + Mix(a, seed[0], seed[1]) + Mix(b, seed[2], seed[3]));
    }

    public static int Of(ulong a, ulong b, ulong c, ulong d)
    {
        var seed = Seed;
        return Finish(seed[8] + Mix(a, seed[0], seed[1]) + Mix(b, seed[2], seed[3]) + Mix(c, seed[4], seed[5]) + Mix(d, seed[6], seed[7]));
    }

    static ulong Mix(ulong word, ulong high, ulong low) => (high + (word >> 32)) * (low + (uint)word);

    static int Finish(ulong sum)
    {
        var hash = (uint)(sum >> 32);
        hash = (hash ^ hash >> 16) * 0x85EBCA6B;
        hash = (hash ^ hash >> 13) * 0xC2B2AE35;
        return (int)(hash ^ hash >> 16);
    }
}
