using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Index;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Packs;
using Holdfast.Core.Restore;

namespace Holdfast.Tests.Core;

/// <summary>Every flipped bit of a small vault is found, and none yields wrong data.</summary>
public sealed class BitFlipTests
{
    static TestVault Small()
    {
        var test = new TestVault();
        test.Write("note", "Ward 7, bed 3");
        test.Write("noise", TestVault.Noise(1, 3_000));
        test.BackUp();
        return test;
    }

    static List<string> Files(TestVault test, string part) => [.. Directory.EnumerateFiles(Path.Combine(test.Folder, part), "*", SearchOption.AllDirectories)];

    /// <summary>The other copy of what the vault is lost without.</summary>
    static string Other(string file) => Path.HasExtension(file) ? Path.ChangeExtension(file, null) : file + ".1";

    [Fact]
    public void Every_bit_of_every_pack_and_object_changes_its_name()
    {
        using var test = Small();
        var flips = 0L;
        foreach (var file in Files(test, "packs").Concat(Files(test, "objects")).Where(f => !Path.HasExtension(f))) // further copies have the same bytes
        {
            var whole = File.ReadAllBytes(file);
            Assert.Equal(Path.GetFileName(file), Convert.ToHexStringLower(SHA256.HashData(whole)));
            Parallel.For(0, whole.Length, () => whole.ToArray(), (at, _, bytes) =>
            {
                for (var bit = 0; bit < 8; bit++)
                {
                    bytes[at] ^= (byte)(1 << bit);
                    Assert.NotEqual(Path.GetFileName(file), Convert.ToHexStringLower(SHA256.HashData(bytes)));
                    bytes[at] ^= (byte)(1 << bit);
                    Interlocked.Increment(ref flips);
                }
                return bytes;
            }, _ => { });
        }
        Assert.True(flips > 1_000_000);
    }

    [Fact]
    public void Verify_finds_a_flip_in_any_file_of_the_store()
    {
        using var test = Small();
        List<string> files = [.. Files(test, "packs"), .. Files(test, "objects")];
        foreach (var file in files)
        {
            var whole = File.ReadAllBytes(file);
            for (var at = 0; at < whole.Length; at += Math.Max(1, whole.Length / 40))
            {
                var bytes = whole.ToArray();
                bytes[at] ^= 0x10;
                File.WriteAllBytes(file, bytes);
                var verified = test.Verify(full: at % 2 == 0);
                Assert.Contains(verified.Defects, d => $"{d.Name}" == Path.GetFileNameWithoutExtension(file));
                Assert.Equal(files.Contains(Other(file)), verified.IsSound);
            }
            File.WriteAllBytes(file, whole);
        }
    }

    /// <summary>With an index that has the ends of each pack, and without.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_full_verify_finds_a_flip_anywhere_in_a_pack(bool isIndexed)
    {
        using var test = Small();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        if (!isIndexed)
            vault.ForgetIndex();
        var files = Files(test, "packs");
        Assert.Equal(isIndexed ? files.Count : 0, ChunkIndex.Ends(Path.Combine(test.Folder, "cache", "index", test.Keys.Put.Domain.Domain.ToString()), vault.Id, test.Keys.Put.Domain).Count);
        Assert.True(IsSound(), "whole");
        foreach (var file in files)
        {
            var whole = File.ReadAllBytes(file);
            // Bytes of header and frames, and some of the long footer.
            for (var at = 0; at < whole.Length; at += at < 5_000 ? isIndexed ? 7 : 101 : 2_503)
            {
                var bytes = whole.ToArray();
                bytes[at] ^= (byte)(1 << at % 8);
                File.WriteAllBytes(file, bytes);
                Assert.False(IsSound(file), $"{Path.GetFileName(file)} at {at}");
            }
            // Another sound pack under this name.
            foreach (var other in files.Where(f => f != file))
            {
                File.WriteAllBytes(file, File.ReadAllBytes(other));
                Assert.False(IsSound(file), "another pack's bytes");
            }
            File.WriteAllBytes(file, whole);
        }
        Assert.True(IsSound(), "whole again");

        bool IsSound(string? only = null) => vault.Verify(keys, only is null ? null : n => $"{n}" == Path.GetFileName(only), new VerifyProgress(), 1, CancellationToken.None).IsSound;
    }

    [Fact]
    public void A_flip_anywhere_in_a_pack_never_yields_other_data()
    {
        using var test = Small();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        using var buffer = new FrameBuffer();
        foreach (var file in Files(test, "packs"))
        {
            Assert.True(Hash32.TryParse(Path.GetFileName(file), out var name));
            var whole = File.ReadAllBytes(file);
            List<byte[]> right = [];
            using (var pack = PackReader.Open(vault.Keeper.Store, name, keys))
            {
                for (var f = 0; f < pack.Footer.Frames; f++)
                    right.Add(pack.ReadFrame(f, buffer).ToArray());
            }
            for (var at = 0; at < whole.Length; at = at < 6_000 || at > whole.Length - 200 ? at + 1 : at + 97)
            {
                var bytes = whole.ToArray();
                bytes[at] ^= (byte)(1 << at % 8);
                File.WriteAllBytes(file, bytes);
                try
                {
                    using var pack = PackReader.Open(vault.Keeper.Store, name, keys);
                    Assert.Equal(right.Count, pack.Footer.Frames);
                    for (var f = 0; f < right.Count; f++)
                        Assert.True(pack.ReadFrame(f, buffer).SequenceEqual(right[f]));
                }
                catch (HoldfastException e)
                {
                    Assert.True(e.Code is ErrorCode.PackDamaged or ErrorCode.Truncated or ErrorCode.WrongVault or ErrorCode.FormatNewer or ErrorCode.KeyTooNarrow, e.Code.ToString());
                }
            }
            File.WriteAllBytes(file, whole);
        }
    }

    [Fact]
    public void Every_flip_in_the_log_is_found_or_touches_nothing_that_counts()
    {
        using var test = Small();
        Checkpoint seen;
        using (var vault = test.Open())
            seen = vault.Keeper.Log.Checkpoint!; // as a key folder has it
        foreach (var file in Files(test, "log").Append(Path.Combine(test.Folder, VaultFile.Name)))
        {
            var whole = File.ReadAllBytes(file);
            for (var at = 0; at < whole.Length; at++)
            {
                var bytes = whole.ToArray();
                bytes[at] ^= (byte)(1 << at % 8);
                File.WriteAllBytes(file, bytes);
                try
                {
                    using var vault = Vault.Open(test.Folder, null, test.Machine, () => seen);
                    Assert.Equal(test.Keys.Put.Vault, vault.Id); // whatever the file `vault` says
                    // A damaged leaf or checkpoint is told, and nothing is written; the others are read by the hashes beside them, all of them where the checkpoint is what is damaged.
                    if (vault.Keeper.LogFault is not null)
                    {
                        if (file.EndsWith("checkpoint", StringComparison.Ordinal))
                            Assert.Single(vault.State.Snapshots);
                        Assert.Equal(ErrorCode.LogDamaged, Assert.Throws<HoldfastException>(vault.Keeper.RequireWritable).Code);
                        continue;
                    }
                    Assert.Single(vault.State.Snapshots);
                    // Hash tiles are computed from the leaves, and compared when somebody verifies; nothing needs what stays of earlier partial files.
                    Assert.True(!file.EndsWith($"entries/000.p/{seen.Size}", StringComparison.Ordinal) && !file.EndsWith("checkpoint", StringComparison.Ordinal), $"{file} at {at}");
                    Assert.Equal(file.EndsWith($"tile/0/000.p/{seen.Size}", StringComparison.Ordinal) ? [file] : [], vault.Keeper.Log.DamagedTiles());
                }
                catch (HoldfastException e)
                {
                    Assert.True(e.Code is ErrorCode.LogDamaged or ErrorCode.VaultMissing or ErrorCode.FormatNewer, $"{e.Code} at {at} of {Path.GetFileName(file)}");
                    Assert.False(e.Code == ErrorCode.LogDamaged && file.EndsWith("checkpoint", StringComparison.Ordinal), $"unread at {at}");
                }
            }
            File.WriteAllBytes(file, whole);
        }
    }
}
