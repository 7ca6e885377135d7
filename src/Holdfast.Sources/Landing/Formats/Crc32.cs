namespace Holdfast.Sources.Landing.Formats;

/// <summary>The checksum of zip and xz (IEEE 802.3, reflected).</summary>
struct Crc32()
{
    static readonly uint[] Table = [.. Enumerable.Range(0, 256).Select(n => Enumerable.Range(0, 8).Aggregate((uint)n, (c, _) => (c & 1) != 0 ? c >> 1 ^ 0xEDB88320 : c >> 1))];

    uint _state = uint.MaxValue;

    public readonly uint Value => ~_state;

    public void Add(ReadOnlySpan<byte> bytes)
    {
        var state = _state;
        foreach (var b in bytes)
            state = state >> 8 ^ Table[(byte)state ^ b];
        _state = state;
    }

    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        var crc = new Crc32();
        crc.Add(bytes);
        return crc.Value;
    }
}
