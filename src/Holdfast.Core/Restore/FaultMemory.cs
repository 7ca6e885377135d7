using Holdfast.Core.Packs;

namespace Holdfast.Core.Restore;

/// <summary>What did not open, and why: reading it anew for each of its chunks would not end. Damage is remembered for good; what the next try may find otherwise, after some tries, for a time that doubles.</summary>
/// <param name="most">So many are remembered; then it begins anew.</param>
sealed class FaultMemory<T>(int most) where T : notnull
{
    const int Tries = 4;
    const int Doublings = 6; // of a second

    readonly Dictionary<T, (HoldfastException Fault, int Times, long Since)> _known = [];

    /// <summary>Why it is not to be tried now; null where it is.</summary>
    public HoldfastException? Of(T what) => _known.TryGetValue(what, out var known) && !IsDue(known.Fault, known.Times, known.Since) ? known.Fault : null;

    static bool IsDue(HoldfastException fault, int times, long since) =>
        PackReader.MayPass(fault) && (times < Tries || TimeProvider.System.GetElapsedTime(since) >= TimeSpan.FromSeconds(1 << Math.Min(times - Tries, Doublings)));

    public void Add(T what, HoldfastException fault)
    {
        var times = _known.TryGetValue(what, out var known) ? known.Times : 0;
        if (times == 0 && _known.Count >= most)
            _known.Clear();
        _known[what] = (fault, times + 1, TimeProvider.System.GetTimestamp());
    }
}
