using System.Text;
using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>Which state comes back: `latest` never means an older one in silence, and a restore says which it was.</summary>
public sealed class SnapshotChoiceTests
{
    static Cli Sample(params string[] states)
    {
        var cli = new Cli().Init();
        foreach (var state in states)
            Back(cli, state, "ward");
        return cli;
    }

    static void Back(Cli cli, string state, string name)
    {
        cli.Write("notes.txt", Encoding.UTF8.GetBytes(state));
        cli.Run("backup", cli["source"], "--name", name).Expect(0);
    }

    static List<JsonElement> Snapshots(Cli cli) => [.. JsonDocument.Parse(cli.Run("snapshots", "--json").Out).RootElement.GetProperty("snapshots").EnumerateArray()];

    static string Id(JsonElement snapshot) => snapshot.GetProperty("id").GetString()!;

    /// <summary>Takes the object of the newest snapshot away, or damages it.</summary>
    static void Break(Cli cli, bool damage)
    {
        var leaf = JsonDocument.Parse(cli.Run("log", "entries", "--json").Out).RootElement.GetProperty("entries").EnumerateArray().Last(e => e.GetProperty("type").GetString() == "Commit");
        var name = leaf.GetProperty("payload").GetString()!;
        var path = cli[$"vault/objects/{name[..2]}/{name}"];
        if (damage)
            File.WriteAllText(path, "rubbish");
        else
            File.Move(path, cli["taken"]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Latest_is_refused_where_the_newest_snapshot_cannot_be_read_and_the_older_one_is_named(bool damage)
    {
        using var cli = Sample("bed 3: first", "bed 3: second", "bed 3: third");
        Break(cli, damage);
        var listed = Snapshots(cli);
        Assert.Equal(3, listed.Count);
        foreach (var call in new string[][] { ["restore", "latest", cli["r"]], ["cat", "latest", "notes.txt"], ["ls", "latest"], ["diff", "latest~1", "latest"], ["find", "*", "--snapshot", "latest"], ["log", "prove", "latest"], ["attest", "latest"] })
        {
            var refused = cli.Run(call).Expect(22);
            foreach (var word in new[] { "ObjectMissing", Id(listed[2]), Id(listed[1]), "latest~1", "No older snapshot was taken in its place" })
                Assert.Contains(word, refused.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("second", refused.Out, StringComparison.Ordinal);
        }
        Assert.False(Path.Exists(cli["r"]));
        // Counted as the listing counts: the last line is latest, the one above it latest~1.
        Assert.Equal("bed 3: second", cli.Run("cat", "latest~1", "notes.txt").Expect(0).Out);
        Assert.Equal("bed 3: first", cli.Run("cat", "latest~2", "notes.txt").Expect(0).Out);
        Assert.Equal("bed 3: second", cli.Run("cat", Id(listed[1]), "notes.txt").Expect(0).Out);
        cli.Run("cat", "latest~3", "notes.txt").Expect(27);
        Assert.Contains("4 letters", cli.Run("cat", Id(listed[1])[..3], "notes.txt").Expect(27).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_a_name_that_only_an_unreadable_snapshot_may_have_it_is_not_said_that_there_is_none()
    {
        using var cli = Sample("bed 3");
        Back(cli, "theatre", "theatre");
        Break(cli, damage: false);
        Assert.Contains("may be", cli.Run("restore", "latest", cli["r"], "--name", "theatre").Expect(22).Error, StringComparison.Ordinal);
        cli.Run("attest", "--name", "ward").Expect(22); // once it was attested, the other one is left
        cli.Run("attest", "--name", "ward").Expect(22);
        var refused = cli.Run("ls", "latest~1", "--name", "ward").Expect(22).Error;
        Assert.Contains("may be of it", refused, StringComparison.Ordinal);
        Assert.Contains(Id(Snapshots(cli)[0]), refused, StringComparison.Ordinal);
        Assert.DoesNotContain($"ls {Id(Snapshots(cli)[1])[..8]}", cli.Run("find", "nothing-like-it").Expect(3).Error, StringComparison.Ordinal);
    }

    /// <summary>A log whose leaves are lost names no snapshot, which is not the same as that there is none.</summary>
    [Fact]
    public void A_vault_whose_leaves_are_lost_does_not_pass_for_an_empty_one()
    {
        using var cli = Sample("bed 3");
        cli.Shell("rm vault/log/tile/entries/000.p/*");
        var listed = cli.Run("snapshots").Expect(41);
        Assert.DoesNotContain("yet", listed.Out, StringComparison.Ordinal);
        Assert.Contains("may have named other snapshots", listed.Error, StringComparison.Ordinal);
        Assert.Equal(41, JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(41).Out).RootElement.GetProperty("error").GetProperty("status").GetInt32());
        cli.Run("find", "*").Expect(3);
        var status = cli.Run("status").Out;
        Assert.DoesNotContain("none yet", status, StringComparison.Ordinal);
        Assert.DoesNotContain("NOTHING TO TEST YET", status, StringComparison.Ordinal);
    }

    /// <summary>A log without its checkpoint is read as far as a key folder has seen it: what came after that is not known, and that there is none is not said.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_log_that_is_read_in_part_does_not_pass_for_the_whole(bool isBehind)
    {
        using var cli = Sample("bed 3: first");
        cli.Shell("cp -a keys older");
        if (isBehind)
        {
            Back(cli, "bed 3: second", "ward");
            Back(cli, "theatre", "theatre");
            cli.Environment["HOLDFAST_KEYS"] = cli["older"];
        }
        var bytes = File.ReadAllBytes(cli["vault/log/checkpoint"]);
        bytes[^10] ^= 1;
        File.WriteAllBytes(cli["vault/log/checkpoint"], bytes);
        var listed = cli.Run("snapshots").Expect(41);
        Assert.Contains("The list may not be whole", listed.Error, StringComparison.Ordinal);
        var json = JsonDocument.Parse(cli.Run("snapshots", "--json").Expect(41).Out).RootElement;
        Assert.Equal((41, 1), (json.GetProperty("error").GetProperty("status").GetInt32(), json.GetProperty("snapshots").GetArrayLength()));
        var id = json.GetProperty("snapshots")[0].GetProperty("id").GetString()!;
        foreach (var call in new string[][] { ["ls", "latest"], ["cat", "latest", "notes.txt"], ["diff", "latest", "latest"], ["restore", "latest", cli["r"]] })
        {
            var refused = cli.Run(call).Expect(isBehind ? 41 : 0).Error;
            Assert.Contains(isBehind ? "may have named a newer one" : "A snapshot, a longer lock or newer keys may be missing", refused, StringComparison.Ordinal);
        }
        foreach (var (call, status) in new (string[], int)[] { (["ls", id], 0), (["diff", id, id], 0), (["find", "*", "--snapshot", id], 0), (["find", "*"], isBehind ? 3 : 0) })
            Assert.Contains("A snapshot, a longer lock or newer keys may be missing", cli.Run(call).Expect(status).Error, StringComparison.Ordinal);
        cli.Run("snapshots", "--name", "theatre").Expect(isBehind ? 41 : 27); // whether there is none is not known
    }

    [Fact]
    public void A_snapshot_that_may_be_the_latest_of_a_source_is_not_passed_over_either()
    {
        using var cli = Sample("bed 3: first", "bed 3: second");
        Back(cli, "theatre", "theatre");
        Break(cli, damage: false); // whose snapshot that was, nobody can tell now
        var listed = Snapshots(cli);
        var refused = cli.Run("restore", "latest", cli["r"], "--name", "ward").Expect(22).Error;
        Assert.Contains(Id(listed[1]), refused, StringComparison.Ordinal);
        Assert.Contains("may be", refused, StringComparison.Ordinal);
        Assert.Equal("bed 3: second", cli.Run("cat", Id(listed[1]), "notes.txt", "--name", "ward").Expect(0).Out);
        Assert.Contains("without --name", cli.Run("snapshots", "--name", "ward").Expect(0).Error, StringComparison.Ordinal);
        Back(cli, "bed 3: third", "ward");
        Assert.Equal("bed 3: third", cli.Run("cat", "latest", "notes.txt", "--name", "ward").Expect(0).Out);
        cli.Run("cat", "latest~1", "notes.txt", "--name", "ward").Expect(22);
    }

    [Fact]
    public void Latest_of_several_sources_is_refused_until_one_is_named()
    {
        using var cli = Sample("bed 3: first");
        Back(cli, "list", "theatre");
        var listed = Snapshots(cli);
        foreach (var call in new string[][] { ["restore", "latest", cli["r"]], ["cat", "latest", "notes.txt"], ["ls", "latest~1"], ["diff", "latest~1", "latest"], ["find", "*", "--snapshot", "latest"], ["log", "prove", "latest"], ["attest", "latest"] })
        {
            var refused = cli.Run(call).Expect(2);
            foreach (var word in new[] { "2 sources", "--name NAME", Id(listed[0])[..8], Id(listed[1])[..8] })
                Assert.Contains(word, refused.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("ward", refused.Error, StringComparison.Ordinal); // names are sealed, and this goes into logs
        }
        Assert.False(Path.Exists(cli["r"]));
        Assert.Equal("bed 3: first", cli.Run("cat", "latest", "notes.txt", "--name", "ward").Expect(0).Out);
        Assert.Equal("list", cli.Run("cat", Id(listed[1]), "notes.txt").Expect(0).Out);
    }

    [Fact]
    public void A_restore_says_before_and_after_which_state_it_brings()
    {
        using var cli = Sample("bed 3: first", "bed 3: second");
        var older = Snapshots(cli)[0];
        var (id, when) = (Id(older), older.GetProperty("committed").GetDateTimeOffset().ToString("yyyy-MM-dd HH:mm 'UTC'", System.Globalization.CultureInfo.InvariantCulture));
        var restored = cli.Run("restore", "latest~1", cli["r"]).Expect(0);
        foreach (var said in new[] { restored.Out, restored.Error })
        {
            foreach (var word in new[] { id[..8], when, "ward" })
                Assert.Contains(word, said, StringComparison.Ordinal);
        }
        var json = JsonDocument.Parse(cli.Run("restore", id, cli["j"], "--json").Expect(0).Out).RootElement;
        Assert.Equal(id, json.GetProperty("snapshot").GetString());
        Assert.Equal("ward", json.GetProperty("name").GetString());
        Assert.Equal(older.GetProperty("committed").GetString(), json.GetProperty("committed").GetString());
        Assert.Equal(older.GetProperty("source").GetString(), json.GetProperty("source").GetString());
        // One that fails says it too: what stands in the target then is part of that state.
        cli.Shell("rm vault/packs/*/*");
        Assert.Contains(id[..8], cli.Run("restore", id, cli["f"]).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_snapshot_whose_machine_said_another_day_than_the_vault_shows_both()
    {
        Cli.RequireFakeTime();
        using var cli = Sample("bed 3: first");
        cli.FakeTime("+40d"); // as after a power-off of that length: the vault's clock does not count it
        Back(cli, "bed 3: second", "ward");
        cli.FakeTime(null);
        var day = DateTime.UtcNow.AddDays(40).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture);
        var rows = cli.Run("snapshots").Expect(0).Out.Trim().Split('\n');
        Assert.DoesNotContain("CLOCKS DIFFER", rows[1], StringComparison.Ordinal);
        Assert.Contains($"CLOCKS DIFFER: its machine's clock said {day}", rows[2], StringComparison.Ordinal);
        Assert.StartsWith(day, Snapshots(cli)[1].GetProperty("clientTime").GetString(), StringComparison.Ordinal);
        var restored = cli.Run("restore", "latest", cli["r"]).Expect(0);
        foreach (var said in new[] { restored.Out, restored.Error })
            Assert.Contains($"its machine's clock said {day}", said, StringComparison.Ordinal);
        Assert.DoesNotContain("its machine's clock", cli.Run("restore", "latest~1", cli["r1"]).Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_person_at_a_terminal_is_told_what_latest_stood_for_and_a_script_is_not()
    {
        Assert.SkipUnless(Cli.Has("script"), "needs script (util-linux) for a terminal");
        using var cli = Sample("bed 3: first");
        var id = Id(Snapshots(cli)[0])[..8];
        foreach (var call in new[] { "cat latest notes.txt", "ls latest", "find notes.txt --snapshot latest", "diff latest latest" })
        {
            Assert.Equal("", cli.Run(call.Split(' ')).Expect(0).Error);
            var seen = Cli.Finish(cli.StartProgram("script", null, "-qec", $"'{Path.Combine(Cli.Root, "artifacts/holdfast/holdfast")}' {call}", "/dev/null")).Expect(0).Out;
            Assert.Contains($"latest is snapshot {id}", seen, StringComparison.Ordinal);
            Assert.Contains("ward", seen, StringComparison.Ordinal);
        }
        Assert.DoesNotContain("latest is", Cli.Finish(cli.StartProgram("script", null, "-qec", $"'{Path.Combine(Cli.Root, "artifacts/holdfast/holdfast")}' ls {id}", "/dev/null")).Expect(0).Out, StringComparison.Ordinal);
    }
}
