using System.Net;
using System.Security.Cryptography;
using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>A store in a bucket of an S3 service with Object Lock in compliance mode (docs/design/0013-object-store.md).</summary>
/// <remarks>What counts is a version of a key, never the key: a delete marker hides nothing, and whoever writes over a key only adds a copy, which comes after those that are pinned, and those that are locked.
/// A key is <c>PREFIX/packs/XX/NAME</c> or <c>PREFIX/objects/XX/NAME</c>. There is no delete. Calls block the thread they are made on; safe for concurrent use, and faster so.</remarks>
public sealed class S3Store : ILockingStore, IDisposable
{
    const int MostKept = 16; // names whose copies are being gone through

    readonly S3Place _place;
    readonly S3Wire _wire;
    readonly S3Options _options;
    readonly Disk _disk;
    readonly VersionPins _pins;
    readonly string _staging;
    readonly TimeProvider _time;
    readonly NameGate _entering = new();
    readonly Lock _lock = new();
    readonly Dictionary<(StoreKind, Hash32), List<VersionPin>> _further = []; // copies that are not pinned, of names whose copies are being gone through
    ulong _entryLock;

    S3Store(S3Place place, S3Wire wire, S3Options options, VersionPins pins, string staging, Disk disk, TimeProvider time) =>
        (_place, _wire, _options, _pins, _staging, _disk, _time) = (place, wire, options, pins, staging, disk, time);

    /// <summary>Opens a store, and refuses a bucket that does not hold what is entered. Changes nothing there.</summary>
    /// <param name="place">Bucket and prefix.</param>
    /// <param name="credentials">Of the keeper's own user.</param>
    /// <param name="pins">A file beside the keeper that remembers which versions are known to be sound; made with the first of them. Without it all is found, but later.</param>
    /// <param name="staging">A folder for what waits to be sent: some packs of 64 MiB. Made when it is needed.</param>
    /// <param name="disk">Where changes of these two go.</param>
    /// <param name="options">Patience and sizes.</param>
    /// <param name="time">For waiting.</param>
    /// <exception cref="HoldfastException"><c>StoreUnsafe</c>: no Object Lock, or no versioning. <c>VaultMissing</c>: no such bucket. <c>KeyFileBad</c>, <c>NoPermission</c>, <c>ClockInDoubt</c>,
    /// <c>StoreUnavailable</c>.</exception>
    public static S3Store Open(S3Place place, S3Credentials credentials, string pins, string staging, Disk? disk = null, S3Options? options = null, TimeProvider? time = null)
    {
        (disk, options, time) = (disk ?? Disk.Real, options ?? new S3Options(), time ?? TimeProvider.System);
        var wire = new S3Wire(place, credentials, options, time);
        try
        {
            BucketCheck.RequireLocks(wire, place);
            return new S3Store(place, wire, options, new VersionPins(disk, Path.GetFullPath(pins)), Path.GetFullPath(staging), disk, time);
        }
        catch
        {
            wire.Dispose();
            throw;
        }
    }

    /// <summary>Tries out, on small objects of its own, whether the keeper's credential may remove versions, bypass governance locks or change the bucket's policy, and refuses one that may. For when a
    /// vault is made: it leaves two small objects (<c>PREFIX/holdfast-probe-...</c>) behind that nobody needs.</summary>
    /// <returns>What is to be told all the same, and is not refused: a service whose locks end where somebody lengthens them beyond what it can count (Ceph before 2024). Null where there is nothing.</returns>
    /// <exception cref="HoldfastException"><c>StoreUnsafe</c>: it may, and what to change.</exception>
    public HoldfastException? Check() => BucketCheck.RequireNoPower(_wire, _place, _time);

    /// <summary>Requests sent so far: what a service charges for.</summary>
    public long Requests => _wire.Requests;

    public ulong EntryLock
    {
        get => Interlocked.Read(ref _entryLock);
        set => Interlocked.Exchange(ref _entryLock, Legal(value));
    }

    static ulong Legal(ulong until) => until <= LockRules.LastEnd ? until : throw new HoldfastException(ErrorCode.LockTooLong,
        "No lock ends later than 2106-01-01.", "Name an earlier date: Ceph counts seconds in 32 bits, and a lock beyond them would be none.");

    public IStaged Stage(bool large = false) => new PassingBytes(_disk, _staging, large);

    public bool Enter(IStaged staged, StoreKind kind, Hash32 name)
    {
        var until = EntryLock;
        using var alone = _entering.Hold((kind, name));
        if (SoundCopies(kind, name, staged.Length) is [var there, ..])
        {
            Lock(kind, name, there, until);
            return false;
        }
        Put((PassingBytes)staged, kind, name, until);
        return true;
    }

    public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name)
    {
        if (_pins.Of(kind, name).Count >= StoreExtensions.MaxCopies)
            throw new HoldfastException(ErrorCode.StoreUnavailable, $"{kind} {name} has {StoreExtensions.MaxCopies} copies already.", "So many damaged copies mean that the object store loses what it is given: look into it before anything else.");
        Put((PassingBytes)staged, kind, name, EntryLock);
    }

    void Put(PassingBytes staged, StoreKind kind, Hash32 name, ulong until)
    {
        var sender = new S3Sender(_wire, _place.Bucket, _options);
        var pin = staged.Length > _options.PartsAbove ? sender.SendParts(staged, S3Keys.Of(_place, kind, name), name, until) : sender.Send(staged, S3Keys.Of(_place, kind, name), name, until);
        if (pin.ETag.Length == 0)
            pin = pin with { ETag = (Look(kind, name, pin) ?? throw Gone(kind, name)).ETag };
        Lock(kind, name, pin, until);
        _pins.Add(kind, name, pin);
        Forget(kind, name);
    }

    public void Lock(StoreKind kind, Hash32 name, ulong until)
    {
        Legal(until);
        var copies = SoundCopies(kind, name, null, isRead: true); // what a promise is made of
        if (copies.Count == 0)
            throw new HoldfastException(kind == StoreKind.Pack ? ErrorCode.PackMissing : ErrorCode.ObjectMissing, $"{kind} {name} is not in the object store, or no copy there is sound: it cannot be locked.",
                "Back up again: what is missing is stored anew. Run `holdfast verify` to see how far it goes.");
        foreach (var copy in copies)
            Lock(kind, name, copy, until);
    }

    public ulong? LockedUntil(StoreKind kind, Hash32 name)
    {
        ulong? longest = null;
        foreach (var copy in SoundCopies(kind, name, null))
        {
            if (Look(kind, name, copy) is { } found)
                longest = Math.Max(longest ?? 0, found.LockedUntil);
        }
        return longest;
    }

    public ulong TimeThere()
    {
        _wire.Call(attempt => _wire.Client.GetBucketVersioningAsync(new GetBucketVersioningRequest { BucketName = _place.Bucket }, attempt.Token)); // any answer is dated
        return S3Time.Seconds(_wire.Dated?.UtcDateTime);
    }

    /// <summary>Lengthens the lock of one version where it is shorter, and reads it back.</summary>
    void Lock(StoreKind kind, Hash32 name, VersionPin copy, ulong until)
    {
        var key = S3Keys.Of(_place, kind, name);
        if (Look(kind, name, copy) is not { } found || (found.Size, found.ETag) != (copy.Size, copy.ETag))
            throw Gone(kind, name);
        if (found.LockedUntil >= until)
            return;
        _wire.Call(async attempt =>
        {
            try
            {
                return await _wire.Client.PutObjectRetentionAsync(new PutObjectRetentionRequest
                {
                    BucketName = _place.Bucket,
                    Key = key,
                    VersionId = copy.Version,
                    Retention = new ObjectLockRetention { Mode = ObjectLockRetentionMode.Compliance, RetainUntilDate = S3Time.Of(until) },
                }, attempt.Token).ConfigureAwait(false);
            }
            catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.BadRequest && e.ErrorCode is "InvalidArgument" or "InvalidRequest")
            {
                throw S3Time.Past(e);
            }
        });
        found = Look(kind, name, copy) ?? throw Gone(kind, name);
        if (found.LockedUntil < until)
            throw S3Fault.Unsafe($"The object store did not keep a lock that it was given: {kind} {name} was to be locked until {S3Time.Words(until)}, and it says {S3Time.Words(found.LockedUntil)}.",
                "Nothing counts as locked that is not read back. See whether the keeper's user may read locks (s3:GetObjectRetention), and whether this service has Object Lock in compliance mode as Amazon S3 describes it.");
    }

    static HoldfastException Gone(StoreKind kind, Hash32 name) => new(ErrorCode.StoreUnavailable,
        $"A version of {kind} {name} that was in the object store a moment ago is not there any more.",
        "Only whoever administers the object store itself can have removed it: find out who did. Then back up again.");

    /// <summary>What the service says of a version now; null where it is not there.</summary>
    Found? Look(StoreKind kind, Hash32 name, VersionPin copy) => _wire.Call(async attempt =>
    {
        try
        {
            var answer = await _wire.Client.GetObjectMetadataAsync(new GetObjectMetadataRequest { BucketName = _place.Bucket, Key = S3Keys.Of(_place, kind, name), VersionId = copy.Version }, attempt.Token).ConfigureAwait(false);
            return new Found(answer.ContentLength, S3Text.Tag(answer.ETag), answer.ObjectLockMode == ObjectLockMode.Compliance ? S3Time.Seconds(answer.ObjectLockRetainUntilDate) : 0);
        }
        catch (AmazonS3Exception e) when (S3Fault.IsMissing(e))
        {
            return (Found?)null;
        }
    });

    /// <param name="Size">Bytes.</param>
    /// <param name="ETag">Without quotes.</param>
    /// <param name="LockedUntil">By compliance; another lock is none.</param>
    readonly record struct Found(long Size, string ETag, ulong LockedUntil);

    /// <summary>The copies of a name that are known to give it. Where none is pinned, those that are there are looked at: a single one is taken as it is where nothing is to follow from it but a lock;
    /// else they are read, in their order, until one gives the name. That one is pinned.</summary>
    /// <param name="kind">Pack or object.</param>
    /// <param name="name">Its name.</param>
    /// <param name="size">Bytes that the name has, where bytes at hand are to be dispensed with: a copy must have been read then.</param>
    /// <param name="isRead">One that nobody has read counts for nothing.</param>
    List<VersionPin> SoundCopies(StoreKind kind, Hash32 name, long? size, bool isRead = false)
    {
        var pinned = Pinned(kind, name).Where(p => size is null || p.Size == size).ToList();
        if (pinned.Count > 0)
            return pinned;
        var others = Versions(kind, name);
        if (others.Count == 1 && size is null && !isRead)
            return others;
        foreach (var other in InOrder(kind, name, others).Where(o => size is null || o.Size == size))
        {
            if (other.Size > StoreExtensions.MaxObject || !GivesItsName(kind, name, other))
                continue;
            _pins.Add(kind, name, other);
            return [other];
        }
        return [];
    }

    /// <summary>Pinned copies that are there.</summary>
    List<VersionPin> Pinned(StoreKind kind, Hash32 name)
    {
        var pins = _pins.Of(kind, name);
        foreach (var pin in pins.ToList())
        {
            if (Look(kind, name, pin) is { } found && (found.Size, found.ETag) == (pin.Size, pin.ETag))
                continue;
            _pins.Drop(kind, name, pin);
            pins.Remove(pin);
        }
        return pins;
    }

    bool GivesItsName(StoreKind kind, Hash32 name, VersionPin copy)
    {
        const int piece = 1 << 20; // bytes: several copies are read at once
        using var item = new S3Item(_wire, _place.Bucket, S3Keys.Of(_place, kind, name), copy.Version, copy.Size);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var bytes = new byte[Math.Min(piece, copy.Size)];
        for (long at = 0; at < copy.Size; at += piece)
        {
            var part = bytes.AsSpan(0, (int)Math.Min(piece, copy.Size - at));
            item.Read(at, part);
            hash.AppendData(part);
        }
        return new Hash32(hash.GetHashAndReset()) == name;
    }

    public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0)
    {
        if (copy is < 0 or >= StoreExtensions.MaxCopies)
            return null;
        var pinned = _pins.Of(kind, name);
        if (copy < pinned.Count)
        {
            pinned = Pinned(kind, name);
            if (copy < pinned.Count)
                return ItemOf(pinned[copy]);
        }
        // Whoever goes through all copies asks the service for them once, with the first that is not pinned.
        copy -= pinned.Count;
        List<VersionPin>? further = null;
        if (copy > 0)
        {
            lock (_lock)
                _further.TryGetValue((kind, name), out further);
        }
        if (further is null)
        {
            further = InOrder(kind, name, [.. Versions(kind, name).Except(pinned)]);
            lock (_lock)
            {
                if (_further.Count >= MostKept)
                    _further.Clear();
                if (further.Count > 1)
                    _further[(kind, name)] = further;
            }
        }
        if (copy < further.Count)
            return ItemOf(further[copy]);
        Forget(kind, name);
        return null;

        S3Item ItemOf(VersionPin version) => new(_wire, _place.Bucket, S3Keys.Of(_place, kind, name), version.Version, version.Size);
    }

    void Forget(StoreKind kind, Hash32 name)
    {
        lock (_lock)
            _further.Remove((kind, name));
    }

    /// <summary>The versions of a key, oldest first; of very many the oldest. The service gives the newest first, so that all are gone through: what somebody floods a key with costs a request a thousand.</summary>
    List<VersionPin> Versions(StoreKind kind, Hash32 name)
    {
        var key = S3Keys.Of(_place, kind, name);
        var oldest = new Oldest();
        foreach (var version in S3Keys.Listed(_wire, _place, key, int.MaxValue))
        {
            if (version.Key != key)
                break; // those of a longer key come after
            oldest.Add(version);
        }
        return oldest.ToList();
    }

    /// <summary>The last of a list that begins with the newest.</summary>
    sealed class Oldest
    {
        readonly Queue<VersionPin> _last = new();

        public void Add(S3Version version)
        {
            if (version.IsMarker)
                return;
            if (_last.Count == StoreExtensions.MaxCopies)
                _last.Dequeue();
            _last.Enqueue(version.Pin);
        }

        public List<VersionPin> ToList() => [.. _last.Reverse()];
    }

    /// <summary>In the order in which copies are read: pinned ones, then locked ones, then others; of each the oldest first. Junk that somebody floods a key with is younger than what it floods.</summary>
    List<VersionPin> InOrder(StoreKind kind, Hash32 name, List<VersionPin> versions)
    {
        if (versions.Count < 2)
            return versions;
        var pins = _pins.Of(kind, name);
        return [.. versions.Select(v => (Version: v, Rank: pins.IndexOf(v) is var i and >= 0 ? i - pins.Count : Look(kind, name, v)?.LockedUntil > 0 ? 0 : 1)).OrderBy(v => v.Rank).Select(v => v.Version)];
    }

    public IEnumerable<StoredName> List(StoreKind kind)
    {
        var root = S3Keys.Root(_place, kind);
        string? key = null;
        var oldest = new Oldest();
        foreach (var version in S3Keys.Listed(_wire, _place, root, int.MaxValue))
        {
            if (version.Key != key)
            {
                foreach (var copy in Copies(key, oldest))
                    yield return copy;
                (key, oldest) = (version.Key, new Oldest());
            }
            oldest.Add(version);
        }
        foreach (var copy in Copies(key, oldest))
            yield return copy;

        IEnumerable<StoredName> Copies(string? key, Oldest oldest)
        {
            var versions = oldest.ToList();
            if (key is null || versions.Count == 0)
                yield break;
            if (S3Keys.NameOf(key[root.Length..]) is not { } name)
            {
                yield return new StoredName(kind, Hash32.None, 0, versions[^1].Size, key);
                yield break;
            }
            var copy = 0;
            foreach (var version in InOrder(kind, name, versions))
                yield return new StoredName(kind, name, copy++, version.Size);
        }
    }

    public void Dispose()
    {
        _wire.Dispose();
        _pins.Dispose();
    }
}
