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
        string[][] commands = [["backup", cli["source"], "--name", "ward"], ["backup", cli["source/notes"], "--name", "another"], ["attest", "latest", "--name", "ward", "--full"], ["verify", "--full"], ["verify", "--rebuild-index"],
            ["lock", "latest", "--name", "ward", "--until", $"{DateTime.UtcNow.AddDays(9):yyyy-MM-dd}"], ["expire"], ["store", "add", cli["home/second"]], ["status"], ["key", "rotate"], ["key", "issue", "--out", cli["home/issued"]]];
        cli.Shell("install -d -m 700 -o 65534 -g 65534 home/issued");
        foreach (var command in commands)
            cli.Run(command).Expect(0);
        for (var i = 0; i < 20; i++) // a second level of tiles and caches
            cli.Run("lock", "latest", "--name", "ward", "--until", $"{DateTime.UtcNow.AddDays(10 + i):yyyy-MM-dd}").Expect(0);
        Assert.Equal("", cli.Shell("find vault keys home/state home/second ! -user 65534 -o ! -group 65534").Out);
        foreach (var command in commands.Where(c => c[0] is not ("store" or "key")))
            AsOwner(cli, command).Expect(0);
        // The folder that root made for the user takes a vault of the user's.
        cli.Shell("install -d -o 65534 -g 65534 home/made home/made-keys");
        cli.Run("init", cli["home/made"], "--keys", cli["home/made-keys"], "--lock", "1d").Expect(0);
        Assert.Equal("", cli.Shell("find home/made home/made-keys ! -user 65534").Out);
    }

    /// <summary>In a folder of another user's, whatever is root's can be exchanged by that user at the moment of a change.</summary>
    [Fact]
    public void Root_makes_and_changes_nothing_of_its_own_in_another_users_folder()
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root");
        using var cli = new Cli().Init();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        cli.Shell("chmod 755 . && mkdir home && chown 65534:65534 home");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Contains("in a folder of another user's", cli.Run("init", cli["home/vault"], "--keys", cli["new-keys"], "--lock", "1d").Expect(15).Error, StringComparison.Ordinal);
        Assert.Contains("in a folder of another user's", cli.Run("init", cli["new"], "--keys", cli["home/keys"], "--lock", "1d").Expect(15).Error, StringComparison.Ordinal);
        Assert.Contains("in a folder of another user's", cli.Run("key", "issue", "--out", cli["home/keys"]).Expect(15).Error, StringComparison.Ordinal);
        cli.Shell("ln -s home theirs && chown -h 65534:65534 theirs && mkdir theirs-too && ln -s $PWD/theirs-too led && chown -h 65534:65534 led && md5sum vault/log/checkpoint > log-before");
        foreach (var place in new[] { "home", "theirs", "led" })
        {
            foreach (var command in new string[][] { ["recovery-kit", "--out"], ["key", "scope", "--class", "tree", "--out"], ["key", "rotate", "--new-secret"] })
                Assert.Contains("in a folder of another user's", cli.Run([.. command, cli[$"{place}/secret"]]).Expect(15).Error, StringComparison.Ordinal);
        }
        cli.Shell("test ! -e new && test ! -e new-keys && test -z \"$(find home theirs-too -mindepth 1)\" && md5sum --quiet -c log-before && rm theirs led");
        cli.Run("log", "checkpoint", "--out", cli["home/checkpoint"]).Expect(0); // no secret
        cli.Shell("rm home/checkpoint");
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["home/state"];
        Assert.Contains("another user's, who could read there", cli.Run("backup", cli["source"], "--name", "ward").Expect(0).Error, StringComparison.Ordinal);
        cli.Environment.Remove("HOLDFAST_STATE_DIR");
        cli.Shell("mv vault keys home/ && echo $PWD/home/vault > home/keys/checkpoint.place && find home -type f -printf '%p %s %T@\\n' | sort > before");
        string[] at = ["--vault", cli["home/vault"], "--keys", cli["home/keys"]];
        foreach (var command in new string[][] { ["backup", cli["source"], "--name", "ward"], ["expire"], ["lock", "latest", "--name", "ward", "--until", $"{DateTime.UtcNow.AddDays(9):yyyy-MM-dd}"], ["key", "rotate"], ["store", "add", cli["shelf"]] })
            Assert.Contains("root changes nothing there", cli.Run([.. command, .. at]).Expect(15).Error, StringComparison.Ordinal);
        cli.Shell("find home -type f -printf '%p %s %T@\\n' | sort | diff before - && test ! -e shelf/vault");
        foreach (var command in new string[][] { ["snapshots"], ["ls", "latest"], ["restore", "latest", cli["out"]], ["verify", "--full"] })
            cli.Run([.. command, .. at]).Expect(0); // what there is comes back all the same
        cli.Shell("chown -R 65534:65534 home/vault home/keys");
        cli.Run(["backup", cli["source"], "--name", "ward", .. at]).Expect(0);
    }

    /// <summary>What the guard judges by is no one's but root's.</summary>
    [Fact]
    public void A_guards_own_folder_that_others_can_change_is_refused_before_anything_is_made()
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root: who owns the folder is asked for root alone");
        using var cli = new Cli().Init();
        cli.Shell("chmod 755 . && mkdir home open sticky && chown 65534:65534 home && chown -R 65534:65534 vault && chmod 777 open && chmod 1777 sticky && mkdir open/roots sticky/roots && ln -s $PWD/sticky/roots home/link && ls -lR vault > before");
        Assert.SkipWhen(cli.Run("guard", "--once", "--state", cli["home/guard"]).Error.Contains("CAP_LINUX_IMMUTABLE", StringComparison.Ordinal), "needs CAP_LINUX_IMMUTABLE");
        foreach (var (state, status) in new[] { ("vault", 2), ("vault/guard", 2), ("vault/../vault/keeper/guard/", 2), ("home", 15), ("home/guard", 15), ("home/not/there/", 15), ("home/link/guard", 15), ("open", 15), ("open/guard", 15), ("open/roots/guard", 15), ("sticky", 15) })
        {
            var refused = cli.Run("guard", "--once", "--state", cli[state]).Expect(status).Error;
            Assert.Contains("Nothing was made", refused, StringComparison.Ordinal);
            Assert.Contains("what the guard judges by", refused, StringComparison.Ordinal);
        }
        cli.Shell("ls -lR vault | diff before -");
        Assert.Equal("home/link\nopen/roots\nsticky/roots\n", cli.Shell("find home open sticky -mindepth 1 | sort").Out);
        try
        {
            var looked = cli.Run("guard", "--once", "--state", cli["sticky/roots/guard/"]);
            Assert.SkipWhen(looked.Error.Contains("StoreUnavailable", StringComparison.Ordinal), "needs a file system with immutable flags for its temporary folder");
            looked.Expect(0);
        }
        finally
        {
            cli.Shell("chattr -R -f -i -a vault || true");
        }
    }

    /// <summary>While root sweeps, the user puts another folder in the place of root's, with a link to where only root goes.</summary>
    [Fact]
    public void A_further_folder_at_another_users_mercy_is_refused_and_one_that_is_there_leads_root_nowhere()
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root");
        using var cli = new Cli().Init();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        cli.Shell("chmod 755 . && mkdir home roots && chown 65534:65534 home && for i in 1 2 3; do touch -d '2 hours ago' roots/old$i; done && chmod 700 roots");
        Assert.Contains("another user's", cli.Run("store", "add", cli["home/more"]).Expect(15).Error, StringComparison.Ordinal);
        // As an earlier version would have added it; then the user exchanges it.
        cli.Run("store", "add", cli["more"]).Expect(0);
        cli.Shell("mv more home/more && sed -i s#/more#/home/more# vault/keeper/folders && mv home/more home/kept && mkdir -p home/more/packs home/more/objects && ln -s $PWD/roots home/more/staging");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("expire").Expect(0);
        Assert.Equal("3", cli.Shell("ls roots | wc -l").Out.Trim());
    }

    [Fact]
    public void Root_makes_no_trial_in_another_users_folder()
    {
        Assert.SkipUnless(Environment.UserName == "root", "needs root");
        using var cli = new Cli();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        cli.Shell("mkdir home && chown 65534:65534 home");
        Assert.Contains("another user's", cli.Run("up", cli["source"], "--base", cli["home/trials"]).Expect(15).Error, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(cli["home"]));
    }

    /// <summary>The owner of a vault puts links to the administrator's folders in place of its parts, and names them as parts of it.</summary>
    [Theory]
    [InlineData("rmdir vault/staging && ln -s $PWD/roots vault/staging")]
    [InlineData("mv vault/keeper vault/away && ln -s $PWD/roots vault/keeper")]
    [InlineData("mv vault/objects vault/away && ln -s $PWD/roots vault/objects")]
    [InlineData("mv vault/log vault/away && ln -s $PWD/roots vault/log")]
    [InlineData("rm -r vault/cache && ln -s $PWD/roots vault/cache")]
    [InlineData("rm -f keys/lock keys/checkpoint && ln -s $PWD/roots/nologin keys/lock && ln -s $PWD/roots/nologin keys/checkpoint")]
    [InlineData("mv keys away && ln -s $PWD/roots keys")]
    [InlineData("rm -r home/state && ln -s $PWD/roots home/state")]
    [InlineData("sed -i s#home/second#roots# vault/keeper/folders")]
    public void What_root_runs_in_a_users_vault_reaches_nothing_that_the_user_does_not(string trick)
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = new Cli().Init();
        cli.Write("notes/ward.txt", "bed 3"u8.ToArray());
        cli.Shell("mkdir home && chown -R 65534:65534 . && chmod 755 .");
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["home/state"];
        Assert.SkipWhen(AsOwner(cli, "store", "add", cli["home/second"]).Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        AsOwner(cli, "backup", cli["source"], "--name", "ward").Expect(0);
        cli.Shell("mkdir -p roots/staging roots/packs && for f in shadow staging/shadow clock reserve lock checkpoint; do echo root > roots/$f; touch -d '1 year ago' roots/$f; done; chown -R root:root roots; chmod -R go-w roots; find roots -printf '%p %y %u %s %T@\\n' | sort > before; chmod 600 before");
        cli.Shell($"setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '{trick.Replace("'", "'\\''", StringComparison.Ordinal)}'");
        foreach (var command in new string[][] { ["backup", cli["source"], "--name", "ward"], ["backup", cli["source"], "--name", "ward", "--read-all"], ["expire"], ["attest", "--full"], ["verify", "--full"], ["verify", "--rebuild-index"], ["key", "rotate"], ["lock", "latest", "--name", "ward", "--until", $"{DateTime.UtcNow.AddDays(9):yyyy-MM-dd}"], ["status"] })
            cli.Run(command); // however it ends
        cli.Shell("find roots -printf '%p %y %u %s %T@\\n' | sort | diff before -");
    }
}
