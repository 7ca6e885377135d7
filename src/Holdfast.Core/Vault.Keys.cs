using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core;

/// <summary>The keys of a vault: opened, rotated, issued to another machine, cut for a job.</summary>
public sealed partial class Vault
{
    /// <summary>Opens the newest keyring that the opening seed opens: an older epoch's seed opens what was sealed up to then.</summary>
    /// <exception cref="HoldfastException"><c>WrongKey</c>.</exception>
    public OpeningKeys Unlock(SecretBytes seed)
    {
        HoldfastException? fault = null;
        foreach (var name in State.Keyrings.Reverse())
        {
            try
            {
                if (!Keyring.TryParse(Keeper.Store.ReadObject(name), out var keyring))
                    throw new HoldfastException(ErrorCode.ObjectDamaged, "The vault's keyring cannot be read.", "Bring the object it names back from another copy of the vault.");
                return OpeningKeys.Open(keyring!, seed);
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.WrongKey or ErrorCode.ObjectDamaged or ErrorCode.ObjectMissing)
            {
                fault ??= e;
            }
        }
        foreach (var name in UnnamedObjects())
        {
            try
            {
                if (Keyring.TryParse(Keeper.Store.ReadObject(name), out var keyring) && keyring!.Vault == Id)
                    return OpeningKeys.Open(keyring, seed);
            }
            catch (HoldfastException e)
            {
                fault ??= e; // the next may be it
            }
        }
        throw State.Keyrings.Count > 0 ? fault! : new HoldfastException(ErrorCode.LogDamaged, "The leaf of the log that names the vault's keyring cannot be read, and no object is a keyring that this key opens.",
            "Bring the folder `log` back from another copy of the vault.", fault);
    }

    /// <summary>Objects that no leaf names, where not all leaves can be read: the keyring may be among them, and a key opens no other than its own.</summary>
    IEnumerable<Hash32> UnnamedObjects() => State.HasLostLeaves
        ? Keeper.Store.List(StoreKind.Object).Select(o => o.Name).Distinct().Where(n => !n.IsNone && !State.Objects.Contains(n) && State.Find(n) is null)
        : [];

    /// <summary>Has keys know the newest epoch there is. Packs of a snapshot that stands in the log are of none after it.</summary>
    public void TellEpoch(ReadingKeys keys)
    {
        var newest = Keeper.LogFault is null ? State.KeyEpoch : ulong.MaxValue;
        if (keys is OpeningKeys opening)
            opening.NewestEpoch = newest;
        else if (keys is CleanRoomKeys room)
            room.Know(Rows(), newest);

        IReadOnlyList<SealingKey> Rows()
        {
            try
            {
                return Keyring.TryParse(Keeper.Store.ReadObject(State.Keyrings.Count > 0 ? State.Keyrings[^1] : Hash32.None), out var keyring) && keyring!.Vault == Id ? keyring.SealingKeys : [];
            }
            catch (HoldfastException)
            {
                return []; // then they say of nothing that nobody opens it
            }
        }
    }

    /// <exception cref="HoldfastException"><c>WrongKey</c>: the keys are not of the newest epoch.</exception>
    public void RequireNewest(OpeningKeys keys)
    {
        if (keys.Keyring.Epoch != State.KeyEpoch)
            throw new HoldfastException(ErrorCode.WrongKey, $"This opening key is of epoch {keys.Keyring.Epoch}; the vault is in epoch {State.KeyEpoch}.", "Use the newest opening key, and the secret that opens it: they are where `holdfast key rotate` was last run, or come from the newest recovery kit (`holdfast recover-key`).");
    }

    /// <summary>Starts a new key epoch: new data is sealed to new keys. The new seed opens everything; the old one what was sealed up to now.</summary>
    /// <param name="keys">Of the newest epoch.</param>
    /// <param name="put">A put key, which gets the new public keys; null where it lies elsewhere, and goes on sealing to the old epoch.</param>
    /// <param name="keep">Keeps the new seed where it will be found again, before anything is sealed to it: a seed that exists only in memory would lock everybody out.</param>
    /// <returns>The new epoch, and the put key that goes on with it.</returns>
    /// <exception cref="HoldfastException"><c>WrongKey</c>: the keys are not of the newest epoch, or another rotation was first.</exception>
    public (uint Epoch, PutKey? Put) Rotate(OpeningKeys keys, PutKey? put, Action<SecretBytes, uint> keep)
    {
        Keeper.Refresh();
        RequireNewest(keys);
        var epoch = keys.Keyring.Epoch + 1;
        using var seed = SecretBytes.Random(OpeningKeyFile.SeedSize);
        var fresh = keys.Keyring.SealingKeys.Select(k => (k.Domain, k.Class, k.Source)).Distinct().Select(k => SealingKey.Create(seed, Id, epoch, k.Domain, k.Class, k.Source)).ToList();
        List<SealingKey> all = [.. keys.Keyring.SealingKeys, .. fresh];
        var keyring = Keyring.Create(Id, epoch, Keeper.Clock.Now, seed, all, keys.Domains, keys.Seeds);
        keep(seed, epoch); // only a seed that a keyring stands for
        Keeper.BeginEpoch(epoch, keyring);
        return (epoch, put is null ? null : put with { SealingKeys = [.. all.Where(k => k.Domain == put.Domain.Domain)] });
    }

    /// <summary>Enrols a new writer and agent, for another machine or in place of lost key files.</summary>
    /// <param name="keys">Opening keys.</param>
    /// <param name="keep">Keeps the new keys, durably, before the log has them: an enrolment whose key was lost on the way would stand there for good.</param>
    /// <exception cref="HoldfastException"><c>WrongKey</c>: the keys are not of the newest epoch.</exception>
    public (PutKey Put, AgentKey Agent) IssueKeys(OpeningKeys keys, Action<PutKey, AgentKey> keep)
    {
        RequireNewest(keys); // else the new put key seals to an epoch whose opening key may be in other hands
        var domain = keys.Domains.First();
        var agent = AgentKey.Create(Id);
        var writer = Id16.New();
        var put = new PutKey(Id, Keeper.File.LogKey, Copy(domain), [.. keys.Keyring.SealingKeys.Where(k => k.Domain == domain.Domain)], writer, 1);
        keep(put, agent);
        Keeper.Record(LeafType.AgentEnrolled, agent.Agent, Id16.None, 1, 0, 0,
            new Enrolment(Id, VaultKeeper.Salt(), EnrolmentKind.Agent, agent.Agent, 1, agent.Signer.PublicKey.ToArray(), domain.Domain).ToArray());
        Keeper.Record(LeafType.WriterEnrolled, writer, Id16.None, 1, 0, 1,
            new Enrolment(Id, VaultKeeper.Salt(), EnrolmentKind.Writer, writer, 1, new byte[Ed25519Signer.PublicKeySize], domain.Domain).ToArray());
        return (put, agent);
    }

    /// <summary>Logs that a key for an unattended job is out, then gives it. In this order: should its file not get written, `status` lists one key too many, never one too few.</summary>
    /// <param name="keys">What it is cut from.</param>
    /// <param name="keyClass">What it opens.</param>
    /// <param name="source">Of this source only, as it is today; null for the whole domain.</param>
    /// <param name="expiry">When it should be replaced, seconds since 1970.</param>
    /// <param name="leftOut">Told of each pack that is missing or damaged, and that the key will not open.</param>
    /// <param name="lost">Told of each snapshot whose object is missing or damaged, so that nobody knows its source, and of each of the source whose packs are not known for that: the key opens nothing that only they need.</param>
    /// <exception cref="HoldfastException"><c>WrongKey</c>: the keys are not of the newest epoch.</exception>
    public ScopedKeys CutKey(OpeningKeys keys, KeyClass keyClass, Id16? source, ulong expiry, Action<Hash32>? leftOut = null, Action<Id16>? lost = null)
    {
        RequireNewest(keys);
        var seeds = new Dictionary<Id16, SecretBytes>();
        var objects = new Dictionary<Id16, SecretBytes>();
        if (source is null)
        {
            foreach (var key in keys.Keyring.SealingKeys.Where(k => k.Class == keyClass && keys.Seeds.ContainsKey(k.Epoch)))
                seeds[key.KeyId] = SealingKey.Seed(keys.Seeds[key.Epoch], Id, key.Epoch, key.Domain, key.Class, key.Source);
        }
        else
        {
            CutObjects(keys, keyClass, source.Value, objects, leftOut, lost);
        }
        var packs = source is null ? ScopedKeyRecord.AllPacks : (ulong)objects.Keys.Except(State.Snapshots.Select(s => s.Snapshot)).Count();
        var scoped = new ScopedKeys(Id, Id16.New(), keyClass, expiry, keys.Domains.Select(Copy), seeds, objects);
        Keeper.Record(LeafType.ScopedKey, scoped.Key, Id16.None, (ulong)keyClass, expiry, packs);
        return scoped;
    }

    /// <summary>The keys of the packs and sections that a source's snapshots need today, and of nothing else.</summary>
    void CutObjects(OpeningKeys keys, KeyClass keyClass, Id16 source, Dictionary<Id16, SecretBytes> objects, Action<Hash32>? leftOut, Action<Id16>? lost)
    {
        foreach (var record in State.Snapshots.Where(s => !s.IsRemoved && (s.Object is null || (s.Source == source && State.PacksOf(s) is null))))
            lost?.Invoke(record.Snapshot);
        var records = State.Snapshots.Where(s => !s.IsRemoved && s.Object is not null && s.Source == source).ToList();
        foreach (var record in records)
        {
            var snapshot = Whole(record);
            foreach (var section in snapshot.Sections.Where(s => s.Number is SnapshotSection.Tree or SnapshotSection.Features && SnapshotSection.ClassOf(s.Number) == keyClass))
            {
                try
                {
                    objects[record.Snapshot] = keys.SectionKey(snapshot.SealOf(section), section.Number, record.Snapshot);
                }
                catch (HoldfastException e) when (e.Code == ErrorCode.KeyTooNarrow)
                {
                    // Sealed to nobody: it has nothing to give, and keeps no other from being read.
                }
            }
        }
        using var buffer = new Packs.FrameBuffer();
        foreach (var name in records.SelectMany(s => State.PacksOf(s)?.ToList() ?? []).Select(p => p.Name).Distinct())
        {
            using var pack = Sound(name);
            if (pack is null)
                leftOut?.Invoke(name); // its snapshots may be healed by other packs, and the others' keys are wanted all the same
            else if (pack.Header.Seal.Class == keyClass && pack.CopyKey(buffer) is { } key // one that nobody opens has nothing to give
                && !objects.TryAdd(pack.Header.Salt, key))
                key.Dispose(); // salts stand there for all to see: who used one again came later
        }

        Packs.PackReader? Sound(Hash32 name)
        {
            try
            {
                return Packs.PackReader.Open(Keeper.Store, name, keys);
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.PackMissing or ErrorCode.PackDamaged or ErrorCode.Truncated or ErrorCode.WrongVault or ErrorCode.KeyTooNarrow or ErrorCode.FormatNewer) // its writer says in its header what he likes
            {
                return null;
            }
        }
    }

    static DomainKeys Copy(DomainKeys domain)
    {
        var bytes = new Codec.ByteWriter();
        domain.Write(bytes);
        var reader = new Codec.ByteReader(bytes.Span);
        return DomainKeys.TryRead(ref reader, out var copy) ? copy! : throw new InvalidOperationException("Domain keys read what they write.");
    }
}
