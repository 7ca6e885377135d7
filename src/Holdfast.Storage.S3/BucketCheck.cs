using System.Net;
using System.Security.Cryptography;
using System.Text;
using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>Whether a bucket holds what is entered, also against the keeper's own credential. Asks the service itself: a bucket made "with Object Lock" that was there before has none, and nobody says so (Ceph 16).</summary>
static class BucketCheck
{
    const string Probe = "holdfast-probe-nobody-needs-this-";
    const string User = "Give the keeper a user of its own, not the bucket's owner, with the policy of docs/design/0013-object-store.md: it allows what a keeper does, and denies the rest in so many words, for Ceph lets pass what no policy denies. Then run the same command again.";
    static readonly TimeSpan ProbeLock = TimeSpan.FromHours(1);

    /// <summary>Refuses a bucket without Object Lock or versioning. Changes nothing.</summary>
    public static void RequireLocks(S3Wire wire, S3Place place)
    {
        var locks = wire.Call(async attempt =>
        {
            try
            {
                return (await wire.Client.GetObjectLockConfigurationAsync(new GetObjectLockConfigurationRequest { BucketName = place.Bucket }, attempt.Token).ConfigureAwait(false)).ObjectLockConfiguration;
            }
            catch (AmazonS3Exception e) when (e.ErrorCode == "ObjectLockConfigurationNotFoundError" || e.StatusCode == HttpStatusCode.NotImplemented)
            {
                return null;
            }
        });
        if (locks?.ObjectLockEnabled != ObjectLockEnabled.Enabled)
            throw S3Fault.Unsafe("The bucket has no Object Lock: whoever has a password could remove what is in it.");
        // It would stand in the way of the lock that what is sent in parts gets afterwards: only who may bypass it may put compliance in its place.
        if (locks.Rule?.DefaultRetention?.Mode == ObjectLockRetentionMode.Governance)
            throw S3Fault.Unsafe("The bucket's default retention is in governance mode.", "Have it taken away, or set to compliance mode: each object gets a lock of its own.");
        var versioning = wire.Call(attempt => wire.Client.GetBucketVersioningAsync(new GetBucketVersioningRequest { BucketName = place.Bucket }, attempt.Token));
        if (versioning.VersioningConfig?.Status != VersionStatus.Enabled)
            throw S3Fault.Unsafe("The bucket does not keep versions: what is written over is gone.");
    }

    /// <summary>Refuses a prefix under which a vault lies already: two would take each other's packs for what no commit names, and a bucket whose default locks keep from trying out what a credential may do.</summary>
    public static void RequireFree(S3Wire wire, S3Place place)
    {
        foreach (var kind in new[] { StoreKind.Pack, StoreKind.Object })
        {
            if (S3Keys.Listed(wire, place, S3Keys.Root(place, kind), 1).Any())
                throw new HoldfastException(ErrorCode.VaultExists, $"There is a vault in that place of the object store, or what a making that was cut short has left: {S3Keys.Root(place, kind)} is not empty.", "Name another prefix: s3:https://HOST/BUCKET/PREFIX.");
        }
        var locks = wire.Call(attempt => wire.Client.GetObjectLockConfigurationAsync(new GetObjectLockConfigurationRequest { BucketName = place.Bucket }, attempt.Token)).ObjectLockConfiguration;
        if (locks.Rule?.DefaultRetention is not null)
            throw S3Fault.Unsafe("The bucket has a default retention, under which it cannot be tried out what the keeper's credential may do.", "Have it taken away: each object gets a lock of its own.");
    }

    /// <summary>Refuses a credential that may remove a version, bypass a governance lock, or change the bucket's policy and so allow itself both. Tries it on objects of its own, and with a policy that is none.</summary>
    /// <returns>What has to be told all the same.</returns>
    public static HoldfastException? RequireNoPower(S3Wire wire, S3Place place, TimeProvider time)
    {
        var free = Put(wire, place, null);
        if (free is not null && MayDelete(wire, place, free.Value, bypass: false))
            throw S3Fault.Unsafe("The keeper's own credential may remove versions from the bucket.", User);
        var governed = Put(wire, place, time.GetUtcNow() + ProbeLock);
        if (governed is not null && (MayRetain(wire, place, governed.Value, time.GetUtcNow() + ProbeLock / 2, bypass: true) || MayDelete(wire, place, governed.Value, bypass: true)))
            throw S3Fault.Unsafe("The keeper's own credential may bypass locks in governance mode (s3:BypassGovernanceRetention).", User);
        if (MayChangePolicy(wire, place))
            throw S3Fault.Unsafe("The keeper's own credential may change the bucket's policy, and so allow itself to remove what is not locked, or not any more.", User);
        return governed is not null && WrapsAround(wire, place, governed.Value, time) ? S3Fault.Unsafe(
            "The object store drops the upper bits of a lock's end: whoever may lengthen a lock there can end it, by a date after 2106, and who may remove versions then removes them.",
            "It is a known defect of Ceph (tracker.ceph.com/issues/63537), mended in 2024: have the object store updated. Until then a lock there stops no password of the bucket's owner; keep a second copy elsewhere.") : null;
    }

    /// <returns>Null where the policy allows no such lock.</returns>
    static (string Key, string Version)? Put(S3Wire wire, S3Place place, DateTimeOffset? until)
    {
        var key = $"{place.Prefix}{Probe}{Id16.New()}";
        return wire.Call<(string, string)?>(async attempt =>
        {
            var request = new PutObjectRequest { BucketName = place.Bucket, Key = key, ContentBody = "Made by holdfast to see what its own credential may do. Nobody needs it.\n", UseChunkEncoding = false };
            if (until is { } end)
                (request.ObjectLockMode, request.ObjectLockRetainUntilDate) = (ObjectLockMode.Governance, end.UtcDateTime);
            request.ChecksumSHA256 = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(request.ContentBody)));
            try
            {
                return (key, (await wire.Client.PutObjectAsync(request, attempt.Token).ConfigureAwait(false)).VersionId);
            }
            catch (AmazonS3Exception e) when (until is not null && e.StatusCode == HttpStatusCode.Forbidden && e.ErrorCode == "AccessDenied")
            {
                return null;
            }
        });
    }

    /// <summary>In governance mode: where the date is kept as it is, the bucket's owner can still remove the probe.</summary>
    static bool WrapsAround(S3Wire wire, S3Place place, (string Key, string Version) probe, TimeProvider time) =>
        MayRetain(wire, place, probe, DateTimeOffset.FromUnixTimeSeconds((1L << 32) + 1_000_000), bypass: false)
        && wire.Call(attempt => wire.Client.GetObjectMetadataAsync(new GetObjectMetadataRequest { BucketName = place.Bucket, Key = probe.Key, VersionId = probe.Version }, attempt.Token)) is { ObjectLockRetainUntilDate: { } end }
        && end.ToUniversalTime() < time.GetUtcNow().UtcDateTime + ProbeLock;

    static bool MayDelete(S3Wire wire, S3Place place, (string Key, string Version) probe, bool bypass) => IsAllowed(wire, attempt => wire.Client.DeleteObjectAsync(
        new DeleteObjectRequest { BucketName = place.Bucket, Key = probe.Key, VersionId = probe.Version, BypassGovernanceRetention = bypass ? true : null }, attempt.Token));

    static bool MayRetain(S3Wire wire, S3Place place, (string Key, string Version) probe, DateTimeOffset until, bool bypass) => IsAllowed(wire, attempt => wire.Client.PutObjectRetentionAsync(new PutObjectRetentionRequest
    {
        BucketName = place.Bucket,
        Key = probe.Key,
        VersionId = probe.Version,
        BypassGovernanceRetention = bypass ? true : null,
        Retention = new ObjectLockRetention { Mode = ObjectLockRetentionMode.Governance, RetainUntilDate = until.UtcDateTime },
    }, attempt.Token));

    static bool MayChangePolicy(S3Wire wire, S3Place place) => IsAllowed(wire, attempt => wire.Client.PutBucketPolicyAsync(new PutBucketPolicyRequest { BucketName = place.Bucket, Policy = "{" }, attempt.Token),
        e => e.StatusCode == HttpStatusCode.BadRequest); // it got as far as reading it

    static bool IsAllowed<T>(S3Wire wire, Func<S3Attempt, Task<T>> call, Predicate<AmazonS3Exception>? isAllowed = null) => wire.Call(async attempt =>
    {
        try
        {
            await call(attempt).ConfigureAwait(false);
            return true;
        }
        catch (AmazonS3Exception e) when (isAllowed?.Invoke(e) == true)
        {
            return true;
        }
        catch (AmazonS3Exception e) when (e.ErrorCode == "AccessDenied" || e.StatusCode == HttpStatusCode.MethodNotAllowed)
        {
            return false;
        }
    });
}
