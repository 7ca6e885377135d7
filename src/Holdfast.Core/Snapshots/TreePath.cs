namespace Holdfast.Core.Snapshots;

/// <summary>Paths of a tree: bytes, components joined by '/', none at either end; the root is the empty path.</summary>
/// <remarks>Tree order is depth-first, a folder before what it holds, siblings by their bytes: that is byte order with '/' below every
/// other byte (docs/format.md, section 9).</remarks>
public static class TreePath
{
    public const int MaxLength = 65_535; // bytes
    public const int MaxName = 1_024; // bytes
    public const int MaxDepth = 8_192; // components

    public static int Compare(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        var same = left.CommonPrefixLength(right);
        if (same == left.Length || same == right.Length)
            return left.Length.CompareTo(right.Length);
        var l = left[same] == '/' ? 0 : left[same];
        var r = right[same] == '/' ? 0 : right[same];
        return l.CompareTo(r);
    }

    /// <summary>True where every component is a name that may exist: not empty, "." or "..", no NUL, within the limits.</summary>
    public static bool IsValid(ReadOnlySpan<byte> path)
    {
        if (path.IsEmpty)
            return true;
        if (path.Length > MaxLength || path.Contains((byte)0))
            return false;
        var depth = 0;
        while (true)
        {
            var end = path.IndexOf((byte)'/');
            var name = end < 0 ? path : path[..end];
            if (name.IsEmpty || name.Length > MaxName || name is [(byte)'.'] or [(byte)'.', (byte)'.'] || ++depth > MaxDepth)
                return false;
            if (end < 0)
                return true;
            path = path[(end + 1)..];
        }
    }

    /// <summary>True for what lies in a folder, at any depth.</summary>
    public static bool IsBelow(ReadOnlySpan<byte> path, ReadOnlySpan<byte> folder) =>
        folder.IsEmpty ? !path.IsEmpty : path.Length > folder.Length && path[folder.Length] == '/' && path.StartsWith(folder);

    /// <summary>The path of the folder that holds this one; empty for what lies in the root, and for the root itself.</summary>
    public static ReadOnlySpan<byte> Parent(ReadOnlySpan<byte> path) => path[..Math.Max(0, path.LastIndexOf((byte)'/'))];

    /// <summary>The last component; empty for the root.</summary>
    public static ReadOnlySpan<byte> Name(ReadOnlySpan<byte> path) => path[(path.LastIndexOf((byte)'/') + 1)..];
}
