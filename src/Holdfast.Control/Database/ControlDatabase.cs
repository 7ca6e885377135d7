using System.Data.Common;
using Holdfast.Core;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Holdfast.Control.Database;

/// <summary>Where the state of the control plane is: a file of SQLite, for one process, or PostgreSQL, for several.</summary>
sealed class ControlDatabase : IDisposable
{
    public const string NoneYet = "There is no database of jobs here yet.";
    public const string HowMade = "`holdfast serve` makes it; call this with the same --config, as the same user.";

    readonly Func<DbConnection> _open;
    readonly NpgsqlDataSource? _postgres;
    readonly TimeProvider? _clock;
    FileStream? _lock;

    ControlDatabase(Func<DbConnection> open, NpgsqlDataSource? postgres, TimeProvider? clock) => (_open, _postgres, _clock) = (open, postgres, clock);

    public bool IsPostgres => _postgres is not null;

    /// <summary>The machine's clock.</summary>
    public TimeProvider Machine => _clock ?? TimeProvider.System;

    /// <param name="path">Of the file; it is made where it is missing.</param>
    /// <param name="toRun">By the one process that runs jobs, not by one that looks.</param>
    /// <param name="clock">Null for the machine's.</param>
    /// <exception cref="HoldfastException"><c>DatabaseUnavailable</c>: another process runs jobs with it. <c>NoPermission</c> and others: the disk refuses.</exception>
    public static ControlDatabase File(string path, bool toRun, TimeProvider? clock = null)
    {
        if (!toRun && !System.IO.File.Exists(path))
            throw new HoldfastException(ErrorCode.DatabaseUnavailable, NoneYet, HowMade);
        if (toRun)
            Core.Storage.Disk.Real.MakeDurable(Path.GetDirectoryName(path)!, ownerOnly: true);
        var database = new ControlDatabase(() => Opened(new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false, DefaultTimeout = 30 }.ToString())), null, clock);
        if (toRun)
        {
            database._lock = Locked(path + ".lock");
            using var file = new FileStream(path, Private(FileShare.ReadWrite)); // SQLite would make it for all to read
        }
        return database;
    }

    static FileStreamOptions Private(FileShare share)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = share };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite; // else anybody here could hold the lock
        return options;
    }

    static FileStream Locked(string path)
    {
        try
        {
            return new FileStream(path, Private(FileShare.None)); // gone with the process, however that ends
        }
        catch (IOException e) when (System.IO.File.Exists(path))
        {
            throw new HoldfastException(ErrorCode.DatabaseUnavailable, "Another `holdfast serve` runs with this database, and a file of SQLite is for one.", "Stop that one first. For several, on one machine or more, name a PostgreSQL in the configuration.", e);
        }
    }

    /// <param name="connection">Connection string with all that it takes.</param>
    /// <param name="clock">Null for the database's.</param>
    public static ControlDatabase Postgres(string connection, TimeProvider? clock = null)
    {
        var source = NpgsqlDataSource.Create(connection);
        return new ControlDatabase(source.OpenConnection, source, clock);
    }

    static SqliteConnection Opened(SqliteConnection connection)
    {
        connection.Open();
        return connection;
    }

    /// <exception cref="DbException">It cannot be reached.</exception>
    public Connection Open() => new(_open(), IsPostgres, _clock);

    /// <summary>Why it cannot be used, without a host's or user's name; null where that is no fault of a database.</summary>
    public static string? Fault(Exception e) => e switch
    {
        PostgresException { SqlState: "28P01" or "28000" } => "it refuses this user or password",
        PostgresException { SqlState: "3D000" } => "there is no database of that name",
        PostgresException { SqlState: "42501" } => "its user may not make or change the tables",
        PostgresException { SqlState: var state } => $"it says {state}",
        NpgsqlException or TimeoutException or System.Net.Sockets.SocketException => "it cannot be reached",
        SqliteException { SqliteErrorCode: var code } => $"SQLite says {code}",
        DbException => "it does not answer",
        InvalidCastException or OverflowException => "its tables are not as this program made them",
        InvalidOperationException { Source: "Npgsql" } => "the connection broke",
        ObjectDisposedException { ObjectName: var name } when name?.Contains("Npgsql", StringComparison.Ordinal) == true => "the connection broke",
        _ => null,
    };

    public static HoldfastException Unavailable(string why, Exception inner) => new(ErrorCode.DatabaseUnavailable, $"The control plane's database cannot be used: {why}.", "Look whether it runs, and at what the configuration says of it. Backups that agents begin by themselves go on without it.", inner) { IsTransient = true };

    public void Dispose()
    {
        _lock?.Dispose();
        _postgres?.Dispose();
    }
}
