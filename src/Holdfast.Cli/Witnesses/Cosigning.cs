using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;

namespace Holdfast.Cli.Witnesses;

/// <summary>Has a log's newest checkpoint cosigned by all its witnesses, and keeps what they give. Takes no lock of the vault and writes nothing to its log: no commit waits for it.</summary>
/// <param name="keeper">Of the log.</param>
/// <param name="witnesses">Those whose place is known.</param>
sealed class Cosigning(VaultKeeper keeper, IReadOnlyList<WitnessClient> witnesses)
{
    readonly Dictionary<CosignerKey, long> _seen = witnesses.ToDictionary(w => w.Key, w => keeper.Cosigned.Of(w.Key) is { } last && CosignedCheckpoints.Extends(keeper.Log, last) ? last.Size : 0);

    /// <summary>Asks all of them at once; one that does not answer costs the others nothing.</summary>
    /// <exception cref="HoldfastException"><c>LogForked</c>: a witness has denied this log before. What reading it, or keeping what was given, reports.</exception>
    public async Task<IReadOnlyList<(WitnessClient Witness, WitnessOutcome Outcome)>> RoundAsync(CancellationToken ct)
    {
        keeper.Refresh();
        if (keeper.WitnessFault is { } fault)
            throw fault; // one that has not seen the true history yet would cosign this one, and never the true one
        var outcomes = await AskAllAsync(ct);
        var before = keeper.Log.Size;
        if (outcomes.Any(o => o.Outcome is WitnessOutcome.Seen seen && seen.Size > before))
        {
            keeper.Refresh(); // another process may have had a newer one cosigned since
            if (keeper.Log.Size > before)
                outcomes = await AskAllAsync(ct);
        }
        var cosigned = outcomes.Select(o => o.Outcome).OfType<WitnessOutcome.Cosigned>().ToList();
        if (cosigned.Count > 0)
            keeper.Cosigned.Keep(cosigned.Skip(1).Aggregate(cosigned[0].Checkpoint, (all, more) => all.With(more.Checkpoint.CosignatureLines(keeper.Witnesses))));
        foreach (var seen in outcomes.Select(o => o.Outcome).OfType<WitnessOutcome.Seen>().Where(s => s.Theirs is not null))
            keeper.Cosigned.Keep(seen.Theirs!); // from here on nothing is signed over it
        return outcomes;
    }

    async Task<IReadOnlyList<(WitnessClient Witness, WitnessOutcome Outcome)>> AskAllAsync(CancellationToken ct)
    {
        var (tree, checkpoint) = (keeper.Log.Tree, keeper.Log.Checkpoint!.Reduced([keeper.Log.Key], []));
        keeper.MakeLogDurable(); // a commit that runs now has renamed it, and may not have synced it
        var outcomes = await Task.WhenAll(witnesses.Select(w => Task.Run(() => w.AskAsync(tree, checkpoint, _seen[w.Key], ct), ct)));
        for (var i = 0; i < outcomes.Length; i++)
        {
            if (outcomes[i] is WitnessOutcome.Cosigned cosigned)
                _seen[witnesses[i].Key] = cosigned.Checkpoint.Size;
        }
        return [.. witnesses.Zip(outcomes)];
    }
}
