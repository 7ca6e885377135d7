using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Holdfast.Tests;

/// <summary>A PostgreSQL of Debian's, in a temporary folder, on a free port of loopback, with a password. It does not run as root: as nobody then.</summary>
sealed class PostgresCluster : IDisposable
{
    public const string Password = "correct horse";
    const string Nobody = "65534";

    static readonly string? Programs = Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql").Select(d => Path.Combine(d, "bin")).Where(d => File.Exists(Path.Combine(d, "initdb"))).Order(StringComparer.Ordinal).LastOrDefault() : null;

    readonly string _folder = Directory.CreateTempSubdirectory("holdfast-postgres-").FullName;
    readonly int _port;
    Process? _server;

    /// <summary>Why there is none; null where there is one.</summary>
    public static string? Missing => Programs is null ? "needs PostgreSQL (Debian: postgresql)" : Environment.IsPrivilegedProcess && !File.Exists("/usr/bin/setpriv") ? "needs setpriv, as PostgreSQL does not run as root" : null;

    readonly bool _hasTls;

    /// <param name="withTls">With a certificate for `localhost` of an authority of its own.</param>
    public PostgresCluster(bool withTls = false)
    {
        _hasTls = withTls;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            _port = ((IPEndPoint)free.LocalEndpoint).Port;
        }
        File.WriteAllText(PasswordFile, Password + "\n");
        if (Environment.IsPrivilegedProcess)
            Finish(Run("chown", ["-R", Nobody, _folder]));
        Finish(Started("initdb", "-D", Path.Combine(_folder, "data"), "-U", "holdfast", "-A", "scram-sha-256", "--pwfile", PasswordFile, "-E", "UTF8", "--no-sync"));
        if (withTls)
            MakeCertificate();
        Start();
    }

    /// <summary>Of the authority that signed this server's certificate.</summary>
    public string Authority => Path.Combine(_folder, "authority.crt");

    void MakeCertificate()
    {
        using var authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authority = new CertificateRequest("CN=authority", authorityKey, HashAlgorithmName.SHA256);
        authority.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var (from, to) = (DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        using var root = authority.CreateSelfSigned(from, to);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        using var certificate = request.Create(root, from, to, [1, 2, 3]);
        File.WriteAllText(Authority, root.ExportCertificatePem());
        File.WriteAllText(Path.Combine(_folder, "data/server.crt"), certificate.ExportCertificatePem());
        var keyFile = Path.Combine(_folder, "data/server.key");
        File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
        Finish(Run("chmod", ["600", keyFile]));
        if (Environment.IsPrivilegedProcess)
            Finish(Run("chown", ["-R", Nobody, Path.Combine(_folder, "data")]));
    }

    public string PasswordFile => Path.Combine(_folder, "password");

    /// <summary>Without the password.</summary>
    public string ConnectionTo(string database) => string.Create(CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={_port};Database={database};Username=holdfast");

    public string NewDatabase()
    {
        var name = $"t{Guid.NewGuid():n}";
        Psql($"CREATE DATABASE {name}");
        return name;
    }

    public string Psql(string sql, string database = "postgres")
    {
        var process = Run("/usr/bin/env", [$"PGPASSWORD={Password}", Path.Combine(Programs!, "psql"), "-h", "127.0.0.1", "-p", _port.ToString(CultureInfo.InvariantCulture), "-U", "holdfast", "-d", database, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        return Finish(process);
    }

    /// <summary>Runs a script of PostgreSQL's own programs against a database.</summary>
    /// <param name="script">For bash.</param>
    /// <param name="database">The one that they use where none is named.</param>
    /// <param name="folder">Where it runs.</param>
    public void Shell(string script, string database, string folder) => Finish(Run("/usr/bin/env", ["-C", folder, $"PGPASSWORD={Password}", "PGHOST=127.0.0.1", string.Create(CultureInfo.InvariantCulture, $"PGPORT={_port}"), "PGUSER=holdfast", $"PGDATABASE={database}",
        $"PATH={Programs}:{Environment.GetEnvironmentVariable("PATH")}", "bash", "-o", "pipefail", "-ec", script]));

    public void Start()
    {
        _server = Started("postgres", "-D", Path.Combine(_folder, "data"), "-p", _port.ToString(CultureInfo.InvariantCulture), "-c", "listen_addresses=127.0.0.1", "-c", $"unix_socket_directories={_folder}", "-c", "fsync=off", "-c", _hasTls ? "ssl=on" : "ssl=off");
        _ = _server.StandardOutput.ReadToEndAsync();
        _ = _server.StandardError.ReadToEndAsync();
        for (var waited = Stopwatch.StartNew(); ;)
        {
            using var ready = Run(Path.Combine(Programs!, "pg_isready"), ["-q", "-h", "127.0.0.1", "-p", _port.ToString(CultureInfo.InvariantCulture)]);
            ready.WaitForExit();
            if (ready.ExitCode == 0)
                return;
            Assert.False(_server.HasExited || waited.Elapsed > TimeSpan.FromSeconds(60), "PostgreSQL did not start");
            Thread.Sleep(50);
        }
    }

    /// <summary>Ends it, and all that are connected.</summary>
    public void Stop()
    {
        Finish(Run("kill", ["-INT", _server!.Id.ToString(CultureInfo.InvariantCulture)]));
        _server.WaitForExit();
        _server.Dispose();
        _server = null;
    }

    Process Started(string program, params string[] arguments) => Environment.IsPrivilegedProcess
        ? Run("setpriv", [$"--reuid={Nobody}", $"--regid={Nobody}", "--clear-groups", Path.Combine(Programs!, program), .. arguments])
        : Run(Path.Combine(Programs!, program), arguments);

    Process Run(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = _folder };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["LC_ALL"] = "C.UTF-8";
        return Process.Start(start)!;
    }

    static string Finish(Process process)
    {
        using (process)
        {
            var error = process.StandardError.ReadToEndAsync();
            var text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, error.Result);
            return text.TrimEnd('\n');
        }
    }

    public void Dispose()
    {
        if (_server is not null)
            Stop();
        Directory.Delete(_folder, recursive: true);
    }
}
