using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Xml;
using Amazon.Runtime;
using Amazon.S3;
using Holdfast.Core;

namespace Holdfast.Storage.S3;

/// <summary>What an object store, or the way to it, says, in words a person can act on. Codes and statuses decide: Ceph sends no message.</summary>
static class S3Fault
{
    /// <summary>True of what another try may find otherwise.</summary>
    public static bool MayPass(Exception fault) => fault switch
    {
        _ when Own(fault) is not null => false,
        AmazonServiceException { ErrorCode: "SlowDown" or "Throttling" or "ThrottlingException" or "TooManyRequests" or "RequestTimeout" or "InternalError" or "ServiceUnavailable" or "OperationAborted" } => true,
        // The bytes did not arrive as they were sent: BadDigest of a checksum, the other of the signature's SHA-256.
        AmazonServiceException { ErrorCode: "BadDigest" or "XAmzContentSHA256Mismatch" or "IncompleteBody" } => true,
        AmazonServiceException { StatusCode: HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests } => true,
        AmazonServiceException e when e.StatusCode is HttpStatusCode.InsufficientStorage or HttpStatusCode.NotImplemented => false,
        AmazonServiceException e when (int)e.StatusCode >= 500 => true,
        AmazonUnmarshallingException or XmlException => true, // an answer that was cut short
        AmazonServiceException { StatusCode: 0, InnerException: { } inner } => MayPass(inner),
        AmazonServiceException => false,
        AmazonClientException { InnerException: { } inner } => MayPass(inner),
        HttpRequestException e => !IsOfTrust(e),
        OperationCanceledException => true, // the attempt gave itself up: nothing else cancels
        IOException or SocketException or TimeoutException => true,
        _ => false,
    };

    /// <summary>What this program itself threw, such as for its staging disk, while the SDK was reading.</summary>
    static HoldfastException? Own(Exception? fault) => fault is null or HoldfastException ? (HoldfastException?)fault : Own(fault.InnerException);

    static bool IsOfTrust(Exception? fault) => fault is AuthenticationException || (fault is not null && IsOfTrust(fault.InnerException));

    /// <summary>True of what comes from the service or the way to it, and not from a mistake of this program.</summary>
    public static bool IsOfService(Exception fault) => fault is not HoldfastException && (fault is AmazonClientException or AmazonServiceException or HttpRequestException || Own(fault) is not null);

    public static bool IsMissing(AmazonS3Exception fault) =>
        fault.ErrorCode != "NoSuchBucket" && (fault.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.MethodNotAllowed // the latter of a delete marker
            || fault is { StatusCode: HttpStatusCode.BadRequest, ErrorCode: "InvalidArgument" or "NoSuchVersion" or "BadRequest" }); // what is no version id of this service

    public static HoldfastException Unavailable(Exception fault, int tries) => new(ErrorCode.StoreUnavailable,
        $"The object store does not answer as it should: {Words(fault)}. It was tried {tries} times.",
        "Look at the object store, its gateway and the network on the way there, then run the same command again: what is entered stays, and nothing half-entered counts.", fault)
    { IsTransient = true };

    static string Words(Exception fault) => fault switch
    {
        AmazonServiceException { ErrorCode: "BadDigest" or "XAmzContentSHA256Mismatch" } => "the bytes that arrive there are not those that were sent, or not those that were made (memory, staging disk or network change them)",
        AmazonServiceException { StatusCode: not 0 } e => $"{(e.ErrorCode is { Length: > 0 } code ? code : "an error")}, status {(int)e.StatusCode}",
        OperationCanceledException => "a request stood still for too long",
        HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError } => "its name cannot be resolved",
        HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError } => "no connection is taken",
        AmazonUnmarshallingException or XmlException => "an answer was cut short, or is none of S3's",
        IOException e when e.GetType() == typeof(IOException) && e.InnerException is null => e.Message, // of our own
        { InnerException: { } inner } => Words(inner),
        _ => "a connection was cut",
    };

    /// <summary>A refusal that stays one.</summary>
    public static HoldfastException Of(Exception fault)
    {
        if (Own(fault) is { } own)
            return own;
        if (IsOfTrust(fault))
            return new(ErrorCode.StoreUnavailable, "The object store shows a certificate that this machine does not trust.",
                "Where it is the hospital's own, add the authority that issued it to the system's (update-ca-certificates). Where it is a public service, someone may be on the way in between.", fault);
        var (code, status) = fault is AmazonServiceException e ? (e.ErrorCode ?? "", e.StatusCode) : ("", default);
        return (code, status) switch
        {
            ("RequestTimeTooSkewed" or "RequestExpired", _) => new(ErrorCode.ClockInDoubt,
                "The object store refuses this machine's clock: its own says something else, by more than it allows.",
                "See which of the two is right, and set the other one right. Where it is the object store's, look after it first: its clock ends locks.", fault),
            ("InvalidAccessKeyId" or "SignatureDoesNotMatch" or "InvalidToken" or "ExpiredToken" or "InvalidSecurity", _) => new(ErrorCode.KeyFileBad,
                code == "SignatureDoesNotMatch" ? "The object store knows the access key, and says that the secret is not the one that belongs to it." : "The object store does not know these credentials.",
                "Look at the file with the two lines (keeper/store.key of the vault). Where the keys were changed there, bring the new ones here.", fault),
            ("NoSuchBucket", _) => new(ErrorCode.VaultMissing, "There is no such bucket in the object store.",
                "Check the name. A new one is made by its administrator, with Object Lock from the start. If it was there before: whoever runs the object store may have removed it; see docs/threat-model.md.", fault),
            ("QuotaExceeded" or "StorageFull", _) or (_, HttpStatusCode.InsufficientStorage) => new(ErrorCode.DiskFull,
                "The object store has no room left for this user or bucket: what was being written is not in the vault; everything that was there before is.",
                "Have its quota raised, or disks added, then run the same command again.", fault),
            ("AuthorizationHeaderMalformed" or "PermanentRedirect" or "TemporaryRedirect" or "IllegalLocationConstraintException", _) or (_, HttpStatusCode.MovedPermanently or HttpStatusCode.TemporaryRedirect) => new(ErrorCode.Usage,
                "The object store is asked for another region than the bucket's, or at another address.",
                "Name its region and address in the place: s3:https://HOST/BUCKET/PREFIX?region=NAME.", fault),
            (_, HttpStatusCode.Forbidden or HttpStatusCode.Unauthorized) => new(ErrorCode.NoPermission,
                "The object store refuses this to the keeper's user.",
                "Give that user what docs/design/0013-object-store.md lists, and no more. A request that has no answer in words (HEAD) is refused in the same way where the secret or this machine's clock is wrong.", fault),
            _ => new(ErrorCode.StoreUnavailable, $"The object store refuses a request: {(code.Length > 0 ? code : fault.GetType().Name)}{(status == 0 ? "" : $", status {(int)status}")}.",
                "Look at its log. Where it is another kind of S3 service than Ceph or AWS, it may lack what Holdfast needs: Object Lock, versions, ranges.", fault),
        };
    }

    /// <summary>The medium does not hold what it was given to hold.</summary>
    public static HoldfastException Unsafe(string what, string guidance = "Nothing that is entered there would hold. Have its administrator make a bucket with Object Lock from the start, and give the keeper a user of its own: docs/design/0013-object-store.md has the commands and the policy.") =>
        new(ErrorCode.StoreUnsafe, what, guidance);
}
