using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Crypto;

/// <summary>One printed share of a vault's opening seed.</summary>
/// <remarks>
/// 70 bytes (integers little-endian):
/// <code>
/// vault id     16
/// epoch         4   u32
/// set id        8   random, one for each splitting
/// threshold     1   m, 1 to n
/// index         1   1 to n: the x of this share
/// total         1   n
/// seed check    4   Kdf(seed, "holdfast/v1/seed-check", vault id ‖ epoch)
/// payload      32   see <see cref="Shamir"/>
/// share check   3   first bytes of SHA-256("holdfast/v1/share-check" ‖ the 67 bytes before)
/// </code>
/// In text they are seven lines of 10 bytes (<see cref="ShareLine"/>) in five groups of four characters. Check words: the first four
/// bytes of SHA-256("holdfast/v1/share-words" ‖ all 70 bytes) in <see cref="CheckWords"/>; to be read aloud without giving the share away.
/// </remarks>
public sealed class RecoveryShare : IDisposable
{
    public const int Size = 70; // bytes
    public const int Lines = Size / ShareLine.Bytes; // 7
    public const int MaxTextLength = 4096; // characters
    internal const int SetIdSize = 8;
    internal const int SeedCheckSize = 4;
    internal const int PayloadSize = OpeningKeyFile.SeedSize;
    const int ShareCheckSize = 3;
    const string Header = "HOLDFAST SHARE 1";
    const string QrHeader = "HOLDFAST-SHARE-1:";

    readonly SecretBytes _bytes;

    RecoveryShare(SecretBytes bytes, Id16 vaultId, uint epoch, ulong setId, byte threshold, byte index, byte total)
    {
        (_bytes, VaultId, Epoch, SetId, Threshold, Index, Total) = (bytes, vaultId, epoch, setId, threshold, index, total);
        Payload = new SecretBytes(bytes.Span.Slice(Size - ShareCheckSize - PayloadSize, PayloadSize));
    }

    public Id16 VaultId { get; }
    public uint Epoch { get; }

    /// <summary>Shares with another set id are of another splitting, and do not combine with this one.</summary>
    public ulong SetId { get; }

    /// <summary>How many shares of the set give the seed.</summary>
    public int Threshold { get; }

    /// <summary>Which share this is, from 1.</summary>
    public int Index { get; }

    /// <summary>How many shares the set has.</summary>
    public int Total { get; }

    /// <summary>Four words that change with any part of the share.</summary>
    public string Words
    {
        get
        {
            Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
            Hash(Labels.ShareWords, _bytes.Span, hash);
            return CheckWords.Of(hash[..4]);
        }
    }

    internal SecretBytes Payload { get; }

    internal ReadOnlySpan<byte> SeedCheck => _bytes.Span.Slice(Size - ShareCheckSize - PayloadSize - SeedCheckSize, SeedCheckSize);

    /// <summary>True where the two were made by one splitting, and so go together.</summary>
    public bool IsSameSet(RecoveryShare other) =>
        (VaultId, Epoch, SetId, Threshold, Total) == (other.VaultId, other.Epoch, other.SetId, other.Threshold, other.Total)
        && SeedCheck.SequenceEqual(other.SeedCheck);

    internal static RecoveryShare Create(
        Id16 vaultId, uint epoch, ulong setId, int threshold, int index, int total, ReadOnlySpan<byte> seedCheck,
        ReadOnlySpan<byte> payload)
    {
        var w = new ByteWriter(Size);
        w.Id(vaultId);
        w.U32(epoch);
        w.U64(setId);
        w.U8((byte)threshold);
        w.U8((byte)index);
        w.U8((byte)total);
        w.Raw(seedCheck);
        w.Raw(payload);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        Hash(Labels.ShareCheck, w.Span, hash);
        w.Raw(hash[..ShareCheckSize]);
        var bytes = new SecretBytes(w.Span);
        w.Rewind(0);
        w.Reserve(Size).Clear();
        return new RecoveryShare(bytes, vaultId, epoch, setId, (byte)threshold, (byte)index, (byte)total);
    }

    /// <summary>For people: a header, then seven numbered lines <c>1: XXXX XXXX XXXX XXXX XXXX</c>, each ended by a line feed.</summary>
    public string ToText()
    {
        var text = new StringBuilder().Append(Header).Append('\n');
        for (var line = 1; line <= Lines; line++)
            text.Append(line).Append(": ").AppendJoin(' ', LineText(line).Chunk(4).Select(group => new string(group))).Append('\n');
        return text.ToString();
    }

    /// <summary>For a QR code: the same characters on one line after <c>HOLDFAST-SHARE-1:</c>, all in QR's alphanumeric set.</summary>
    public string ToQrText() => QrHeader + string.Concat(Enumerable.Range(1, Lines).Select(LineText));

    string LineText(int line)
    {
        Span<byte> symbols = stackalloc byte[ShareLine.Symbols];
        ShareLine.Encode(line, _bytes.Span.Slice((line - 1) * ShareLine.Bytes, ShareLine.Bytes), symbols);
        Span<char> characters = stackalloc char[ShareLine.Symbols];
        for (var i = 0; i < symbols.Length; i++)
            characters[i] = ShareLine.Alphabet[symbols[i]];
        return new string(characters);
    }

    /// <summary>Reads either text form, as a person may type it: any case, O for 0, I or L for 1, with spaces, hyphens, line numbers and
    /// header, or without. Total.</summary>
    public static bool TryParse(
        ReadOnlySpan<char> text, [NotNullWhen(true)] out RecoveryShare? share, [NotNullWhen(false)] out ShareFault? fault)
    {
        share = null;
        if (!ShareText.TryRead(text, out var lines, out fault))
            return false;

        var bytes = new SecretBytes(Size);
        for (var line = 1; line <= Lines && fault is null; line++)
        {
            var data = bytes.Span.Slice((line - 1) * ShareLine.Bytes, ShareLine.Bytes);
            if (!ShareLine.TryDecode(line, lines[line - 1], data, out var suspect, out var other))
                fault = other != 0 ? new ShareFault(line, 0, $"this is line {other} of a share, typed in the place of line {line}.")
                    : suspect != 0 ? new ShareFault(line, suspect, "this character is probably wrong; the line's check does not fit.")
                    : new ShareFault(line, 0, "the line's check does not fit; compare each character with the print.");
        }
        if (fault is null)
            share = Read(bytes, out fault);
        if (share is null)
            bytes.Dispose();
        return share is not null && fault is null;
    }

    /// <param name="text">Either text form.</param>
    /// <param name="name">What the person calls this share, e.g. "share 2"; stands in the message.</param>
    /// <exception cref="HoldfastException"><see cref="ErrorCode.ShareBad"/>, naming the line.</exception>
    public static RecoveryShare Parse(ReadOnlySpan<char> text, string name) => TryParse(text, out var share, out var fault)
        ? share
        : throw new HoldfastException(ErrorCode.ShareBad, $"{name} cannot be read. {fault}",
            "Compare it with the print, line by line, and type it again; or scan its QR code.");

    static RecoveryShare? Read(SecretBytes bytes, out ShareFault? fault)
    {
        fault = null;
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        Hash(Labels.ShareCheck, bytes.Span[..^ShareCheckSize], hash);
        var r = new ByteReader(bytes.Span);
        var (vaultId, epoch, setId) = (r.Id(), r.U32(), r.U64());
        var (threshold, index, total) = (r.U8(), r.U8(), r.U8());
        if (!hash[..ShareCheckSize].SequenceEqual(bytes.Span[^ShareCheckSize..]))
            fault = new ShareFault(0, 0,
                "Each line is right by itself, but they are not lines of one share: type all seven from one sheet.");
        else if (threshold < 1 || threshold > total || index < 1 || index > total)
            fault = new ShareFault(0, 0, "The share names a number of shares that cannot be.");
        return fault is null ? new RecoveryShare(bytes, vaultId, epoch, setId, threshold, index, total) : null;
    }

    static void Hash(ReadOnlySpan<byte> label, ReadOnlySpan<byte> bytes, Span<byte> hash)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(label);
        sha.AppendData(bytes);
        sha.GetHashAndReset(hash);
    }

    public void Dispose()
    {
        _bytes.Dispose();
        Payload.Dispose();
    }

    /// <summary>Which share it is; never what it holds.</summary>
    public override string ToString() => $"share {Index} of {Total}, set {SetId:x16}";
}
