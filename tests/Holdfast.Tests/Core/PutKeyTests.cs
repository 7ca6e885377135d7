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

    static void AssertAscending(PutKey put) =>
        Assert.All(put.SealingKeys.Zip(put.SealingKeys.Skip(1)), pair => Assert.True(SealingKey.Compare(pair.First, pair.Second) < 0));
}
