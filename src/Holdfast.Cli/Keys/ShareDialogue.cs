using Holdfast.Core;
using Holdfast.Core.Crypto;

namespace Holdfast.Cli.Keys;

/// <summary>Asks for the lines of printed shares until there are enough. What is wrong with a line is said at once, and only that line is asked for again.</summary>
/// <param name="ask">Shows a question and gives the answer; null at the end of the input.</param>
/// <param name="tell">Shows a line.</param>
sealed class ShareDialogue(Func<string, string?> ask, Action<string> tell)
{
    /// <returns>Enough different shares of one set.</returns>
    /// <exception cref="HoldfastException"><c>SharesTooFew</c> where the input ends before.</exception>
    public List<RecoveryShare> Run()
    {
        tell("Type the seven lines of a share from its paper, one at a time and in any order, each ended by Enter; or scan its square code.");
        tell("Small letters will do. Ctrl+C ends this; nothing is written before there are enough shares.");
        var shares = new List<RecoveryShare>();
        while (shares.Count == 0 || shares.Count < shares[0].Threshold)
        {
            var share = One(shares);
            if (shares.Find(s => s.IsSameSet(share)) is null && shares.Count > 0)
                tell($"This is {share}; it does not go with the others, which are of set {shares[0].SetId:x16}. Take a share that was printed with them.");
            else if (shares.Exists(s => s.Index == share.Index))
                tell($"Share {share.Index} is here already. Take another one.");
            else
            {
                tell($"Share {share.Index} of {share.Total} is right. Its check words are: {share.Words}");
                tell("  Compare them with the paper.");
                shares.Add(share);
                var missing = share.Threshold - shares.Count;
                tell(missing == 0 ? $"That is enough: {shares.Count} of {share.Total}." : $"{missing} more {(missing == 1 ? "share is" : "shares are")} needed.");
                continue;
            }
            share.Dispose();
        }
        return shares;
    }

    RecoveryShare One(List<RecoveryShare> have)
    {
        var entry = new ShareEntry();
        while (true)
        {
            var missing = entry.Missing;
            var typed = ask($"{(have.Count == 0 ? "First" : "Next")} share, {(missing.Count == 1 ? "line" : "lines")} {string.Join(' ', missing)} to come: ") ?? throw TooFew(have);
            if (typed.Length == 0)
                continue;
            if (typed.StartsWith("HOLDFAST", StringComparison.OrdinalIgnoreCase))
            {
                if (RecoveryShare.TryParse(typed, out var scanned, out var wrong))
                    return scanned;
                if (typed.Contains(':', StringComparison.Ordinal)) // else it is the first line of the print
                    tell($"  {wrong}");
                continue;
            }
            if (entry.Add(typed, out var line) is { } fault)
            {
                tell($"  {fault} Type this line again.");
                continue;
            }
            if (entry.Missing.Count > 0)
            {
                tell($"  Line {line} is right.");
                continue;
            }
            if (entry.TryFinish(out var share, out var all))
                return share;
            tell($"  {all} Begin this share again.");
            entry = new ShareEntry();
        }
    }

    static HoldfastException TooFew(List<RecoveryShare> have)
    {
        foreach (var share in have)
            share.Dispose();
        return new HoldfastException(ErrorCode.SharesTooFew, $"The input ended with {have.Count} whole {(have.Count == 1 ? "share" : "shares")}{(have.Count > 0 ? $" of {have[0].Threshold} that are needed" : "")}; nothing was written.",
            "Run the command again when enough holders are there.");
    }
}
