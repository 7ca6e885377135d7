using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>An emergency restore from its beginning to its end, as people do it.</summary>
public sealed class EmergencyTests : IDisposable
{
    readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    JsonElement Json(params string[] arguments) => JsonDocument.Parse(_cli.Run(arguments).Expect(0).Out).RootElement;

    string Key(int person)
    {
        File.WriteAllText(_cli[$"words{person}"], $"a long passphrase of person {person}\n");
        _cli.Shell($"chmod 600 words{person}");
        return _cli.Run("approval", "key", _cli[$"key{person}"], "--passphrase-file", _cli[$"words{person}"]).Expect(0).Out.Trim();
    }

    void Init(bool hasApprovers)
    {
        _cli.Run(["init", _cli["vault"], "--lock", "1d", .. hasApprovers ? new[] { "--quorum", "2", "--approver", Key(1), "--approver", Key(2) } : []]).Expect(0);
        _cli.Write("ward/chart.txt", [.. "penicillin"u8]);
        _cli.Run("backup", _cli["source"]).Expect(0);
    }

    Result Begin(params string[] more) => _cli.Run(["restore", "latest", _cli["place"], "--isolated", "--reason", "no charts on ward 3", .. more]).Expect(0);

    string Chart => File.ReadAllText(_cli["place/content/ward/chart.txt"]);

    string Id => Json("emergency", "list", "--json").GetProperty("emergencies")[0].GetProperty("emergency").GetString()!;

    void Sign(int person, string file)
    {
        var code = Json("approval", "show", file, "--json").GetProperty("code").GetString()!;
        _cli.Run("approval", "sign", file, "--key", _cli[$"key{person}"], "--passphrase-file", _cli[$"words{person}"], "--confirm", code).Expect(0);
    }

    [Fact]
    public void One_person_begins_and_one_other_lets_it_out()
    {
        Init(hasApprovers: true);
        var me = _cli.Run("approval", "list").Expect(0).Out.Split('\n').Select(l => l.Trim().Split(' ')[0]).Where(l => l.Length == 32).ToList();
        var first = File.ReadAllBytes(_cli["key1"]); // whose id it is, the file's public key says
        Begin("--as-approver", me.Single(id => id.StartsWith(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData([.. "holdfast/v1/approver-id"u8, .. first.AsSpan(63, 32)]))[..32], StringComparison.Ordinal)));
        Assert.Equal("penicillin", Chart);
        Assert.Contains("OPEN EMERGENCY", _cli.Run("status").Out, StringComparison.Ordinal);
        Assert.Contains("OPEN EMERGENCY", _cli.Run("approval", "list").Out, StringComparison.Ordinal);
        _cli.Run("emergency", "release", _cli["place"], _cli["charts"]).Expect(31);
        foreach (var (person, status) in new[] { (1, 31), (2, 0) }) // who began it does not count
        {
            _cli.Run("approval", "request", "release", Id, "--out", _cli[$"request{person}"]).Expect(0);
            Sign(person, _cli[$"request{person}"]);
            _cli.Run("approval", "submit", _cli[$"request{person}"]).Expect(status);
        }
        _cli.Run("emergency", "release", _cli["place"], _cli["charts"]).Expect(0);
        Assert.Equal("penicillin", File.ReadAllText(_cli["charts/ward/chart.txt"]));
        Assert.False(Directory.Exists(_cli["place/content"]));
        Assert.DoesNotContain("OPEN EMERGENCY", _cli.Run("status").Out, StringComparison.Ordinal);
        _cli.Run("emergency", "release", _cli["place"], _cli["charts"]).Expect(0); // it is done
        _cli.Run("emergency", "release", _cli["place"], _cli["elsewhere"]).Expect(2);
    }

    [Fact]
    public void What_a_sensitive_source_holds_goes_into_isolation_alone_and_care_does_not_wait()
    {
        Init(hasApprovers: true);
        _cli.Run("policy", "set", "--name", "nothing", "--sensitive").Expect(27);
        _cli.Run("policy", "set", "--name", _cli["source"], "--sensitive", "--lock", "2d").Expect(2);
        _cli.Run("policy", "set", "--name", _cli["source"], "--sensitive").Expect(0);
        foreach (var refused in new[] { _cli.Run("restore", "latest", _cli["target"]), _cli.Run("cat", "latest", "ward/chart.txt") })
        {
            Assert.Contains($"holdfast restore {_cli.LatestId()}", refused.Expect(37).Error, StringComparison.Ordinal);
            Assert.DoesNotContain("penicillin", refused.Out, StringComparison.Ordinal);
        }
        Assert.False(Directory.Exists(_cli["target"]));
        Begin();
        Assert.Equal("penicillin", Chart);
        _cli.Run("approval", "request", "release", Id, "--out", _cli["request"]).Expect(0);
        Sign(1, _cli["request"]);
        _cli.Run("approval", "submit", _cli["request"]).Expect(31);
        Sign(2, _cli["request"]);
        _cli.Run("approval", "submit", _cli["request"]).Expect(0);
        _cli.Run("emergency", "release", _cli["place"], _cli["charts"]).Expect(0);
        Assert.Equal("penicillin", File.ReadAllText(_cli["charts/ward/chart.txt"]));
        _cli.Run("restore", "latest", _cli["place2"], "--isolated", "--reason", "no charts").Expect(0);
        Assert.Contains("takes 2 approvers", _cli.Run("emergency", "release", _cli["place2"], _cli["charts2"]).Expect(31).Error, StringComparison.Ordinal);
        _cli.Run("emergency", "release", _cli["place2"], _cli["charts2"], "--clinical-emergency", "--reason", "a patient waits").Expect(0);
        Assert.Contains("SENSITIVE", _cli.Run("policy", "show").Expect(0).Out, StringComparison.Ordinal);
        Assert.Equal(1, Json("policy", "show", "--json").GetProperty("sensitiveSources").GetArrayLength());
        Assert.Contains("1 source is marked", _cli.Run("status").Out, StringComparison.Ordinal);
        _cli.Run("approval", "request", "unmark", "--name", _cli["source"], "--out", _cli["unmark"]).Expect(0);
        _cli.Run("approval", "request", "unmark", "--out", _cli["unmark2"]).Expect(2);
    }

    [Fact]
    public void Care_does_not_wait_for_the_log_and_the_log_hears_of_it_later()
    {
        Init(hasApprovers: false);
        _cli.Shell("mv vault/keeper/log.key kept");
        var begun = Begin();
        Assert.Contains("could NOT be told", begun.Error, StringComparison.Ordinal);
        Assert.Equal("penicillin", Chart);
        _cli.Run("emergency", "release", _cli["place"], _cli["charts"]).Expect(31);
        _cli.Run("emergency", "release", _cli["place"], _cli["charts"], "--clinical-emergency", "--reason", "a patient waits").Expect(0);
        Assert.Equal("penicillin", File.ReadAllText(_cli["charts/ward/chart.txt"]));
        Assert.Equal(2, Json("emergency", "list", "--json").GetProperty("notInTheLogYet").GetInt32());
        _cli.Shell("mv kept vault/keeper/log.key");
        Assert.Contains("RELEASED ON ONE PERSON'S WORD", _cli.Run("status").Out, StringComparison.Ordinal);
        var told = Json("emergency", "list", "--json");
        Assert.Equal(0, told.GetProperty("notInTheLogYet").GetInt32());
        Assert.Equal("overridden", told.GetProperty("emergencies")[0].GetProperty("state").GetString());
        Assert.Equal("no charts on ward 3", told.GetProperty("emergencies")[0].GetProperty("reason").GetString());
    }

    /// <summary>What a kill left beside a record is none, and what the log never takes is told once and kept.</summary>
    [Fact]
    public void A_record_is_entered_or_set_aside_and_never_told_for_ever()
    {
        Init(hasApprovers: false);
        _cli.Shell("mv vault/keeper/log.key kept");
        Begin();
        var record = Assert.Single(Directory.GetFiles(_cli["state/emergencies"], "*-1", SearchOption.AllDirectories));
        File.Copy(record, record + $".{new string('a', 32)}.new");
        File.Copy(record, _cli["copy"]);
        _cli.Shell("mv kept vault/keeper/log.key");
        Assert.Equal(0, Json("emergency", "list", "--json").GetProperty("notInTheLogYet").GetInt32());
        var other = File.ReadAllBytes(_cli["copy"]);
        other[64] ^= 1; // another salt: a second beginning of one emergency
        File.WriteAllBytes(record, other);
        Assert.Contains("does NOT take", _cli.Run("emergency", "list").Expect(0).Error, StringComparison.Ordinal);
        Assert.DoesNotContain("does NOT take", _cli.Run("emergency", "list").Expect(0).Error, StringComparison.Ordinal);
        Assert.Equal(0, Json("emergency", "list", "--json").GetProperty("notInTheLogYet").GetInt32());
        Assert.Equal(other, File.ReadAllBytes(Path.Combine(Path.GetDirectoryName(record)!, "refused-" + Path.GetFileName(record))));
        Assert.Equal(1, Json("emergency", "list", "--json").GetProperty("refusedByTheLog").GetInt32());
        Assert.Contains("NOT TAKEN by the log", _cli.Run("status").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_place_that_others_reach_is_refused_and_one_that_was_cut_short_is_gone_on_with()
    {
        Init(hasApprovers: false);
        _cli.Shell("mkdir -m 777 open; mkdir -m 755 seen");
        foreach (var place in new[] { "open/place", "seen", "vault/place" })
        {
            _cli.Run("restore", "latest", _cli[place], "--isolated", "--reason", "no charts").Expect(54);
            Assert.False(File.Exists(Path.Combine(_cli[place], "holdfast-isolated")));
        }
        _cli.Run("restore", "latest", _cli["place"], "--isolated").Expect(2);
        Assert.False(Directory.Exists(_cli["place"]));

        Begin();
        _cli.Shell("sed -i 's/^state isolated/state restoring/' place/holdfast-isolated; rm place/content/ward/chart.txt"); // as a kill leaves it
        _cli.Run("emergency", "release", _cli["place"], _cli["charts"]).Expect(3);
        _cli.Run("restore", "latest", _cli["place"], "--isolated", "--reason", "no charts").Expect(53);
        _cli.Run("restore", "latest", _cli["place/content"], "--overwrite").Expect(53);
        _cli.Run("restore", _cli.LatestId(), _cli["place"], "--isolated", "--resume", "--reason", "no charts").Expect(0);
        Assert.Equal("penicillin", Chart);
        Assert.Equal(1, Json("emergency", "list", "--json").GetProperty("emergencies").GetArrayLength()); // the same one
        _cli.Shell("mkdir charts");
        _cli.Run("emergency", "release", _cli["place"], _cli["charts"], "--clinical-emergency", "--reason", "now").Expect(53);
        _cli.Run("emergency", "close", Id, "--reason", "the system is back").Expect(0);
        _cli.Run("emergency", "release", _cli["place"], _cli["charts2"]).Expect(31);
        Assert.Equal("penicillin", Chart);
        Assert.Contains("WAS CLOSED", _cli.Run("emergency", "release", _cli["place"], _cli["charts2"], "--clinical-emergency", "--reason", "now").Expect(0).Error, StringComparison.Ordinal); // care goes first
        Assert.Contains("RELEASED ON ONE PERSON'S WORD", _cli.Run("status").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_restore_that_was_cut_short_brought_is_let_out_where_a_patient_cannot_wait()
    {
        Init(hasApprovers: false);
        Begin();
        _cli.Shell("sed -i 's/^state isolated/state restoring/' place/holdfast-isolated"); // as a kill leaves it
        Assert.Contains("NOT come to its end", _cli.Run("emergency", "release", _cli["place"], _cli["charts"], "--clinical-emergency", "--reason", "now").Expect(0).Error, StringComparison.Ordinal);
        Assert.Equal("penicillin", File.ReadAllText(_cli["charts/ward/chart.txt"]));
    }

    /// <summary>What is brought after a restore ended is another emergency, which nobody has approved of; a slip of the pen brings nothing, and changes nothing.</summary>
    [Fact]
    public void More_in_a_place_is_another_emergency_and_what_matches_nothing_is_none()
    {
        Init(hasApprovers: false);
        Begin();
        var before = File.ReadAllText(_cli["place/holdfast-isolated"]);
        _cli.Run("restore", _cli.LatestId(), _cli["place"], "--isolated", "--resume", "--include", "chrat.txt", "--reason", "one more").Expect(27);
        Assert.Equal(before, File.ReadAllText(_cli["place/holdfast-isolated"]));
        Assert.Equal(["open", "closed"], States());
        _cli.Run("restore", _cli.LatestId(), _cli["place"], "--isolated", "--resume", "--reason", "the rest").Expect(0);
        Assert.NotEqual(before, File.ReadAllText(_cli["place/holdfast-isolated"]));
        Assert.Equal(["closed", "closed", "open"], States());

        string?[] States() => [.. Json("emergency", "list", "--json").GetProperty("emergencies").EnumerateArray().Select(e => e.GetProperty("state").GetString())];
    }

    /// <summary>A pipe is no place, nor is a share: what a patient needs goes there on one person's word, and all see it.</summary>
    [Fact]
    public void Where_no_place_can_be_isolated_one_persons_word_brings_what_is_sensitive()
    {
        Init(hasApprovers: true);
        Assert.Equal("penicillin", _cli.Run("cat", "latest", "ward/chart.txt", "--clinical-emergency", "--reason", "no charts").Expect(0).Out);
        Assert.Equal(0, Json("emergency", "list", "--json").GetProperty("emergencies").GetArrayLength()); // nothing is marked: no emergency
        _cli.Run("policy", "set", "--name", _cli["source"], "--sensitive").Expect(0);
        _cli.Run("cat", "latest", "ward/chart.txt", "--reason", "no charts").Expect(2);
        _cli.Run("cat", "latest", "ward/chart.txt", "--clinical-emergency").Expect(2);
        _cli.Run("restore", "latest", _cli["target"], "--isolated", "--clinical-emergency", "--reason", "no charts").Expect(2);
        var shown = _cli.Run("cat", "latest", "ward/chart.txt", "--clinical-emergency", "--reason", "no charts").Expect(0);
        Assert.Equal("penicillin", shown.Out);
        Assert.Contains("CLINICAL EMERGENCY", shown.Error, StringComparison.Ordinal);
        _cli.Run("restore", "latest", _cli["target"], "--clinical-emergency", "--reason", "no charts").Expect(0);
        Assert.Equal("penicillin", File.ReadAllText(_cli["target/ward/chart.txt"]));
        Assert.All(Json("emergency", "list", "--json").GetProperty("emergencies").EnumerateArray(), e => Assert.Equal("overridden", e.GetProperty("state").GetString()));
        Assert.Equal(2, _cli.Run("status").Out.Split("RELEASED ON ONE PERSON'S WORD").Length - 1);
    }
}
