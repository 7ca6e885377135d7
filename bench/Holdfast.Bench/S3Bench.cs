using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Storage;
using Holdfast.Storage.S3;
using Holdfast.Tests.Storage;

namespace Holdfast.Bench;

/// <summary>Entering packs through the object store, beside a plain uploader of the same bytes to the same Ceph with as many threads. Both upload from memory to a bucket of their own; which of them begins changes each round.</summary>
static class S3Bench
{
    const int PackSize = 64 << 20; // bytes
    const int Rounds = 3;

    public static void Run(int packs, int threads)
    {
        if (CephCluster.Missing() is { } missing)
            throw new InvalidOperationException(missing);
        var folder = Directory.CreateTempSubdirectory("holdfast-bench-").FullName;
        try
        {
            using var cluster = new CephCluster();
            var all = Enumerable.Range(0, packs).Select(_ => RandomNumberGenerator.GetBytes(PackSize)).ToArray();
            var (ours, plain) = (new List<double>(), new List<double>());
            for (var round = 0; round <= Rounds; round++)
            {
                for (var i = 0; i < packs; i++)
                    RandomNumberGenerator.Fill(all[i].AsSpan(0, 64)); // each round has bytes of its own
                // A backup knows the name when it has written the pack; a plain uploader has none.
                var names = Array.ConvertAll(all, p => new Hash32(SHA256.HashData(p)));
                var (one, two) = (0.0, 0.0);
                if (round % 2 == 0)
                    one = Ours();
                two = Plain();
                if (round % 2 == 1)
                    one = Ours();
                if (round == 0)
                    continue; // warms up
                ours.Add(one);
                plain.Add(two);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"round {round}: holdfast {one:0.0} MiB/s, plain {two:0.0} MiB/s"));

                double Ours()
                {
                    var bucket = Bucket(cluster);
                    using var store = S3Store.Open(S3Place.Parse($"s3:{cluster.Endpoint}{bucket}/bench"), new S3Credentials(CephCluster.Owner.AccessKey, CephCluster.Owner.SecretKey), Path.Combine(folder, bucket, "pins"), Path.Combine(folder, "staging"));
                    store.EntryLock = (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 3_600;
                    var speed = Measured(i =>
                    {
                        using var staged = store.Stage(large: true);
                        for (var at = 0; at < PackSize; at += 1 << 20)
                            staged.Append(all[i].AsSpan(at, 1 << 20));
                        if (!store.Enter(staged, StoreKind.Pack, names[i]))
                            throw new InvalidOperationException("it was there");
                    });
                    cluster.Purge(bucket);
                    return speed;
                }

                double Plain()
                {
                    var bucket = Bucket(cluster);
                    using var client = Client(cluster);
                    var speed = Measured(i => client.PutObjectAsync(new PutObjectRequest { BucketName = bucket, Key = $"plain/{i}", InputStream = new MemoryStream(all[i]) }).GetAwaiter().GetResult());
                    cluster.Purge(bucket);
                    return speed;
                }
            }
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{packs} packs of 64 MiB, {threads} threads, medians of {Rounds} rounds: holdfast {Median(ours):0.0} MiB/s, plain {Median(plain):0.0} MiB/s, ratio {Median(ours) / Median(plain):0.00}; peak resident set {Process.GetCurrentProcess().PeakWorkingSet64 >> 20} MiB, of which the packs themselves {packs * 64}"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        double Measured(Action<int> upload)
        {
            var next = -1;
            var clock = Stopwatch.StartNew();
            var workers = Enumerable.Range(0, threads).Select(_ => new Thread(() =>
            {
                while (Interlocked.Increment(ref next) is var i && i < packs)
                    upload(i);
            })).ToList();
            workers.ForEach(w => w.Start());
            workers.ForEach(w => w.Join());
            return packs * (PackSize >> 20) / clock.Elapsed.TotalSeconds;
        }
    }

    static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    static string Bucket(CephCluster cluster)
    {
        var bucket = $"b{Guid.NewGuid():n}";
        using var client = Client(cluster);
        client.PutBucketAsync(new PutBucketRequest { BucketName = bucket, ObjectLockEnabledForBucket = true }).GetAwaiter().GetResult();
        return bucket;
    }

    internal static AmazonS3Client Client(CephCluster cluster) => new(new BasicAWSCredentials(CephCluster.Owner.AccessKey, CephCluster.Owner.SecretKey), new AmazonS3Config
    {
        ServiceURL = cluster.Endpoint.ToString(),
        AuthenticationRegion = "us-east-1",
        ForcePathStyle = true,
        // Ceph 16 takes no others.
        RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
        ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
    });
}
