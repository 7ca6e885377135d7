using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Reads extended attributes, POSIX ACLs among them, as the kernel gives them.</summary>
static unsafe class Xattrs
{
    const int ListSize = 65_536; // XATTR_LIST_MAX

    /// <summary>Attributes of an open file; null where there are none or the file system has none.</summary>
    public static byte[]? Of(int file) => Read((list, size) => Native.ListXattrs(file, (byte*)list, size), (name, value, size) => Native.GetXattr(file, (byte*)name, (byte*)value, size),
        () => Native.ListXattrs(file, null, 0));

    /// <summary>Attributes of a name in an open folder, symlinks not followed.</summary>
    public static byte[]? Of(int folder, ReadOnlySpan<byte> name)
    {
        var path = new byte[64 + name.Length];
        var prefix = "/proc/self/fd/"u8;
        prefix.CopyTo(path);
        _ = System.Buffers.Text.Utf8Formatter.TryFormat(folder, path.AsSpan(prefix.Length), out var digits);
        var at = prefix.Length + digits;
        path[at++] = (byte)'/';
        name.CopyTo(path.AsSpan(at));
        fixed (byte* p = path)
        {
            var start = (nint)p;
            return Read((list, size) => Native.ListXattrs((byte*)start, (byte*)list, size), (n, value, size) => Native.GetXattr((byte*)start, (byte*)n, (byte*)value, size),
                () => Native.ListXattrs((byte*)start, null, 0));
        }
    }

    delegate nint Lister(nint list, nuint size);

    delegate nint Getter(nint name, nint value, nuint size);

    static byte[]? Read(Lister list, Getter get, Func<nint> measure)
    {
        var length = measure();
        if (length <= 0)
            return null; // none, or not supported here
        var names = new byte[ListSize];
        var value = new byte[XattrList.MaxValue];
        var found = new List<(byte[], byte[])>();
        fixed (byte* n = names)
        fixed (byte* v = value)
        {
            length = list((nint)n, ListSize);
            if (length <= 0)
                return null;
            for (var at = 0; at < length && found.Count < XattrList.MaxCount;)
            {
                var end = names.AsSpan(at, (int)length - at).IndexOf((byte)0);
                if (end <= 0)
                    break;
                var size = get((nint)(n + at), (nint)v, (nuint)value.Length);
                if (size >= 0)
                    found.Add((names[at..(at + end)], value[..(int)size]));
                at += end + 1;
            }
        }
        return found.Count == 0 ? null : XattrList.Encode(found);
    }
}
