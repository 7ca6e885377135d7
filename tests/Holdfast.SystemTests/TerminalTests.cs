using System.Text;
using System.Text.Json;

namespace Holdfast.SystemTests;

/// <summary>The program among others: pipes that close, disks that are full, people who press Ctrl+C, programs that read its JSON.</summary>
public sealed class TerminalTests
{
    static readonly string Program = Path.Combine(Cli.Root, "holdfast");

    static Cli Sample(int files = 3)
    {
        var cli = new Cli().Init();
        for (var i = 0; i < files; i++)
            cli.Write($"notes/{i}.txt", Encoding.UTF8.GetBytes($"bed {i}\n"));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        return cli;
    }

    static Result Bash(Cli cli, string script) => Cli.Finish(cli.StartProgram("bash", null, "-c", script));

    [Theory]
    [InlineData("snapshots")]
    [InlineData("snapshots --json")]
    [InlineData("ls latest")]
    [InlineData("ls latest --json")]
    [InlineData("cat latest notes/1.txt")]
    [InlineData("log checkpoint")]
    [InlineData("--help")]
    public void Output_that_cannot_be_written_is_told_once_with_its_own_code(string call)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "needs /dev/full");
        using var cli = Sample();
        foreach (var where in new[] { ">/dev/full", ">&-" })
        {
            var result = Bash(cli, $"'{Program}' {call} {where}").Expect(62);
            Assert.Equal(2, result.Error.Split("OutputFailed").Length);
            Assert.DoesNotContain("DiskFull", result.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_backup_whose_report_is_lost_is_in_the_vault_and_the_vault_is_sound()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "needs /dev/full");
        using var cli = Sample();
        Bash(cli, $"'{Program}' backup '{cli["source"]}' --name ward >/dev/full").Expect(62);
        // With all three closed, none of the vault's files may take the place of one.
        Bash(cli, $"'{Program}' backup '{cli["source"]}' --name ward >&- 2>&- <&-").Expect(62);
        Assert.Equal(3, JsonDocument.Parse(cli.Run("snapshots", "--json").Out).RootElement.GetProperty("snapshots").GetArrayLength());
        cli.Run("verify", "--full").Expect(0);
    }

    /// <summary>The runtime opens /dev/urandom in the place of a closed standard input: it has no end.</summary>
    [Theory]
    [InlineData("backup --stdin --name dump", 2)]
    [InlineData("backup --stdin --allow-empty --name dump", 2)]
    [InlineData("recover-key --out again", 2)]
    [InlineData("recover-key /dev/stdin --out again", 2)]
    [InlineData("restore latest back --opening-secret /dev/stdin", 17)]
    public void A_standard_input_that_is_closed_is_told_and_nothing_is_read_in_its_place(string call, int status)
    {
        using var cli = Sample();
        var result = Bash(cli, $"ulimit -f 20000; timeout 60 '{Program}' {call} <&-").Expect(status); // in case: no more than 20 MB
        Assert.Contains("closed", result.Error, StringComparison.Ordinal);
        Assert.Single(JsonDocument.Parse(cli.Run("snapshots", "--json").Out).RootElement.GetProperty("snapshots").EnumerateArray());
        Assert.False(Directory.Exists(cli["again"]));
    }

    [Fact]
    public void Recovery_shares_from_a_pipe_are_bounded()
    {
        using var cli = new Cli();
        var result = Bash(cli, $"head -c 300000000 /dev/zero | tr '\\0' A | timeout 60 '{Program}' recover-key --out again").Expect(2);
        Assert.Contains("Standard input is too large", result.Error, StringComparison.Ordinal);
    }

    /// <summary>Whoever owns the vault, or the keys, writes files whose text others see.</summary>
    [Fact]
    public void Nothing_that_stands_in_the_vaults_lists_plays_with_the_terminal()
    {
        using var cli = Sample();
        File.WriteAllText(cli["vault/keeper/folders"], "/x/\u202Eevil\n/y/\u001b[2J\u0007\n/z/\u009b31m\n");
        foreach (var call in new[] { "snapshots", "status", "store list", "verify", "log entries", "ls nosuch\u001b[31m", "ls latest \u001b[31mx" })
        {
            var result = cli.Run(call.Split(' '));
            Assert.DoesNotContain(result.Out + result.Error, c => c != '\n' && (char.IsControl(c) || c == '\u202E'));
        }
        Assert.Contains("/x/\\u202eevil", cli.Run("store", "list").Out, StringComparison.Ordinal);
    }

    /// <summary>Whoever may name a file in a source, a source, or a file on the vault's disk has others read that name.</summary>
    [Fact]
    public void No_name_makes_a_line_or_a_colour_of_its_own()
    {
        const string evil = "x\nholdfast: all is well\u001b[2J\r\u202E";
        using var cli = Sample();
        cli.Write(evil, [1]);
        cli.Run("backup", cli["source"], "--name", evil).Expect(0);
        cli.Write(evil, [2, 3]);
        cli.Shell("ln -s \"$(printf 'to\\nholdfast: all is well\\033[2J')\" source/link");
        cli.Run("backup", cli["source"], "--name", evil).Expect(0);
        Directory.CreateDirectory(cli[$"r/{evil}/in the way"]);
        File.WriteAllText(cli[$"vault/packs/{evil}"], "");
        foreach (var call in new string[][]
        {
            ["snapshots"], ["ls", "latest", "--name", evil], ["ls", "latest", "-l", "--name", evil], ["find", "x*"], ["diff", "latest~1", "latest", "--name", evil], ["restore", "latest", cli["r"], "--overwrite", "--name", evil],
            ["restore", "latest", cli["r3"], "--name", evil, "--include", evil, "--include", "no" + evil], ["cat", "latest", "no" + evil, "--name", evil], ["policy", "show"], ["policy", "set", "--lock", "2d", "--name", evil], ["policy", "show", "--name", evil],
            ["log", "entries"], ["verify"], ["status"], ["attest"], ["store", "list"],
        })
        {
            var result = cli.Run(call);
            Assert.DoesNotContain(result.Out + result.Error, c => c != '\n' && (char.IsControl(c) || c == '\u202E'));
            Assert.False(result.Out.Contains("\nholdfast: all is well", StringComparison.Ordinal) || result.Error.Contains("\nholdfast: all is well", StringComparison.Ordinal), $"{string.Join(' ', call)}\n{result.Out}\n{result.Error}");
        }
    }

    [Fact]
    public void Options_before_the_command_and_folders_beside_a_stream_are_told_where_they_belong()
    {
        using var cli = Sample();
        Assert.Contains($"Put it after the command: {Program} status --json", cli.Run("--json", "status").Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains("holdfast snapshots --vault", cli.Run("--vault", "x", "snapshots").Expect(2).Error, StringComparison.Ordinal);
        Assert.Contains("`d` stands where one would be", cli.Run("backup", "--stdin", "--name", "x", "d", "--", "echo", "hi").Expect(2).Error, StringComparison.Ordinal);
        cli.Run("backup", "--stdin", "--name", "x", "--", "echo", "hi").Expect(0);
    }

    [Fact]
    public void Bash_completes_files_where_files_are_due_and_options_where_one_is_begun()
    {
        using var cli = Sample();
        var script = cli.Run("completion", "bash").Expect(0).Out;
        string Complete(string line) => Bash(cli, $"PATH='{Cli.Root}':$PATH\n{script}\nCOMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; IFS=' ' read -ra COMP_WORDS <<<\"$COMP_LINE\"; [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=(''); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _holdfast; printf '%s\\n' \"${{COMPREPLY[@]}}\"").Expect(0).Out.Trim();
        Assert.Equal("", Complete("holdfast backup /"));
        Assert.Equal("", Complete("holdfast backup "));
        Assert.Contains("--name", Complete("holdfast backup --n"), StringComparison.Ordinal);
        Assert.Equal("snapshots", Complete("holdfast snap"));
        Assert.Equal("bash", Complete("holdfast completion b"));
        Assert.Contains("backup", Complete("holdfast help ba"), StringComparison.Ordinal);
        Assert.DoesNotContain("Usage:", cli.Run("ls", "latest", "/h").Out, StringComparison.Ordinal);
    }

    /// <summary>A program of that name in the folder where somebody presses TAB, or opens a shell, may be anyone's.</summary>
    [Fact]
    public void A_completion_script_runs_the_program_that_wrote_it_and_none_in_the_folder_at_hand()
    {
        using var cli = Sample();
        const string own = "it's ours";
        Directory.CreateDirectory(cli[own]);
        Directory.CreateDirectory(cli["theirs"]);
        File.CreateSymbolicLink(cli[$"{own}/holdfast"], Program);
        File.WriteAllText(cli["theirs/holdfast"], "#!/bin/sh\ntouch \"$0.ran\"\n");
        cli.Shell("chmod +x theirs/holdfast");
        foreach (var shell in new[] { "bash", "zsh", "fish" })
        {
            var script = cli.Shell($"cd \"{own}\"; ./holdfast completion {shell}").Out;
            Assert.DoesNotContain("./holdfast", script, StringComparison.Ordinal);
            Assert.Contains("/holdfast' completion", script, StringComparison.Ordinal);
            Assert.Equal(script, JsonDocument.Parse(cli.Shell($"cd \"{own}\"; ./holdfast completion {shell} --json").Out).RootElement.GetProperty("script").GetString() + "\n");
        }
        var found = cli.Shell($$"""
            cd "{{own}}"; ./holdfast completion bash >../script; cd ../theirs
            eval "$(sed -n 's/^# put this into [^ ]*  //p' ../script)"
            COMP_LINE='./holdfast snap'; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(./holdfast snap); COMP_CWORD=1; _holdfast; printf '%s\n' "${COMPREPLY[@]}"
            """).Out;
        Assert.Equal("snapshots\n", found);
        Assert.False(File.Exists(cli["theirs/holdfast.ran"]));
    }

    /// <summary>The disk with a job's log on it is full: what cannot be said is not said, and the status is that of the work.</summary>
    [Fact]
    public void Words_that_cannot_be_written_change_no_status()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "needs /dev/full");
        using var cli = Sample();
        foreach (var where in new[] { "2>/dev/full", "2>&-" })
        {
            Bash(cli, $"'{Program}' nosuch {where}").Expect(2);
            Bash(cli, $"'{Program}' restore nosuch '{cli["r"]}' {where}").Expect(27);
            Bash(cli, $"'{Program}' backup '{cli["source"]}' --name elsewhere {where}").Expect(0);
            Bash(cli, $"'{Program}' backup '{cli["source/notes"]}' --name elsewhere {where}").Expect(0); // with a warning
        }
        cli.Run("verify", "--full").Expect(0); // no word went into a file of the vault
    }

    [Fact]
    public void Words_on_a_failure_come_after_the_whole_JSON_document()
    {
        using var cli = Sample();
        var both = Bash(cli, $"'{Program}' restore nosuch '{cli["r"]}' --json 2>&1").Expect(27).Out;
        Assert.StartsWith("{", both, StringComparison.Ordinal);
        Assert.True(both.IndexOf("\n}\n", StringComparison.Ordinal) is var end and > 0 && end < both.IndexOf("holdfast: ", StringComparison.Ordinal), both);
    }

    [Fact]
    public void A_reader_who_leaves_ends_a_listing_quietly()
    {
        using var cli = Sample(3000);
        foreach (var call in new[] { "ls latest -r", "ls latest -r --json", "find '*.txt'", "find '*.txt' --json", "snapshots", "cat latest notes/1.txt" })
        {
            var result = Bash(cli, $"'{Program}' {call} | true; exit ${{PIPESTATUS[0]}}").Expect(0);
            Assert.Equal("", result.Error);
        }
    }

    [Fact]
    public void An_output_that_does_not_wait_gets_all_bytes_all_the_same()
    {
        Assert.SkipUnless(Cli.Has("python3"), "needs python3 to make a pipe that does not wait");
        using var cli = new Cli().Init();
        cli.Write("scan.dcm", Cli.Noise(5, 3_000_000));
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        File.WriteAllText(cli["pipe.py"], """
            import os, subprocess, sys
            wanted, program = int(sys.argv[1]), sys.argv[2:]
            reads, writes = os.pipe()
            os.set_blocking(writes, False)
            running = subprocess.Popen(program, stdout=writes)
            os.close(writes)
            taken = 0
            while taken < wanted:
                piece = os.read(reads, min(10_000, wanted - taken))
                if not piece:
                    break
                sys.stdout.buffer.write(piece)
                taken += len(piece)
            os.close(reads)
            sys.exit(running.wait())
            """);

        Result Taken(int bytes) => Cli.Finish(cli.StartProgram("bash", null, "-c", $"set -o pipefail; python3 '{cli["pipe.py"]}' {bytes} '{Program}' cat latest scan.dcm | sha256sum")).Expect(0);
        string Digest(int bytes) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Cli.Noise(5, 3_000_000).AsSpan(0, bytes)));

        Assert.StartsWith(Digest(3_000_000), Taken(int.MaxValue).Out, StringComparison.Ordinal);
        Assert.StartsWith(Digest(200_000), Taken(200_000).Out, StringComparison.Ordinal); // then the reader leaves, while the program waits
    }

    [Fact]
    public void What_a_command_finds_counts_even_where_nobody_reads_it()
    {
        using var cli = Sample();
        var pack = Directory.GetFiles(cli["vault/packs"], "*", SearchOption.AllDirectories).First();
        var bytes = File.ReadAllBytes(pack);
        bytes[^1] ^= 1;
        File.WriteAllBytes(pack, bytes);
        Bash(cli, $"'{Program}' verify | true; exit ${{PIPESTATUS[0]}}").Expect(21);
    }

    [Theory]
    [InlineData("snapshots", "--passphrase-file")]
    [InlineData("snapshots", "--opening-secret")]
    [InlineData("snapshots", "--scoped-key")]
    [InlineData("log", "verify", "--since")]
    [InlineData("log", "verify", "--log-key", "KEY", "--proof")]
    [InlineData("recover-key", "--out", "new")]
    [InlineData("backup", "source", "--exclude-from")]
    public void A_file_that_is_named_and_not_there_is_no_defect_and_no_fault_of_the_disk(params string[] call)
    {
        using var cli = new Cli();
        cli.Write("a", [1]);
        File.WriteAllText(cli["pass"], "correct horse\n");
        cli.Run("init", cli["vault"], "--lock", "1d", "--passphrase-file", cli["pass"]).Expect(0);
        var key = File.ReadLines(cli["vault/vault"]).Single(l => l.StartsWith("log ", StringComparison.Ordinal))[4..];
        call = [.. call.Select(w => w switch { "KEY" => key, "source" or "new" => cli[w], _ => w })];
        foreach (var (file, words) in new[] { (cli["nothing-here"], "does not exist"), (cli.Folder, "is a folder") })
        {
            var result = cli.Run([.. call, file]);
            Assert.True(result.Status is 2 or 17, result.Error);
            Assert.Contains(words, result.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("Exception", result.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_passphrase_that_is_asked_for_is_not_shown_and_ctrl_c_gives_the_terminal_back()
    {
        Assert.SkipUnless(Cli.Has("python3"), "needs python3 to act as a terminal");
        using var cli = new Cli();
        File.WriteAllText(cli["pass"], "correct horse\n");
        cli.Run("init", cli["vault"], "--lock", "1d", "--passphrase-file", cli["pass"]).Expect(0);
        File.WriteAllText(cli["terminal.py"], """
            import os, pty, signal, sys, termios
            answer, program = sys.argv[1].encode(), sys.argv[2:]
            signal.alarm(60) # whatever goes wrong, it ends
            master, slave = pty.openpty()
            pid = os.fork()
            if pid == 0:
                os.setsid()
                import fcntl
                signal.signal(signal.SIGINT, signal.SIG_DFL) # a test run in the background of a shell has it ignored
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                for fd in 0, 1, 2:
                    os.dup2(slave, fd)
                os.execv(program[0], program)
            seen = b""
            while b"Passphrase of the opening key: " not in seen:
                seen += os.read(master, 4096)
            while termios.tcgetattr(slave)[3] & termios.ECHO:
                pass
            os.write(master, answer)
            os.set_blocking(master, False)
            ended, status = 0, 0
            while not ended:
                ended, status = os.waitpid(pid, os.WNOHANG)
                try:
                    seen += os.read(master, 4096)
                except BlockingIOError:
                    pass
            echo = bool(termios.tcgetattr(slave)[3] & termios.ECHO) and bool(termios.tcgetattr(slave)[3] & termios.ICANON)
            print(os.waitstatus_to_exitcode(status), "echo" if echo else "no echo", "SHOWN" if b"correct horse" in seen else "hidden")
            """);
        string Answered(string answer) => Cli.Finish(cli.StartProgram("python3", null, cli["terminal.py"], answer, Program, "snapshots")).Expect(0).Out.Trim();
        Assert.Equal("130 echo hidden", Answered("correct horse\x03"));
        Assert.Equal("0 echo hidden", Answered("correct horse\r"));
        Assert.Equal("0 echo hidden", Answered("correct hx\x7forse\r"));
        Assert.Equal("12 echo hidden", Answered("wrong\rwrong\rwrong\r"));
        Assert.Equal("36 echo hidden", Answered("\x04"));
    }

    [Fact]
    public void A_passphrase_that_is_mistyped_is_asked_for_again()
    {
        Assert.SkipUnless(Cli.Has("script"), "needs script (util-linux) for a terminal");
        using var cli = new Cli();
        File.WriteAllText(cli["pass"], "a long enough sentence\n");
        cli.Run("init", cli["vault"], "--lock", "1d", "--passphrase-file", cli["pass"]).Expect(0);
        cli.Write("notes.txt", [1]);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Result Typed(params string[] lines) => Cli.Finish(cli.StartProgram("script", null, "-qec", $"'{Program}' ls latest", "/dev/null"), string.Concat(lines.Select(l => l + "\r")));
        var third = Typed("a wrong sentence", "A LONG ENOUGH SENTENCE", "a long enough sentence").Expect(0).Out;
        Assert.Equal(3, third.Split("Type it again (Caps Lock").Length);
        Assert.Contains("notes.txt", third, StringComparison.Ordinal);
        Assert.Equal(4, Typed("one", "two", "three", "a long enough sentence").Expect(12).Out.Split("Type it again (Caps Lock").Length); // the last is what to do
        Assert.Contains("Type it again", cli.Run("ls", "latest", "--passphrase-file", cli["keys/put.key"]).Expect(12).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("frobnicate", "There is no command `holdfast frobnicate`.", "`holdfast --help` lists the commands")]
    [InlineData("snapshot", "There is no command `holdfast snapshot`.", "Did you mean snapshots?")]
    [InlineData("RESTROE latest x", "There is no command `holdfast RESTROE`.", "Did you mean restore?")]
    [InlineData("log prov latest", "There is no command `holdfast log prov`.", "Did you mean prove? `holdfast log --help`")]
    [InlineData("frobnicate --help", "There is no command `holdfast frobnicate`.", "")]
    [InlineData("help log prov", "There is no command `holdfast log prov`.", "Did you mean prove?")]
    [InlineData("log prove latest --uot x", "`holdfast log prove` has no option --uot.", "Did you mean --out? `holdfast log prove --help`")]
    [InlineData("backup source --nam=ward", "`holdfast backup` has no option --nam.", "Did you mean --name?")]
    [InlineData("ls latest --recursiv", "`holdfast ls` has no option --recursiv.", "Did you mean --recursive?")]
    [InlineData("recovery-kit --out x --shares many", "--shares takes a whole number, not `many`.", "`holdfast recovery-kit --help`")]
    [InlineData("verify --sample half", "--sample takes a number, not `half`.", "")]
    [InlineData("init v --weeks -1", "--weeks takes a whole number of 0 or more, not `-1`.", "")]
    [InlineData("ls latest --name", "--name needs a value: --name NAME.", "")]
    [InlineData("ls latest --name a --name b", "--name is given twice; it can have one value.", "")]
    [InlineData("cat", "SNAPSHOT and PATH are missing.", "")]
    [InlineData("lock latest", "--until DATE is missing.", "")]
    [InlineData("ls a b c", "`c` is one word too many.", "")]
    [InlineData("log", "`holdfast log` needs a command: checkpoint, prove, verify, cosign, entries, accept.", "")]
    [InlineData("", "`holdfast` needs a command.", "")]
    [InlineData("backup source --name ''", "--name is empty.", "")]
    [InlineData("backup source --name= --read-all", "--name needs a value: --name NAME.", "")]
    [InlineData("init v --lock ''", "--lock is empty.", "")]
    [InlineData("restore latest ''", "TARGET is empty.", "")]
    [InlineData("backup --name= source", "--name is empty.", "")]
    [InlineData("backup --stdin --name n sh -c true", "`holdfast backup` has no option -c.", "stands after --")]
    public void A_wrong_call_gets_one_plain_error(string call, string message, string guidance)
    {
        using var cli = new Cli();
        var result = Bash(cli, $"'{Program}' {call}").Expect(2);
        Assert.Equal("", result.Out);
        result = result with { Error = result.Error.Replace(Program + " ", "holdfast ", StringComparison.Ordinal) }; // as it was called
        Assert.Equal(["holdfast: " + message, "what to do", "code: Usage (2)"], [.. result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Trim()).Select(l => l.StartsWith("what to do: ", StringComparison.Ordinal) ? "what to do" : l)]);
        Assert.Contains(guidance, result.Error, StringComparison.Ordinal);
        if (call.StartsWith("help", StringComparison.Ordinal))
            return; // help is text
        var json = JsonDocument.Parse(Bash(cli, $"'{Program}' {call} --json").Expect(2).Out).RootElement.GetProperty("error");
        Assert.Equal((message, 2), (json.GetProperty("message").GetString(), json.GetProperty("status").GetInt32()));
    }

    [Fact]
    public void Help_is_the_same_in_both_spellings_and_shows_the_whole_path()
    {
        using var cli = new Cli();
        Assert.Equal(cli.Run("--help").Expect(0).Out, cli.Run("help").Expect(0).Out);
        var help = cli.Run("help", "log", "prove").Expect(0).Out;
        Assert.Equal(cli.Run("log", "prove", "--help").Expect(0).Out, help);
        Assert.Contains("holdfast log prove <SNAPSHOT>", help, StringComparison.Ordinal);
    }

    [Fact]
    public void Empty_vault_and_keys_count_as_not_given()
    {
        using var cli = Sample();
        Assert.DoesNotContain("ward", cli.Run("snapshots", "--keys", "").Expect(0).Out, StringComparison.Ordinal);
        Assert.Contains("No vault was named", cli.Run("snapshots", "--vault", "").Expect(2).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_that_begins_with_an_at_sign_is_a_name()
    {
        using var cli = Sample();
        cli.Write("@eaDir/x", [1]);
        cli.Run("backup", cli["source"], "--name", "@ward").Expect(0);
        Assert.Equal("@eaDir/x\n", cli.Run("ls", "latest", "@eaDir", "--name", "@ward").Expect(0).Out);
    }

    [Fact]
    public void A_path_in_a_snapshot_may_be_written_as_in_a_shell()
    {
        using var cli = Sample();
        var plain = cli.Run("ls", "latest", "notes").Expect(0).Out;
        Assert.NotEqual("", plain);
        foreach (var path in new[] { "./notes/", "notes/", "/notes", "notes/.", "/./notes//" })
            Assert.Equal(plain, cli.Run("ls", "latest", path).Expect(0).Out);
        Assert.Equal("notes/\n", cli.Run("ls", "latest", "/").Expect(0).Out);
        Assert.Equal("bed 1\n", cli.Run("cat", "latest", "./notes/1.txt").Expect(0).Out);
    }

    [Theory]
    [InlineData("backup", "source", "--exclude-from")]
    [InlineData("log", "verify", "--log-key", "KEY", "--proof")]
    [InlineData("ls", "latest", "--opening-secret")]
    public void A_pipe_that_nobody_writes_to_can_be_interrupted(params string[] call)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "pipes with names are of Unix");
        using var cli = Sample();
        var key = File.ReadLines(cli["vault/vault"]).Single(l => l.StartsWith("log ", StringComparison.Ordinal))[4..];
        cli.Shell("mkfifo pipe; chmod 600 pipe");
        using var waiting = cli.Start([.. call.Select(w => w switch { "KEY" => key, "source" => cli[w], _ => w }), cli["pipe"]]);
        Thread.Sleep(TimeSpan.FromSeconds(2));
        Assert.False(waiting.HasExited);
        cli.Shell($"kill -INT {waiting.Id}");
        var ended = waiting.WaitForExit(20_000);
        if (!ended)
            waiting.Kill();
        Assert.True(ended, "it waits for whoever writes");
        Assert.Equal(130, waiting.ExitCode);
    }

    [Fact]
    public void Patterns_come_from_pipes_too()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "pipes with names are of Unix");
        using var cli = Sample();
        foreach (var given in new[] { "--exclude-from /dev/stdin < <(echo '0.*')", "--exclude-from <(sleep 1; echo '0.*')", "--exclude-from pipe & sleep 1; echo '0.*' >pipe; wait $!" })
        {
            cli.Shell($"rm -f pipe; mkfifo pipe; '{Program}' backup source --name ward {given}");
            Assert.Equal("notes/1.txt\nnotes/2.txt\n", cli.Run("ls", "latest", "notes").Expect(0).Out);
        }
    }

    /// <summary>Of two files one has the very name that `ls` prints for the other.</summary>
    [Fact]
    public void A_name_that_ls_escapes_is_taken_as_it_prints_it_and_the_very_name_goes_first()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "such names are of Unix");
        using var cli = new Cli().Init();
        cli.Shell("""mkdir -p 'source/a\b'; cd source; printf 1 >$'line\nend'; printf 2 >'line\x0aend'; printf 3 >'a\b'/$'latin\xe4'; printf 4 >$'tab\t*'; printf 5 >$'tab\tx'; printf 6 >plain""");
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        var names = cli.Run("ls", "latest", "-r").Expect(0).Out.Split('\n');
        foreach (var (printed, content) in new[] { (@"line\x0aend", "2"), (@"line\\x0aend", "2"), (@"a\\b/latin\xe4", "3"), (@"tab\x09*", "4"), ("plain", "6") })
        {
            Assert.Contains(printed, names);
            Assert.Equal(content, cli.Run("cat", "latest", printed).Expect(0).Out);
        }
        Assert.Equal(@"a\\b/latin\xe4" + "\n", cli.Run("ls", "latest", @"a\\b").Expect(0).Out);
        cli.Run("cat", "latest", @"tab\x0a*").Expect(27);
        foreach (var (pattern, found) in new[] { (@"line\x0aend", @"line\x0aend"), (@"line\\x0aend", @"line\\x0aend"), (@"latin\xe4", @"a\\b/latin\xe4"), (@"tab\x09\x2a", @"tab\x09*") })
        {
            Assert.EndsWith($"  {found}", Assert.Single(cli.Run("find", pattern).Expect(0).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
            cli.Run("restore", "latest", cli["r"], "--include", pattern, "--overwrite").Expect(0);
        }
        cli.Shell("rm source/plain source/*x; diff -r source r");
    }

    [Fact]
    public void A_snapshot_can_be_named_by_how_many_lie_behind_it()
    {
        using var cli = Sample();
        cli.Write("notes/new.txt", [1]);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        Assert.Equal("+ notes/new.txt\n", cli.Run("diff", "latest~1", "latest").Expect(0).Out);
        Assert.Equal(cli.Run("ls", "latest").Out, cli.Run("ls", "latest~0").Expect(0).Out);
        cli.Run("log", "prove", "latest~1").Expect(0);
        foreach (var none in new[] { "latest~2", "latest~", "latest~x", "latest~-1", "latest~99999999999" })
            cli.Run("ls", none).Expect(27);
        cli.Write("other/x", [2]);
        cli.Run("backup", cli["source/other"], "--name", "other").Expect(0);
        Assert.Equal("+ notes/new.txt\n", cli.Run("diff", "latest~1", "latest", "--name", "ward").Expect(0).Out);
    }

    [Fact]
    public void A_name_no_source_has_is_an_error_that_names_no_other()
    {
        using var cli = Sample();
        foreach (var call in new string[][] { ["snapshots"], ["ls", "latest"], ["restore", "latest", cli["r"]], ["find", "x", "--snapshot", "latest"] })
        {
            var result = cli.Run([.. call, "--name", "wrad"]).Expect(27);
            Assert.Contains("holdfast snapshots` lists", result.Error, StringComparison.Ordinal);
            Assert.Contains($"holdfast snapshots --vault {cli["vault"]} --keys {cli["keys"]}` lists", cli.Run([.. call, "--name", "wrad", "--vault", cli["vault"], "--keys", cli["keys"]]).Expect(27).Error, StringComparison.Ordinal);
            Assert.DoesNotContain("ward", result.Error + result.Out, StringComparison.Ordinal);
        }
        Assert.Contains("ward", cli.Run("snapshots", "--name", "ward").Expect(0).Out, StringComparison.Ordinal);
        cli.Run("snapshots", "--name", "ward", "--keys", "").Expect(2);
    }

    /// <summary>One object, nothing after it, no member twice.</summary>
    static JsonElement OneObject(Result result)
    {
        var root = JsonDocument.Parse(result.Out, new JsonDocumentOptions { AllowDuplicateProperties = false }).RootElement;
        Assert.Equal(JsonValueKind.Object, root.ValueKind);
        var failed = result.Status is not (0 or 3);
        Assert.True(failed == root.TryGetProperty("error", out var error), result.Out);
        if (failed)
        {
            Assert.Equal(result.Status, error.GetProperty("status").GetInt32());
            Assert.All(new[] { "code", "message", "guidance" }, name => Assert.NotEqual("", error.GetProperty(name).GetString()));
        }
        return root;
    }

    [Fact]
    public void Every_command_prints_one_json_object_where_it_succeeds()
    {
        using var cli = new Cli();
        cli.Write("notes/1.txt", Encoding.UTF8.GetBytes("bed 1\n"));
        string[][] calls =
        [
            ["init", cli["vault"], "--lock", "1d"], ["backup", cli["source"], "--name", "ward"], ["backup", cli["source"], "--name", "ward", "--attest"], ["snapshots"], ["snapshots", "--name", "ward"], ["ls", "latest"],
            ["ls", "latest", "-r"], ["find", "*.txt"], ["find", "*.none"], ["diff", "latest~1", "latest"], ["diff", "latest", "latest"], ["restore", "latest", cli["r"]], ["attest", "--full"], ["attest"], ["verify"],
            ["verify", "--full"], ["status"], ["log", "checkpoint"], ["log", "checkpoint", "--out", cli["checkpoint"]], ["log", "prove", "latest"], ["log", "prove", "latest", "--out", cli["proof"]], ["log", "verify"],
            ["log", "verify", "--since", cli["checkpoint"]], ["log", "entries"], ["store", "add", cli["more"]], ["store", "list"], ["expire", "--dry-run"], ["expire"],
            ["lock", "latest", "--until", DateTimeOffset.UtcNow.AddDays(60).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture), "--confirm-locked-until", DateTimeOffset.UtcNow.AddDays(60).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture)],
            ["recovery-kit", "--out", cli["kit.pdf"]], ["key", "issue", "--out", cli["issued"]], ["key", "scope", "--class", "tree", "--out", cli["scoped"]], ["key", "rotate"], ["completion", "bash"],
            ["up", cli["source"], "--base", cli["base"]], ["down", cli["source"], "--base", cli["base"]],
        ];
        foreach (var call in calls)
        {
            var result = cli.Run([.. call, "--json"]);
            Assert.True(result.Status is 0, $"{string.Join(' ', call)}: {result.Status}\n{result.Error}");
            Assert.NotEmpty(OneObject(result).EnumerateObject());
        }
    }

    [Fact]
    public void Every_command_prints_one_json_object_where_it_fails()
    {
        using var cli = Sample();
        cli.Run("verify", "--full").Expect(0);
        var pack = Directory.GetFiles(cli["vault/packs"], "*", SearchOption.AllDirectories).OrderByDescending(f => new FileInfo(f).Length).First();
        var bytes = File.ReadAllBytes(pack);
        for (var i = 200; i < bytes.Length; i += 50)
            bytes[i] ^= 1;
        File.WriteAllBytes(pack, bytes);
        string[][] calls =
        [
            ["verify"], ["verify", "--full"], ["attest", "--full"], ["restore", "latest", cli["r"]], ["restore", "latest", cli["source"]], ["ls", "latest", "none"], ["ls", "nope"], ["find"], ["find", "x", "--snapshot", "nope"],
            ["diff", "latest", "nope"], ["cat", "latest", "notes/1.txt"], ["cat", "latest", "none"], ["snapshots", "--name", "none"], ["init", cli["vault"]], ["init", cli["new"], "--lock", "soon"], ["backup", cli["none"]],
            ["backup", "--stdin", "--name", "x", "--json", "--", "false"], ["lock", "latest", "--until", "soon"], ["lock", "nope", "--until", "2030-01-01"], ["log", "prove", "nope"], ["log", "verify", "--since", cli["none"]],
            ["log", "verify", "--proof", cli["none"]], ["recovery-kit", "--out", cli["kit"], "--threshold", "9"], ["recover-key", cli["none"], "--out", cli["k"]], ["key", "scope", "--class", "x", "--out", cli["k"]],
            ["completion", "tcsh"], ["down", cli["none"]], ["up", cli["none"]], ["status", "--vault", cli["none"]], ["store", "list", "--vault", cli["none"]], ["expire", "--vault", cli["none"]], ["log", "entries", "--vault", cli["none"]],
            ["log", "checkpoint", "--vault", cli["none"]], ["frobnicate"], ["log"], [],
        ];
        foreach (var call in calls)
        {
            var result = cli.Run(call.Contains("--json") ? call : [.. call, "--json"]);
            Assert.True(result.Status is not (0 or 1), $"{string.Join(' ', call)}: {result.Status}\n{result.Error}");
            OneObject(result);
        }
    }

    [Fact]
    public void A_listing_that_fails_half_way_is_one_json_object_with_what_it_had()
    {
        using var cli = Sample();
        cli.Write("notes/2.txt", [1]);
        cli.Run("backup", cli["source"], "--name", "ward").Expect(0);
        var root = OneObject(cli.Run("ls", "latest", "none", "--json").Expect(27));
        Assert.Equal(0, root.GetProperty("entries").GetArrayLength());
        Assert.Equal("SnapshotMissing", root.GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("notes/2.txt", OneObject(cli.Run("diff", "latest~1", "latest", "--json").Expect(0)).GetProperty("changes")[0].GetProperty("path").GetString());
    }

    [Fact]
    public void The_log_reads_in_words_and_holds_nothing_personal()
    {
        using var cli = Sample();
        cli.Run("attest").Expect(0);
        cli.Run("verify").Expect(0);
        cli.Run("restore", "latest", cli["r"]).Expect(0);
        cli.Run("recovery-kit", "--out", cli["kit.pdf"], "--organisation", "Example Trust").Expect(0);
        cli.Run("key", "rotate").Expect(0);
        var id = OneObject(cli.Run("snapshots", "--json")).GetProperty("snapshots")[0].GetProperty("id").GetString()!;
        var text = cli.Run("log", "entries").Expect(0).Out;
        foreach (var words in new[]
        {
            "locks of 1 day to", "key epoch 1 begins", $"commit of snapshot {id[..8]}, locked until 20", $"attestation of snapshot {id[..8]}: a sample, sound", "verify of bytes against names: sound", $"restore of snapshot {id[..8]}: 3 files",
            "recovery kit of key epoch 1: any 2 of 3 shares open", "key epoch 2 begins",
        })
            Assert.Contains(words, text, StringComparison.Ordinal);
        var json = cli.Run("log", "entries", "--json").Expect(0);
        foreach (var personal in new[] { "ward", "notes", "Example", cli.Folder, Environment.MachineName })
            Assert.DoesNotContain(personal, text + json.Out, StringComparison.Ordinal);
        var entries = OneObject(json).GetProperty("entries").EnumerateArray().ToList();
        Assert.Equal(text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length, entries.Count);
        var commit = entries.Single(e => e.GetProperty("type").GetString() == "Commit");
        Assert.Equal(id, commit.GetProperty("snapshot").GetString());
        Assert.Equal(commit.GetProperty("c").GetInt64(), commit.GetProperty("packs").GetInt64());
    }

    [Fact]
    public void A_search_in_the_snapshots_of_a_name_leaves_out_those_of_others()
    {
        using var cli = Sample();
        cli.Run("backup", cli["source"], "--name", "other").Expect(0);
        Assert.Equal(2, cli.Run("find", "1.txt").Expect(0).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Single(cli.Run("find", "1.txt", "--name", "other").Expect(0).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }
}
