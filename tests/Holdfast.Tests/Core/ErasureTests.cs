using System.Security.Cryptography;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Core;

/// <summary>What was lawfully erased does not come back by a restore unsaid; and nobody without the opening key hides anything by the register.</summary>
public sealed class ErasureTests : IDisposable
{
    const ulong Day = TestVault.Day;

    readonly TestVault _test = new();

    public ErasureTests()
    {
        _test.Write("patients/ann/letter.txt", "ann's letter");
        _test.Write("patients/ann/scan.txt", "ann's scan");
        _test.Write("patients/anna/letter.txt", "anna's letter");
        _test.Write("patients/bo.txt", "bo's record");
        _test.Write("copies/bo-again.txt", "bo's record");
        _test.Write("ward.txt", "bed 3");
        _test.BackUp();
    }

    public void Dispose() => _test.Dispose();

    static byte[] Digest(string text) => SHA256.HashData(Encoding.UTF8.GetBytes(text));

    Id16 Enter(string path, ErasureKind kind = ErasureKind.Erased) => Enter(ErasureOf.Path, Encoding.UTF8.GetBytes(path), kind);

    Id16 Enter(ErasureOf of, byte[] named, ErasureKind kind = ErasureKind.Erased, SecretBytes? seed = null)
    {
        using var vault = _test.Open();
        using var keys = vault.Unlock(seed ?? _test.Seed);
        return Enter(vault, keys, of, named, kind);
    }

    static Id16 Enter(Vault vault, OpeningKeys keys, ErasureOf of, byte[] named, ErasureKind kind = ErasureKind.Erased, ulong words = Day)
    {
        var record = vault.Find("latest");
        return vault.Erase(keys, record.Object!.Domain, record.Source, kind, of, named, vault.Keeper.Clock.Now, "case 17", vault.Keeper.Clock.Now + words);
    }

    (RestoreResult Result, List<string> Files) Restore(string snapshot = "latest", bool bringErased = false, SecretBytes? seed = null, Func<string, bool>? include = null)
    {
        using var vault = _test.Open();
        return Restore(vault, snapshot, bringErased, seed, include);
    }

    (RestoreResult Result, List<string> Files) Restore(Vault vault, string snapshot = "latest", bool bringErased = false, SecretBytes? seed = null, Func<string, bool>? include = null)
    {
        using var keys = vault.Unlock(seed ?? _test.Seed);
        var target = _test[$"target-{Id16.New()}"];
        using var writer = FileTarget.Create(target, new FileTargetOptions());
        var filter = new PathFilter(include is null ? null : path => include(Encoding.UTF8.GetString(path)));
        var result = vault.Restore(vault.Find(snapshot), keys, writer, filter, new RestoreProgress(), 2, CancellationToken.None, bringErased: bringErased);
        return (result, [.. Directory.EnumerateFiles(target, "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(target, p)).Order(StringComparer.Ordinal)]);
    }

    static readonly string[] All = ["copies/bo-again.txt", "patients/ann/letter.txt", "patients/ann/scan.txt", "patients/anna/letter.txt", "patients/bo.txt", "ward.txt"];

    static string[] Without(params string[] gone) => [.. All.Except(gone)];

    [Fact]
    public void A_folder_that_was_erased_is_left_out_with_all_in_it_and_nothing_beside_it()
    {
        Enter("patients/ann");
        var (result, files) = Restore();
        Assert.Equal(Without("patients/ann/letter.txt", "patients/ann/scan.txt"), files);
        Assert.Equal(["patients/ann", "patients/ann/letter.txt", "patients/ann/scan.txt"], result.Register.LeftOutPaths.Select(Encoding.UTF8.GetString));
        Assert.Equal(3, result.Register.LeftOut);
        Assert.True(result.IsWhole && result.Register.Applies);
    }

    [Fact]
    public void A_file_is_erased_by_its_content_under_every_name()
    {
        Enter(ErasureOf.Content, Digest("bo's record"));
        Assert.Equal(Without("patients/bo.txt", "copies/bo-again.txt"), Restore().Files);
    }

    [Theory]
    [InlineData("patients/ann/letter.txt")]
    [InlineData("patients/ann")]
    public void What_is_asked_for_by_name_is_left_out_too(string asked)
    {
        Enter("patients/ann");
        var (result, files) = Restore(include: path => path == asked);
        Assert.Empty(files);
        Assert.True(result.Register.LeftOut > 0);
    }

    [Fact]
    public void A_single_file_is_not_given_out_and_one_that_was_corrected_is_with_a_word()
    {
        Enter("patients/ann");
        Enter("patients/bo.txt", ErasureKind.Corrected);
        using var vault = _test.Open();
        using var keys = vault.Unlock(_test.Seed);
        var (erased, corrected, free) = (new MemoryStream(), new MemoryStream(), new MemoryStream());
        Assert.Equal(ErrorCode.ErasureApplies, Assert.Throws<HoldfastException>(() => vault.Cat(vault.Find("latest"), keys, "patients/ann/scan.txt"u8.ToArray(), erased, CancellationToken.None)).Code);
        Assert.Equal(0, erased.Length);
        Assert.Equal(1, vault.Cat(vault.Find("latest"), keys, "patients/bo.txt"u8.ToArray(), corrected, CancellationToken.None).Corrected);
        Assert.Equal("bo's record", Encoding.UTF8.GetString(corrected.ToArray()));
        Assert.False(vault.Cat(vault.Find("latest"), keys, "ward.txt"u8.ToArray(), free, CancellationToken.None).Applies);
        Assert.Equal(1, vault.Cat(vault.Find("latest"), keys, "patients/ann/scan.txt"u8.ToArray(), erased, CancellationToken.None, bringErased: true).Brought);
        Assert.Equal("ann's scan", Encoding.UTF8.GetString(erased.ToArray()));
    }

    [Fact]
    public void What_was_corrected_comes_back_and_is_listed_but_for_what_was_erased_in_it()
    {
        Enter("patients", ErasureKind.Corrected);
        Enter("patients/ann/scan.txt");
        var (result, files) = Restore();
        Assert.Equal(Without("patients/ann/scan.txt"), files);
        Assert.Equal(["patients", "patients/ann", "patients/ann/letter.txt", "patients/anna", "patients/anna/letter.txt", "patients/bo.txt"], result.Register.CorrectedPaths.Select(Encoding.UTF8.GetString));
    }

    [Fact]
    public void Care_has_it_all_the_same_where_it_says_so()
    {
        Enter("patients/ann");
        var (result, files) = Restore(bringErased: true);
        Assert.Equal(All, files);
        Assert.Equal((0, 3), (result.Register.LeftOut, result.Register.Brought));
    }

    /// <summary>A name that is used again later is not the one that was erased.</summary>
    [Fact]
    public void An_entry_says_nothing_of_what_was_backed_up_after_it()
    {
        Enter("patients/ann");
        var later = _test.BackUp();
        Assert.Equal(All, Restore(later.Snapshot.ToString()).Files);
        Assert.Equal(4, Restore("latest~1").Files.Count);
    }

    [Fact]
    public void An_entry_is_of_its_source_alone()
    {
        Enter("patients/ann");
        var other = _test.BackUp(name: "other");
        Enter(ErasureOf.Path, "ward.txt"u8.ToArray()); // of the other, the latest now
        Assert.Equal(Without("ward.txt"), Restore(other.Snapshot.ToString()).Files);
    }

    [Fact]
    public void One_that_was_wrong_is_withdrawn_and_the_register_keeps_both()
    {
        var entry = Enter("patients/ann");
        using (var vault = _test.Open())
        using (var keys = vault.Unlock(_test.Seed))
            vault.WithdrawErasure(keys, vault.State.Erasures.Single(e => e.Entry.Entry == entry).Entry, "it was another ann", vault.Keeper.Clock.Now + Day);
        Assert.Equal(All, Restore().Files);
        using var after = _test.Open();
        using var again = after.Unlock(_test.Seed);
        Assert.Equal(2, after.State.Erasures.Count);
        var told = Assert.Single(after.Erasures(again));
        Assert.True(told is { IsProved: true, IsWithdrawn: true, IsAsNamed: true });
        Assert.Equal("it was another ann", Assert.Single(told.Withdrawals).Reason);
        Assert.Equal(("patients/ann", "case 17"), (Encoding.UTF8.GetString(told.Named!), told.Reason));
    }

    /// <summary>Keeper's client, log's key, put key: none of them makes an entry, widens one, or takes one back.</summary>
    [Fact]
    public void Whoever_has_not_the_opening_key_hides_nothing_and_brings_nothing_back()
    {
        var entry = Enter("patients/ann");
        using (var vault = _test.Open())
        {
            var (genuine, now) = (vault.State.Erasures[0].Entry, vault.Keeper.Clock.Now);
            foreach (var forged in new[]
            {
                genuine with { Entry = Id16.New(), Kind = ErasureKind.Corrected },                                             // another kind
                genuine with { Entry = Id16.New(), Through = now + 1 },                                                         // for longer
                genuine with { Entry = Id16.New(), Of = ErasureOf.Content, Reference = new Hash32(Digest("ward")) },            // of something else
                genuine with { Kind = ErasureKind.Withdrawn, Of = ErasureOf.None, Reference = Hash32.None },                    // taken back
            })
                vault.Keeper.Erase(forged with { Words = Hash32.None, WordsUntil = 0 }, null);
        }
        var (result, files) = Restore();
        Assert.Equal(Without("patients/ann/letter.txt", "patients/ann/scan.txt"), files);
        Assert.Equal(4, result.Register.Unproved);
        using var after = _test.Open();
        using var keys = after.Unlock(_test.Seed);
        Assert.Equal([true, false, false, false], after.Erasures(keys).Select(e => e.IsProved));
        Assert.False(after.Erasures(keys)[0].IsWithdrawn);
        Assert.Null(after.Erasures(keys)[1].IsAsNamed); // made without words
        Assert.Equal(entry, after.Erasures(keys)[0].Record.Entry.Entry);
    }

    /// <summary>The same path in another source, domain or vault has another reference; so a reference cannot be carried over, and a list of likely names tells nothing.</summary>
    [Fact]
    public void A_reference_of_one_source_is_none_of_another()
    {
        using var vault = _test.Open();
        using var keys = vault.Unlock(_test.Seed);
        var record = vault.Find("latest");
        using var one = keys.ErasureKey(record.Object!.Domain, 1, record.Source)!;
        using var two = keys.ErasureKey(record.Object.Domain, 1, Id16.New())!;
        Assert.NotEqual(one.Reference(1, "a"u8), two.Reference(1, "a"u8));
        Assert.NotEqual(one.Reference(1, "a"u8), one.Reference(2, "a"u8));
        Assert.Null(keys.ErasureKey(record.Object.Domain, 2, record.Source));
    }

    /// <summary>The log, the entry's object and the words' show nothing of a name to who has the disk.</summary>
    [Fact]
    public void No_name_and_no_reason_stand_in_the_vault()
    {
        Enter("patients/ann");
        foreach (var file in new[] { "log", "objects", "keeper" }.SelectMany(f => Directory.EnumerateFiles(Path.Combine(_test.Folder, f), "*", SearchOption.AllDirectories)))
        {
            var text = Encoding.Latin1.GetString(File.ReadAllBytes(file));
            Assert.DoesNotContain("patients", text, StringComparison.Ordinal);
            Assert.DoesNotContain("case 17", text, StringComparison.Ordinal);
        }
    }

    /// <summary>Nothing keeps care from its data: what cannot be read of the register is told, and the restore goes on.</summary>
    [Fact]
    public void A_register_that_cannot_be_read_is_told_and_hinders_no_restore()
    {
        Enter("patients/ann");
        Hash32 name;
        using (var vault = _test.Open())
            name = new Hash32(SHA256.HashData(vault.State.Erasures[0].Entry.ToArray()));
        _test.Lose(name);
        var (result, files) = Restore();
        Assert.Equal(All, files);
        Assert.Equal(1, result.Register.Unknown);
        using var after = _test.Open();
        Assert.Contains(name, after.State.Unreadable);
        Assert.Contains(after.Health().Problems, p => p.Code == ErrorCode.ObjectMissing && p.Names.Contains(name));
    }

    [Fact]
    public void An_opening_key_of_an_earlier_epoch_says_that_it_does_not_know_a_later_entry()
    {
        using var newer = new Held();
        using (var vault = _test.Open())
        using (var keys = vault.Unlock(_test.Seed))
            vault.Rotate(keys, null, (seed, _) => newer.Seed = new SecretBytes(seed.Span));
        Enter(ErasureOf.Path, "patients/ann"u8.ToArray(), seed: newer.Seed);
        Assert.Equal(1, Restore().Result.Register.Unknown);
        Assert.Equal(4, Restore(seed: newer.Seed).Files.Count);
    }

    /// <summary>By who has the log's key: no keeper looks at it.</summary>
    static void Forge(Vault vault, ErasureEntry entry, SecretBytes seed)
    {
        using var key = ErasureKey.Of(seed, vault.Id, entry.Epoch, entry.Domain, entry.Source);
        entry = entry with { Tag = key.Tag(entry.Tagged()) };
        vault.Keeper.Record(LeafType.Erasure, entry.Entry, Id16.None, (ulong)entry.Kind, 0, 0, entry.ToArray());
    }

    Held Rotate()
    {
        var newer = new Held();
        using var vault = _test.Open();
        using var keys = vault.Unlock(_test.Seed);
        vault.Rotate(keys, null, (seed, _) => newer.Seed = new SecretBytes(seed.Span));
        return newer;
    }

    /// <summary>The keys are rotated since somebody may have the old seed: from then on it makes no entry, and takes none back. What it made before goes on.</summary>
    [Fact]
    public void A_seed_that_was_rotated_away_makes_no_entry_and_withdraws_none()
    {
        Enter("ward.txt");
        using var newer = Rotate();
        using (var vault = _test.Open())
        {
            var genuine = vault.State.Erasures[0].Entry with { Words = Hash32.None, WordsUntil = 0 };
            using var key = ErasureKey.Of(_test.Seed, vault.Id, 1, genuine.Domain, genuine.Source);
            var entry = genuine with { Entry = Id16.New(), Reference = key.Reference(1, "patients"u8) };
            var withdrawal = genuine with { Kind = ErasureKind.Withdrawn, Of = ErasureOf.None, Reference = Hash32.None };
            foreach (var late in new[] { entry, withdrawal })
                Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Erase(late with { Tag = key.Tag(late.Tagged()) }, null)).Code);
            Forge(vault, entry, _test.Seed);
            Forge(vault, withdrawal, _test.Seed);
        }
        foreach (var seed in new[] { newer.Seed, _test.Seed })
        {
            var (result, files) = Restore(seed: seed);
            Assert.Equal(Without("ward.txt"), files);
            Assert.Equal((0, 2), (result.Register.Unknown, result.Register.Unproved));
        }
    }

    [Fact]
    public void An_entry_of_an_epoch_that_never_began_is_forged_and_not_one_that_cannot_be_read()
    {
        Enter("ward.txt");
        using (var vault = _test.Open())
            Forge(vault, vault.State.Erasures[0].Entry with { Entry = Id16.New(), Epoch = 999 }, _test.Seed);
        var register = Restore().Result.Register;
        Assert.Equal((0, 1), (register.Unknown, register.Unproved));
    }

    /// <summary>What nobody can judge is brought: a withdrawal whose object is lost, and one of a later epoch than the key's.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_may_be_withdrawn_is_brought_and_told(bool isLost)
    {
        Enter("ward.txt");
        using var newer = isLost ? new Held() : Rotate();
        var name = Hash32.None;
        using (var vault = _test.Open())
        using (var keys = vault.Unlock(newer.Seed ?? _test.Seed))
        {
            vault.WithdrawErasure(keys, vault.State.Erasures[0].Entry, "wrong", vault.Keeper.Clock.Now + Day);
            name = new Hash32(SHA256.HashData(vault.State.Erasures[1].Entry.ToArray()));
        }
        if (isLost)
            _test.Lose(name);
        var (result, files) = Restore();
        Assert.Equal(All, files);
        Assert.Equal((1, 0), (result.Register.Unknown, result.Register.Unproved));
        using var after = _test.Open();
        using var old = after.Unlock(_test.Seed);
        Assert.Null(Assert.Single(after.Erasures(old)).IsWithdrawn);
    }

    /// <summary>An entry of what was corrected, in an epoch before, does not bring back what was erased since; nor the other way.</summary>
    [Theory]
    [InlineData(ErasureKind.Corrected, ErasureKind.Erased)]
    [InlineData(ErasureKind.Erased, ErasureKind.Corrected)]
    public void What_is_erased_in_one_key_epoch_and_corrected_in_another_is_erased(ErasureKind first, ErasureKind second)
    {
        Enter(ErasureOf.Content, Digest("bo's record"), first);
        Enter("ward.txt", first);
        using var newer = Rotate();
        Enter(ErasureOf.Content, Digest("bo's record"), second, newer.Seed);
        Enter(ErasureOf.Path, "ward.txt"u8.ToArray(), second, newer.Seed);
        Assert.Equal(Without("patients/bo.txt", "copies/bo-again.txt", "ward.txt"), Restore(seed: newer.Seed).Files);
    }

    /// <summary>Who has the opening key may say one thing and hide another: whoever looks at the list sees it.</summary>
    [Fact]
    public void Words_that_are_not_of_what_the_entry_hides_are_told()
    {
        using var vault = _test.Open();
        using var keys = vault.Unlock(_test.Seed);
        Enter(vault, keys, ErasureOf.Path, "ward.txt"u8.ToArray());
        var genuine = vault.State.Erasures[0].Entry;
        using var key = ErasureKey.Of(_test.Seed, vault.Id, 1, genuine.Domain, genuine.Source);
        Forge(vault, genuine with { Entry = Id16.New(), Reference = key.Reference(1, "patients"u8) }, _test.Seed);
        Assert.Equal([true, false], vault.Erasures(keys).Select(e => e.IsAsNamed));
        Assert.Equal([true, true], vault.Erasures(keys).Select(e => e.IsProved));
    }

    /// <summary>A client that fills the register keeps no wrong entry in force.</summary>
    [Fact]
    public void A_register_that_is_full_takes_withdrawals_all_the_same()
    {
        Enter("ward.txt");
        using var vault = _test.Open();
        var keeper = vault.Keeper;
        keeper.MostErasures = 2;
        var genuine = keeper.State.Erasures[0].Entry with { Words = Hash32.None, WordsUntil = 0 };
        var junk = genuine with { Entry = Id16.New() };
        keeper.Erase(junk, null);
        Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => keeper.Erase(genuine with { Entry = Id16.New() }, null)).Code);
        ErasureEntry Withdrawal(ErasureEntry of) => of with { Salt = VaultKeeper.Salt(), Kind = ErasureKind.Withdrawn, Of = ErasureOf.None, Reference = Hash32.None };
        for (var i = 0; i < 2; i++)
            keeper.Erase(Withdrawal(junk), null);
        Assert.Equal(ErrorCode.QuotaExceeded, Assert.Throws<HoldfastException>(() => keeper.Erase(Withdrawal(junk), null)).Code);
        keeper.Erase(Withdrawal(genuine), null); // the first of that entry
        Assert.Equal(5, keeper.State.Erasures.Count);
    }

    /// <summary>How long a path is, is not to be seen.</summary>
    [Fact]
    public void The_size_of_the_words_does_not_tell_the_length_of_a_path()
    {
        Enter("a");
        Enter(new string('a', 800));
        Enter(ErasureOf.Path, Encoding.UTF8.GetBytes(string.Join('/', Enumerable.Repeat(new string('a', 250), 261)) + "/" + new string('a', 24))); // as long as one may be
        using var vault = _test.Open();
        var sizes = vault.State.Erasures.Select(e => vault.Keeper.Store.ReadObject(e.Entry.Words).Length).ToList();
        Assert.Equal(sizes[0], sizes[1]);
        Assert.InRange(sizes[2] - sizes[0], (1 << 17) - 1_024, (1 << 17) - 1_020); // the length's own length
        using var keys = vault.Unlock(_test.Seed);
        Assert.All(vault.Erasures(keys), e => Assert.True(e is { IsAsNamed: true, Reason: "case 17" }));
        var request = new KeeperRequest.EnterErasure(vault.State.Erasures[2].Entry.ToArray(), vault.Keeper.Store.ReadObject(vault.State.Erasures[2].Entry.Words)).ToArray();
        Assert.InRange(request.Length, 1 << 17, KeeperRequest.Most(KeeperRole.Manage, request.AsSpan(0, 2)));
        Assert.True(KeeperRequest.TryParse(request, out _));
    }

    /// <summary>A restore into what is there: what was erased is not brought again, and what stands of it is told, and not as somebody else's.</summary>
    [Theory]
    [InlineData(ExistingFiles.KeepEqual)]
    [InlineData(ExistingFiles.Replace)]
    public void What_was_erased_and_stands_in_the_target_is_told(ExistingFiles existing)
    {
        var target = _test.Restore();
        File.WriteAllText(Path.Combine(target, "stranger"), "");
        Enter("patients/ann");
        Enter("ward.txt");
        File.Delete(Path.Combine(target, "patients/ann/scan.txt"));
        using var vault = _test.Open();
        using var keys = vault.Unlock(_test.Seed);
        using var writer = FileTarget.Create(target, new FileTargetOptions { Existing = existing });
        var result = vault.Restore(vault.Find("latest"), keys, writer, new PathFilter(null), new RestoreProgress(), 2, CancellationToken.None);
        Assert.True(result.IsWhole);
        Assert.Equal(["patients/ann", "patients/ann/letter.txt", "ward.txt"], result.Register.StandingPaths.Select(Encoding.UTF8.GetString));
        Assert.Equal((4, 3), (result.Register.LeftOut, result.Register.Standing));
        Assert.True(result.Written.Strangers is null or 1, $"{result.Written.Strangers}"); // null where the system does not look
        Assert.Equal("bed 3", File.ReadAllText(Path.Combine(target, "ward.txt")));
        Assert.Equal(0, Restore().Result.Register.Standing);
    }

    /// <summary>A restore that left something out proves less of the snapshot, and one that brought nothing proves nothing.</summary>
    [Fact]
    public void A_snapshot_that_came_back_in_part_says_so()
    {
        using var vault = _test.Open();
        var record = vault.Find("latest");
        vault.Keeper.Record(LeafType.Restore, record.Snapshot, Id16.None, 6, 0, 0);
        Assert.Equal(0u, vault.Find("latest").Restored);
        vault.Keeper.Record(LeafType.Restore, record.Snapshot, Id16.None, 2, 40, 4);
        Assert.True(vault.Find("latest") is { Restored: > 0, RestoredWithout: 2 });
        vault.Keeper.Record(LeafType.Restore, record.Snapshot, Id16.None, 0, 60, 6);
        Assert.Equal(0u, vault.Find("latest").RestoredWithout);
    }

    [Fact]
    public void What_was_asked_for_all_the_same_is_told_with_its_reason()
    {
        Enter("ward.txt", ErasureKind.Corrected);
        using var vault = _test.Open();
        using var keys = vault.Unlock(_test.Seed);
        Assert.False(vault.HasErased(vault.Find("latest"), keys)); // nothing that was corrected is left out
        Enter(vault, keys, ErasureOf.Path, "patients/ann"u8.ToArray());
        Assert.True(vault.HasErased(vault.Find("latest"), keys));
        vault.RecordErasedAsked(keys, vault.Find("latest"), "a child is ill");
        var (record, reason) = Assert.Single(vault.ErasedAsked(keys));
        Assert.Equal((vault.Find("latest").Snapshot, "a child is ill"), (record.Snapshot, reason));
    }

    sealed class Held : IDisposable
    {
        public SecretBytes? Seed { get; set; }

        public void Dispose() => Seed?.Dispose();
    }

    /// <summary>The words go when their time is over; what they named stays left out.</summary>
    [Fact]
    public void The_words_have_a_retention_of_their_own_and_the_entry_applies_without_them()
    {
        Enter("patients/ann");
        Hash32 words;
        using (var vault = _test.Open())
            words = vault.State.Erasures[0].Entry.Words;
        var path = Path.Combine(_test.Folder, "objects", words.ToString()[..2], words.ToString());
        Assert.True(File.Exists(path));
        _test.Machine.Pass(10 * Day);
        Expire();
        Assert.True(File.Exists(path)); // a margin of 14 days
        _test.Machine.Pass(6 * Day);
        Expire();
        Assert.False(File.Exists(path));
        using (var vault = _test.Open())
        using (var keys = vault.Unlock(_test.Seed))
        {
            Assert.Null(Assert.Single(vault.Erasures(keys)).Named);
            Assert.Empty(vault.Health().Problems);
            Assert.Empty(vault.State.Refused);
        }
        Assert.Equal(4, Restore().Files.Count);
    }

    void Expire()
    {
        using var vault = _test.Open();
        vault.Keeper.Expire(dryRun: false, [.. vault.Lasts().Select(s => s.Snapshot)]);
    }

    [Fact]
    public void Words_that_are_a_snapshot_s_object_or_another_leaf_s_are_not_given_up()
    {
        using (var vault = _test.Open())
        using (var keys = vault.Unlock(_test.Seed))
        {
            Enter(vault, keys, ErasureOf.Path, "ward.txt"u8.ToArray());
            var (genuine, now) = (vault.State.Erasures[0].Entry, vault.Keeper.Clock.Now);
            foreach (var name in new[] { vault.State.Snapshots[0].Name, vault.State.Keyring, vault.State.PacksOf(vault.State.Snapshots[0])!.ToList()[0].Name })
            {
                var forged = (genuine with { Entry = Id16.New(), Words = name, WordsUntil = now - Day }).ToArray(); // by who has the log's key
                vault.Keeper.Record(LeafType.Erasure, ErasureEntry.TryParse(forged, out var entry) ? entry.Entry : default, Id16.None, (ulong)genuine.Kind, 0, 0, forged);
            }
            Assert.Equal(4, vault.State.Erasures.Count);
        }
        _test.Machine.Pass(20 * Day);
        Expire();
        using var after = _test.Open();
        Assert.Empty(after.Health().Problems);
        Assert.Empty(after.State.Refused);
        Assert.Equal(Without("ward.txt"), Restore().Files);
    }

    [Fact]
    public void The_whole_of_a_source_is_no_path_in_it()
    {
        Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => Enter("")).Code);
        Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => Enter("a/../b")).Code);
        Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => Enter(ErasureOf.Content, new byte[31])).Code);
    }

    [Fact]
    public void The_keeper_takes_no_entry_that_is_none_of_its_vault_s()
    {
        Enter("patients/ann");
        using var vault = _test.Open();
        var genuine = vault.State.Erasures[0].Entry with { Words = Hash32.None, WordsUntil = 0 };
        foreach (var wrong in new[]
        {
            genuine with { Salt = Hash32.None },                                                        // a second one of that id
            genuine with { Entry = Id16.New(), Vault = Id16.New() },
            genuine with { Entry = Id16.New(), Domain = Id16.New() },
            genuine with { Entry = Id16.New(), Epoch = 2 },                                             // an epoch that has not begun
            genuine with { Entry = Id16.New(), Words = genuine.Reference },                             // words that were not sent
            genuine with { Entry = Id16.New(), Through = vault.Keeper.Clock.Now + 2 * Day },            // of what is to come
            genuine with { Entry = Id16.New(), Kind = ErasureKind.Withdrawn, Of = ErasureOf.None, Reference = Hash32.None },
        })
            Assert.Equal(ErrorCode.CommitRefused, Assert.Throws<HoldfastException>(() => vault.Keeper.Erase(wrong, null)).Code);
        Assert.Single(vault.State.Erasures);
    }

    /// <summary>Where a part of the tree is lost, the row of the folder that was erased may be in it; what lies in that folder is left out all the same.</summary>
    [Fact]
    public void Folders_above_are_looked_at_though_their_rows_never_came()
    {
        Enter("patients/ann");
        using var vault = _test.Open();
        using var keys = vault.Unlock(_test.Seed);
        using var register = new ErasureRegister(vault.State, vault.Find("latest"), keys, bringErased: false);
        var rows = new Holdfast.Core.Snapshots.EntryBatch();
        foreach (var path in new[] { "copies", "patients/ann/deep/er", "patients/anna", "patients/annex/ann", "ward.txt" })
            rows.Add(Encoding.UTF8.GetBytes(path));
        Assert.Equal([false, true, false, false, false], Enumerable.Range(0, rows.Count).Select(row => register.LeavesOut(rows, row)));
    }
}
