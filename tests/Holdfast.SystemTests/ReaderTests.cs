using System.Text;

namespace Holdfast.SystemTests;

/// <summary>The independent reader and the vault of the released format: docs/format.md is enough.</summary>
public sealed class ReaderTests
{
    static string Reader => Path.Combine(Cli.Root, "artifacts/bin/reader/release/reader");

    [Fact]
    public void The_independent_reader_restores_what_holdfast_stored()
    {
        Assert.SkipUnless(Cli.Has("pdftotext"), "needs pdftotext (poppler-utils) to read the printed shares");
        using var cli = new Cli().Init();
        cli.Write("empty", []);
        cli.Write("notes/ward.txt", Encoding.UTF8.GetBytes("bed 3"));
        cli.Write("scan.dcm", Cli.Noise(1, 9_000_000));
        for (var i = 0; i < 3_000; i++)
            cli.Write($"many/{i}", Encoding.UTF8.GetBytes($"file {i}"));
        cli.Shell("truncate -s 3M source/sparse; printf x | dd of=source/sparse bs=1 seek=1000000 conv=notrunc 2>/dev/null; ln -s notes source/link");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Write("notes/ward.txt", Encoding.UTF8.GetBytes("bed 4"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("recovery-kit", "--threshold", "2", "--shares", "3", "--out", cli["kit.pdf"]).Expect(0);
        cli.Shell("for p in 2 4; do pdftotext -layout -f $p -l $p kit.pdf - | grep -E '^ +[1-7]: ' > s$p; done");
        Directory.Move(cli["keys"], cli["gone"]);

        var list = Cli.Finish(cli.StartProgram(Reader, null, "list", cli["vault"], cli["s2"], cli["s4"])).Expect(0).Out;
        Assert.Equal(2, list.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Contains(" ward 3004 files", list, StringComparison.Ordinal);
        var latest = list.Split('\n', StringSplitOptions.RemoveEmptyEntries)[1][..32];
        Cli.Finish(cli.StartProgram(Reader, null, "restore", cli["vault"], latest, cli["r"], cli["s2"], cli["s4"])).Expect(0);
        cli.Shell("diff -r --no-dereference source r");
        Assert.Contains("bed 4", File.ReadAllText(cli["r/notes/ward.txt"]), StringComparison.Ordinal);
    }

    [Fact]
    public void The_golden_vault_of_format_1_stays_readable()
    {
        using var cli = new Cli();
        cli.Shell($"tar xzf '{Path.Combine(Cli.Root, "tests/Holdfast.SystemTests/Golden/v1.tar.gz")}'");
        foreach (var snapshot in new[] { "first", "second" })
        {
            var id = File.ReadAllText(cli[$"{snapshot}.id"]).Trim();
            cli.Run("restore", id, cli[$"r-{snapshot}"]).Expect(0);
            cli.Shell($"diff -r --no-dereference expected-{snapshot} r-{snapshot}");
            Cli.Finish(cli.StartProgram(Reader, null, "restore", cli["vault"], id, cli[$"i-{snapshot}"], cli["share1"], cli["share3"])).Expect(0);
            cli.Shell($"diff -r --no-dereference expected-{snapshot} i-{snapshot}");
        }
        cli.Run("verify", "--full").Expect(0);
        cli.Run("log", "verify").Expect(0);
        cli.Run("backup", cli["expected-second"], "--name", "golden").Expect(0); // and can be written to
    }
}
