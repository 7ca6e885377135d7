using System.Buffers.Binary;
using System.IO.Compression;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>gzip (RFC 1952), unpacked: the checksum and length of each member are compared, and nothing stands behind the last but zeros. .NET's own takes a file that was cut for a whole one.</summary>
/// <remarks>How far the decoder read beyond the end of a member it does not tell: the trailer is looked for, all eight bytes of it, where it may have stopped.</remarks>
sealed class GzipDump(DumpFile dump, CancellationToken ct) : Stream
{
    const int ReadAhead = 1 << 16; // bytes: more than the decoder asks for at once
    const int Trailer = 8; // bytes
    const int MostName = 1 << 16; // bytes, also of a comment

    long _at; // the next member
    Stream? _packed;
    DeflateStream? _plain;
    long _begin; // of this member's data
    Crc32 _crc;
    uint _length;
    bool _isEmpty = true; // so far

    /// <param name="dump">The file.</param>
    /// <param name="inner">Reads what is in it, as far as it likes.</param>
    /// <param name="ct">Ends it.</param>
    public static string? Fault(DumpFile dump, Func<Stream, string?> inner, CancellationToken ct)
    {
        Span<byte> magic = stackalloc byte[3];
        if (!dump.TryRead(0, magic) || magic is not [0x1F, 0x8B, 8])
            return "it is not gzip";
        using var plain = new GzipDump(dump, ct);
        return inner(plain) ?? DumpCheck.ToEnd(plain, ct) ?? (plain._isEmpty ? DumpCheck.Empty : null);
    }

    public override int Read(Span<byte> buffer)
    {
        while (_plain is not null || Begin())
        {
            ct.ThrowIfCancellationRequested();
            var read = _plain!.Read(buffer);
            if (read > 0 || buffer.IsEmpty)
            {
                _crc.Add(buffer[..read]);
                _length += (uint)read;
                _isEmpty &= read == 0;
                return read;
            }
            End();
        }
        return 0;
    }

    /// <summary>False where no member follows.</summary>
    bool Begin()
    {
        if (_at >= dump.Length)
            return false;
        Span<byte> head = stackalloc byte[10];
        if (!dump.TryRead(_at, head[..1]))
            throw new EndOfStreamException();
        if (head[0] == 0)
        {
            RequireZeros();
            return false;
        }
        if (!dump.TryRead(_at, head))
            throw new EndOfStreamException();
        if (head is not [0x1F, 0x8B, 8, < 0x20, ..])
            throw new InvalidDataException();
        _begin = AfterHeader(head[3]);
        if (_begin > dump.Length)
            throw new EndOfStreamException();
        _packed = dump.Part(_begin, dump.Length - _begin);
        _plain = new DeflateStream(_packed, CompressionMode.Decompress);
        (_crc, _length) = (new Crc32(), 0);
        return true;
    }

    long AfterHeader(byte flags)
    {
        var at = _at + 10;
        Span<byte> size = stackalloc byte[2];
        if ((flags & 4) != 0) // extra fields
        {
            if (!dump.TryRead(at, size))
                throw new EndOfStreamException();
            at += 2 + BinaryPrimitives.ReadUInt16LittleEndian(size);
        }
        for (var texts = (flags >> 3 & 1) + (flags >> 4 & 1); texts > 0; texts--) // name and comment
            at = AfterZero(at);
        return at + ((flags & 2) != 0 ? 2 : 0);
    }

    long AfterZero(long at)
    {
        var text = new byte[Math.Min(MostName, Math.Max(0, dump.Length - at))];
        return dump.TryRead(at, text) && Array.IndexOf(text, (byte)0) is var end and >= 0 ? at + end + 1 : throw new EndOfStreamException();
    }

    void End()
    {
        var read = _begin + _packed!.Position;
        var first = Math.Max(_begin, read - ReadAhead);
        var window = new byte[Math.Min(dump.Length, read + Trailer) - first];
        Span<byte> trailer = stackalloc byte[Trailer];
        BinaryPrimitives.WriteUInt32LittleEndian(trailer, _crc.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(trailer[4..], _length);
        if (!dump.TryRead(first, window) || window.AsSpan().IndexOf(trailer) is var found && found < 0)
            throw new EndOfStreamException();
        _at = first + found + Trailer;
        // Of an empty member the trailer is of zeros, as the byte before it is: where another is next, it ends right before that.
        for (var at = found; at < window.Length - Trailer && !IsBegun(_at) && window.AsSpan(at + 1).StartsWith(trailer); at++)
            _at++;
        _plain!.Dispose();
        (_plain, _packed) = (null, null);
    }

    bool IsBegun(long at)
    {
        Span<byte> magic = stackalloc byte[3];
        return dump.TryRead(at, magic) && magic is [0x1F, 0x8B, 8];
    }

    void RequireZeros()
    {
        using var rest = dump.Part(_at, dump.Length - _at);
        var buffer = new byte[1 << 16];
        while (rest.Read(buffer) is var read and > 0)
        {
            if (buffer.AsSpan(0, read).IndexOfAnyExcept((byte)0) >= 0)
                throw new InvalidDataException();
        }
        _at = dump.Length;
    }

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
        // Nothing is written.
    }

    protected override void Dispose(bool disposing)
    {
        _plain?.Dispose();
        base.Dispose(disposing);
    }
}
