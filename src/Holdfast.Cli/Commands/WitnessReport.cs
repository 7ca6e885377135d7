using System.Text.Json;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Cli.Witnesses;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;

namespace Holdfast.Cli.Commands;

/// <summary>What a vault's witnesses have cosigned, and what they say of its log: for `status`, `log cosign` and `log verify`.</summary>
sealed class WitnessReport(Session session, Vault vault, KeyFolder keys)
{
    /// <summary>Seconds without a cosignature after which nobody outside can be said to have seen the log.</summary>
    const ulong Fresh = 86_400;

    readonly Dictionary<string, string> _told = [];

    VaultKeeper Keeper => vault.Keeper;
    MerkleLog Log => vault.Keeper.Log;
    static ulong Now => (ulong)Math.Max(0, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds());

    /// <summary>Witnesses whose place is known.</summary>
    public IReadOnlyList<WitnessClient> Known
    {
        get
        {
            var places = Keeper.WitnessPlaces;
            return [.. Keeper.Witnesses.Where(w => places.ContainsKey(w.ToString())).Select(w => new WitnessClient(w, places[w.ToString()]))];
        }
    }

    /// <exception cref="HoldfastException"><c>Usage</c>: there is none to ask.</exception>
    public void Require()
    {
        if (Keeper.Witnesses.Count == 0)
            throw new HoldfastException(ErrorCode.Usage, "This vault has no witnesses.", "They are named when a vault is made (`holdfast init --witness`), and never after: whoever owns this machine could name others.");
        if (Known.Count == 0)
            throw new HoldfastException(ErrorCode.Usage, "Where the vault's witnesses answer is not known.", "Write it into keeper/witnesses, a line each: a witness's verifier key, a blank, its URL. `holdfast status --json` has the keys.");
    }

    /// <summary>Tells what came of a round.</summary>
    /// <param name="outcomes">Of each witness.</param>
    /// <param name="isOnce">All of it; else what is new.</param>
    /// <returns>The exit status.</returns>
    public int Tell(IReadOnlyList<(WitnessClient Witness, WitnessOutcome Outcome)> outcomes, bool isOnce)
    {
        HoldfastException? worst = null;
        foreach (var (witness, outcome) in outcomes)
        {
            var (words, fault) = Judge(witness.Key, outcome);
            if (isOnce || _told.GetValueOrDefault(witness.Key.ToString()) != words)
            {
                if (fault is null)
                    session.Step($"{witness.Key.Name}: {words}");
                else if (!isOnce)
                    session.Warn($"holdfast: {fault.Message}\n  what to do: {fault.Guidance}");
                else
                    session.Warn($"holdfast: {witness.Key.Name}: {words}");
            }
            _told[witness.Key.ToString()] = isOnce || outcome is not WitnessOutcome.Cosigned ? words : "cosigned";
            if (fault is not null && (worst is null || worst.Code != ErrorCode.LogForked))
                worst = fault;
        }
        if (isOnce)
            session.Json(w => WriteAll(w));
        return worst is null || !isOnce ? 0 : session.Fail(worst.Code, worst.Message, worst.Guidance);
    }

    (string Words, HoldfastException? Fault) Judge(CosignerKey witness, WitnessOutcome outcome)
    {
        switch (outcome)
        {
            case WitnessOutcome.Cosigned cosigned:
                return ($"cosigned {Text.Count(cosigned.Checkpoint.Size, "leaf", "leaves")} on {Text.Time(cosigned.Checkpoint.CosignedAt(witness)!.Value)}", null);
            case WitnessOutcome.Seen seen:
                var fault = Contradiction(witness, seen.Size, seen.Theirs);
                return (fault.Message, fault);
            case WitnessOutcome.Away away:
                return (away.Why, new HoldfastException(ErrorCode.NotWitnessed, $"The witness {witness.Name} did not cosign: {away.Why}.", "See that it runs and can be reached from here (keeper/witnesses has its URL). Backups go on meanwhile; what is committed is cosigned when it is back."));
            default:
                throw new InvalidOperationException(outcome.GetType().Name);
        }
    }

    /// <summary>What a witness has seen, against the log here; both signed checkpoints are kept as evidence.</summary>
    HoldfastException Contradiction(CosignerKey witness, long size, Checkpoint? theirs)
    {
        if (theirs is null || !theirs.IsSignedBy(Log.Key))
            return new HoldfastException(ErrorCode.NotWitnessed, $"The witness {witness.Name} says that it has cosigned {Text.Count(size, "leaf", "leaves")} that this log does not go on from, and shows nothing that the log has signed.",
                "That is its word alone, and nothing is held against the log for it. Ask whoever runs it for the checkpoint that it cosigned, and compare: holdfast log verify --since FILE.");
        if (Keeper.Cosigned.IsGivenUp(theirs))
            return new HoldfastException(ErrorCode.NotWitnessed, $"The witness {witness.Name} has seen {Text.Count(theirs.Size, "leaf", "leaves")} of a history that was given up here (`holdfast log accept`): it will never cosign this log again.",
                "That is as it should be. Where cosignatures are wanted, go on with a new vault, made with witnesses that have not seen this one.");
        var evidence = Evidence(theirs);
        return new HoldfastException(ErrorCode.LogForked, (theirs.Size > Log.Size
            ? $"The log was PUT BACK: the witness {witness.Name} has cosigned {Text.Count(theirs.Size, "leaf", "leaves")} of it on {Text.Time(theirs.CosignedAt(witness) ?? 0)}, and it has {Log.Size}"
            : $"The log has TWO HISTORIES: the witness {witness.Name} has cosigned another root for its first {Text.Count(theirs.Size, "leaf", "leaves")} on {Text.Time(theirs.CosignedAt(witness) ?? 0)}") + $", with the log's own signature.{evidence}",
            "Treat it as an attack until shown otherwise: someone put an older or another log in its place. Take the vault off the network, keep both checkpoints, and compare with a copy of the vault elsewhere. Restoring from it goes on; what is missing came after. A copy made while a backup ran shows the same: copy the log again, and look again. "
            + "Did you yourself bring back an older copy? `holdfast log accept` (docs/errors.md, LogForked).");
    }

    string Evidence(Checkpoint theirs)
    {
        if (!keys.IsGiven || keys.IsAway)
            return "";
        try
        {
            return $" Both signed checkpoints are kept as evidence, {new LogMemory(keys.Folder).KeepEvidence(Log.Checkpoint!, theirs)}.";
        }
        catch (HoldfastException e)
        {
            return $" Both signed checkpoints could not be kept in the key folder ({e.Code}).";
        }
    }

    /// <summary>Checks what is kept here, asks the witnesses what they saw last, and tells both.</summary>
    /// <param name="named">Witnesses to ask besides, by whose keys somebody outside goes.</param>
    /// <param name="isAsking">False: what is kept here only.</param>
    /// <returns>The worst of it; null where all is well, or there are no witnesses.</returns>
    public HoldfastException? Verify(IReadOnlyList<WitnessClient> named, bool isAsking)
    {
        if (Keeper.Witnesses.Count == 0 && named.Count == 0)
            return null;
        var asked = isAsking ? Known.Where(k => !named.Any(n => n.Key.ToString() == k.Key.ToString())).Concat(named).ToList() : [];
        var answers = Task.WhenAll(asked.Select(w => Task.Run(() => w.LatestAsync(Log.Key.Name, session.Stop), session.Stop))).GetAwaiter().GetResult();
        if (answers.Any(a => a.Latest?.Size > Log.Size) && Keeper.LogFault is null)
            Keeper.Refresh(); // a commit may have been cosigned since it was opened here
        HoldfastException? worst = null;
        ulong latest = 0;
        foreach (var (witness, place, kept) in Keeper.Witnesses.Select(w => (w, asked.FindIndex(a => a.Key.ToString() == w.ToString()), Keeper.Cosigned.Of(w)))
            .Concat(named.Where(n => !Keeper.Witnesses.Any(w => w.ToString() == n.Key.ToString())).Select(n => (n.Key, asked.IndexOf(n), (Checkpoint?)null))).ToList())
        {
            var shown = place >= 0 ? answers[place].Latest : null;
            foreach (var seen in new[] { kept, shown }.OfType<Checkpoint>())
            {
                if (!CosignedCheckpoints.Extends(Log, seen) || !seen.IsSignedBy(Log.Key))
                    Take(Contradiction(witness, seen.Size, seen));
                else
                    latest = Math.Max(latest, seen.CosignedAt(witness) ?? 0);
            }
            if (shown is not null && kept is not null && CosignedCheckpoints.Extends(Log, shown) && shown.Size < kept.Size)
                session.Warn($"holdfast: the witness {witness.Name} has gone back itself: it cosigned {kept.Size} leaves, and shows {shown.Size} as its latest. Its cosignatures say less than they should; tell whoever runs it");
            session.Step($"Witness {witness.Name}: {(shown ?? kept) switch { { } last => $"cosigned {Text.Count(last.Size, "leaf", "leaves")} on {Text.Time(last.CosignedAt(witness) ?? 0)}", _ => "has cosigned nothing that is known here" }}{(shown is not null ? "" : place >= 0 ? $"; asked now: {answers[place].Why}" : "; not asked")}.");
        }
        session.Json(w => WriteAll(w));
        if (worst is null && Frozen(latest) is { } frozen)
            Take(frozen);
        else if (worst is null)
            TellTimes(latest);
        return worst;

        void Take(HoldfastException fault)
        {
            if (worst is null || (fault.Code == ErrorCode.LogForked && worst.Code != ErrorCode.LogForked))
                worst = fault;
        }
    }

    /// <summary>Nobody outside has seen the log for long: it may be an older state that is shown here, while the true one goes on, or was put away.</summary>
    HoldfastException? Frozen(ulong latest) => latest + Fresh > Now || (latest == 0 && vault.State.Genesis!.Created + Fresh > Now) ? null : new HoldfastException(ErrorCode.NotWitnessed,
        $"{(latest == 0 ? "No witness has ever cosigned this log" : $"No witness has cosigned this log since {Text.Time(latest)}")}: whether it was put back to an older state since then cannot be told.",
        "See that `holdfast log cosign --every 5m` runs beside the backups, and that the witnesses can be reached. Compare with what they show from another machine (holdfast log verify --witness KEY=URL).");

    /// <summary>What the two clocks make of each other: none of it is a fault by itself.</summary>
    void TellTimes(ulong latest)
    {
        if (latest > Now + Fresh)
            session.Warn($"holdfast: a witness cosigned on {Text.Time(latest)}, by its clock; this machine says {Text.Time(Now)}. One of the two clocks is wrong");
        if (vault.State.LatestTime is var last && latest > last + Fresh)
            session.Step($"The log has not grown since {Text.Time(last)}, as its witnesses saw until {Text.Time(latest)}: nothing was backed up in between.");
    }

    /// <summary>What to tell of the witnesses in `status`, as of now and without asking them; null where nothing stands in the way.</summary>
    public Problem? Problem() => Keeper.Witnesses.Count > 0 && Keeper.Closed is null
        && Frozen(Keeper.Witnesses.Max(w => Keeper.Cosigned.Of(w) is { } last && CosignedCheckpoints.Extends(Log, last) ? last.CosignedAt(w) : null) ?? 0) is { } frozen ? new(frozen.Code, frozen.Message.TrimEnd('.'), frozen.Guidance) { IsOfNote = true } : null;

    public IEnumerable<string> Lines()
    {
        foreach (var witness in Keeper.Witnesses)
        {
            if (Keeper.Cosigned.Of(witness) is not { } last)
                yield return $"{witness.Name}: NEVER COSIGNED";
            else if (!CosignedCheckpoints.Extends(Log, last))
                yield return $"{witness.Name}: has cosigned {Text.Count(last.Size, "leaf", "leaves")} that are NOT THIS LOG";
            else
                yield return $"{witness.Name}: {Text.Count(last.Size, "leaf", "leaves")} {Ago(last.CosignedAt(witness)!.Value)}; {(Open(last.Size) is var open and > 0 ? $"{Text.Count(open, "commit")} not yet cosigned" : "every commit is cosigned")}";
        }
    }

    static string Ago(ulong time) => time > Now ? $"on {Text.Time(time)}, by its clock" : $"{Text.Duration(TimeSpan.FromSeconds(Now - time))} ago, on {Text.Time(time)}";

    /// <summary>Commits that a checkpoint of so many leaves does not cover.</summary>
    int Open(long size) => vault.State.Snapshots.Count(s => (long)s.Ordinal >= size);

    public void WriteAll(Utf8JsonWriter w)
    {
        w.WriteStartArray("witnesses");
        var places = Keeper.WitnessPlaces;
        foreach (var witness in Keeper.Witnesses)
        {
            var last = Keeper.Cosigned.Of(witness);
            w.WriteStartObject();
            w.WriteString("name", witness.Name);
            w.WriteString("key", witness.ToString());
            if (places.TryGetValue(witness.ToString(), out var url))
                w.WriteString("url", url.ToString());
            if (last is not null)
            {
                w.WriteNumber("size", last.Size);
                w.WriteString("cosigned", Text.Iso(last.CosignedAt(witness)!.Value));
                w.WriteNumber("ageSeconds", Now - Math.Min(Now, last.CosignedAt(witness)!.Value));
                w.WriteBoolean("ofThisLog", CosignedCheckpoints.Extends(Log, last));
            }
            w.WriteNumber("commitsNotCosigned", Open(last is not null && CosignedCheckpoints.Extends(Log, last) ? last.Size : 0));
            w.WriteEndObject();
        }
        w.WriteEndArray();
    }
}
