using System.Text;

namespace Holdfast.SystemTests;

/// <summary>Where a vault and its keys may be made, and what is there after a refusal: nothing.</summary>
public sealed class InitTests
{
    const UnixFileMode PrivateFolder = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;
    const UnixFileMode OwnerFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    static string Program => Path.Combine(Cli.Root, "artifacts/holdfast/holdfast");

    static UnixFileMode Mode(string path) => OperatingSystem.IsWindows() ? default : File.GetUnixFileMode(path);

    static void AssertNoKeys(Cli cli) => Assert.False(Directory.Exists(cli["keys"]));

    [Fact]
    public void No_vault_begins_with_a_clock_that_is_certainly_wrong()
    {
        Cli.RequireFakeTime();
        using var cli = new Cli();
        cli.Write("f", [1]);
        cli.FakeTime("@2001-01-01 12:00:00");
        foreach (var call in new string[][] { ["init", cli["vault"]], ["up", cli["source"], "--base", cli["trial"]] })
        {
            var refused = cli.Run(call).Expect(33).Error;
            foreach (var word in new[] { "2001-01-01", "ClockInDoubt", "Set this machine's clock right" })
                Assert.Contains(word, refused, StringComparison.Ordinal);
        }
        foreach (var folder in new[] { "vault", "keys", "trial/trial-vaults" })
            Assert.False(Path.Exists(cli[folder]));
        cli.FakeTime(null);
        var day = DateTime.UtcNow.ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        Assert.Contains($"Its clock starts from this machine's, {day}", cli.Run("init", cli["vault"]).Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains($"starts from this machine's, {day}", cli.Run("up", cli["source"], "--base", cli["trial"]).Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_holds_something_else_is_refused_and_left_as_it_is()
    {
        using var cli = new Cli();
        foreach (var name in new[] { "report.doc", "log/app.log", "packs/x", "objects/00/mine", "keeper/notes", "cache/x" })
        {
            Directory.CreateDirectory(Path.GetDirectoryName(cli[$"vault/{name}"])!);
            File.WriteAllText(cli[$"vault/{name}"], "mine");
            cli.Run("init", cli["vault"]).Expect(name == "packs/x" ? 11 : 53);
            Assert.Equal([Path.GetFullPath(cli[$"vault/{name}"])], Directory.GetFiles(cli["vault"], "*", SearchOption.AllDirectories));
            AssertNoKeys(cli);
            Directory.Delete(cli["vault"], recursive: true);
        }
        Directory.CreateDirectory(cli["vault/lost+found"]); // the root of a new disk
        cli.Run("init", cli["vault"]).Expect(0);
    }

    [Fact]
    public void A_folder_in_one_that_is_not_there_is_refused_and_not_made_on_whatever_disk_that_would_be()
    {
        using var cli = new Cli();
        Assert.Contains("mounted", cli.Run("init", cli["mistyped/vault"]).Expect(56).Error, StringComparison.Ordinal);
        cli.Run("init", cli["vault"], "--keys", cli["mistyped/keys"]).Expect(56);
        Assert.False(Directory.Exists(cli["mistyped"]));
        Assert.False(Directory.Exists(cli["vault"]));
        AssertNoKeys(cli);
    }

    [Theory]
    [InlineData("--daily-quota", "0")]
    [InlineData("--daily-quota", "-5GiB")]
    [InlineData("--locked-quota", "much")]
    [InlineData("--locked-quota", "1.5TiB")]
    [InlineData("--locked-quota", "99999999999PiB")]
    [InlineData("--reserve", "1KiB")]
    [InlineData("--reserve", "64")]
    [InlineData("--reserve", "9PiB")]
    public void A_size_that_is_none_is_refused_before_anything_is_made(string option, string size)
    {
        using var cli = new Cli();
        cli.Run("init", cli["vault"], option, size).Expect(2);
        Assert.False(Directory.Exists(cli["vault"]));
        AssertNoKeys(cli);
    }

    [Theory]
    [InlineData("50GB", "46.6 GiB")]
    [InlineData("50GiB", "50 GiB")]
    [InlineData("2T", "2 TiB")]
    public void A_size_is_in_units_of_1024_or_of_1000(string size, string shown)
    {
        using var cli = new Cli();
        Assert.Contains("500MB, 50GB, 2TB (1000 each)", cli.Run("init", cli["vault"], "--daily-quota", "50gb").Expect(2).Error, StringComparison.Ordinal);
        cli.Run("init", cli["vault"], "--lock", "1d", "--daily-quota", size, "--locked-quota", size, "--reserve", "64MB").Expect(0);
        Assert.Contains($"at most {shown} new a day; at most {shown} locked", cli.Run("policy", "show").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_lock_of_less_than_a_day_is_made_and_said_to_protect_little()
    {
        using var cli = new Cli();
        var made = cli.Run("init", cli["vault"], "--lock", "5s").Expect(0);
        Assert.Contains("a lock of 5 seconds protects nothing from an attack", made.Error, StringComparison.Ordinal);
        Assert.Contains($"policy set --vault {cli["vault"]} --keys {cli["keys"]} --lock 30d` makes it longer", made.Error, StringComparison.Ordinal);
        Assert.Contains($"{cli["vault/keeper/log.key"]}", made.Out, StringComparison.Ordinal);
        Assert.Empty(cli.Run("init", cli["v2"], "--keys", cli["k2"], "--lock", "1d").Expect(0).Error);
    }

    [Fact]
    public void A_quota_given_when_the_vault_was_made_holds()
    {
        using var cli = new Cli();
        cli.Run("init", cli["vault"], "--daily-quota", "1MiB", "--reserve", "1MiB").Expect(0);
        cli.Write("a", [1]);
        cli.Run("backup", cli["source"]).Expect(0);
        var noise = new byte[3 << 20];
        new Random(1).NextBytes(noise);
        cli.Write("b", noise);
        cli.Run("backup", cli["source"]).Expect(32);
    }

    [Fact]
    public void A_vault_that_lost_its_small_file_is_not_made_anew()
    {
        using var cli = new Cli().Init();
        cli.Write("a", [1]);
        cli.Run("backup", cli["source"]).Expect(0);
        File.Move(cli["vault/vault"], cli["aside"]);
        Assert.Contains("`vault` is missing", cli.Run("init", cli["vault"], "--keys", cli["other"]).Expect(11).Error, StringComparison.Ordinal);
        File.Move(cli["aside"], cli["vault/vault"]);
        cli.Run("verify", "--full").Expect(0);
    }

    [Fact]
    public void A_file_in_the_place_of_a_folder_is_refused()
    {
        using var cli = new Cli();
        File.WriteAllText(cli["file"], "mine");
        cli.Run("init", cli["file"]).Expect(2);
        cli.Run("init", cli["file/vault"]).Expect(2);
        AssertNoKeys(cli);
        cli.Run("init", cli["vault"], "--keys", cli["file"]).Expect(2);
        cli.Run("init", cli["vault"], "--keys", cli["file/keys"]).Expect(2);
        Assert.False(Directory.Exists(cli["vault"]));
        Assert.Equal("mine", File.ReadAllText(cli["file"]));
    }

    [Fact]
    public void Keys_of_a_making_that_was_cut_short_are_put_aside_and_those_of_another_vault_are_not()
    {
        using var cli = new Cli().Init();
        var key = File.ReadAllBytes(cli["keys/put.key"]);
        File.Delete(cli["vault/vault"]); // as if killed before the last step
        Assert.Contains("put aside", cli.Run("init", cli["vault"], "--lock", "1d").Expect(0).Error, StringComparison.Ordinal);
        Assert.Equal(key, File.ReadAllBytes(Directory.GetFiles(cli["keys"], "put.key.unused-*").Single()));
        cli.Write("a", Encoding.UTF8.GetBytes("bed 3"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("bed 3", cli.Run("cat", "latest", "a").Expect(0).Out);
        key = File.ReadAllBytes(cli["keys/put.key"]);
        cli.Run("init", cli["second"]).Expect(11);
        Assert.False(Directory.Exists(cli["second"]));
        Assert.Equal(key, File.ReadAllBytes(cli["keys/put.key"]));
    }

    [Theory]
    [InlineData("vault")]
    [InlineData("keys")]
    public void Where_this_user_may_not_write_nothing_is_made(string refused)
    {
        Assert.SkipUnless(Environment.UserName == "root" && Cli.Has("setpriv"), "needs root and setpriv to become someone else");
        using var cli = new Cli();
        cli.Run("--version").Expect(0);
        cli.Shell("chmod 755 .; mkdir -m 777 open; mkdir -m 755 closed");
        var result = Cli.Finish(cli.StartProgram("setpriv", "/", "--reuid=65534", "--regid=65534", "--clear-groups", Program, "init",
            cli[refused == "vault" ? "closed/vault" : "open/vault"], "--keys", cli[refused == "keys" ? "closed/keys" : "open/keys"]));
        Assert.SkipWhen(result.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        Assert.Contains("may", result.Expect(15).Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(cli["open"]));
    }

    [Theory]
    [InlineData("vault")]
    [InlineData("keys")]
    public void On_read_only_media_nothing_is_made(string refused)
    {
        using var cli = new Cli();
        using var mounted = cli.MountTmpfs("ro", "ro,size=1m");
        cli.Run("init", cli[refused == "vault" ? "ro/vault" : "vault"], "--keys", cli[refused == "keys" ? "ro/keys" : "keys"]).Expect(16);
        AssertNoKeys(cli);
        Assert.False(Directory.Exists(cli["vault"]));
    }

    [Fact]
    public void A_folder_named_with_a_separator_at_its_end_is_the_folder()
    {
        using var cli = new Cli();
        cli.Write("a", [1]);
        cli.Run("init", cli["vault/"], "--keys", cli["vault/keys"]).Expect(2);
        cli.Run("init", cli["no/vault/"], "--keys", cli["keys/"]).Expect(56);
        cli.Run("init", cli["vault/"], "--keys", cli["no/keys/"]).Expect(56);
        Assert.False(Path.Exists(cli["vault"]));
        cli.Run("init", cli["vault/"], "--keys", cli["keys/"], "--lock", "1d").Expect(0);
        cli.Run("backup", cli["source/"], "--name", "ward", "--vault", cli["vault/"], "--keys", cli["keys/"]).Expect(0);
        cli.Run("store", "add", cli["more/"]).Expect(0);
        cli.Shell("mv more moved");
        cli.Run("store", "move", cli["more/"], cli["moved/"]).Expect(0);
        Assert.StartsWith(cli["moved"] + " ", cli.Run("store", "list").Expect(0).Out.Split('\n')[1], StringComparison.Ordinal);
        cli.Run("key", "issue", "--out", cli["issued/"]).Expect(0);
        cli.Run("key", "issue", "--vault", cli["vault/"], "--out", cli["vault/keys/"]).Expect(2);
        cli.Run("restore", "latest", cli["out/"]).Expect(0);
        Assert.False(Path.Exists(cli["vault/keys"]));
        Assert.All(new[] { "keys/opening.key", "issued/put.key", "out/a" }, f => Assert.True(File.Exists(cli[f]), f));
        cli.Run("up", cli["source/"], "--base", cli["trial/"]).Expect(0);
        Assert.Contains("Going on with the trial", cli.Run("up", cli["source"], "--base", cli["trial"]).Expect(0).Out, StringComparison.Ordinal);
        cli.Environment["HOLDFAST_VAULT"] = cli.Environment["HOLDFAST_KEYS"] = "";
        Assert.Contains("TRIAL - NOT PROTECTION", cli.Run("status").Expect(0).Out, StringComparison.Ordinal); // one trial, under either spelling
    }

    [Fact]
    public void Every_folder_of_a_vault_has_its_mode_whatever_the_umask()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "modes of Linux");
        using var cli = new Cli();
        cli.Run("--version").Expect(0);
        cli.Write("a", [1]);
        cli.Environment["HOLDFAST_STATE_DIR"] = cli["home/local/state"];
        cli.Shell($"""
            umask 002
            '{Program}' init vault --lock 1d
            '{Program}' backup source --name ward
            """);
        foreach (var folder in Directory.GetDirectories(cli["vault"], "*", SearchOption.AllDirectories).Append(cli["vault"]))
            Assert.True((Mode(folder) & ~PrivateFolder) == 0, $"{folder} {Mode(folder)}");
        foreach (var folder in new[] { "home", "home/local", "home/local/state" })
            Assert.Equal(OwnerFile | UnixFileMode.UserExecute, Mode(cli[folder]));
    }

    /// <summary>Every command that writes key material, under the widest and the narrowest umask.</summary>
    [Theory]
    [InlineData("000")]
    [InlineData("077")]
    public void All_key_files_are_for_their_owner_alone_whatever_the_umask(string umask)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "modes of Linux");
        using var cli = new Cli();
        cli.Run("--version").Expect(0);
        cli.Write("a", [1]);
        cli.Shell($"""
            umask {umask}
            h='{Program}'
            $h init vault --lock 1d
            $h backup source --name ward
            $h key issue --out issued
            $h key scope --class tree --out scoped.key
            $h recovery-kit --threshold 1 --shares 1 --out kit.pdf
            $h key rotate
            """);
        foreach (var folder in new[] { "keys", "issued" })
            Assert.Equal(OwnerFile | UnixFileMode.UserExecute, Mode(cli[folder]));
        var files = new[] { "keys", "issued" }.SelectMany(f => Directory.GetFiles(cli[f])).Append(cli["scoped.key"]).Append(cli["kit.pdf"]).Append(cli["vault/keeper/log.key"]).ToList();
        foreach (var name in new[] { "put.key", "agent.key", "opening.key", "opening.secret", "opening.key.epoch1", "checkpoint" })
            Assert.Contains(cli[$"keys/{name}"], files);
        Assert.All(files, f => Assert.True(Mode(f) == OwnerFile, f));
    }

    [Fact]
    public void A_lock_over_thirteen_months_takes_a_legal_basis_which_is_kept()
    {
        using var cli = new Cli();
        var date = $"{DateTime.UtcNow.AddDays(8 * 366):yyyy-MM-dd}";
        foreach (var call in new string[][] { ["--years", "8"], ["--longest", "2y"], ["--years", "8", "--legal-basis", "a\nb"], ["--lock", "60d", "--longest", "30d", "--legal-basis", "x"] })
            cli.Run(["init", cli["vault"], "--confirm-locked-until", date, .. call]).Expect(2);
        Assert.False(Directory.Exists(cli["vault"]));
        cli.Run("init", cli["vault"], "--lock", "1d", "--years", "8", "--legal-basis", "Records Management Code of Practice", "--confirm-locked-until", date).Expect(0);
        Assert.Contains("Records Management Code of Practice", cli.Run("policy", "show").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("init", cli["other"], "--keys", cli["k2"]).Expect(0);
        cli.Run("policy", "set", "--months", "13", "--confirm-locked-until", $"{DateTime.UtcNow.AddDays(403):yyyy-MM-dd}", "--vault", cli["other"], "--keys", cli["k2"]).Expect(0);
        cli.Run("policy", "set", "--months", "14", "--vault", cli["other"], "--keys", cli["k2"]).Expect(35);
    }
}
