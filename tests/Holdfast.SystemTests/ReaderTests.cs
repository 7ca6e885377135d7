using System.Text;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

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
        Cli.Finish(cli.StartProgram(Reader, null, "restore", cli["vault"], latest, "r", cli["s2"], cli["s4"])).Expect(0); // as a person types it, relative
        cli.Shell("diff -r --no-dereference source r");
        Assert.Contains("bed 4", File.ReadAllText(cli["r/notes/ward.txt"]), StringComparison.Ordinal);
    }

    [Fact]
    public void The_independent_reader_goes_on_past_a_revoked_agent_a_second_folder_a_damaged_copy_and_a_forged_snapshot()
    {
        Assert.SkipUnless(Cli.Has("pdftotext"), "needs pdftotext (poppler-utils) to read the printed shares");
        using var cli = new Cli().Init();
        cli.Write("before", Cli.Noise(1, 700_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("store", "add", cli["second"]).Expect(0);
        cli.Run("key", "issue", "--out", cli["keys2"]).Expect(0);
        using (var vault = Vault.Open(cli["vault"]))
        {
            var first = vault.State.Snapshots[0];
            vault.Keeper.Record(LeafType.AgentEnrolled, first.Agent, Id16.None, 2, 0, 0);
            var forged = vault.State.Whole(first)! with { Snapshot = Id16.New() };
            vault.Keeper.Record(LeafType.Commit, forged.Snapshot, first.Agent, first.Expiry, 0, first.PackCount, forged.ToArray()); // by an agent that is revoked, over another's name
            vault.Keeper.Record(LeafType.Commit, first.Snapshot, first.Agent, 1, 0, first.PackCount, vault.State.Whole(first)!.ToArray()); // a second time, with a lock that is over
            var locked = vault.State.PacksOf(first)!.ToList().Select(p => (StoreKind.Pack, p.Name)).Append((StoreKind.Object, first.Name)).Append((StoreKind.Object, vault.State.Keyring)).Order().ToList();
            vault.Keeper.Record(LeafType.Expiry, Id16.New(), Id16.None, vault.Keeper.Clock.Now, 0, 0, new ExpiryList(vault.Id, Hash32.None, locked).ToArray()); // all of it is locked
        }
        cli.Write("after", Cli.Noise(2, 700_000));
        cli.Shell("cp keys2/put.key keys2/agent.key keys/");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        cli.Run("recovery-kit", "--threshold", "2", "--shares", "3", "--out", cli["kit.pdf"]).Expect(0);
        cli.Shell("""
            for p in 2 4; do pdftotext -layout -f $p -l $p kit.pdf - | grep -E '^ +[1-7]: ' > s$p; done
            for f in vault/packs/*/* vault/objects/*/*; do mkdir -p second/$(dirname ${f#vault/}); cp $f second/${f#vault/}; done
            for f in vault/packs/*/*; do mv $f second/${f#vault/}; done
            one=$(ls second/packs/*/* | head -1); mkdir -p vault/$(dirname ${one#second/}); head -c 65536 /dev/zero > vault/${one#second/}
            """);
        var list = Cli.Finish(cli.StartProgram(Reader, null, "list", cli["vault"], cli["s2"], cli["s4"])).Expect(0);
        var snapshots = list.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, snapshots.Length);
        Assert.Contains("is left out: it is not signed by the agent that was enrolled then", list.Error, StringComparison.Ordinal);
        Assert.Contains("a second commit of snapshot", list.Error, StringComparison.Ordinal);
        Assert.Matches(@"an expiry of \d+ names that were locked is not believed", list.Error);
        Cli.Finish(cli.StartProgram(Reader, null, "restore", cli["vault"], snapshots[1][..32], cli["r"], cli["s2"], cli["s4"])).Expect(0);
        cli.Shell("diff -r source r; rm source/after");
        Cli.Finish(cli.StartProgram(Reader, null, "restore", cli["vault"], snapshots[0][..32], cli["r0"], cli["s2"], cli["s4"])).Expect(0);
        cli.Shell("diff -r source r0");
    }

    [Fact]
    public void The_independent_reader_makes_every_vector_of_the_format()
    {
        using var cli = new Cli();
        var file = Path.Combine(Cli.Root, "docs/vectors.json");
        var count = System.Text.Json.JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("vectors").GetArrayLength();
        Assert.Equal($"{count} right, 0 wrong\n", Cli.Finish(cli.StartProgram(Reader, null, "vectors", file)).Expect(0).Out);

        // And it does look: one digit altered in each, and each is found.
        var text = File.ReadAllText(file);
        File.WriteAllText(cli["altered.json"], System.Text.RegularExpressions.Regex.Replace(text, "(\"(?:out|publicKey|root|leafHash|qr|end|text)\": \"?)([0-9A-Za-z])", m => m.Groups[1].Value + (m.Groups[2].Value == "1" ? "2" : "1")));
        var altered = Cli.Finish(cli.StartProgram(Reader, null, "vectors", cli["altered.json"])).Expect(1);
        Assert.Matches("^2 right, ", altered.Out); // of cuts and of shares the results are lists
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
