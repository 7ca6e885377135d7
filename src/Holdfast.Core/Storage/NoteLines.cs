using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Storage;

/// <summary>The lines of a note, one after the other as they are read: whoever owns the folder can put there what he likes, and it takes no memory. What is shorter or longer than a line of that
/// note ever is, is none of it, and passed over.</summary>
/// <remarks>Bytes are given as characters of the same number: notes are ASCII, and what is not will fail whoever reads the line.</remarks>
ref struct NoteLines
{
    const int BufferSize = 64 << 10; // bytes
    const int MaxSize = 256 << 20; // bytes of a note: twice what the longest one has

    readonly SafeFileHandle? _file;
    readonly int _shortest, _longest; // characters
    readonly byte[] _buffer = [];
    readonly char[] _line = [];
    int _at, _end; // of what is in the buffer
    int _left; // lines
    long _offset; // of what is read next

    /// <param name="file">Closed with this; null for no lines.</param>
    /// <param name="shortest">Characters of a line.</param>
    /// <param name="longest">Characters of a line.</param>
    /// <param name="most">How many such lines are given.</param>
    public NoteLines(SafeFileHandle? file, int shortest, int longest, int most)
    {
        (_file, _shortest, _longest, _left) = (file, shortest, longest, most);
        if (file is null)
            return;
        try
        {
            if (RandomAccess.GetLength(file) > MaxSize)
                _left = 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            file.Dispose();
            throw;
        }
        (_buffer, _line) = (new byte[BufferSize], new char[longest]);
    }

    public ReadOnlySpan<char> Current { get; private set; }

    public readonly NoteLines GetEnumerator() => this;

    /// <exception cref="IOException">What the disk reports.</exception>
    public bool MoveNext()
    {
        if (_file is null || _left == 0)
            return false;
        var isBegun = true; // false within a line that is too long
        while (true)
        {
            var rest = _buffer.AsSpan(_at.._end);
            var length = rest.IndexOf((byte)'\n');
            var isWhole = length >= 0;
            if (!isWhole && rest.Length <= _longest && Fill())
                continue;
            if (!isWhole)
                length = _end - _at;
            var line = _buffer.AsSpan(_at, length);
            _at += isWhole ? length + 1 : length;
            if (isBegun && length >= _shortest && length <= _longest)
            {
                _left--;
                Current = _line.AsSpan(0, Encoding.Latin1.GetChars(line, _line));
                return true;
            }
            if (!isWhole && length == 0)
                return false;
            isBegun = isWhole;
        }
    }

    /// <summary>False where there is no more, or none that counts.</summary>
    bool Fill()
    {
        _buffer.AsSpan(_at.._end).CopyTo(_buffer);
        (_at, _end) = (0, _end - _at);
        var read = _offset < MaxSize ? RandomAccess.Read(_file!, _buffer.AsSpan(_end), _offset) : 0; // it may be growing
        _offset += read;
        _end += read;
        return read > 0;
    }

    public readonly void Dispose() => _file?.Dispose();
}
