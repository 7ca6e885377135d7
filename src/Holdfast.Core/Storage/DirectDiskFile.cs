using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>A large file being written past the page cache: nobody reads a pack back soon, and copying it through the cache costs more than hashing it
/// (docs/performance.md). While one buffer is on its way to the disk the next is filled. Linux only; where the file system does not take it, the plain way is used.</summary>
sealed class DirectDiskFile : DiskFile
{
    const int BufferSize = 1 << 20; // bytes
    const long Room = 64 << 20; // bytes that such a file takes: a pack

    static readonly bool Arm = RuntimeInformation.ProcessArchitecture is Architecture.Arm64;
    static readonly int Direct = Arm ? 0x10000 : 0x4000; // O_DIRECT
    const int GetFlags = 3; // F_GETFL
    const int SetFlags = 4; // F_SETFL

    readonly SafeFileHandle _file;
    readonly string _folder;
    AlignedBuffer _buffer = new(BufferSize);
    int _filled;
    long _written; // and what is on its way
    DoubleBuffer? _double;

    DirectDiskFile(SafeFileHandle file, string folder) : base(file, folder) => (_file, _folder) = (file, folder);

    /// <summary>Makes a new file for direct writing; null where this system or file system has no such thing.</summary>
    public static DirectDiskFile? TryCreate(string path)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        var file = Libc.Open(path, Libc.WriteCreateNew | Direct, 0x180); // rw-------
        return file < 0 ? null : new DirectDiskFile(Leftovers.Hold(new SafeFileHandle(file, ownsHandle: true)), Path.GetDirectoryName(path)!);
    }

    public override long Length => _written + _filled;

    public override void Append(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var take = Math.Min(bytes.Length, BufferSize - _filled);
            bytes[..take].CopyTo(_buffer.Span[_filled..]);
            _filled += take;
            bytes = bytes[take..];
            if (_filled < BufferSize)
                continue;
            _double ??= new DoubleBuffer(BufferSize);
            var (full, at) = (_buffer, _written);
            _buffer = _double.Hand(full, () => Write(full.Span, at));
            _written += BufferSize;
            _filled = 0;
        }
    }

    public override void Sync()
    {
        _double?.Finish();
        var whole = _filled & ~(AlignedBuffer.Alignment - 1);
        if (whole > 0)
            Flush(whole);
        if (_filled > 0)
        {
            // The rest is no whole block: through the cache.
            _ = Libc.Fcntl(_file, SetFlags, Libc.Fcntl(_file, GetFlags, 0) & ~Direct);
            Flush(_filled);
        }
        base.Sync();
    }

    void Flush(int count)
    {
        Write(_buffer.Span[..count], _written);
        _written += count;
        _buffer.Span[count.._filled].CopyTo(_buffer.Span);
        _filled -= count;
    }

    void Write(ReadOnlySpan<byte> bytes, long at)
    {
        try
        {
            RandomAccess.Write(_file, bytes, at);
        }
        catch (Exception e) when (DiskFault.IsOfFile(e))
        {
            throw DiskFault.Of(e, _folder, Room);
        }
    }

    public override void Dispose()
    {
        _double?.Dispose(); // first: it writes to the file
        base.Dispose();
        _buffer.Dispose();
    }
}
