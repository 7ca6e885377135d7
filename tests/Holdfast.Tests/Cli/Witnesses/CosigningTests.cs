using Holdfast.Cli.Witnesses;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;
using Holdfast.Server.Witnesses;

namespace Holdfast.Tests.Cli.Witnesses;

/// <summary>A keeper and witnesses that lie, break off, or are somebody else.</summary>
public sealed class CosigningTests : IDisposable
{
    static readonly Ed25519Signer Signer = new([.. Enumerable.Repeat((byte)2, 32)]);
    static readonly CosignerKey Key = new("witness.example/w1", Signer.PublicKey.ToArray());

    readonly TempFolder _folder = new();
    readonly FakeMachine _machine = new();

    public CosigningTests()
    {
        var (vault, keys) = Vault.Create(_folder["vault"], new NewVault(VaultKind.Real, new RetentionPolicy(30 * TestVault.Day, 0, 0, 0, 0, 0), TestVault.Day, 3650 * TestVault.Day, 0) { Witnesses = [Key] }, _ => { }, null, _machine);
        vault.Dispose();
        keys.Dispose();
    }

    Vault Open(string name = "vault") => Vault.Open(_folder[name], null, _machine);

    static void Append(Vault vault) => vault.Keeper.Record(LeafType.Verify, Id16.New(), Id16.None, 1, 0, 0);

    static Checkpoint Cosigned(VaultKeeper keeper) => keeper.Log.Checkpoint!.Cosign(Key, Signer, 1_800_000_000);

    static async Task<WitnessOutcome> Ask(Vault vault, Func<string, string, string?> answer)
    {
        using var witness = new ScriptedWitness(answer);
        var outcomes = await new Cosigning(vault.Keeper, [new HttpWitnessClient(Key, witness.Url)]).RoundAsync(CancellationToken.None);
        return Assert.Single(outcomes).Outcome;
    }

    static string Latest(Checkpoint checkpoint) => ScriptedWitness.Response(200, checkpoint.Note);

    /// <summary>The log's history as somebody with its key goes on with a copy.</summary>
    Checkpoint Fork(int leaves)
    {
        Copy("vault", "fork");
        using var fork = Open("fork");
        for (var i = 0; i < leaves; i++)
            Append(fork);
        return Cosigned(fork.Keeper);
    }

    void Copy(string from, string to)
    {
        foreach (var path in Directory.EnumerateFiles(_folder[from], "*", SearchOption.AllDirectories))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path.Replace(_folder[from], _folder[to], StringComparison.Ordinal))!);
            File.Copy(path, path.Replace(_folder[from], _folder[to], StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Its_cosignature_is_kept_and_the_proof_goes_from_what_it_says_it_saw()
    {
        using var vault = Open();
        Append(vault);
        var olds = new List<long>();
        var outcome = await Ask(vault, (_, body) =>
        {
            Assert.True(AddCheckpoint.TryParse(System.Text.Encoding.UTF8.GetBytes(body), out var request));
            olds.Add(request.Old);
            Assert.True(MerkleTree.VerifyConsistency(request.Old, request.Checkpoint.Size, request.Proof, vault.Keeper.Log.Tree.Root(request.Old), request.Checkpoint.Root));
            return request.Old == 3 ? ScriptedWitness.Response(200, request.Checkpoint.Cosign(Key, Signer, 7).CosignatureLines([Key])) : ScriptedWitness.Response(409, "3\n", WitnessAnswer.TreeSize);
        });
        Assert.IsType<WitnessOutcome.Cosigned>(outcome);
        Assert.Equal([0, 3], olds);
        Assert.Equal((vault.Keeper.Log.Size, 7UL), (vault.Keeper.Cosigned.Of(Key)!.Size, vault.Keeper.Cosigned.Of(Key)!.CosignedAt(Key)));
        Assert.Equal(vault.Keeper.Log.Size, vault.Keeper.Cosigned.Newest!.Size);
        Assert.Null(vault.Keeper.WitnessFault);
    }

    public static TheoryData<string> Nonsense =>
    [
        "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\nx", "junk\r\n\r\n", ScriptedWitness.Response(200, "— witness.example/w1 AAAA\n"),
        ScriptedWitness.Response(200, new string('x', 1_000_000)), ScriptedWitness.Response(301, "", "text/plain"), ScriptedWitness.Response(500, "x"), ScriptedWitness.Response(403, "x"), ScriptedWitness.Response(404, "x"),
        ScriptedWitness.Response(409, "-1\n", WitnessAnswer.TreeSize), ScriptedWitness.Response(409, "4", WitnessAnswer.TreeSize), ScriptedWitness.Response(409, "1\n", "text/plain"), ScriptedWitness.Response(409, "99999999999999999999\n", WitnessAnswer.TreeSize),
        ScriptedWitness.Response(422, ""), ScriptedWitness.Response(409, "9000\n", WitnessAnswer.TreeSize), ScriptedWitness.Response(200, "\uFFFD"),
    ];

    [Theory]
    [MemberData(nameof(Nonsense))]
    public async Task What_a_witness_only_says_is_held_against_nobody(string response)
    {
        using var vault = Open();
        var outcome = await Ask(vault, (_, _) => response.Length == 0 ? null : response);
        Assert.True(outcome is WitnessOutcome.Away or WitnessOutcome.Seen { Theirs: null }, outcome.ToString());
        Assert.Null(vault.Keeper.Cosigned.Of(Key));
        Append(vault);
    }

    /// <summary>Its own key signs what it likes; the log's it has not.</summary>
    [Fact]
    public async Task A_checkpoint_that_the_log_never_signed_stops_nothing()
    {
        using var vault = Open();
        var made = Checkpoint.Sign(vault.Keeper.Log.Key.Name, 900, LogHash.Empty, new Ed25519Signer(new byte[32])).Cosign(Key, Signer, 5);
        var outcome = await Ask(vault, (path, _) => path == "/add-checkpoint" ? ScriptedWitness.Response(409, "900\n", WitnessAnswer.TreeSize) : Latest(made));
        Assert.Equal(900, Assert.IsType<WitnessOutcome.Seen>(outcome).Size);
        Assert.Null(vault.Keeper.WitnessFault);
        Append(vault);
        // Nor does another's cosignature on the log's own.
        var stranger = new Ed25519Signer([.. Enumerable.Repeat((byte)9, 32)]);
        var fork = Fork(5);
        vault.Keeper.Cosigned.Keep(fork.Reduced([vault.Keeper.Log.Key], []).Cosign(new CosignerKey("witness.example/w1", stranger.PublicKey.ToArray()), stranger, 5));
        Assert.Null(vault.Keeper.WitnessFault);
        Append(vault);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task A_keeper_whose_log_a_witness_denies_signs_nothing_until_a_person_decides(int leaves)
    {
        var theirs = Fork(leaves);
        using var vault = Open();
        Append(vault); // the same number of leaves, or fewer
        var outcome = await Ask(vault, (path, _) => path == "/add-checkpoint" ? theirs.Size > vault.Keeper.Log.Size ? ScriptedWitness.Response(409, $"{theirs.Size}\n", WitnessAnswer.TreeSize) : ScriptedWitness.Response(422, "") : Latest(theirs));
        Assert.Equal(theirs.Size, Assert.IsType<WitnessOutcome.Seen>(outcome).Theirs!.Size);
        var size = vault.Keeper.Log.Size;
        Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(() => Append(vault)).Code);
        using (var again = Open())
        {
            Assert.Equal(ErrorCode.LogForked, again.Keeper.Closed!.Code);
            Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(again.Keeper.RequireWritable).Code);
            Assert.Equal(ErrorCode.LogForked, Assert.Throws<HoldfastException>(() => again.Keeper.Expire(dryRun: false)).Code);
            Assert.Equal(size, again.Keeper.Log.Size);
        }
        Assert.Equal(2, vault.Keeper.Cosigned.GiveUp(vault.Keeper.Log, DateTimeOffset.UnixEpoch));
        using (var after = Open())
        {
            Assert.Null(after.Keeper.Closed);
            Append(after);
            after.Keeper.Cosigned.Keep(theirs); // it will say so again, each time that it is asked
            Assert.True(after.Keeper.Cosigned.IsGivenUp(theirs));
            Append(after);
        }
    }

    /// <summary>Another process commits and has that cosigned after the log was read here: nothing is wrong with it.</summary>
    [Fact]
    public void A_log_that_was_read_before_a_newer_one_was_cosigned_is_not_forked()
    {
        using var stale = Open();
        using (var other = Open())
        {
            Append(other);
            other.Keeper.Cosigned.Keep(Cosigned(other.Keeper));
        }
        stale.Keeper.RequireWritable();
        Assert.False(stale.Keeper.Denies(stale.Keeper.Cosigned.Newest!));
        using (var other = Open())
        {
            Append(other);
            other.Keeper.Cosigned.Keep(Cosigned(other.Keeper));
        }
        Assert.Null(stale.Keeper.WitnessFault);
        Assert.Equal(stale.Keeper.Cosigned.Newest!.Size, stale.Keeper.Log.Size);
    }

    /// <summary>What is missing at its end may be what was cosigned; another root for what is there is another history.</summary>
    [Fact]
    public void Of_a_damaged_log_only_another_root_for_what_is_left_is_held_against_it()
    {
        var theirs = Fork(1);
        Checkpoint before, after;
        using (var vault = Open())
        {
            before = vault.Keeper.Log.Checkpoint!;
            Append(vault);
            after = vault.Keeper.Log.Checkpoint!;
            vault.Keeper.Cosigned.Keep(Cosigned(vault.Keeper));
        }
        File.WriteAllText(Path.Combine(_folder["vault"], "log", "checkpoint"), "junk");
        using (var damaged = VaultKeeper.Open(_folder["vault"], null, _machine, () => before))
        {
            Assert.NotNull(damaged.LogFault);
            Assert.Equal(before.Size, damaged.Log.Size);
            Assert.Null(damaged.WitnessFault);
            damaged.Cosigned.Keep(theirs);
        }
        using (var damaged = VaultKeeper.Open(_folder["vault"], null, _machine, () => after))
            Assert.Equal(ErrorCode.LogForked, damaged.WitnessFault!.Code);
    }

    /// <summary>A commit has given its checkpoint the name, and not synced it: after a power cut the witness would deny an honest log for good.</summary>
    [Fact]
    public async Task Nothing_is_cosigned_that_a_power_cut_could_take_back()
    {
        var disk = new CountingDisk();
        using var keeper = VaultKeeper.Open(_folder["vault"], disk, _machine);
        var synced = new List<int>();
        using var witness = new ScriptedWitness((_, _) =>
        {
            synced.Add(disk.Synced.Count(p => p == Path.Combine(_folder["vault"], "log")));
            return ScriptedWitness.Response(500, "");
        });
        var cosigning = new Cosigning(keeper, [new HttpWitnessClient(Key, witness.Url)]);
        await cosigning.RoundAsync(CancellationToken.None);
        await cosigning.RoundAsync(CancellationToken.None);
        Assert.Equal([1, 2], synced);
    }

    sealed class CountingDisk : Disk
    {
        public List<string> Synced { get; } = [];

        public override void SyncFolder(string path)
        {
            Synced.Add(path);
            base.SyncFolder(path);
        }
    }

    /// <summary>A witness that has not seen the true history yet would cosign the false one, and never the true one.</summary>
    [Fact]
    public async Task A_log_that_one_witness_denies_is_shown_to_no_other()
    {
        var theirs = Fork(4);
        using var vault = Open();
        vault.Keeper.Cosigned.Keep(theirs);
        var asked = 0;
        var fault = await Assert.ThrowsAsync<HoldfastException>(() => Ask(vault, (_, _) =>
        {
            asked++;
            return null;
        }));
        Assert.Equal((ErrorCode.LogForked, 0), (fault.Code, asked));
    }

    /// <summary>Wherever it dies in keeping what it was given, what it kept before counts.</summary>
    [Theory]
    [InlineData((int)Fault.Stop)]
    [InlineData((int)Fault.Torn)]
    [InlineData((int)Fault.Full)]
    public void Killed_while_it_keeps_a_cosignature_it_forgets_none(int kind)
    {
        using var vault = Open();
        var calls = 0;
        for (; calls < 100; calls++)
        {
            var first = Cosigned(vault.Keeper);
            vault.Keeper.Cosigned.Keep(first);
            Append(vault);
            var disk = new FaultyDisk(calls, (Fault)kind);
            try
            {
                new CosignedCheckpoints(Path.Combine(_folder["vault"], "log"), disk, vault.Keeper.Log.Key, [Key]).Keep(Cosigned(vault.Keeper));
            }
            catch (HoldfastException)
            {
                // As a crash.
            }
            foreach (var kept in new[] { vault.Keeper.Cosigned.Of(Key), vault.Keeper.Cosigned.Newest })
                Assert.InRange(kept!.Size, first.Size, vault.Keeper.Log.Size);
            if (!disk.HasFailed)
                break;
        }
        Assert.InRange(calls, 8, 99);
        Assert.Equal(vault.Keeper.Log.Size, vault.Keeper.Cosigned.Newest!.Size);
    }

    [Fact]
    public void What_is_kept_only_says_more()
    {
        using var vault = Open();
        var old = Cosigned(vault.Keeper);
        Append(vault);
        var now = Cosigned(vault.Keeper);
        vault.Keeper.Cosigned.Keep(now);
        vault.Keeper.Cosigned.Keep(old);
        Assert.Equal(now.Size, vault.Keeper.Cosigned.Of(Key)!.Size);
        Assert.Equal(now.Size, vault.Keeper.Cosigned.Newest!.Size);
        File.WriteAllText(Path.Combine(_folder["vault"], "log", "cosigned"), "junk");
        Assert.Null(vault.Keeper.Cosigned.Newest);
        Append(vault); // a note that is damaged says nothing
        vault.Keeper.Cosigned.Keep(now);
        Assert.Equal(now.Size, vault.Keeper.Cosigned.Newest!.Size);
    }

    public void Dispose() => _folder.Dispose();
}
