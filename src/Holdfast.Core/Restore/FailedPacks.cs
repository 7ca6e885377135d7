using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
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
    public static ReadFindings Judge(ChunkReader chunks, IStore store, ReadingKeys keys, IReadOnlySet<Hash32> known, CancellationToken ct)
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
                if (!store.Exists(StoreKind.Pack, pack))
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
                return Check(pack, store, keys, limit.Token).Fault;
            }
            catch (OperationCanceledException)
            {
                return DefectKind.Damaged;
            }
        }
    }

    /// <summary>The same of packs whose footers gave no entry for the index. No reading key is needed for that.</summary>
    /// <param name="packs">Their names.</param>
    /// <param name="store">Has them.</param>
    /// <param name="vault">Vault id.</param>
    /// <param name="domain">Opens the footers.</param>
    /// <param name="ct">Where this was asked for, or there is no time left, no more are read: the next command comes to them.</param>
    public static ReadFindings JudgeFooters(IEnumerable<Hash32> packs, IStore store, Id16 vault, DomainKeys domain, CancellationToken ct)
    {
        List<Hash32> damaged = [], wrong = [];
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(MostTime);
        try
        {
            foreach (var pack in packs)
            {
                var (fault, isRead) = Check(pack, store, null, limit.Token);
                if (fault == DefectKind.Damaged)
                    damaged.Add(pack);
                else if (isRead && fault is null && !FooterOpens(pack))
                    wrong.Add(pack); // its bytes give its name: it was written so
            }
        }
        catch (OperationCanceledException)
        {
            // What was found by then counts.
        }
        return new ReadFindings { Damaged = damaged, ContentWrong = wrong };

        bool FooterOpens(Hash32 pack)
        {
            try
            {
                PackReader.OpenFooter(store, pack, vault, domain).Dispose();
                return true;
            }
            catch (HoldfastException e)
            {
                return e.Code != ErrorCode.PackDamaged;
            }
        }
    }

    /// <returns>What is wrong with a pack; and whether it could be read, by this user and now.</returns>
    static (DefectKind? Fault, bool IsRead) Check(Hash32 pack, IStore store, ReadingKeys? keys, CancellationToken ct)
    {
        try
        {
            return (new Verifier(store, keys, new Dictionary<Hash32, Id16>(), new VerifyProgress(), 1, ct).CheckOne(pack).Fault, true);
        }
        catch (HoldfastException)
        {
            return (null, false);
        }
    }
}
