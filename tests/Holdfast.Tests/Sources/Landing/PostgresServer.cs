using System.Diagnostics;

namespace Holdfast.Tests.Sources.Landing;

/// <summary>A PostgreSQL of a test's own, reached by a socket in its folder alone.</summary>
sealed class PostgresServer : IDisposable
{
    readonly TempFolder _folder;
    readonly string _programs;
    readonly string _as;

    PostgresServer(TempFolder folder, string programs, string user) => (_folder, _programs, _as) = (folder, programs, user);

    /// <summary>Skips the test where there is no server, or nobody to run it: it refuses to run as root.</summary>
    public static PostgresServer Start(TempFolder folder)
    {
        var programs = Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql").Order().Select(d => Path.Combine(d, "bin")).LastOrDefault(d => File.Exists(Path.Combine(d, "initdb"))) : null;
        Assert.SkipUnless(programs is not null, "needs postgresql");
        var isRoot = Environment.UserName == "root";
        Assert.SkipUnless(!isRoot || File.Exists("/usr/bin/setpriv"), "needs setpriv to run PostgreSQL as somebody else than root");
        var server = new PostgresServer(folder, programs!, isRoot ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "");
        if (isRoot)
            server.Shell($"chown 65534:65534 '{folder.Path}'");
        server.Run($"initdb -D '{folder["data.pg"]}' -U postgres -A trust --no-sync -E UTF8 --locale=C");
        server.Run($"pg_ctl -D '{folder["data.pg"]}' -w -l '{folder["server.log"]}' -o \"-k '{folder.Path}' -c listen_addresses='' -c fsync=off\" start");
        return server;
    }

    public void Sql(string statements)
    {
        File.WriteAllText(_folder["statements.sql"], statements);
        Run("psql -q -v ON_ERROR_STOP=1 -f statements.sql postgres");
    }

    /// <summary>Its programs, as its user, in the folder.</summary>
    public void Run(string script) => Shell($"exec {_as}env HOME='{_folder.Path}' PGHOST='{_folder.Path}' PGUSER=postgres PATH=\"{_programs}:$PATH\" bash -ec '{script.Replace("'", "'\\''", StringComparison.Ordinal)}'");

    void Shell(string script)
    {
        var start = new ProcessStartInfo("bash") { WorkingDirectory = _folder.Path, RedirectStandardError = false, RedirectStandardOutput = false };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add($"{{ {script}; }} > '{_folder["shell.log"]}' 2>&1 </dev/null");
        using var process = Process.Start(start)!;
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, File.ReadAllText(_folder["shell.log"]));
    }

    public void Dispose() => Run($"pg_ctl -D '{_folder["data.pg"]}' -m immediate -w stop");
}
