using Holdfast.Cli;
using Holdfast.Cli.Commands;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Control.Jobs;
using Holdfast.Control.Processes;
using Holdfast.Core;
using Npgsql;

namespace Holdfast.Control.Configuration;

/// <summary>Reads a configuration, and makes one where there is no file.</summary>
static class ConfigReader
{
    const int MaxName = 40; // characters
    const long ShortestLease = 2_000; // milliseconds
    const long LongestLease = 3_600_000;
    const string Interval = "Write a number and s, m (minutes), h, d or w, such as 5m or 1d; a year at most.";

    static readonly string[] Kinds = ["backup", "cosign", "expire", "verify", "attest"];

    /// <exception cref="HoldfastException"><c>Usage</c>: all that is wrong, with lines.</exception>
    public static ServeConfig Read(ServeCall call)
    {
        var text = call.Config is null ? null : UserFile.Text(call.Config, "The configuration (--config)");
        var faults = new Faults();
        var config = Read(text, call, faults);
        faults.Require();
        return config;
    }

    /// <param name="text">Of the file; null for none.</param>
    /// <param name="call">What else is named.</param>
    /// <param name="faults">Gets what is wrong.</param>
    internal static ServeConfig Read(string? text, ServeCall call, Faults faults)
    {
        var root = text is null ? new Section(null, "", faults) : Section.Parse(text, faults);
        var places = new Places(Full(root.Text("vault") ?? call.Vault), Full(root.Text("keys") ?? call.Keys));
        if (places.Vault is null && !faults.Any)
            faults.Add(0, "No vault is named.", "Write `vault: FOLDER`, or add --vault FOLDER.");
        var node = root.Text("node") ?? "node";
        if (!IsName(node))
            root.Fault("node", "is no name", NameForms);
        var (rolesAt, jobsAt) = (root.Has("roles"), root.Has("jobs"));
        var database = DatabaseOf(root);
        var roles = Roles(root.Inner("roles"), places, byDefault: !rolesAt);
        var jobs = Jobs(root.Inner("jobs"), places, byDefault: !jobsAt);
        var atOnce = root.Number("at-once", 1, 64, 4);
        root.Close();
        return new ServeConfig(node, database, roles, jobs, atOnce);
    }

    /// <summary>Those of the whole configuration.</summary>
    sealed record Places(string? Vault, string? Keys);

    const string NameForms = "Letters a to z, digits and hyphens, 40 at most: it stands in logs, so name nobody.";

    static bool IsName(string name) => name.Length is > 0 and <= MaxName && name.All(c => c is >= 'a' and <= 'z' or >= '0' and <= '9' or '-') && name[0] != '-';

    static string? Full(string? path) => path is { Length: > 0 } ? path.Contains("://", StringComparison.Ordinal) ? path : Path.GetFullPath(path) : null;

    static DatabaseConfig DatabaseOf(Section root)
    {
        var section = root.Inner("database");
        var (file, postgres, passwordFile, variable) = (section.Text("file"), section.Text("postgres"), section.Text("password-file"), section.Text("password-env"));
        var lease = section.Read("lease", Schedule.Length, Interval) ?? DatabaseConfig.DefaultLease;
        if (lease is < ShortestLease or > LongestLease)
            section.Fault("lease", "is out of range", "2s to 1h; 30s is right for most.");
        if (file is not null && postgres is not null)
            section.Fault("file", "and `database.postgres` stand together", "Keep one of them.");
        if (postgres is null && (passwordFile ?? variable) is not null)
            section.Fault(passwordFile is not null ? "password-file" : "password-env", "belongs to a PostgreSQL", "Add `postgres:`, or take it out.");
        if (passwordFile is not null && variable is not null)
            section.Fault("password-env", "and `database.password-file` stand together", "Keep one of them.");
        if (postgres is not null)
            Check(section, postgres);
        section.Close();
        var ownFile = Full(file) ?? (postgres is null ? BackupCommand.StateFolder() is { } state ? Path.Combine(state, "serve", "control.db") : null : null);
        if (ownFile is null && postgres is null)
            root.Fault("database", "is missing, and this user has no home folder for it", "Write `database:` and below it `file: PATH`.");
        return new DatabaseConfig(ownFile, postgres, Full(passwordFile), variable, lease);
    }

    static void Check(Section section, string postgres)
    {
        try
        {
            var parsed = new NpgsqlConnectionStringBuilder(postgres);
            if (!string.IsNullOrEmpty(parsed.Password) || !string.IsNullOrEmpty(parsed.SslPassword))
                section.Fault("postgres", "has a password in it", "Take it out, and name a file (`password-file`) or a variable of the environment (`password-env`).");
            if (string.IsNullOrEmpty(parsed.Host))
                section.Fault("postgres", "names no host", "Such as Host=db.example;Database=holdfast;Username=holdfast;SSL Mode=VerifyFull.");
            else if (parsed.SslMode != SslMode.VerifyFull && !parsed.Host.Split(',').All(IsHere))
                section.Fault("postgres", "is on another machine, and does not say SSL Mode=VerifyFull", "Add that (and Root Certificate=FILE): else the password goes to whoever answers.");
        }
        catch (Exception e) when (e is ArgumentException or FormatException or KeyNotFoundException)
        {
            section.Fault("postgres", "is no connection string", "Such as Host=db.example;Database=holdfast;Username=holdfast;SSL Mode=VerifyFull.");
        }
    }

    /// <summary>A socket in a folder, or an address of this machine alone.</summary>
    static bool IsHere(string host)
    {
        host = host.Trim();
        return host.StartsWith('/') || host.StartsWith('@') || host == "localhost" || host.StartsWith("localhost:", StringComparison.Ordinal)
            || System.Net.IPEndPoint.TryParse(host, out var end) && System.Net.IPAddress.IsLoopback(end.Address);
    }

    static List<Role> Roles(Section section, Places places, bool byDefault)
    {
        var roles = new List<Role>();
        foreach (var name in new[] { "keeper", "gateway", "cleanroom", "witness" })
        {
            if (!section.Has(name) && !(byDefault && (name == "keeper" || (name == "gateway" && places.Keys is not null)) && places.Vault is { } here && !here.Contains("://", StringComparison.Ordinal)))
                continue;
            var inner = section.Inner(name);
            var arguments = new List<string> { name, "serve" };
            if (name == "witness")
                arguments.Add(Full(inner.Required("folder", "Write `folder:` and the witness's folder (`holdfast witness init` makes it).")) ?? "");
            else if ((Full(inner.Text("vault")) ?? places.Vault) is { } vault)
                arguments.AddRange(["--vault", vault]);
            if (name == "gateway")
            {
                if ((Full(inner.Text("keys")) ?? places.Keys) is { } keys)
                    arguments.AddRange(["--keys", keys]);
                else
                    section.Fault(name, "has no keys", "Write `keys:` and the folder with put.key.");
                Pass(inner, arguments, "daily-limit");
            }
            if (name == "cleanroom") // never those of other roles: they open what is stored
                arguments.AddRange(["--keys", Full(inner.Required("keys", "Write `keys:` and the folder that `holdfast cleanroom key` made.")) ?? ""]);
            else
                Pass(inner, arguments, "listen");
            if (name == "witness")
            {
                Pass(inner, arguments, "certificate");
                Pass(inner, arguments, "key");
            }
            roles.Add(new Role(name, arguments) { User = inner.Text("user") });
            inner.Close();
        }
        section.Close();
        return roles;
    }

    static void Pass(Section section, List<string> arguments, string option)
    {
        if (section.Text(option) is { } value)
            arguments.AddRange([$"--{option}", value]);
    }

    static List<Job> Jobs(Section section, Places places, bool byDefault)
    {
        if (byDefault)
            return Defaults(places);
        var jobs = new List<Job>();
        foreach (var name in section.Keys)
        {
            var inner = section.Inner(name);
            if (!IsName(name))
                section.Fault(name, "is no name of a job", NameForms);
            var kind = inner.Required("do", $"Write `do:` and one of {string.Join(", ", Kinds)}.");
            if (kind is not null && !Kinds.Contains(kind))
                inner.Fault("do", "is nothing that a job does", $"One of {string.Join(", ", Kinds)}.");
            var schedule = ScheduleOf(inner);
            var arguments = ArgumentsOf(kind ?? "", inner, places);
            var (user, tries) = (inner.Text("user"), inner.Number("tries", 1, 100, 5));
            inner.Close();
            if (schedule is not null && kind is not null)
                jobs.Add(new Job(name, CommandOf(kind), arguments, schedule) { User = user, Tries = tries });
        }
        return jobs;
    }

    static string CommandOf(string kind) => kind == "cosign" ? "log cosign" : kind;

    static Schedule? ScheduleOf(Section job)
    {
        var (every, cron) = (job.Text("every"), job.Text("cron"));
        if (every is null == cron is null)
        {
            if (every is not null)
                job.Fault("cron", "and `every` stand together", "Keep one of them.");
            else if (!job.Has("every") && !job.Has("cron"))
                job.Required("every", "Write `every: 1d`, or `cron: \"30 2 * * *\"` (minute, hour, day, month, weekday; UTC).");
            return null;
        }
        var schedule = every is not null ? Schedule.Interval(every) : Schedule.OfCron(cron!);
        if (schedule is null)
            job.Fault(every is not null ? "every" : "cron", "is no schedule", every is not null ? Interval : "Five fields: minute, hour, day of month, month, weekday, in UTC, such as \"30 2 * * *\".");
        else if (schedule.Next(0) == long.MaxValue)
            job.Fault("cron", "is never due", "It names a day that no month has.");
        var jitter = job.Read("jitter", Schedule.Length, Interval) ?? 0;
        if (schedule is not null && jitter >= schedule.Shortest)
            job.Fault("jitter", "is as long as the time between two runs, or longer", "Choose less than that: a run that may begin after the next is due would be left out.");
        var window = job.Read("window", Schedule.Hours, "Write it as 22:00-06:00, in UTC.");
        return schedule is null ? null : schedule with { Jitter = jitter, Window = window };
    }

    static List<string> ArgumentsOf(string kind, Section job, Places places)
    {
        var arguments = new List<string>(CommandOf(kind).Split(' '));
        var (ownVault, ownKeys) = (Full(job.Text("vault")), Full(job.Text("keys")));
        var keys = ownKeys ?? places.Keys;
        // An agent's keys say themselves which gateway they go through.
        if (ownVault is not null || !(kind == "backup" && keys is not null && File.Exists(Path.Combine(keys, GatewayAccess.FileName))))
        {
            if ((ownVault ?? places.Vault) is { } vault)
                arguments.AddRange(["--vault", vault]);
        }
        if (keys is not null)
            arguments.AddRange(["--keys", keys]);
        else if (kind is "backup" or "attest")
            job.Required("keys", "Write `keys:` and the key folder that this job may use.");
        if (kind is "verify")
            arguments.AddRange(["--sample", job.Read("percent", t => int.TryParse(t, out var percent) && percent is > 0 and <= 100 ? percent : (int?)null, "Write a number, 1 to 100: so much of the vault is read each time, what was read longest ago first.") is { } part ? part.ToString(System.Globalization.CultureInfo.InvariantCulture) : "4"]);
        arguments.AddRange(Options(job));
        arguments.Add("--json");
        if (kind == "backup")
            AddSource(job, arguments);
        return arguments;
    }

    static List<string> Options(Section job)
    {
        var options = job.Texts("options");
        if (options.Any(o => o is "--run" or "--json" or "--stdin" or "--" || o.StartsWith("--run=", StringComparison.Ordinal)))
            job.Fault("options", "has one that this program sets itself (--run, --json, --stdin)", "Take it out.");
        return options;
    }

    static void AddSource(Section job, List<string> arguments)
    {
        var (source, command, name) = (Full(job.Text("source")), job.Texts("command"), job.Text("name"));
        if (source is not null && command.Count > 0)
            job.Fault("command", "and `source` stand together", "Keep one of them.");
        if (!job.Has("source") && !job.Has("command"))
            job.Required("source", "Write `source:` and a folder, or `command:` and a list of words: a program whose output is backed up.");
        if (name is not null)
            arguments.AddRange(["--name", name]);
        else
            job.Required("name", "Write `name:`: snapshots of one name follow each other, whichever machine takes them.");
        if (source is not null)
            arguments.Add(source);
        else
            arguments.AddRange(["--stdin", "--", .. command]);
    }

    /// <summary>What every vault wants.</summary>
    static List<Job> Defaults(Places places)
    {
        if (places.Vault is not { } vault)
            return [];
        List<string> where = ["--vault", vault, .. places.Keys is { } keys ? (string[])["--keys", keys] : []];
        var jobs = new List<Job>();
        if (!vault.Contains("://", StringComparison.Ordinal))
        {
            jobs.Add(Make("cosign", "log cosign", "5m", "1m", ["--if-any"]));
            jobs.Add(Make("expire", "expire", "1d", "1h", []));
        }
        jobs.Add(Make("verify", "verify", "1d", "2h", ["--sample", "4"])); // all of it in 25 days
        if (places.Keys is not null && File.Exists(Path.Combine(places.Keys, KeyFolder.OpeningFile)))
            jobs.Add(Make("attest", "attest", "1d", "2h", []));
        return jobs;

        Job Make(string name, string command, string every, string jitter, string[] more) =>
            new(name, command, [.. command.Split(' '), .. where, .. more, "--json"], Schedule.Interval(every)! with { Jitter = Schedule.Length(jitter)!.Value });
    }
}
