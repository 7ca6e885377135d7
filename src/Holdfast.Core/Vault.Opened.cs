using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;

namespace Holdfast.Core;

/// <summary>Packs that were opened to their last chunk, and writers that were found out.</summary>
public sealed partial class Vault
{
    const int NotedTogether = 16; // packs: what was opened before a run was cut off is not opened again

    /// <summary>Opens each pack of a snapshot's set that was not opened before, and notes what it holds: an attestation goes by that.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: one that these keys do not open, and another may.</exception>
    void OpenPacks(SnapshotRecord record, ReadingKeys keys, VerifyProgress progress, CancellationToken ct)
    {
        var reads = LastReads();
        var opened = OpenedBySnapshots();
        var ends = EndsOf(keys);
        foreach (var part in (State.SizedPacksOf(record)?.ToList() ?? []).Select(p => p.Name).Where(p => !opened.Contains(p) && !reads.Opened.Contains(p) && !reads.Damaged.ContainsKey(p)).Chunk(NotedTogether))
        {
            List<Hash32> sound = [], wrong = [], damaged = [];
            try
            {
                foreach (var pack in part)
                {
                    var (fault, isOpened) = new Verifier(Keeper.Store, keys, ends, progress, 1, ct).CheckOne(pack);
                    if (isOpened)
                        sound.Add(pack);
                    else if (fault is DefectKind.ContentWrong or DefectKind.Foreign)
                        wrong.Add(pack);
                    else if (fault is DefectKind.Damaged)
                        damaged.Add(pack);
                    else if (fault is DefectKind.Unread)
                        throw new HoldfastException(ErrorCode.StoreUnavailable, $"Pack {pack} could not be read: its disk or store did not answer.", "Look at the disks of the vault (dmesg shows what the system saw), or the object store; then attest the snapshot again. Nothing was recorded.") { IsTransient = true };
                    else if (fault is null)
                        throw new HoldfastException(ErrorCode.KeyTooNarrow, $"Pack {pack} is sealed to a key that these do not hold: whether it holds what it says cannot be told.",
                            "Cut the clean room's keys anew (`holdfast cleanroom key`), with the newest opening key: after `holdfast key rotate` that is always needed. Nothing was recorded, and nothing says that anybody did wrong.");
                }
            }
            catch
            {
                Keep(); // what has been seen is not lost with it
                throw;
            }
            if (Keep() is { } unkept && wrong.Count + damaged.Count > 0)
                throw unkept; // what is judged next goes by the note

            HoldfastException? Keep() => ReadTimes.Update(ReadsPath, new ReadFindings { Sound = sound, Opened = sound, ContentWrong = wrong, Damaged = damaged }, Keeper.Clock.Now);
        }
    }

    /// <summary>Packs that the log says were opened and found right: of each source those of the newest snapshot of which that is so. Others may have been.</summary>
    HashSet<Hash32> OpenedBySnapshots() =>
        [.. State.Snapshots.Where(s => s is { Opened: > 0, IsRemoved: false, Object: not null }).GroupBy(s => s.Source).Select(of => of.Last()).SelectMany(s => State.PacksOf(s)?.ToList() ?? []).Select(p => p.Name)];

    /// <summary>What a writer stored that an attestation found out, and that no attestation has opened since: nothing that only it vouches for is built on. The writers' packs that no commit names are told by their headers.</summary>
    (HashSet<Hash32> Packs, HashSet<(Id16, uint)> Writers) OfBadWriters()
    {
        HashSet<(Id16, uint)> writers = [];
        HashSet<Hash32> packs = [];
        foreach (var record in State.Snapshots)
        {
            if (record is not { Defects: > 0, DefectsIn.Object: { } found })
                continue;
            foreach (var wrong in found.Defects.Where(d => d.Kind == AttestationDefect.ContentWrong && packs.Add(d.Name)))
            {
                if (WriterOf(wrong.Name) is { } writer)
                    writers.Add(writer);
            }
            // Beside lost packs it says where they were read from, and accuses nobody.
            if (record.Object is { } snapshot && found.Defects.Any(d => d.Kind == AttestationDefect.PackSetWrong) && !found.Defects.Any(d => d.Kind is AttestationDefect.PackMissing or AttestationDefect.PackDamaged))
                writers.Add((snapshot.Writer, snapshot.WriterEpoch));
        }
        if (writers.Count == 0)
            return (packs, writers);
        var opened = OpenedBySnapshots();
        foreach (var record in State.Snapshots.Where(s => s is { Opened: 0, IsRemoved: false, Object: { } o } && writers.Contains((o.Writer, o.WriterEpoch))))
            packs.UnionWith((State.PacksOf(record)?.ToList() ?? []).Select(p => p.Name).Where(p => !opened.Contains(p)));
        return (packs, writers);
    }
}
