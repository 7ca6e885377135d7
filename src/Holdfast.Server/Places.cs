using Holdfast.Cli.Keys;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;
using Holdfast.Server.Keeper;
using Holdfast.Storage.S3;

namespace Holdfast.Server;

/// <summary>Where packs and objects lie that are not in folders of this machine: in a bucket, or with a keeper elsewhere.</summary>
sealed class Places : IObjectStores, IDisposable
{
    readonly Dictionary<string, RemoteKeeper> _keepers = []; // by their place

    public string Name(string place) => S3Stores.Instance.Name(place);

    public void RequireCredential(string file) => S3Stores.Instance.RequireCredential(file);

    public HoldfastException? Check(string place, ReadOnlySpan<byte> credential) => S3Stores.Instance.Check(place, credential);

    public IRemover? Remover(string place, string vault) => KeeperAccess.IsPlace(place) ? null : S3Stores.Instance.Remover(place, vault);

    public IStore Open(string place, string vault, Disk disk)
    {
        if (!KeeperAccess.IsPlace(place))
            return S3Stores.Instance.Open(place, vault, disk);
        var keeper = _keepers.GetValueOrDefault(place) ?? throw new HoldfastException(ErrorCode.Usage, "That folder is what this machine knows of a vault that a keeper elsewhere keeps.", "Name the vault by its keeper's address: --vault https://HOST:PORT.");
        keeper.Staging = Path.Combine(vault, "staging");
        return keeper;
    }

    /// <summary>Makes the folder that stands for a keeper's vault, as far as it can be made without its log.</summary>
    public void Reach(KeeperAccess access, string mirror, CancellationToken stop)
    {
        var place = access.Url.ToString();
        if (!_keepers.TryGetValue(place, out var keeper))
            _keepers[place] = keeper = new RemoteKeeper(access.Url, access.Fingerprint, access.Identity, stop);
        var told = keeper.VaultFile();
        try
        {
            Disk.Real.MakeDurable(mirror, ownerOnly: true);
            foreach (var part in new[] { "keeper", "cache", "log" })
                Disk.Real.MakeFolder(Path.Combine(mirror, part), ownerOnly: true);
        }
        catch (HoldfastException e)
        {
            throw new HoldfastException(e.Code, $"What is known of the vault has to lie on this machine, and its folder {mirror} cannot be made: {e.Message}", "Name a folder of this user's own in HOLDFAST_STATE_DIR, on a disk that takes writes.", e);
        }
        if (Known(mirror) is not { } known)
        {
            Disk.Real.Replace(Path.Combine(mirror, VaultFile.Name), told);
            Disk.Real.Replace(Path.Combine(mirror, "keeper", "store"), System.Text.Encoding.UTF8.GetBytes(place + "\n"));
        }
        else if (!known.ToArray().AsSpan().SequenceEqual(told))
        {
            throw new HoldfastException(ErrorCode.LogForked, $"The keeper at {place} keeps another vault than it did when this machine reached it last ({known.Vault}).",
                $"Treat it as an attack until shown otherwise. Where that machine was given another vault on purpose, take away the folder {mirror}, which is a cache, and use the other vault's key folder.");
        }
    }

    static VaultFile? Known(string mirror)
    {
        try
        {
            return File.Exists(Path.Combine(mirror, "keeper", "store")) ? VaultFile.Read(mirror) : null;
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.VaultMissing)
        {
            return null;
        }
    }

    public void Dispose()
    {
        foreach (var keeper in _keepers.Values)
            keeper.Dispose();
    }
}
