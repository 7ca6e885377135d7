using Holdfast.Core;
using Holdfast.Core.Keys;

namespace Holdfast.Tests.Core;

public sealed class PutKeyTests
{
    [Fact]
    public void Sealing_keys_are_ascending_wherever_a_put_key_comes_from()
    {
        using var test = new TestVault();
        AssertAscending(test.Keys.Put);
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var next = new byte[test.Seed.Span.Length];
        var (_, rotated) = vault.Rotate(keys, test.Keys.Put, (seed, _) => seed.Span.CopyTo(next));
        Assert.Equal(2 * test.Keys.Put.SealingKeys.Count, rotated!.SealingKeys.Count);
        AssertAscending(rotated!);
        using var seed = new Holdfast.Core.Crypto.SecretBytes(next);
        using var newest = vault.Unlock(seed);
        var (issued, agent) = vault.IssueKeys(newest, (_, _) => { });
        using (issued)
        using (agent)
            AssertAscending(issued);
        var turned = rotated! with { SealingKeys = [.. rotated!.SealingKeys.Reverse()] };
        Assert.Equal(rotated.ToText(), turned.ToText());
        using var read = PutKey.Parse(turned.ToText());
        AssertAscending(read);
    }

    /// <summary>What nobody could open any more is not made: backups would go on sealing to it.</summary>
    [Fact]
    public void A_keyring_that_no_reader_takes_is_not_made()
    {
        using var test = new TestVault();
        using var vault = test.Open();
        using var keys = vault.Unlock(test.Seed);
        var seeds = Enumerable.Range(1, Keyring.MaxEarlierSeeds).ToDictionary(e => (uint)e, _ => test.Seed);
        var last = (uint)Keyring.MaxEarlierSeeds + 1;
        Assert.True(Keyring.TryParse(Create(), out var keyring));
        Assert.True(keyring!.TryOpen(test.Seed, out _, out var earlier));
        Assert.Equal(seeds.Count, earlier.Count);
        Assert.Equal(ErrorCode.KeyringFull, Assert.Throws<HoldfastException>(keyring.RequireRoom).Code);
        (keyring with { Epoch = last - 1 }).RequireRoom();
        seeds[last++] = test.Seed;
        Assert.Equal(ErrorCode.KeyringFull, Assert.Throws<HoldfastException>(Create).Code);

        byte[] Create() => Keyring.Create(vault.Id, last, 1, test.Seed, keys.Keyring.SealingKeys, keys.Domains, seeds);
    }

    static void AssertAscending(PutKey put) =>
        Assert.All(put.SealingKeys.Zip(put.SealingKeys.Skip(1)), pair => Assert.True(SealingKey.Compare(pair.First, pair.Second) < 0));
}
