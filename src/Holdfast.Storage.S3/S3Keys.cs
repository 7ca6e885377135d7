using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <param name="Key">Of which.</param>
/// <param name="IsMarker">A delete marker, which holds nothing and hides nothing.</param>
/// <param name="Pin">What it is.</param>
readonly record struct S3Version(string Key, bool IsMarker, VersionPin Pin);

/// <summary>Where names lie in a bucket: <c>PREFIX/packs/XX/NAME</c> and <c>PREFIX/objects/XX/NAME</c>.</summary>
static class S3Keys
{
    public static string Root(S3Place place, StoreKind kind) => $"{place.Prefix}{(kind == StoreKind.Pack ? "packs" : "objects")}/";

    public static string Of(S3Place place, StoreKind kind, Hash32 name)
    {
        var text = name.ToString();
        return $"{Root(place, kind)}{text.AsSpan(0, 2)}/{text}";
    }

    /// <param name="rest">A key without its root.</param>
    /// <returns>Null for one that does not belong there.</returns>
    public static Hash32? NameOf(string rest) => rest is [_, _, '/', ..] && Hash32.TryParse(rest.AsSpan(3), out var name) && rest.AsSpan(0, 2).SequenceEqual(rest.AsSpan(3, 2)) ? name : null;

    /// <summary>All versions and delete markers below a prefix, by key, of each the newest first.</summary>
    public static IEnumerable<S3Version> Listed(S3Wire wire, S3Place place, string prefix, int pages)
    {
        string? afterKey = null, afterVersion = null;
        for (var page = 0; page < pages; page++)
        {
            var (keyMarker, versionMarker) = (afterKey, afterVersion);
            var answer = wire.Call(attempt => wire.Client.ListVersionsAsync(new ListVersionsRequest
            {
                BucketName = place.Bucket,
                Prefix = prefix,
                KeyMarker = keyMarker,
                VersionIdMarker = versionMarker,
                Encoding = EncodingType.Url, // a key may have characters that XML has not
            }, attempt.Token));
            foreach (var version in answer.Versions ?? [])
                yield return new S3Version(S3Text.Key(answer, version.Key), version.IsDeleteMarker == true, new VersionPin(version.VersionId, S3Text.Tag(version.ETag), version.Size ?? 0));
            if (answer.IsTruncated != true || answer.NextKeyMarker is null)
                yield break;
            (afterKey, afterVersion) = (S3Text.Key(answer, answer.NextKeyMarker), answer.NextVersionIdMarker);
        }
    }
}
