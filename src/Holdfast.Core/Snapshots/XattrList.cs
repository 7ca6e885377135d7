using Holdfast.Core.Codec;

namespace Holdfast.Core.Snapshots;

/// <summary>Extended attributes of one entry: names ascending by bytes, each with its value.</summary>
/// <remarks>Encoding (docs/format.md, section 9): varint count, then per attribute length-prefixed name and length-prefixed value.</remarks>
public static class XattrList
{
    public const int MaxCount = 4_096;
    public const int MaxName = 255; // bytes
    public const int MaxValue = 65_536; // bytes, the kernel's XATTR_SIZE_MAX
    public const int MaxBytes = 2 << 20; // of all of them, encoded

    /// <param name="attributes">In any order; sorted here by name. A name that was listed twice while it changed is kept once.</param>
    public static byte[] Encode(List<(byte[] Name, byte[] Value)> attributes)
    {
        attributes.Sort((l, r) => l.Name.AsSpan().SequenceCompareTo(r.Name));
        for (var i = attributes.Count - 1; i > 0; i--)
        {
            if (attributes[i].Name.AsSpan().SequenceEqual(attributes[i - 1].Name))
                attributes.RemoveAt(i);
        }
        var writer = new ByteWriter();
        writer.Var((ulong)attributes.Count);
        foreach (var (name, value) in attributes)
        {
            writer.Bytes(name);
            writer.Bytes(value);
        }
        return writer.ToArray();
    }

    /// <summary>True for what <see cref="TryDecode"/> decodes.</summary>
    public static bool IsValid(ReadOnlySpan<byte> bytes)
    {
        var reader = new ByteReader(bytes);
        var count = reader.Count(MaxCount);
        ReadOnlySpan<byte> before = default;
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var name = reader.Bytes(MaxName);
            reader.Bytes(MaxValue);
            reader.Require(!name.IsEmpty && (i == 0 || before.SequenceCompareTo(name) < 0));
            before = name;
        }
        return reader.IsDone;
    }

    /// <summary>True where an attribute of this name is among them.</summary>
    public static bool Has(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> name)
    {
        var reader = new ByteReader(bytes);
        var isFound = false;
        for (var left = bytes.IsEmpty ? 0 : reader.Count(MaxCount); left > 0 && !reader.Failed && !isFound; left--)
        {
            isFound = reader.Bytes(MaxName).SequenceEqual(name) && !reader.Failed;
            reader.Bytes(MaxValue);
        }
        return isFound;
    }

    public static bool TryDecode(ReadOnlySpan<byte> bytes, List<(byte[] Name, byte[] Value)> attributes)
    {
        attributes.Clear();
        var reader = new ByteReader(bytes);
        var count = reader.Count(MaxCount);
        for (var i = 0; i < count && !reader.Failed; i++)
        {
            var name = reader.Bytes(MaxName);
            var value = reader.Bytes(MaxValue);
            reader.Require(!name.IsEmpty && (i == 0 || attributes[^1].Name.AsSpan().SequenceCompareTo(name) < 0));
            if (!reader.Failed)
                attributes.Add((name.ToArray(), value.ToArray()));
        }
        return reader.IsDone;
    }
}
