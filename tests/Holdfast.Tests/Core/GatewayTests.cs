using System.Security.Cryptography;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Gateway;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Log;
using Holdfast.Core.Packs;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>A gateway and its agents, without a network in between: what agents may ask, and what they are told.</summary>
public sealed class GatewayTests : IDisposable
{
    const ulong Day = RetentionPolicy.Day;

    readonly TestVault _test = new();
    readonly Hash32 _self = Digest("gateway");
    Vault _vault;
    GatewayDesk _desk;

    public GatewayTests()
    {
        _vault = _test.Open();
        _desk = new GatewayDesk(_vault, _test.Keys.Put, _self, new GatewayLimits());
    }

    public void Dispose()
    {
        _desk.Dispose();
        _vault.Dispose();
        _test.Dispose();
    }

    /// <summary>Another gateway, or the same after a restart: it knows nothing but what the vault has.</summary>
    void Restart(GatewayLimits? limits = null)
    {
        _desk.Dispose();
        _vault.Dispose();
        _vault = _test.Open();
        _desk = new GatewayDesk(_vault, _test.Keys.Put, _self, limits ?? new GatewayLimits());
    }

    static Hash32 Digest(string text) => new(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    /// <summary>The desk asked directly, every request encoded and read again.</summary>
    sealed class Reached(GatewayTests test) : IGateway
    {
        public Hash32 Client { get; set; } = Digest(Guid.NewGuid().ToString());
        public List<AgentRequest> Asked { get; } = [];
        public Func<AgentRequest, byte[], byte[]> Bend { get; set; } = (_, answer) => answer;
        public Func<AgentRequest, byte[]?> Hold { get; set; } = _ => null;
        public string Place => "https://gateway.example:8445/";
        public (Hash32 Client, Hash32 Gateway) Ends => (Client, test._self);
        public long Sent => Asked.OfType<AgentRequest.Send>().Sum(s => (long)s.SentLength);

        public byte[] Ask(AgentRequest request)
        {
            var bytes = request.ToArray();
            Assert.True(AgentRequest.TryParse(bytes, out var read));
            Assert.InRange(bytes.Length, 0, AgentRequest.Most(bytes.AsSpan(0, AgentRequest.HeadSize), isAgent: true));
            lock (Asked)
                Asked.Add(request);
            return Hold(read) ?? Bend(request, test._desk.Answer(Client, read));
        }
    }

    /// <summary>An agent of its own machine: its key, its folder, what it remembers.</summary>
    sealed class Agent : IDisposable
    {
        readonly GatewayTests _test;
        readonly string _name;

        public Agent(GatewayTests test, string name)
        {
            (_test, _name) = (test, name);
            Key = AgentKey.Create(test._vault.Id);
            Gateway = new Reached(test);
            Directory.CreateDirectory(Source);
            Link = new AgentLink(Gateway, Key, test._vault.Keeper.Log.Key);
        }

        public AgentKey Key { get; }
        public Reached Gateway { get; }
        public AgentLink Link { get; }
        public string Source => _test._test[$"{_name}-source"];
        public string State => _test._test[$"{_name}-state"];
        public Checkpoint? Seen { get; set; }

        public Agent Enrol()
        {
            var token = EnrolmentTokens.Make(_test._test.Folder, _name, _test._vault.Keeper.Clock.Now, _test._vault.Keeper.Clock.Now + Day, Disk.Real);
            Gateway.Ask(new AgentRequest.Enrol(token, Key.Agent, Key.Signer.PublicKey.ToArray()));
            return this;
        }

        public void Write(string name, byte[] bytes)
        {
            var path = Path.Combine(Source, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, bytes);
        }

        public AgentResult BackUp(string? source = null, bool useState = true, string? state = null, int threads = 3, string? run = null)
        {
            Gateway.Asked.Clear();
            using var files = FileSource.Open(Source, new FileSourceOptions());
            return AgentRun.BackUp(Link, Seen, files, new BackupRequest(Encoding.UTF8.GetBytes(source ?? _name), "host"u8.ToArray(), "root"u8.ToArray(), state ?? State) { Options = new ArchiveOptions { Threads = threads, UseState = useState }, Run = run },
                Key, new BackupProgress(), c => Seen = c, TestContext.Current.CancellationToken);
        }

        public AgentSession Begin(string? source = null) => AgentSession.Parse(Link.Ask(new AgentRequest.Begin(Encoding.UTF8.GetBytes(source ?? _name), 0)))!;

        public void Dispose() => Key.Dispose();
    }

    Agent Enrolled(string name = "ward7") => new Agent(this, name).Enrol();

    static ErrorCode Refused(Action ask) => Assert.Throws<HoldfastException>(ask).Code;

    static ChunkName Named(byte[] content) => new(KeyClass.Content, DigestKind.Whole, new Hash32(SHA256.HashData(content)));

    static AgentRequest.Send Sending(Id16 session, KeyClass keyClass, params byte[][] chunks) => new(session, keyClass, [Raw(chunks)]);

    static UnsealedFrame Raw(params byte[][] chunks) => new(PackFormat.CodecStored, DigestKind.Whole, [.. chunks.Select(c => c.Length)], chunks.SelectMany(c => c).ToArray());

    static void Fill(Agent agent, int seed)
    {
        agent.Write("empty", []);
        agent.Write("large.bin", TestVault.Noise(seed, 9_000_000));
        agent.Write("medium.bin", TestVault.Noise(seed + 1, 700_000));
        for (var i = 0; i < 400; i++)
            agent.Write($"many/{i:d3}", Encoding.UTF8.GetBytes($"file {i} of {seed}, {new string('x', i * 37)}"));
        File.CreateSymbolicLink(Path.Combine(agent.Source, "link"), "empty");
    }

    void AssertRestores(Agent agent, AgentResult result)
    {
        var back = _test.Restore(result.Snapshot.ToString());
        TestVault.AssertSame(agent.Source, back);
        using var keys = _vault.Unlock(_test.Seed);
        _vault.Keeper.Refresh();
        Assert.True(_vault.Attest(_vault.Find(result.Snapshot.ToString()), keys, full: true, Id16.None, default).IsGood);
    }

    [Fact]
    public void What_an_agent_sends_comes_back_and_nothing_is_sent_twice()
    {
        using var agent = Enrolled();
        Fill(agent, 1);
        var first = agent.BackUp();
        Assert.True(first.Proof.IsValid(_vault.Keeper.Log.Key));
        Assert.InRange(agent.Gateway.Sent, 9_700_000, 13_000_000);
        AssertRestores(agent, first);

        // Without its memory everything is read, and nothing sent.
        var again = agent.BackUp(state: _test["elsewhere"]);
        Assert.Equal((0L, false), (agent.Gateway.Sent, again.IsCompared));
        AssertRestores(agent, again);
        // With it nothing is read that has not changed.
        var unchanged = agent.BackUp(state: _test["elsewhere"]);
        Assert.Equal((0L, true), (agent.Gateway.Sent, unchanged.IsCompared));
        AssertRestores(agent, unchanged);

        agent.Write("many/007", "changed"u8.ToArray());
        File.Delete(Path.Combine(agent.Source, "medium.bin"));
        var changed = agent.BackUp(state: _test["elsewhere"]);
        Assert.InRange(agent.Gateway.Sent, 1, 200_000);
        AssertRestores(agent, changed);
        Assert.True(_test.Verify(full: true).IsSound);
    }

    [Fact]
    public void A_gateway_that_knows_nothing_but_the_vault_goes_on_from_it()
    {
        using var agent = Enrolled();
        Fill(agent, 1);
        agent.BackUp();
        Restart();
        agent.Write("more", "more"u8.ToArray());
        var next = agent.BackUp();
        Assert.True(next.IsCompared);
        Assert.InRange(agent.Gateway.Sent, 1, 100_000);
        AssertRestores(agent, next);
    }

    [Fact]
    public void Packs_that_were_stored_before_a_restart_are_not_sent_again()
    {
        using var agent = Enrolled();
        Fill(agent, 1);
        agent.Write("huge.bin", TestVault.Noise(9, 90_000_000)); // more than a pack
        var left = true;
        agent.Gateway.Bend = (request, answer) =>
        {
            if (left && agent.Gateway.Sent > 80_000_000)
            {
                left = false;
                Restart();
            }
            return answer;
        };
        Assert.Equal(ErrorCode.SessionLost, Refused(() => agent.BackUp(threads: 1)));
        var result = agent.BackUp();
        Assert.InRange(agent.Gateway.Sent, 1, 30_000_000); // of the 100 MB
        AssertRestores(agent, result);
    }

    [Fact]
    public void A_backup_that_its_gateway_lost_begins_anew()
    {
        using var agent = Enrolled();
        Fill(agent, 1);
        agent.Write("huge.bin", TestVault.Noise(9, 90_000_000)); // more than a pack
        var restarts = 0;
        agent.Gateway.Bend = (request, answer) =>
        {
            if (restarts == 0 && agent.Gateway.Sent > 80_000_000)
            {
                restarts++;
                Restart();
            }
            return answer;
        };
        var told = new List<ErrorCode>();
        AgentResult Again(int times) => AgentRun.Again(() => agent.BackUp(threads: 1), [.. Enumerable.Repeat(TimeSpan.Zero, times)], e => told.Add(e.Code), TestContext.Current.CancellationToken);
        var result = Again(2);
        Assert.Equal([ErrorCode.SessionLost], told);
        Assert.InRange(agent.Gateway.Sent, 1, 30_000_000); // of the 100 MB
        AssertRestores(agent, result);

        // Not for ever, and not after anything else.
        agent.Gateway.Bend = (request, answer) =>
        {
            if (request is AgentRequest.Begin)
                Restart();
            return answer;
        };
        told.Clear();
        Assert.Equal(ErrorCode.SessionLost, Refused(() => Again(2)));
        Assert.Equal(2, told.Count);
        agent.Gateway.Bend = (_, _) => throw new HoldfastException(ErrorCode.NoPermission, "", "");
        Assert.Equal(ErrorCode.NoPermission, Refused(() => Again(2)));
        Assert.Equal(2, told.Count);
    }

    /// <summary>What another's source holds cannot be told from what nobody has, and cannot be named.</summary>
    [Fact]
    public void An_agent_reaches_nothing_of_others()
    {
        using var victim = Enrolled("records");
        var secret = TestVault.Noise(5, 300_000);
        victim.Write("secret.bin", secret);
        victim.BackUp();
        var packs = _vault.Keeper.Store.List(StoreKind.Pack).Count();

        using var thief = Enrolled("thief");
        var session = thief.Begin();
        Assert.Equal([0], thief.Link.Ask(new AgentRequest.Ask(session.Session, [Named(secret), Named(TestVault.Noise(6, 10))])));
        Assert.Equal(ErrorCode.ChunkMissing, Refused(() => thief.Link.Ask(new AgentRequest.Use(session.Session, [Named(secret)]))));
        var size = _vault.Keeper.Log.Size;
        foreach (var node in new[] { Node(secret), Higher(Named(secret).Digest), List(Named(secret).Digest) })
            Assert.Equal(ErrorCode.CommitRefused, Refused(() => thief.Link.Ask(Sending(session.Session, KeyClass.Tree, node))));
        Assert.Equal(size, _vault.Keeper.Log.Size);

        // Who has the bytes themselves may send them, and is told no more than anybody: that they were taken.
        thief.Write("mine.bin", secret);
        thief.Write("other.txt", "other"u8.ToArray());
        var result = thief.BackUp();
        Assert.InRange(thief.Gateway.Sent, secret.Length, secret.Length + 10_000);
        Assert.InRange(_vault.Keeper.Store.List(StoreKind.Pack).Count(), packs + 1, packs + 2); // a tree, and the other file: not the same bytes again
        AssertRestores(thief, result);
        // From then on they are its own to name: any gateway knows.
        Restart();
        Assert.Equal(0, thief.BackUp(state: _test["none"]) is null ? 1 : thief.Gateway.Sent);
    }

    /// <summary>A node with one file, of one chunk.</summary>
    static byte[] Node(byte[] content, DigestKind? listed = null)
    {
        var rows = new EntryBatch();
        var folder = rows.Add([]);
        rows.Kind[folder] = EntryKind.Directory;
        var row = rows.Add("f"u8);
        (rows.Kind[row], rows.Size[row], rows.Digest[row], rows.LinkCount[row]) = (EntryKind.File, content.Length, Named(content).Digest, 1);
        if (listed is { } kind)
        {
            (rows.Digest[row], rows.ListedKind[row]) = (Hash32.None, kind);
            rows.Size[row] = 5_000;
            rows.Chunks[row] = [.. Enumerable.Range(0, 5_000).Select(i => new ChunkRef(Digest($"{i}"), 1, kind))];
            rows.ChunkLists[row] = [new ChunkRef(Named(content).Digest, content.Length)];
        }
        var writer = new ByteWriter();
        TreeNode.Write(rows, writer);
        return writer.ToArray();
    }

    static byte[] Higher(Hash32 child)
    {
        var writer = new ByteWriter();
        HigherNode.Write(1, [new NodeChild(new ChunkRef(child, 100), 1, []), new NodeChild(new ChunkRef(child, 100), 1, "f"u8.ToArray())], writer);
        return writer.ToArray();
    }

    static byte[] List(Hash32 chunk, int first = 100_000)
    {
        var writer = new ByteWriter();
        foreach (var length in new[] { first, 100_000 })
        {
            writer.Var((ulong)length);
            writer.Hash(chunk);
        }
        return writer.ToArray();
    }

    /// <summary>Nothing that was looked at as a node can be taken for a list, nor the other way round; a list's chunks are looked at by the kind that its row will have.</summary>
    [Fact]
    public void Parts_of_a_tree_are_one_thing_only()
    {
        var (rows, found) = (new EntryBatch(), new List<(KeyClass Class, ChunkRef Chunk)>());
        Assert.True(TreeChunk.TryRead(Node("x"u8.ToArray()), rows, found, out var isList) && !isList);
        Assert.Equal((KeyClass.Content, Named("x"u8.ToArray()).Digest), (found[0].Class, found[0].Chunk.Digest));
        found.Clear();
        Assert.True(TreeChunk.TryRead(Higher(Digest("c")), rows, found, out isList) && !isList);
        Assert.Equal([KeyClass.Tree, KeyClass.Tree], found.Select(f => f.Class));
        found.Clear();
        Assert.True(TreeChunk.TryRead(List(Digest("c")), rows, found, out isList) && isList);
        Assert.Equal([DigestKind.Blocks, DigestKind.Blocks], found.Select(f => f.Chunk.Kind));
        for (var first = 1; first < TreeChunk.LeastListed; first++)
            Assert.False(TreeChunk.TryRead(List(Digest("c"), first), rows, found, out isList) && isList);
        Assert.True(TreeChunk.TryRead(Node("x"u8.ToArray(), DigestKind.Blocks), rows, found, out _));
        Assert.False(TreeChunk.TryRead(Node("x"u8.ToArray(), DigestKind.Whole), rows, found, out _));
        Assert.False(TreeChunk.TryRead([], rows, found, out _));
        foreach (var whole in new[] { Node("x"u8.ToArray()), Higher(Digest("c")), List(Digest("c")) })
        {
            for (var length = 1; length < whole.Length; length++)
            {
                var isTaken = TreeChunk.TryRead(whole.AsSpan(0, length), rows, found, out isList);
                Assert.True(!isTaken || (isList && length % 35 == 0)); // half a list is a list
            }
        }
    }

    [Fact]
    public void Names_are_made_of_the_bytes_that_came()
    {
        using var agent = Enrolled();
        var session = agent.Begin();
        agent.Link.Ask(Sending(session.Session, KeyClass.Content, "what was sent"u8.ToArray()));
        Assert.Equal([2], agent.Link.Ask(new AgentRequest.Ask(session.Session, [Named("what was said"u8.ToArray()), Named("what was sent"u8.ToArray())])));
        // The same bytes as a chunk of another class or kind are another chunk.
        Assert.Equal([0], agent.Link.Ask(new AgentRequest.Ask(session.Session, [Named("what was sent"u8.ToArray()) with { Class = KeyClass.Tree }, Named("what was sent"u8.ToArray()) with { Kind = DigestKind.Blocks }])));
    }

    static UnsealedFrame Zstd(byte[] frame, params int[] lengths) => new(PackFormat.CodecZstd, DigestKind.Whole, lengths, frame);

    /// <summary>What comes compressed is unpacked and looked at before anything of it is stored; a backup goes on after what was refused.</summary>
    [Fact]
    public void A_frame_that_is_not_what_it_says_is_not_stored()
    {
        using var agent = Enrolled();
        var session = agent.Begin();
        var sound = "what was sent"u8.ToArray();
        var bomb = ZstdFrameTests.Frame(4 << 20, [.. Enumerable.Range(0, 8_192).Select(i => ZstdFrameTests.Run(128 << 10, i == 8_191))]); // 1 GiB
        foreach (var keyClass in new[] { KeyClass.Content, KeyClass.Tree })
        {
            foreach (var frame in new[] { Zstd(bomb, 4 << 20), Zstd(ZstdFrameTests.Frame(1_000, ZstdFrameTests.Run(999)), 1_000), Zstd(ZstdFrameTests.Frame(1_000, ZstdFrameTests.Run(600, false), ZstdFrameTests.Run(401)), 400, 600), Zstd(ZstdFrameTests.Frame(1_000, [4, 1, 0, .. new byte[32]], ZstdFrameTests.Run(1)), 1_000) })
            {
                UnsealedFrame[] frames = frame.PayloadLength < 4 << 20 ? [Raw(sound), frame] : [frame];
                Assert.Equal(ErrorCode.CommitRefused, Refused(() => agent.Link.Ask(new AgentRequest.Send(session.Session, keyClass, frames))));
            }
        }
        Assert.Equal([0], agent.Link.Ask(new AgentRequest.Ask(session.Session, [Named(sound), Named([.. Enumerable.Repeat((byte)7, 1_000)]), Named([.. Enumerable.Repeat((byte)7, 999)])])));
        agent.Link.Ask(new AgentRequest.Send(session.Session, KeyClass.Content, [Raw(sound), Zstd(ZstdFrameTests.Frame(1_000, ZstdFrameTests.Run(600, false), ZstdFrameTests.Run(400)), 400, 600)]));
        Assert.Equal([7], agent.Link.Ask(new AgentRequest.Ask(session.Session, [Named(sound), Named([.. Enumerable.Repeat((byte)7, 400)]), Named([.. Enumerable.Repeat((byte)7, 600)])])));
    }

    static byte[] Text(int seed, int length) => Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(seed * 1_000_000, length / 20).Select(i => $"line {i,13} ")));

    /// <summary>Text goes over the wire as small as it is stored, and of a frame whose chunks others have in part the rest alone is stored.</summary>
    [Fact]
    public void Frames_come_compressed_and_nothing_is_stored_twice()
    {
        using var one = Enrolled("one");
        for (var i = 0; i < 40; i++)
            one.Write($"shared/{i}", [.. TestVault.Noise(i, 25_000), .. Text(i, 25_000)]);
        one.Write("large", Text(99, 6_000_000));
        var first = one.BackUp();
        Assert.InRange(one.Gateway.Sent, 1_000_000, 3_500_000); // of 8 MB, 1 MB of which is noise
        Assert.InRange(Stored(), 1_000_000, one.Gateway.Sent + 300_000);
        AssertRestores(one, first);

        using var two = Enrolled("two");
        for (var i = 0; i < 40; i += 2)
            two.Write($"shared/{i}", File.ReadAllBytes(Path.Combine(one.Source, $"shared/{i}")));
        for (var i = 0; i < 20; i++)
            two.Write($"own/{i}", TestVault.Noise(100 + i, 10_000));
        two.Write("large", Text(99, 6_000_000));
        var before = Stored();
        var second = two.BackUp();
        Assert.InRange(two.Gateway.Sent, 700_000, 3_500_000);
        Assert.InRange(Stored() - before, 200_000, 450_000); // its own, and a tree
        AssertRestores(two, second);
        Assert.True(_test.Verify(full: true).IsSound);

        long Stored() => _vault.Keeper.Store.List(StoreKind.Pack).Sum(p => p.Size);
    }

    [Fact]
    public void What_is_there_several_times_is_sent_once()
    {
        using var agent = Enrolled();
        for (var i = 0; i < 20; i++)
            agent.Write($"same/{i}", TestVault.Noise(i % 2, 100_000));
        var result = agent.BackUp(threads: 1);
        Assert.InRange(agent.Gateway.Sent, 200_000, 250_000);
        AssertRestores(agent, result);
    }

    [Fact]
    public void A_source_is_one_agents()
    {
        using var one = Enrolled("one");
        using var other = Enrolled("other");
        one.Write("a", "a"u8.ToArray());
        one.BackUp();
        Assert.Equal(ErrorCode.NoPermission, Refused(() => other.BackUp(source: "one")));
        Assert.Equal(ErrorCode.SessionLost, Refused(() => other.Link.Ask(new AgentRequest.Ask(one.Begin().Session, []))));
        // Nor one that is under way for the first time, nor what was stored for one that was cut off.
        var unborn = one.Begin("unborn");
        one.Link.Ask(Sending(unborn.Session, KeyClass.Content, "of one"u8.ToArray()));
        Assert.Equal(ErrorCode.VaultBusy, Refused(() => other.Begin("unborn")));
        Restart();
        Assert.Equal([1], one.Link.Ask(new AgentRequest.Ask(one.Begin("unborn").Session, [Named("of one"u8.ToArray())])));
        Restart();
        Assert.Equal([0], other.Link.Ask(new AgentRequest.Ask(other.Begin("unborn").Session, [Named("of one"u8.ToArray())])));
        Restart();
        _vault.Keeper.RevokeAgent(one.Key.Agent);
        other.Write("b", "b"u8.ToArray());
        AssertRestores(other, other.BackUp(source: "one"));
        Assert.Equal(ErrorCode.NoPermission, Refused(() => one.BackUp()));
        Assert.Equal(ErrorCode.Usage, Refused(() => _vault.Keeper.RevokeAgent(one.Key.Agent)));
    }

    /// <summary>An agent that is revoked while it backs up commits nothing.</summary>
    [Fact]
    public void A_revoked_agent_ends_where_it_is()
    {
        using var agent = Enrolled();
        agent.Write("a", "a"u8.ToArray());
        agent.Gateway.Bend = (request, answer) =>
        {
            if (request is AgentRequest.Send { Class: KeyClass.Tree })
                _vault.Keeper.RevokeAgent(agent.Key.Agent);
            return answer;
        };
        Assert.Equal(ErrorCode.NoPermission, Refused(() => agent.BackUp()));
        Assert.Empty(_vault.State.Snapshots);
    }

    [Fact]
    public void Whoever_has_not_proved_to_be_an_agent_is_told_nothing()
    {
        using var agent = Enrolled();
        var session = agent.Begin();
        var stranger = Digest("stranger");
        foreach (var request in new AgentRequest[] { new AgentRequest.Begin("x"u8.ToArray(), 0), new AgentRequest.Ask(session.Session, []), new AgentRequest.Use(session.Session, []), Sending(session.Session, KeyClass.Content, [1]), new AgentRequest.Finish(session.Session, 0, new SnapshotStatement(Id16.New(), 0, 0, 0, 0, [], [], [], [])) })
        {
            Assert.Equal(ErrorCode.AgentUnproved, Refused(() => _desk.Answer(stranger, request)));
            Assert.Equal(0, AgentRequest.Most(request.ToArray().AsSpan(0, 2), isAgent: false));
        }
        // A proof is of one agent, one nonce of this gateway, one certificate and one vault.
        var hello = AgentHello.Parse(_desk.Answer(stranger, new AgentRequest.Hello()))!;
        byte[] Sign(AgentKey key, Id16 vault, byte[] nonce, Hash32 client, Hash32 gateway) => key.Signer.Sign(AgentProof.SignedBytes(vault, key.Agent, nonce, client, gateway));
        ErrorCode Proved(byte[] nonce, byte[] signature, Id16? who = null) => Refused(() => _desk.Answer(stranger, new AgentRequest.Prove(who ?? agent.Key.Agent, nonce, signature)));
        using var unknown = AgentKey.Create(_vault.Id);
        var made = hello.Nonce.ToArray();
        made[^1] ^= 1;
        Assert.Equal(ErrorCode.NoPermission, Proved(made, Sign(agent.Key, _vault.Id, made, stranger, _self)));
        Assert.Equal(ErrorCode.NoPermission, Proved(hello.Nonce, Sign(agent.Key, Id16.New(), hello.Nonce, stranger, _self)));
        Assert.Equal(ErrorCode.NoPermission, Proved(hello.Nonce, Sign(agent.Key, _vault.Id, hello.Nonce, agent.Gateway.Client, _self)));
        Assert.Equal(ErrorCode.NoPermission, Proved(hello.Nonce, Sign(agent.Key, _vault.Id, hello.Nonce, stranger, Digest("another gateway"))));
        Assert.Equal(ErrorCode.NoPermission, Proved(hello.Nonce, Sign(unknown, _vault.Id, hello.Nonce, stranger, _self), unknown.Agent));
        Assert.Equal(ErrorCode.NoPermission, Proved(hello.Nonce, Sign(unknown, _vault.Id, hello.Nonce, stranger, _self)));
        _desk.Answer(stranger, new AgentRequest.Prove(agent.Key.Agent, hello.Nonce, Sign(agent.Key, _vault.Id, hello.Nonce, stranger, _self)));
        Assert.True(_desk.AgentOf(stranger) is not null);
        Restart();
        Assert.False(_desk.AgentOf(stranger) is not null);
        Assert.Equal(ErrorCode.NoPermission, Proved(hello.Nonce, Sign(agent.Key, _vault.Id, hello.Nonce, stranger, _self))); // of the gateway before
    }

    [Fact]
    public void A_token_enrols_one_agent_once_and_in_time()
    {
        var keeper = _vault.Keeper;
        byte[] Token(ulong life = Day) => EnrolmentTokens.Make(_test.Folder, "n", keeper.Clock.Now, keeper.Clock.Now + life, Disk.Real);
        void Enrol(byte[] token, AgentKey key) => _desk.Answer(Digest("c"), new AgentRequest.Enrol(token, key.Agent, key.Signer.PublicKey.ToArray()));
        using var one = AgentKey.Create(_vault.Id);
        using var two = AgentKey.Create(_vault.Id);
        var token = Token();
        Assert.DoesNotContain(Convert.ToHexStringLower(token), File.ReadAllText(Path.Combine(_test.Folder, "keeper/tokens")), StringComparison.Ordinal);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => Enrol(new byte[EnrolmentTokens.Size], one)));
        Enrol(token, one);
        Assert.NotNull(keeper.State.Agent(one.Agent));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => Enrol(token, two)));
        var second = Token();
        var size = keeper.Log.Size;
        Enrol(second, one); // asked twice, whatever the token: it is enrolled
        Assert.Equal(size, keeper.Log.Size);
        // And nobody takes another's place.
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => _desk.Answer(Digest("c"), new AgentRequest.Enrol(second, one.Agent, two.Signer.PublicKey.ToArray()))));
        Enrol(second, two); // what was refused used it not up
        var late = Token(3_600);
        _test.Machine.Pass(3_601);
        using var three = AgentKey.Create(_vault.Id);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => Enrol(late, three)));
        Assert.Null(keeper.State.Agent(three.Agent));
        File.WriteAllText(Path.Combine(_test.Folder, "keeper/tokens"), "nonsense\n");
        Assert.Equal(ErrorCode.KeyFileBad, Refused(() => Enrol(late, three)));
    }

    /// <summary>A client of the keeper with the role of a gateway enrols by a token, and no other way.</summary>
    [Fact]
    public void A_gateway_carries_tokens_and_enrols_nobody_itself()
    {
        _desk.Dispose();
        var desk = new KeeperDesk(_vault.Keeper);
        var gateway = new KeeperClient("gateway", KeeperRole.Backup, "");
        using var agent = AgentKey.Create(_vault.Id);
        var enrolment = new Enrolment(_vault.Id, VaultKeeper.Salt(), EnrolmentKind.Agent, agent.Agent, 1, agent.Signer.PublicKey.ToArray(), _test.Keys.Put.Domain.Domain);
        Assert.Equal(ErrorCode.NoPermission, Refused(() => desk.Answer(gateway, new KeeperRequest.Record(LeafType.AgentEnrolled, agent.Agent, Id16.None, 1, 0, 0, enrolment.ToArray()))));
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => desk.Answer(gateway, new KeeperRequest.Enrol(new byte[EnrolmentTokens.Size], enrolment.ToArray()))));
        var token = EnrolmentTokens.Make(_test.Folder, "n", _vault.Keeper.Clock.Now, _vault.Keeper.Clock.Now + Day, Disk.Real);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => desk.Answer(gateway, new KeeperRequest.Enrol(token, [1, 2, 3]))));
        foreach (var wrong in new[] { enrolment with { Vault = Id16.New() }, enrolment with { Kind = EnrolmentKind.Writer }, enrolment with { Epoch = 2 }, enrolment with { Domain = Id16.New() }, enrolment with { Id = _test.Keys.Agent.Agent } })
            Assert.Equal(ErrorCode.CommitRefused, Refused(() => desk.Answer(gateway, new KeeperRequest.Enrol(token, wrong.ToArray()))));
        Assert.Equal(ErrorCode.NoPermission, Refused(() => desk.Answer(new KeeperClient("r", KeeperRole.Read, ""), new KeeperRequest.Enrol(token, enrolment.ToArray()))));
        desk.Answer(gateway, new KeeperRequest.Enrol(token, enrolment.ToArray()));
        Assert.NotNull(_vault.State.Agent(agent.Agent));
    }

    /// <summary>What is committed is what the agent signed: for this session, of this source, with a root that was sent.</summary>
    [Fact]
    public void A_statement_that_was_bent_is_not_committed()
    {
        using var agent = Enrolled();
        agent.Write("a", "content"u8.ToArray());
        SnapshotStatement? stated = null;
        AgentSession? began = null;
        agent.Gateway.Bend = (request, answer) =>
        {
            if (request is AgentRequest.Begin)
                began = AgentSession.Parse(answer);
            if (request is AgentRequest.Finish finish)
                stated = finish.Statement;
            return answer;
        };
        agent.BackUp();
        agent.Gateway.Bend = (_, answer) => answer;
        var size = _vault.Keeper.Log.Size;
        var sound = stated!;
        byte[] Flipped(byte[] bytes, int at)
        {
            var other = bytes.ToArray();
            other[at] ^= 1;
            return other;
        }
        foreach (var bent in new[]
        {
            sound, // of a session before
            sound with { Snapshot = Id16.New() },
            sound with { Entries = sound.Entries + 1 },
            sound with { LogicalBytes = 0 },
            sound with { ClientTime = 0 },
            sound with { Tree = Flipped(sound.Tree, 3) },
            sound with { Tree = Flipped(sound.Tree, 40) },
            sound with { Tree = [] },
            sound with { Features = [9] },
            sound with { Problems = [200] },
            sound with { Signature = Flipped(sound.Signature, 0) },
            sound with { Signature = [] },
        })
        {
            var session = agent.Begin();
            Assert.Equal(ErrorCode.CommitRefused, Refused(() => agent.Link.Ask(new AgentRequest.Finish(session.Session, 0, bent))));
        }
        // Signed as it should be, with a root that nobody sent.
        var last = agent.Begin();
        var stand = new SnapshotStand(_vault.Id, last.Domain, last.Source, last.Session, last.ParentContentRoot);
        Assert.True(TreeSection.TryParse(sound.Tree, out var tree));
        var unsent = SnapshotStatement.Sign(stand, Id16.New(), agent.Key, 0, 1, 1, 1, tree! with { Root = new ChunkRef(Digest("unsent"), 100) }, new RunStatistics(), []);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => agent.Link.Ask(new AgentRequest.Finish(last.Session, 0, unsent))));
        // Of another's source.
        last = agent.Begin();
        stand = stand with { Session = last.Session };
        var foreign = SnapshotStatement.Sign(stand, Id16.New(), agent.Key, 0, 1, 1, 1, tree! with { SourceName = "other"u8.ToArray() }, new RunStatistics(), []);
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => agent.Link.Ask(new AgentRequest.Finish(last.Session, 0, foreign))));
        Assert.Equal(size, _vault.Keeper.Log.Size);
    }

    /// <summary>A cut between commit and answer: asked again, the same receipt is given, and nothing committed twice.</summary>
    [Fact]
    public void A_lost_answer_is_given_again()
    {
        using var agent = Enrolled();
        agent.Write("a", "content"u8.ToArray());
        byte[]? first = null;
        agent.Gateway.Bend = (request, answer) =>
        {
            if (request is not AgentRequest.Finish || first is not null)
                return answer;
            first = answer;
            Assert.Equal(first, _desk.Answer(agent.Gateway.Client, request));
            return answer;
        };
        agent.BackUp();
        Assert.Single(_vault.State.Snapshots);
    }

    /// <summary>The gateway was restarted between commit and answer: the log says that it was committed.</summary>
    [Fact]
    public void A_commit_before_a_restart_is_told()
    {
        using var agent = Enrolled();
        agent.Write("a", "content"u8.ToArray());
        byte[]? first = null;
        agent.Gateway.Bend = (request, answer) =>
        {
            if (request is not AgentRequest.Finish || first is not null)
                return answer;
            first = answer;
            Restart();
            agent.Link.Prove();
            return _desk.Answer(agent.Gateway.Client, request);
        };
        AssertRestores(agent, agent.BackUp());
        Assert.Single(_vault.State.Snapshots);
        // Another agent cannot have it told.
        using var other = Enrolled("other");
        var finish = agent.Gateway.Asked.OfType<AgentRequest.Finish>().First();
        other.Link.Prove();
        Assert.Equal(ErrorCode.SessionLost, Refused(() => other.Gateway.Ask(finish)));
    }

    /// <summary>Asked for several times at once, a commit is made once, and all are told.</summary>
    [Fact]
    public void A_commit_that_is_asked_for_many_times_at_once_is_made_once()
    {
        using var agent = Enrolled();
        Fill(agent, 4);
        var bent = agent.Gateway;
        bent.Hold = request =>
        {
            if (request is not AgentRequest.Finish finish)
                return null;
            var answers = new byte[6][];
            Parallel.For(0, answers.Length, new ParallelOptions { MaxDegreeOfParallelism = answers.Length }, i => answers[i] = _desk.Answer(bent.Client, finish));
            Assert.All(answers, a => Assert.Equal(answers[0], a));
            return answers[0];
        };
        AssertRestores(agent, agent.BackUp());
        Assert.Single(_vault.State.Snapshots);
    }

    /// <summary>A disk that fails in the midst of a send: whatever was claimed by then, nothing is committed on it, and nobody else's backup has it either.</summary>
    [Fact]
    public void What_failed_in_its_midst_is_built_on_by_nobody()
    {
        var disk = new FaultyDisk(int.MaxValue, Fault.Full);
        _desk.Dispose();
        _vault.Dispose();
        _vault = _test.Open(disk);
        _desk = new GatewayDesk(_vault, _test.Keys.Put, _self, new GatewayLimits());
        using var agent = Enrolled("one");
        using var other = Enrolled("other");
        Fill(agent, 6);
        Fill(other, 6);
        var session = agent.Begin();
        var content = TestVault.Noise(7, 2_000_000);
        disk.FailNow();
        var code = Record.Exception(() => agent.Link.Ask(Sending(session.Session, KeyClass.Content, content)));
        disk.Free();
        Assert.NotNull(code);
        Assert.Equal(ErrorCode.DiskFull, Refused(() => agent.Link.Ask(new AgentRequest.Ask(session.Session, [Named(content)])))); // not as lost: it would begin anew, and fail again
        AssertRestores(other, other.BackUp());
        AssertRestores(agent, agent.BackUp());
        Assert.True(_test.Verify(full: true).IsSound);
    }

    /// <summary>Every request of a run is asked twice, as after a cut before its answer.</summary>
    [Fact]
    public void Requests_may_be_asked_twice()
    {
        using var agent = Enrolled();
        Fill(agent, 3);
        agent.Gateway.Bend = (request, answer) =>
        {
            if (request is AgentRequest.Ask or AgentRequest.Send or AgentRequest.Use or AgentRequest.Finish)
                _desk.Answer(agent.Gateway.Client, request);
            return answer;
        };
        var result = agent.BackUp();
        AssertRestores(agent, result);
    }

    [Fact]
    public void A_log_that_was_put_back_shows_to_the_agent()
    {
        using var agent = Enrolled();
        agent.Write("a", "a"u8.ToArray());
        agent.BackUp();
        _desk.Dispose();
        _vault.Dispose();
        Directory.Move(_test.Folder, _test["aside"]);
        CopyFolder(_test["aside"], _test.Folder);
        Restart();
        agent.Write("b", "b"u8.ToArray());
        agent.BackUp();
        _desk.Dispose();
        _vault.Dispose();
        Directory.Delete(_test.Folder, recursive: true);
        Directory.Move(_test["aside"], _test.Folder);
        Restart();
        Assert.Equal(ErrorCode.LogForked, Refused(() => agent.BackUp())); // shorter
        using var other = Enrolled("other"); // grown past it, another way
        other.Write("c", "c"u8.ToArray());
        other.BackUp();
        other.BackUp();
        Assert.Equal(ErrorCode.LogForked, Refused(() => agent.BackUp()));

        static void CopyFolder(string from, string to)
        {
            foreach (var folder in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories).Prepend(from))
                Directory.CreateDirectory(Path.Combine(to, Path.GetRelativePath(from, folder)));
            foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
                File.Copy(file, Path.Combine(to, Path.GetRelativePath(from, file)));
        }
    }

    /// <summary>A gateway that says that it committed and did not, or something else, is not believed.</summary>
    [Fact]
    public void A_gateway_that_lies_is_not_believed()
    {
        using var agent = Enrolled();
        agent.Write("a", "a"u8.ToArray());
        AgentReceipt? earlier = null;
        agent.Gateway.Bend = (request, answer) =>
        {
            if (request is AgentRequest.Finish)
                earlier = AgentReceipt.Parse(answer);
            return answer;
        };
        agent.BackUp();
        foreach (var bend in new Func<AgentReceipt, AgentReceipt>[] { _ => earlier!, r => r with { Name = Digest("x") }, r => r with { Proof = "" }, r => r with { Proof = r.Proof.Replace("index ", "index 1", StringComparison.Ordinal) } })
        {
            agent.Gateway.Bend = (request, answer) => request is AgentRequest.Finish ? bend(AgentReceipt.Parse(answer)!).ToArray() : answer;
            Assert.Equal(ErrorCode.CommitRefused, Refused(() => agent.BackUp()));
        }
        agent.Gateway.Bend = (request, answer) => request is AgentRequest.Finish ? (AgentReceipt.Parse(answer)! with { Consistency = [Digest("x")] }).ToArray() : answer;
        Assert.Equal(ErrorCode.LogForked, Refused(() => agent.BackUp()));
        agent.Gateway.Bend = (request, answer) => request is AgentRequest.Hello ? (AgentHello.Parse(answer)! with { Vault = Id16.New() }).ToArray() : answer;
        Restart();
        Assert.Equal(ErrorCode.WrongVault, Refused(() => agent.BackUp()));
    }

    /// <summary>References are told anew now and then, and where those before are gone with a snapshot that expired what they named is sent again.</summary>
    [Fact]
    public void What_is_others_stays_known_for_as_long_as_snapshots_tell()
    {
        using var one = Enrolled("one");
        var shared = TestVault.Noise(5, 300_000);
        one.Write("shared", shared);
        one.BackUp();
        using var two = Enrolled("two");
        two.Write("shared", shared);
        two.Write("n", [0]);
        two.BackUp();
        for (var i = 1; i < 35; i++)
        {
            two.Write("n", [(byte)i]);
            two.BackUp(state: _test[$"none-{i % 2}"]);
            Assert.InRange(two.Gateway.Sent, 1, 100_000);
        }
        var whole = _vault.State.Snapshots.Where(s => s.Agent == two.Key.Agent).Count(s => SnapshotSection.OpenReferences(_vault.State.Whole(s)!, _test.Keys.Put.Domain, 1_000) is ({ Length: > 0 }, true, false));
        Assert.InRange(whole, 1, 10);
        AssertRestores(two, two.BackUp());
    }

    [Fact]
    public void An_agent_sends_no_more_in_a_day_than_it_may()
    {
        Restart(new GatewayLimits { DailyBytes = 1_000_000 });
        using var agent = Enrolled();
        agent.Write("a", TestVault.Noise(1, 700_000));
        agent.BackUp();
        agent.Write("b", TestVault.Noise(2, 700_000));
        Assert.Equal(ErrorCode.QuotaExceeded, Refused(() => agent.BackUp()));
        using var other = Enrolled("other");
        other.Write("a", TestVault.Noise(3, 700_000));
        other.BackUp();
    }

    [Fact]
    public void Backups_at_once_are_bounded_and_let_go_when_nothing_is_heard()
    {
        Restart(new GatewayLimits { SessionsOfOne = 2, Idle = TimeSpan.FromSeconds(20) });
        using var agent = Enrolled();
        var first = agent.Begin("a");
        agent.Begin("b");
        agent.Begin("a"); // in the place of the first, which is told so: two that begin anew would do that in turn
        Assert.Equal(ErrorCode.VaultBusy, Refused(() => agent.Link.Ask(new AgentRequest.Ask(first.Session, []))));
        Assert.Equal(ErrorCode.QuotaExceeded, Refused(() => agent.Begin("c")));
        Thread.Sleep(20_500);
        agent.Begin("c");
    }

    [Fact]
    public void Many_agents_at_once_all_come_back()
    {
        List<Agent> agents = [.. Enumerable.Range(0, 8).Select(i => Enrolled($"host{i}"))];
        try
        {
            for (var i = 0; i < agents.Count; i++)
            {
                Fill(agents[i], 10 + i % 3); // some have what others have
                agents[i].Write("own", Encoding.UTF8.GetBytes($"of {i}"));
            }
            var results = new AgentResult[agents.Count];
            Parallel.For(0, agents.Count, new ParallelOptions { MaxDegreeOfParallelism = agents.Count }, i => results[i] = agents[i].BackUp());
            for (var i = 0; i < agents.Count; i++)
                AssertRestores(agents[i], results[i]);
        }
        finally
        {
            agents.ForEach(a => a.Dispose());
        }
    }

    /// <summary>Two machines with one agent's keys, through two gateways, begin the same run: whichever ends second has nothing committed, and is shown why.</summary>
    [Fact]
    public void Of_a_named_run_one_is_committed_whichever_gateway_it_goes_through()
    {
        using var agent = Enrolled();
        Fill(agent, 1);
        using var elsewhere = _test.Open();
        using var other = new GatewayDesk(elsewhere, _test.Keys.Put, _self, new GatewayLimits());
        AgentResult? quick = null;
        var first = true;
        agent.Gateway.Hold = request =>
        {
            if (request is not AgentRequest.Finish || !first)
                return null;
            first = false; // this one stands still just before its commit
            (var here, _desk) = (_desk, other);
            agent.Gateway.Client = Digest("another connection");
            quick = new AgentLinkOf(this, agent).BackUp("run-1");
            (agent.Gateway.Client, _desk) = (Digest("the first again"), here);
            return null;
        };
        Assert.Equal(ErrorCode.RunDone, Refused(() => agent.BackUp(run: "run-1")));
        _vault.Keeper.Refresh();
        Assert.Equal(quick!.Snapshot, Assert.Single(_vault.State.Snapshots).Snapshot);
        Assert.Empty(_vault.State.Refused);
        agent.Gateway.Asked.Clear();
        Assert.Equal(ErrorCode.RunDone, Refused(() => agent.BackUp(run: "run-1"))); // and from now on before anything is read
        Assert.DoesNotContain(agent.Gateway.Asked, a => a is AgentRequest.Begin);
        Assert.NotEqual(quick.Snapshot, agent.BackUp(run: "run-2").Snapshot);
        Assert.NotEqual(agent.BackUp().Snapshot, agent.BackUp().Snapshot); // runs without a name are runs of their own
        using var stranger = Enrolled("ward8");
        Fill(stranger, 2);
        Assert.NotEqual(quick.Snapshot, stranger.BackUp(run: "run-1").Snapshot); // another agent's run of that name is another
        _vault.Keeper.Refresh();
        Assert.Equal(5, _vault.State.Snapshots.Count);
        Assert.Empty(stranger.Gateway.Ask(new AgentRequest.Committed(quick.Snapshot, 0))); // and it is not told of the first's
    }

    /// <summary>The same agent on another machine: another state folder.</summary>
    sealed class AgentLinkOf(GatewayTests test, Agent agent)
    {
        public AgentResult BackUp(string run)
        {
            using var files = FileSource.Open(agent.Source, new FileSourceOptions());
            return AgentRun.BackUp(new AgentLink(agent.Gateway, agent.Key, test._vault.Keeper.Log.Key), null, files, new BackupRequest("ward7"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), test._test["elsewhere"]) { Run = run },
                agent.Key, new BackupProgress(), _ => { }, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>A gateway that says so of each named run would have an agent leave its backups out, and think them done.</summary>
    [Fact]
    public void A_gateway_is_not_believed_that_a_run_was_done()
    {
        using var agent = Enrolled();
        Fill(agent, 1);
        var earlier = agent.BackUp();
        var receipt = agent.Gateway.Ask(new AgentRequest.Committed(earlier.Snapshot, 0));
        Assert.NotEmpty(receipt);
        agent.Gateway.Hold = request => request is AgentRequest.Committed ? receipt : null; // of another snapshot
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => agent.BackUp(run: "run-1")));
        agent.Gateway.Hold = request => request switch
        {
            AgentRequest.Committed => [],
            AgentRequest.Finish => throw new HoldfastException(ErrorCode.RunDone, "done", "nothing"),
            _ => null,
        };
        Assert.Equal(ErrorCode.CommitRefused, Refused(() => agent.BackUp(run: "run-1")));
        agent.Gateway.Hold = _ => null;
        Assert.NotEqual(earlier.Snapshot, agent.BackUp(run: "run-1").Snapshot);
    }

    /// <summary>Whatever it is asked, its word that a run was done ends no backup: what says so has the leaf, checked here.</summary>
    [Theory]
    [InlineData(typeof(AgentRequest.Hello))]
    [InlineData(typeof(AgentRequest.Prove))]
    [InlineData(typeof(AgentRequest.Committed))]
    [InlineData(typeof(AgentRequest.Begin))]
    [InlineData(typeof(AgentRequest.Ask))]
    [InlineData(typeof(AgentRequest.Send))]
    [InlineData(typeof(AgentRequest.Finish))]
    public void A_gateways_word_that_a_run_was_done_is_no_proof(Type asked)
    {
        using var agent = Enrolled();
        Fill(agent, 1);
        agent.Gateway.Hold = request => request.GetType() == asked ? throw new HoldfastException(ErrorCode.RunDone, "done", "nothing") : null;
        string?[] runs = asked == typeof(AgentRequest.Committed) ? ["run-1"] : ["run-1", null]; // which nobody asks of a run without a name
        foreach (var run in runs)
        {
            agent.Gateway.Client = Digest(Guid.NewGuid().ToString()); // so that it has to prove who it is
            Assert.Null(Assert.Throws<HoldfastException>(() => agent.BackUp(run: run)).Done);
        }
        agent.Gateway.Hold = _ => null;
        var made = agent.BackUp(run: "run-1");
        var done = Assert.Throws<HoldfastException>(() => agent.BackUp(run: "run-1")).Done;
        Assert.Equal((made.Snapshot, made.Committed), (done!.Snapshot, done.Committed));
        Assert.Equal(made.Proof.Index, done.Proof.Index);
        Assert.True(done.Proof.IsValid(_vault.Keeper.Log.Key)); // it is kept as a receipt
    }

    /// <summary>Any bytes are a request or none; what is one says the same when it is written again.</summary>
    [Fact]
    public void Requests_are_read_totally()
    {
        var session = Id16.New();
        var packed = ZstdFrameTests.Frame(1_000, ZstdFrameTests.Run(600, false), ZstdFrameTests.Run(400));
        AgentRequest[] all = [new AgentRequest.Hello(), new AgentRequest.Prove(session, new byte[32], new byte[64]), new AgentRequest.Enrol(new byte[16], session, new byte[32]), new AgentRequest.Begin("n"u8.ToArray(), 7),
            new AgentRequest.Ask(session, [Named([1]), Named([2]) with { Class = KeyClass.Tree }]), new AgentRequest.Use(session, [Named([3])]), Sending(session, KeyClass.Content, [1, 2], [3]),
            new AgentRequest.Send(session, KeyClass.Content, [Raw([1, 2]), Zstd(packed, 400, 600), Raw([5]) with { Kind = DigestKind.Blocks }]), new AgentRequest.LetGo(session), new AgentRequest.Committed(session, 5), new AgentRequest.Finish(session, 5, new SnapshotStatement(session, 1, 2, 3, 4, [1], [2], [], new byte[64]))];
        var random = new Random(1);
        foreach (var request in all)
        {
            var bytes = request.ToArray();
            Assert.True(AgentRequest.TryParse(bytes, out var read));
            Assert.Equal(bytes, read.ToArray());
            for (var length = 0; length < bytes.Length; length++)
                Assert.False(AgentRequest.TryParse(bytes.AsMemory(0, length), out _) && request is not AgentRequest.Send);
            for (var i = 0; i < 2_000; i++)
            {
                var bent = bytes.ToArray();
                for (var flips = random.Next(1, 4); flips > 0; flips--)
                    bent[random.Next(bent.Length)] = (byte)random.Next(256);
                if (AgentRequest.TryParse(bent, out var other))
                    Assert.Equal(bent, other.ToArray());
            }
        }
        Assert.False(AgentRequest.TryParse(Sending(session, KeyClass.Content, new byte[AgentRequest.MostChunkBytes], [1]).ToArray(), out _));
        Assert.False(AgentRequest.TryParse(Sending(session, KeyClass.Features, [1]).ToArray(), out _));

        // Frames that no reader would take are no request, nor those that hold more than one may.
        bool IsTaken(KeyClass keyClass, params UnsealedFrame[] frames) => AgentRequest.TryParse(new AgentRequest.Send(session, keyClass, frames).ToArray(), out _);
        var most = ZstdFrameTests.Frame(4 << 20, ZstdFrameTests.Run(7));
        Assert.True(IsTaken(KeyClass.Content, Zstd(packed, 400, 600)));
        Assert.False(IsTaken(KeyClass.Content, Zstd(packed, 400, 601)));
        Assert.False(IsTaken(KeyClass.Content, Zstd(packed, 400, 600, 0)));
        Assert.False(IsTaken(KeyClass.Content, Zstd(packed)));
        Assert.False(IsTaken(KeyClass.Content, Raw()));
        Assert.False(IsTaken(KeyClass.Content, Zstd(packed[..^1], 400, 600)));
        Assert.False(IsTaken(KeyClass.Content, Zstd([.. packed, .. packed], 400, 600)));
        Assert.False(IsTaken(KeyClass.Content, Zstd([0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 1, .. packed], 400, 600)));
        Assert.False(IsTaken(KeyClass.Content, Zstd([.. packed[..4], 0xA1, 9, .. packed[5..]], 400, 600))); // a dictionary
        Assert.True(IsTaken(KeyClass.Content, Zstd(most, 4 << 20)));
        Assert.False(IsTaken(KeyClass.Content, Zstd(most, 4 << 20), Raw([1])));
        Assert.False(IsTaken(KeyClass.Content, Zstd(ZstdFrameTests.Frame((4 << 20) + 1, ZstdFrameTests.Run(7)), 4 << 20, 1)));
        Assert.False(IsTaken(KeyClass.Content, Zstd(ZstdFrameTests.Frame(13, ZstdFrameTests.Run(13)), 13))); // no smaller than what it holds
        Assert.False(IsTaken(KeyClass.Content, Raw([1, 2]) with { Lengths = [1] }));
        Assert.False(IsTaken(KeyClass.Tree, Raw([1]) with { Kind = DigestKind.Blocks }));
        Assert.False(IsTaken(KeyClass.Content, Raw([1]) with { Kind = (DigestKind)2 }));
        Assert.True(IsTaken(KeyClass.Content, [.. Enumerable.Repeat(Raw([1]), AgentRequest.MostFrames)]));
        Assert.False(IsTaken(KeyClass.Content, [.. Enumerable.Repeat(Raw([1]), AgentRequest.MostFrames + 1)]));
        var many = Enumerable.Repeat(1, AgentRequest.MostChunks).ToArray();
        Assert.True(IsTaken(KeyClass.Content, Raw(new byte[AgentRequest.MostChunks]) with { Lengths = many }));
        Assert.False(IsTaken(KeyClass.Content, Raw(new byte[AgentRequest.MostChunks]) with { Lengths = many }, Raw([1])));
    }
}
