using System.Security.Cryptography;
using Holdfast.Core.Approvals;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>Answers the clients of a keeper that is a process of its own: what each role may ask, and what is done then. Knows no wire (docs/protocol.md says how it is carried). Safe for concurrent use.</summary>
public sealed class KeeperDesk
{
    const int MaxRecorded = 65_536; // bytes of an enrolment
    const int MaxReason = 12_288; // bytes of a reason's object: one of 2,000 characters has room
    const int MostReadings = 60; // that a client may have recorded in an hour
    const int MostAttestations = 600; // as above: a clean room's, one after the other
    const long MostAttested = 64 << 20; // bytes of them in a day: each is kept for good
    const int MostAsked = 6; // that erased data was asked for, as above: each keeps an object for good
    const ulong MostEnd = 5; // of the ways that a grant ends
    const int MostBegun = 100; // emergencies that a client may have recorded in a month
    const ulong Hour = 3_600; // seconds
    const ulong Month = 30 * 24 * Hour;
    const long Minute = 60_000; // milliseconds
    const int Patience = 5_000; // milliseconds

    readonly VaultKeeper _keeper;
    readonly Uncommitted _uncommitted = new();
    readonly Dictionary<string, (long Told, ulong Count)> _refused = []; // by the client's name: when it was last counted, milliseconds, and how many since
    readonly Lock _turn = new();
    readonly Dictionary<(string Client, LeafType Kind), (ulong Hour, int Count)> _readings = [];
    readonly Dictionary<string, Queue<ulong>> _begun = []; // by the client's name: vault times
    readonly Dictionary<string, (ulong Day, long Bytes)> _attested = []; // by the client's name
    RemoteLog? _told; // all of the log as it was last looked at

    /// <param name="keeper">Of the vault. No one else of this process uses it.</param>
    public KeeperDesk(VaultKeeper keeper) => _keeper = keeper;

    /// <summary>Whether leaves name them, or they are gone. Where somebody changes the vault for long, only the latter: who is over its limit waits some seconds, and keeps nobody else waiting.</summary>
    List<bool> AreSettled(List<Uncommitted.Item> items)
    {
        var gone = items.ConvertAll(i => _keeper.FolderStore is { } folders && !folders.Exists(i.Kind, i.Name));
        if (!_turn.TryEnter(Patience))
            return gone;
        try
        {
            return [.. items.Zip(gone, (item, isGone) => isGone || (item.Further == 0 && IsNamed(item)))];
        }
        finally
        {
            _turn.Exit();
        }
    }

    bool IsNamed(Uncommitted.Item item) => item.Kind == StoreKind.Pack ? _keeper.State.IsCommitted(item.Name) : _keeper.State.Objects.Contains(item.Name) || _keeper.State.Find(item.Name) is not null;

    /// <summary>The text file that says which vault this is.</summary>
    public byte[] VaultFile => _keeper.File.ToArray();

    public IStore Store => _keeper.Store;

    /// <summary>The log from some leaf on, and its checkpoint. Nobody waits for a change that is being made: then it is as it was before.</summary>
    /// <param name="size">Leaves that the client has; more than there are is for the client to wonder at.</param>
    public RemoteLog LogFrom(long size)
    {
        var all = Volatile.Read(ref _told);
        if (all is null)
        {
            lock (_turn)
                all = Look();
        }
        else if (_turn.TryEnter())
        {
            try
            {
                all = Look();
            }
            finally
            {
                _turn.Exit();
            }
        }
        return all with { Leaves = [.. all.Leaves.Skip((int)Math.Clamp(size, 0, all.Leaves.Count))] };
    }

    RemoteLog Look()
    {
        _keeper.Refresh();
        var (log, clock, last) = (_keeper.Log, _keeper.Clock, _told);
        var leaves = last?.Leaves.Count == log.Size ? last.Leaves : [.. Enumerable.Range(0, (int)log.Size).Select(i => log.Leaf(i))];
        var now = new RemoteLog(log.Checkpoint!.Reduced([log.Key], []).Note, leaves, clock.Now, clock.Passed);
        Volatile.Write(ref _told, now);
        return now;
    }

    /// <summary>Does what is asked for.</summary>
    /// <exception cref="HoldfastException"><c>NoPermission</c>: not for this role. All that the change itself may be refused with.</exception>
    public byte[] Answer(KeeperClient client, KeeperRequest request)
    {
        if (!request.IsFor(client.Role))
            throw Forbidden(client);
        lock (_turn)
        {
            _keeper.Refresh(); // what is judged here is judged by the newest
            if (request is KeeperRequest.Record { Type: LeafType.Restore or LeafType.Verify or LeafType.Granted })
                Count(client, LeafType.Restore, MostReadings, "restores, verifies and grants recorded");
            else if (request is KeeperRequest.Record { Type: LeafType.GrantEnded }) // apart: whoever had one recorded can have its end recorded
                Count(client, LeafType.GrantEnded, MostReadings, "ends of grants recorded");
            else if (request is KeeperRequest.Record { Type: LeafType.ErasedAsked })
                Count(client, LeafType.ErasedAsked, MostAsked, "times recorded that erased data was asked for");
            else if (request is KeeperRequest.RecordAttestation recorded && client.Role != KeeperRole.Manage)
                CountAttested(client, recorded.Found.Length);
            var answer = Do(client, request);
            try
            {
                Look();
            }
            catch (HoldfastException)
            {
                // It is done; the next that asks for the log looks again.
            }
            return answer;
        }
    }

    /// <summary>A log never shrinks: nobody fills it by reading again and again.</summary>
    void Count(KeeperClient client, LeafType kind, int most, string what)
    {
        var hour = _keeper.Clock.Now / Hour;
        var (last, count) = _readings.GetValueOrDefault((client.Name, kind));
        count = last == hour ? count + 1 : 1;
        _readings[(client.Name, kind)] = (hour, count);
        if (count > most)
            throw new HoldfastException(ErrorCode.QuotaExceeded, $"This client has had {most} {what} in this hour; what it did was not recorded.", "What was read was read. Go on when the hour is over.");
    }

    void CountAttested(KeeperClient client, long bytes)
    {
        Count(client, LeafType.Attestation, MostAttestations, "attestations recorded");
        var today = _keeper.Clock.Now / Retention.RetentionPolicy.Day;
        var (day, before) = _attested.GetValueOrDefault(client.Name);
        before = day == today ? before : 0;
        if (before + bytes > MostAttested)
            throw new HoldfastException(ErrorCode.QuotaExceeded, $"This client has had {ByteCount.Words((ulong)before)} of attestations recorded today; this one was not recorded.", "Find out what it finds (`holdfast log entries`, `holdfast status`): attestations of sound snapshots have some hundred bytes. `holdfast attest`, by who may manage the vault, has no such limit.");
        _attested[client.Name] = (today, before + bytes);
    }

    /// <summary>Refuses a request that this client may not make, by its first bytes.</summary>
    /// <returns>How long it may be, bytes.</returns>
    public int RequireMay(KeeperClient client, ReadOnlySpan<byte> head) => KeeperRequest.Most(client.Role, head) is > 0 and var most ? most : throw Forbidden(client);

    HoldfastException Forbidden(KeeperClient client)
    {
        Refused(client);
        return new HoldfastException(ErrorCode.NoPermission, $"The keeper lets clients of the role `{client.Role.ToString().ToLowerInvariant()}` not do that. Nothing was changed.",
            "Use a client with a role that may (`holdfast keeper allow` on the keeper's machine says which has which).");
    }

    /// <summary>Counts a request of a client's that it may not make, or that is none at all, such as one to remove. The log is told of the first at once, and of more once a minute: refusing costs less than asking.</summary>
    public void Refused(KeeperClient client)
    {
        var now = Environment.TickCount64;
        ulong count;
        lock (_refused)
        {
            var (told, since) = _refused.GetValueOrDefault(client.Name, (now - Minute, 0UL));
            count = since + 1;
            _refused[client.Name] = (told, count);
            if (now - told < Minute || !_turn.TryEnter()) // nobody waits for it
                return;
            _refused[client.Name] = (now, 0);
        }
        try
        {
            _keeper.CountRefused(client.Identity, count);
        }
        catch (HoldfastException)
        {
            lock (_refused) // it is refused all the same, and counted with the next
                _refused[client.Name] = (now, _refused[client.Name].Count + count);
        }
        finally
        {
            _turn.Exit();
        }
    }

    byte[] Do(KeeperClient client, KeeperRequest request)
    {
        switch (request)
        {
            case KeeperRequest.Commit commit:
                if (!SnapshotObject.TryParse(commit.Snapshot, out var snapshot))
                    throw Senseless("snapshot");
                _keeper.Commit(snapshot!); // the client looks whether its leaf names what was sent
                _uncommitted.Named(snapshot!.Packs.Added.Select(p => p.Name));
                return [];
            case KeeperRequest.Extend extend:
                _keeper.Extend(extend.Snapshot, extend.Expiry, extend.Actor);
                return [];
            case KeeperRequest.SetPolicy policy:
                return [_keeper.SetPolicy(policy.Source, policy.Change, policy.Actor) ? (byte)1 : (byte)0];
            case KeeperRequest.Mark mark:
                return [_keeper.MarkSensitive(mark.Source, client.Identity) ? (byte)1 : (byte)0]; // who it is, not who it says
            case KeeperRequest.Record record:
                RequireRecordable(record);
                _keeper.Record(record.Type, record.Subject, record.Actor, record.A, record.B, record.C, record.Payload.Length > 0 ? record.Payload : null);
                return [];
            case KeeperRequest.RecordAttestation attestation:
                if (!AttestationObject.TryParse(attestation.Found, out var found) || found!.Vault != _keeper.Vault || found.Snapshot != attestation.Snapshot)
                    throw Senseless("attestation");
                return _keeper.RecordAttestation(attestation.Snapshot, client.Role == KeeperRole.Manage ? attestation.Actor : client.Identity, found, attestation.Elsewhere).ToArray();
            case KeeperRequest.RequireWritable:
                _keeper.RequireWritable();
                return [];
            case KeeperRequest.Enrol enrol:
                if (enrol.Enrolment.Length > MaxRecorded || !Enrolment.TryParse(enrol.Enrolment, out var agent))
                    throw Senseless("enrolment");
                _keeper.EnrolAgent(enrol.Token, agent!);
                return [];
            case KeeperRequest.Decide decide:
                if (!ApprovalObject.TryParse(decide.Approval, out var approval))
                    throw Senseless("approval");
                _keeper.Decide(approval);
                return [];
            case KeeperRequest.Hold hold:
                _keeper.Hold(hold.Snapshots, hold.Change, hold.Until, hold.Actor);
                return [];
            case KeeperRequest.EnterErasure erase:
                if (!ErasureEntry.TryParse(erase.Entry, out var entry))
                    throw Senseless("entry of the erasure register");
                _keeper.Erase(entry, erase.Words.Length > 0 ? erase.Words : null);
                return [];
            case KeeperRequest.EnterEmergency emergency:
                if (!EmergencyObject.TryParse(emergency.Step, out var step))
                    throw Senseless("step of an emergency");
                Enter(client, step);
                return [];
            default:
                throw new InvalidOperationException(request.GetType().Name);
        }
    }

    /// <summary>Each client begins emergencies out of a share of its own, and goes on only with one whose place it has, unless it may manage the vault: nobody ends another's, nor drowns it.</summary>
    void Enter(KeeperClient client, EmergencyObject step)
    {
        var known = _keeper.State.Emergency(step.Emergency);
        if (step.Step != EmergencyStep.Begun)
        {
            if (client.Role != KeeperRole.Manage && known is not null && !known.IsProvedBy(step))
                throw new HoldfastException(ErrorCode.CommitRefused, "The step of an emergency was not made where its isolated place is. Nothing was changed.", "Name the place, on the machine where it is; or use a client that may manage the vault.");
            _keeper.Enter(step);
            return;
        }
        var begun = _begun.TryGetValue(client.Name, out var before) ? before : _begun[client.Name] = new Queue<ulong>();
        while (begun.TryPeek(out var first) && first + Month <= _keeper.Clock.Now)
            begun.Dequeue();
        if (known is null && begun.Count >= MostBegun)
            throw new HoldfastException(ErrorCode.QuotaExceeded, $"This client has had {MostBegun} emergencies recorded in 30 days; this one was not recorded.", "Find out who has them recorded (`holdfast emergency list`).");
        _keeper.Enter(step);
        if (known is null)
            begun.Enqueue(_keeper.Clock.Now);
    }

    /// <summary>Only what clients find out or make, and nothing that stands in the place of what is there: all else in the log comes of the keeper's own doing.</summary>
    void RequireRecordable(KeeperRequest.Record record)
    {
        var isSound = record.Type switch
        {
            LeafType.AgentEnrolled => IsNew(record, EnrolmentKind.Agent) && record is { A: 1, B: 0, C: 0 },
            LeafType.WriterEnrolled => IsNew(record, EnrolmentKind.Writer) && record is { A: 1, B: 0, C: 1 },
            LeafType.Restore => record.Payload.Length == 0 && _keeper.State.Find(record.Subject) is not null,
            LeafType.ErasedAsked => record is { A: 0, B: 0, C: 0, Actor.IsNone: true, Payload.Length: <= MaxReason } && SealedWords.TryParse(record.Payload, out var reason) && reason.Vault == _keeper.Vault && reason.Domain == _keeper.State.Find(record.Subject)?.Object?.Domain,
            LeafType.Granted => record is { Payload.Length: 0 } && IsUnused(GrantedRestore.MarkOf(new Leaf(record.Type, 0, record.Subject, record.Actor, record.A, record.B, record.C, Hash32.None))) && _keeper.State.Find(record.Subject) is not null && _keeper.State.Agent(record.Actor) is not null
                && record.A > _keeper.Clock.Now && record.A <= _keeper.Clock.Now + GrantedRestore.MostLife + Hour,
            LeafType.GrantEnded => record.Payload.Length == 0 && (record.A & byte.MaxValue) is > 0 and <= MostEnd && record.A >> 8 <= int.MaxValue && _keeper.State.OpenGrant(record.Subject, record.Actor) is not null, // only who made it can show that
            LeafType.Verify => record.Payload.Length == 0,
            LeafType.RecoveryKit => record.Payload.Length == 0 && record.A is > 0 and <= byte.MaxValue && record.B >= record.A && record.B <= byte.MaxValue && record.C == _keeper.State.KeyEpoch,
            LeafType.ScopedKey => record.Payload.Length == 0 && record.A <= byte.MaxValue && Enum.IsDefined((KeyClass)record.A),
            _ => false,
        };
        if (!isSound)
            throw Senseless("record");
    }

    bool IsUnused(Id16 mark) => !mark.IsNone && !_keeper.State.Grants.Exists(g => g.Mark == mark);

    bool IsNew(KeeperRequest.Record record, EnrolmentKind kind) =>
        record.Payload.Length <= MaxRecorded && Enrolment.TryParse(record.Payload, out var enrolment) && enrolment!.Id == record.Subject && enrolment.Kind == kind && _keeper.IsNew(enrolment);

    static HoldfastException Senseless(string what) => new(ErrorCode.CommitRefused, $"What was sent as {(what[0] is 'a' or 'e' ? "an" : "a")} {what} is none of this vault's. Nothing was changed.", "Use the same release of holdfast on both machines.");

    /// <summary>Takes in bytes that a client stores.</summary>
    /// <param name="client">Who stores.</param>
    /// <param name="kind">Pack or object.</param>
    /// <param name="name">SHA-256 that they are to have.</param>
    /// <param name="further">They are to be a further copy of what is stored already.</param>
    /// <param name="most">How many there may be; null where that is not known.</param>
    /// <exception cref="HoldfastException"><c>NoPermission</c>; <c>QuotaExceeded</c>: it has stored more than it may without committing it; what staging reports.</exception>
    public Incoming Take(KeeperClient client, StoreKind kind, Hash32 name, bool further, long? most = null)
    {
        // Objects are made by the keeper, of what it is asked for: one that no leaf names would stay for good.
        if (client.Role != KeeperRole.Manage && (client.Role != KeeperRole.Backup || further || kind != StoreKind.Pack))
            throw Forbidden(client);
        var reserved = Math.Clamp(most ?? long.MaxValue, 0, Incoming.Most(kind));
        if (client.Uncommitted is null && _keeper.FolderStore is null)
            return new Incoming(this, null, 0, kind, name);
        if (!_uncommitted.TryReserve(client.Name, reserved, LimitOf) && !HasRoomNow())
        {
            Refused(client);
            throw new HoldfastException(ErrorCode.QuotaExceeded, $"The client {client.Name} has stored {ByteCount.Words((ulong)_uncommitted.Of(client.Name))} that no commit names, and may store no more.",
                "See what it is doing: a backup that is larger than half of the room that is left looks so, and so does a stolen client that fills the disk. Where it is right, `holdfast keeper allow` with --uncommitted SIZE lets it store more; what was stored is used by its next run, or goes 24 days after it came.");
        }
        try
        {
            return new Incoming(this, client.Name, reserved, kind, name);
        }
        catch
        {
            _uncommitted.Became(client.Name, reserved, null, 0, further);
            throw;
        }

        bool HasRoomNow()
        {
            _uncommitted.Settle(client.Name, AreSettled);
            return _uncommitted.TryReserve(client.Name, reserved, LimitOf);
        }

        // Half of the room, what it has counted in: one client leaves as much for the others, and a second one half of that.
        long LimitOf(long stored, long onTheWay) => client.Uncommitted is { } given ? (long)Math.Min(given, long.MaxValue) : HalfOf(stored, _keeper.FolderStore!.FreeInAll - onTheWay);
    }

    internal static long HalfOf(long stored, long free) => (stored + free) / 2;

    /// <summary>Bytes on their way into the store. Their name is recomputed here: whoever sends them is not asked.</summary>
    public sealed class Incoming : IDisposable
    {
        readonly KeeperDesk _desk;
        readonly VaultKeeper _keeper;
        readonly string? _client; // null: what it stores is not counted
        readonly long _reserved;
        readonly StoreKind _kind;
        readonly Hash32 _name;
        readonly IStaged _staged;
        readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

        bool _isSettled;

        internal Incoming(KeeperDesk desk, string? client, long reserved, StoreKind kind, Hash32 name)
        {
            (_desk, _keeper, _client, _reserved, _kind, _name) = (desk, desk._keeper, client, reserved, kind, name);
            _staged = _keeper.Store.Stage(kind == StoreKind.Pack);
        }

        /// <summary>Bytes of the longest.</summary>
        public static long Most(StoreKind kind) => kind == StoreKind.Pack ? Packs.PackFormat.MaxSize : StoreExtensions.MaxObject;

        /// <exception cref="HoldfastException"><c>CommitRefused</c>: too many. What the disk reports.</exception>
        public void Append(ReadOnlySpan<byte> bytes)
        {
            if (_staged.Length + bytes.Length > Most(_kind))
                throw new HoldfastException(ErrorCode.CommitRefused, "What was sent is longer than a pack or an object may be. It was not stored.", "Use the same release of holdfast on both machines.");
            _hash.AppendData(bytes);
            _staged.Append(bytes);
        }

        /// <summary>Makes them durable under their name.</summary>
        /// <param name="further">A further copy, where that is stored already.</param>
        /// <returns>False where it is stored already, and no further copy was asked for.</returns>
        /// <exception cref="HoldfastException"><c>CommitRefused</c>: they do not give that name.</exception>
        public bool Enter(bool further)
        {
            if (new Hash32(_hash.GetHashAndReset()) != _name)
                throw new HoldfastException(ErrorCode.CommitRefused, "What was sent does not give the name it was sent by: bytes changed on the way, or the client is not sound. It was not stored.", "Run the same command again; where it goes on, look at that client's memory and network.");
            _keeper.RenewBirthLock();
            var (length, isNew) = (_staged.Length, further);
            if (further)
                _keeper.Store.EnterCopy(_staged, _kind, _name);
            else
                isNew = _keeper.Store.Enter(_staged, _kind, _name);
            Settle(isNew ? (_kind, _name) : null, length, further);
            return isNew;
        }

        void Settle((StoreKind, Hash32)? stored, long bytes, bool isFurther)
        {
            if (!_isSettled && _client is not null)
                _desk._uncommitted.Became(_client, _reserved, stored, bytes, isFurther);
            _isSettled = true;
        }

        public void Dispose()
        {
            Settle(null, 0, isFurther: false);
            _staged.Dispose();
            _hash.Dispose();
        }
    }
}
