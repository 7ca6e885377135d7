using System.CommandLine;
using Holdfast.Cli.Siege;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

/// <summary>The attack test: what it is told, and how its rows are shown. All else of it is the other program's.</summary>
static class SiegeCommand
{
    static readonly Option<bool> GuardOption = new("--guard") { Description = "The vault has a guard, as root, and belongs to another user: what that user's password is good for (Linux, root)." };
    static readonly Option<string?> StoreOption = new("--store") { Description = "The vault's packs lie in a bucket with Object Lock, s3:https://HOST/BUCKET/PREFIX; what is written there stays until its lock of two days is over.", HelpName = "PLACE" };
    static readonly Option<string?> StoreKeyOption = new("--store-key") { Description = "File with two lines, access key id and secret access key of the keeper's own user of that bucket.", HelpName = "FILE" };
    static readonly Option<string?> AttackerKeyOption = new("--attacker-key") { Description = "The same of the bucket's owner, in an attacker's hands. With either credential, buckets for the controls are made, and removed again.", HelpName = "FILE" };
    static readonly Option<string?> FolderOption = new("--folder") { Description = "Where it is built up, and removed again; default: the system's temporary folder.", HelpName = "FOLDER" };

    public static Command Create() => Session.Command("siege", """
        Attack test: try what stolen credentials are good for, on a small vault that is made for it and thrown away.
        Keeper, gateway and agents run as processes of their own, on this machine alone. Attacks are sent with tools that are not Holdfast's (rm, mv, chattr, curl, openssl), and judged by what the vault holds afterwards.
        Beside each stands its control: the same attack where nothing is in its way has to succeed in the same run, or the row is void. No vault of yours is touched.
        Exit status: 0 all as expected; 1 something was not, or a row is void; 3 some rows could not run here, and are listed.
        """, command =>
    {
        foreach (var option in new Option[] { GuardOption, StoreOption, StoreKeyOption, AttackerKeyOption, FolderOption })
            command.Options.Add(option);
    }, Run);

    static int Run(Session session)
    {
        if (!OperatingSystem.IsLinux())
            throw new HoldfastException(ErrorCode.Usage, "The attack test needs Linux: its tools are that system's.", "Run it on the machine of the keeper, or on any other with Linux.");
        var call = new SiegeCall(session.Parsed.GetValue(GuardOption), session.Parsed.GetValue(StoreOption), session.Parsed.GetValue(StoreKeyOption), session.Parsed.GetValue(AttackerKeyOption), session.Parsed.GetValue(FolderOption));
        if (call.Store is null != call.StoreKey is null || (call.Store is null && call.AttackerKey is not null))
            throw new HoldfastException(ErrorCode.Usage, "A bucket needs its credential.", "Give --store and --store-key together; --attacker-key with them.");
        if (call is { Store: not null, IsGuarded: true })
            throw new HoldfastException(ErrorCode.Usage, "A guard is for vaults in folders; a bucket locks by itself.", "Run the attack test twice: once with --guard, once with --store.");
        session.Network.Require();
        var isFirst = true;
        var report = session.Network.Besiege(call, text => session.Note($"holdfast: {text}"), row =>
        {
            if (isFirst)
                session.Line("Attack test\n");
            if (isFirst)
                session.Line($"{"attack",-Widest}{"credential",-Owner}{"expected",-Word}{"seen",-Word}verdict");
            isFirst = false;
            Show(session, row);
        }, session.Stop);
        session.Json(w =>
        {
            w.WriteString("test", "attack test");
            w.WriteString("store", report.Store);
            w.WriteNumber("asExpected", report.Count(Verdict.AsExpected));
            w.WriteNumber("notAsExpected", report.Count(Verdict.NotAsExpected));
            w.WriteNumber("void", report.Count(Verdict.Void));
            w.WriteNumber("notRun", report.Count(Verdict.NotRun));
            w.WriteStartArray("rows");
            foreach (var row in report.Rows)
                Write(w, row);
            w.WriteEndArray();
            w.WriteStartArray("notTried");
            foreach (var text in report.NotTried)
                w.WriteStringValue(text);
            w.WriteEndArray();
        });
        session.Line();
        session.Line($"Attack test on {report.Store}: {report.Count(Verdict.AsExpected)} as expected, {report.Count(Verdict.NotAsExpected)} not, {report.Count(Verdict.Void)} void, {report.Count(Verdict.NotRun)} not run.");
        foreach (var row in report.Rows.Where(r => r.WhyNot is not null))
            session.Line($"  not run: {row.Id}: {row.WhyNot}");
        session.Line("Not tried:");
        foreach (var text in report.NotTried)
            session.Line($"  {text}");
        return report.Status;
    }

    const int Widest = 26; // columns
    const int Owner = 28;
    const int Word = 19;

    static void Show(Session session, SiegeRow row)
    {
        session.Line($"{row.Id,-Widest}{row.Credential,-Owner}{Words(row.Expected),-Word}{Words(row),-Word}{Words(row.Verdict)}");
        session.Step($"  {row.Tries}");
        if (row.Seen is { } seen)
            session.Step($"    seen: {seen.Words}");
        if (row.Answer is { } answer)
            session.Step($"    {(answer.IsHarm ? "NOT ANSWERED" : "answered")}: {answer.Words}");
        if (row.ControlSeen is { } control)
            session.Step($"    control, {row.Control}: {(row.IsControlled ? "succeeds" : "FAILS")}: {control.Words}");
        if (row.Verdict is Verdict.NotAsExpected or Verdict.Void)
            session.Step($"    sent: {row.Command.ReplaceLineEndings("; ")}");
    }

    static string Words(Expectation expected) => expected switch
    {
        Expectation.Refused => "refused",
        Expectation.Detected => "detected",
        _ => "succeeds: stated",
    };

    static string Words(SiegeRow row) => row.Outcome switch
    {
        Outcome.NotRun => "not run",
        Outcome.Refused => "refused",
        Outcome.Detected => row.Expected == Expectation.Stated ? "succeeds, detected" : "detected",
        _ => "succeeds",
    };

    static string Words(Verdict verdict) => verdict switch
    {
        Verdict.AsExpected => "as expected",
        Verdict.NotAsExpected => "NOT AS EXPECTED",
        Verdict.Void => "VOID",
        _ => "not run",
    };

    static void Write(System.Text.Json.Utf8JsonWriter w, SiegeRow row)
    {
        w.WriteStartObject();
        w.WriteString("id", row.Id);
        w.WriteString("credential", row.Credential);
        w.WriteString("tries", row.Tries);
        w.WriteString("expected", Words(row.Expected));
        w.WriteString("seen", Words(row));
        w.WriteString("verdict", Words(row.Verdict).ToLowerInvariant());
        w.WriteString("command", row.Command);
        w.WriteString("evidence", row.Seen?.Words);
        w.WriteString("answer", row.Answer?.Words);
        w.WriteString("control", row.Control);
        w.WriteString("controlCommand", row.ControlCommand);
        w.WriteString("controlEvidence", row.ControlSeen?.Words);
        w.WriteString("whyNotRun", row.WhyNot);
        w.WriteEndObject();
    }
}
