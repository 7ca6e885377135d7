using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>Several people approve what weakens protection, as they do it: keys of their own, a file that goes round, and whoever brings it.</summary>
public sealed class ApprovalTests : IDisposable
{
    readonly Cli _cli = new();

    public void Dispose() => _cli.Dispose();

    string Key(int person)
    {
        File.WriteAllText(_cli[$"words{person}"], $"a long passphrase of person {person}\n");
        _cli.Shell($"chmod 600 words{person}");
        return _cli.Run("approval", "key", _cli[$"key{person}"], "--passphrase-file", _cli[$"words{person}"]).Expect(0).Out.Trim();
    }

    string Code(string file) => Json("approval", "show", file, "--json").GetProperty("code").GetString()!;

    JsonElement Json(params string[] arguments) => JsonDocument.Parse(_cli.Run(arguments).Expect(0).Out).RootElement;

    void Sign(int person, string file, string word = "sign") => _cli.Run("approval", word, file, "--key", _cli[$"key{person}"], "--passphrase-file", _cli[$"words{person}"], "--confirm", Code(file)).Expect(0);

    void Init()
    {
        var keys = Enumerable.Range(1, 3).Select(Key).ToList();
        _cli.Run(["init", _cli["vault"], "--lock", "20d", "--quorum", "2", .. keys.SelectMany(k => new[] { "--approver", k })]).Expect(0);
        _cli.Write("source/a", Cli.Noise(1, 100_000));
    }

    [Fact]
    public void A_policy_is_weakened_by_two_of_three_three_days_later_and_by_nobody_sooner()
    {
        Cli.RequireFakeTime();
        Init();
        _cli.Run("policy", "set", "--lock", "10d").Expect(30);
        var file = _cli["request"];
        _cli.Run("approval", "request", "policy", "--lock", "10d", "--reason", "the disk is full", "--out", file).Expect(0);
        var shown = _cli.Run("approval", "show", file).Expect(0).Out;
        Assert.Contains("lock: 20 days -> 10 days   LESS", shown, StringComparison.Ordinal);
        Assert.Contains("the disk is full", shown, StringComparison.Ordinal);
        _cli.Run("approval", "submit", file).Expect(31);
        _cli.Run("approval", "sign", file, "--key", _cli["key1"], "--passphrase-file", _cli["words1"], "--confirm", "0000-0000-0000-0000-0000-0000-0000-0000").Expect(36);
        _cli.Run("approval", "sign", file, "--key", _cli["key1"], "--passphrase-file", _cli["words2"], "--confirm", Code(file)).Expect(12);

        // Two sign copies of it apart, one of them without any vault in sight.
        File.Copy(file, _cli["copy"]);
        Sign(1, file);
        _cli.Run("approval", "submit", file).Expect(31);
        _cli.Environment["HOLDFAST_VAULT"] = _cli.Environment["HOLDFAST_KEYS"] = "";
        Sign(2, _cli["copy"]);
        (_cli.Environment["HOLDFAST_VAULT"], _cli.Environment["HOLDFAST_KEYS"]) = (_cli["vault"], _cli["keys"]);
        Assert.Equal("approved", Json("approval", "submit", file, _cli["copy"], "--json").GetProperty("state").GetString());
        Assert.Contains("APPROVED", _cli.Run("status").Out, StringComparison.Ordinal);
        Assert.Equal(20 * 86_400, Json("policy", "show", "--json").GetProperty("policy").GetProperty("lockSeconds").GetInt64());

        // A wall clock that is put ahead brings nothing sooner.
        _cli.FakeTime("+4d");
        _cli.Run("backup", _cli["source"]).Expect(0);
        Assert.Equal(20 * 86_400, Json("policy", "show", "--json").GetProperty("policy").GetProperty("lockSeconds").GetInt64());
        _cli.FakeTime(null);

        Sign(3, file, "object");
        _cli.Run("approval", "submit", file).Expect(0);
        var listed = Json("approval", "list", "--json");
        Assert.Equal("objected", listed.GetProperty("requests")[0].GetProperty("state").GetString());
        Assert.Equal((2, 3), (listed.GetProperty("quorum").GetInt32(), listed.GetProperty("approvers").GetArrayLength()));
        _cli.Run("log", "verify").Expect(0);
        Assert.Contains("OBJECTION", _cli.Run("log", "entries").Out, StringComparison.Ordinal);
    }

    /// <summary>By real clocks: this machine's is put ahead, as after a long power-off, and the boot clock knows nothing of it.</summary>
    [Fact]
    public void The_clock_is_set_right_by_two_of_three_and_no_lock_ends_sooner()
    {
        Cli.RequireFakeTime();
        Init();
        _cli.Run("backup", _cli["source"]).Expect(0);
        DateTimeOffset Locked() => Json("snapshots", "--json").GetProperty("snapshots")[0].GetProperty("lockedUntil").GetDateTimeOffset();
        var before = Locked();
        Assert.Equal("sure", Json("status", "--json").GetProperty("time").GetProperty("state").GetString());
        _cli.Run("approval", "request", "time", "--out", _cli["none"]).Expect(2); // it is not behind

        _cli.FakeTime("+60d");
        var status = Json("status", "--json").GetProperty("time");
        Assert.Equal("doubted", status.GetProperty("state").GetString());
        Assert.Contains("approval request time", _cli.Run("status").Out, StringComparison.Ordinal);
        var file = _cli["request"];
        _cli.Run("approval", "request", "time", "--out", file).Expect(0);
        Assert.Contains("none sooner", _cli.Run("approval", "show", file).Expect(0).Out, StringComparison.Ordinal);
        Sign(1, file);
        _cli.Run("approval", "submit", file).Expect(31);
        Sign(2, file);
        _cli.FakeTime(null);
        _cli.Run("approval", "submit", file).Expect(33); // by this machine that time has not come
        _cli.FakeTime("+60d");
        Assert.Equal("inForce", Json("approval", "submit", file, "--json").GetProperty("state").GetString());
        Assert.Equal("sure", Json("status", "--json").GetProperty("time").GetProperty("state").GetString());
        Assert.InRange(Locked() - before, TimeSpan.FromDays(59.9), TimeSpan.FromDays(60.1));
        Assert.Equal(0, Json("expire", "--json").GetProperty("packs").GetInt32());
        _cli.Run("backup", _cli["source"]).Expect(0);

        _cli.FakeTime(null); // and back: the vault's clock is not
        Assert.Equal("doubted", Json("status", "--json").GetProperty("time").GetProperty("state").GetString());
        Assert.InRange(Locked() - before, TimeSpan.FromDays(59.9), TimeSpan.FromDays(60.1));
        _cli.Run("approval", "submit", file).Expect(0); // sent twice
        Assert.Equal(0, Json("expire", "--json").GetProperty("packs").GetInt32());
        _cli.Run("log", "verify").Expect(0);
        _cli.Run("restore", "latest", _cli["r"]).Expect(0);
    }

    [Fact]
    public void A_hold_is_set_by_one_person_and_lifted_by_two()
    {
        Init();
        _cli.Run("backup", _cli["source"]).Expect(0);
        var id = _cli.LatestId();
        _cli.Run("hold", "set", id).Expect(0);
        Assert.Contains("HELD until", _cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("Legal hold", _cli.Run("status").Out, StringComparison.Ordinal);
        _cli.Run("hold", "lift", id).Expect(31);
        _cli.Run("hold", "set", id).Expect(31);
        var file = _cli["lift"];
        _cli.Run("approval", "request", "lift", id, "--out", file).Expect(0);
        Sign(1, file);
        Sign(3, file);
        _cli.Run("approval", "submit", file).Expect(0);
        Assert.Equal(0, Json("hold", "list", "--json").GetProperty("held").GetArrayLength());
        var snapshot = Json("snapshots", "--json").GetProperty("snapshots")[0];
        Assert.True(snapshot.GetProperty("lockedUntil").GetDateTimeOffset() > DateTimeOffset.UtcNow.AddDays(29)); // lifting ends no lock
    }

    void Succession(string file)
    {
        _cli.Run("approval", "request", "succession", "--approver", Key(4), "--quorum", "1", "--reason", "two have left", "--out", file).Expect(0);
        Assert.Contains("30 days after", _cli.Run("approval", "show", file).Expect(0).Out, StringComparison.Ordinal);
        _cli.Run("approval", "sign", file, "--key", _cli["key1"], "--passphrase-file", _cli["words1"], "--confirm", Code(file)).Expect(31);
        Assert.Equal("approved", Json("approval", "submit", file, "--json").GetProperty("state").GetString());
        Assert.Contains("whoever has the opening key", _cli.Run("status").Out, StringComparison.Ordinal);
        var listed = _cli.Run("approval", "list").Out;
        Assert.Contains("SIGNED WITH THE OPENING KEY", listed, StringComparison.Ordinal);
        Assert.Contains("approver+", listed[listed.IndexOf("whoever has the opening key", StringComparison.Ordinal)..], StringComparison.Ordinal); // who is to approve
        Assert.Contains("signed with the opening key: other approvers", _cli.Run("log", "entries").Out, StringComparison.Ordinal);
        File.Delete(file);
    }

    [Fact]
    public void One_approver_without_the_file_stops_the_opening_keys_request_for_others()
    {
        Init();
        _cli.Run("key", "rotate").Expect(0); // a later opening key asks too
        Succession(_cli["succession"]);
        var id = Json("approval", "list", "--json").GetProperty("requests")[0].GetProperty("request").GetString()!;
        _cli.Run("approval", "get", id[..8], "--out", _cli["taken"]).Expect(0);
        Assert.Contains("words are not in this file", _cli.Run("approval", "show", _cli["taken"]).Expect(0).Out, StringComparison.Ordinal);
        Sign(2, _cli["taken"], "object");
        Assert.Equal("objected", Json("approval", "submit", _cli["taken"], "--json").GetProperty("state").GetString());
        Assert.Equal(2, Json("approval", "list", "--json").GetProperty("quorum").GetInt32());
        _cli.Run("approval", "get", "0000", "--out", _cli["none"]).Expect(2);
        _cli.Run("log", "verify").Expect(0);
    }
}
