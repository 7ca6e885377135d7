using System.Diagnostics.CodeAnalysis;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Gateway;

/// <summary>A chunk as an agent names it: agents know digests, and gateways alone make ids.</summary>
/// <param name="Class">Content or tree.</param>
/// <param name="Kind">Of the digest.</param>
/// <param name="Digest">Of its bytes.</param>
public readonly record struct ChunkName(KeyClass Class, DigestKind Kind, Hash32 Digest);

/// <summary>What an agent asks of a gateway (docs/protocol.md). Encoded as objects are (docs/format.md, section 2): version, kind, then its fields. None of them is answered with anything that is stored.</summary>
public abstract record AgentRequest
{
    /// <summary>Bytes of all chunks of one <see cref="Send"/>, unpacked: the largest chunk there is.</summary>
    public const int MostChunkBytes = PackFormat.MaxChunk;

    /// <summary>Chunks that one <see cref="Ask"/>, <see cref="Use"/> or <see cref="Send"/> names.</summary>
    public const int MostChunks = 1 << 16;

    /// <summary>Frames of one <see cref="Send"/>.</summary>
    public const int MostFrames = 256;

    /// <summary>Bytes of a request that is neither of those nor <see cref="Finish"/>.</summary>
    public const int MostSmall = 1 << 17;

    public const int NonceSize = 32; // bytes

    /// <summary>Bytes of the names, lengths and kinds of as many chunks as one request has.</summary>
    const int MostNames = MostChunks * (Hash32.Size + 2) + 64;

    /// <summary>Bytes of the largest of all.</summary>
    public const int MaxSize = 80 << 20;

    const byte Version = 1;

    enum RequestKind : byte
    {
        Hello = 1,
        Prove = 2,
        Enrol = 3,
        Begin = 4,
        Ask = 5,
        Send = 6,
        Use = 7,
        Finish = 8,
        LetGo = 9,
        Committed = 10,
    }

    /// <summary>Which vault is this, and a number to prove oneself by. Answered with an <see cref="AgentHello"/>; the only request that needs neither agent nor token.</summary>
    public sealed record Hello : AgentRequest;

    /// <summary>The certificate of this connection is the agent's, by its signature over <see cref="AgentProof"/>. Answered with nothing.</summary>
    public sealed record Prove(Id16 Agent, byte[] Nonce, byte[] Signature) : AgentRequest;

    /// <summary>Have a new agent enrolled by a token that was given for one. Answered with nothing.</summary>
    public sealed record Enrol(byte[] Token, Id16 Agent, byte[] PublicKey) : AgentRequest;

    /// <summary>Begin a backup of a source. Answered with an <see cref="AgentSession"/>.</summary>
    /// <param name="SourceName">Of this agent, or of nobody yet.</param>
    /// <param name="SeenSize">Leaves of the log that the agent has seen.</param>
    public sealed record Begin(byte[] SourceName, long SeenSize) : AgentRequest;

    /// <summary>Which of these are known: sent by this agent in this session, or in a snapshot of this source. Answered with a bit for each, lowest first.</summary>
    public sealed record Ask(Id16 Session, IReadOnlyList<ChunkName> Chunks) : AgentRequest;

    /// <summary>Store these frames. Answered with nothing.</summary>
    /// <param name="Session">Whose.</param>
    /// <param name="Class">Content or tree; of these, what they refer to is known.</param>
    /// <param name="Frames">Filled and compressed by the agent; their bytes are part of what was read, where it was.</param>
    public sealed record Send(Id16 Session, KeyClass Class, IReadOnlyList<UnsealedFrame> Frames) : AgentRequest
    {
        /// <summary>Bytes of all chunks, unpacked.</summary>
        public int PayloadLength => Frames.Sum(f => f.PayloadLength);

        /// <summary>Bytes of all frames, as they are sent.</summary>
        public int SentLength => Frames.Sum(f => f.Bytes.Length);
    }

    /// <summary>The snapshot will need these, which are known. Answered with nothing.</summary>
    public sealed record Use(Id16 Session, IReadOnlyList<ChunkName> Chunks) : AgentRequest;

    /// <summary>Commit. Answered with an <see cref="AgentReceipt"/>.</summary>
    /// <param name="Session">Whose.</param>
    /// <param name="SeenSize">Leaves of the log that the agent has seen.</param>
    /// <param name="Statement">What it says of the snapshot.</param>
    public sealed record Finish(Id16 Session, long SeenSize, SnapshotStatement Statement) : AgentRequest;

    /// <summary>Nothing more comes of this backup. Answered with nothing; what was sent is kept for the next.</summary>
    public sealed record LetGo(Id16 Session) : AgentRequest;

    /// <summary>Was this snapshot of this agent's committed? Answered with an <see cref="AgentReceipt"/>, or with nothing where the log has none such.</summary>
    /// <param name="Snapshot">Its id.</param>
    /// <param name="SeenSize">Leaves of the log that the agent has seen.</param>
    public sealed record Committed(Id16 Snapshot, long SeenSize) : AgentRequest;

    RequestKind Which => this switch
    {
        Hello => RequestKind.Hello,
        Prove => RequestKind.Prove,
        Enrol => RequestKind.Enrol,
        Begin => RequestKind.Begin,
        Ask => RequestKind.Ask,
        Send => RequestKind.Send,
        Use => RequestKind.Use,
        LetGo => RequestKind.LetGo,
        Committed => RequestKind.Committed,
        _ => RequestKind.Finish,
    };

    /// <summary>Bytes that a request may have which begins so; 0: there is none such.</summary>
    /// <param name="head">The first two bytes.</param>
    /// <param name="isAgent">Whether who asks has proved to be an agent: others may ask for little, and that little is small.</param>
    public static int Most(ReadOnlySpan<byte> head, bool isAgent) => head is not [Version, var kind] ? 0 : (RequestKind)kind switch
    {
        RequestKind.Hello or RequestKind.Prove or RequestKind.Enrol => MostSmall,
        RequestKind.Begin or RequestKind.LetGo or RequestKind.Committed => isAgent ? MostSmall : 0,
        RequestKind.Ask or RequestKind.Use => isAgent ? MostNames : 0,
        RequestKind.Send => isAgent ? MostChunkBytes + MostNames : 0,
        RequestKind.Finish => isAgent ? MaxSize : 0,
        _ => 0,
    };

    /// <summary>How often the bytes of a request that begins so are in memory at once, about.</summary>
    public static int Copies(ReadOnlySpan<byte> head) => head is [Version, (byte)RequestKind.Finish] ? 5 : 1;

    /// <summary>How much of what comes first tells how long it may be.</summary>
    public const int HeadSize = 2;

    public byte[] ToArray() => [.. Head(), .. Tail.SelectMany(t => t.ToArray())];

    /// <summary>What follows the <see cref="Head"/>, piece by piece: frames, which are not copied on their way.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> Tail => this is Send send ? send.Frames.Select(f => f.Bytes) : [];

    /// <summary>The request but for its <see cref="Tail"/>.</summary>
    public byte[] Head()
    {
        var writer = new ByteWriter(256);
        writer.U8(Version);
        writer.U8((byte)Which);
        switch (this)
        {
            case Prove prove:
                writer.Id(prove.Agent);
                writer.Raw(prove.Nonce);
                writer.Raw(prove.Signature);
                break;
            case Enrol enrol:
                writer.Raw(enrol.Token);
                writer.Id(enrol.Agent);
                writer.Raw(enrol.PublicKey);
                break;
            case Begin begin:
                writer.Bytes(begin.SourceName);
                writer.U64((ulong)begin.SeenSize);
                break;
            case Ask ask:
                Write(writer, ask.Session, ask.Chunks);
                break;
            case Use use:
                Write(writer, use.Session, use.Chunks);
                break;
            case Send send:
                writer.Id(send.Session);
                writer.U8((byte)send.Class);
                writer.Var((ulong)send.Frames.Count);
                foreach (var frame in send.Frames)
                {
                    writer.Var((ulong)frame.Bytes.Length);
                    writer.U8((byte)(frame.Codec | (byte)frame.Kind << PackFormat.KindShift));
                    writer.Var((ulong)frame.Lengths.Length);
                    foreach (var length in frame.Lengths)
                        writer.Var((ulong)length);
                }
                break;
            case LetGo over:
                writer.Id(over.Session);
                break;
            case Committed committed:
                writer.Id(committed.Snapshot);
                writer.U64((ulong)committed.SeenSize);
                break;
            case Finish finish:
                writer.Id(finish.Session);
                writer.U64((ulong)finish.SeenSize);
                finish.Statement.Write(writer);
                break;
            default:
                break;
        }
        return writer.ToArray();
    }

    static void Write(ByteWriter writer, Id16 session, IReadOnlyList<ChunkName> chunks)
    {
        writer.Id(session);
        writer.Var((ulong)chunks.Count);
        foreach (var chunk in chunks)
        {
            writer.U8((byte)((byte)chunk.Class << 1 | (byte)chunk.Kind));
            writer.Hash(chunk.Digest);
        }
    }

    /// <summary>Total: any bytes are a request, or are none.</summary>
    /// <param name="bytes">The request has part of them, and is good for as long as they are.</param>
    /// <param name="request">The request.</param>
    public static bool TryParse(ReadOnlyMemory<byte> bytes, [NotNullWhen(true)] out AgentRequest? request)
    {
        var reader = new ByteReader(bytes.Span);
        reader.Require(reader.U8() == Version);
        request = (RequestKind)reader.U8() switch
        {
            RequestKind.Hello => new Hello(),
            RequestKind.Prove => new Prove(reader.Id(), reader.Raw(NonceSize).ToArray(), reader.Raw(Ed25519Signer.SignatureSize).ToArray()),
            RequestKind.Enrol => new Enrol(reader.Raw(Keeper.EnrolmentTokens.Size).ToArray(), reader.Id(), reader.Raw(Ed25519Signer.PublicKeySize).ToArray()),
            RequestKind.Begin => new Begin(reader.Bytes(TreeSection.MaxName).ToArray(), Size(ref reader)),
            RequestKind.Ask => new Ask(reader.Id(), Names(ref reader)),
            RequestKind.Use => new Use(reader.Id(), Names(ref reader)),
            RequestKind.LetGo => new LetGo(reader.Id()),
            RequestKind.Committed => new Committed(reader.Id(), Size(ref reader)),
            RequestKind.Send => Sent(ref reader, bytes),
            RequestKind.Finish => new Finish(reader.Id(), Size(ref reader), SnapshotStatement.Read(ref reader)),
            _ => null,
        };
        if (!reader.IsDone)
            request = null;
        return request is not null;
    }

    static long Size(ref ByteReader reader)
    {
        var size = reader.U64();
        reader.Require(size <= long.MaxValue);
        return (long)size;
    }

    static List<ChunkName> Names(ref ByteReader reader)
    {
        var count = reader.Count(Math.Min(MostChunks, reader.Remaining / (Hash32.Size + 1)));
        var names = new List<ChunkName>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var kinds = reader.U8();
            var (keyClass, kind) = ((KeyClass)(kinds >> 1), (DigestKind)(kinds & 1));
            reader.Require(keyClass is KeyClass.Content || keyClass is KeyClass.Tree && kind == DigestKind.Whole);
            names.Add(new ChunkName(keyClass, kind, reader.Hash()));
        }
        return names;
    }

    /// <summary>Frames as a pack's footer has them, but for what follows from the rest; then their bytes. What no reader would take of them is no request.</summary>
    static Send Sent(ref ByteReader reader, ReadOnlyMemory<byte> bytes)
    {
        var session = reader.Id();
        var keyClass = (KeyClass)reader.U8();
        reader.Require(keyClass is KeyClass.Content or KeyClass.Tree);
        var count = reader.Count(MostFrames);
        var (rows, chunks, payloads, stored) = (new List<(byte Codec, DigestKind Kind, int[] Lengths, int Stored)>(count), 0, 0, 0L);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var size = reader.Count(MostChunkBytes);
            var codec = reader.U8();
            var kind = (DigestKind)(codec >> PackFormat.KindShift);
            reader.Require(kind is DigestKind.Whole || kind is DigestKind.Blocks && keyClass == KeyClass.Content);
            var lengths = new int[reader.Count(Math.Min(MostChunks - chunks, reader.Remaining))];
            var payload = 0;
            for (var c = 0; c < lengths.Length && !reader.Failed; c++)
            {
                payload += lengths[c] = reader.Count(MostChunkBytes - payloads - payload);
                reader.Require(lengths[c] > 0);
            }
            reader.Require(lengths.Length > 0);
            codec &= PackFormat.CodecZstd;
            reader.Require(codec == PackFormat.CodecZstd ? UnsealedFrame.IsGain(payload, size) : size == payload);
            (chunks, payloads, stored) = (chunks + lengths.Length, payloads + payload, stored + size);
            rows.Add((codec, kind, lengths, size));
        }
        reader.Require(stored == reader.Remaining);
        var frames = new List<UnsealedFrame>(rows.Count);
        foreach (var (codec, kind, lengths, size) in rows)
        {
            var frame = new UnsealedFrame(codec, kind, lengths, reader.Failed ? default : bytes.Slice(reader.Position, size));
            var isOne = ZstdFrame.IsOne(reader.Raw(size), frame.PayloadLength);
            reader.Require(isOne || codec == PackFormat.CodecStored);
            frames.Add(frame);
        }
        return new Send(session, keyClass, frames);
    }
}

/// <summary>What a gateway says of itself.</summary>
/// <param name="Vault">Vault id.</param>
/// <param name="LogKey">Verifier key of its log.</param>
/// <param name="Nonce">To prove oneself by, soon.</param>
public sealed record AgentHello(Id16 Vault, string LogKey, byte[] Nonce)
{
    const int MaxKey = 1_024; // bytes

    public byte[] ToArray()
    {
        var writer = new ByteWriter();
        writer.Id(Vault);
        writer.Bytes(System.Text.Encoding.ASCII.GetBytes(LogKey));
        writer.Raw(Nonce);
        return writer.ToArray();
    }

    public static AgentHello? Parse(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        var hello = new AgentHello(reader.Id(), System.Text.Encoding.ASCII.GetString(reader.Bytes(MaxKey)), reader.Raw(AgentRequest.NonceSize).ToArray());
        return reader.IsDone ? hello : null;
    }
}

/// <summary>What an agent needs to know to back a source up.</summary>
/// <param name="Session">Its id.</param>
/// <param name="Source">The source's.</param>
/// <param name="Domain">Of the keys.</param>
/// <param name="Cutter">Key that says where large files are cut; nothing is opened with it.</param>
/// <param name="Parent">Name of the newest snapshot's object; none where there is none.</param>
/// <param name="ParentContentRoot">Its content root.</param>
/// <param name="IsWhole">All packs of the parent are there, as far as the gateway knows: what is as it was then need not be read.</param>
/// <param name="Now">Vault time, seconds since 1970.</param>
/// <param name="Checkpoint">Of the log.</param>
/// <param name="Consistency">That it goes on from what the agent has seen.</param>
public sealed record AgentSession(Id16 Session, Id16 Source, Id16 Domain, byte[] Cutter, Hash32 Parent, Hash32 ParentContentRoot, bool IsWhole, ulong Now, string Checkpoint, IReadOnlyList<Hash32> Consistency)
{
    const int MaxPath = 128;

    public byte[] ToArray()
    {
        var writer = new ByteWriter();
        writer.Id(Session);
        writer.Id(Source);
        writer.Id(Domain);
        writer.Raw(Cutter);
        writer.Hash(Parent);
        writer.Hash(ParentContentRoot);
        writer.U8(IsWhole ? (byte)1 : (byte)0);
        writer.U64(Now);
        writer.Bytes(System.Text.Encoding.UTF8.GetBytes(Checkpoint));
        writer.Var((ulong)Consistency.Count);
        foreach (var hash in Consistency)
            writer.Hash(hash);
        return writer.ToArray();
    }

    public static AgentSession? Parse(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        var (session, source, domain, cutter) = (reader.Id(), reader.Id(), reader.Id(), reader.Raw(Keys.DomainKeys.CutterKeySize).ToArray());
        var (parent, root, isWhole, now) = (reader.Hash(), reader.Hash(), reader.U8(), reader.U64());
        reader.Require(isWhole <= 1);
        var checkpoint = System.Text.Encoding.UTF8.GetString(reader.Bytes(Log.Checkpoint.MaxLength));
        var count = reader.Count(MaxPath);
        var path = new List<Hash32>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            path.Add(reader.Hash());
        return reader.IsDone ? new AgentSession(session, source, domain, cutter, parent, root, isWhole == 1, now, checkpoint, path) : null;
    }
}

/// <summary>What an agent gets for a commit, and keeps. How much of what it sent was new to the vault it is not told: that would say what others have.</summary>
/// <param name="Name">Of the snapshot's object.</param>
/// <param name="Proof">Leaf, audit path and signed checkpoint, as text.</param>
/// <param name="Consistency">That the checkpoint goes on from the session's.</param>
public sealed record AgentReceipt(Hash32 Name, string Proof, IReadOnlyList<Hash32> Consistency)
{
    const int MaxProof = 1 << 20; // bytes
    const int MaxPath = 128;

    public byte[] ToArray()
    {
        var writer = new ByteWriter();
        writer.Hash(Name);
        writer.Bytes(System.Text.Encoding.UTF8.GetBytes(Proof));
        writer.Var((ulong)Consistency.Count);
        foreach (var hash in Consistency)
            writer.Hash(hash);
        return writer.ToArray();
    }

    public static AgentReceipt? Parse(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        var (name, proof) = (reader.Hash(), System.Text.Encoding.UTF8.GetString(reader.Bytes(MaxProof)));
        var count = reader.Count(MaxPath);
        var path = new List<Hash32>(count);
        for (var i = 0; i < count && !reader.Failed; i++)
            path.Add(reader.Hash());
        return reader.IsDone ? new AgentReceipt(name, proof, path) : null;
    }
}

/// <summary>What an agent signs to show that a certificate is its own: a key that lives no longer than one run. Bound to the gateway, so that what is shown to one is worth nothing at another.</summary>
public static class AgentProof
{
    static ReadOnlySpan<byte> Label => "holdfast/v1/agent-proof"u8;

    /// <param name="vault">Vault id.</param>
    /// <param name="agent">Who signs.</param>
    /// <param name="nonce">The gateway's.</param>
    /// <param name="client">Fingerprint of the agent's certificate.</param>
    /// <param name="gateway">Of the gateway's.</param>
    public static byte[] SignedBytes(Id16 vault, Id16 agent, ReadOnlySpan<byte> nonce, Hash32 client, Hash32 gateway) => SignedBytes(Label, vault, agent, nonce, client, gateway);

    /// <summary>As above, for another purpose.</summary>
    /// <param name="label">Of that purpose.</param>
    internal static byte[] SignedBytes(ReadOnlySpan<byte> label, Id16 vault, Id16 agent, ReadOnlySpan<byte> nonce, Hash32 client, Hash32 gateway)
    {
        var writer = new ByteWriter();
        writer.Raw(label);
        writer.Id(vault);
        writer.Id(agent);
        writer.Raw(nonce);
        writer.Hash(client);
        writer.Hash(gateway);
        return writer.ToArray();
    }
}
