using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Gateway;
using Holdfast.Core.Keeper;

namespace Holdfast.Core.Grants;

/// <summary>What an agent's host does with what is there already.</summary>
public enum GrantMode : byte
{
    /// <summary>Nothing is.</summary>
    Empty = 0,

    /// <summary>It keeps what is equal, and says what need not be sent.</summary>
    Resume = 1,

    /// <summary>It writes every file anew.</summary>
    Overwrite = 2,
}

/// <summary>How a restore came out on the agent's host, by its own word.</summary>
public enum GrantOutcome : byte
{
    /// <summary>All of it stands there.</summary>
    Whole = 1,

    /// <summary>It came to its end, and not all of it stands there.</summary>
    NotWhole = 2,

    /// <summary>It stopped before the end, and may be run again.</summary>
    Stopped = 3,
}

/// <summary>What an agent's host asks of a clean room that granted it one restore (docs/protocol.md). Encoded as objects are (docs/format.md, section 2): version, kind, then its fields.</summary>
public abstract record GrantRequest
{
    /// <summary>How much of what comes first tells how long it may be.</summary>
    public const int HeadSize = 2;

    /// <summary>Ranges that one <see cref="Unwanted"/> names.</summary>
    public const int MostRanges = 1 << 16;

    /// <summary>Bytes of the largest of all.</summary>
    public const int MaxSize = MostRanges * 10 + MostSmall;

    const int MostSmall = 1 << 10; // bytes
    const byte Version = 1;

    enum RequestKind : byte
    {
        Hello = 1,
        Prove = 2,
        Begin = 3,
        Fetch = 4,
        Unwanted = 5,
        Report = 6,
    }

    /// <summary>Which vault is this, and a number to prove oneself by. Answered with an <see cref="AgentHello"/>; the only request that needs no proof.</summary>
    public sealed record Hello : GrantRequest;

    /// <summary>This certificate is of the agent that the grant is for, and whoever shows it has the code. Answered with nothing.</summary>
    public sealed record Prove(Id16 Agent, byte[] Nonce, byte[] Signature, byte[] Code) : GrantRequest;

    /// <summary>Begin the restore, or begin it anew. Answered with a <see cref="GrantStand"/>.</summary>
    /// <param name="Mode">What is done with what is there.</param>
    /// <param name="ByNames">The names of owners are wanted.</param>
    public sealed record Begin(GrantMode Mode, bool ByNames) : GrantRequest;

    /// <summary>The next piece. Answered with one byte, a <see cref="PieceState"/>, and the piece where there is one.</summary>
    /// <param name="Run">Of this run.</param>
    /// <param name="Piece">Which; the first is 0.</param>
    /// <param name="Got">So many are there: they are not asked for again.</param>
    public sealed record Fetch(Id16 Run, long Piece, long Got) : GrantRequest;

    /// <summary>Files that need not be sent, of those before a mark. Answered with nothing.</summary>
    /// <param name="Run">Of this run.</param>
    /// <param name="Mark">Which mark; the first is 1.</param>
    /// <param name="Ranges">Handles, ascending: first, and how many.</param>
    public sealed record Unwanted(Id16 Run, int Mark, IReadOnlyList<(int First, int Count)> Ranges) : GrantRequest;

    /// <summary>How it came out. Answered with nothing; with an outcome that is an end, the grant is used.</summary>
    public sealed record Report(Id16 Run, GrantOutcome Outcome, long Files, long Bytes, long Missed) : GrantRequest;

    /// <summary>Bytes that a request may have which begins so; 0: there is none such.</summary>
    /// <param name="head">The first two bytes.</param>
    /// <param name="isProved">Who asks has proved to hold the grant.</param>
    public static int Most(ReadOnlySpan<byte> head, bool isProved) => head is not [Version, var kind] ? 0 : (RequestKind)kind switch
    {
        RequestKind.Hello or RequestKind.Prove => MostSmall,
        RequestKind.Begin or RequestKind.Fetch or RequestKind.Report => isProved ? MostSmall : 0,
        RequestKind.Unwanted => isProved ? MaxSize : 0,
        _ => 0,
    };

    public byte[] ToArray()
    {
        var writer = new ByteWriter();
        writer.U8(Version);
        switch (this)
        {
            case Prove prove:
                writer.U8((byte)RequestKind.Prove);
                writer.Id(prove.Agent);
                writer.Raw(prove.Nonce);
                writer.Raw(prove.Signature);
                writer.Raw(prove.Code);
                break;
            case Begin begin:
                writer.U8((byte)RequestKind.Begin);
                writer.U8((byte)begin.Mode);
                writer.U8(begin.ByNames ? (byte)1 : (byte)0);
                break;
            case Fetch next:
                writer.U8((byte)RequestKind.Fetch);
                writer.Id(next.Run);
                writer.Var((ulong)next.Piece);
                writer.Var((ulong)next.Got);
                break;
            case Unwanted unwanted:
                writer.U8((byte)RequestKind.Unwanted);
                writer.Id(unwanted.Run);
                writer.Var((ulong)unwanted.Mark);
                writer.Var((ulong)unwanted.Ranges.Count);
                var end = 0;
                foreach (var (first, count) in unwanted.Ranges)
                {
                    writer.Var((ulong)(first - end));
                    writer.Var((ulong)count);
                    end = first + count;
                }
                break;
            case Report report:
                writer.U8((byte)RequestKind.Report);
                writer.Id(report.Run);
                writer.U8((byte)report.Outcome);
                writer.Var((ulong)report.Files);
                writer.Var((ulong)report.Bytes);
                writer.Var((ulong)report.Missed);
                break;
            default:
                writer.U8((byte)RequestKind.Hello);
                break;
        }
        return writer.ToArray();
    }

    /// <summary>Total: any bytes are a request, or are none.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out GrantRequest? request)
    {
        var reader = new ByteReader(bytes);
        reader.Require(reader.U8() == Version);
        request = (RequestKind)reader.U8() switch
        {
            RequestKind.Hello => new Hello(),
            RequestKind.Prove => new Prove(reader.Id(), reader.Raw(AgentRequest.NonceSize).ToArray(), reader.Raw(Ed25519Signer.SignatureSize).ToArray(), reader.Raw(GrantProof.CodeSize).ToArray()),
            RequestKind.Begin => Begun(ref reader),
            RequestKind.Fetch => new Fetch(reader.Id(), Long(ref reader), Long(ref reader)),
            RequestKind.Unwanted => Named(ref reader),
            RequestKind.Report => Told(ref reader),
            _ => null,
        };
        if (!reader.IsDone)
            request = null;
        return request is not null;
    }

    internal static long Long(ref ByteReader reader)
    {
        var value = reader.Var();
        reader.Require(value <= long.MaxValue);
        return (long)value;
    }

    static Begin Begun(ref ByteReader reader)
    {
        var (mode, names) = ((GrantMode)reader.U8(), reader.U8());
        reader.Require(Enum.IsDefined(mode) && names <= 1);
        return new Begin(mode, names == 1);
    }

    static Unwanted Named(ref ByteReader reader)
    {
        var (run, mark) = (reader.Id(), reader.Count(int.MaxValue));
        var ranges = new (int First, int Count)[reader.Count(Math.Min(MostRanges, reader.Remaining / 2))];
        var end = 0;
        for (var i = 0; i < ranges.Length && !reader.Failed; i++)
        {
            var first = end + reader.Count(int.MaxValue - end);
            ranges[i] = (first, reader.Count(int.MaxValue - first));
            reader.Require(ranges[i].Count > 0);
            end = first + ranges[i].Count;
        }
        return new Unwanted(run, mark, ranges);
    }

    static Report Told(ref ByteReader reader)
    {
        var (run, outcome) = (reader.Id(), (GrantOutcome)reader.U8());
        reader.Require(Enum.IsDefined(outcome));
        return new Report(run, outcome, Long(ref reader), Long(ref reader), Long(ref reader));
    }
}

/// <summary>What an agent shows to a clean room. It is another than what gateways are shown: what is shown to one is worth nothing at the other.</summary>
public static class GrantProof
{
    /// <summary>Bytes of what is shown of the code.</summary>
    public const int CodeSize = 32;

    /// <summary>Bytes of a code; as people carry it: <see cref="EnrolmentTokens.Written"/>.</summary>
    public const int SecretSize = EnrolmentTokens.Size;

    static ReadOnlySpan<byte> Label => "holdfast/v1/grant-proof"u8;
    static ReadOnlySpan<byte> CodeLabel => "holdfast/v1/grant-code"u8;

    /// <summary>What the agent signs.</summary>
    /// <param name="vault">Vault id.</param>
    /// <param name="agent">Who signs.</param>
    /// <param name="nonce">The clean room's.</param>
    /// <param name="client">Fingerprint of the agent's certificate.</param>
    /// <param name="server">Of the clean room's.</param>
    public static byte[] SignedBytes(Id16 vault, Id16 agent, ReadOnlySpan<byte> nonce, Hash32 client, Hash32 server) => AgentProof.SignedBytes(Label, vault, agent, nonce, client, server);

    /// <summary>What shows that somebody has the code, to who has it too: whoever else takes it in has nothing to use.</summary>
    /// <param name="code">The code.</param>
    /// <param name="vault">As above.</param>
    public static byte[] OfCode(ReadOnlySpan<byte> code, Id16 vault, Id16 agent, ReadOnlySpan<byte> nonce, Hash32 client, Hash32 server) =>
        HMACSHA256.HashData(code, AgentProof.SignedBytes(CodeLabel, vault, agent, nonce, client, server));
}
