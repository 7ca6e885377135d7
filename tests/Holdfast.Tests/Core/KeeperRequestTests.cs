using CsCheck;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Retention;

namespace Holdfast.Tests.Core;

public sealed class KeeperRequestTests
{
    static readonly Id16 One = Id16.New();
    static readonly Id16 Two = Id16.New();

    public static readonly KeeperRequest[] All =
    [
        new KeeperRequest.Commit([1, 2, 3]),
        new KeeperRequest.Extend(One, 1_900_000_000, Two),
        new KeeperRequest.SetPolicy(One, new PolicyChange(Base: 86_400, Months: uint.MaxValue, LockedQuota: ulong.MaxValue), Two),
        new KeeperRequest.SetPolicy(Id16.None, default, Id16.None),
        new KeeperRequest.Decide([4, 5]),
        new KeeperRequest.Hold([One, Two], HoldChange.Longer, 1_900_000_000, Two),
        new KeeperRequest.Record(LeafType.Restore, One, Two, 1, ulong.MaxValue, 3, []),
        new KeeperRequest.Record(LeafType.AgentEnrolled, One, Two, 1, 0, 0, [9, 8]),
        new KeeperRequest.RecordAttestation(One, Two, [5], [Hash32.None, VaultKeeper.Salt()]),
        new KeeperRequest.RequireWritable(),
        new KeeperRequest.EnterErasure([6, 7], [8]),
        new KeeperRequest.EnterEmergency([9]),
        new KeeperRequest.Mark(One, Two),
    ];

    [Fact]
    public void What_is_written_is_read_as_it_was_and_nothing_shorter_or_longer_is()
    {
        foreach (var request in All)
        {
            var bytes = request.ToArray();
            Assert.True(KeeperRequest.TryParse(bytes, out var read));
            Assert.Equal(request.GetType(), read.GetType());
            Assert.Equal(bytes, read.ToArray());
            for (var length = 0; length < bytes.Length; length++)
                Assert.False(KeeperRequest.TryParse(bytes.AsSpan(0, length), out _));
            Assert.False(KeeperRequest.TryParse([.. bytes, 0], out _));
            Assert.False(KeeperRequest.TryParse([2, .. bytes[1..]], out _));
        }
    }

    [Fact]
    public void Any_bytes_are_a_request_or_none() => Gen.Select(Gen.Byte[0, 12], Gen.Byte.Array[0, 300]).Sample((kind, rest) =>
    {
        byte[] bytes = [1, kind, .. rest];
        if (KeeperRequest.TryParse(bytes, out var request))
            Assert.True(KeeperRequest.TryParse(request.ToArray(), out _));
    });

    [Fact]
    public void A_count_beyond_what_is_there_takes_no_memory()
    {
        var bytes = new KeeperRequest.RecordAttestation(One, Two, [], []).ToArray();
        Assert.False(KeeperRequest.TryParse([.. bytes[..^1], 0xFF, 0xFF, 0xFF, 0xFF, 0x07], out _));
    }
}
