using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>What is to be noted of packs that did not give what was asked of them. Each is read whole first, in all its copies: a disk may have given something wrong for a moment, and what
/// was written wrong is another thing than what was damaged since.</summary>
static class FailedPacks
{
    static readonly TimeSpan MostTime = TimeSpan.FromMinutes(2); // a person waits for it; where half of a disk is gone, hours would not do

    /// <param name="chunks">Came to them.</param>
    /// <param name="store">Has them.</param>
    /// <param name="keys">Open them.</param>
    /// <param name="known">Packs that were judged before: left out.</param>
    /// <param name="ct">Where this was asked for, or there is no time left, no more are read, and what was damaged when it was asked is damaged.</param>
    public static ReadFindings Judge(ChunkReader chunks, FolderStore store, ReadingKeys keys, IReadOnlySet<Hash32> known, CancellationToken ct)
    {
        List<Hash32> damaged = [], wrong = [], missing = [];
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(MostTime);
        foreach (var (pack, isDamaged) in chunks.Failed.Where(f => !known.Contains(f.Key)))
        {
            var isGone = chunks.Silent.TryGetValue(pack, out var silent) && silent.Code == ErrorCode.PackMissing;
            if (!isDamaged && !isGone)
                continue; // it did not answer, or another key, user or program would open it
            if (!isDamaged)
            {
                if (store.Find(StoreKind.Pack, pack, 0) is null)
                    missing.Add(pack);
                continue;
            }
            switch (Read(pack))
            {
                case DefectKind.Damaged:
                    damaged.Add(pack);
                    break;
                case DefectKind.ContentWrong or DefectKind.Foreign: // it was written so
                    wrong.Add(pack);
                    break;
                case DefectKind.Missing:
                    missing.Add(pack);
                    break;
            }
        }
        return new ReadFindings { Damaged = damaged, ContentWrong = wrong, Missing = missing };

        DefectKind? Read(Hash32 pack)
        {
            try
            {
                return new Verifier(store, keys, new Dictionary<Hash32, Id16>(), new VerifyProgress(), 1, limit.Token).CheckOne(pack).Fault;
            }
            catch (OperationCanceledException)
            {
                return DefectKind.Damaged;
            }
            catch (HoldfastException)
            {
                return null; // it does not answer now, or not to this user
            }
        }
    }
}
