using System.Security.Cryptography;
using Holdfast.Core.Keys;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>The erasure register. The keeper sees ids and hashes; what they stand for it cannot tell.</summary>
public sealed partial class VaultKeeper
{
    /// <summary>Entries that are taken in 30 days, and as many that withdraw others: a log never shrinks. The first withdrawal of each entry is taken whatever came before: nobody keeps a wrong entry in force by filling the register.</summary>
    public int MostErasures { get; internal set; } = 10_000;

    const ulong ErasureSpan = 30 * RetentionPolicy.Day;

    /// <summary>Takes an entry into the register: the words are durable, then the entry, then the leaf that counts.</summary>
    /// <param name="entry">With its tag.</param>
    /// <param name="words">The object that it names; null where it names none.</param>
    /// <exception cref="HoldfastException"><c>CommitRefused</c>: it is none of this vault's; <c>QuotaExceeded</c>; <c>LockTooLong</c>.</exception>
    public void Erase(ErasureEntry entry, byte[]? words)
    {
        if (Remote is not null)
        {
            Asking(new KeeperRequest.EnterErasure(entry.ToArray(), words ?? []));
            if (!_projection.Erasures.Any(e => e.Entry == entry))
                throw new HoldfastException(ErrorCode.LogForked, "The keeper says that it took the entry, and its log does not have it.", "Treat that machine as suspect.");
            return;
        }
        Changing(() =>
        {
            var (now, known) = (Clock.Now, _projection.Erasures);
            if (known.Any(e => e.Entry == entry))
                return -1; // sent twice
            var isWithdrawal = entry.Kind == ErasureKind.Withdrawn;
            var areWords = words is null ? entry.Words.IsNone : entry.Words == new Hash32(SHA256.HashData(words)) && SealedWords.TryParse(words, out var sealedWords) && sealedWords.Vault == Vault && sealedWords.Domain == entry.Domain;
            if (entry.Vault != Vault || !_projection.Genesis!.Domains.Contains(entry.Domain) || !areWords || entry.Epoch != _projection.KeyEpoch || entry.Through > now + RetentionPolicy.Day
                || known.Any(e => e.Entry.Entry == entry.Entry && e.Entry.Source == entry.Source && e.Entry.Kind != ErasureKind.Withdrawn) != isWithdrawal)
                throw new HoldfastException(ErrorCode.CommitRefused, "What was sent for the erasure register is no entry of this vault's. It was not entered.", "Use the newest opening key, and the same release of holdfast on both machines.");
            var isFirst = isWithdrawal && !known.Any(e => e.Entry.Kind == ErasureKind.Withdrawn && e.Entry.Entry == entry.Entry);
            if (!isFirst && known.Count(e => e.Made + ErasureSpan > now && e.Entry.Kind == ErasureKind.Withdrawn == isWithdrawal) >= MostErasures)
                throw new HoldfastException(ErrorCode.QuotaExceeded, $"The erasure register takes {MostErasures} {(isWithdrawal ? "withdrawals" : "entries")} in 30 days. It was not entered.", "Enter a folder in place of each of its files. Where these are not your entries, somebody else's client fills the register: `holdfast erasure list` shows which are not believed.");
            if (entry.WordsUntil > now + _projection.Genesis.LongestLock)
                throw new HoldfastException(ErrorCode.LockTooLong, "The words of an entry stay no longer than this vault's longest lock. It was not entered.", "Keep them for less long (--words-for).");
            if (words is not null)
                Store.PutObject(words);
            return Append(new Leaf(LeafType.Erasure, now, entry.Entry, Id16.None, (ulong)entry.Kind, 0, 0, Store.PutTwice(entry.ToArray())));
        });
    }
}
