using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>What people do wrong with the erasure register, and what a copy of the vault makes of it.</summary>
public sealed class ErasureMistakeTests : IDisposable
{
    readonly Cli _cli = new Cli().Init();

    public ErasureMistakeTests()
    {
        foreach (var name in new[] { "ann", "bo", "cy" })
            _cli.Write($"patients/{name}.txt", [.. "letter to "u8, (byte)name[0]]);
        _cli.Run("backup", _cli["source"]).Expect(0);
    }

    public void Dispose() => _cli.Dispose();

    static JsonElement Json(Result result) => JsonDocument.Parse(result.Out).RootElement;

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
