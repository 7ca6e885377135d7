using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

/// <summary>The control plane: what it is told, and how its jobs are shown. All else of it is the third program's.</summary>
static class ServeCommand
{
    static readonly Option<string?> ConfigOption = new("--config") { Description = "Configuration file (YAML): vault, database, roles, jobs. Without it: keeper and gateway on this machine alone, and the jobs that every vault wants.", HelpName = "FILE" };
    // Not those of other commands: here they name what other processes get, and nothing is opened.
    static readonly Option<string?> VaultOption = new("--vault") { Description = "The vault's folder, where no configuration names it (or HOLDFAST_VAULT).", HelpName = "FOLDER", DefaultValueFactory = _ => Environment.GetEnvironmentVariable("HOLDFAST_VAULT") };
    static readonly Option<string?> KeysOption = new("--keys") { Description = "The key folder, likewise (or HOLDFAST_KEYS).", HelpName = "FOLDER", DefaultValueFactory = _ => Environment.GetEnvironmentVariable("HOLDFAST_KEYS") };

    public static Command Create()
    {
        var serve = Session.Command("serve", """
            Run keeper, gateway, clean room and witness as they are configured, and jobs when they are due: backups, cosigning, expiry, verifying, attesting. Runs until it is stopped.

            Each role and each job is a process of its own, started again where it fails, and stopped with this one.
            """, AddOptions, Serve);
        serve.Subcommands.Add(Session.Command("status", "List the jobs: last run, outcome, next run. Exit status 58 where one is overdue or failed.", AddOptions, Status));
        return serve;
    }

    static void AddOptions(Command command)
    {
        foreach (var option in new[] { ConfigOption, VaultOption, KeysOption })
            command.Options.Add(option);
    }

    static ServeCall CallOf(Session session) => new(session.Parsed.GetValue(ConfigOption), session.Parsed.GetValue(VaultOption), session.Parsed.GetValue(KeysOption));

    static int Serve(Session session)
    {
        session.Control.Require();
        session.Control.Serve(CallOf(session), session.Step, session.Warn, session.Stop);
        return 0;
    }

    static int Status(Session session)
    {
        session.Control.Require();
        var status = session.Control.Status(CallOf(session), session.Stop);
        session.Json(w =>
        {
            w.WriteString("now", Iso(status.Now));
            w.WriteStartArray("nodes");
            foreach (var (name, heard) in status.Nodes)
            {
                w.WriteStartObject();
                w.WriteString("node", name);
                w.WriteString("heard", Iso(heard));
                w.WriteEndObject();
            }
            w.WriteEndArray();
            w.WriteStartArray("jobs");
            foreach (var job in status.Jobs)
            {
                w.WriteStartObject();
                w.WriteString("job", job.Name);
                w.WriteString("command", job.Command);
                w.WriteBoolean("overdue", job.IsOverdue);
                w.WriteString("next", Iso(job.Next));
                if (job.LastGood is { } good)
                    w.WriteString("lastGood", Iso(good));
                if (job.Last is { } last)
                {
                    w.WriteString("due", Iso(last.Due));
                    w.WriteString("outcome", last.IsRunning ? "running" : Word(last.Outcome));
                    if (last.Status is { } exit)
                        w.WriteNumber("status", exit);
                    if (last.Began is { } began)
                        w.WriteString("began", Iso(began));
                    if (last.Ended is { } ended)
                        w.WriteString("ended", Iso(ended));
                    w.WriteNumber("attempts", last.Attempts);
                    w.WriteNumber("missedBefore", last.Missed);
                }
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        if (status.Nodes.Count == 0)
            session.Line("NOBODY RUNS THESE JOBS: no `holdfast serve` was heard of lately.");
        foreach (var job in status.Jobs)
            session.Line($"{job.Name,-24} {Last(job),-58} next {Time(job.Next)}");
        var bad = status.Jobs.Where(j => j.IsOverdue || j.IsFailed).ToList();
        if (bad.Count == 0 && status.Nodes.Count > 0)
            return 0;
        return session.Fail(ErrorCode.JobOverdue, bad.Count == 0 ? "No process runs the jobs." : $"{Text.Count(bad.Count, "job is", "jobs are")} overdue or failed: {string.Join(", ", bad.Select(j => j.Name))}.",
            bad.Count == 0 ? "Start `holdfast serve`, and look why it ended." : "Run the command of that job by hand: it says what is wrong. docs/errors.md has each exit status.");
    }

    static string Last(JobState job)
    {
        var overdue = job.IsOverdue ? "OVERDUE; " : "";
        return overdue + (job.Last switch
        {
            null => "NEVER RUN",
            { IsRunning: true } run => $"running since {Time(run.Began ?? run.Due)}",
            { Outcome: RunOutcome.Failed } run => $"FAILED {Time(run.Ended ?? run.Due)}: {Code(run.Status)}",
            { Outcome: RunOutcome.None } run => $"WAITING to be tried again: {Code(run.Status)}",
            var run => $"{Word(run.Outcome)} {Time(run.Ended ?? run.Due)}{(run.Missed > 0 ? $", {Text.Count(run.Missed, "run")} before it missed" : "")}",
        });
    }

    public static string Code(int? status) => status is { } code && Enum.IsDefined((ErrorCode)code) ? $"{(ErrorCode)code} ({code})" : $"exit status {status?.ToString(CultureInfo.InvariantCulture) ?? "unknown"}";

    static string Word(RunOutcome outcome) => outcome switch
    {
        RunOutcome.Done => "done",
        RunOutcome.DoneBefore => "done before",
        RunOutcome.Incomplete => "INCOMPLETE",
        RunOutcome.Failed => "failed",
        RunOutcome.Missed => "missed",
        _ => "waiting",
    };

    static string Iso(long milliseconds) => Text.Iso(milliseconds / 1_000);

    static string Time(long milliseconds) => Text.Time(milliseconds / 1_000);
}
