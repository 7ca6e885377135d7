using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Storage.S3;

namespace Holdfast.Tests.Storage;

[CollectionDefinition(nameof(CephFixture))]
public sealed class CephTests : ICollectionFixture<CephFixture>;

/// <summary>One cluster for all tests that need one, begun with the first of them. Each test has a prefix of its own in a bucket made as docs/design/0013-object-store.md says.</summary>
public sealed class CephFixture : IDisposable
{
    readonly CephCluster? _cluster;
    readonly AmazonS3Client? _owner, _keeper;
    readonly string _bucket = "";

    public CephFixture()
    {
        if (CephCluster.Missing() is not null)
            return;
        _cluster = new CephCluster();
        (_owner, _keeper) = (Raw(_cluster.Endpoint, CephCluster.Owner), Raw(_cluster.Endpoint, CephCluster.Keeper));
        _bucket = NewBucket();
    }

    internal CephCluster Cluster
    {
        get
        {
            Assert.SkipWhen(_cluster is null, CephCluster.Missing() ?? "");
            return _cluster;
        }
    }

    /// <summary>The bucket's owner, by the plain SDK.</summary>
    internal AmazonS3Client Owner => Of(_owner);

    /// <summary>An attacker with the keeper's credential, by the plain SDK.</summary>
    internal AmazonS3Client Keeper => Of(_keeper);

    internal static S3Credentials Credentials => new(CephCluster.Keeper.AccessKey, CephCluster.Keeper.SecretKey);

    /// <summary>A bucket with Object Lock and the keeper's policy.</summary>
    internal string Bucket => Of(_bucket);

    /// <summary>Skips the test where there is no cluster.</summary>
    T Of<T>(T? made) => Cluster is not null ? made! : throw new InvalidOperationException();

    internal static AmazonS3Client Raw(Uri endpoint, (string Id, string AccessKey, string SecretKey) user) => new(new BasicAWSCredentials(user.AccessKey, user.SecretKey), new AmazonS3Config
    {
        ServiceURL = endpoint.ToString(),
        AuthenticationRegion = "us-east-1",
        ForcePathStyle = true,
        RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
        ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        HttpClientFactory = new NoExpect(),
    });

    sealed class NoExpect : HttpClientFactory
    {
        public override HttpClient CreateHttpClient(IClientConfig clientConfig) => new(new Handler { InnerHandler = new SocketsHttpHandler() });

        sealed class Handler : DelegatingHandler
        {
            protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
            {
                request.Headers.ExpectContinue = false;
                return base.SendAsync(request, cancellationToken);
            }
        }
    }

    internal string NewBucket(bool isLocked = true, string? policy = null)
    {
        var bucket = $"b{Guid.NewGuid():n}";
        Owner.Make(bucket, isLocked);
        if (policy != "")
            Owner.SetPolicy(bucket, policy ?? CephCluster.Policy(bucket));
        return bucket;
    }

    /// <summary>All that S3 knows is allowed to the bucket's owner and to the keeper.</summary>
    internal static string AllPower(string bucket) => $$"""
        {
          "Version": "2012-10-17",
          "Statement": [
            {
              "Effect": "Allow", "Principal": { "AWS": ["arn:aws:iam:::user/owner", "arn:aws:iam:::user/keeper"] },
              "Action": ["s3:*"], "Resource": ["arn:aws:s3:::{{bucket}}", "arn:aws:s3:::{{bucket}}/*"]
            }
          ]
        }
        """;

    public void Dispose()
    {
        _owner?.Dispose();
        _keeper?.Dispose();
        _cluster?.Dispose();
    }
}

/// <summary>What an attacker, or the bucket's owner, asks of the object store.</summary>
static class RawS3
{
    public static void Make(this AmazonS3Client client, string bucket, bool isLocked) => Done(client.PutBucketAsync(new PutBucketRequest { BucketName = bucket, ObjectLockEnabledForBucket = isLocked ? true : null }));

    public static void SetPolicy(this AmazonS3Client client, string bucket, string policy) => Done(client.PutBucketPolicyAsync(new PutBucketPolicyRequest { BucketName = bucket, Policy = policy }));

    public static void GovernByDefault(this AmazonS3Client client, string bucket) => Done(client.PutObjectLockConfigurationAsync(new PutObjectLockConfigurationRequest
    {
        BucketName = bucket,
        ObjectLockConfiguration = new ObjectLockConfiguration { ObjectLockEnabled = ObjectLockEnabled.Enabled, Rule = new ObjectLockRule { DefaultRetention = new DefaultRetention { Mode = ObjectLockRetentionMode.Governance, Days = 1 } } },
    }));

    public static void Put(this AmazonS3Client client, string bucket, string key, byte[] bytes, DateTime? locked = null)
    {
        var request = new PutObjectRequest { BucketName = bucket, Key = key, InputStream = new MemoryStream(bytes), UseChunkEncoding = false };
        if (locked is { } until)
            (request.ObjectLockMode, request.ObjectLockRetainUntilDate) = (ObjectLockMode.Compliance, until);
        Done(client.PutObjectAsync(request));
    }

    public static void Get(this AmazonS3Client client, string bucket, string key) => Done(client.GetObjectAsync(bucket, key));

    public static void Delete(this AmazonS3Client client, string bucket, string key, string? version = null, bool? bypass = null) =>
        Done(client.DeleteObjectAsync(new DeleteObjectRequest { BucketName = bucket, Key = key, VersionId = version, BypassGovernanceRetention = bypass }));

    public static void Retain(this AmazonS3Client client, string bucket, string key, string version, ObjectLockRetentionMode mode, ulong until, bool? bypass) => Done(client.PutObjectRetentionAsync(new PutObjectRetentionRequest
    {
        BucketName = bucket,
        Key = key,
        VersionId = version,
        BypassGovernanceRetention = bypass,
        Retention = new ObjectLockRetention { Mode = mode, RetainUntilDate = DateTimeOffset.FromUnixTimeSeconds((long)until).UtcDateTime },
    }));

    public static List<S3ObjectVersion> Versions(this AmazonS3Client client, string bucket, string prefix) => Done(client.ListVersionsAsync(new ListVersionsRequest { BucketName = bucket, Prefix = prefix })).Versions ?? [];

    public static int Uploads(this AmazonS3Client client, string bucket, string prefix) => Done(client.ListMultipartUploadsAsync(bucket, prefix)).MultipartUploads?.Count ?? 0;

    static T Done<T>(Task<T> task) => task.GetAwaiter().GetResult();
}
