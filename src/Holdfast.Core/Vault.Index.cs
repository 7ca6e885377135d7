using Holdfast.Core.Index;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Storage;

namespace Holdfast.Core;

/// <summary>The chunk index: where it lies, and what it must not know.</summary>
public sealed partial class Vault
{
    readonly HashSet<Id16> _checkedIndexes = []; // of domains, found whole where they cannot be made anew

    /// <summary>Packs that no backup builds on: found damaged when they were read, or of no copy that has the size they were written with; and of those that no commit names, which a run that was cut off left,
    /// the ones whose footer does not open: nothing else says how long they were.</summary>
    HashSet<Hash32> DamagedPacks(ChunkIndex index, DomainKeys domain, CancellationToken ct)
    {
        HashSet<Hash32> damaged = [.. LastReads().Damaged.Keys, .. State.Lost.Keys]; // the log has what attestations found, should the note of it be gone
        var named = State.NamedPacks().Packs;
        var whole = Keeper.Store.List(StoreKind.Pack).Where(p => named.TryGetValue(p.Name, out var pack) && pack.Size == p.Size).Select(p => p.Name).ToHashSet();
        damaged.UnionWith(named.Keys.Where(n => !whole.Contains(n)));
        var unnamed = index.Packs().Select(p => p.Name).Where(n => !named.ContainsKey(n) && !damaged.Contains(n));
        damaged.UnionWith(unnamed.AsParallel().WithCancellation(ct).Where(n => !Opens(n)).ToList());
        return damaged;

        bool Opens(Hash32 pack)
        {
            try
            {
                PackReader.OpenFooter(Keeper.Store, pack, Id, domain).Dispose();
                return true;
            }
            catch (HoldfastException)
            {
                return false;
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
    static HoldfastException Emptied(ChunkIndex index, HoldfastException fault, string guidance)
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
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Read-only media, or a folder this user may not write: the index is a cache and may lie anywhere.
            return Fill(PrivateCache(Path.Combine("index", Id.ToString(), domain.Domain.ToString())));
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
