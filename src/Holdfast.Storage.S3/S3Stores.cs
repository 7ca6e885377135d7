using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>Vaults whose packs and objects lie in a bucket. In the vault's own folder: <c>keeper/store.key</c> (the keeper's credential), <c>keeper/remover.key</c> (another user's, who may remove versions; it may be
/// missing), <c>keeper/pins</c>, <c>staging</c>.</summary>
public sealed class S3Stores : IObjectStores
{
    /// <summary>Credential of a user of its own that may remove versions: the service lets go none that is locked, whoever asks.</summary>
    public const string RemoverFile = "remover.key";

    public static readonly S3Stores Instance = new();

    readonly S3Options? _options;

    /// <param name="options">Patience and sizes; null for the usual ones.</param>
    public S3Stores(S3Options? options = null) => _options = options;

    public string Name(string place) => S3Place.Parse(place).ToString();

    public void RequireCredential(string file) => _ = S3Credentials.Read(file);

    public HoldfastException? Check(string place, ReadOnlySpan<byte> credential)
    {
        // Whoever waits for an answer has mistyped a name more often than the service is away.
        var options = _options ?? new S3Options { Patience = TimeSpan.FromSeconds(20) };
        var parsed = S3Place.Parse(place);
        using var wire = new S3Wire(parsed, S3Credentials.Parse(credential), options, TimeProvider.System);
        BucketCheck.RequireLocks(wire, parsed);
        BucketCheck.RequireFree(wire, parsed);
        return BucketCheck.RequireNoPower(wire, parsed, TimeProvider.System);
    }

    public IStore Open(string place, string vault, Disk disk) => OpenAt(place, vault, disk);

    S3Store OpenAt(string place, string vault, Disk disk) =>
        S3Store.Open(S3Place.Parse(place), S3Credentials.Read(Kept(vault, IObjectStores.CredentialFile)), Kept(vault, "pins"), Path.Combine(vault, "staging"), disk, _options);

    public IRemover? Remover(string place, string vault) => File.Exists(Kept(vault, RemoverFile))
        ? new S3Remover(S3Place.Parse(place), S3Credentials.Read(Kept(vault, RemoverFile)), _options ?? new S3Options())
        : null;

    static string Kept(string vault, string name) => Path.Combine(vault, "keeper", name);
}
