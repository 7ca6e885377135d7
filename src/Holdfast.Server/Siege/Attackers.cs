using Holdfast.Cli.Siege;
using Holdfast.Core;

namespace Holdfast.Server.Siege;

/// <summary>The attack test (docs/design/0017-siege.md): builds the stage, sends each attacker's attacks, and takes everything down.</summary>
static class Attackers
{
    /// <summary>Tools that most rows need.</summary>
    static readonly string[] Needed = ["sh", "bash", "cp", "rm", "mv", "dd", "truncate", "find", "curl", "openssl"];

    public static SiegeReport Run(SiegeCall call, Action<string> note, Action<SiegeRow> done, CancellationToken ct)
    {
        if (Array.Find(Needed, t => !Tools.Has(t)) is { } missing)
            throw new HoldfastException(ErrorCode.SystemLimit, $"The attack test needs {missing}.", $"Install {string.Join(", ", Needed)} (Debian: bash coreutils findutils curl openssl), then run it again.");
        if (call.IsGuarded && !Tools.IsRoot)
            throw new HoldfastException(ErrorCode.NoPermission, "A guard runs as root, and so does its attack test.", "Run it with sudo; or without --guard, for a plain folder.");
        using var stage = new Stage(call, note, ct);
        var rows = new List<SiegeRow>();
        foreach (var attack in All(stage))
        {
            ct.ThrowIfCancellationRequested();
            SiegeRow row;
            try
            {
                row = attack.Run(stage.Tools);
            }
            catch (Exception e) when (e is HoldfastException or IOException or InvalidOperationException or System.Text.Json.JsonException)
            {
                row = new SiegeRow(attack.Id, attack.Credential, attack.Tries, attack.Expected, attack.Script, attack.ControlScript ?? attack.Script, attack.Control) { WhyNot = $"it could not be sent or judged: {e.Message}" };
            }
            rows.Add(row);
            done(row);
        }
        return new SiegeReport(call.Store is not null ? "a bucket with Object Lock" : call.IsGuarded ? "a folder with a guard" : "a folder", rows, NotTried(call));
    }

    /// <summary>Those that leave much behind come last.</summary>
    static IEnumerable<Attack> All(Stage stage) =>
        new StrangerAttacks(stage).All()
            .Concat(new AgentAttacks(stage).All())
            .Concat(new ClientAttacks(stage).All())
            .Concat(new ApproverAttacks(stage).All())
            .Concat(stage.IsInBucket ? Storage(stage) : OnFolders(stage))
            .Concat(stage.IsGuarded ? new OwnerAttacks(stage).All() : [])
            .Concat(new ClockAttacks(stage).All())
            .Concat(new FloodAttacks(stage).All())
            .Concat(new RootAttacks(stage).All());

    /// <summary>What is judged on vaults in folders alone: it would come out the same wherever the vault lies.</summary>
    static IEnumerable<Attack> OnFolders(Stage stage) =>
        new CommitAttacks(stage).All().Concat(new WitnessAttacks(stage).All()).Concat(new ControlAttacks(stage).All()).Concat(new LandingAttacks(stage).All());

    static IEnumerable<Attack> Storage(Stage stage)
    {
        using var storage = new StorageAttacks(stage);
        foreach (var attack in storage.All())
            yield return attack;
    }

    static List<string> NotTried(SiegeCall call)
    {
        List<string> all =
        [
            "the console's administrator: there is no console yet; the nearest are a client with the role `manage`, and what `holdfast serve` has, which are tried",
            "a configuration in use: the test attacks the vault that it makes, and no other",
            "holding all connections of a server: no control can show it on one machine without slowing everything there (RemoteGatewayTests, WitnessTests)",
            "an agent's trees that refer to chunks of others, beyond asking for them: no tool but ours writes trees (GatewayTests)",
            "jobs that an attacker with the control plane's database leaves out or calls done: dates of snapshots tell it (ServeTests)",
            "side channels, traffic analysis",
            "leaves forged with the log's key (StolenLogKeyTests, ForgedLeafTests, ApprovalTests): no tool but ours signs logs",
        ];
        if (call.Store is not null)
        {
            all.Add("forged, incomplete, replayed and poisoned commits, witnesses, the control plane, landings: judged the same on each store; see the attack test on a folder");
            all.Add("lifecycle rules, and removing the bucket itself (S3StoreTests)");
            all.Add("who administers the object store itself: removes everything there, by tools beside S3; a copy at a second site answers it");
            if (call.AttackerKey is null)
                all.Add("the bucket owner's credential: give it with --attacker-key");
        }
        else
        {
            all.Add("the object store's credentials: this vault lies in a folder; give --store");
        }
        if (call.Store is null && !call.IsGuarded)
            all.Add("the vault owner's password against a guard: give --guard, as root");
        return all;
    }
}
