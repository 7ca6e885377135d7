using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;

namespace Holdfast.Core.Snapshots;

/// <summary>What only a holder of the tree key sees of a snapshot (docs/format.md, section 10.2).</summary>
public sealed record TreeSection
{
    /// <summary>Bytes of each of its names.</summary>
    public const int MaxName = 65_535;
    const int MaxOwners = 1 << 20;

    public required Hash32 RootSalt { get; init; }
    public required ChunkRef Root { get; init; }
    public required byte RootLevel { get; init; }
    public required byte[] SourceName { get; init; }
    public required byte[] HostName { get; init; }
    public required byte[] RootPath { get; init; }
    public required byte[] ProgramVersion { get; init; }
    public required IReadOnlyDictionary<uint, byte[]> Users { get; init; }
    public required IReadOnlyDictionary<uint, byte[]> Groups { get; init; }

    /// <summary>Seconds since the oldest of the unchanged bytes was last read.</summary>
    public required ulong OldestReread { get; init; }

    /// <summary>False for a stream: the folder that its file lies in is made up (docs/format.md, section 9.3).</summary>
    public bool HasRoot => RootPath.Length > 0;

    /// <summary>Entries left out or unsettled.</summary>
    public required ulong Problems { get; init; }

    /// <summary>What is written is read as a reader would before it is sealed: a snapshot that no reader takes would be found out when it is needed.</summary>
    /// <exception cref="InvalidOperationException">No reader takes it.</exception>
    public ByteWriter ToWriter()
    {
        var writer = new ByteWriter(1024);
        writer.Hash(RootSalt);
        writer.Hash(Root.Digest);
        writer.Var((ulong)Root.Length);
        writer.U8(RootLevel);
        writer.Bytes(SourceName);
        writer.Bytes(HostName);
        writer.Bytes(RootPath);
        writer.Bytes(ProgramVersion);
        WriteOwners(Users, writer);
        WriteOwners(Groups, writer);
        writer.Var(OldestReread);
        writer.Var(Problems);
        if (!TryParse(writer.Span, out _))
            throw new InvalidOperationException("Readers refuse what was written of a snapshot.");
        return writer;
    }

    /// <param name="bytes">May be followed by zeros.</param>
    /// <param name="section">The section.</param>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out TreeSection? section)
    {
        section = null;
        var reader = new ByteReader(bytes);
        var salt = reader.Hash();
        var digest = reader.Hash();
        var length = reader.Count(Packs.PackFormat.MaxChunk);
        var level = reader.U8();
        reader.Require(length > 0 && level <= 15);
        var parsed = new TreeSection
        {
            RootSalt = salt,
            Root = new ChunkRef(digest, length),
            RootLevel = level,
            SourceName = reader.Bytes(MaxName).ToArray(),
            HostName = reader.Bytes(MaxName).ToArray(),
            RootPath = reader.Bytes(MaxName).ToArray(),
            ProgramVersion = reader.Bytes(MaxName).ToArray(),
            Users = ReadOwners(ref reader),
            Groups = ReadOwners(ref reader),
            OldestReread = reader.Var(),
            Problems = reader.Var(),
        };
        reader.Require(!reader.Raw(reader.Remaining).ContainsAnyExcept((byte)0));
        if (!reader.IsDone)
            return false;
        section = parsed;
        return true;
    }

    static void WriteOwners(IReadOnlyDictionary<uint, byte[]> owners, ByteWriter writer)
    {
        writer.Var((ulong)owners.Count);
        foreach (var (id, name) in owners.OrderBy(o => o.Key))
        {
            writer.Var(id);
            writer.Bytes(name);
        }
    }

    static Dictionary<uint, byte[]> ReadOwners(ref ByteReader reader)
    {
        var count = reader.Count(Math.Min(MaxOwners, reader.Remaining / 2));
        var owners = new Dictionary<uint, byte[]>(count);
        ulong last = 0;
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var id = reader.Var();
            var name = reader.Bytes(MaxName);
            reader.Require(id <= uint.MaxValue && (i == 0 || id > last));
            last = id;
            if (!reader.Failed)
                owners[(uint)id] = name.ToArray();
        }
        return owners;
    }
}
