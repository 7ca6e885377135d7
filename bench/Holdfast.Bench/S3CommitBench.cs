using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Packs;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Storage.S3;
using Holdfast.Tests.Storage;

namespace Holdfast.Bench;

/// <summary>What the keeper's part of a commit takes, from the signed snapshot to its receipt, where a source has so many packs in a bucket of a real Ceph. The packs are as small as packs may be, since a commit
/// reads none of them: what it asks of the object store (is it there, how long is it locked, lock it for longer, read that back) takes the same for one of 64 MiB.</summary>
static class S3CommitBench
{
    const string Bucket = "bench";
    const int AtOnce = 8; // uploads
    const int ChangedPacks = 150; // a day's of a source of 10 TB of which a thousandth changes

    /// <param name="packs">How many packs the source has: 149,012 of 64 MiB are 10 TB.</param>
    public static void Run(int packs)
    {
        if (CephCluster.Missing() is { } missing)
            throw new InvalidOperationException(missing);
        var folder = Directory.CreateTempSubdirectory("holdfast-bench-").FullName;
        try
        {
            using var cluster = new CephCluster(osdSize: Math.Max(8L << 30, packs * 256L << 10));
            MakeBucket(cluster);
            var machine = new MovedTime();
            var place = new ObjectStorePlace(S3Place.Parse($"s3:{cluster.Endpoint}{Bucket}/vault").ToString(), Encoding.ASCII.GetBytes($"{CephCluster.Keeper.AccessKey}\n{CephCluster.Keeper.SecretKey}\n"), S3Stores.Instance);
            (var vault, var keys) = Vault.Create(Path.Combine(folder, "vault"), new NewVault(VaultKind.Real, new RetentionPolicy(30 * RetentionPolicy.Day, 0, 0, 0, 0, 0), RetentionPolicy.Day, 400 * RetentionPolicy.Day, 0), _ => { }, null, machine, place);
            using var closed = vault;
            using var forgotten = keys;
            var (all, set, parent) = (new List<PackRef>(), PackSet.Empty, (SnapshotObject?)null);
            var clock = Stopwatch.StartNew();

            Upload(packs);
            Say("packs uploaded, each with a lock of its birth", clock.Elapsed, packs);
            Commit("first commit: each pack is looked for, and its lock is made longer");
            Upload(ChangedPacks);
            Commit("the next one: new packs, the others held by the first");
            for (var day = 1; day <= 7; day++)
            {
                machine.Days = day;
                vault.Keeper.Clock.Note();
                Upload(ChangedPacks);
                Commit($"day {day}: the locks that are due are made longer as well");
            }
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"peak resident set {Process.GetCurrentProcess().PeakWorkingSet64 >> 20} MiB"));

            void Upload(int count)
            {
                var (next, made) = (-1, new PackRef[count]);
                vault.Keeper.RenewBirthLock();
                Workers.Run(AtOnce, "bench upload", () =>
                {
                    while (Interlocked.Increment(ref next) is var at && at < count)
                    {
                        var bytes = RandomNumberGenerator.GetBytes(PackFormat.Quantum);
                        using var staged = vault.Keeper.Store.Stage();
                        staged.Append(bytes);
                        made[at] = new PackRef(new Hash32(SHA256.HashData(bytes)), bytes.Length);
                        vault.Keeper.Store.Enter(staged, StoreKind.Pack, made[at].Name);
                    }
                }, e => throw e);
                all.AddRange(made);
            }

            void Commit(string what)
            {
                var next = new PackSet(all);
                var snapshot = new SnapshotObject
                {
                    Vault = vault.Id,
                    Domain = keys.Put.Domain.Domain,
                    Salt = VaultKeeper.Salt(),
                    Snapshot = Id16.New(),
                    Source = keys.Agent.Agent,
                    Agent = keys.Agent.Agent,
                    Session = Id16.New(),
                    Writer = keys.Put.Writer,
                    WriterEpoch = 1,
                    KeyEpoch = 1,
                    ClientTime = 0,
                    Parent = parent is null ? Hash32.None : new Hash32(SHA256.HashData(parent.ToArray())),
                    ContentRoot = VaultKeeper.Salt(),
                    ParentContentRoot = parent?.ContentRoot ?? Hash32.None,
                    Entries = 1,
                    Files = 1,
                    LogicalBytes = 1,
                    NewBytes = 1,
                    Packs = parent is null ? next.Whole() : next.DeltaFrom(set),
                    Sections = [],
                    Signatures = [],
                };
                snapshot = snapshot with { Signatures = [new SnapshotSignature(SnapshotSignature.Agent, keys.Agent.Agent, SnapshotSignature.Ed25519, keys.Agent.Signer.Sign(snapshot.SignedBytes()))] };
                clock.Restart();
                vault.Keeper.Commit(snapshot);
                Say(what, clock.Elapsed, next.Count);
                (set, parent) = (next, snapshot);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static void Say(string what, TimeSpan took, int packs) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{packs} packs, {packs * (64.0 * (1 << 20)) / 1e12:0.00} TB: {what}: {took.TotalSeconds:0.0} s"));

    static void MakeBucket(CephCluster cluster)
    {
        using var owner = S3Bench.Client(cluster);
        owner.PutBucketAsync(new PutBucketRequest { BucketName = Bucket, ObjectLockEnabledForBucket = true }).GetAwaiter().GetResult();
        owner.PutBucketPolicyAsync(new PutBucketPolicyRequest { BucketName = Bucket, Policy = CephCluster.Policy(Bucket) }).GetAwaiter().GetResult();
    }

    /// <summary>This machine's clocks, some days ahead.</summary>
    sealed class MovedTime : IMachineTime
    {
        static readonly MachineTime Real = MachineTime.System;

        public int Days { get; set; }

        public ulong Wall => Real.Wall + Ahead;
        public ulong SinceBoot => Real.SinceBoot + Ahead;
        public string BootId => Real.BootId;
        public string MachineId => Real.MachineId;

        ulong Ahead => (ulong)Days * RetentionPolicy.Day * 1_000;
    }
}
