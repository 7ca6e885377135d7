using System.Text;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests;

/// <summary>Clocks that a test sets.</summary>
sealed class FakeMachine : IMachineTime
{
    public ulong Wall { get; set; } = 1_800_000_000_000;
    public ulong SinceBoot { get; set; } = 1_000_000;
    public string BootId { get; set; } = "boot-1";
    public string MachineId { get; set; } = "machine-1";

    /// <summary>Time passes as it should.</summary>
    public void Pass(ulong seconds)
    {
        Wall += seconds * 1_000;
        SinceBoot += seconds * 1_000;
    }
}

/// <summary>A vault with its keys and a source, all in one temporary folder.</summary>
sealed class TestVault : IDisposable
{
    public const ulong Day = RetentionPolicy.Day;

    readonly TempFolder _folder;
    readonly IObjectStores? _stores;

    /// <param name="stores">Opens the object store that its packs go to; null for its own folder.</param>
    /// <param name="place">That store.</param>
    /// <param name="credential">What the keeper signs in with there.</param>
    /// <param name="approvers">Null for nobody.</param>
    /// <param name="witnesses">Null for none.</param>
    public TestVault(RetentionPolicy? policy = null, Disk? disk = null, ulong reserve = 0, string? parent = null, IObjectStores? stores = null, string place = "test:", byte[]? credential = null, Holdfast.Core.Approvals.ApproverSet? approvers = null, IReadOnlyList<Holdfast.Core.Log.CosignerKey>? witnesses = null)
    {
        _stores = stores;
        _folder = new TempFolder(parent);
        Directory.CreateDirectory(Source);
        (var vault, Keys) = Vault.Create(Folder, new NewVault(VaultKind.Real, policy ?? new RetentionPolicy(30 * Day, 0, 0, 0, 0, 0), Day, 3650 * Day, reserve) { Approvers = approvers ?? Holdfast.Core.Approvals.ApproverSet.Nobody, Witnesses = witnesses ?? [] }, _ => { }, disk, Machine,
            stores is null ? null : new ObjectStorePlace(place, credential ?? [], stores));
        vault.Dispose();
    }

    public string Folder => _folder["vault"];
    public string Source => _folder["source"];
    public string State => _folder["state"];
    public string this[string name] => _folder[name];
    public NewVaultKeys Keys { get; }
    public FakeMachine Machine { get; } = new();
    public SecretBytes Seed => Keys.OpeningSeed;

    public Vault Open(Disk? disk = null) => Vault.Open(Folder, disk, Machine, stores: _stores);

    public BackupResult BackUp(Disk? disk = null, string name = "source", bool useState = true)
    {
        using var vault = Open(disk);
        return BackUp(vault, name, useState);
    }

    public BackupResult BackUp(Vault vault, string name = "source", bool useState = true) => BackUp(vault, new ArchiveOptions { Threads = 2, UseState = useState }, name);

    public BackupResult BackUp(Vault vault, ArchiveOptions options, string name = "source")
    {
        using var source = FileSource.Open(Source, new FileSourceOptions());
        return vault.BackUp(source, new BackupRequest(Encoding.UTF8.GetBytes(name), "host"u8.ToArray(), "root"u8.ToArray(), State) { Options = options },
            Keys.Put, Keys.Agent, new BackupProgress(), CancellationToken.None);
    }

    /// <summary>A snapshot's object under another id, signed by the vault's agent.</summary>
    public SnapshotObject Again(SnapshotObject snapshot)
    {
        snapshot = snapshot with { Snapshot = Id16.New() };
        return snapshot with { Signatures = [new SnapshotSignature(SnapshotSignature.Agent, Keys.Agent.Agent, SnapshotSignature.Ed25519, Keys.Agent.Signer.Sign(snapshot.SignedBytes()))] };
    }

    /// <summary>Deletes all copies of an object or a pack.</summary>
    public void Lose(Hash32 name, string part = "objects")
    {
        foreach (var path in Directory.EnumerateFiles(Path.Combine(Folder, part, name.ToString()[..2]), $"{name}*").ToList())
            File.Delete(path);
    }

    /// <summary>Restores a snapshot into a new folder and returns it.</summary>
    public string Restore(string snapshot = "latest", Action<Vault>? open = null)
    {
        var target = _folder[$"restored-{Id16.New()}"];
        using var vault = Open();
        open?.Invoke(vault);
        using var keys = vault.Unlock(Seed);
        using var writer = FileTarget.Create(target, new FileTargetOptions());
        var result = vault.Restore(vault.Find(snapshot), keys, writer, new PathFilter(null), new RestoreProgress(), 2, CancellationToken.None);
        Assert.Equal(0, result.Failed);
        Assert.Empty(writer.Problems);
        return target;
    }

    public VerifyResult Verify(bool full)
    {
        using var vault = Open();
        using var keys = full ? vault.Unlock(Seed) : null;
        return vault.Verify(keys, null, new VerifyProgress(), 2, CancellationToken.None);
    }

    public void Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    public void Write(string name, byte[] bytes)
    {
        var path = Path.Combine(Source, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
    }

    /// <summary>Some files of every size class: empty, small, of several chunks.</summary>
    public void WriteSome(int seed = 1)
    {
        Write("empty", "");
        Write("a/small.txt", $"hello {seed}");
        Write("a/b/medium.bin", Noise(seed, 700_000));
        Write("large.bin", Noise(seed + 1, 9_000_000));
        for (var i = 0; i < 40; i++)
            Write($"many/{i:d3}", $"file {i} of {seed}, {new string('x', i * 37)}");
    }

    public static byte[] Noise(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public static void AssertSame(string expected, string actual)
    {
        var names = Names(expected);
        Assert.Equal(names, Names(actual));
        foreach (var name in names.Where(n => File.Exists(Path.Combine(expected, n))))
            Assert.True(File.ReadAllBytes(Path.Combine(expected, name)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(actual, name))), name);
    }

    static List<string> Names(string folder) => [.. Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(folder, p)).Order(StringComparer.Ordinal)];

    public void Dispose()
    {
        Keys.Dispose();
        _folder.Dispose();
    }
}
