using Holdfast.Cli.Keys;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;
using Holdfast.Tests.Storage;

namespace Holdfast.Tests.Server.Keeper;

/// <summary>A store that is reached through its keeper does what every store does; what the vault has of its own is left out of what it lists.</summary>
public sealed class RemoteStoreTests : StoreContract, IDisposable
{
    readonly TestVault _vault = new();
    ServedKeeper? _served;
    KeeperAccess? _access;

    protected override IStore NewStore()
    {
        foreach (var file in new[] { "packs", "objects" }.SelectMany(p => Directory.GetFiles(Path.Combine(_vault.Folder, p), "*", SearchOption.AllDirectories)).ToList())
            _kept.Add((file, File.ReadAllBytes(file)));
        _served = new ServedKeeper(_vault.Folder);
        foreach (var (file, _) in _kept)
            File.Delete(file);
        _access = _served.Allow(KeeperRole.Manage);
        return _served.Client(_access, _vault["staging"]);
    }

    readonly List<(string, byte[])> _kept = []; // the genesis and what else a new vault has: the keeper has read it by then

    protected override IStore Again(IStore store) => _served!.Client(_access!, _vault["staging"]);

    protected override void PutForeign(IStore store, string path)
    {
        var at = Path.Combine(_vault.Folder, "packs", path);
        Directory.CreateDirectory(Path.GetDirectoryName(at)!);
        File.WriteAllText(at, "x");
    }

    public void Dispose()
    {
        _served?.Dispose();
        _vault.Dispose();
    }
}
