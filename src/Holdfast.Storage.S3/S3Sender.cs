using System.Buffers;
using System.Net;
using System.Security.Cryptography;
using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>Sends bytes so that they arrive as they are or not at all: the signature covers the SHA-256 of each body, and the service refuses one that does not give it.</summary>
/// <remarks>A request that got no answer may be carried out later all the same. What follows is another version of the same key with the same bytes, which does no harm.</remarks>
sealed class S3Sender(S3Wire wire, string bucket, S3Options options)
{
    const int Rounds = 3;

    /// <summary>In one request, which locks it at birth.</summary>
    /// <param name="staged">The bytes.</param>
    /// <param name="key">Their key.</param>
    /// <param name="name">The SHA-256 of the bytes: Amazon S3 takes no lock without a checksum in a header.</param>
    /// <param name="until">The end of the lock; 0 for none.</param>
    public VersionPin Send(PassingBytes staged, string key, Hash32 name, ulong until)
    {
        var answer = wire.Call(async attempt =>
        {
            using var body = staged.Read(0, staged.Length, attempt.Moved);
            var request = new PutObjectRequest { BucketName = bucket, Key = key, InputStream = body, AutoCloseStream = false, UseChunkEncoding = false, DisablePayloadSigning = false, ChecksumSHA256 = Convert.ToBase64String(name.ToArray()) };
            if (until > 0)
                (request.ObjectLockMode, request.ObjectLockRetainUntilDate) = (ObjectLockMode.Compliance, S3Time.Of(until));
            try
            {
                return await wire.Client.PutObjectAsync(request, attempt.Token).ConfigureAwait(false);
            }
            catch (AmazonS3Exception e) when (until > 0 && e.StatusCode == HttpStatusCode.BadRequest && e.ErrorCode is "InvalidArgument")
            {
                throw S3Time.Past(e);
            }
        }, staged.Length);
        return Pin(answer.VersionId, answer.ETag, staged.Length);
    }

    /// <summary>In parts, for what is too large for one request. The ETag of what comes of it may be missing, and the lock follows (<see cref="S3Store.Lock(Core.Storage.StoreKind, Hash32, ulong)"/>): Ceph 16 ignores what the first request says of it.</summary>
    public VersionPin SendParts(PassingBytes staged, string key, Hash32 name, ulong until)
    {
        if (Hash(staged) != name)
            throw S3Wire.NotItsName(); // of one request, the wire sees that itself
        for (var round = 1; ; round++)
        {
            var begun = wire.Call(attempt =>
            {
                var request = new InitiateMultipartUploadRequest { BucketName = bucket, Key = key };
                if (until > 0)
                    (request.ObjectLockMode, request.ObjectLockRetainUntilDate) = (ObjectLockMode.Compliance, S3Time.Of(until));
                return wire.Client.InitiateMultipartUploadAsync(request, attempt.Token);
            });
            try
            {
                var parts = new List<PartETag>();
                for (long at = 0; at < staged.Length; at += options.PartSize)
                    parts.Add(SendPart(staged, key, begun.UploadId, parts.Count + 1, at));
                return Complete(staged, key, begun.UploadId, parts);
            }
            catch (HoldfastException e)
            {
                Abandon(key, begun.UploadId);
                if (e.InnerException is not UploadLostException || round == Rounds)
                    throw;
            }
        }
    }

    PartETag SendPart(PassingBytes staged, string key, string upload, int number, long at)
    {
        var count = Math.Min(options.PartSize, staged.Length - at);
        return wire.Call(async attempt =>
        {
            using var body = staged.Read(at, count, attempt.Moved);
            var request = new UploadPartRequest { BucketName = bucket, Key = key, UploadId = upload, PartNumber = number, InputStream = body, PartSize = count, UseChunkEncoding = false, DisablePayloadSigning = false };
            try
            {
                return new PartETag(number, (await wire.Client.UploadPartAsync(request, attempt.Token).ConfigureAwait(false)).ETag);
            }
            catch (AmazonS3Exception e) when (e.ErrorCode == "NoSuchUpload")
            {
                throw Lost(e);
            }
        }, count);
    }

    static Hash32 Hash(PassingBytes staged)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(1 << 20);
        try
        {
            using var body = staged.Read(0, staged.Length, () => { });
            while (body.Read(buffer) is var read and > 0)
                hash.AppendData(buffer, 0, read);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return new Hash32(hash.GetHashAndReset());
    }

    /// <summary>Once: whether one that was not answered was carried out cannot be asked (Ceph 16 says 500 where AWS says that the upload is over), so the parts are sent anew.</summary>
    VersionPin Complete(PassingBytes staged, string key, string upload, List<PartETag> parts)
    {
        var answer = wire.Call(async attempt =>
        {
            try
            {
                return await wire.Client.CompleteMultipartUploadAsync(new CompleteMultipartUploadRequest { BucketName = bucket, Key = key, UploadId = upload, PartETags = parts }, attempt.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (S3Fault.MayPass(e) || e is AmazonS3Exception { ErrorCode: "NoSuchUpload" or "InvalidPart" })
            {
                throw Lost(e);
            }
        }, staged.Length);
        return Pin(answer.VersionId, answer.ETag, staged.Length);
    }

    /// <summary>So that its parts take no room: they have no name, and were never a version. What this does not reach, a lifecycle rule of the bucket may (AbortIncompleteMultipartUpload).</summary>
    void Abandon(string key, string upload)
    {
        using var attempt = new S3Attempt(options.FirstWait + options.FirstWait, options.Idle);
        try
        {
            wire.Client.AbortMultipartUploadAsync(new AbortMultipartUploadRequest { BucketName = bucket, Key = key, UploadId = upload }, attempt.Token).GetAwaiter().GetResult();
        }
        catch (Exception e) when (S3Fault.MayPass(e) || S3Fault.IsOfService(e))
        {
            // It takes room, and no more.
        }
    }

    static VersionPin Pin(string? version, string? tag, long size) => version is { Length: > 0 } and not "null"
        ? new VersionPin(version, S3Text.Tag(tag), size)
        : throw S3Fault.Unsafe("The object store gave no version to what was entered: versioning is off, or was switched off since.");

    static HoldfastException Lost(Exception fault) => new(ErrorCode.StoreUnavailable, "An upload in parts did not come to its end three times.", "Look at the object store's gateway, then run the same command again.", new UploadLostException(fault)) { IsTransient = true };

    sealed class UploadLostException(Exception fault) : Exception(fault.Message, fault);
}
