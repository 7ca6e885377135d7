using Holdfast.Cli;
using Holdfast.Control;
using Holdfast.Control.Configuration;
using Holdfast.Core;

namespace Holdfast.Tests.Control;

public sealed class ConfigTests
{
    static readonly ServeCall Call = new("file", null, null);

    static ServeConfig Read(string text)
    {
        var faults = new Faults();
        var config = ConfigReader.Read(text, Call, faults);
        faults.Require();
        return config;
    }

    static string Refused(string text) => Assert.Throws<HoldfastException>(() => Read(text)) is { Code: ErrorCode.Usage } e ? e.Message : "";

    [Fact]
    public void A_whole_configuration_is_read()
    {
        var config = Read("""
            vault: /srv/vault
            keys: /etc/holdfast/keys
            node: left
            at-once: 2
            database:
              postgres: Host=db.example;Database=holdfast;Username=holdfast;SSL Mode=VerifyFull
              password-file: /etc/holdfast/db.password
              lease: 1m
            roles:
              keeper:
                listen: 0.0.0.0:8444
                user: holdfast-keeper
              gateway:
                vault: https://keeper.example:8444
                daily-limit: 500GiB
            jobs:
              cosign: { do: cosign, every: 5m }
              nightly:
                do: backup
                source: /srv/data
                name: ward
                cron: "30 2 * * *"
                jitter: 10m
                window: 22:00-06:00
                options: [--exclude, "*.tmp"]
              dump:
                do: backup
                command: [pg_dump, records]
                name: records
                every: 1d
                user: backup
                tries: 2
            """);
        Assert.Equal(("left", 2, 60_000L), (config.Node, config.AtOnce, config.Database.Lease));
        Assert.Equal([["keeper", "serve", "--vault", "/srv/vault", "--listen", "0.0.0.0:8444"], ["gateway", "serve", "--vault", "https://keeper.example:8444", "--keys", "/etc/holdfast/keys", "--daily-limit", "500GiB"]], config.Roles.Select(r => r.Arguments));
        Assert.Equal(["holdfast-keeper", null], config.Roles.Select(r => r.User));
        Assert.Equal(["log", "cosign", "--vault", "/srv/vault", "--keys", "/etc/holdfast/keys", "--json"], config.Jobs[0].Call("r"));
        Assert.Equal(["backup", "--vault", "/srv/vault", "--keys", "/etc/holdfast/keys", "--exclude", "*.tmp", "--json", "--name", "ward", "/srv/data", "--run", "r"], config.Jobs[1].Call("r"));
        Assert.Equal(["backup", "--vault", "/srv/vault", "--keys", "/etc/holdfast/keys", "--json", "--name", "records", "--stdin", "--run", "r", "--", "pg_dump", "records"], config.Jobs[2].Call("r"));
        Assert.Equal(("backup", 2), (config.Jobs[2].User, config.Jobs[2].Tries));
    }

    /// <summary>Whoever copies it has a configuration.</summary>
    [Fact]
    public void The_manuals_configuration_is_one()
    {
        var manual = File.ReadAllText(Path.Combine(Root(), "docs/manual/operate.md"));
        var config = Read(manual.Split("```yaml\n")[1].Split("```")[0]);
        Assert.Equal(["records", "verify", "attest", "expire", "cosign"], config.Jobs.Select(j => j.Name));
        Assert.Equal("holdfast-gateway", Assert.Single(config.Roles).User);
        Assert.NotNull(config.Database.Postgres);
    }

    static string Root([System.Runtime.CompilerServices.CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../.."));

    [Fact]
    public void Every_fault_is_told_with_its_line_and_what_to_do()
    {
        var message = Refused("""
            vault: /srv/vault
            speed: 9
            database:
              postgres: Host=db;Password=Zzyzx
              file: /x
            roles:
              keper: {}
              witness:
                listen: 127.0.0.1:1
            jobs:
              Ward Seven:
                do: backup
                every: soon
              verify:
                do: very
                every: 1d
                cron: "* * * * *"
              cosign:
                do: cosign
                cron: "0 0 30 2 *"
              last:
                every: 1d
            """);
        foreach (var line in new[] { "line 2: There is no `speed`", "line 4: `database.postgres` has a password", "line 5: `database.file` and", "line 7: There is no `roles.keper`", "line 9: `roles.witness.folder` is missing",
            "`jobs.Ward Seven` is no name", "line 13: `jobs.Ward Seven.every` is no schedule", "`jobs.Ward Seven.keys` is missing", "`jobs.Ward Seven.source` is missing", "`jobs.Ward Seven.name` is missing", "line 15: `jobs.verify.do` is nothing", "line 17: `jobs.verify.cron` and", "line 20: `jobs.cosign.cron` is never due", "`jobs.last.do` is missing" })
            Assert.Contains(line, message, StringComparison.Ordinal);
        Assert.DoesNotContain("Zzyzx", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("just words")]
    [InlineData("vault: [")]
    [InlineData("vault: a\nvault: b")]
    [InlineData("vault: &a x\nkeys: *a")]
    [InlineData("vault: a\njobs: 7")]
    [InlineData("vault: a\njobs: { a: b }")]
    [InlineData("vault: a\n? [x, y]\n: z")]
    [InlineData("vault: a\njobs: { a: { do: backup, source: /x, name: x, keys: /k, every: 1d, options: [--run, y] } }")]
    [InlineData("vault: a\njobs: { a: { do: expire, every: 1d, tries: 0 } }")]
    [InlineData("vault: a\ndatabase: { password-env: X }")]
    [InlineData("vault: a\ndatabase: { postgres: nonsense }")]
    [InlineData("vault: a\ndatabase: { lease: 1s }")]
    [InlineData("vault: a\ndatabase: { postgres: Host=db.example;Database=d;Username=u }")]
    [InlineData("vault: a\ndatabase: { postgres: 'Host=127.0.0.1,db.example;SSL Mode=Require' }")]
    [InlineData("vault: a\njobs: { a: { do: expire, every: 1h, jitter: 1h } }")]
    [InlineData("vault: a\njobs: { a: { do: expire, cron: '0,5 2 * * *', jitter: 6m } }")]
    public void What_is_no_configuration_is_refused(string text) => Assert.Contains("cannot be used", Refused(text), StringComparison.Ordinal);

    [Theory]
    [InlineData("Host=127.0.0.1;Database=d")]
    [InlineData("Host=localhost:5433;Database=d")]
    [InlineData("Host=::1;Database=d")]
    [InlineData("Host=/run/postgresql;Database=d")]
    [InlineData("Host=db.example,db2.example;SSL Mode=VerifyFull")]
    public void A_database_here_or_one_that_is_proved_to_be_the_right_one_is_taken(string postgres) => Assert.Equal(postgres, Read($"vault: a\ndatabase: {{ postgres: '{postgres}' }}\njobs: {{ a: {{ do: expire, every: 1h, jitter: 59m }} }}").Database.Postgres);

    /// <summary>A job's own command may need them.</summary>
    [Fact]
    public void What_the_databases_password_is_from_is_withheld_and_no_more()
    {
        string[] Withheld(string database) => [.. ControlPlane.Withheld(Read($"vault: a\ndatabase: {{ {database} }}").Database)];
        Assert.Equal(["SECRET"], Withheld("postgres: Host=::1, password-env: SECRET"));
        Assert.Empty(Withheld("postgres: Host=::1, password-file: /x"));
        Assert.Equal(["PGPASSWORD", "PGPASSFILE"], Withheld("postgres: Host=::1"));
        Assert.Empty(Withheld("file: /x"));
    }

    [Fact]
    public void Any_bytes_are_a_configuration_or_faults()
    {
        var random = new Random(1);
        var whole = "vault: /v\nkeys: /k\ndatabase: { file: /d, lease: 30s }\nroles: { keeper: { listen: 127.0.0.1:1 } }\njobs:\n  a: { do: backup, source: /x, name: n, every: 1d, options: [--a] }\n  b:\n    do: verify\n    cron: '1 2 * * *'\n";
        _ = Read(whole);
        for (var i = 0; i < 3_000; i++)
        {
            var bent = whole.ToCharArray();
            for (var flips = random.Next(1, 6); flips > 0; flips--)
                bent[random.Next(bent.Length)] = (char)random.Next(9, 127);
            _ = ConfigReader.Read(new string(bent), Call, new Faults());
        }
    }

    [Fact]
    public void Without_a_file_there_are_the_roles_and_jobs_that_every_vault_wants()
    {
        var faults = new Faults();
        var config = ConfigReader.Read(null, new ServeCall(null, "/srv/vault", "/nowhere/keys"), faults);
        Assert.False(faults.Any);
        Assert.Equal(["keeper", "gateway"], config.Roles.Select(r => r.Name));
        Assert.Equal(["cosign", "expire", "verify"], config.Jobs.Select(j => j.Name)); // attest: where the opening key is
        ConfigReader.Read(null, new ServeCall(null, null, null), faults);
        Assert.True(faults.Any);
    }
}
