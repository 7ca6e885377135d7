using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Names of users and groups by id and ids by name, asked of the system once each. Safe for concurrent use.</summary>
sealed unsafe class OwnerNames
{
    const int BufferSize = 1 << 16;
    const int MaxListed = 4_096; // anybody may write any number into the list of a file of their own, and a directory service is asked for each

    readonly ConcurrentDictionary<uint, byte[]?> _users = new();
    readonly ConcurrentDictionary<uint, byte[]?> _groups = new();
    int _listed;

    public IReadOnlyDictionary<uint, byte[]> Users => Known(_users);
    public IReadOnlyDictionary<uint, byte[]> Groups => Known(_groups);

    public void Meet(uint uid, uint gid)
    {
        if (!_users.ContainsKey(uid))
            _users[uid] = Ask(uid, user: true);
        if (!_groups.ContainsKey(gid))
            _groups[gid] = Ask(gid, user: false);
    }

    /// <summary>One that an access control list names.</summary>
    public void MeetListed(uint id, bool isUser)
    {
        var names = isUser ? _users : _groups;
        if (!names.ContainsKey(id) && Interlocked.Increment(ref _listed) <= MaxListed)
            names[id] = Ask(id, isUser);
    }

    static Dictionary<uint, byte[]> Known(ConcurrentDictionary<uint, byte[]?> names) =>
        names.Where(n => n.Value is not null).ToDictionary(n => n.Key, n => n.Value!);

    static byte[]? Ask(uint id, bool user)
    {
        var record = stackalloc byte*[16];
        var buffer = new byte[BufferSize];
        fixed (byte* b = buffer)
        {
            var failed = user ? Native.GetUser(id, record, b, BufferSize, out var result) : Native.GetGroup(id, record, b, BufferSize, out result);
            return failed != 0 || result == null ? null : MemoryMarshal.CreateReadOnlySpanFromNullTerminated(record[0]).ToArray(); // the name is the first field of both
        }
    }

    /// <summary>The id that a name has on this machine, or null.</summary>
    public static uint? IdOf(ReadOnlySpan<byte> name, bool user)
    {
        var record = stackalloc byte*[16];
        var buffer = new byte[BufferSize];
        var terminated = new byte[name.Length + 1];
        name.CopyTo(terminated);
        fixed (byte* b = buffer)
        fixed (byte* n = terminated)
        {
            var failed = user ? Native.GetUser(n, record, b, BufferSize, out var result) : Native.GetGroup(n, record, b, BufferSize, out result);
            return failed != 0 || result == null ? null : *(uint*)(record + 2); // name, password, id
        }
    }
}
