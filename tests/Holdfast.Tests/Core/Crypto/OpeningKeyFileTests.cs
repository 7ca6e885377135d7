using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using CsCheck;
using Holdfast.Core;
using Holdfast.Core.Crypto;

namespace Holdfast.Tests.Core.Crypto;

public class OpeningKeyFileTests
{
    static readonly Argon2Cost Cheap = new(Argon2Cost.MinMemoryKiB, 1);
    static readonly byte[] Seed = RandomNumberGenerator.GetBytes(32);
    static readonly byte[] Raw = RandomNumberGenerator.GetBytes(32);
    static readonly Id16 Vault = Id16.New();
    static readonly OpeningKeyFile File = OpeningKeyFile.Create(Vault, 7)
        .AddPassphrase(Seed, "first phrase", Cheap).AddRawKey(Seed, Raw).AddPassphrase(Seed, "zweite Straße ☂", Cheap);

    [Fact]
    public void Every_slot_opens_with_its_own_secret_after_a_round_trip()
    {
        Assert.True(OpeningKeyFile.TryParse(File.ToArray(), out var file));
        Assert.Equal((Vault, 7u, 3), (file.VaultId, file.Epoch, file.Slots.Count));
        Assert.Equal([KeySlotKind.Passphrase, KeySlotKind.RawKey, KeySlotKind.Passphrase], file.Slots.Select(s => s.Kind));
        Assert.Equal(Seed, file.OpenWithPassphrase("first phrase").Span.ToArray());
        Assert.Equal(Seed, file.OpenWithPassphrase("zweite Straße ☂").Span.ToArray());
        Assert.Equal(Seed, file.OpenWithRawKey(Raw).Span.ToArray());
        Assert.Equal(File.ToArray(), file.ToArray());
    }

    [Fact]
    public void A_wrong_secret_is_called_wrong()
    {
        Assert.Equal(ErrorCode.WrongKey, Assert.Throws<HoldfastException>(() => File.OpenWithPassphrase("First phrase")).Code);
        Assert.Equal(ErrorCode.WrongKey, Assert.Throws<HoldfastException>(() => File.OpenWithPassphrase("")).Code);
        Assert.Equal(ErrorCode.WrongKey, Assert.Throws<HoldfastException>(() => File.OpenWithRawKey(Seed)).Code);
        Assert.Equal(ErrorCode.WrongKey, Assert.Throws<HoldfastException>(() => File.OpenWithRawKey([])).Code);
        Assert.Contains("--opening-secret", Assert.Throws<HoldfastException>(() => File.OpenWithPassphrase("")).Guidance, StringComparison.Ordinal);
        Assert.DoesNotContain("--opening-secret", Assert.Throws<HoldfastException>(() => File.WithoutSlot(1).OpenWithPassphrase("")).Guidance, StringComparison.Ordinal); // it has none
        Assert.Equal(ErrorCode.WrongVault, Assert.Throws<HoldfastException>(() => File.RequireVault(Id16.New())).Code);
        File.RequireVault(Vault);
    }

    [Fact]
    public void A_removed_slot_opens_nothing()
    {
        var file = File.WithoutSlot(0);
        Assert.Throws<HoldfastException>(() => file.OpenWithPassphrase("first phrase"));
        Assert.Equal(Seed, file.OpenWithPassphrase("zweite Straße ☂").Span.ToArray());
    }

    [Fact]
    public void Every_flipped_bit_is_damage()
    {
        var bytes = File.ToArray();
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(OpeningKeyFile.TryParse(bytes, out _), $"bit {bit}");
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
        bytes[40] ^= 1;
        Assert.Equal(ErrorCode.KeyFileBad, Assert.Throws<HoldfastException>(() => OpeningKeyFile.Parse(bytes)).Code);
    }

    [Fact]
    public void Every_cut_is_damage()
    {
        var bytes = File.ToArray();
        for (var length = 0; length < bytes.Length; length++)
            Assert.False(OpeningKeyFile.TryParse(bytes.AsSpan(0, length), out _), $"{length} bytes");
        Assert.False(OpeningKeyFile.TryParse([.. bytes, 0], out _));
    }

    // Someone who alters the file and sums it anew gets past the parser, and no further.
    [Theory]
    [InlineData(76, ErrorCode.WrongKey)] // vault id
    [InlineData(92, ErrorCode.WrongKey)] // epoch
    [InlineData(98, ErrorCode.WrongKey)] // salt
    [InlineData(114, ErrorCode.WrongKey)] // check
    [InlineData(130, ErrorCode.KeyFileBad)] // wrapped seed
    [InlineData(177, ErrorCode.KeyFileBad)] // tag
    public void An_altered_and_resummed_file_does_not_open(int at, ErrorCode expected)
    {
        var bytes = Resummed(OpeningKeyFile.Create(Vault, 1).AddRawKey(Seed, Raw), b => b[at] ^= 1);
        Assert.True(OpeningKeyFile.TryParse(bytes, out var file));
        Assert.Equal(expected, Assert.Throws<HoldfastException>(() => file.OpenWithRawKey(Raw)).Code);
    }

    [Theory]
    [InlineData(114, 8191u)] // memory, just below the least
    [InlineData(114, (4u << 20) + 1)]
    [InlineData(118, 0u)] // passes
    [InlineData(118, 65u)]
    [InlineData(122, 2u)] // lanes
    public void Costs_outside_the_limits_are_refused_before_any_work(int at, uint value)
    {
        var file = OpeningKeyFile.Create(Vault, 1).AddPassphrase(Seed, "phrase", Cheap);
        Assert.False(OpeningKeyFile.TryParse(Resummed(file, b => BinaryPrimitives.WriteUInt32LittleEndian(b.AsSpan(at), value)), out _));
        Assert.True(OpeningKeyFile.TryParse(Resummed(file, b => BinaryPrimitives.WriteUInt32LittleEndian(b.AsSpan(114), 4 << 20)), out _));
    }

    [Fact]
    public void Hostile_bytes_never_throw() => Gen.Byte.Array[0, 300].Sample(tail =>
    {
        var template = OpeningKeyFile.Create(Vault, 1).ToArray();
        byte[] bytes = [.. template[..96], .. tail, .. new byte[32]];
        SHA256.HashData([.. Labels.KeyFile, .. bytes[..^32]]).CopyTo(bytes, bytes.Length - 32);
        if (OpeningKeyFile.TryParse(bytes, out var file))
            Assert.Equal(bytes, file.ToArray());
    }, iter: 2000);

    [Fact]
    public void A_file_holds_sixteen_slots_and_no_more()
    {
        var file = OpeningKeyFile.Create(Vault, 1);
        for (var i = 0; i < OpeningKeyFile.MaxSlots; i++)
            file = file.AddRawKey(Seed, Raw);
        Assert.True(OpeningKeyFile.TryParse(file.ToArray(), out _));
        Assert.Throws<InvalidOperationException>(() => file.AddRawKey(Seed, Raw));
    }

    [Fact]
    public void A_person_who_opens_the_file_sees_what_it_is() =>
        Assert.StartsWith("HFKEYS1 Holdfast opening key file.", Encoding.Latin1.GetString(File.ToArray()), StringComparison.Ordinal);

    [Fact]
    public void The_layout_is_the_documented_one()
    {
        var bytes = OpeningKeyFile.Create(Vault, 0x01020304).AddRawKey(Seed, Raw).ToArray();
        Assert.Equal(76 + 16 + 4 + 1 + 1 + 16 + 16 + 48 + 32, bytes.Length);
        byte[] context = [.. bytes[76..96], .. bytes[97..114]];
        Assert.Equal([4, 3, 2, 1, 1, 2], bytes[92..98]);
        Assert.Equal(HKDF.DeriveKey(HashAlgorithmName.SHA256, Raw, 16, "holdfast/v1/key-slot-check"u8.ToArray(), context), bytes[114..130]);
        using var gcm = new AesGcm(HKDF.DeriveKey(HashAlgorithmName.SHA256, Raw, 32, "holdfast/v1/key-slot"u8.ToArray(), context), 16);
        var seed = new byte[32];
        gcm.Decrypt(new byte[12], bytes.AsSpan(130, 32), bytes.AsSpan(162, 16), seed, context);
        Assert.Equal(Seed, seed);
        Assert.Equal(SHA256.HashData([.. "holdfast/v1/key-file"u8, .. bytes[..^32]]), bytes[^32..]);
    }

    [Fact]
    public void A_raw_key_file_is_private_never_overwritten_and_reads_back()
    {
        using var key = RawKey.Create(Vault);
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            key.WriteNew(path);
            var bytes = System.IO.File.ReadAllBytes(path);
            Assert.True(RawKey.TryParse(bytes, out var read));
            Assert.Equal(Vault, read.VaultId);
            Assert.Equal(key.Secret.Span.ToArray(), read.Secret.Span.ToArray());
            if (!OperatingSystem.IsWindows())
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(path));
            Assert.Throws<IOException>(() => key.WriteNew(path));
            Assert.Equal(bytes, System.IO.File.ReadAllBytes(path));
        }
        finally
        {
            System.IO.File.Delete(path);
        }
    }

    [Fact]
    public void A_raw_key_line_is_strict()
    {
        using var key = RawKey.Create(Vault);
        var line = key.ToArray();
        Assert.Equal(RawKey.FileSize, line.Length);
        Assert.True(RawKey.TryParse(line.AsSpan(0, line.Length - 1), out _));
        for (var i = 0; i < line.Length - 1; i++)
        {
            var bad = line.ToArray();
            bad[i] = (byte)'x';
            Assert.Equal(line[i] == 'x', RawKey.TryParse(bad, out _));
        }
        Assert.False(RawKey.TryParse([], out _));
        Assert.False(RawKey.TryParse(line.AsSpan(0, line.Length - 2), out _));
    }

    static byte[] Resummed(OpeningKeyFile file, Action<byte[]> alter)
    {
        var bytes = file.ToArray();
        alter(bytes);
        SHA256.HashData([.. Labels.KeyFile, .. bytes[..^32]]).CopyTo(bytes, bytes.Length - 32);
        return bytes;
    }
}
