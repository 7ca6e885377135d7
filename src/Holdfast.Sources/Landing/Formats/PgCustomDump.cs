using System.Buffers.Binary;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>pg_dump's custom format, as pg_backup_archiver.c and pg_backup_custom.c write it: the table of contents is read, and then every block of data to its end, so that a cut anywhere shows.</summary>
static class PgCustomDump
{
    const int MostEntries = 1_000_000;
    const int MostText = 1 << 28; // bytes of one string: a statement
    const byte Custom = 1; // archCustom
    const byte NoData = 3; // K_OFFSET_NO_DATA
    const byte Table = 1; // BLK_DATA
    const byte LargeObjects = 3; // BLK_BLOBS
    const string Damaged = "its table of contents makes no sense";

    public static string? Fault(Stream stream, CancellationToken ct)
    {
        var magic = new byte[11]; // magic, version of three parts, sizes of an integer and of an offset, format
        if (stream.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false) < magic.Length || !magic.AsSpan().StartsWith("PGDMP"u8))
            return "it does not begin as a custom dump of pg_dump does";
        var (major, minor) = (magic[5], magic[6]);
        if (major != 1 || minor is < 11 or > 16)
            return "it is of a version of pg_dump that is not known here";
        if (magic[8] is < 1 or > 8 || magic[9] is < 1 or > 8 || magic[10] != Custom)
            return Damaged;
        return new Reader(stream, minor, magic[8], magic[9], ct).Fault();
    }

    sealed class Reader(Stream stream, int version, int integerSize, int offsetSize, CancellationToken ct)
    {
        readonly byte[] _skipped = new byte[1 << 16];

        public string? Fault()
        {
            if (version >= 15)
                Byte(); // how it is compressed
            else
                Integer();
            for (var i = 0; i < 7; i++)
                Integer(); // when it was made
            if (!Text() || !Text() || !Text()) // the database, and both versions
                return Damaged;
            var count = Integer();
            if (count is < 0 or > MostEntries)
                return Damaged;
            var wanted = new HashSet<long>();
            for (var i = 0; i < count; i++)
            {
                if (!Entry(out var id, out var hasData))
                    return Damaged;
                if (hasData)
                    wanted.Add(id);
            }
            return Blocks(wanted);
        }

        bool Entry(out long id, out bool hasData)
        {
            id = Integer();
            hasData = false;
            Integer(); // whether there was a dumper
            if (!Text() || !Text() || !Text() || !Text()) // ids of catalogue, tag, kind
                return false;
            Integer(); // section
            var texts = 5 + (version >= 14 ? 1 : 0); // definition, its undoing, copy, namespace, tablespace; table access method
            for (var i = 0; i < texts; i++)
            {
                if (!Text())
                    return false;
            }
            if (version >= 16)
                Integer(); // kind of relation
            if (!Text() || !Text()) // owner, with oids
                return false;
            for (var isEnd = false; !isEnd;)
            {
                if (!Text(out isEnd)) // what it depends on
                    return false;
            }
            var state = Byte();
            Skip(offsetSize);
            hasData = state != NoData;
            return state is 1 or 2 or NoData;
        }

        string? Blocks(HashSet<long> wanted)
        {
            while (stream.ReadByte() is var kind and >= 0)
            {
                ct.ThrowIfCancellationRequested();
                if (kind is not (Table or LargeObjects))
                    return "a block of its data makes no sense";
                if (!wanted.Remove(Integer()))
                    return "it has data that its table of contents does not know";
                if (kind == Table ? !Data() : !Objects())
                    return "a block of its data makes no sense";
            }
            return wanted.Count == 0 ? null : "it ends before its end";
        }

        bool Objects()
        {
            while (Integer() != 0) // its id
            {
                if (!Data())
                    return false;
            }
            return true;
        }

        bool Data()
        {
            while (Integer() is var length && length != 0)
            {
                if (length < 0)
                    return false;
                Skip(length);
            }
            return true;
        }

        int Byte() => stream.ReadByte() is var b and >= 0 ? b : throw new EndOfStreamException();

        /// <summary>A sign, and the value's bytes, the lowest first.</summary>
        long Integer()
        {
            var isNegative = Byte() != 0;
            Span<byte> bytes = stackalloc byte[8];
            bytes.Clear();
            stream.ReadExactly(bytes[..integerSize]);
            var value = (long)(BinaryPrimitives.ReadUInt64LittleEndian(bytes) & long.MaxValue);
            return isNegative ? -value : value;
        }

        bool Text() => Text(out _);

        /// <param name="isNone">There is no string: a length below 0.</param>
        bool Text(out bool isNone)
        {
            var length = Integer();
            isNone = length < 0;
            if (length > MostText)
                return false;
            Skip(Math.Max(0, length));
            return true;
        }

        void Skip(long count)
        {
            while (count > 0)
            {
                ct.ThrowIfCancellationRequested();
                var part = (int)Math.Min(count, _skipped.Length);
                stream.ReadExactly(_skipped, 0, part);
                count -= part;
            }
        }
    }
}
