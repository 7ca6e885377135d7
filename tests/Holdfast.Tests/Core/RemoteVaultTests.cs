using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Backup;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>A vault whose keeper is elsewhere, without a network in between: what is asked of it, and what is believed of what it says.</summary>
public sealed class RemoteVaultTests : IDisposable
{
    const ulong Day = RetentionPolicy.Day;

    readonly Ed25519Signer _approver = new(new byte[32]);
    readonly Ed25519Signer _other = new([.. Enumerable.Repeat((byte)1, 32)]);
    readonly TestVault _test;

    public RemoteVaultTests() => _test = new TestVault(approvers: ApproverSet.Of(1, [_approver.PublicKey.ToArray(), _other.PublicKey.ToArray()]));

    public void Dispose()
    {
        _test.Dispose();
        _approver.Dispose();
        _other.Dispose();
    }

    /// <summary>A keeper's desk asked directly; what it answers can be bent.</summary>
    sealed class Reached(KeeperDesk desk, KeeperRole role) : IRemoteKeeper, IObjectStores
    {
        public Func<RemoteLog, RemoteLog> Bend { get; set; } = log => log;
        public Func<KeeperRequest, bool> Drops { get; set; } = _ => false;
        public List<KeeperRequest> Asked { get; } = [];
        public string Place => "https://keeper.example:8444/";
        public RemoteLog LogFrom(long size) => Bend(desk.LogFrom(size));

        public byte[] Ask(KeeperRequest request)
        {
            Asked.Add(request);
            Assert.True(KeeperRequest.TryParse(request.ToArray(), out var sent));
            return Drops(request) ? [] : desk.Answer(Of(role), sent);
        }

        public IStaged Stage(bool large = false) => desk.Store.Stage(large);
        public bool Enter(IStaged staged, StoreKind kind, Hash32 name) => role == KeeperRole.Read ? throw new InvalidOperationException() : desk.Store.Enter(staged, kind, name);
        public void EnterCopy(IStaged staged, StoreKind kind, Hash32 name) => desk.Store.EnterCopy(staged, kind, name);
        public IStoredItem? Open(StoreKind kind, Hash32 name, int copy = 0)
        {
            Opened += kind == StoreKind.Object ? 1 : 0;
            return desk.Store.Open(kind, name, copy);
        }

        /// <summary>Objects that were asked for.</summary>
        public int Opened { get; private set; }
        public IEnumerable<StoredName> List(StoreKind kind) => desk.Store.List(kind);

        string IObjectStores.Name(string place) => place;

        void IObjectStores.RequireCredential(string file)
        {
            // There is none.
        }

        HoldfastException? IObjectStores.Check(string place, ReadOnlySpan<byte> credential) => null;
        IStore IObjectStores.Open(string place, string vault, Disk disk) => this;
        IRemover? IObjectStores.Remover(string place, string vault) => null;
    }

    static KeeperClient Of(KeeperRole role) => new($"{role}", role, "");

    /// <summary>The vault's keeper, and a client's folder that stands for it.</summary>
    (VaultKeeper Keeper, Reached Reached) Serve(KeeperRole role = KeeperRole.Manage)
    {
        var keeper = VaultKeeper.Open(_test.Folder, machine: _test.Machine);
        foreach (var part in new[] { "keeper", "cache", "log" })
            Directory.CreateDirectory(Path.Combine(Mirror, part));
        File.Copy(Path.Combine(_test.Folder, VaultFile.Name), Path.Combine(Mirror, VaultFile.Name), overwrite: true);
        File.WriteAllText(Path.Combine(Mirror, "keeper/store"), "https://keeper.example:8444/\n");
        return (keeper, new Reached(new KeeperDesk(keeper), role));
    }

    string Mirror => _test["mirror"];

    Vault Open(Reached reached) => Vault.Open(Mirror, machine: _test.Machine, stores: reached);

    void Write(string name, string text) => File.WriteAllText(Path.Combine(_test.Source, name), text);

    [Fact]
    public void Backups_and_all_changes_go_through_it_and_read_the_same_as_in_place()
    {
        Write("a.txt", "first");
        var (keeper, reached) = Serve();
        using (keeper)
        using (var vault = Open(reached))
        {
            var first = _test.BackUp(vault);
            Assert.True(first.Receipt.Proof.IsValid(vault.Keeper.Log.Key));
            Write("b.txt", "second");
            var second = _test.BackUp(vault);
            Assert.Equal(first.Snapshot, second.Parent!.Snapshot);
            var record = vault.State.Find(first.Snapshot)!;
            vault.Keeper.Extend(first.Snapshot, record.Expiry + Day, Id16.None);
            Assert.Equal(record.Expiry, vault.State.Find(first.Snapshot)!.Expiry);
            Assert.True(vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Weeks: 4), Id16.None));
            Assert.False(vault.Keeper.SetPolicy(Id16.None, new PolicyChange(Weeks: 4), Id16.None));
            vault.Keeper.Record(LeafType.Restore, first.Snapshot, Id16.None, 0, 5, 1);
            using (var keys = vault.Unlock(_test.Seed))
            {
                Assert.True(vault.Attest(vault.State.Find(second.Snapshot)!, keys, full: true, Id16.None, CancellationToken.None).IsGood);
                Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => vault.Rotate(keys, null, (_, _) => { })).Code); // where the vault is kept
                vault.IssueKeys(keys, (_, _) => { }).Put.Dispose();
            }
            vault.Keeper.RequireWritable();
            Assert.Equal(1u, vault.State.KeyEpoch);
            Assert.Equal(10, reached.Asked.Count);
        }
        using var here = _test.Open();
        Assert.Equal(2, here.State.Snapshots.Count);
        Assert.Equal(4u, here.State.PolicyFor(Id16.None).Weeks);
        Assert.True(here.State.Snapshots[1].Attested > 0);
        using var mine = Vault.Open(Mirror, machine: _test.Machine, stores: Serve().Reached);
        Assert.Equal(here.Keeper.Log.Checkpoint!.Root, mine.Keeper.Log.Checkpoint!.Root);
    }

    [Fact]
    public void Approvals_and_holds_go_through_it_and_a_client_alone_approves_of_nothing()
    {
        Write("a.txt", "first");
        var (keeper, reached) = Serve();
        using (keeper)
        using (var vault = Open(reached))
        {
            var id = _test.BackUp(vault).Snapshot;
            vault.Keeper.Hold([id], HoldChange.Set, 0, Id16.None);
            Assert.True(vault.State.Find(id)!.HeldUntil > 0);
            Assert.Equal(ErrorCode.QuorumMissing, Assert.Throws<HoldfastException>(() => vault.Keeper.Hold([id], HoldChange.Lifted, 0, Id16.None)).Code);
            var file = new RequestFile(new ApprovalRequest.HoldLifted(vault.Keeper.NewRequest(Id16.None, Day, null), [id]).ToArray(), null, []);
            Assert.Equal(ErrorCode.QuorumMissing, Assert.Throws<HoldfastException>(() => vault.Keeper.Decide(ApprovalObject.Of(file.Request, Decision.Approved, []))).Code);
            Assert.True(vault.Keeper.Decide(file.Sign(Decision.Approved, _approver).All(Decision.Approved)!).InForce > 0);
            Assert.Equal(0UL, vault.State.Find(id)!.HeldUntil);
            Assert.Equal(0UL, keeper.State.Find(id)!.HeldUntil);
            var source = vault.State.Find(id)!.Source;
            Assert.True(vault.Keeper.MarkSensitive(source, Id16.None));
            Assert.False(vault.Keeper.MarkSensitive(source, Id16.None));
            Assert.True(vault.State.IsSensitive(source) && keeper.State.IsSensitive(source));
        }
    }

    [Fact]
    public void The_erasure_register_goes_through_it_and_who_may_only_read_tells_what_was_brought_all_the_same()
    {
        Write("a.txt", "first");
        Write("b.txt", "second");
        var (keeper, reached) = Serve();
        using (keeper)
        {
            using (var vault = Open(reached))
            using (var keys = vault.Unlock(_test.Seed))
            {
                _test.BackUp(vault);
                var record = vault.Find("latest");
                vault.Erase(keys, record.Object!.Domain, record.Source, ErasureKind.Erased, ErasureOf.Path, "a.txt"u8.ToArray(), vault.Keeper.Clock.Now, "case 17", vault.Keeper.Clock.Now + Day);
                Assert.Equal("case 17", Assert.Single(vault.Erasures(keys)).Reason);
                Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Erase(vault.State.Erasures[0].Entry with { Salt = Hash32.None }, null)).Code);
                Assert.Equal(ErrorCode.ErasureApplies, Assert.Throws<HoldfastException>(() => vault.Cat(record, keys, "a.txt"u8.ToArray(), Stream.Null, CancellationToken.None)).Code);
            }
            using var reader = Open(new Reached(new KeeperDesk(keeper), KeeperRole.Read));
            using var same = reader.Unlock(_test.Seed);
            var latest = reader.Find("latest");
            Assert.Equal(ErrorCode.ErasureApplies, Assert.Throws<HoldfastException>(() => reader.Cat(latest, same, "a.txt"u8.ToArray(), Stream.Null, CancellationToken.None)).Code);
            Assert.Equal(ErrorCode.NoPermission, Assert.Throws<HoldfastException>(() => reader.WithdrawErasure(same, reader.State.Erasures[0].Entry, "no", 0)).Code);
            var size = keeper.Log.Size;
            reader.RecordErasedAsked(same, latest, "a child is ill");
            Assert.True(keeper.Log.Size > size);
            var secret = new Hash32(new byte[Hash32.Size]);
            var begun = reader.Emergency(EmergencyStep.Begun, Id16.New(), Id16.New(), latest.Snapshot, new Hash32(System.Security.Cryptography.SHA256.HashData(secret.ToArray())), Id16.None, "Dr Who", "no charts", "", 1);
            reader.Keeper.Enter(begun); // who may restore may tell of it
            Assert.True(keeper.State.Emergency(begun.Emergency)!.IsOpen);
            Assert.Equal(ErrorCode.QuorumMissing, Assert.Throws<HoldfastException>(() => reader.Keeper.Enter(reader.Emergency(EmergencyStep.Released, begun.Emergency, begun.Place, latest.Snapshot, secret, Id16.None, "Dr Who", "no", "", 1))).Code);
            var words = keeper.Store.ReadObject(reader.State.ErasedAsked[0].Reason);
            foreach (var (a, actor, payload) in new (ulong, Id16, byte[])[] { (0, Id16.None, [1, 2]), (1, Id16.None, words), (0, latest.Snapshot, words) })
                Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => reader.Keeper.Record(LeafType.ErasedAsked, latest.Snapshot, actor, a, 0, 0, payload)).Code);
            for (var i = 4; i < 6; i++) // those that were refused count too
                reader.RecordErasedAsked(same, latest, new string('\u20ac', 2_000));
            Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => reader.RecordErasedAsked(same, latest, "again")).Code);
        }
    }

    [Fact]
    public void What_belongs_to_the_keepers_machine_is_refused_here()
    {
        var (keeper, reached) = Serve();
        using (keeper)
        using (var vault = Open(reached))
        {
            Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => vault.Keeper.Expire(dryRun: false)).Code);
            Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => vault.Keeper.Expire(dryRun: true)).Code);
            Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => vault.Keeper.MendTiles()).Code);
            Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => vault.Keeper.AddFolder(_test["more"])).Code);
            Assert.Empty(reached.Asked);
        }
    }

    /// <summary>All kinds of requests by all roles: what each may is written out here once more.</summary>
    [Fact]
    public void Each_role_may_what_it_may_and_the_log_says_nothing_of_the_rest()
    {
        var (keeper, _) = Serve();
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            foreach (var role in Enum.GetValues<KeeperRole>())
            {
                foreach (var request in KeeperRequestTests.All)
                {
                    var may = role == KeeperRole.Manage || (role == KeeperRole.Attest && request is KeeperRequest.RecordAttestation) || request is KeeperRequest.RequireWritable || (role == KeeperRole.Backup && request is KeeperRequest.Commit) || (role == KeeperRole.Read && request is KeeperRequest.Record { Type: LeafType.Restore } or KeeperRequest.EnterEmergency);
                    var size = keeper.Log.Size;
                    var fault = Record.Exception(() => desk.Answer(Of(role), request));
                    Assert.Equal(!may, fault is HoldfastException { Code: ErrorCode.NoPermission });
                    Assert.True(may || keeper.Log.Size == size);
                }
                Assert.Equal(role is KeeperRole.Read or KeeperRole.Attest, Record.Exception(() => desk.Take(Of(role), StoreKind.Pack, Hash32.None, further: false).Dispose()) is HoldfastException { Code: ErrorCode.NoPermission });
                Assert.Equal(role != KeeperRole.Manage, Record.Exception(() => desk.Take(Of(role), StoreKind.Pack, Hash32.None, further: true).Dispose()) is HoldfastException { Code: ErrorCode.NoPermission });
            }
        }
    }

    /// <summary>A clean room at another machine, with keys of its own: the log says that it was this one, whatever it says itself.</summary>
    [Fact]
    public void A_clean_room_attests_from_elsewhere_under_its_own_identity_and_not_without_end()
    {
        Write("a.txt", "first");
        var snapshot = _test.BackUp().Snapshot;
        using Holdfast.Core.Keys.CleanRoomKeys keys = Cut();
        var (keeper, _) = Serve();
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            var client = new KeeperClient("cleanroom", KeeperRole.Attest, new string('c', 64));
            AttestationObject found;
            using (var vault = Open(new Reached(desk, KeeperRole.Attest)))
            {
                vault.Keeper.RequireWritable();
                found = vault.Attest(vault.State.Find(snapshot)!, keys, AttestationDepth.SampleAndPacks, Id16.New(), CancellationToken.None);
                Assert.True(found.IsGood);
                Assert.Equal(ErrorCode.NoPermission, Assert.Throws<HoldfastException>(() => vault.Keeper.Extend(snapshot, ulong.MaxValue / 4, Id16.None)).Code);
            }
            found = found with { Salt = new Hash32(new byte[31].Append((byte)1).ToArray()) }; // the same again says nothing
            desk.Answer(client, new KeeperRequest.RecordAttestation(snapshot, Id16.New(), found.ToArray(), []));
            keeper.Refresh();
            Assert.Equal(client.Identity, keeper.State.CleanRoom.Id);
            for (var i = 1; i < 600; i++)
                desk.Answer(client, new KeeperRequest.RecordAttestation(snapshot, Id16.None, (found with { Salt = new Hash32(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32)) }).ToArray(), []));
            Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => desk.Answer(client, new KeeperRequest.RecordAttestation(snapshot, Id16.None, found.ToArray(), []))).Code);

            // Each is kept for good: what one may add in a day has an end, and so has one of them.
            var other = client with { Name = "another" };
            var large = found with { LateDigests = new byte[3 << 20] };
            Assert.InRange(new KeeperRequest.RecordAttestation(snapshot, Id16.None, large.ToArray(), []).ToArray().Length, 1, KeeperRequest.Most(KeeperRole.Attest, [1, 5]));
            Assert.InRange(KeeperRequest.Most(KeeperRole.Attest, [1, 5]), 1, 4 << 20);
            for (var i = 0; i < 21; i++)
                desk.Answer(other, new KeeperRequest.RecordAttestation(snapshot, Id16.None, (large with { Salt = new Hash32(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32)) }).ToArray(), []));
            Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => desk.Answer(other, new KeeperRequest.RecordAttestation(snapshot, Id16.None, large.ToArray(), []))).Code);
            _test.Machine.Pass(Day);
            desk.Answer(other, new KeeperRequest.RecordAttestation(snapshot, Id16.None, large.ToArray(), []));
        }

        Holdfast.Core.Keys.CleanRoomKeys Cut()
        {
            using var vault = _test.Open();
            using var opening = vault.Unlock(_test.Seed);
            return Holdfast.Core.Keys.CleanRoomKeys.Of(vault.CutKey(opening, KeyClass.Tree, null, 0), vault.CutKey(opening, KeyClass.Content, null, 0));
        }
    }

    /// <summary>Whoever has the strongest client's key can write into the log only what such a client finds out or makes: never an expiry, a genesis, a clock; and nothing in the place of what is there.</summary>
    [Fact]
    public void What_clients_may_have_recorded_is_little()
    {
        Write("a.txt", "first");
        var snapshot = _test.BackUp().Snapshot;
        var (keeper, _) = Serve();
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            bool Taken(KeeperRequest.Record record)
            {
                var size = keeper.Log.Size;
                var fault = Record.Exception(() => desk.Answer(Of(KeeperRole.Manage), record));
                Assert.True(fault is null or HoldfastException { Code: ErrorCode.CommitRefused });
                Assert.Equal(fault is null ? 1 : 0, keeper.Log.Size - size);
                return fault is null;
            }
            LeafType[] taken = [LeafType.Restore, LeafType.Verify, LeafType.RecoveryKit, LeafType.ScopedKey];
            for (var type = 0; type < 256; type++)
                Assert.Equal(taken.Contains((LeafType)type), Taken(new KeeperRequest.Record((LeafType)type, snapshot, Id16.None, 1, 1, 1, [])));
            foreach (var type in taken)
                Assert.False(Taken(new KeeperRequest.Record(type, snapshot, Id16.None, 1, 1, 1, [1])));
            Assert.False(Taken(new KeeperRequest.Record(LeafType.Restore, Id16.New(), Id16.None, 1, 1, 1, []))); // no such snapshot
            foreach (var (a, b, c) in new (ulong, ulong, ulong)[] { (0, 3, 1), (4, 3, 1), (2, 256, 1), (2, 3, 0), (2, 3, 2), (2, 3, ulong.MaxValue) })
                Assert.False(Taken(new KeeperRequest.Record(LeafType.RecoveryKit, Id16.New(), Id16.None, a, b, c, []))); // a kit of no epoch, or of one to come, would hide that it is old
            Assert.False(Taken(new KeeperRequest.Record(LeafType.ScopedKey, Id16.New(), Id16.None, 9, 0, 0, [])));

            var agent = new Enrolment(keeper.Vault, VaultKeeper.Salt(), EnrolmentKind.Agent, Id16.New(), 1, new byte[32], Id16.New());
            KeeperRequest.Record Enrols(Enrolment what, LeafType type = LeafType.AgentEnrolled, ulong a = 1, ulong c = 0) => new(type, what.Id, Id16.None, a, 0, c, what.ToArray());
            foreach (var wrong in new[] { Enrols(agent with { Vault = Id16.New() }), Enrols(agent) with { Subject = Id16.New() }, Enrols(agent with { Kind = EnrolmentKind.Writer }), Enrols(agent, LeafType.WriterEnrolled, c: 1), Enrols(agent, a: 2), Enrols(agent, c: 1), Enrols(agent, LeafType.SourceEnrolled), Enrols(agent, LeafType.Restore), Enrols(agent with { Epoch = 2 }) })
                Assert.False(Taken(wrong));
            Assert.True(Taken(Enrols(agent)));
            Assert.NotNull(keeper.State.Agent(agent.Id));

            // Nobody takes the place of an agent or a writer that is enrolled: theirs, or its own once more.
            var mine = _test.Keys.Agent.Agent;
            Assert.False(Taken(Enrols(agent with { Id = mine })));
            Assert.False(Taken(Enrols(agent)));
            Assert.False(Taken(Enrols(agent with { Id = _test.Keys.Put.Writer, Kind = EnrolmentKind.Writer }, LeafType.WriterEnrolled, c: 1)));
            Assert.False(Taken(Enrols(agent with { Kind = EnrolmentKind.Writer }, LeafType.WriterEnrolled, c: 1)));
            Assert.Equal(_test.Keys.Agent.Signer.PublicKey.ToArray(), keeper.State.Agent(mine)!.PublicKey);
        }
    }

    /// <summary>A log never shrinks.</summary>
    [Fact]
    public void A_client_that_reads_again_and_again_does_not_fill_the_log()
    {
        var (keeper, _) = Serve();
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            var size = keeper.Log.Size;
            HoldfastException? fault = null;
            for (var i = 0; i < 200; i++)
                fault = Record.Exception(() => desk.Answer(Of(KeeperRole.Read), new KeeperRequest.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 1, 0, []))) as HoldfastException;
            Assert.Equal(ErrorCode.QuotaExceeded, fault!.Code);
            Assert.InRange(keeper.Log.Size - size, 50, 70);
            _test.Machine.Pass(3_600);
            desk.Answer(Of(KeeperRole.Read), new KeeperRequest.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 1, 0, []));
        }
    }

    /// <summary>Who reads may have it recorded that it granted a restore, of what is there to who is enrolled; each has one end. A record opens nothing.</summary>
    [Fact]
    public void A_client_that_reads_may_have_a_grant_recorded_and_its_end()
    {
        Write("a.txt", "first");
        var snapshot = _test.BackUp().Snapshot;
        var agent = _test.Keys.Agent.Agent;
        var (keeper, _) = Serve();
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            ErrorCode Asked(KeeperRole role, KeeperRequest.Record record) => (Record.Exception(() => desk.Answer(Of(role), record)) as HoldfastException)?.Code ?? ErrorCode.None;
            var secret = Id16.New();
            KeeperRequest.Record Granted(Id16 what, Id16 to, ulong until, Id16? by = null, byte[]? payload = null)
            {
                var (b, c) = GrantedRestore.Numbers(GrantedRestore.MarkOf(by ?? Id16.New()));
                return new(LeafType.Granted, what, to, until, b, c, payload ?? []);
            }
            KeeperRequest.Record Ended(Id16 to, ulong how = 1, Id16? by = null) => new(LeafType.GrantEnded, by ?? secret, to, how, 5, 6, []);
            var soon = keeper.Clock.Now + 3_600;
            Assert.Equal(ErrorCode.NoPermission, Asked(KeeperRole.Backup, Granted(snapshot, agent, soon)));
            foreach (var wrong in new[] { Granted(Id16.New(), agent, soon), Granted(snapshot, Id16.New(), soon), Granted(snapshot, agent, keeper.Clock.Now), Granted(snapshot, agent, keeper.Clock.Now + 60 * RetentionPolicy.Day), new KeeperRequest.Record(LeafType.Granted, snapshot, agent, soon, 0, 0, []), Granted(snapshot, agent, soon, payload: [1]), Ended(agent) })
                Assert.Equal(ErrorCode.CommitRefused, Asked(KeeperRole.Read, wrong));
            Assert.Equal(ErrorCode.None, Asked(KeeperRole.Read, Granted(snapshot, agent, soon, secret)));
            Assert.Equal(ErrorCode.CommitRefused, Asked(KeeperRole.Read, Granted(snapshot, agent, soon, secret))); // another one of the same number would pass for it
            foreach (var wrong in new[] { Ended(Id16.New()), Ended(agent, 0), Ended(agent, 6), Ended(agent, 1UL << 60 | 1) })
                Assert.Equal(ErrorCode.CommitRefused, Asked(KeeperRole.Read, wrong));
            // Who reads the log knows snapshot, agent and mark, and ends nothing with that.
            foreach (var known in new[] { snapshot, agent, GrantedRestore.MarkOf(secret), Id16.None, Id16.New() })
                Assert.Equal(ErrorCode.CommitRefused, Asked(KeeperRole.Read, Ended(agent, by: known)));
            Assert.True(keeper.State.Grants[0].IsOpen);
            Assert.Equal(ErrorCode.None, Asked(KeeperRole.Read, Ended(agent, 4 + (2 << 8))));
            Assert.Equal((false, 4UL, 2UL, 5UL, 6UL), (keeper.State.Grants[0].IsOpen, keeper.State.Grants[0].End, keeper.State.Grants[0].Takeovers, keeper.State.Grants[0].Bytes, keeper.State.Grants[0].Files));
            Assert.Equal(ErrorCode.CommitRefused, Asked(KeeperRole.Read, Ended(agent))); // once
            var size = keeper.Log.Size;
            var made = Enumerable.Range(0, 100).Select(_ => Id16.New()).Where(one => Asked(KeeperRole.Read, Granted(snapshot, agent, soon, one)) == ErrorCode.None).ToList();
            Assert.InRange(keeper.Log.Size - size, 40, 70);
            for (var i = 0; i < 100; i++)
                Assert.NotEqual(ErrorCode.None, Asked(KeeperRole.Read, Ended(agent, by: Id16.New())));
            Assert.Equal(ErrorCode.QuotaExceeded, Asked(KeeperRole.Read, Ended(agent, by: made[0])));
            _test.Machine.Pass(3_600);
            Assert.All(made, one => Assert.Equal(ErrorCode.None, Asked(KeeperRole.Read, Ended(agent, by: one)))); // each that was made can be ended
        }
    }

    /// <summary>Objects are made by the keeper: one that no leaf names would stay for good.</summary>
    [Fact]
    public void A_client_that_backs_up_stores_packs_alone()
    {
        var (keeper, _) = Serve();
        using (keeper)
            Assert.Equal(ErrorCode.NoPermission, Assert.Throws<HoldfastException>(() => new KeeperDesk(keeper).Take(Of(KeeperRole.Backup), StoreKind.Object, Hash32.None, further: false)).Code);
    }

    /// <summary>Who may ask is told by two bytes, before more is taken in: by all of them that there are.</summary>
    [Fact]
    public void The_first_bytes_say_who_may_ask_and_how_much()
    {
        foreach (var role in Enum.GetValues<KeeperRole>())
        {
            for (var head = 0; head < 65_536; head++)
            {
                var most = KeeperRequest.Most(role, [(byte)(head >> 8), (byte)head]);
                Assert.Equal(head >> 8 == 1 && (head & 255) switch { 1 or 7 => role is KeeperRole.Backup or KeeperRole.Manage, 5 => role is KeeperRole.Attest or KeeperRole.Manage, 2 or 3 or 8 or 9 or 10 or 12 => role == KeeperRole.Manage, 4 or 11 => role is KeeperRole.Read or KeeperRole.Manage, 6 => true, _ => false }, most > 0);
                Assert.True(most <= 65_536 || (head & 255) is 1 or 5 || ((head & 255) is 8 or 10 && most <= 200_000));
            }
            Assert.Equal(0, KeeperRequest.Most(role, []));
            Assert.Equal(0, KeeperRequest.Most(role, [1]));
        }
    }

    [Fact]
    public void Bytes_that_do_not_give_their_name_are_not_stored()
    {
        var (keeper, _) = Serve();
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            var name = VaultKeeper.Salt();
            using (var incoming = desk.Take(Of(KeeperRole.Backup), StoreKind.Pack, name, further: false))
            {
                incoming.Append(new byte[1_000]);
                Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => incoming.Enter(further: false)).Code);
            }
            Assert.Null(desk.Store.Open(StoreKind.Pack, name));
            Assert.Empty(Directory.GetFiles(Path.Combine(_test.Folder, "staging")));
        }
    }

    static bool Store(KeeperDesk desk, KeeperClient client, byte[] bytes, long? most = null)
    {
        using var incoming = desk.Take(client, StoreKind.Pack, new Hash32(System.Security.Cryptography.SHA256.HashData(bytes)), further: false, most ?? bytes.Length);
        incoming.Append(bytes);
        return incoming.Enter(further: false);
    }

    [Fact]
    public void A_client_that_commits_nothing_stores_no_more_than_it_may()
    {
        var (keeper, _) = Serve();
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            var thief = new KeeperClient("thief", KeeperRole.Backup, new string('a', 64), Uncommitted: 5 << 20);
            for (byte i = 0; i < 5; i++) // of any size: each takes an entry of the disk
                Assert.True(Store(desk, thief, [i]));
            Assert.False(Store(desk, thief with { Name = "other" }, [0])); // it is there, and costs whoever sends it nothing
            Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => Store(desk, thief, [9])).Code);
            Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => Store(desk, thief, [9])).Code);
            Assert.True(Store(desk, thief with { Name = "other" }, [9])); // others go on

            // What it says it will send is counted before it is sent: many at once get no further.
            var many = new KeeperClient("many", KeeperRole.Backup, "", Uncommitted: 300 << 20);
            using (desk.Take(many, StoreKind.Pack, Hash32.None, further: false))
            using (desk.Take(many, StoreKind.Pack, Hash32.None, further: false))
                Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => desk.Take(many, StoreKind.Pack, Hash32.None, further: false)).Code);
            desk.Take(many, StoreKind.Pack, Hash32.None, further: false).Dispose();

            // Without a number it is half of the room: what came has taken its part of it already.
            Assert.Equal((3L << 30) / 2, KeeperDesk.HalfOf(stored: 1L << 30, free: 2L << 30));
            _test.Machine.Pass(3_601);
            keeper.RequireWritable();
            keeper.SetPolicy(Id16.None, new PolicyChange(Base: 60 * Day), Id16.None);
            Assert.Contains(Enumerable.Range(0, (int)keeper.Log.Size), i => Leaf.TryParse(keeper.Log.Leaf(i), out var leaf) && leaf is { Type: LeafType.Refusals, A: 6, C: 1 } && leaf.Subject == thief.Identity);
        }
    }

    [Fact]
    public void Objects_and_further_copies_count_too()
    {
        var (keeper, _) = Serve();
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            var client = new KeeperClient("m", KeeperRole.Manage, "", Uncommitted: 4 << 20);
            void Put(StoreKind kind, byte[] bytes, bool further)
            {
                using var incoming = desk.Take(client, kind, new Hash32(System.Security.Cryptography.SHA256.HashData(bytes)), further, bytes.Length);
                incoming.Append(bytes);
                incoming.Enter(further);
            }
            Put(StoreKind.Object, [1], further: false);
            Put(StoreKind.Pack, [2], further: false);
            Put(StoreKind.Pack, [2], further: true);
            Put(StoreKind.Pack, [2], further: true);
            Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => Put(StoreKind.Pack, [2], further: true)).Code);
            Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => Put(StoreKind.Object, [3], further: false)).Code);
        }
    }

    [Fact]
    public void What_a_commit_names_counts_no_more_at_once()
    {
        const int most = 5; // MiB
        bool HasRoom(Uncommitted list) => list.TryReserve("c", 1, (_, _) => most << 20);
        void Store(Uncommitted list, Hash32 pack) => list.Became("c", 1, (StoreKind.Pack, pack), 1, isFurther: false);
        var (list, named) = (new Uncommitted(), VaultKeeper.Salt());
        for (var i = 0; i < most; i++)
            Assert.True(HasRoom(list));
        for (var i = 0; i < most; i++)
            Store(list, i == 0 ? named : VaultKeeper.Salt());
        Assert.False(HasRoom(list));
        list.Named([named]); // a commit of this keeper
        Assert.True(HasRoom(list));
        Store(list, VaultKeeper.Salt());
        Assert.False(HasRoom(list));
        list.Settle("c", items => items.ConvertAll(_ => true)); // of another process
        Assert.Equal(0, list.Of("c"));
        Assert.True(list.TryReserve("c", most << 20, (_, onTheWay) => onTheWay == 0 ? most << 20 : 0));
    }

    [Fact]
    public void What_a_client_has_committed_counts_no_more_against_it()
    {
        Write("a.txt", "first");
        var (keeper, reached) = Serve(KeeperRole.Backup);
        using (keeper)
        {
            var desk = new KeeperDesk(keeper);
            var client = new KeeperClient("c", KeeperRole.Backup, "", Uncommitted: 8 << 20);
            _test.BackUp(); // in place: its packs are known to the log
            keeper.Refresh();
            var packs = keeper.Store.List(StoreKind.Pack).Select(p => p.Name).ToList();
            Assert.NotEmpty(packs);
            var moved = packs.Select(p => File.ReadAllBytes(Path.Combine(_test.Folder, "packs", p.ToString()[..2], p.ToString()))).ToList();
            packs.ForEach(p => File.Delete(Path.Combine(_test.Folder, "packs", p.ToString()[..2], p.ToString())));
            moved.ForEach(m => Assert.True(Store(desk, client, m))); // it comes again, and is named already
            for (byte i = 0; i < 8; i++)
                Assert.True(Store(desk, client, [i]));
            Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => Store(desk, client, [9])).Code);
        }
    }

    /// <summary>Every way in which a keeper, or who has taken its machine, can tell another log than the client has seen.</summary>
    [Theory]
    [InlineData("back")]
    [InlineData("fork")]
    [InlineData("unsigned")]
    [InlineData("swapped")]
    [InlineData("short")]
    [InlineData("long")]
    [InlineData("stranger")]
    public void A_log_that_is_not_the_one_that_was_seen_is_refused_and_what_was_seen_stays(string how)
    {
        Write("a.txt", "first");
        var (keeper, reached) = Serve();
        using (keeper)
        {
            RemoteLog before;
            using (var vault = Open(reached))
            {
                before = new KeeperDesk(keeper).LogFrom(0);
                _test.BackUp(vault);
            }
            var seen = File.ReadAllText(Path.Combine(Mirror, "log/checkpoint"));
            using var other = new TestVault();
            reached.Bend = log => how switch
            {
                "back" => before with { Leaves = [] },
                "fork" => log with { Checkpoint = Checkpoint.Sign(keeper.Log.Key.Name, keeper.Log.Size, VaultKeeper.Salt(), Signer()).Note },
                "unsigned" => log with { Checkpoint = log.Checkpoint[..^12] + "AAAAAAAAAA=\n" },
                "swapped" => log with { Leaves = [.. log.Leaves, keeper.Log.Leaf(0)] },
                "short" => log with { Leaves = [.. log.Leaves.Skip(1)], Checkpoint = log.Checkpoint },
                "long" => log with { Leaves = [.. log.Leaves, new byte[MerkleLog.MaxLeaf + 1]] },
                _ => VaultKeeper.Open(other.Folder) is var stranger ? new KeeperDesk(stranger).LogFrom(0) : log,
            };
            if (how == "short")
            {
                // Only where there is something to leave out.
                using var more = VaultKeeper.Open(_test.Folder, machine: _test.Machine);
                more.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 1, 0);
            }
            Assert.Contains(Assert.Throws<HoldfastException>(() => Open(reached)).Code, new[] { ErrorCode.LogForked, ErrorCode.StoreUnavailable });
            Assert.Equal(seen, File.ReadAllText(Path.Combine(Mirror, "log/checkpoint")));
            reached.Bend = log => log;
            using var again = Open(reached);
            Assert.Single(again.State.Snapshots);
        }
    }

    /// <summary>The vault's own signer: whoever has the keeper's machine has it.</summary>
    Holdfast.Core.Crypto.Ed25519Signer Signer() => LogKeyFile.Read(Path.Combine(_test.Folder, "keeper/log.key"), VaultFile.Read(_test.Folder).Vault);

    /// <summary>Else a keeper could have each backup left out, and taken for done.</summary>
    [Fact]
    public void A_keepers_word_that_a_run_was_done_is_no_proof()
    {
        Write("a.txt", "first");
        var (keeper, reached) = Serve();
        using (keeper)
        using (var vault = Open(reached))
        {
            foreach (var run in new[] { "run-1", null })
            {
                reached.Drops = request => request is KeeperRequest.Commit ? throw new HoldfastException(ErrorCode.RunDone, "done", "nothing") : false;
                var fault = Assert.Throws<HoldfastException>(() => BackUp(vault, run));
                Assert.Equal((ErrorCode.CommitRefused, null), (fault.Code, fault.Done));
                reached.Drops = request => request is KeeperRequest.RequireWritable ? throw new HoldfastException(ErrorCode.RunDone, "done", "nothing") : false;
                Assert.Null(Assert.Throws<HoldfastException>(vault.Keeper.RequireWritable).Done);
                reached.Drops = _ => false;
            }
            var made = BackUp(vault, "run-1");
            Assert.Equal(made.Snapshot, Assert.Throws<HoldfastException>(() => BackUp(vault, "run-1")).Done!.Snapshot);
        }
    }

    BackupResult BackUp(Vault vault, string? run)
    {
        using var source = FileSource.Open(_test.Source, new FileSourceOptions());
        return vault.BackUp(source, new BackupRequest("source"u8.ToArray(), "host"u8.ToArray(), "root"u8.ToArray(), _test["state"]) { Run = run }, _test.Keys.Put, _test.Keys.Agent, new BackupProgress(), TestContext.Current.CancellationToken);
    }

    [Fact]
    public void A_commit_that_the_log_does_not_have_is_no_commit()
    {
        Write("a.txt", "first");
        var (keeper, reached) = Serve();
        using (keeper)
        using (var vault = Open(reached))
        {
            reached.Drops = request => request is KeeperRequest.Commit;
            var fault = Assert.Throws<HoldfastException>(() => _test.BackUp(vault));
            Assert.Equal(ErrorCode.CommitRefused, fault.Code);
            Assert.Empty(vault.State.Snapshots);
            reached.Drops = _ => false;
            _test.BackUp(vault);
            Assert.Single(vault.State.Snapshots);
        }
    }

    [Fact]
    public void A_cache_that_is_damaged_or_gone_is_made_anew()
    {
        Write("a.txt", "first");
        var (keeper, reached) = Serve();
        using (keeper)
        {
            using (var vault = Open(reached))
                _test.BackUp(vault);
            foreach (var file in Directory.GetFiles(Path.Combine(Mirror, "log"), "*", SearchOption.AllDirectories))
            {
                var bytes = File.ReadAllBytes(file);
                foreach (var damage in new Action[] { () => File.Delete(file), () => File.WriteAllBytes(file, []), () => File.WriteAllBytes(file, [.. bytes[..^1], (byte)~bytes[^1]]) })
                {
                    damage();
                    using var vault = Open(reached);
                    Assert.Single(vault.State.Snapshots);
                }
            }
        }
    }

    /// <summary>Objects are read from the keeper once; a copy that is damaged, or that somebody put there, counts as none.</summary>
    [Fact]
    public void What_the_log_names_is_asked_for_once()
    {
        Write("a.txt", "first");
        var (keeper, reached) = Serve();
        using (keeper)
        {
            using (var vault = Open(reached))
                _test.BackUp(vault);
            int Asked()
            {
                var before = reached.Opened;
                using var vault = Open(reached);
                Assert.Single(vault.State.Snapshots, s => s.Object is not null);
                return reached.Opened - before;
            }
            Assert.Equal(0, Asked());
            var files = Directory.GetFiles(Path.Combine(Mirror, "cache/objects"), "*", SearchOption.AllDirectories);
            Assert.InRange(files.Length, 3, 5); // genesis, agent, snapshot, and what else an opening reads
            Assert.All(files, f => Assert.Matches("^[0-9a-f]{64}$", Path.GetFileName(f)));
            foreach (var file in files)
            {
                var bytes = File.ReadAllBytes(file);
                foreach (var damage in new byte[][] { [.. bytes[..^1], (byte)~bytes[^1]], [], [.. bytes, 0] })
                {
                    File.WriteAllBytes(file, damage);
                    Assert.InRange(Asked(), 0, 2); // one that no opening reads stays as it is
                    Assert.Equal(0, Asked());
                }
                File.WriteAllBytes(file, bytes);
            }
            Directory.Move(Path.Combine(Mirror, "cache/objects"), Path.Combine(Mirror, "cache/away"));
            File.WriteAllText(Path.Combine(Mirror, "cache/objects"), "in the way");
            Assert.InRange(Asked(), 1, 8); // it goes without
        }
    }

    [Fact]
    public void The_clock_is_the_keepers_and_goes_on_by_this_machines()
    {
        var (keeper, reached) = Serve();
        using (keeper)
        using (var vault = Open(reached))
        {
            Assert.Equal(keeper.Clock.Now, vault.Keeper.Clock.Now);
            _test.Machine.Pass(100);
            Assert.InRange(vault.Keeper.Clock.Now, keeper.Clock.Now - 1, keeper.Clock.Now + 1);
            reached.Bend = log => log with { Now = ulong.MaxValue, Passed = ulong.MaxValue };
            vault.Keeper.Refresh();
            Assert.Equal(LockRules.LastEnd, vault.Keeper.Clock.Now); // nothing wraps
        }
    }
}
