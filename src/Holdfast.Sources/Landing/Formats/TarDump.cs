using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>tar (ustar, GNU, pax): the checksum of each header, all that each entry has, and the two empty blocks at its end. An appliance (OVA) begins with its description, and what its manifest names by SHA-256 is compared.</summary>
static class TarDump
{
    const int Block = 512; // bytes
    const int MostText = 1 << 20; // bytes of a pax header, or of a manifest
    const int MostDigests = 10_000;
    const string Damaged = "a header in it is damaged";

    public static string? Fault(Stream stream, bool isAppliance, CancellationToken ct)
    {
        var header = new byte[Block];
        var buffer = new byte[1 << 17];
        var digests = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        var manifest = "";
        long? longer = null; // what a pax header says of the next entry's size
        for (var count = 0; ; count++)
        {
            ct.ThrowIfCancellationRequested();
            stream.ReadExactly(header);
            if (header.AsSpan().IndexOfAnyExcept((byte)0) < 0)
            {
                stream.ReadExactly(header);
                if (header.AsSpan().IndexOfAnyExcept((byte)0) >= 0)
                    return Damaged;
                return count == 0 ? "there is nothing in it" : isAppliance ? ManifestFault(manifest, digests) : null;
            }
            if (!IsSummed(header) || Number(header.AsSpan(124, 12)) is not { } size)
                return Damaged;
            var kind = (char)header[156];
            size = kind is >= '1' and <= '6' ? 0 : kind is not ('x' or 'g' or 'L' or 'K') && longer is { } said ? said : size;
            var name = Encoding.Latin1.GetString(header.AsSpan(0, header.AsSpan(0, 100).IndexOf((byte)0) is var end and >= 0 ? end : 100));
            if (isAppliance && count == 0 && !name.EndsWith(".ovf", StringComparison.OrdinalIgnoreCase))
                return "it does not begin with the description of an appliance";
            if (kind == 'S' && header[482] != 0 && !SkipSparse(stream, header))
                return Damaged;
            if (kind == 'x')
            {
                if (size > MostText)
                    return Damaged;
                var text = Read(stream, size, buffer);
                longer = PaxSize(text);
                continue;
            }
            if (isAppliance && name.EndsWith(".mf", StringComparison.OrdinalIgnoreCase) && size <= MostText)
                manifest = Encoding.Latin1.GetString(Read(stream, size, buffer));
            else if (isAppliance && digests.Count < MostDigests)
                digests[name] = Digest(stream, size, buffer, ct);
            else
                Skip(stream, size, buffer, ct);
            if (kind is not ('g' or 'L' or 'K'))
                longer = null;
        }
    }

    static bool IsSummed(ReadOnlySpan<byte> header)
    {
        var (plain, signed) = (8 * ' ', 8 * ' '); // the field itself counts as spaces; old programs added bytes as signed
        for (var i = 0; i < Block; i++)
        {
            if (i is >= 148 and < 156)
                continue;
            plain += header[i];
            signed += (sbyte)header[i];
        }
        return Number(header.Slice(148, 8)) is { } sum && (sum == plain || sum == signed);
    }

    /// <summary>Octal digits, or, with the highest bit, a number of as many bytes; null for neither.</summary>
    static long? Number(ReadOnlySpan<byte> field)
    {
        var value = 0L;
        if ((field[0] & 0x80) != 0)
        {
            for (var i = 0; i < field.Length; i++)
            {
                if (value >> 54 != 0)
                    return null;
                value = value * 256 + (i == 0 ? field[0] & 0x7F : field[i]);
            }
            return value;
        }
        field = field.Trim(" \0"u8);
        foreach (var digit in field)
        {
            if (digit is < (byte)'0' or > (byte)'7')
                return null;
            value = value << 3 | (byte)(digit - '0');
        }
        return value;
    }

    /// <summary>An old GNU header of a file with holes goes on in further blocks.</summary>
    static bool SkipSparse(Stream stream, byte[] block)
    {
        const int most = 1_000_000;
        for (var i = 0; i < most; i++)
        {
            stream.ReadExactly(block);
            if (block[504] == 0)
                return true;
        }
        return false;
    }

    /// <summary>Records are "LENGTH KEY=VALUE\n".</summary>
    static long? PaxSize(ReadOnlySpan<byte> text)
    {
        long? size = null;
        while (text.IndexOf((byte)' ') is var space and > 0 && int.TryParse(text[..space], NumberStyles.None, CultureInfo.InvariantCulture, out var length) && length > space + 1 && length <= text.Length)
        {
            var record = text[(space + 1)..(length - 1)];
            if (record.StartsWith("size="u8) && long.TryParse(record[5..], NumberStyles.None, CultureInfo.InvariantCulture, out var said))
                size = said;
            text = text[length..];
        }
        return size;
    }

    static byte[] Read(Stream stream, long size, byte[] buffer)
    {
        var bytes = new byte[size];
        stream.ReadExactly(bytes);
        stream.ReadExactly(buffer, 0, Padding(size));
        return bytes;
    }

    static byte[] Digest(Stream stream, long size, byte[] buffer, CancellationToken ct)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Pass(stream, size, buffer, part => hash.AppendData(buffer, 0, part), ct);
        return hash.GetHashAndReset();
    }

    static void Skip(Stream stream, long size, byte[] buffer, CancellationToken ct) => Pass(stream, size, buffer, _ => { }, ct);

    static void Pass(Stream stream, long size, byte[] buffer, Action<int> use, CancellationToken ct)
    {
        for (var left = size; left > 0;)
        {
            ct.ThrowIfCancellationRequested();
            var part = (int)Math.Min(left, buffer.Length);
            stream.ReadExactly(buffer, 0, part);
            use(part);
            left -= part;
        }
        stream.ReadExactly(buffer, 0, Padding(size));
    }

    static int Padding(long size) => (int)((Block - size % Block) % Block);

    /// <summary>Lines are "SHA256(NAME)= HEX".</summary>
    static string? ManifestFault(string manifest, Dictionary<string, byte[]> digests)
    {
        foreach (var line in manifest.Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith("SHA256", StringComparison.OrdinalIgnoreCase)))
        {
            var (open, close, equals) = (line.IndexOf('(', StringComparison.Ordinal), line.LastIndexOf(')'), line.LastIndexOf('='));
            if (open < 0 || close < open || equals < close)
                return "its manifest makes no sense";
            if (!digests.TryGetValue(line[(open + 1)..close], out var digest) || !Convert.ToHexString(digest).Equals(line[(equals + 1)..].Trim(), StringComparison.OrdinalIgnoreCase))
                return "something in it is not what its manifest says";
        }
        return null;
    }
}
