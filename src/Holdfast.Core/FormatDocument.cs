namespace Holdfast.Core;

/// <summary>docs/format.md as it was when this program was built: every vault holds a copy.</summary>
public static class FormatDocument
{
    public static ReadOnlySpan<byte> Text => Bytes.Value;

    static readonly Lazy<byte[]> Bytes = new(() =>
    {
        using var stream = typeof(FormatDocument).Assembly.GetManifestResourceStream("format.md")!;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    });
}
