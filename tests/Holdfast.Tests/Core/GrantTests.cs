using System.Buffers;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Gateway;
using Holdfast.Core.Grants;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;
using Holdfast.Sources.Streams;

namespace Holdfast.Tests.Core;

/// <summary>Grants without a network in between: who gets what, and what an agent's host believes.</summary>
public sealed class GrantTests : IDisposable
{
    readonly TestVault _test = new();
    readonly Vault _vault;
    readonly Hash32 _self = Digest("clean room");
    readonly AgentKey _agent;
    readonly List<IDisposable> _made = [];
    readonly List<string> _notes = [];
    readonly List<string> _warnings = [];
    readonly List<GrantEnd> _ends = [];
    readonly ManualTime _time = new();
    OpeningKeys? _keys;
    Grant _grant = null!;
    GrantDesk _desk = null!;
    VaultRestore _restore = null!;

    public GrantTests()
    {
        _vault = _test.Open();
        _agent = Enrolled();
    }

    public void Dispose()
    {
        _desk?.Dispose();
        _made.ForEach(m => m.Dispose());
        _keys?.Dispose();
        _agent.Dispose();
        _vault.Dispose();
        _test.Dispose();
    }

    /// <summary>Time that a test moves.</summary>
    sealed class ManualTime : TimeProvider
    {
        TimerCallback? _fired;
        long _now = new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero).Ticks;

        public void Pass(TimeSpan time) => Interlocked.Add(ref _now, time.Ticks);

        public override DateTimeOffset GetUtcNow() => new(Interlocked.Read(ref _now), TimeSpan.Zero);
        public override long TimestampFrequency => TimeSpan.TicksPerSecond;
        public override long GetTimestamp() => Interlocked.Read(ref _now);
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => System.CreateTimer(_fired = callback, state, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan); // by the test alone

        public void Fire() => _fired!(null);
    }

    static Hash32 Digest(string text) => new(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    AgentKey Enrolled()
    {
        var key = AgentKey.Create(_vault.Id);
        var token = EnrolmentTokens.Make(_test.Folder, "n", _vault.Keeper.Clock.Now, _vault.Keeper.Clock.Now + TestVault.Day, Disk.Real);
        _vault.Keeper.EnrolAgent(token, new Enrolment(_vault.Id, VaultKeeper.Salt(), EnrolmentKind.Agent, key.Agent, 1, key.Signer.PublicKey.ToArray(), _test.Keys.Put.Domain.Domain));
        return key;
    }

    /// <summary>Grants the newest snapshot.</summary>
    GrantTests Granted(Func<PathFilter>? filter = null, Func<IGrantedRestore, IGrantedRestore>? bent = null)
    {
        _keys ??= _vault.Unlock(_test.Seed);
        _vault.Keeper.Refresh();
        var record = _vault.Find("latest");
        _restore = new VaultRestore(_vault, record, _keys, _vault.State.Agent(_agent.Agent)!, filter ?? (() => new PathFilter(null)), null, 2);
        _grant = new Grant(_vault.Id, _vault.Keeper.File.LogKey, _vault.State.Agent(_agent.Agent)!, RandomNumberGenerator.GetBytes(GrantProof.SecretSize), TimeSpan.FromHours(8), VaultRestore.StandOf(_vault, record, _keys, filter is not null));
        _desk?.Dispose();
        _desk = new GrantDesk(_grant, bent?.Invoke(_restore) ?? _restore, _self, _time) { Note = Told, Warn = Warned, Ended = _ends.Add };
        return this;
    }

    void Told(string text)
    {
        lock (_notes)
            _notes.Add(text);
    }

    void Warned(string text)
    {
        lock (_notes)
            _warnings.Add(text);
    }

    sealed class Owned(byte[] bytes) : IMemoryOwner<byte>
    {
        public Memory<byte> Memory => bytes;

        public void Dispose() => Array.Fill(bytes, (byte)0xEE); // who uses it after that is found out
    }

    static GrantReply Reply(ReadOnlyMemory<byte> bytes) => new(new Owned(bytes.ToArray()), bytes.Length);

    /// <summary>The desk asked directly, every request encoded and read again.</summary>
    sealed class Reached(GrantTests test) : IGrant
    {
        readonly List<byte[]> _raw = [];

        public Hash32 Client { get; } = Digest(Guid.NewGuid().ToString());
        public Func<GrantRequest, Action?> Before { get; set; } = _ => null;
        public Func<byte[], byte[]> Bend { get; set; } = b => b;
        public string Place => "https://cleanroom.example:8447/";
        public (Hash32 Client, Hash32 Server) Ends => (Client, test._self);

        /// <summary>All that crossed.</summary>
        public byte[] Raw
        {
            get
            {
                lock (_raw)
                    return [.. _raw.SelectMany(r => r)];
            }
        }

        public GrantReply Ask(GrantRequest request)
        {
            Before(request)?.Invoke();
            var bytes = request.ToArray();
            Assert.True(GrantRequest.TryParse(bytes, out var read));
            Assert.InRange(bytes.Length, 0, GrantRequest.Most(bytes.AsSpan(0, GrantRequest.HeadSize), isProved: true));
            using var answer = test._desk.Answer(Client, read);
            lock (_raw)
                _raw.Add(answer.Bytes.ToArray());
            return Reply(request is GrantRequest.Fetch ? Bend(answer.Bytes.ToArray()) : answer.Bytes);
        }
    }

    GrantRun Begin(IGrant reached, AgentKey? agent = null, byte[]? code = null, GrantMode mode = GrantMode.Empty)
    {
        var run = GrantRun.Begin(reached, agent ?? _agent, _vault.Keeper.Log.Key.ToString(), code ?? _grant.Code, new GrantOptions(mode, true), TestContext.Current.CancellationToken);
        _made.Add(run);
        return run;
    }

    (RestoreResult Result, IReadOnlyCollection<TargetProblem> Problems) Restore(IGrant reached, string target, GrantMode mode = GrantMode.Empty)
    {
        var run = Begin(reached, mode: mode);
        using var writer = FileTarget.Create(target, new FileTargetOptions { Existing = mode switch { GrantMode.Resume => ExistingFiles.KeepEqual, GrantMode.Overwrite => ExistingFiles.Replace, _ => ExistingFiles.Refuse } });
        var result = run.Restore(writer, new RestoreProgress(), 3);
        run.Report(result.IsWhole ? GrantOutcome.Whole : GrantOutcome.NotWhole, result.Files, result.Bytes, 0);
        return (result, writer.Problems);
    }

    static string Shell(string script)
    {
        using var shell = Process.Start(new ProcessStartInfo("/bin/bash", ["-c", script]) { RedirectStandardOutput = true })!;
        var output = shell.StandardOutput.ReadToEnd();
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
        return output;
    }

    static ErrorCode Refused(Action ask) => Assert.Throws<HoldfastException>(ask).Code;

    void BackUpSome()
    {
        _test.WriteSome();
        File.CreateSymbolicLink(Path.Combine(_test.Source, "link"), "a/small.txt");
        File.CreateSymbolicLink(Path.Combine(_test.Source, "out"), "/etc/passwd");
        _test.BackUp(_vault);
    }

    [Fact]
    public void What_was_granted_comes_back_once()
    {
        BackUpSome();
        Granted();
        var reached = new Reached(this);
        var (result, problems) = Restore(reached, _test["back"]);
        Assert.Empty(problems);
        Assert.True(result.IsWhole);
        Assert.Equal(44, result.Files);
        TestVault.AssertSame(_test.Source, _test["back"]);
        Assert.Equal([GrantEnd.Whole], _ends);
        Assert.True(_desk.Over.IsCancellationRequested);
        Assert.Equal((44, result.Bytes), _desk.Done);
        using (reached.Ask(new GrantRequest.Report(Id16.New(), GrantOutcome.Whole, 1, 1, 0))) // its answer was lost on the way
            Assert.Equal((44, result.Bytes), _desk.Done);
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Restore(new Reached(this), _test["again"])));
        Assert.False(Directory.Exists(_test["again"]));
    }

    [Fact]
    public void Who_is_not_the_agent_or_has_not_the_code_gets_nothing()
    {
        BackUpSome();
        Granted();
        using var other = Enrolled();
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Begin(new Reached(this), other)));
        using var forged = new AgentKey(_vault.Id, _agent.Agent, new byte[32]); // its id, another's key
        for (var i = 0; i < GrantDesk.MostWrong + 1; i++)
            Assert.Equal(ErrorCode.NoPermission, Refused(() => Begin(new Reached(this), forged, new byte[16])));
        Assert.Empty(_ends); // who has not the key ends nothing by guessing
        var stranger = new Reached(this);
        foreach (var request in new GrantRequest[] { new GrantRequest.Begin(GrantMode.Empty, false), new GrantRequest.Fetch(Id16.New(), 0, 0), new GrantRequest.Unwanted(Id16.New(), 1, []), new GrantRequest.Report(Id16.New(), GrantOutcome.Whole, 1, 1, 0) })
            Assert.Equal(ErrorCode.AgentUnproved, Refused(() => stranger.Ask(request)));
        Assert.Equal(0, GrantRequest.Most(new GrantRequest.Begin(GrantMode.Empty, false).ToArray(), isProved: false));

        for (var i = 0; i < GrantDesk.MostWrong; i++)
        {
            Assert.Empty(_ends);
            Assert.Equal(ErrorCode.NoPermission, Refused(() => Begin(new Reached(this), code: new byte[16])));
        }
        Assert.Equal([GrantEnd.WrongCodes], _ends);
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Begin(new Reached(this)))); // the right one comes too late
    }

    /// <summary>What an agent showed to a gateway, or to another grant, or some time ago, shows nothing here; nor what was shown here there.</summary>
    [Fact]
    public void A_proof_is_for_one_clean_room_and_its_time()
    {
        BackUpSome();
        Granted();
        var reached = new Reached(this);
        byte[] Nonce() => AgentHello.Parse(reached.Ask(new GrantRequest.Hello()).Bytes.Span)!.Nonce;
        byte[] Code(byte[] nonce, Hash32? server = null) => GrantProof.OfCode(_grant.Code, _vault.Id, _agent.Agent, nonce, reached.Client, server ?? _self);
        byte[] Signed(byte[] nonce, Hash32? server = null) => _agent.Signer.Sign(GrantProof.SignedBytes(_vault.Id, _agent.Agent, nonce, reached.Client, server ?? _self));
        void Prove(byte[] nonce, byte[] signature, byte[] code) => reached.Ask(new GrantRequest.Prove(_agent.Agent, nonce, signature, code));

        var nonce = Nonce();
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Prove(nonce, _agent.Signer.Sign(AgentProof.SignedBytes(_vault.Id, _agent.Agent, nonce, reached.Client, _self)), Code(nonce)))); // a gateway's
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Prove(nonce, Signed(nonce, Digest("elsewhere")), Code(nonce))));
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Prove(nonce, Signed(nonce), Code(nonce, Digest("elsewhere")))));
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Prove(new byte[32], Signed(new byte[32]), Code(new byte[32]))));
        _time.Pass(TimeSpan.FromMinutes(3));
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Prove(nonce, Signed(nonce), Code(nonce))));

        using var desk = new GatewayDesk(_vault, _test.Keys.Put, _self, new GatewayLimits());
        var gateway = AgentHello.Parse(desk.Answer(reached.Client, new AgentRequest.Hello()))!.Nonce;
        Assert.Equal(ErrorCode.NoPermission, Refused(() => desk.Answer(reached.Client, new AgentRequest.Prove(_agent.Agent, gateway, Signed(gateway)))));
        nonce = Nonce();
        Prove(nonce, Signed(nonce), Code(nonce)); // and the right one does
        Assert.True(_desk.IsHeldBy(reached.Client));
    }

    [Fact]
    public void A_revoked_agent_gets_nothing()
    {
        BackUpSome();
        Granted();
        using (var keeper = _test.Open())
            keeper.Keeper.RevokeAgent(_agent.Agent);
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Begin(new Reached(this))));
    }

    [Fact]
    public void Its_time_ends_it_in_the_midst_too()
    {
        BackUpSome();
        Granted();
        var reached = new Reached(this);
        var run = Begin(reached);
        _time.Pass(TimeSpan.FromHours(9));
        using (var writer = FileTarget.Create(_test["back"], new FileTargetOptions()))
            Assert.Equal(ErrorCode.NoPermission, Refused(() => run.Restore(writer, new RestoreProgress(), 2)));
        Assert.Equal([GrantEnd.TimeOver], _ends);
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Begin(new Reached(this))));
    }

    /// <summary>The agent's process died, at any piece: it is run again, what is whole is not sent again, and nothing half-written stands under a name.</summary>
    [Fact]
    public void It_is_gone_on_with_and_sends_what_is_missing()
    {
        _test.WriteSome();
        for (var i = 0; i < 16; i++)
            _test.Write($"big/{i:d2}", TestVault.Noise(i, 7_000_000));
        _test.BackUp(_vault);
        Granted();
        int Whole() => Directory.Exists(_test["back/big"]) ? Directory.GetFiles(_test["back/big"], "??").Length : 0;
        for (var round = 0; round < 3; round++)
        {
            var before = Whole();
            var isFirst = round == 0;
            var cut = new Reached(this) { Before = r => r is GrantRequest.Fetch { Piece: > 0 } && (isFirst || Whole() > before) ? () => throw new HoldfastException(ErrorCode.StoreUnavailable, "Cut.", "Test.") : null };
            Assert.Equal(ErrorCode.StoreUnavailable, Refused(() => Restore(cut, _test["back"], isFirst ? GrantMode.Empty : GrantMode.Resume)));
            foreach (var file in Directory.EnumerateFiles(_test["back"], "*", SearchOption.AllDirectories).Where(f => !Path.GetFileName(f).StartsWith('.')))
                Assert.Equal(File.ReadAllBytes(Path.Combine(_test.Source, Path.GetRelativePath(_test["back"], file))), File.ReadAllBytes(file));
        }
        var there = Directory.EnumerateFiles(_test["back"], "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
        Assert.InRange(there, 14_000_000, 110_000_000);
        var last = new Reached(this);
        var (result, problems) = Restore(last, _test["back"], GrantMode.Resume);
        Assert.Empty(problems);
        TestVault.AssertSame(_test.Source, _test["back"]);
        Assert.Equal(there, result.Written.KeptBytes);
        var all = Directory.EnumerateFiles(_test.Source, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
        Assert.InRange(last.Raw.Length, 1, all - there + 200_000);
        Assert.Contains(_warnings, n => n.Contains("AGAIN", StringComparison.Ordinal));
        Assert.Equal(3, _desk.Takeovers);
        Assert.True(_desk.Sent.Bytes > all); // of all runs
    }

    /// <summary>Whoever shows agent and code anew takes over, and that is told; what was begun before gets nothing more.</summary>
    [Fact]
    public void The_last_that_has_agent_and_code_holds_it()
    {
        BackUpSome();
        Granted();
        var first = new Reached(this);
        var begun = Begin(first);
        var second = new Reached(this);
        Assert.True(Restore(second, _test["back"]).Result.IsWhole);
        Assert.NotEqual(ErrorCode.None, Refused(() => first.Ask(new GrantRequest.Fetch(begun.Stand.Run, 0, 0))));
        Assert.Single(_warnings, n => n.Contains("AGAIN", StringComparison.Ordinal));
        Assert.Equal(1, _desk.Takeovers);
    }

    [Fact]
    public void Hard_links_holes_and_odd_files_come_back_as_they_were()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/usr/bin/rsync"), "needs Linux, and rsync to compare");
        _test.Write("first", TestVault.Noise(3, 5_000_000));
        Shell($"cd '{_test.Source}' && ln first second && mkdir sub && ln first sub/third && truncate -s 40M holes && printf abc | dd of=holes bs=1 seek=20000000 conv=notrunc status=none && truncate -s 9M allhole && mkfifo pipe && touch empty");
        _test.BackUp(_vault);
        Granted();
        var reached = new Reached(this);
        var (result, problems) = Restore(reached, _test["back"]);
        Assert.Empty(problems);
        Assert.Equal(2, result.Written.Names);
        Assert.InRange(reached.Raw.Length, 5_000_000, 5_400_000); // its content goes once
        Assert.Equal("", Shell($"rsync -aHXn --checksum --delete --itemize-changes '{_test.Source}/' '{_test["back"]}/'"));
        Assert.InRange(long.Parse(Shell($"stat -c %b '{_test["back"]}/holes'").Trim(), System.Globalization.CultureInfo.InvariantCulture), 0, 4_096);
    }

    [Fact]
    public void What_was_erased_crosses_by_no_byte_and_no_name()
    {
        _test.Write("patients/quartermain-9434765919.txt", "allergic to penicillin, and to latex");
        _test.Write("patients/other.txt", "no known allergies at all");
        _test.BackUp(_vault);
        _keys = _vault.Unlock(_test.Seed);
        _vault.Keeper.Refresh();
        var record = _vault.Find("latest");
        _vault.Erase(_keys, record.Object!.Domain, record.Source, ErasureKind.Erased, ErasureOf.Path, "patients/quartermain-9434765919.txt"u8.ToArray(), _vault.Keeper.Clock.Now, "case 17", _vault.Keeper.Clock.Now + TestVault.Day);
        Granted();
        var reached = new Reached(this);
        var (result, _) = Restore(reached, _test["back"]);
        Assert.Equal(1, result.Register.LeftOut);
        Assert.Empty(result.Register.LeftOutPaths);
        Assert.Equal(["other.txt"], Directory.GetFiles(_test["back/patients"]).Select(Path.GetFileName));
        var raw = Encoding.Latin1.GetString(reached.Raw);
        Assert.DoesNotContain("quartermain", raw, StringComparison.Ordinal);
        Assert.DoesNotContain("penicillin", raw, StringComparison.Ordinal);
        Assert.Contains("no known allergies", raw, StringComparison.Ordinal); // the other is there, in the clear within TLS
        Assert.DoesNotContain(Encoding.Latin1.GetString(_test.Seed.Span), raw, StringComparison.Ordinal);
        Assert.DoesNotContain(Encoding.Latin1.GetString(_test.Keys.Put.Domain.Cutter.Span), raw, StringComparison.Ordinal);
    }

    [Fact]
    public void A_part_is_all_that_comes_of_a_part()
    {
        BackUpSome();
        Granted(() => new PathFilter(p => p.SequenceEqual("a/b"u8)));
        var reached = new Reached(this);
        var (result, _) = Restore(reached, _test["back"]);
        Assert.Equal((1L, 1L), (result.Matched, result.Files));
        Assert.DoesNotContain("many", Encoding.Latin1.GetString(reached.Raw), StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(Path.Combine(_test.Source, "a/b/medium.bin")), File.ReadAllBytes(_test["back/a/b/medium.bin"]));
    }

    sealed class Bent(IGrantedRestore restore, Func<RestoreResult, RestoreResult> bend) : IGrantedRestore
    {
        public bool IsBelieved() => restore.IsBelieved();

        public RestoreResult Run(ITreeWriter target, CancellationToken ct) => bend(restore.Run(target, ct));
    }

    /// <summary>A keeper or a disk that is away for minutes uses up no grant: what could not be read in the clean room comes with the next run. What the host itself could not write does use it up.</summary>
    [Fact]
    public void What_the_clean_room_could_not_read_leaves_the_grant_open()
    {
        BackUpSome();
        var runs = 0;
        Granted(bent: restore => new Bent(restore, result => ++runs == 1 ? result with { Lost = 3, Away = 1, Unmatched = 2 } : result));
        var (first, _) = Restore(new Reached(this), _test["back"]);
        Assert.Equal((false, 3L, 1, 2), (first.IsWhole, first.Lost, first.Away, first.Unmatched));
        Assert.Empty(_ends);
        Assert.Contains(_warnings, w => w.Contains("3 entries could not be read HERE", StringComparison.Ordinal));
        Assert.True(Restore(new Reached(this), _test["back"], GrantMode.Resume).Result.IsWhole);
        Assert.Equal([GrantEnd.Whole], _ends);

        Granted();
        var reached = new Reached(this);
        var run = Begin(reached);
        using (var writer = FileTarget.Create(_test["other"], new FileTargetOptions()))
            run.Restore(writer, new RestoreProgress(), 2);
        run.Report(GrantOutcome.NotWhole, 40, 1, 4);
        Assert.Equal([GrantEnd.Whole, GrantEnd.NotWhole], _ends);
    }

    /// <summary>Of several patterns one that was mistyped is told at both ends.</summary>
    [Fact]
    public void A_pattern_that_nothing_matches_is_counted_at_both_ends()
    {
        BackUpSome();
        Granted(() => new PathFilter(p => p.SequenceEqual("a/b"u8)), restore => new Bent(restore, result => result with { Unmatched = 1 }));
        Assert.Equal(1, Restore(new Reached(this), _test["back"]).Result.Unmatched);
    }

    /// <summary>Its own timer ends it, where nobody asks.</summary>
    [Fact]
    public void Its_time_ends_it_though_nobody_asks()
    {
        BackUpSome();
        Granted();
        Assert.Empty(_ends);
        _time.Pass(TimeSpan.FromHours(8));
        _time.Fire();
        Assert.Equal([GrantEnd.TimeOver], _ends);
        Assert.True(_desk.Over.IsCancellationRequested);
    }

    [Fact]
    public void A_part_that_nothing_matches_is_told_and_no_fault()
    {
        BackUpSome();
        Granted(() => new PathFilter(p => p.SequenceEqual("not there"u8)));
        var (result, _) = Restore(new Reached(this), _test["back"]);
        Assert.Equal((0L, 0L), (result.Matched, result.Files));
        Assert.Empty(Directory.GetFileSystemEntries(_test["back"]));
    }

    /// <summary>A stream comes back into a folder that is made up, and stays as it is where it is there.</summary>
    [Fact]
    public void A_stream_comes_back()
    {
        using (var source = new StreamSource(new MemoryStream(TestVault.Noise(1, 9_000_000)), "dump"u8.ToArray(), TimeProvider.System))
            _vault.BackUp(source, new BackupRequest("dump"u8.ToArray(), "host"u8.ToArray(), [], _test.State) { Options = new ArchiveOptions { Threads = 2 } }, _test.Keys.Put, _test.Keys.Agent, new BackupProgress(), TestContext.Current.CancellationToken);
        Granted();
        Assert.True(Restore(new Reached(this), _test["back"]).Result.IsWhole);
        Assert.Equal(TestVault.Noise(1, 9_000_000), File.ReadAllBytes(_test["back/dump"]));
    }

    /// <summary>A file with more chunks than its row has room for: their list comes behind it, and the host compares. Where the list cannot be read, or the file is another, it is sent.</summary>
    [Theory]
    [InlineData("equal", true)]
    [InlineData("another in its last byte", false)]
    [InlineData("unread", false)]
    public void A_file_of_very_many_chunks_is_compared_too(string what, bool isKept)
    {
        var bytes = TestVault.Noise(3, 70_000); // in chunks of one byte
        var chunks = bytes.Select(b => new ChunkRef(ChunkRef.DigestOf([b], DigestKind.Whole), 1)).ToList();
        IEnumerable<ChunkRef> List() => what == "unread" ? chunks.Take(69_000).Concat(Enumerable.Repeat(0, 1).Select<int, ChunkRef>(_ => throw new HoldfastException(ErrorCode.ChunkMissing, "Lost.", "Test."))) : chunks;
        var rows = new EntryBatch { ListReader = (_, _) => List() };
        rows.Kind[rows.Add(""u8)] = EntryKind.Directory;
        var file = rows.Add("f"u8);
        (rows.Kind[file], rows.Size[file], rows.Mode[file], rows.ChunkLists[file], rows.ListedChunks[file]) = (EntryKind.File, bytes.Length, 0x1ED, [new ChunkRef(Digest("a list in the vault"), 9)], chunks.Count);
        rows.Kind[rows.Add("g"u8)] = EntryKind.Fifo;
        rows.Mode[0] = 0x1ED;
        Directory.CreateDirectory(_test["back"]);
        var there = (byte[])bytes.Clone();
        there[^1] ^= what.StartsWith("another", StringComparison.Ordinal) ? (byte)1 : (byte)0;
        File.WriteAllBytes(_test["back/f"], there);

        var queue = new PieceQueue();
        var stream = new GrantStream(queue);
        using var writer = new GrantWriter(stream, new GrantRequest.Begin(GrantMode.Resume, false));
        var sending = new Thread(() =>
        {
            writer.Add(rows, 0);
            var handle = writer.Add(rows, 1);
            writer.Add(rows, 2);
            using (var content = writer.Open(handle)!)
            {
                content.Write(bytes, 0);
                content.Complete();
            }
            writer.Finish();
            stream.Put(GrantRecordKind.Result, bytes: new byte[GrantBytes.ResultCounts]);
            stream.Flush();
            queue.Complete();
        });
        sending.Start();
        var raw = new List<byte>();
        IEnumerable<GrantReply> Pieces()
        {
            for (var i = 0L; queue.Take(i, i, TimeSpan.FromSeconds(20), out _) is { } piece; i++)
            {
                raw.AddRange(piece.Bytes.Span);
                yield return Reply(piece.Bytes);
            }
        }

        RestoreResult result;
        using (var target = FileTarget.Create(_test["back"], new FileTargetOptions { Existing = ExistingFiles.KeepEqual }))
        using (var player = new GrantPlayer(target, 3, new RestoreProgress(), 2, u => Assert.True(writer.Answer(u)), default))
            result = player.Play(Pieces());
        sending.Join();
        Assert.Equal((isKept ? 1 : 0, isKept ? 0 : 1), (result.Written.Kept, result.Files));
        Assert.Equal(bytes, File.ReadAllBytes(_test["back/f"]));
        Assert.Equal(!isKept, raw.ToArray().AsSpan().IndexOf(bytes) >= 0);
        Assert.True(raw.ToArray().AsSpan().IndexOf(Digest("a list in the vault").ToArray()) < 0); // where it lies stays where it lies
        Assert.True(File.Exists(_test["back/g"]));
    }

    /// <summary>However slow the agent's host, the clean room has a few pieces in memory and no more.</summary>
    [Fact]
    public void A_host_that_asks_for_nothing_holds_a_few_pieces()
    {
        for (var i = 0; i < 16; i++)
            _test.Write($"big/{i:d2}", TestVault.Noise(i, 6_000_000));
        _test.BackUp(_vault);
        Granted();
        var reached = new Reached(this);
        var run = Begin(reached);
        using (reached.Ask(new GrantRequest.Fetch(run.Stand.Run, 0, 0)))
        {
        }
        var last = -1L;
        while (_desk.Done.Bytes != last)
        {
            last = _desk.Done.Bytes;
            Thread.Sleep(300);
        }
        Assert.InRange(last, 1, 9 * (4L << 20));
        using (reached.Ask(new GrantRequest.Fetch(run.Stand.Run, 0, 0))) // it may be asked for again until the next was
        {
        }
    }

    /// <summary>A clean room that means no good: nothing is written outside the target, and nothing that no tree has.</summary>
    [Theory]
    [InlineData("outside")]
    [InlineData("absolute")]
    [InlineData("below a symlink")]
    [InlineData("no root")]
    [InlineData("handle that was never given")]
    [InlineData("whole twice")]
    [InlineData("whole of another length")]
    [InlineData("part beyond the end")]
    [InlineData("part of a size that no number has")]
    [InlineData("part before it is opened")]
    [InlineData("done before it came")]
    [InlineData("more parts than bytes")]
    [InlineData("more rows than it said")]
    [InlineData("endless names")]
    [InlineData("rows after the end")]
    [InlineData("result before the end")]
    [InlineData("no end")]
    [InlineData("mark that nobody asked for")]
    [InlineData("mark without rows")]
    [InlineData("marks alone")]
    [InlineData("noise")]
    public void A_hostile_clean_room_writes_nothing_outside(string what)
    {
        var target = _test["hostile/target"];
        Directory.CreateDirectory(_test["hostile"]);
        File.WriteAllText(_test["hostile/x"], "mine");
        var records = new List<(GrantRecordKind Kind, int Handle, long Offset, byte[] Bytes)>();
        void Rows(params (string Path, EntryKind Kind, long Size, string? Link)[] rows) => records.Add((GrantRecordKind.Rows, -1, 0, RowBytes(rows)));
        void Put(GrantRecordKind kind, int handle = -1, byte[]? bytes = null, long offset = 0) => records.Add((kind, handle, offset, bytes ?? []));
        var root = ("", EntryKind.Directory, 0L, (string?)null);
        switch (what)
        {
            case "outside":
                Rows(root, ("../x", EntryKind.File, 3, null));
                Put(GrantRecordKind.Whole, 0, [1, 2, 3]);
                break;
            case "absolute":
                Rows(root, ("/tmp/x", EntryKind.File, 3, null));
                Put(GrantRecordKind.Whole, 0, [1, 2, 3]);
                break;
            case "below a symlink":
                Rows(root, ("a", EntryKind.Symlink, 0, ".."));
                Rows(("a/x", EntryKind.File, 3, null));
                Put(GrantRecordKind.Whole, 0, [1, 2, 3]);
                break;
            case "no root":
                Rows(("x", EntryKind.File, 3, null));
                break;
            case "handle that was never given":
                Rows(root);
                Put(GrantRecordKind.Whole, 0, [1]);
                break;
            case "whole twice":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Whole, 0, [1, 2, 3]);
                Put(GrantRecordKind.Whole, 0, [1, 2, 3]);
                break;
            case "whole of another length":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Whole, 0, [1, 2, 3, 4]);
                break;
            case "part beyond the end":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Open, 0);
                Put(GrantRecordKind.Part, 0, [1, 2], 2);
                break;
            case "part of a size that no number has":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Open, 0);
                Put(GrantRecordKind.Part, 0, [1, 2], long.MaxValue);
                break;
            case "part before it is opened":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Part, 0, [1]);
                break;
            case "done before it came":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Open, 0);
                Put(GrantRecordKind.Done, 0);
                break;
            case "more parts than bytes":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Open, 0);
                Put(GrantRecordKind.Part, 0, [1, 2]);
                Put(GrantRecordKind.Part, 0, [1, 2]);
                break;
            case "more rows than it said":
                Rows([root, .. Enumerable.Range(0, 20).Select(i => ($"f{i:d2}", EntryKind.File, 3L, (string?)null))]);
                break;
            case "endless names":
                for (var i = 0; i < 40; i++)
                    Put(GrantRecordKind.Owners, bytes: GrantBytes.OfOwners(false, Enumerable.Range(i * 100, 100).Select(n => new KeyValuePair<uint, byte[]>((uint)n, new byte[40_000]))));
                break;
            case "rows after the end":
                Rows(root);
                Put(GrantRecordKind.Finish);
                Rows(("f", EntryKind.File, 3, null));
                break;
            case "result before the end":
                Rows(root);
                Put(GrantRecordKind.Result, bytes: new byte[GrantBytes.ResultCounts]);
                break;
            case "mark that nobody asked for":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Mark);
                break;
            case "mark without rows":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Mark);
                Put(GrantRecordKind.Mark);
                break;
            case "marks alone":
                Put(GrantRecordKind.Mark);
                break;
            case "no end":
                Rows(root, ("f", EntryKind.File, 3, null));
                Put(GrantRecordKind.Open, 0);
                Put(GrantRecordKind.Part, 0, [1, 2]);
                break;
            default:
                Put(GrantRecordKind.Rows, bytes: TestVault.Noise(1, 5_000));
                break;
        }
        static void Answered(GrantRequest.Unwanted unwanted) => Assert.Equal(1, unwanted.Mark);
        using (var writer = FileTarget.Create(target, new FileTargetOptions()))
        using (var player = new GrantPlayer(writer, 10, new RestoreProgress(), 2, what == "mark without rows" ? Answered : null, default))
            Assert.Equal(what == "no end" ? ErrorCode.SessionLost : ErrorCode.TargetUnsafe, Refused(() => player.Play(Pieces(records))));
        Assert.Equal("mine", File.ReadAllText(_test["hostile/x"]));
        Assert.Equal(["target", "x"], Directory.GetFileSystemEntries(_test["hostile"]).Select(Path.GetFileName).Order());
        Assert.False(File.Exists("/tmp/x") && new FileInfo("/tmp/x").Length == 3);
        Assert.DoesNotContain(Directory.EnumerateFiles(target), f => Path.GetFileName(f) == "f" && what != "whole twice"); // nothing half-written under a name
    }

    static IEnumerable<GrantReply> Pieces(List<(GrantRecordKind Kind, int Handle, long Offset, byte[] Bytes)> records)
    {
        foreach (var (kind, handle, offset, bytes) in records)
        {
            var head = new byte[GrantRecord.MostHead];
            var length = GrantRecord.WriteHead(head, kind, handle, offset, bytes.Length);
            yield return Reply((byte[])[0, .. head.AsSpan(0, length), .. bytes]);
        }
    }

    static byte[] RowBytes((string Path, EntryKind Kind, long Size, string? Link)[] rows)
    {
        var batch = new EntryBatch();
        foreach (var (path, kind, size, link) in rows)
        {
            var row = batch.Add(Encoding.UTF8.GetBytes(path));
            (batch.Kind[row], batch.Size[row], batch.Mode[row], batch.LinkTarget[row]) = (kind, size, 0x1ED, link is null ? null : Encoding.UTF8.GetBytes(link));
            if (size > 0)
                batch.Digest[row] = Digest(path);
        }
        var writer = new ByteWriter();
        writer.Var((ulong)batch.Count);
        foreach (var (_, kind, _, _) in rows)
            writer.U8(kind == EntryKind.File ? (byte)4 : (byte)0);
        TreeNode.Write(batch, writer);
        return writer.ToArray();
    }

    /// <summary>A bit that flips on the way, or was turned: the piece is refused, or what it says is; nothing of it stands under a name that was not compared by its length.</summary>
    [Fact]
    public void Cut_pieces_are_refused()
    {
        BackUpSome();
        Granted();
        var reached = new Reached(this) { Bend = b => b.Length > 2 ? b[..^1] : b };
        Assert.Equal(ErrorCode.TargetUnsafe, Refused(() => Restore(reached, _test["back"])));
    }

    [Fact]
    public void The_log_tells_of_a_grant_and_of_its_end()
    {
        BackUpSome();
        var snapshot = _vault.Find("latest").Snapshot;
        var secrets = new[] { Id16.New(), Id16.New() };
        foreach (var secret in secrets) // two of one snapshot, to one agent
        {
            var (b, c) = GrantedRestore.Numbers(GrantedRestore.MarkOf(secret));
            _vault.Keeper.Record(LeafType.Granted, snapshot, _agent.Agent, _vault.Keeper.Clock.Now + 60, b, c);
        }
        _vault.Keeper.Refresh();
        Assert.Equal([true, true], _vault.State.Grants.Select(g => g.IsOpen));
        _vault.Keeper.Record(LeafType.GrantEnded, secrets[0], Id16.New(), 1, 0, 0); // of another agent
        foreach (var wrong in new[] { snapshot, GrantedRestore.MarkOf(secrets[0]), Id16.New() })
            _vault.Keeper.Record(LeafType.GrantEnded, wrong, _agent.Agent, 1, 0, 0); // by who has not made it, whatever wrote it
        _vault.Keeper.Record(LeafType.GrantEnded, secrets[0], _agent.Agent, (ulong)GrantEnd.Whole + (3 << 8), 7, 3);
        using var again = _test.Open();
        Assert.Equal([false, true], again.State.Grants.Select(g => g.IsOpen));
        var granted = again.State.Grants[0];
        Assert.Equal((1UL, 3UL, 7UL, 3UL), (granted.End, granted.Takeovers, granted.Bytes, granted.Files));
    }
}
