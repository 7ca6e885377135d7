using Amazon.S3;
using Amazon.S3.Model;

namespace Holdfast.Storage.S3;

/// <summary>Texts as the service writes them.</summary>
static class S3Text
{
    /// <summary>A key of a list: encoded there, for one may have characters that XML has not. The SDK leaves that to its caller.</summary>
    public static string Key(ListVersionsResponse list, string key) => list.Encoding == EncodingType.Url ? Uri.UnescapeDataString(key.Replace('+', ' ')) : key;

    /// <summary>An ETag without its quotes.</summary>
    public static string Tag(string? tag) => (tag ?? "").Trim('"');
}
