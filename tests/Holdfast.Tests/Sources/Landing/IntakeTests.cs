using System.Diagnostics;
using Holdfast.Core;
using Holdfast.Sources.Landing;
using Holdfast.Sources.Landing.Formats;

namespace Holdfast.Tests.Sources.Landing;

/// <summary>What is taken, when, and what an account could do about it.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class IntakeTests : IDisposable
{
    readonly TempFolder _folder = new();
    readonly LandingFolder _landing;
    DropPoint _drop = new("epr", "nobody") { Source = "epr", Quiet = TimeSpan.Zero, Late = TimeSpan.FromHours(1) };

    public IntakeTests()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "a landing runs on Linux");
        _landing = new LandingFolder(_folder["landing"]);
        Directory.CreateDirectory(In());
        Directory.CreateDirectory(_landing.State);
    }

    public void Dispose() => _folder.Dispose();

    string In(string name = "") => Path.Combine(_landing.Inbox(_drop), name);

    static long Now => TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>Collects, and gives what was taken, by name.</summary>
    Dictionary<string, DumpFaults> Take(long later = 0, DropHistory? history = null)
    {
        using var intake = new Intake(_landing, _drop);
        intake.Collect(Now + later, Ct);
        var taken = new Dictionary<string, DumpFaults>();
        foreach (var batch in intake.Batches())
            batch.Look(_drop, history ?? new DropHistory(0, []), Ct);
        foreach (var batch in intake.Batches()) // what is no good has one of its own by now
        {
            batch.Look(_drop, history ?? new DropHistory(0, []), Ct);
            using var report = System.Text.Json.JsonDocument.Parse(File.ReadAllText(Path.Combine(batch.Path, "report.json")));
            foreach (var file in report.RootElement.GetProperty("files").EnumerateArray())
                taken[file.GetProperty("name").GetString()!] = (DumpFaults)file.GetProperty("faults").GetInt32();
        }
        return taken;
    }

    DropState State(long later = 0)
    {
        using var intake = new Intake(_landing, _drop);
        return intake.State(Now + later);
    }

    void Put(string name, string text = "ward list\n") => File.WriteAllText(In(name), text);

    static void Shell(string script)
    {
        using var process = Process.Start(new ProcessStartInfo("bash") { ArgumentList = { "-c", "set -e; " + script } })!;
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    [Fact]
    public void A_file_is_taken_once_nobody_has_it_open_for_writing()
    {
        using (var writer = new FileStream(In("a"), FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite))
        {
            writer.Write("ward"u8);
            writer.Flush();

            Assert.Empty(Take());
            Assert.Empty(Take(later: 100_000)); // as long as that takes
            Assert.True(File.Exists(In("a")));
            Assert.Equal(1, State(later: 100_000).Late);
        }

        Assert.Equal(["a"], Take().Keys);
        Assert.False(File.Exists(In("a")));
    }

    [Fact]
    public void A_writer_that_only_maps_it_counts_too()
    {
        Put("a");
        using (var map = System.IO.MemoryMappedFiles.MemoryMappedFile.CreateFromFile(In("a")))
            Assert.Empty(Take());

        Assert.Equal(["a"], Take().Keys);
    }

    [Fact]
    public void A_file_is_taken_only_after_a_quiet_time()
    {
        _drop = _drop with { Quiet = TimeSpan.FromMinutes(1) };
        Put("a");

        Assert.Empty(Take(later: 30));
        Assert.Equal(["a"], Take(later: 61).Keys);
    }

    [Fact]
    public void A_time_of_change_from_ahead_does_not_keep_it_for_ever()
    {
        _drop = _drop with { Quiet = TimeSpan.FromMinutes(1) };
        Put("a");
        File.SetLastWriteTimeUtc(In("a"), TimeProvider.System.GetUtcNow().AddYears(10).UtcDateTime);

        Assert.Equal(["a"], Take(later: 61).Keys);
        Put("b");
        Assert.Equal(["a", "b"], Take(later: -100_000).Keys.Order()); // or this machine's clock was
    }

    [Theory]
    [InlineData("epr.bak.filepart")]
    [InlineData("epr.bak.PART")]
    [InlineData(".epr.bak.Xa3")]
    [InlineData("epr.tmp")]
    public void A_name_of_what_is_not_finished_is_taken_late_and_marked(string name)
    {
        Put(name);

        Assert.Empty(Take());
        Assert.Equal(DumpFaults.Unfinished, Take(later: 3_601)[name]);
    }

    [Fact]
    public void Odd_names_are_taken_byte_for_byte()
    {
        var names = new[] { "a\nb", "-rf", " ", "ä", "$(id)", new string('x', 255) };
        foreach (var name in names)
            Put(name);
        Shell($"printf x > '{In()}/'$'\\xff\\xfe'");

        Assert.Equal([.. names.Append("\uFFFD\uFFFD").Order(StringComparer.Ordinal)], Take().Keys.Order(StringComparer.Ordinal));
        Assert.Empty(Directory.GetFileSystemEntries(In()));
    }

    [Fact]
    public void Links_pipes_and_folders_are_never_followed_and_told()
    {
        File.WriteAllText(_folder["secret"], "opening key");
        File.CreateSymbolicLink(In("link"), _folder["secret"]);
        Directory.CreateDirectory(In("folder"));
        Shell($"mkfifo '{In("pipe")}'");

        Assert.Empty(Take(later: 100_000));
        Assert.Equal(3, State().Odd);
        Assert.Equal("opening key", File.ReadAllText(_folder["secret"]));
    }

    [Fact]
    public void A_file_with_a_second_name_stays_until_it_has_one()
    {
        Put("a");
        Shell($"ln '{In("a")}' '{_folder["other"]}'");

        Assert.Empty(Take());
        File.Delete(_folder["other"]);
        Assert.Equal(["a"], Take().Keys);
    }

    /// <summary>The account swaps it between two looks: what stands under its name then is looked at again where it cannot be swapped.</summary>
    [Fact]
    public void What_was_put_in_its_place_before_it_was_moved_goes_no_further()
    {
        using (new Intake(_landing, _drop))
        {
        }
        var hold = Path.Combine(_landing.Taken(_drop), "hold");
        File.WriteAllText(_folder["secret"], "opening key");
        File.CreateSymbolicLink(Path.Combine(hold, "a"), _folder["secret"]);
        File.WriteAllText(Path.Combine(hold, "b"), "two names");
        Shell($"ln '{Path.Combine(hold, "b")}' '{_folder["other"]}'; printf open > '{hold}/c'");
        using var writer = new FileStream(Path.Combine(hold, "c"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite);

        Assert.Empty(Take());
        Assert.True(File.Exists(Path.Combine(hold, "b")) && File.Exists(Path.Combine(hold, "c")));
        Assert.Equal(1, State().Odd);
        writer.Dispose();
        File.Delete(_folder["other"]);
        Assert.Equal(["b", "c"], Take().Keys.Order());
    }

    [Fact]
    public void What_was_taken_is_nobody_elses()
    {
        Put("a");
        File.SetUnixFileMode(In("a"), (UnixFileMode)0x1B6); // rw-rw-rw-

        Take();

        using var intake = new Intake(_landing, _drop);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(intake.Batches()[0].Content, "a")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(intake.Batches()[0].Content));
    }

    [Fact]
    public void A_dump_and_its_checksum_go_together()
    {
        _drop = _drop with { HasChecksums = true };
        var digest = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData("ward list\n"u8));
        Put("a");
        Put("b");
        Put("b.sha256", digest + "  b\n");
        Put("c");
        Put("c.sha256", new string('0', 64) + "  c\n");

        Assert.Equal([("b", DumpFaults.None), ("b.sha256", DumpFaults.None), ("c", DumpFaults.Checksum), ("c.sha256", DumpFaults.None)], Take().OrderBy(t => t.Key).Select(t => (t.Key, t.Value)));
        Assert.True(File.Exists(In("a")));
        Assert.Equal(DumpFaults.Checksum, Take(later: 3_601)["a"]); // it never came
    }

    [Fact]
    public void A_checksum_that_is_still_written_keeps_its_dump_back()
    {
        Put("a");
        using (var writer = new FileStream(In("a.sha256"), FileMode.CreateNew, FileAccess.Write))
            Assert.Empty(Take());

        Assert.Equal(2, Take().Count);
    }

    [Fact]
    public void What_is_wrong_with_a_dump_is_marked_and_it_is_taken_all_the_same()
    {
        _drop = _drop with { Kind = new DumpKind(DumpFormat.Any, DumpWrapping.Gzip), Patterns = ["*.gz"] };
        var history = new DropHistory(0, [.. Enumerable.Range(0, 3).Select(n => new TakenDump(n, 1_000, DumpFaults.None, Id16.None))]);
        Put("note.txt");
        Put("a.gz");

        Assert.Equal([("a.gz", DumpFaults.Format | DumpFaults.Shrunken), ("note.txt", DumpFaults.Format | DumpFaults.Shrunken | DumpFaults.Name)], Take(history: history).OrderBy(t => t.Key).Select(t => (t.Key, t.Value)));
    }

    /// <summary>A small file can be made that unpacks for days: others wait behind it.</summary>
    [Fact]
    public void A_dump_that_takes_too_long_to_look_at_is_marked_and_taken()
    {
        _drop = _drop with { Kind = new DumpKind(DumpFormat.Any, DumpWrapping.Gzip) };
        Shell($"head -c 1000000 /dev/zero | gzip > '{In("a.gz")}'");
        using var intake = new Intake(_landing, _drop);
        intake.Collect(Now, Ct);

        Assert.Equal(DumpFaults.Format, Assert.Single(intake.Batches()[0].Look(_drop, new DropHistory(0, []), Ct, patience: TimeSpan.FromSeconds(-1))).Faults);
        Assert.Contains("too long", File.ReadAllText(Path.Combine(intake.Batches()[0].Path, "report.json")), StringComparison.Ordinal);
    }

    /// <summary>Whatever a check meets, the dump is stored: the file was made by somebody else.</summary>
    [Fact]
    public void A_check_that_fails_is_a_verdict()
    {
        var left = TimeSpan.FromMinutes(1);

        Assert.NotNull(Batch.InTime(0, ref left, _ => throw new IOException("bad sector"), Ct));
        Assert.NotNull(Batch.InTime(0, ref left, _ => throw new OverflowException(), Ct));
        Assert.Null(Batch.InTime(0, ref left, _ => null, Ct));
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => Batch.InTime(0, ref left, ct => throw new OperationCanceledException(ct), stop.Token));
    }

    /// <summary>Many that take long do not add up: all files of a batch share the patience.</summary>
    [Fact]
    public void The_time_that_one_file_took_is_gone_for_the_next()
    {
        var left = TimeSpan.FromMilliseconds(300);

        static string? Slow(CancellationToken ct)
        {
            ct.WaitHandle.WaitOne(TimeSpan.FromMinutes(1));
            ct.ThrowIfCancellationRequested();
            return null;
        }
        Assert.Contains("too long", Batch.InTime(0, ref left, Slow, Ct), StringComparison.Ordinal);
        Assert.InRange(left, TimeSpan.Zero, TimeSpan.FromMilliseconds(100)); // timers are not exact
        Assert.Null(Batch.InTime(0, ref left, _ => null, Ct)); // a moment each has all the same
    }

    [Fact]
    public void What_was_taken_first_comes_first()
    {
        for (var n = 0; n < 8; n++)
        {
            Put($"dump-{n}");
            using var intake = new Intake(_landing, _drop);
            intake.Collect(Now + n, Ct);
        }

        using var all = new Intake(_landing, _drop);
        var batches = all.Batches();
        Assert.Equal(Enumerable.Range(0, 8).Select(n => $"dump-{n}"), batches.Select(b => Path.GetFileName(Assert.Single(Directory.GetFiles(b.Content)))));
        Assert.Equal(batches.Select(b => b.Taken), batches.SelectMany(b => b.Look(_drop, new DropHistory(0, []), Ct)).Select(d => d.Taken)); // when it was taken, not when it was looked at
    }

    /// <summary>So that a bad one gets no long place of the good ones' source, and keeps no good one out of it.</summary>
    [Fact]
    public void What_is_no_good_leaves_the_batch_of_what_is()
    {
        _drop = _drop with { Patterns = ["*.bak"] };
        Put("a.bak");
        Put("b.bak");
        Put("b.bak.sha256", new string('0', 64) + "  b.bak\n");
        Put("junk");
        Take();

        using var intake = new Intake(_landing, _drop);
        var batches = intake.Batches().Select(b => (Files: string.Join(' ', Directory.GetFiles(b.Content).Select(Path.GetFileName).Order(StringComparer.Ordinal)), Good: b.Dumps().Count(d => d.IsGood), All: b.Dumps().Count)).OrderBy(b => b.Files).ToList();
        Assert.Equal([("a.bak", 1, 1), ("b.bak b.bak.sha256 junk", 0, 2)], batches);
    }

    [Fact]
    public void A_parting_that_was_killed_half_way_is_done_anew()
    {
        _drop = _drop with { Patterns = ["*.bak"] };
        Put("a.bak");
        Put("junk");
        using var intake = new Intake(_landing, _drop);
        intake.Collect(Now, Ct);
        var batch = Assert.Single(intake.Batches());
        Directory.CreateDirectory(Path.Combine(batch.Path, "parting"));
        File.Move(Path.Combine(batch.Content, "junk"), Path.Combine(batch.Path, "parting", "junk"));

        Assert.Equal(["a.bak", "junk"], Take().Keys.Order());
        Assert.Equal(2, intake.Batches().Count);
        Assert.All(intake.Batches(), b => Assert.Single(Directory.GetFiles(b.Content)));
    }

    [Fact]
    public void A_checksum_alone_is_kept_and_is_no_dump()
    {
        Put("a.sha256", new string('0', 64));

        Assert.Empty(Take());
        Assert.Equal(DumpFaults.None, Take(later: 3_601)["a.sha256"]);
        using var intake = new Intake(_landing, _drop);
        Assert.Empty(intake.Batches()[0].Dumps());
    }

    [Fact]
    public void So_many_files_that_no_report_holds_them_are_several_batches()
    {
        Shell($"cd '{In()}'; for n in $(seq 10001); do : > n$n; done; : > n5.sha256");
        using var intake = new Intake(_landing, _drop);
        intake.Collect(Now, Ct);

        Assert.Equal(2, intake.Batches().Count);
        Assert.Equal(10_002, intake.Batches().Sum(b => Directory.GetFiles(b.Content).Length));
        Assert.Single(intake.Batches(), b => File.Exists(Path.Combine(b.Content, "n5")) && File.Exists(Path.Combine(b.Content, "n5.sha256")));
    }

    /// <summary>While the folder is shut nobody gives it its last name: it would stay, and keep the folder shut.</summary>
    [Fact]
    public void An_unfinished_file_that_fills_the_quota_does_not_keep_the_folder_shut()
    {
        _drop = _drop with { Quota = 100_000 };
        File.WriteAllBytes(In("a.filepart"), new byte[200_000]);
        using (var writer = new FileStream(In("b.filepart"), FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite))
        {
            Assert.Empty(Take());
            using (var intake = new Intake(_landing, _drop))
                intake.Admit(intake.State(Now).IsClosed);

            Assert.Equal(["a.filepart"], Take().Keys);
            Assert.True(File.Exists(In("b.filepart")));
        }
    }

    [Fact]
    public void What_the_plan_does_not_name_is_told()
    {
        Put("a");
        Take();
        new DropHistory(1, []).Write(Holdfast.Core.Storage.Disk.Real, _landing.History(_drop));

        Assert.Empty(_landing.Strays(["epr"]));
        Assert.Equal(["epr"], _landing.Strays(["other"]));
        File.Delete(_landing.History(_drop));
        Assert.Equal(["epr"], _landing.Strays([])); // what was taken
    }

    [Fact]
    public void A_batch_that_is_not_whole_in_the_vault_stays_and_is_told()
    {
        Put("a");
        Take();
        using var intake = new Intake(_landing, _drop);
        intake.Batches()[0].MarkStored(isWhole: false);

        Assert.Throws<InvalidOperationException>(intake.Batches()[0].Remove);
        Assert.Equal((1, 0), (intake.State(Now).Unreadable, intake.State(Now).Waiting));
    }

    [Fact]
    public void As_much_as_may_lie_there_shuts_the_folder_until_it_is_less()
    {
        _drop = _drop with { Quota = 100_000 };
        File.WriteAllBytes(In("a"), new byte[200_000]);

        using (var intake = new Intake(_landing, _drop))
        {
            var state = intake.State(Now);
            Assert.True(state.IsClosed);
            intake.Admit(state.IsClosed);
            Assert.False(File.GetUnixFileMode(In()).HasFlag(UnixFileMode.GroupWrite));
        }
        Take();
        Assert.True(State().IsClosed); // what waits for its backup counts
        using (var intake = new Intake(_landing, _drop))
        {
            intake.Batches()[0].MarkStored();
            intake.Batches()[0].Remove();
            intake.Admit(intake.State(Now).IsClosed);
            Assert.True(File.GetUnixFileMode(In()).HasFlag(UnixFileMode.GroupWrite));
            Assert.False(File.GetUnixFileMode(In()).HasFlag(UnixFileMode.GroupRead));
        }
    }

    [Fact]
    public void Holes_count_as_what_they_take_on_the_disk()
    {
        Shell($"truncate -s 1T '{In("a")}'");

        Assert.True(State().Bytes < 1 << 20);
        Assert.Equal(["a"], Take().Keys);
    }

    [Fact]
    public void What_the_vault_does_not_have_is_never_removed()
    {
        Put("a");
        Take();
        using var intake = new Intake(_landing, _drop);
        var batch = intake.Batches()[0];

        Assert.Throws<InvalidOperationException>(batch.Remove);
        Assert.True(File.Exists(Path.Combine(batch.Content, "a")));
        batch.MarkStored();
        batch.Remove();
        Assert.Empty(intake.Batches());
        Assert.Equal(["hold", "odd"], Directory.GetFileSystemEntries(_landing.Taken(_drop)).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void A_removal_that_was_killed_half_way_is_finished()
    {
        Put("a");
        Put("b");
        Take();
        using var intake = new Intake(_landing, _drop);
        var batch = intake.Batches()[0];
        batch.MarkStored();
        File.Delete(Path.Combine(batch.Content, "a"));
        File.Delete(Path.Combine(batch.Path, "report.json"));
        File.WriteAllText(Path.Combine(batch.Path, "report.json.x.new"), "what a killed run left");

        batch.Remove();

        Assert.Empty(intake.Batches());
    }
}
