using Holdfast.Core.Index;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core;

/// <summary>The chunk index: where it lies, and what it must not know.</summary>
public sealed partial class Vault
{
    readonly HashSet<Id16> _checkedIndexes = []; // of domains, found whole where they cannot be made anew

    /// <summary>Takes from an index what no backup builds on: packs found damaged when they were read, those of no copy that has the size they were written with, and those of a writer that was found out. Of packs that no commit names, which a run
    /// that was cut off left, or one that goes on, nothing says how long they were: each that is built on is opened first.</summary>
    void LeaveOutDamaged(ChunkIndex index, DomainKeys domain)
    {
        var reads = LastReads();
        HashSet<Hash32> damaged = [.. reads.Damaged.Keys];
        // The log has what attestations found, should the note of it be gone; but for what was read and found right since.
        damaged.UnionWith(State.FoundDamaged.Where(f => reads.Times.GetValueOrDefault(f.Key) <= f.Value).Select(f => f.Key));
        var named = State.NamedPacks().Packs;
        var whole = Keeper.Store.List(StoreKind.Pack).Where(p => named.TryGetValue(p.Name, out var pack) && pack.Size == p.Size).Select(p => p.Name).ToHashSet();
        damaged.UnionWith(named.Keys.Where(n => !whole.Contains(n)));
        var (unopened, badWriters) = OfBadWriters();
        damaged.UnionWith(unopened);
        index.Drop(damaged);
        index.Doubt(index.Packs().Select(p => p.Name).Where(n => !named.ContainsKey(n)), Opens);

        bool Opens(Hash32 pack)
        {
            try
            {
                using var opened = PackReader.OpenFooter(Keeper.Store, pack, Id, domain);
                return !badWriters.Contains((opened.Header.Writer, opened.Header.WriterEpoch));
            }
            catch (HoldfastException)
            {
                return false; // now, at least: what is in it is stored again
            }
        }
    }

    /// <summary>Empties the chunk index; the next that needs it rebuilds it from the footers.</summary>
    public void ForgetIndex()
    {
        foreach (var domain in State.Genesis!.Domains)
            ChunkIndex.Empty(IndexFolder(domain));
    }

    /// <summary>A block turned out to be damaged while the index was in use: the next run makes it anew.</summary>
    internal static HoldfastException Emptied(ChunkIndex index, HoldfastException fault, string guidance)
    {
        try
        {
            ChunkIndex.Empty(index.Folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return fault; // it says what to do
        }
        return new HoldfastException(fault.Code, "The chunk index was damaged. It has been emptied, and is made anew from the packs.", guidance, fault) { IsTransient = true };
    }

    string IndexFolder(Id16 domain) => Path.Combine(Keeper.Folder, "cache", "index", domain.ToString());

    /// <summary>The chunk index, brought up to date with the packs that are there.</summary>
    internal ChunkIndex OpenIndex(DomainKeys domain, CancellationToken ct, IProgress<(int Done, int All)>? progress = null)
    {
        var folder = IndexFolder(domain.Domain);
        var packs = Keeper.Store.List(StoreKind.Pack).Where(p => !p.Name.IsNone && !State.WasRemoved(StoreKind.Pack, p.Name)).Select(p => p.Name).ToHashSet();
        try
        {
            return Fill(folder);
        }
        catch (Exception e) when (DiskFault.IsOfFile(e))
        {
            // Read-only media, or a folder this user may not write: the index is a cache and may lie anywhere.
            try
            {
                return Fill(PrivateCache(Path.Combine("index", Id.ToString(), domain.Domain.ToString())));
            }
            catch (ArgumentOutOfRangeException limit)
            {
                throw DiskFault.Of(limit);
            }
        }

        ChunkIndex Fill(string at)
        {
            // Nothing is written through a link that somebody put in the vault: then the index lies elsewhere too.
            if (at == folder && OperatingSystem.IsLinux() && new[] { Path.Combine(Keeper.Folder, "cache"), Path.GetDirectoryName(at)!, at }.Any(f => FileStat.TryRead(f, out var stat) && !stat.IsFolder))
                throw new IOException();
            var checksAll = at == folder && !_checkedIndexes.Contains(domain.Domain) && !MayWrite(at); // what is damaged there cannot be made anew there
            var index = ChunkIndex.Open(at, Id, domain, IndexCeiling, checksAll);
            try
            {
                var faults = index.AddMissing(Keeper.Store, packs, progress, ct);
                if (faults.Count > 0) // it may have been for a moment
                    faults = index.AddMissing(Keeper.Store, faults.Select(f => f.Pack), null, ct);
                index.Unread = faults.Count(f => PackReader.MayPass(f.Fault));
                NoteFooters(faults.Where(f => f.Fault.Code is ErrorCode.PackDamaged or ErrorCode.Truncated).Select(f => f.Pack), domain, ct);
                if (checksAll)
                    _checkedIndexes.Add(domain.Domain); // a command may open it for each of many snapshots
                index.Drop(index.Packs().Select(p => p.Name).Where(p => !packs.Contains(p)));
                return index;
            }
            catch
            {
                index.Dispose();
                throw;
            }
        }
    }

    static bool MayWrite(string folder)
    {
        try
        {
            Disk.RequireWritable(folder);
            return true;
        }
        catch (HoldfastException)
        {
            return false;
        }
    }

    /// <summary>A folder of this user's own: never one with a name that another user of the machine could have taken first.</summary>
    string PrivateCache(string name)
    {
        try
        {
            var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache
                : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home ? Path.Combine(home, ".cache") : throw new IOException();
            var folder = Path.Combine(Path.GetFullPath(root), "holdfast", name);
            return FolderOwner.IsAnothers(folder) ? throw new UnauthorizedAccessException() : Directory.CreateDirectory(folder).FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No home either: for as long as this vault is open.
            _temporary ??= Directory.CreateTempSubdirectory("holdfast-");
            return Directory.CreateDirectory(Path.Combine(_temporary.FullName, name)).FullName;
        }
    }
}
