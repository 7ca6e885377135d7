using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Reads extended attributes, POSIX ACLs among them, as the kernel gives them.</summary>
/// <remarks>An ACL that is lost gives the owning group the rights of the ACL's mask: what cannot be read is an error, given with what could be.</remarks>
static unsafe class Xattrs
{
    const int ListSize = 65_536; // XATTR_LIST_MAX

    /// <summary>Attributes of an open file; null where there are none or the file system has none.</summary>
    /// <param name="file">Open for reading.</param>
    /// <param name="error">Why not all of them could be read; 0 where they could.</param>
    public static byte[]? Of(int file, out int error) => Read((list, size) => Native.ListXattrs(file, (byte*)list, size), (name, value, size) => Native.GetXattr(file, (byte*)name, (byte*)value, size),
        () => Native.ListXattrs(file, null, 0), out error);

    /// <summary>As <see cref="Of(int, out int)"/>, of a name in an open folder, symlinks not followed.</summary>
    public static byte[]? Of(int folder, ReadOnlySpan<byte> name, out int error)
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
                () => Native.ListXattrs((byte*)start, null, 0), out error);
        }
    }

    /// <summary>The names of an open file's attributes that a snapshot lacks, and that somebody has set there; null where they cannot be read.</summary>
    /// <remarks>Left out: what the system sets by itself (labels of the security modules; an ACL that xfs shows a second time; what a folder hands down, as of btrfs), and all of <c>system.</c>, which
    /// is the file system's own view; its ACLs are seen to elsewhere.</remarks>
    /// <param name="file">Open for reading.</param>
    /// <param name="known">The snapshot's, encoded.</param>
    public static List<byte[]>? Others(int file, byte[]? known)
    {
        var length = Native.ListXattrs(file, null, 0);
        if (length <= 0)
            return length == 0 || Loss() == 0 ? [] : null;
        var names = new byte[ListSize];
        fixed (byte* n = names)
            length = Native.ListXattrs(file, n, ListSize);
        if (length < 0)
            return Loss() == 0 ? [] : null;
        var others = new List<byte[]>();
        foreach (var part in names.AsSpan(0, (int)length).Split((byte)0))
        {
            var name = names.AsSpan(0, (int)length)[part];
            if (!name.IsEmpty && IsSetBySomebody(name) && !XattrList.Has(known, name))
                others.Add(name.ToArray());
        }
        return others;
    }

    static bool IsSetBySomebody(ReadOnlySpan<byte> name) => name.StartsWith("user."u8)
        || (name.StartsWith("trusted."u8) && !IsOfTheFileSystem(name["trusted.".Length..]))
        || (name.StartsWith("security."u8) && !(name.SequenceEqual("security.selinux"u8) || name.SequenceEqual("security.ima"u8) || name.SequenceEqual("security.evm"u8) || name.SequenceEqual("security.apparmor"u8) || name.StartsWith("security.SMACK64"u8)));

    /// <summary>What xfs, overlayfs, Gluster and Lustre keep there for themselves.</summary>
    static bool IsOfTheFileSystem(ReadOnlySpan<byte> name) => name.StartsWith("SGI_ACL_"u8) || name.StartsWith("overlay."u8) || name.StartsWith("glusterfs."u8) || name.StartsWith("gfid"u8) || name.StartsWith("afr."u8)
        || name.SequenceEqual("lov"u8) || name.SequenceEqual("lma"u8) || name.SequenceEqual("lmv"u8) || name.SequenceEqual("dmv"u8) || name.SequenceEqual("link"u8) || name.SequenceEqual("fid"u8) || name.SequenceEqual("som"u8) || name.SequenceEqual("hsm"u8)
        || name.SequenceEqual("version"u8);

    delegate nint Lister(nint list, nuint size);

    delegate nint Getter(nint name, nint value, nuint size);

    static byte[]? Read(Lister list, Getter get, Func<nint> measure, out int error)
    {
        var length = measure();
        error = length < 0 ? Loss() : 0;
        if (length <= 0)
            return null;
        var names = new byte[ListSize];
        var value = new byte[XattrList.MaxValue];
        var found = new List<(byte[], byte[])>();
        var left = XattrList.MaxBytes - 2; // the number of attributes
        fixed (byte* n = names)
        fixed (byte* v = value)
        {
            length = list((nint)n, ListSize);
            error = length < 0 ? Loss() : 0;
            for (var at = 0; at < length;)
            {
                var end = names.AsSpan(at, (int)length - at).IndexOf((byte)0);
                if (end <= 0)
                    break;
                var size = get((nint)(n + at), (nint)v, (nuint)value.Length);
                var cost = end + (int)size + 5; // name, value and their lengths
                if (size < 0)
                {
                    error = Loss() is not 0 and var loss ? loss : error;
                }
                else if (found.Count == XattrList.MaxCount || cost > left)
                {
                    error = Native.E2Big;
                }
                else
                {
                    left -= cost;
                    found.Add((names[at..(at + end)], value[..(int)size]));
                }
                at += end + 1;
            }
        }
        return found.Count == 0 ? null : XattrList.Encode(found);
    }

    /// <summary>The error at hand, unless it says that there is nothing (any more), or that the file system has none. Room is never too small: it is as much as the kernel gives.</summary>
    static int Loss() => Native.Error is var error and not (Native.ENoData or Native.EOpNotSupp) ? error : 0;
}
