using System.Net;
using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>Removes the versions of names that expiry gave up, as a user of its own. It asks for no way around a lock: of what is locked, by whichever clock the service has, it lets go nothing.</summary>
sealed class S3Remover(S3Place place, S3Credentials credentials, S3Options options) : IRemover, IDisposable
{
    readonly S3Wire _wire = new(place, credentials, options, TimeProvider.System);

    public int Remove(StoreKind kind, Hash32 name)
    {
        var key = S3Keys.Of(place, kind, name);
        var left = 0;
        foreach (var version in S3Keys.Listed(_wire, place, key, int.MaxValue).TakeWhile(v => v.Key == key).ToList())
            left += IsRemoved(key, version.Pin.Version) || version.IsMarker ? 0 : 1;
        return left;
    }

    bool IsRemoved(string key, string version) => _wire.Call(async attempt =>
    {
        try
        {
            await _wire.Client.DeleteObjectAsync(new DeleteObjectRequest { BucketName = place.Bucket, Key = key, VersionId = version }, attempt.Token).ConfigureAwait(false);
            return true;
        }
        catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.NotFound && e.ErrorCode != "NoSuchBucket")
        {
            return true;
        }
        catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.Forbidden && e.ErrorCode == "AccessDenied")
        {
            return false; // locked, or not allowed to this user
        }
    });

    public void Dispose() => _wire.Dispose();
}
