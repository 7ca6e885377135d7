using Holdfast.Cli;
using Holdfast.Cli.Terminal;
using Holdfast.Control.Configuration;
using Holdfast.Control.Database;
using Holdfast.Control.Jobs;
using Holdfast.Control.Processes;
using Holdfast.Core;
using Npgsql;

namespace Holdfast.Control;

/// <summary>`holdfast serve`: what runs it all, and holds nothing that opens or signs anything.</summary>
/// <param name="program">`holdfast`.</param>
sealed class ControlPlane(string program) : IControl
{
    static readonly TimeSpan LongestBeat = TimeSpan.FromSeconds(1);

    public void Require()
    {
        // This is the program that has it.
    }

    public void Serve(ServeCall what, Action<string> note, Action<string> warn, CancellationToken ct)
    {
        var config = ConfigReader.Read(what);
        var users = Users(config);
        using var database = Open(config.Database, toRun: true);
        using var spawner = new Spawner(program, Withheld(config.Database));
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var gate = new Lock();
        void Note(string text)
        {
            lock (gate)
                note(text);
        }
        void Warn(string text)
        {
            lock (gate)
                warn(text);
        }
        Note($"Node {config.Node}: {Text.Count(config.Roles.Count, "role")}, {Text.Count(config.Jobs.Count, "job")}; state in {(database.IsPostgres ? "PostgreSQL" : "a file")}.");
        var store = new RunStore(database, config.Node, config.Database.Lease);
        try
        {
            store.Migrate();
        }
        catch (Exception e) when (ControlDatabase.Fault(e) is not null)
        {
            // Roles need none, and jobs wait for it.
        }
        var roles = config.Roles.Select(r => new Thread(() => new RoleKeeper(r, r.User is null ? null : users[r.User], spawner, Note, Warn, TimeProvider.System).Run(ending.Token)) { IsBackground = true, Name = $"holdfast {r.Name}" }).ToList();
        roles.ForEach(r => r.Start());
        try
        {
            var beat = TimeSpan.FromMilliseconds(Math.Min(LongestBeat.TotalMilliseconds, config.Database.Lease / 6.0));
            new JobRunner(config.Jobs, users, store, spawner, config.AtOnce, beat, Note, Warn).Run(ending.Token);
        }
        finally
        {
            ending.Cancel();
            roles.ForEach(r => r.Join());
        }
    }

    public ServeStatus Status(ServeCall what, CancellationToken ct)
    {
        var config = ConfigReader.Read(what);
        try
        {
            using var database = Open(config.Database, toRun: false);
            return RunStore.Status(database, config.Jobs);
        }
        catch (Exception e) when (ControlDatabase.Fault(e) is not null)
        {
            throw ControlDatabase.Unavailable(ControlDatabase.Fault(e)!, e);
        }
    }

    static Dictionary<string, User> Users(ServeConfig config)
    {
        var names = config.Roles.Select(r => r.User).Concat(config.Jobs.Select(j => j.User)).OfType<string>().Distinct().ToList();
        if (names.Count > 0 && !Environment.IsPrivilegedProcess)
            throw new HoldfastException(ErrorCode.NoPermission, "The configuration names users for roles or jobs, and only root starts processes as others.", "Run `holdfast serve` as root, or take every `user:` out of the configuration.");
        return names.ToDictionary(n => n, n => User.Find(n) ?? throw new HoldfastException(ErrorCode.Usage, "A `user` in the configuration is none of this machine.", "Make it (adduser --system), or write another."));
    }

    static ControlDatabase Open(DatabaseConfig config, bool toRun)
    {
        if (config.Postgres is null)
            return ControlDatabase.File(config.File!, toRun);
        var connection = new NpgsqlConnectionStringBuilder(config.Postgres) { ApplicationName = "holdfast", Timeout = 5, CommandTimeout = 30 };
        if (config.PasswordFile is not null)
            connection.Password = UserFile.FirstLine(config.PasswordFile, "The database's password (password-file)");
        else if (config.PasswordVariable is not null)
            connection.Password = Environment.GetEnvironmentVariable(config.PasswordVariable) ?? throw new HoldfastException(ErrorCode.Usage, "The variable of the environment that `password-env` names is not set.", "Set it for this process, such as by EnvironmentFile= of its unit.");
        return ControlDatabase.Postgres(connection.ToString());
    }

    /// <summary>What this process itself gets the database's password from.</summary>
    internal static HashSet<string> Withheld(DatabaseConfig config) => config switch
    {
        { PasswordVariable: { } variable } => [variable],
        { Postgres: not null, PasswordFile: null } => ["PGPASSWORD", "PGPASSFILE"],
        _ => [], // a job's command may need them
    };
}
