using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Cli.Commands;

static class AttestCommand
{
    static readonly Argument<string?> Snapshot = new("SNAPSHOT") { Description = "Id, its first letters, or `latest`; without it, every snapshot not attested yet.", Arity = ArgumentArity.ZeroOrOne };
    static readonly Option<bool> FullOption = new("--full") { Description = "All contents, not a sample; very large files get their SHA-256." };

    public static Command Create() => Session.Command("attest", "Re-open snapshots from the vault and log whether they are what was signed.", command =>
    {
        command.Arguments.Add(Snapshot);
        command.Options.Add(FullOption);
        command.Options.Add(SnapshotArgument.NameOption);
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    static int Run(Session session)
    {
        var (vault, keys) = SnapshotArgument.OpenAll(session);
        using (vault)
        using (keys)
        {
            var full = session.Parsed.GetValue(FullOption);
            var records = session.Parsed.GetValue(Snapshot) is { } which
                ? [SnapshotArgument.Find(session, vault, keys, which)]
                : vault.State.Snapshots.Where(s => s is { IsRemoved: false, Object: not null } && (full ? !s.IsFullyAttested : s.Attested == 0)).ToList();
            var found = new List<(SnapshotRecord Record, AttestationObject Attestation)>();
            foreach (var record in records)
            {
                var attestation = vault.Attest(record, keys, full, Id16.None, session.Stop);
                found.Add((record, attestation));
                session.Line(string.Create(CultureInfo.InvariantCulture,
                    $"{Text.Id(record.Snapshot)}  {(attestation.IsGood ? "intact" : "DEFECTS")}: {attestation.Chunks:#,0} chunks placed in {attestation.Packs:#,0} packs, {Text.Bytes(attestation.BytesRead)} read ({(full ? "all" : "a sample")}), root {(attestation.RootMatches ? "as signed" : "NOT AS SIGNED")}"));
            }
            session.Json(w =>
            {
                w.WriteStartArray("attestations");
                foreach (var (record, attestation) in found)
                {
                    w.WriteStartObject();
                    w.WriteString("snapshot", record.Snapshot.ToString());
                    w.WriteBoolean("good", attestation.IsGood);
                    w.WriteBoolean("full", attestation.IsFull);
                    w.WriteBoolean("rootMatches", attestation.RootMatches);
                    w.WriteBoolean("packSetMatches", attestation.PackSetMatches);
                    w.WriteBoolean("sampleMatches", attestation.SampleMatches);
                    w.WriteNumber("chunks", attestation.Chunks);
                    w.WriteNumber("bytesRead", attestation.BytesRead);
                    w.WriteNumber("defects", attestation.Defects.Count);
                    w.WriteEndObject();
                }
                w.WriteEndArray();
            });
            if (records.Count == 0)
                session.Line("Every snapshot is attested already.");
            return found.TrueForAll(f => f.Attestation.IsGood) ? 0 : session.Fail(ErrorCode.RestoreMismatch, "A snapshot is not what was signed, or not all of it is there.",
                "The log has a record of it. Take another snapshot for restores, run `holdfast verify --full`, and find out which writer made this one.");
        }
    }
}
