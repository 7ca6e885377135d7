using System.Globalization;
using Holdfast.Core;

namespace Holdfast.Control.Database;

/// <summary>The tables. All times are milliseconds since 1970. Nothing here is personal, and nothing is needed to back up or restore: all of it may be dropped, and is made anew without the history.</summary>
static class Schema
{
    /// <summary>Each brings the tables from one version to the next; none is ever changed, as databases have it.</summary>
    static readonly string[][] Steps =
    [
        [
            "CREATE TABLE holdfast_nodes (node TEXT PRIMARY KEY, name TEXT NOT NULL, began BIGINT NOT NULL, heard BIGINT NOT NULL)",
            "CREATE TABLE holdfast_jobs (job TEXT PRIMARY KEY, since BIGINT NOT NULL)",
            """
            CREATE TABLE holdfast_runs (
                job TEXT NOT NULL, due BIGINT NOT NULL, run TEXT NOT NULL,
                state INTEGER NOT NULL, outcome INTEGER NOT NULL DEFAULT 0, status INTEGER,
                begins BIGINT NOT NULL, node TEXT, lease BIGINT, token BIGINT NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
                missed BIGINT NOT NULL DEFAULT 0, began BIGINT, ended BIGINT, files BIGINT, bytes BIGINT, stored BIGINT,
                PRIMARY KEY (job, due))
            """,
            "CREATE INDEX holdfast_runs_open ON holdfast_runs (job) WHERE state < 2",
        ],
    ];

    /// <summary>Brings the tables to this program's version, all or nothing; of two processes at once one does it.</summary>
    /// <exception cref="HoldfastException"><c>FormatNewer</c>: a newer program made them.</exception>
    public static void Migrate(Connection connection)
    {
        if (Known(connection) < Steps.Length)
            Make(connection);
    }

    /// <returns>The version of the tables; 0 where there are none.</returns>
    /// <exception cref="HoldfastException"><c>FormatNewer</c>: a newer program made them.</exception>
    public static long Known(Connection connection)
    {
        if (!connection.Has("holdfast_schema"))
            return 0;
        var version = connection.Number("SELECT MAX(version) FROM holdfast_schema") ?? 0;
        return version <= Steps.Length ? version : throw new HoldfastException(ErrorCode.FormatNewer, $"The control plane's database has version {version.ToString(CultureInfo.InvariantCulture)} of its tables, and this program knows {Steps.Length.ToString(CultureInfo.InvariantCulture)}.",
            "Use the newer release on this machine too; or name another database. Nothing of a backup is in it.");
    }

    static void Make(Connection connection) => connection.Alone(() =>
    {
        connection.Do("CREATE TABLE IF NOT EXISTS holdfast_schema (version INTEGER NOT NULL)");
        var version = (int)Known(connection);
        foreach (var step in Steps.Skip(version))
        {
            foreach (var statement in step)
                connection.Do(statement);
            connection.Do("INSERT INTO holdfast_schema (version) VALUES (@version)", ("version", ++version));
        }
        return 0;
    });
}
