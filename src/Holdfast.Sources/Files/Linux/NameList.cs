using System.Buffers.Binary;

namespace Holdfast.Sources.Files.Linux;

/// <summary>The names of one folder in one buffer: a folder may have a million entries.</summary>
sealed unsafe class NameList
{
    const int BufferSize = 256 << 10; // bytes a call

    [ThreadStatic]
    static byte[]? _buffer;

    byte[] _bytes = new byte[4096];
    int[] _starts = new int[64]; // one more than there are names
    int[] _order = new int[64];
    int _count;

    public int Count => _count;

    public ReadOnlySpan<byte> this[int i] => Name(_order[i]);

    ReadOnlySpan<byte> Name(int number) => _bytes.AsSpan(_starts[number], _starts[number + 1] - _starts[number]);

    public void Clear()
    {
        _count = 0;
        _starts[0] = 0;
        if (_bytes.Length > 1 << 20)
            _bytes = new byte[4096]; // a huge folder's buffer is not kept
    }

    /// <summary>Reads all names but . and .. of an open folder. False where the system failed half way.</summary>
    public bool Read(int folder)
    {
        var buffer = _buffer ??= new byte[BufferSize];
        fixed (byte* p = buffer)
        {
            while (true)
            {
                var length = (int)Native.GetEntries(folder, p, BufferSize);
                if (length <= 0)
                    return length == 0;
                for (var at = 0; at < length;)
                {
                    // struct linux_dirent64: u64 inode, i64 offset, u16 record length, u8 type, name ended by NUL
                    var record = buffer.AsSpan(at);
                    var size = BinaryPrimitives.ReadUInt16LittleEndian(record[16..]);
                    var name = record[19..size];
                    name = name[..name.IndexOf((byte)0)];
                    if (!(name is [(byte)'.'] or [(byte)'.', (byte)'.']))
                        Add(name);
                    at += size;
                }
            }
        }
    }

    internal void Add(ReadOnlySpan<byte> name)
    {
        var start = _starts[_count];
        if (start + name.Length > _bytes.Length)
            Array.Resize(ref _bytes, Math.Max(start + name.Length, 2 * _bytes.Length));
        name.CopyTo(_bytes.AsSpan(start));
        if (_count + 2 > _starts.Length)
            Array.Resize(ref _starts, 2 * _starts.Length);
        _starts[++_count] = start + name.Length;
    }

    /// <summary>A name that is removed and made anew while its folder is read may be given twice (getdents64): it is kept once.</summary>
    public void Sort()
    {
        if (_order.Length < _count)
            _order = new int[Math.Max(_count, 2 * _order.Length)];
        for (var i = 0; i < _count; i++)
            _order[i] = i;
        _order.AsSpan(0, _count).Sort((l, r) => Name(l).SequenceCompareTo(Name(r)));
        var kept = Math.Min(1, _count);
        for (var i = 1; i < _count; i++)
        {
            if (!Name(_order[i]).SequenceEqual(Name(_order[kept - 1])))
                _order[kept++] = _order[i];
        }
        _count = kept;
    }

    public bool Contains(ReadOnlySpan<byte> name) => IndexOf(name) >= 0;

    public void KeepOnly(ReadOnlySpan<byte> name)
    {
        _order[0] = _order[IndexOf(name)];
        _count = 1;
    }

    int IndexOf(ReadOnlySpan<byte> name)
    {
        var (low, high) = (0, _count - 1);
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            var order = this[middle].SequenceCompareTo(name);
            if (order == 0)
                return middle;
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }
        return -1;
    }
}
