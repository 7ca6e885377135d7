using System.Security.Cryptography;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Crypto;

/// <summary>Splits an opening seed into shares that people keep, and puts it together again (docs/format.md, section 13.3).</summary>
/// <remarks>Fewer shares than the threshold say nothing about the seed, except its 32-bit check: 224 bits remain to be guessed.</remarks>
public static class RecoveryShares
{
    public const int MaxTotal = 255;
    const int MaxTries = 10_000; // choices of shares, where some are wrong; 6 of 14 are 3 003

    /// <summary>A new set: it does not combine with shares of an earlier one, which stay valid.</summary>
    /// <param name="seed">32 bytes.</param>
    /// <param name="vaultId">The vault that the seed opens.</param>
    /// <param name="epoch">Which of its opening seeds this is.</param>
    /// <param name="threshold">How many shares give the seed back; with 1, each share is the seed.</param>
    /// <param name="total">How many shares there are, up to 255.</param>
    /// <returns>Shares 1 to <paramref name="total"/>; the caller disposes of them.</returns>
    public static IReadOnlyList<RecoveryShare> Split(ReadOnlySpan<byte> seed, Id16 vaultId, uint epoch, int threshold, int total)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(seed.Length, OpeningKeyFile.SeedSize);
        ArgumentOutOfRangeException.ThrowIfLessThan(threshold, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(total, MaxTotal);
        ArgumentOutOfRangeException.ThrowIfLessThan(total, threshold);

        var payloads = new SecretBytes[total];
        for (var i = 0; i < total; i++)
            payloads[i] = new SecretBytes(RecoveryShare.PayloadSize);
        Shamir.Split(seed, threshold, payloads);

        var setId = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(RecoveryShare.SetIdSize));
        var check = SeedCheck(seed, vaultId, epoch);
        var shares = new RecoveryShare[total];
        for (var i = 0; i < total; i++)
        {
            shares[i] = RecoveryShare.Create(vaultId, epoch, setId, threshold, i + 1, total, check, payloads[i].Span);
            payloads[i].Dispose();
        }
        return shares;
    }

    /// <inheritdoc cref="Combine(IReadOnlyList{RecoveryShare}, out IReadOnlyList{RecoveryShare})"/>
    public static SecretBytes Combine(IReadOnlyList<RecoveryShare> shares) => Combine(shares, out _);

    /// <summary>The seed from any <c>threshold</c> shares of one set. With more than that it also works where some are wrong.</summary>
    /// <param name="shares">In any order; the same share may come twice.</param>
    /// <param name="unfit">Shares that were given but do not belong to the seed found: of another set, or altered.</param>
    /// <exception cref="HoldfastException"><see cref="ErrorCode.SharesTooFew"/>; <see cref="ErrorCode.ShareBad"/> where there are
    /// enough, but no choice of them gives the seed.</exception>
    public static SecretBytes Combine(IReadOnlyList<RecoveryShare> shares, out IReadOnlyList<RecoveryShare> unfit)
    {
        if (shares.Count == 0)
            throw new HoldfastException(ErrorCode.SharesTooFew, "No share was given.", "Ask the holders of the printed shares for theirs.");

        var set = shares.GroupBy(s => shares.First(s.IsSameSet)).MaxBy(g => g.Count())!.ToList();
        var foreign = shares.Where(s => !s.IsSameSet(set[0])).ToList();
        var distinct = set.DistinctBy(s => (s.Index, Convert.ToHexString(s.Payload.Span))).OrderBy(s => s.Index).ToList();
        var threshold = set[0].Threshold;
        var indexes = distinct.Select(s => s.Index).Distinct().ToArray();
        if (indexes.Length < threshold)
            throw foreign.Count > 0 ? Foreign(foreign, set[0]) : TooFew(set[0], indexes);

        var tries = 0;
        var seed = new SecretBytes(OpeningKeyFile.SeedSize);
        foreach (var choice in Choices(distinct, threshold))
        {
            if (tries++ == MaxTries)
                break;
            var xs = choice.Select(s => (byte)s.Index).ToArray();
            var ys = choice.Select(s => s.Payload).ToArray();
            Shamir.Interpolate(xs, ys, 0, seed.Span);
            if (!SeedCheck(seed.Span, set[0].VaultId, set[0].Epoch).AsSpan().SequenceEqual(set[0].SeedCheck))
                continue;
            unfit = [.. foreign, .. distinct.Where(s => !LiesOn(xs, ys, s))];
            return seed;
        }
        seed.Dispose();
        throw new HoldfastException(ErrorCode.ShareBad,
            $"Shares {Join(indexes)} do not give the seed of this vault: at least one of them was altered after it was made.",
            $"Any {threshold} good shares of the set are enough: ask for another one, or compare the check words of each with its print.");
    }

    static bool LiesOn(byte[] xs, SecretBytes[] ys, RecoveryShare share)
    {
        using var value = new SecretBytes(RecoveryShare.PayloadSize);
        Shamir.Interpolate(xs, ys, (byte)share.Index, value.Span);
        return value.FixedTimeEquals(share.Payload.Span);
    }

    // Every choice of so many shares with distinct indexes, in order.
    static IEnumerable<RecoveryShare[]> Choices(List<RecoveryShare> shares, int count)
    {
        var chosen = new Stack<int>();
        for (var next = 0; ;)
        {
            if (chosen.Count == count)
                yield return [.. chosen.Reverse().Select(i => shares[i])];
            if (chosen.Count < count && next < shares.Count)
            {
                if (chosen.Count == 0 || shares[chosen.Peek()].Index != shares[next].Index)
                    chosen.Push(next);
                next++;
            }
            else if (chosen.TryPop(out var last))
                next = last + 1;
            else
                yield break;
        }
    }

    static byte[] SeedCheck(ReadOnlySpan<byte> seed, Id16 vaultId, uint epoch)
    {
        var context = new ByteWriter(Id16.Size + sizeof(uint));
        context.Id(vaultId);
        context.U32(epoch);
        var check = new byte[RecoveryShare.SeedCheckSize];
        Kdf.Derive(seed, Labels.SeedCheck, context.Span, check);
        return check;
    }

    static HoldfastException TooFew(RecoveryShare any, int[] have)
    {
        var missing = any.Threshold - have.Length;
        return new HoldfastException(ErrorCode.SharesTooFew,
            $"{any.Threshold} different shares are needed, and {have.Length} {(have.Length == 1 ? "is" : "are")} here: number {Join(have)}.",
            $"Ask the holders for {missing} more of shares {Join(Enumerable.Range(1, any.Total).Except(have))}.");
    }

    static HoldfastException Foreign(List<RecoveryShare> foreign, RecoveryShare set) => new(ErrorCode.ShareBad,
        $"These shares are not of one set: {string.Join("; ", foreign)}; the others are of set {set.SetId:x16}, vault {set.VaultId}, " +
        $"epoch {set.Epoch}.",
        "Combine shares that were printed together: their sheets show the same vault, epoch and set.");

    static string Join(IEnumerable<int> numbers) => string.Join(", ", numbers);
}
