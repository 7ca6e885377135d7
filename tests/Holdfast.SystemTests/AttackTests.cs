using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Holdfast.SystemTests;

public sealed class AttackTests
{
    [Fact]
    public void Killed_at_random_moments_nothing_is_lost_and_the_next_run_goes_on()
    {
        const int kills = 200;
        using var cli = new Cli().Init();
        for (var i = 0; i < 60; i++)
            cli.Write($"d{i % 5}/f{i}", Cli.Noise(i, 40_000));
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        var clock = Stopwatch.StartNew();
        cli.Write("big", Cli.Noise(1_000, 12_000_000));
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        var takes = clock.Elapsed;
        var random = new Random(7);
        var committed = 2;
        for (var kill = 0; kill < kills; kill++)
        {
            cli.Write("big", Cli.Noise(kill, 4_000_000));
            using (var process = cli.StartProgram(Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), null, "backup", cli["source"], "--name", "s"))
            {
                if (!process.WaitForExit(TimeSpan.FromMilliseconds(random.NextDouble() * takes.TotalMilliseconds)))
                    process.Kill();
                process.WaitForExit();
            }
            if (kill % 20 != 19)
                continue;
            var snapshots = JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").GetArrayLength();
            Assert.True(snapshots >= committed);
            cli.Run("backup", cli["source"], "--name", "s").Expect(0);
            committed = snapshots + 1;
            cli.Run("restore", "latest", cli["r"]).Expect(0);
            cli.Shell("diff -r source r && rm -r r");
        }
        cli.Run("verify", "--full").Expect(0);
        cli.Run("attest", "latest", "--full").Expect(0);
    }

    [Fact]
    public void A_full_disk_ends_with_a_clear_word_and_loses_nothing()
    {
        using var cli = new Cli();
        using var mounted = cli.MountTmpfs("disk", "size=110m");
        cli.Environment["HOLDFAST_VAULT"] = cli["disk/vault"];
        cli.Run("init", cli["disk/vault"], "--lock", "1d").Expect(0);
        cli.Write("first", Cli.Noise(1, 5_000_000));
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        cli.Write("second", Cli.Noise(2, 60_000_000));
        var full = cli.Run("backup", cli["source"], "--name", "s").Expect(60);
        Assert.Contains("store add", full.Error, StringComparison.Ordinal);
        Assert.Matches($@"\([0-9.]+ [KM]?i?B are free in {cli["disk/vault/staging"]}, and 64 MiB", full.Error);
        cli.Shell("fill=disk/fill; dd if=/dev/zero of=$fill bs=64k 2>/dev/null || true"); // not a byte left
        var later = DateTimeOffset.UtcNow.AddDays(20).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        cli.Run("lock", "latest", "--until", later).Expect(0); // from the reserve
        // What that needs is little, and the rest of it is kept: from packs too.
        Assert.InRange(new FileInfo(cli["disk/vault/keeper/reserve"]).Length, 60L << 20, 64L << 20);
        cli.Write("third", Cli.Noise(3, 2_000_000));
        cli.Run("backup", cli["source"], "--name", "t", "--exclude", "/first", "--exclude", "/second").Expect(60);
        cli.Run("lock", "latest", "--until", DateTimeOffset.UtcNow.AddDays(25).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture)).Expect(0);
        Assert.InRange(new FileInfo(cli["disk/vault/keeper/reserve"]).Length, 60L << 20, 64L << 20);
        cli.Shell(": > disk/vault/keeper/reserve"); // as a process leaves it that is killed before it makes it again
        cli.Run("lock", "latest", "--until", DateTimeOffset.UtcNow.AddDays(26).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture)).Expect(0);
        Assert.InRange(new FileInfo(cli["disk/vault/keeper/reserve"]).Length, 55L << 20, 64L << 20);
        cli.Shell("rm disk/fill; rm -f disk/vault/staging/*");
        cli.Run("verify", "--full").Expect(0);
        cli.Run("store", "add", cli["more"]).Expect(0);
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell("diff -r source r");
    }

    /// <summary>Further folders take packs, and the log stays where it is.</summary>
    [Fact]
    public void A_full_disk_under_the_log_is_told_whatever_room_the_other_folders_have()
    {
        using var cli = new Cli();
        using var mounted = cli.MountTmpfs("disk", "size=100m");
        cli.Environment["HOLDFAST_VAULT"] = cli["disk/vault"];
        cli.Run("init", cli["disk/vault"], "--lock", "1d", "--reserve", "2MiB").Expect(0);
        cli.Write("f", Cli.Noise(1, 8_000_000));
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        cli.Run("store", "add", cli["second"]).Expect(0);
        cli.Run("status").Expect(0);
        cli.Shell("dd if=/dev/zero of=disk/fill bs=64k 2>/dev/null || dd if=/dev/zero of=disk/fill2 bs=512 2>/dev/null || true; : > disk/vault/keeper/reserve; dd if=/dev/zero of=disk/fill3 bs=4k 2>/dev/null || true");
        Assert.Contains("mv ", cli.Run("backup", cli["source"], "--name", "s").Expect(60).Error, StringComparison.Ordinal);
        var status = cli.Run("status").Expect(60);
        Assert.Contains($"are left in {cli["disk/vault"]}", status.Error, StringComparison.Ordinal);

        // As it says: a pack may lie in any of its folders.
        cli.Shell("p=$(ls -S $(find disk/vault/packs -type f) | head -1); d=$(basename $(dirname $p)); mkdir -p second/packs/$d; mv $p second/packs/$d/");
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        cli.Run("verify", "--full").Expect(0);
        cli.Run("status").Expect(0);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell("diff -r source r");
    }

    /// <summary>It has the reserve's room; and where there is none either, that is told.</summary>
    [Fact]
    public void Damage_that_is_found_on_a_full_disk_is_not_forgotten()
    {
        using var cli = new Cli();
        using var mounted = cli.MountTmpfs("disk", "size=200m");
        cli.Environment["HOLDFAST_VAULT"] = cli["disk/vault"];
        cli.Run("init", cli["disk/vault"], "--lock", "1d", "--reserve", "8MiB").Expect(0);
        cli.Write("first", Cli.Noise(1, 8_000_000));
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        const string fill = "dd if=/dev/zero of=disk/fill bs=64k 2>/dev/null || dd if=/dev/zero of=disk/fill2 bs=512 2>/dev/null || true";
        cli.Shell($"p=$(ls -S $(find disk/vault/packs -type f) | head -1); printf X | dd of=$p bs=1 seek=500000 conv=notrunc 2>/dev/null; {fill}");
        Assert.DoesNotContain("could not be noted", cli.Run("verify").Expect(21).Error, StringComparison.Ordinal);
        Assert.InRange(new FileInfo(cli["disk/vault/keeper/reserve"]).Length, 6 << 20, 8 << 20);
        cli.Shell("rm disk/fill*");
        cli.Run("status").Expect(21);

        cli.Shell($": > disk/vault/keeper/reserve; rm disk/vault/keeper/reads; {fill}");
        Assert.Contains("what was found damaged could not be noted (The disk is full", cli.Run("verify").Expect(21).Error, StringComparison.Ordinal);
        cli.Shell("rm disk/fill*");
        cli.Run("verify").Expect(21);
        cli.Run("backup", cli["source"], "--name", "s", "--read-all").Expect(0);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Shell("diff -r source r");
    }

    [Fact]
    public void A_lying_clock_does_not_have_a_lock_taken_for_a_short_one()
    {
        Cli.RequireFakeTime();
        using var cli = new Cli().Init();
        cli.Write("f", [1]);
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        var until = DateTime.UtcNow.AddDays(200).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        cli.FakeTime("+190d"); // to the machine ten days, to the vault two hundred
        cli.Run("lock", "latest", "--until", until).Expect(36);
        cli.Run("lock", "latest", "--until", until, "--confirm-locked-until", until).Expect(0);
    }

    [Fact]
    public void A_lying_clock_around_the_whole_program_frees_nothing()
    {
        Cli.RequireFakeTime();
        using var cli = new Cli().Init();
        cli.Write("f", Cli.Noise(1, 1_000_000));
        cli.Run("backup", cli["source"], "--name", "s").Expect(0);
        foreach (var lie in new[] { "+10y", "+40d", "-400d", "+100y" })
        {
            cli.FakeTime(lie);
            var expired = JsonDocument.Parse(cli.Run("expire", "--json").Expect(0).Out).RootElement;
            Assert.Equal(0, expired.GetProperty("packs").GetInt32() + expired.GetProperty("objects").GetInt32());
            cli.Run("backup", cli["source"], "--name", "s").Expect(0);
            var status = cli.Run("status").Expect(0).Out;
            foreach (var word in new[] { "IN DOUBT", "expiry goes by both clocks", "nothing is removed that either still protects", "set this machine's clock right", lie[0] == '-' ? "behind the vault's" : "ahead of the vault's" })
                Assert.Contains(word, status, StringComparison.Ordinal);
            var clock = JsonDocument.Parse(cli.Run("status", "--json").Expect(0).Out).RootElement.GetProperty("clock");
            Assert.True(clock.GetProperty("inDoubt").GetBoolean());
            Assert.Equal(lie[0] == '-', clock.GetProperty("offsetSeconds").GetInt64() < 0);
            Assert.Equal("expiry", clock.GetProperty("stops").GetString());
        }
        cli.FakeTime(null);
        foreach (var snapshot in JsonDocument.Parse(cli.Run("snapshots", "--json").Out).RootElement.GetProperty("snapshots").EnumerateArray())
        {
            var until = snapshot.GetProperty("lockedUntil").GetDateTimeOffset();
            Assert.InRange(until, DateTimeOffset.UtcNow.AddHours(23), DateTimeOffset.UtcNow.AddDays(43)); // never short, and no hundred years either
        }
        cli.Run("restore", "latest", cli["r"]).Expect(0);
    }

    [Fact]
    public async Task Two_backups_a_verify_a_restore_and_an_expiry_at_once()
    {
        using var cli = new Cli().Init();
        for (var i = 0; i < 300; i++)
            cli.Write($"f{i}", Cli.Noise(i, 30_000));
        cli.Run("backup", cli["source"], "--name", "one").Expect(0);
        for (var round = 0; round < 5; round++)
        {
            cli.Write("changing", Cli.Noise(1_000 + round, 3_000_000));
            var processes = new[]
            {
                cli.Start("backup", cli["source"], "--name", "one"), cli.Start("backup", cli["source"], "--name", "two"), cli.Start("verify", "--full"),
                cli.Start("restore", "latest", cli[$"r{round}"], "--name", "one"), cli.Start("expire"),
            };
            foreach (var result in await Task.WhenAll(processes.Select(p => Task.Run(() => Cli.Finish(p)))))
                result.Expect(0);
        }
        cli.Run("restore", "latest", cli["end"], "--name", "two").Expect(0);
        cli.Shell("diff -r source end");
        cli.Run("verify", "--full").Expect(0);
    }

    [Fact]
    public void Planted_names_and_numbers_appear_in_nothing_that_leaves_the_vault()
    {
        const string name = "Zzyzx-Quartermain", number = "9434765919";
        using var cli = new Cli().Init();
        cli.Write($"{name}/NHS {number}.txt", Encoding.UTF8.GetBytes($"{name} {number} allergic to penicillin"));
        cli.Write($"{name}/secret-{number}", Cli.Noise(1, 100_000));
        var words = new StringBuilder();
        void Say(Result result) => words.Append(result.Out).Append(result.Error);
        Say(cli.Run("backup", cli["source"], "--name", "records").Expect(0));
        Say(cli.Run("backup", cli["source"], "--name", "records").Expect(0));
        foreach (var call in new string[][] { ["status"], ["verify"], ["verify", "--full"], ["attest", "--full"], ["log", "entries"], ["log", "entries", "--json"], ["log", "checkpoint"], ["log", "prove", "latest"], ["snapshots", "--keys", ""], ["status", "--json"], ["expire"] })
            Say(cli.Run(call).Expect(0));
        // Errors too: a damaged pack, a missing file.
        var pack = Directory.EnumerateFiles(cli["vault/packs"], "*", SearchOption.AllDirectories).First();
        var bytes = File.ReadAllBytes(pack);
        for (var i = 1_300; i < bytes.Length - 70; i++)
            bytes[i] ^= 1;
        File.WriteAllBytes(pack, bytes);
        Say(cli.Run("verify", "--full"));
        Say(cli.Run("cat", "latest", "no such file"));
        Say(cli.Run("attest", "latest", "--full"));
        foreach (var planted in new[] { name, number, "records" })
            Assert.DoesNotContain(planted, words.ToString(), StringComparison.OrdinalIgnoreCase);
        foreach (var file in Directory.EnumerateFiles(cli["vault"], "*", SearchOption.AllDirectories).Concat(Directory.EnumerateFiles(cli["keys"])))
        {
            Assert.DoesNotContain(name, file, StringComparison.OrdinalIgnoreCase);
            var content = File.ReadAllBytes(file).AsSpan();
            Assert.True(content.IndexOf(Encoding.UTF8.GetBytes(name)) < 0 && content.IndexOf(Encoding.UTF8.GetBytes(number)) < 0, file);
        }
    }

    [Fact]
    public void Interrupted_by_a_person_it_ends_in_order()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs signals");
        using var cli = new Cli().Init();
        cli.Run("backup", "--stdin", "--name", "s", "--", "printf", "x").Expect(0);
        using var process = cli.StartProgram(Path.Combine(Cli.Root, "artifacts/holdfast/holdfast"), null, "backup", "--stdin", "--name", "s", "--", "sh", "-c", "yes | head -c 300000000; sleep 60");
        while (!Directory.EnumerateFiles(cli["vault/staging"]).Any() && !process.HasExited)
            Thread.Sleep(5);
        cli.Shell($"kill -INT {process.Id}");
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 130, error);
        Assert.Single(JsonDocument.Parse(cli.Run("snapshots", "--json").Out).RootElement.GetProperty("snapshots").EnumerateArray());
    }
}
