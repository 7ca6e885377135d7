using System.Security.Cryptography;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;

namespace Holdfast.Core;

/// <summary>Where the folders of a vault lie, and that nothing is lost where that changes.</summary>
public sealed partial class Vault
{
    /// <summary>Says where a folder of the vault lies now: after its disk was replaced, or in a copy of the vault. One that is among the vault's folders already has taken in what the old one held.</summary>
    /// <param name="old">The folder that the vault looks in now.</param>
    /// <param name="folder">The one it is to look in. What lies in both is read there: one that rotted on the way is not to be all that is left.</param>
    /// <param name="ct">Stops that.</param>
    /// <returns>True where the list is one folder shorter.</returns>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>TargetMissing</c>, <c>WrongVault</c>; <c>PackMissing</c>: something that is needed would not be found any more. Nothing was changed then.</exception>
    public bool MoveFolder(string old, string folder, CancellationToken ct)
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        var isMerged = Keeper.Folders.Any(f => (FolderPath.Real(f) == FolderPath.Real(folder) || FolderPath.AreOne(f, folder)) && FolderPath.Real(f) != FolderPath.Real(old));
        if (!isMerged)
            StorePlace.RequireOf(folder, Id);
        var leaving = new LeavingFolder(Keeper, old, ct);
        var stay = Keeper.Folders.Where(f => FolderPath.Real(f) != FolderPath.Real(old)).ToList();
        if (stay.Count < Keeper.Folders.Count && FolderPath.Real(Keeper.Folders[0]) != FolderPath.Real(old))
            leaving.RequireFound(isMerged ? stay : [.. stay, folder]); // looks for every file, and reads what lies in both folders: not under the vault's lock
        Keeper.MoveFolder(old, isMerged ? null : folder, leaving.RequireFound);
        return isMerged;
    }

    /// <summary>Whether all that the vault needs is there without one of its folders.</summary>
    sealed class LeavingFolder(VaultKeeper keeper, string old, CancellationToken ct)
    {
        readonly HashSet<(StoreKind, Hash32)> _found = [];
        IReadOnlyList<string> _folders = []; // where these were found

        /// <summary>Looks for what it has not found before: asked a second time, for what was committed meanwhile.</summary>
        /// <param name="folders">Of the vault, as they would be.</param>
        public void RequireFound(IReadOnlyList<string> folders)
        {
            if (!_folders.All(folders.Contains))
                _found.Clear();
            _folders = folders;
            var after = new FolderStore(folders);
            var needed = VaultHealth.Needed(keeper);
            var lost = needed.Packs.Keys.Count(p => !Has(after, StoreKind.Pack, p)) + needed.Objects.Count(o => !Has(after, StoreKind.Object, o));
            if (lost > 0)
            {
                throw new HoldfastException(ErrorCode.PackMissing, $"{lost} files that the vault needs lie in the old folder and would not be found any more. Nothing was changed.",
                    "Copy them first (rsync -a --ignore-existing OLD/packs OLD/objects NEW/), then run this again. Where all are there by then, some are damaged in the new folder, and sound in the old one alone: `rsync -a --checksum OLD/packs OLD/objects NEW/` replaces those.");
            }
        }

        bool Has(FolderStore after, StoreKind kind, Hash32 name)
        {
            if (_found.Contains((kind, name)))
                return true;
            var isThere = !SizesOf(keeper.FolderStore!, kind, name).Except(SizesOf(after, kind, name)).Any() && !IsSoundInOldAlone(after, kind, name); // one cut short is none
            if (isThere)
                _found.Add((kind, name));
            return isThere;
        }

        bool IsSoundInOldAlone(FolderStore after, StoreKind kind, Hash32 name)
        {
            ct.ThrowIfCancellationRequested();
            var left = keeper.Folders.Where(f => FolderPath.Real(f) == FolderPath.Real(old)).Select(f => f + Path.DirectorySeparatorChar).ToList();
            var leaving = keeper.FolderStore!.FindAll(kind, name).Where(p => left.Exists(f => p.StartsWith(f, StringComparison.Ordinal))).ToList();
            if (leaving.Count == 0)
                return false;
            var kept = after.FindAll(kind, name).ToList();
            return !leaving.TrueForAll(o => kept.Exists(k => FileStat.AreOne(o, k))) // that disk is mounted elsewhere now: nothing was copied
                && !kept.Exists(p => GivesName(p, name)) && leaving.Exists(p => GivesName(p, name));
        }

        static IEnumerable<long> SizesOf(FolderStore store, StoreKind kind, Hash32 name) => store.FindAll(kind, name).Select(p => new FileInfo(p).Length);

        static bool GivesName(string path, Hash32 name)
        {
            try
            {
                using var file = PlainFile.Open(path);
                if (file is null || RandomAccess.GetLength(file) > Math.Max(Packs.PackFormat.MaxSize, StoreExtensions.MaxObject))
                    return false;
                using var stream = new FileStream(file, FileAccess.Read, 1 << 20);
                return new Hash32(SHA256.HashData(stream)) == name;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }
}
