using System.Data.Common;

namespace Holdfast.Control.Database;

/// <summary>One connection and what is said over it. Not for several threads.</summary>
sealed class Connection(DbConnection connection, bool isPostgres, TimeProvider? clock) : IDisposable
{
    const long SchemaLock = 0x686f6c6466617374; // "holdfast"
    const int Patience = 30; // seconds
    const int LockPatience = 2; // seconds: another that stands still costs no more
    const int SchemaPatience = 15;
    const int IdlePatience = 10; // after which PostgreSQL ends a transaction of a process that stands still

    DbTransaction? _transaction;

    /// <summary>By the database's clock, where it is one for several machines: whose own clocks differ.</summary>
    public long Now => clock is null && isPostgres ? Number("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")!.Value : (clock ?? TimeProvider.System).GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Does something whole or not at all.</summary>
    public T Together<T>(Func<T> work) => Together(work, LockPatience);

    T Together<T>(Func<T> work, int patience)
    {
        using var transaction = _transaction = connection.BeginTransaction(); // SQLite: nobody else writes from here on
        try
        {
            if (isPostgres)
                Do(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"SET LOCAL lock_timeout = '{patience}s'; SET LOCAL idle_in_transaction_session_timeout = '{IdlePatience}s'"));
            var result = work();
            transaction.Commit();
            return result;
        }
        finally
        {
            _transaction = null;
        }
    }

    /// <summary>The same, and no other process does anything so meanwhile.</summary>
    public T Alone<T>(Func<T> work) => Together(() =>
    {
        if (isPostgres)
            Rows("SELECT pg_advisory_xact_lock(@key)", _ => 0, ("key", SchemaLock)); // two that make a table at once would trip over each other
        return work();
    }, SchemaPatience);

    /// <summary>Holds a job until the transaction ends: of two processes one decides.</summary>
    /// <returns>Since when it is known; null where another process holds it.</returns>
    public long? Hold(string job, long now)
    {
        if (Number("SELECT since FROM holdfast_jobs WHERE job = @job", ("job", job)) is null)
            Do("INSERT INTO holdfast_jobs (job, since) VALUES (@job, @now) ON CONFLICT (job) DO NOTHING", ("job", job), ("now", now));
        return Number($"SELECT since FROM holdfast_jobs WHERE job = @job{(isPostgres ? " FOR UPDATE SKIP LOCKED" : "")}", ("job", job));
    }

    /// <summary>Another transaction was waited for, for too long: that is one job's fault, not the database's.</summary>
    public static bool IsHeldUp(Exception e) => e is DbException { SqlState: "55P03" or "40P01" };

    public bool Has(string table) => Number(isPostgres ? "SELECT 1 WHERE to_regclass(@table) IS NOT NULL" : "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = @table", ("table", table)) is not null;

    public int Do(string sql, params ReadOnlySpan<(string Name, object? Value)> values)
    {
        using var command = Command(sql, values);
        return command.ExecuteNonQuery();
    }

    public long? Number(string sql, params ReadOnlySpan<(string Name, object? Value)> values)
    {
        using var command = Command(sql, values);
        return command.ExecuteScalar() is { } value and not DBNull ? Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture) : null;
    }

    public List<T> Rows<T>(string sql, Func<DbDataReader, T> read, params ReadOnlySpan<(string Name, object? Value)> values)
    {
        using var command = Command(sql, values);
        using var reader = command.ExecuteReader();
        var rows = new List<T>();
        while (reader.Read())
            rows.Add(read(reader));
        return rows;
    }

    DbCommand Command(string sql, ReadOnlySpan<(string Name, object? Value)> values)
    {
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // what varies goes as parameters
        command.CommandText = sql;
#pragma warning restore CA2100
        command.CommandTimeout = Patience;
        command.Transaction = _transaction;
        foreach (var (name, value) in values)
        {
            var parameter = command.CreateParameter();
            (parameter.ParameterName, parameter.Value) = (name, value ?? DBNull.Value);
            if (value is null)
                parameter.DbType = System.Data.DbType.Int64;
            command.Parameters.Add(parameter);
        }
        return command;
    }

    public void Dispose() => connection.Dispose();
}
