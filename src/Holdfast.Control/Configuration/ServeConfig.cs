using Holdfast.Control.Jobs;
using Holdfast.Control.Processes;

namespace Holdfast.Control.Configuration;

/// <summary>What `holdfast serve` is to do.</summary>
/// <param name="Node">What this process is called in `status`.</param>
/// <param name="Database">Where it keeps what became of its jobs.</param>
/// <param name="Roles">That run here.</param>
/// <param name="Jobs">That are done here, or by another process with the same database.</param>
/// <param name="AtOnce">Jobs that run here at once, at most.</param>
sealed record ServeConfig(string Node, DatabaseConfig Database, IReadOnlyList<Role> Roles, IReadOnlyList<Job> Jobs, int AtOnce);

/// <param name="File">Of SQLite; null for PostgreSQL.</param>
/// <param name="Postgres">Connection string, without a password.</param>
/// <param name="PasswordFile">Whose first line is the password.</param>
/// <param name="PasswordVariable">Of the environment, which has it.</param>
/// <param name="Lease">How long a run is a process's after each sign of life, milliseconds.</param>
sealed record DatabaseConfig(string? File, string? Postgres, string? PasswordFile, string? PasswordVariable, long Lease)
{
    public const long DefaultLease = 30_000;
}
