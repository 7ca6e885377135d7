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
            return [.. Keeper.Witnesses.Where(w => places.ContainsKey(w.ToString())).Take(Core.Approvals.ApprovalRequest.MostWitnesses).Select(w => session.Network.Witness(w, places[w.ToString()]))];
        }
    }

    /// <exception cref="HoldfastException"><c>Usage</c>: there is none to ask.</exception>
    public void Require()
    {
        if (Keeper.Witnesses.Count == 0)
            throw new HoldfastException(ErrorCode.Usage, "This vault has no witnesses.", "They are named when a vault is made (`holdfast init --witness`), or by its approvers (`holdfast approval request witnesses`): whoever owns this machine could name others.");
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
            case WitnessOutcome.Seen { Theirs: { } theirs } when theirs.IsSignedBy(Log.Key) && Fits(theirs):
                return ($"cosigned {Text.Count(theirs.Size, "leaf", "leaves")} on {Text.Time(theirs.CosignedAt(witness) ?? 0)}, for another process", null);
            case WitnessOutcome.Seen { Theirs: { } theirs } when theirs.IsSignedBy(Log.Key) && Keeper.Cosigned.IsGivenUp(theirs):
                var given = GivenUp(witness, theirs);
                return (given.Message, given);
            case WitnessOutcome.Seen seen:
                var fault = Contradiction(witness, seen.Size, seen.Theirs, isNamed: false);
                return (fault.Message, fault);
            case WitnessOutcome.Away away:
                return (away.Why, new HoldfastException(ErrorCode.NotWitnessed, $"The witness {witness.Name} did not cosign: {away.Why}.", "See that it runs and can be reached from here (keeper/witnesses has its URL). Backups go on meanwhile; what is committed is cosigned when it is back."));
            default:
                throw new InvalidOperationException(outcome.GetType().Name);
        }
    }

    /// <summary>For who has the vault written to. Whoever checks it is told of both histories all the same: the files that say so are signed by nobody.</summary>
    static HoldfastException GivenUp(CosignerKey witness, Checkpoint theirs) => new(ErrorCode.NotWitnessed,
        $"The witness {witness.Name} has seen {Text.Count(theirs.Size, "leaf", "leaves")} of a history that was given up here (`holdfast log accept`): it will never cosign this log again.",
        "That is as it should be. Where cosignatures are wanted, go on with a new vault, made with witnesses that have not seen this one.");

    /// <summary>What a witness has seen, against the log here; both signed checkpoints are kept as evidence.</summary>
    /// <param name="witness">Which.</param>
    /// <param name="size">Leaves that it says it cosigned.</param>
    /// <param name="theirs">What it shows of them.</param>
    /// <param name="isNamed">Somebody outside goes by this witness: what it cosigned by this origin counts, whoever has signed it as the log, for which key that is only the vault here says.</param>
    HoldfastException Contradiction(CosignerKey witness, long size, Checkpoint? theirs, bool isNamed)
    {
        if (theirs is null || (!isNamed && !theirs.IsSignedBy(Log.Key)))
            return new HoldfastException(ErrorCode.NotWitnessed, $"The witness {witness.Name} says that it has cosigned {Text.Count(size, "leaf", "leaves")} that this log does not go on from, and shows nothing that the log has signed.",
                "That is its word alone, and nothing is held against the log for it. Ask whoever runs it for the checkpoint that it cosigned, and compare: holdfast log verify --since FILE.");
        var evidence = Evidence(theirs) + (Keeper.Cosigned.IsGivenUp(theirs) ? " Files beside the log say that a person accepted this (`holdfast log accept`); nobody has signed them." : "");
        return new HoldfastException(ErrorCode.LogForked, (theirs.Size > Log.Size
            ? $"The log was PUT BACK: the witness {witness.Name} has cosigned {Text.Count(theirs.Size, "leaf", "leaves")} of it on {Text.Time(theirs.CosignedAt(witness) ?? 0)}, and it has {Log.Size}"
            : $"The log has TWO HISTORIES: the witness {witness.Name} has cosigned another root for its first {Text.Count(theirs.Size, "leaf", "leaves")} on {Text.Time(theirs.CosignedAt(witness) ?? 0)}") + $", with {(theirs.IsSignedBy(Log.Key) ? "the log's own signature" : "a signature of another log key than this vault names")}.{evidence}",
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
    /// <param name="named">By whose keys somebody outside goes: only these are asked then, and each of them has to show the log as of now, whatever the vault says of its witnesses.</param>
    /// <param name="isAsking">False: what is kept here only.</param>
    /// <returns>The worst of it; null where all is well, or there are no witnesses.</returns>
    public HoldfastException? Verify(IReadOnlyList<WitnessClient> named, bool isAsking)
    {
        if (named.Count > Core.Approvals.ApprovalRequest.MostWitnesses || (named.Count > 0 && !isAsking))
            throw new HoldfastException(ErrorCode.Usage, isAsking ? "--witness names too many witnesses." : "--witness has a witness asked, and --offline has none.", isAsking ? $"{Core.Approvals.ApprovalRequest.MostWitnesses} at most." : "Leave one of them out.");
        if (Keeper.Witnesses.Count == 0 && named.Count == 0)
            return null;
        if (Keeper.Remote is not null && named.Count == 0)
        {
            session.Step("Its witnesses are asked where the vault is kept; to have them asked from here, name them (--witness KEY=URL).");
            return null;
        }
        var kept = Keeper.Witnesses.DistinctBy(w => w.ToString()).ToDictionary(w => w.ToString(), Keeper.Cosigned.Of); // first: what is shown later is newer then
        var asked = named.Count > 0 ? named.DistinctBy(n => n.Key.ToString()).ToList() : isAsking ? Known : [];
        var answers = Task.WhenAll(asked.Select(w => Task.Run(() => w.LatestAsync(Log.Key.Name, session.Stop), session.Stop))).GetAwaiter().GetResult();
        var shown = asked.Zip(answers).ToDictionary(a => a.First.Key.ToString(), a => a.Second);
        HoldfastException? worst = null;
        var times = new List<WitnessTime>();
        foreach (var witness in Keeper.Witnesses.Concat(named.Select(n => n.Key)).DistinctBy(w => w.ToString()))
        {
            var (before, isAsked, isNamed) = (kept.GetValueOrDefault(witness.ToString()), shown.TryGetValue(witness.ToString(), out var answer), named.Any(n => n.Key.ToString() == witness.ToString()));
            var now = answer.Latest;
            ulong latest = 0;
            foreach (var seen in new[] { before, now }.OfType<Checkpoint>())
            {
                if (Keeper.Denies(seen))
                    Take(Contradiction(witness, seen.Size, seen, isNamed));
                else if (!CosignedCheckpoints.Extends(Log, seen))
                    session.Warn($"holdfast: the witness {witness.Name} has cosigned {Text.Count(seen.Size, "leaf", "leaves")}; whether this log goes on from them cannot be told while it is damaged");
                else if (!seen.IsSignedBy(Log.Key))
                    Take(Contradiction(witness, seen.Size, seen, isNamed: false));
                else if (!isNamed || seen == now)
                    latest = Math.Max(latest, seen.CosignedAt(witness) ?? 0);
            }
            if (now is not null && before is not null && CosignedCheckpoints.Extends(Log, now) && now.Size < before.Size)
                session.Warn($"holdfast: the witness {witness.Name} has gone back itself: it cosigned {before.Size} leaves, and shows {now.Size} as its latest. Its cosignatures say less than they should; tell whoever runs it");
            session.Step($"Witness {witness.Name}: {(now ?? before) switch { { } last => $"cosigned {Text.Count(last.Size, "leaf", "leaves")} on {Text.Time(last.CosignedAt(witness) ?? 0)}", _ => "has cosigned nothing that is known here" }}{(now is not null ? "" : isAsked ? $"; asked now: {answer.Why}" : "; not asked")}.");
            if (isNamed || named.Count == 0)
                times.Add(new WitnessTime(witness, latest, isNamed));
        }
        session.Json(w => WriteAll(w));
        if (worst is null && Frozen(times) is { } frozen)
            Take(frozen);
        else if (worst is null)
            TellTimes(times.Max(t => t.Latest));
        return worst;

        void Take(HoldfastException fault)
        {
            if (worst is null || (fault.Code == ErrorCode.LogForked && worst.Code != ErrorCode.LogForked))
                worst = fault;
        }
    }

    /// <summary>When a witness cosigned this log last, by its clock; 0 for never.</summary>
    /// <param name="Witness">Which.</param>
    /// <param name="Latest">Seconds since 1970.</param>
    /// <param name="IsNamed">Somebody goes by it: that the vault is new is no excuse.</param>
    readonly record struct WitnessTime(CosignerKey Witness, ulong Latest, bool IsNamed);

    /// <summary>A witness that has not seen the log for long: it may be an older state that is shown here, while the true one goes on, or was put away. Each is judged by itself, for one that goes along
    /// with whoever does that must not hide that the others are kept away; and a time that has yet to come says nothing of today.</summary>
    HoldfastException? Frozen(IReadOnlyList<WitnessTime> times)
    {
        var now = Now;
        var stale = times.Where(t => t.Latest > now + Fresh || (t.Latest + Fresh <= now && (t.IsNamed || t.Latest > 0 || vault.State.Genesis!.Created + Fresh <= now))).ToList();
        if (stale.Count == 0)
            return null;
        var isAhead = stale.Exists(t => t.Latest > now + Fresh);
        var latest = stale.Max(t => t.Latest);
        var words = stale.Count == times.Count && !isAhead && !stale[0].IsNamed ? latest == 0 ? "No witness has ever cosigned this log" : $"No witness has cosigned this log since {Text.Time(latest)}"
            : string.Join("; ", stale.Select(t => t.Latest > now + Fresh ? $"the witness {t.Witness.Name} cosigned this log on {Text.Time(t.Latest)}, by its clock, and this machine says {Text.Time(now)}"
                : t.IsNamed && t.Latest == 0 ? $"the witness {t.Witness.Name} does not show that it cosigned this log"
                : t.Latest == 0 ? $"the witness {t.Witness.Name} has never cosigned this log" : $"the witness {t.Witness.Name} has not cosigned this log since {Text.Time(t.Latest)}"));
        return new HoldfastException(ErrorCode.NotWitnessed, $"{char.ToUpperInvariant(words[0])}{words[1..]}: whether it was put back to an older state since then cannot be told{(stale.Count < times.Count ? " by that" : "")}.{(isAhead ? " One of the two clocks is wrong." : "")}",
            (isAhead ? "Set the clock that is wrong; a witness's times never go back, so where it was the witness's, this lasts until that time has come. " : "")
            + "See that `holdfast log cosign --every 5m` runs beside the backups, and that the witnesses can be reached. Compare with what they show from another machine (holdfast log verify --witness KEY=URL).");
    }

    /// <summary>That the log stands still is no fault by itself.</summary>
    void TellTimes(ulong latest)
    {
        if (vault.State.LatestTime is var last && latest > last + Fresh)
            session.Step($"The log has not grown since {Text.Time(last)}, as its witnesses saw until {Text.Time(latest)}: nothing was backed up in between.");
    }

    /// <summary>What to tell of the witnesses in `status`, as of now and without asking them; null where nothing stands in the way.</summary>
    public Problem? Problem() => Keeper.Remote is null && Keeper.Witnesses.Count > 0 && Keeper.Closed is null
        && Frozen([.. Keeper.Witnesses.Select(w => new WitnessTime(w, Keeper.Cosigned.Of(w) is { } last && Fits(last) ? last.CosignedAt(w) ?? 0 : 0, IsNamed: false))]) is { } frozen ? new(frozen.Code, frozen.Message.TrimEnd('.'), frozen.Guidance) { IsOfNote = true } : null;

    /// <summary>This log goes on from it, as it lies there by now.</summary>
    bool Fits(Checkpoint seen) => !Keeper.Denies(seen) && CosignedCheckpoints.Extends(Log, seen);

    public IEnumerable<string> Lines()
    {
        foreach (var witness in Keeper.Witnesses)
        {
            if (Keeper.Remote is not null)
                yield return $"{witness.Name}: what it has cosigned, `holdfast status` says where the vault is kept";
            else if (Keeper.Cosigned.Of(witness) is not { } last)
                yield return $"{witness.Name}: NEVER COSIGNED";
            else if (!Fits(last))
                yield return !Keeper.Denies(last) ? $"{witness.Name}: has cosigned {Text.Count(last.Size, "leaf", "leaves")}, more than can be read of this log" : $"{witness.Name}: has cosigned {Text.Count(last.Size, "leaf", "leaves")} that are NOT THIS LOG";
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
                w.WriteBoolean("ofThisLog", Fits(last));
            }
            w.WriteNumber("commitsNotCosigned", Open(last is not null && Fits(last) ? last.Size : 0));
            w.WriteEndObject();
        }
        w.WriteEndArray();
    }
}
