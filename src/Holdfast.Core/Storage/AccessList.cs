using System.Buffers.Binary;

namespace Holdfast.Core.Storage;

/// <summary>Who else may write to a folder by its POSIX access control list, in the form the kernel gives it (acl(5), linux/posix_acl_xattr.h): u32 version, then for each entry u16 tag, u16 rights,
/// u32 id, little-endian. Where there is a list, the bits of the group in the folder's mode are its mask.</summary>
static class AccessList
{
    const string Name = "system.posix_acl_access";
    const int HeadSize = 4;
    const int EntrySize = 8;
    const int MostBytes = 64 << 10; // of an attribute (xattr(7))
    const ushort User = 0x02; // ACL_USER
    const ushort Group = 0x08; // ACL_GROUP
    const ushort Write = 0x02; // ACL_WRITE

    /// <summary>True where a user or a group, other than the administrator's, is named in the list of a folder whose mask lets them write.</summary>
    /// <param name="folder">Links are followed.</param>
    public static bool MayOthersWrite(string folder)
    {
        var list = new byte[MostBytes];
        var length = (int)Libc.GetXattr(folder, Name, list, list.Length); // below 0: no list, or no lists there
        for (var at = HeadSize; at + EntrySize <= length; at += EntrySize)
        {
            var entry = list.AsSpan(at, EntrySize);
            var tag = BinaryPrimitives.ReadUInt16LittleEndian(entry);
            if (tag is User or Group && (BinaryPrimitives.ReadUInt16LittleEndian(entry[2..]) & Write) != 0 && BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]) != 0)
                return true;
        }
        return false;
    }
}
