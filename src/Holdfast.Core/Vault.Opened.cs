using System.Diagnostics;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;

namespace Holdfast.Core;

/// <summary>Packs that were opened to their last chunk, and writers that were found out.</summary>
public sealed partial class Vault
{
    const int MostHeaders = 256; // read for one backup, to learn whose packs were wrong

    static readonly TimeSpan NotedEvery = TimeSpan.FromSeconds(20); // what was opened before a run was cut off is not opened again

    /// <summary>Opens each pack of a snapshot's set that was not opened before, and notes what it holds: an attestation goes by that.</summary>
    /// <returns>False where one was missing or damaged when it was asked for: it may be there again when the attestation looks.</returns>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: one that these keys do not open, and another may. <c>FormatNewer</c>: one of a later version. <c>StoreUnavailable</c>.</exception>
    bool OpenPacks(SnapshotRecord record, ReadingKeys keys, VerifyProgress progress, CancellationToken ct)
    {
        var reads = LastReads();
        var opened = OpenedBySnapshots();
        var ends = EndsOf(keys);
        List<Hash32> sound = [], wrong = [], damaged = [];
        var (isWhole, noted) = (true, Stopwatch.StartNew());
        try
        {
            foreach (var pack in (State.SizedPacksOf(record)?.ToList() ?? []).Select(p => p.Name).Where(p => !opened.Contains(p) && !reads.Opened.Contains(p)))
            {
                var (fault, isOpened) = new Verifier(Keeper.Store, keys, ends, progress, 1, ct).CheckOne(pack);
                if (isOpened)
                    sound.Add(pack);
                else if (fault is DefectKind.ContentWrong or DefectKind.Foreign || (fault is null && HeaderOf(pack) is { } header && Attestor.IsOfNoBackup(header, record.Object!.Domain)))
                    wrong.Add(pack);
                else if (fault is DefectKind.Damaged)
                    damaged.Add(pack);
                else if (fault is not DefectKind.Missing)
                    throw NotOpened(pack, fault);
                isWhole &= fault is not (DefectKind.Damaged or DefectKind.Missing);
                if (noted.Elapsed > NotedEvery)
                {
                    RequireKept();
                    noted.Restart();
                }
            }
        }
        catch
        {
            Keep(); // what has been seen is not lost with it
            throw;
        }
        RequireKept();
        return isWhole;

        HoldfastException? Keep() => ReadTimes.Update(ReadsPath, new ReadFindings { Sound = sound, Opened = sound, ContentWrong = wrong, Damaged = damaged }, Keeper.Clock.Now);

        void RequireKept()
        {
            if (Keep() is { } unkept && wrong.Count + damaged.Count > 0)
                throw unkept; // what is judged next goes by the note
            sound.Clear();
            wrong.Clear();
            damaged.Clear();
        }
    }

    HoldfastException NotOpened(Hash32 pack, DefectKind? fault) => fault == DefectKind.Unread
        ? new HoldfastException(ErrorCode.StoreUnavailable, $"Pack {pack} could not be read: its disk or store did not answer.", "Look at the disks of the vault (dmesg shows what the system saw), or the object store; then attest the snapshot again. Nothing was recorded.") { IsTransient = true }
        : HeaderOf(pack) is null
        ? new HoldfastException(ErrorCode.FormatNewer, $"Pack {pack} is of a later version of the format than this program knows, or was made to look so: whether it holds what it says cannot be told.", "Use the newest release here. Where that does not know it either, whoever stored it (the agent and the gateway of the snapshot's last backup) made it up. Nothing was recorded.")
        : new HoldfastException(ErrorCode.KeyTooNarrow, $"Pack {pack} is sealed to a key that these do not hold: whether it holds what it says cannot be told.",
            "Cut the clean room's keys anew (`holdfast cleanroom key`), with the newest opening key: after `holdfast key rotate` that is always needed. Nothing was recorded, and nothing says that anybody did wrong.");

    /// <summary>Packs that the log says were opened and found right: of each source those of the newest snapshot of which that is so. Others may have been.</summary>
    HashSet<Hash32> OpenedBySnapshots() =>
        [.. State.Snapshots.Where(s => s is { Opened: > 0, IsRemoved: false, Object: not null }).GroupBy(s => s.Source).Select(of => of.Last()).SelectMany(s => State.PacksOf(s)?.ToList() ?? []).Select(p => p.Name)];

    /// <summary>Packs that attestations found to hold something else than they say; and, in a vault with a clean room, what else their writers stored that it has not opened: nothing that only they vouch for is built on. Where nobody
    /// opens packs that would never end, and each backup would store everything anew. The writers' packs that no commit names are told by their headers.</summary>
    (HashSet<Hash32> Packs, HashSet<(Id16, uint)> Writers) OfBadWriters()
    {
        HashSet<(Id16, uint)> writers = [];
        HashSet<Hash32> packs = [];
        foreach (var record in State.Snapshots)
        {
            if (record is not { Defects: > 0, IsRemoved: false, Object: { } snapshot, DefectsIn.Object: { } found })
                continue;
            foreach (var wrong in found.Defects.Where(d => d.Kind == AttestationDefect.ContentWrong && packs.Add(d.Name)))
                writers.Add(packs.Count <= MostHeaders && WriterOf(wrong.Name) is { } writer ? writer : (snapshot.Writer, snapshot.WriterEpoch));
            // Beside lost packs it says where they were read from, and accuses nobody.
            if (found.Defects.Any(d => d.Kind == AttestationDefect.PackSetWrong) && !found.Defects.Any(d => d.Kind is AttestationDefect.PackMissing or AttestationDefect.PackDamaged))
                writers.Add((snapshot.Writer, snapshot.WriterEpoch));
        }
        if (writers.Count == 0 || State.CleanRoom.Last == 0)
            return (packs, []);
        HashSet<Hash32> opened = [.. OpenedBySnapshots(), .. LastReads().Opened];
        foreach (var record in State.Snapshots.Where(s => s is { Opened: 0, IsRemoved: false, Object: { } o } && writers.Contains((o.Writer, o.WriterEpoch))))
            packs.UnionWith((State.PacksOf(record)?.ToList() ?? []).Select(p => p.Name).Where(p => !opened.Contains(p)));
        return (packs, writers);
    }
}
