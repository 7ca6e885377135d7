using System.Buffers.Binary;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Users and groups that POSIX access control lists name by number, in the form the kernel gives them (linux/posix_acl_xattr.h): u32 version, then for each entry u16 tag, u16 rights, u32 id, little-endian.</summary>
static class AccessLists
{
    const int HeadSize = 4;
    const int EntrySize = 8;
    const ushort User = 0x02; // ACL_USER
    const ushort Group = 0x08; // ACL_GROUP

    static ReadOnlySpan<byte> Names => "system.posix_acl_"u8;

    /// <summary>Asks who they are.</summary>
    /// <param name="xattrs">As in a row; null for none.</param>
    /// <param name="owners">Is told of each.</param>
    public static void Meet(byte[]? xattrs, OwnerNames owners)
    {
        foreach (var (_, value) in Decode(xattrs) ?? [])
        {
            foreach (var (tag, id, _) in Entries(value))
                owners.MeetListed(id, isUser: tag == User);
        }
    }

    /// <summary>The same attributes, with other numbers in the lists.</summary>
    /// <param name="xattrs">As in a row; null for none.</param>
    /// <param name="users">By the number that is there; one that is not among them stays.</param>
    /// <param name="groups">Likewise.</param>
    /// <param name="isMapped">False where one stays.</param>
    public static byte[]? Map(byte[]? xattrs, IReadOnlyDictionary<uint, uint> users, IReadOnlyDictionary<uint, uint> groups, out bool isMapped)
    {
        isMapped = true;
        if (Decode(xattrs) is not { } lists)
            return xattrs;
        var all = new List<(byte[] Name, byte[] Value)>();
        XattrList.TryDecode(xattrs, all);
        all.RemoveAll(a => IsList(a.Name));
        foreach (var (name, value) in lists)
        {
            foreach (var (tag, id, at) in Entries(value))
            {
                if ((tag == User ? users : groups).TryGetValue(id, out var here))
                    BinaryPrimitives.WriteUInt32LittleEndian(value.AsSpan(at), here);
                else
                    isMapped = false;
            }
            all.Add((name, value));
        }
        return XattrList.Encode(all);
    }

    /// <summary>Null where there is none, which needs no decoding.</summary>
    static List<(byte[] Name, byte[] Value)>? Decode(byte[]? xattrs)
    {
        if (xattrs is null || xattrs.AsSpan().IndexOf(Names) < 0)
            return null;
        var all = new List<(byte[] Name, byte[] Value)>();
        XattrList.TryDecode(xattrs, all);
        return all.FindAll(a => IsList(a.Name));
    }

    /// <summary>True where users or groups that a folder's list names may write to it.</summary>
    /// <param name="folder">A handle on it.</param>
    public static unsafe bool LetOthersWrite(int folder)
    {
        const ushort write = 0x02; // ACL_WRITE
        fixed (byte* path = (byte[])[.. FolderHandle.ProcPath(folder)[..^1], (byte)'/', (byte)'.', 0], name = "system.posix_acl_access\0"u8)
        {
            var length = Native.GetXattr(path, name, null, 0);
            if (length <= 0)
                return false;
            var list = new byte[length];
            fixed (byte* value = list)
                length = Native.GetXattr(path, name, value, (nuint)list.Length);
            return length != list.Length || Entries(list).Any(e => (list[e.At - 2] & write) != 0); // another by now: somebody else is at it
        }
    }

    static bool IsList(byte[] name) => name.AsSpan().StartsWith(Names);

    /// <summary>Entries that have a number, and where it stands.</summary>
    static IEnumerable<(ushort Tag, uint Id, int At)> Entries(byte[] value)
    {
        for (var at = HeadSize; at + EntrySize <= value.Length; at += EntrySize)
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(value.AsSpan(at)) is var tag and (User or Group))
                yield return (tag, BinaryPrimitives.ReadUInt32LittleEndian(value.AsSpan(at + 4)), at + 4);
        }
    }
}
