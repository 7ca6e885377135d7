using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>The erasure register as people use it.</summary>
public sealed class ErasureTests : IDisposable
{
    readonly Cli _cli = new Cli().Init();

    public ErasureTests()
    {
        foreach (var name in new[] { "ann", "bo", "cy" })
            _cli.Write($"patients/{name}.txt", [.. "letter to "u8, (byte)name[0]]);
        _cli.Run("backup", _cli["source"]).Expect(0);
    }

    public void Dispose() => _cli.Dispose();

    static JsonElement Json(Result result) => JsonDocument.Parse(result.Out).RootElement;

    [Fact]
    public void What_was_erased_stays_out_of_each_restore_and_each_says_so()
    {
        _cli.Run("erasure", "add", "--path", "patients/ann.txt", "--reason", "request 17").Expect(0);
        var restored = _cli.Run("restore", "latest", _cli["all"]).Expect(57);
        Assert.Contains("1 entry LEFT OUT by the erasure register", restored.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_cli["all/patients/ann.txt"]));
        Assert.True(File.Exists(_cli["all/patients/bo.txt"]));
        var part = Json(_cli.Run("restore", "latest", _cli["part"], "--include", "patients/ann.txt", "--json").Expect(57));
        Assert.Equal("patients/ann.txt", part.GetProperty("erasureRegister").GetProperty("leftOutPaths")[0].GetProperty("path").GetString());
        Assert.False(File.Exists(_cli["part/patients/ann.txt"]));
        Assert.Equal("", _cli.Run("cat", "latest", "patients/ann.txt").Expect(57).Out);
        Assert.Equal("letter to a", _cli.Run("cat", "latest", "patients/ann.txt", "--with-erased", "a child is ill").Expect(57).Out);
        Assert.Contains("brought back all the same", _cli.Run("log", "entries").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("1 OF THEM NEW", _cli.Run("status").Expect(0).Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_mistake_is_refused_or_taken_back()
    {
        _cli.Run("erasure", "add", "--path", "patients/anne.txt", "--reason", "a typing error").Expect(27);
        _cli.Run("erasure", "add", "--path", "patients", "--reason", "too much").Expect(36);
        _cli.Run("erasure", "add", "--path", ".", "--reason", "all of it", "--most").Expect(2);
        _cli.Run("erasure", "add", "--path", "patients/ann.txt").Expect(2);
        _cli.Run("restore", "latest", _cli["all"]).Expect(0);
        _cli.Run("erasure", "add", "--path", "patients", "--reason", "all of them", "--most").Expect(0);
        Assert.False(Directory.Exists(Path.Combine(_cli["none"], "patients")));
        _cli.Run("restore", "latest", _cli["none"]).Expect(57);
        Assert.False(Directory.Exists(Path.Combine(_cli["none"], "patients")));
        var entry = Json(_cli.Run("erasure", "list", "--json").Expect(0)).GetProperty("entries")[0].GetProperty("entry").GetString()!;
        _cli.Run("erasure", "withdraw", entry[..8], "--reason", "it was another").Expect(0);
        _cli.Run("erasure", "withdraw", entry[..8], "--reason", "again").Expect(2);
        _cli.Run("restore", "latest", _cli["again"]).Expect(0);
    }

    /// <summary>A copy of the vault has the register as it was copied, and is not written to: what was erased is brought with a word that could not be recorded there.</summary>
    [Fact]
    public void It_holds_in_a_copy_of_the_vault()
    {
        _cli.Run("erasure", "add", "--sha256", _cli.Shell("sha256sum < source/patients/bo.txt | cut -d' ' -f1").Out.Trim(), "--reason", "request 18").Expect(0);
        _cli.Shell("cp -a vault copy; mv vault gone");
        _cli.Run("restore", "latest", _cli["out"], "--vault", _cli["copy"]).Expect(57);
        Assert.False(File.Exists(_cli["out/patients/bo.txt"]));
        var result = _cli.Run("restore", "latest", _cli["out2"], "--vault", _cli["copy"], "--with-erased", "care").Expect(57);
        Assert.Contains("could NOT be recorded", result.Error, StringComparison.Ordinal);
        Assert.True(File.Exists(_cli["out2/patients/bo.txt"]));
    }
}
