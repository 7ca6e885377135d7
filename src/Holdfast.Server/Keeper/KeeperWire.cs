using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Codec;
using Holdfast.Core.Storage;

namespace Holdfast.Server.Keeper;

/// <summary>What client and server of a keeper have in common (docs/protocol.md).</summary>
static class KeeperWire
{
    /// <summary>Begins a line of a list: something that is stored, by name, copy and size; a file that does not belong, by size and path; the list's end, without which it was cut off.</summary>
    public const byte ListStored = 0;
    public const byte ListForeign = 1;
    public const byte ListEnd = 255;

    public const int StoredSize = Hash32.Size + 1 + 8; // bytes
    const int MaxPath = 1_024; // bytes

    public static byte[] Listed(StoredName item)
    {
        var line = new ByteWriter(64);
        if (item.Name.IsNone)
        {
            // Below the folder of its kind: where that folder is, is not the client's.
            var path = Encoding.UTF8.GetBytes(string.Join('/', (item.Path ?? "").Split('/').TakeLast(2)));
            line.U8(ListForeign);
            line.I64(item.Size);
            line.U16((ushort)Math.Min(path.Length, MaxPath));
            line.Raw(path.AsSpan(0, Math.Min(path.Length, MaxPath)));
            return line.ToArray();
        }
        line.U8(ListStored);
        line.Hash(item.Name);
        line.U8((byte)item.Copy);
        line.I64(item.Size);
        return line.ToArray();
    }

    /// <summary>The next line of a list; null at its end.</summary>
    /// <param name="kind">Of the list.</param>
    /// <param name="stream">Has it.</param>
    /// <param name="place">Before the paths of what does not belong.</param>
    /// <exception cref="EndOfStreamException">It was cut off.</exception>
    /// <exception cref="InvalidDataException">It makes no sense.</exception>
    public static StoredName? Next(StoreKind kind, Stream stream, string place)
    {
        Span<byte> line = stackalloc byte[StoredSize];
        stream.ReadExactly(line[..1]);
        switch (line[0])
        {
            case ListEnd:
                return null;
            case ListStored:
                stream.ReadExactly(line);
                var size = BinaryPrimitives.ReadInt64LittleEndian(line[(Hash32.Size + 1)..]);
                return size >= 0 ? new StoredName(kind, new Hash32(line[..Hash32.Size]), line[Hash32.Size], size) : throw new InvalidDataException();
            case ListForeign:
                stream.ReadExactly(line[..10]);
                var (length, count) = (BinaryPrimitives.ReadInt64LittleEndian(line), BinaryPrimitives.ReadUInt16LittleEndian(line[8..]));
                if (length < 0 || count > MaxPath)
                    throw new InvalidDataException();
                var path = new byte[count];
                stream.ReadExactly(path);
                return new StoredName(kind, Hash32.None, 0, length, $"{place}{Kind(kind)}/{Encoding.UTF8.GetString(path)}");
            default:
                throw new InvalidDataException();
        }
    }

    public static string Kind(StoreKind kind) => kind == StoreKind.Pack ? "packs" : "objects";

    public static bool TryKind(string text, out StoreKind kind)
    {
        kind = text == "packs" ? StoreKind.Pack : StoreKind.Object;
        return text is "packs" or "objects";
    }

    /// <summary>The part of a file that `bytes=FROM-TO` asks for, within what there is; all of it for anything else.</summary>
    public static (long From, long Count) Range(string header, long size)
    {
        if (!header.StartsWith("bytes=", StringComparison.Ordinal) || header[6..].Split('-') is not [var first, var last]
            || !long.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out var from) || !long.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out var to))
            return (0, size);
        from = Math.Min(from, size);
        return (from, Math.Clamp(to - from + 1, 0, size - from));
    }
}
