namespace Holdfast.SystemTests;

/// <summary>An administrator's command on the vault of another user shuts that user out of nothing.</summary>
public sealed class OwnerTests
{
    static Result AsOwner(Cli cli, params string[] arguments) => Cli.Finish(cli.StartProgram("setpriv", "/",
        ["--reuid=65534", "--regid=65534", "--clear-groups", Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), .. arguments]));

    [Fact]
    public void What_root_leaves_in_a_users_vault_and_keys_is_the_users()
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = new Cli().Init();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        cli.Write("scan", new byte[20_000_000]);
        cli.Shell("chmod 755 . && mkdir home && chown -R 65534:65534 home vault keys source && chmod 755 source");
        cli.Environment["HOME"] = cli["home"];
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["home/state"];
        var first = AsOwner(cli, "backup", cli["source"], "--name", "ward");
        Assert.SkipWhen(first.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        first.Expect(0);
        cli.Shell("head -c 9000000 /dev/urandom > source/new");
        string[][] commands = [["backup", cli["source"], "--name", "ward"], ["backup", cli["source/notes"], "--name", "another"], ["attest", "latest", "--full"], ["verify", "--full"], ["verify", "--rebuild-index"],
            ["lock", "latest", "--until", $"{DateTime.UtcNow.AddDays(9):yyyy-MM-dd}"], ["expire"], ["store", "add", cli["home/second"]], ["status"], ["key", "rotate"], ["key", "issue", "--out", cli["home/issued"]]];
        foreach (var command in commands)
            cli.Run(command).Expect(0);
        for (var i = 0; i < 20; i++) // a second level of tiles and caches
            cli.Run("lock", "latest", "--until", $"{DateTime.UtcNow.AddDays(10 + i):yyyy-MM-dd}").Expect(0);
        Assert.Equal("", cli.Shell("find vault keys home/state home/second ! -user 65534 -o ! -group 65534").Out);
        foreach (var command in commands.Where(c => c[0] is not ("store" or "key")))
            AsOwner(cli, command).Expect(0);
        // A vault that root makes stays root's, wherever it lies.
        cli.Run("init", cli["home/roots"], "--keys", cli["home/roots-keys"], "--lock", "1d").Expect(0);
        Assert.Equal("", cli.Shell("find home/roots home/roots-keys -user 65534").Out);
    }
}
