using System.Security.Cryptography;
using System.Text.Json;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.SystemTests;

/// <summary>The erasure register as its users meet it: nothing that was erased comes back unsaid, and nothing is hidden from care unsaid.</summary>
public sealed class ErasureTests
{
    static Cli Sample()
    {
        var cli = new Cli().Init();
        foreach (var name in new[] { "patients/ann.txt", "patients/bo.txt", "patients/cy.txt", "ward.txt", "list.txt", "plan.txt" })
            cli.Write(name, System.Text.Encoding.UTF8.GetBytes($"{name}\n"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        return cli;
    }

    static JsonElement Json(Result result) => JsonDocument.Parse(result.Out).RootElement;

    [Fact]
    public void A_restore_ends_with_57_and_says_what_it_left_out_and_what_was_corrected()
    {
        using var cli = Sample();
        cli.Run("erasure", "add", "--path", "patients/ann.txt", "--reason", "case 17").Expect(0);
        cli.Run("erasure", "add", "--path", "patients/bo.txt", "--corrected", "--reason", "case 18").Expect(0);
        var restored = cli.Run("restore", "latest", cli["back"]).Expect(57);
        Assert.Contains("1 entry LEFT OUT by the erasure register", restored.Error, StringComparison.Ordinal);
        Assert.Contains("1 entry CORRECTED at the source since", restored.Error, StringComparison.Ordinal);
        Assert.Contains("patients/ann.txt", restored.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(cli["back/patients/ann.txt"]));
        Assert.True(File.Exists(cli["back/patients/bo.txt"]));
        var register = Json(cli.Run("restore", "latest", cli["again"], "--json").Expect(57)).GetProperty("erasureRegister");
        Assert.Equal((1, 1, 0), (register.GetProperty("leftOut").GetInt32(), register.GetProperty("corrected").GetInt32(), register.GetProperty("stillInTarget").GetInt32()));
        Assert.Equal("patients/ann.txt", register.GetProperty("leftOutPaths")[0].GetProperty("path").GetString());
        Assert.Contains(", but for 1 left out", cli.Run("snapshots").Expect(0).Out, StringComparison.Ordinal);

        // What stands there from before is told, a pattern that matched nothing is worse than the register's word, and care has it.
        cli.Shell("echo old > again/patients/ann.txt");
        var resumed = cli.Run("restore", cli.LatestId(), cli["again"], "--resume").Expect(57);
        Assert.Contains("AND STILL IN THE TARGET", resumed.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("NOT OF IT", resumed.Out + resumed.Error, StringComparison.Ordinal);
        cli.Run("restore", "latest", cli["part"], "--include", "patients/ann.txt", "--include", "patients/dee.txt").Expect(3);
        cli.Run("restore", "latest", cli["all"], "--with-erased", "a child is ill").Expect(57);
        Assert.True(File.Exists(cli["all/patients/ann.txt"]));
        Assert.Equal("a child is ill", Json(cli.Run("erasure", "list", "--json").Expect(0)).GetProperty("askedForAllTheSame")[0].GetProperty("reason").GetString());
    }

    [Fact]
    public void A_single_file_ends_with_57_where_it_is_the_one_that_is_meant()
    {
        using var cli = Sample();
        cli.Run("erasure", "add", "--path", "patients/ann.txt", "--reason", "case 17").Expect(0);
        Assert.Empty(cli.Run("cat", "latest", "patients/ann.txt").Expect(57).Out);
        Assert.Equal("ward.txt\n", cli.Run("cat", "latest", "ward.txt").Expect(0).Out);
        Assert.Equal("patients/ann.txt\n", cli.Run("cat", "latest", "patients/ann.txt", "--with-erased", "a child is ill").Expect(57).Out);
        foreach (var path in Directory.EnumerateFiles(cli["vault/objects"], "*", SearchOption.AllDirectories).Where(p => IsErasure(File.ReadAllBytes(p))).ToList())
            cli.Shell($"chattr -i '{path}' 2>/dev/null || true; rm -f '{path}'");
        var unread = cli.Run("cat", "latest", "ward.txt").Expect(0); // of this file nothing is said
        Assert.Contains("ERASURE REGISTER CANNOT BE READ", unread.Error, StringComparison.Ordinal);
        cli.Run("restore", "latest", cli["back"]).Expect(57);
    }

    static bool IsErasure(byte[] bytes) => bytes.Length > 11 && bytes.AsSpan().StartsWith("HOLDFAST"u8) && bytes[11] == 13;

    /// <summary>A digest that was mistyped, and names that are together too many, are not entered; and a snapshot is looked at by all of them at once.</summary>
    [Fact]
    public void What_no_snapshot_has_and_what_is_most_of_one_is_not_entered()
    {
        using var cli = Sample();
        static string Digest(string text) => Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)));
        Assert.Contains("a file of that SHA-256", cli.Run("erasure", "add", "--sha256", Digest("mistyped"), "--reason", "case 17").Expect(27).Error, StringComparison.Ordinal);
        cli.Run("erasure", "add", "--path", "patients/dee.txt", "--path", "ward.txt", "--reason", "case 17").Expect(27);
        string[] many = ["--path", "patients", "--sha256", Digest("ward.txt\n"), "--reason", "case 17"]; // 5 of 8
        Assert.Contains("has 5 of the 8 entries", cli.Run(["erasure", "add", .. many]).Expect(36).Error, StringComparison.Ordinal);
        Assert.Empty(Json(cli.Run("erasure", "list", "--json").Expect(0)).GetProperty("entries").EnumerateArray());
        cli.Run(["erasure", "add", .. many, "--most"]).Expect(0);
        Assert.Equal(2, Json(cli.Run("erasure", "list", "--json").Expect(0)).GetProperty("entries").GetArrayLength());
        cli.Run("restore", "latest", cli["back"]).Expect(57);
        Assert.Equal("./list.txt\n./plan.txt\n", cli.Shell("cd back; find . -type f | sort").Out);
    }

    [Fact]
    public void The_list_shows_what_was_withdrawn_and_why()
    {
        using var cli = Sample();
        var entry = Json(cli.Run("erasure", "add", "--path", "ward.txt", "--reason", "case 17", "--json").Expect(0)).GetProperty("entries")[0].GetString()!;
        using (var vault = Vault.Open(cli["vault"])) // who has the log's key puts another of that id beside it
        {
            var forged = vault.State.Erasures[0].Entry with { Salt = VaultKeeper.Salt(), Words = Hash32.None };
            vault.Keeper.Record(LeafType.Erasure, forged.Entry, Id16.None, (ulong)forged.Kind, 0, 0, forged.ToArray());
        }
        cli.Run("erasure", "withdraw", entry, "--reason", "it was another ward").Expect(0);
        var list = cli.Run("erasure", "list").Expect(0).Out;
        Assert.Contains("because case 17", list, StringComparison.Ordinal);
        Assert.Matches("withdrawn .*, because it was another ward", list);
        var told = Json(cli.Run("erasure", "list", "--json").Expect(0)).GetProperty("entries")[0];
        Assert.True(told.GetProperty("withdrawn").GetBoolean() && told.GetProperty("hidesWhatItNames").GetBoolean() && told.GetProperty("believed").GetBoolean());
        Assert.Equal("it was another ward", told.GetProperty("withdrawals")[0].GetProperty("reason").GetString());
        Assert.Equal(1, Json(cli.Run("restore", "latest", cli["back"], "--json").Expect(57)).GetProperty("erasureRegister").GetProperty("notBelieved").GetInt32());
        Assert.True(File.Exists(cli["back/ward.txt"]));
    }
}
