using System.Security.Cryptography;
using Holdfast.Core.Backup;
using Holdfast.Core.Chunking;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Packs;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Restore;

/// <summary>Re-opens a snapshot from what lies in the vault and says whether it is what its agent signed: the presence of every pack of its set, every node of its
/// tree, every chunk's place against its pack set, and the contents of a sample of files or of all.</summary>
/// <param name="damaged">Packs of which only what no other has is read.</param>
sealed class Attestor(VaultKeeper keeper, ChunkReader chunks, ReadingKeys keys, ReadTimes known, IReadOnlySet<Hash32> damaged, CancellationToken ct)
{
    const int SampleFiles = 64;
    const long SampleBytes = 256 << 20;
    const long MaxHoles = 1L << 40; // bytes of zeros that are hashed for a file's digest: a row may claim holes that take years

    const int MaxPlaced = 65_536; // chunks

    const int MaxLate = AttestationObject.MaxBox - 4_096; // bytes of digests that are told: what sealing adds has room besides
    const int MaxLateOfCleanRoom = 3 << 20; // bytes: what it may have recorded is less

    readonly HashSet<(AttestationDefect, Hash32)> _defects = [];
    readonly Dictionary<Hash32, AttestationDefect?> _judged = []; // null: its bytes give its name
    readonly HashSet<Hash32> _opened = []; // noted to be wrong inside, and found right: every frame of them
    readonly HashSet<ChunkRef> _placed = []; // looked up: of files that list their chunks
    readonly ByteWriter _late = new();
    ulong _lateCount;
    ulong _chunkCount;
    long _sampled;
    bool _isWhole; // the set is told, and no pack of it is missing or damaged
    int _mostLate = MaxLate;
    int _cuts; // parts of the tree, and lists of chunks, that cannot be read

    /// <summary>Packs that gave something before they were found damaged: whether other packs have it too was not looked at.</summary>
    public IReadOnlyList<Hash32> Doubtful => [.. chunks.PacksRead.Where(p => _defects.Contains((AttestationDefect.PackDamaged, p)) && !damaged.Contains(p))];

    /// <summary>Packs outside the snapshot's set that gave something.</summary>
    public IReadOnlyList<Hash32> Elsewhere => [.. chunks.PacksRead.Where(p => chunks.Prefer?.Invoke(p) != true)];

    /// <summary>What was found of packs on the way.</summary>
    public ReadFindings Found(bool full)
    {
        // All frames opened counts as read; but only hashing the file shows that a damage was mended.
        var sound = _judged.Where(j => j.Value is null).Select(j => j.Key).ToHashSet();
        if (full)
            sound.UnionWith(chunks.PacksReadWhole.Where(p => !known.Damaged.ContainsKey(p)));
        return new ReadFindings { Sound = [.. sound.Except(Named(AttestationDefect.ContentWrong))], Opened = [.. _opened.Except(Named(AttestationDefect.ContentWrong))], Damaged = Named(AttestationDefect.PackDamaged), ContentWrong = Named(AttestationDefect.ContentWrong), Missing = Named(AttestationDefect.PackMissing) };

        HashSet<Hash32> Named(AttestationDefect kind) => [.. _defects.Where(d => d.Item1 == kind && !d.Item2.IsNone).Select(d => d.Item2)];
    }

    /// <param name="record">The snapshot.</param>
    /// <param name="snapshot">Its object with its sections.</param>
    /// <param name="depth">How much of it; its packs were opened before, where that is asked for.</param>
    public AttestationObject Attest(SnapshotRecord record, SnapshotObject snapshot, AttestationDepth depth)
    {
        var full = depth is AttestationDepth.Full or AttestationDepth.FullAndPacks;
        _mostLate = depth is AttestationDepth.SampleAndPacks or AttestationDepth.FullAndPacks ? MaxLateOfCleanRoom : MaxLate;
        if (!record.LostSigner.IsNone)
            throw new HoldfastException(ErrorCode.ObjectMissing, $"Snapshot {record.Snapshot} cannot be attested: the enrolment of its agent, object {record.LostSigner}, is missing or damaged, so that nobody can tell whether that agent signed it.",
                "Bring that object back from another copy of the vault, then attest the snapshot. Nothing was recorded, and nothing says that anybody did wrong.");
        var set = keeper.State.SizedPacksOf(record);
        chunks.Prefer = set is null ? null : set.Contains; // data stored anew after a damage, or by two backups at once, lies in other packs too
        CheckPresence(set);
        chunks.Avoid = damaged.Where(p => !_judged.TryGetValue(p, out var defect) || defect is not null).ToHashSet(); // what was mended is as good as any
        CheckChain(record, set);
        TreeSection? tree = null;
        var rootMatches = record.Signer is { } signer && signer.Id == snapshot.Agent && snapshot.IsSignedBy(snapshot.Agent, signer.PublicKey)
            && (tree = Describe(snapshot)) is not null
            && SnapshotObject.ContentRootOf(tree.RootSalt, snapshot.Vault, snapshot.Domain, snapshot.Source, snapshot.Session, snapshot.Snapshot,
                snapshot.ParentContentRoot, tree.Root.Digest) == snapshot.ContentRoot;
        if (!rootMatches)
            _defects.Add((AttestationDefect.RootWrong, record.Name));
        else if (SnapshotCheck.Fault(keeper.State, record, tree!, keeper.Vault, packs: false) is not null)
            _defects.Add((AttestationDefect.RecordWrong, record.Name)); // what a restore would refuse
        var addsUp = SnapshotCheck.AddsUp(keeper.State, record) && !keeper.State.HasOtherSizes(record);
        if (!addsUp)
            _defects.Add((AttestationDefect.RecordWrong, record.Name));
        var sampleMatches = true;
        if (tree is not null)
        {
            var chosen = full ? null : ChooseSample(snapshot.Files);
            ulong file = 0;
            var reader = new TreeReader(chunks, tree.Root, tree.RootLevel, snapshot.Entries) { Lost = _ => _cuts++ };
            using var batches = reader.Rows().GetEnumerator();
            while (TryNext(batches))
            {
                ct.ThrowIfCancellationRequested();
                var rows = batches.Current;
                for (var row = 0; row < rows.Count; row++)
                {
                    if (rows.Kind[row] != EntryKind.File)
                        continue;
                    if (CheckPlaces(reader, rows, row, set) && (chosen is null || (chosen.Contains(file) && _sampled < SampleBytes)))
                        sampleMatches &= CheckContent(rows, row, full ? long.MaxValue : SampleBytes);
                    file++;
                }
            }
            if (_cuts > 0)
                TreeUnread(record, set);
            else if (file != snapshot.Files)
                _defects.Add((AttestationDefect.RootWrong, record.Name));
            rootMatches &= _cuts == 0 && file == snapshot.Files;
        }
        JudgeFailed(set);
        if (full && chunks.PacksRead.Any(p => damaged.Contains(p) && _defects.Contains((AttestationDefect.PackDamaged, p))))
            _defects.Add((AttestationDefect.PackMissing, Hash32.None)); // it read right this time, and nothing sound has it
        foreach (var pack in _isWhole && chunks.Failed.Count == 0 ? chunks.PacksRead : [])
        {
            if (!set!.Contains(pack))
                _defects.Add((AttestationDefect.PackSetWrong, pack));
        }
        return new AttestationObject(keeper.Vault, snapshot.Domain, VaultKeeper.Salt(), snapshot.Snapshot, depth, (ulong)(set?.Count ?? 0), _chunkCount, (ulong)chunks.BytesRead,
            rootMatches, set is not null && addsUp && !_defects.Any(d => d.Item1 is AttestationDefect.PackSetWrong or AttestationDefect.PackMissing), sampleMatches, [.. _defects.Order()], SealLate(snapshot));
    }

    /// <summary>Null where nobody can open it: the object's bytes give its name, so it was written so.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: another key may.</exception>
    TreeSection? Describe(SnapshotObject snapshot)
    {
        try
        {
            return TreeSection.TryParse(snapshot.Open(SnapshotSection.Tree, keys), out var tree) ? tree : null;
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.ObjectDamaged || (e.Code == ErrorCode.KeyTooNarrow && keys.OpensAllLike(snapshot.SealOf(snapshot.Section(SnapshotSection.Tree)!))))
        {
            return null;
        }
    }

    /// <summary>False at the end of the rows, or of a file's chunks, and where what tells the next one cannot be read.</summary>
    bool TryNext<T>(IEnumerator<T> told)
    {
        try
        {
            return told.MoveNext();
        }
        catch (HoldfastException e) when (TreeReader.IsLoss(e))
        {
            _cuts++;
            return false;
        }
    }

    /// <summary>Where no pack is missing or damaged, the tree was made wrong.</summary>
    void TreeUnread(SnapshotRecord record, PackSet? set)
    {
        JudgeFailed(set);
        JudgeTree(set);
        if (!_isWhole)
            return;
        RequireAnswered(chunks.Silent.Keys);
        _defects.Add((AttestationDefect.RootWrong, record.Name));
    }

    /// <summary>What a disk did not give for a moment says nothing against anybody.</summary>
    /// <param name="packs">May have what was not found.</param>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>: one of them did not answer when it was asked, and is sound.</exception>
    void RequireAnswered(IEnumerable<Hash32> packs)
    {
        foreach (var pack in packs)
        {
            if (chunks.Silent.TryGetValue(pack, out var fault) && VerdictOf(pack) is null)
                throw Unanswered(pack, fault);
        }
    }

    static HoldfastException Unanswered(Hash32 pack, HoldfastException? fault = null) => new(ErrorCode.StoreUnavailable,
        $"Pack {pack} could not be read, or not as it was written, and is sound now that it was read again: the disk did not answer for a while.",
        "Look at the disk, its cable or its mount (dmesg shows what the system saw), then attest the snapshot again. Nothing was recorded, and nothing says that anybody did wrong.", fault)
    { IsTransient = true };

    static bool IsOfPack(HoldfastException e) =>
        e.Code is ErrorCode.ChunkMissing or ErrorCode.PackDamaged or ErrorCode.PackMissing or ErrorCode.Truncated or ErrorCode.StoreUnavailable or ErrorCode.WrongVault;

    /// <summary>Every pack of the set lies in the vault with its size: a sample of the contents may not come to one that is gone. Those that were damaged when they
    /// were last read, and those whose footer could not be taken in, are read.</summary>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>: the index is without one that is sound.</exception>
    void CheckPresence(PackSet? set)
    {
        _isWhole = set is not null;
        var there = keeper.Store.List(StoreKind.Pack).Where(p => !p.Name.IsNone).Select(p => (p.Name, p.Size)).ToHashSet();
        var names = there.Select(p => p.Name).ToHashSet();
        foreach (var pack in set?.ToList() ?? [])
        {
            var isMarked = known.Damaged.TryGetValue(pack.Name, out var damage);
            if (!names.Contains(pack.Name))
                Add(AttestationDefect.PackMissing, pack.Name);
            else if (!there.Contains((pack.Name, pack.Size)))
                Add(AttestationDefect.PackDamaged, pack.Name);
            else if (isMarked || !chunks.Index.Knows(pack.Name))
            {
                Judge(pack.Name, contentWrong: false);
                if (isMarked && damage.IsContent && VerdictOf(pack.Name) is null && !IsAsItSays(pack.Name))
                    Add(AttestationDefect.ContentWrong, pack.Name);
            }
            if (!chunks.Index.Knows(pack.Name) && _judged.TryGetValue(pack.Name, out var defect) && defect is null && !keeper.State.WasRemoved(StoreKind.Pack, pack.Name) && !IsClosed(pack.Name))
                throw Unanswered(pack.Name);
        }
    }

    /// <summary>True where each frame of a pack opens and each chunk is what its id says. The note that says otherwise is anybody's to write, and no accusation is signed on its word.</summary>
    /// <exception cref="HoldfastException"><c>KeyTooNarrow</c>: these keys do not open it; <c>StoreUnavailable</c>: it could not be read to its end.</exception>
    bool IsAsItSays(Hash32 pack)
    {
        var found = new Verifier(keeper.Store, keys, new Dictionary<Hash32, Id16>(), new VerifyProgress(), 1, ct).CheckOne(pack);
        if (found.IsOpened)
        {
            _opened.Add(pack);
            return true;
        }
        if (found.Fault is DefectKind.ContentWrong or DefectKind.Foreign)
            return false;
        if (found.Fault is null && PackHeader.Read(keeper.Store, pack) is { } header && IsOfNoBackup(header, chunks.Domain.Domain))
            return false;
        if (found.Fault is null)
        {
            throw new HoldfastException(ErrorCode.KeyTooNarrow, $"Pack {pack} was found to hold something else than it says, and this key does not open it: whether that is so cannot be told.",
                "Attest with the newest opening key. Nothing was recorded, and nothing says that anybody did wrong.");
        }
        return IsClosed(pack) ? true : throw Unanswered(pack);
    }

    /// <summary>True where a sound pack's header says that it holds neither names nor contents of this domain: no sound writer has such a one in a snapshot's set.</summary>
    public static bool IsOfNoBackup(PackHeader header, Id16 domain) => header.Seal.Class is not (KeyClass.Tree or KeyClass.Content) || header.Seal.Domain != domain;

    /// <summary>True where the footer of a sound pack was written so that it gives this domain nothing; else it could not be read when the index took in the others.</summary>
    bool IsClosed(Hash32 pack)
    {
        try
        {
            using var opened = PackReader.OpenFooter(keeper.Store, pack, keeper.Vault, chunks.Domain);
            return false;
        }
        catch (HoldfastException e)
        {
            return !PackReader.MayPass(e);
        }
    }

    /// <summary>Where the set cannot be told because an object of its chain is gone or damaged, that is what is wrong, and nothing is held against who wrote the snapshot.</summary>
    void CheckChain(SnapshotRecord record, PackSet? set)
    {
        foreach (var name in set is null ? record.ToldBy() : [])
        {
            if (keeper.State.Find(name) is { Object: null })
                _defects.Add((AttestationDefect.ObjectMissing, name));
        }
    }

    /// <summary>Why a pack does not give what it should: it is gone, its bytes are not those that were written, or it was written so.</summary>
    /// <param name="pack">Which.</param>
    /// <param name="contentWrong">What it gave when it was read was wrong: that may be hours ago, and the pack mended since.</param>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>: it gives what it should by now.</exception>
    void Judge(Hash32 pack, bool contentWrong)
    {
        if (VerdictOf(pack) is { } found)
            Add(found, pack);
        else if (contentWrong && !_defects.Contains((AttestationDefect.ContentWrong, pack)))
            Add(IsAsItSays(pack) ? throw Unanswered(pack) : AttestationDefect.ContentWrong, pack);
    }

    /// <summary>What did not give a chunk that it should have, though another pack may have given it.</summary>
    void JudgeFailed(PackSet? set)
    {
        foreach (var (pack, isContent) in chunks.Failed.Where(f => set?.Contains(f.Key) == true))
            Judge(pack, isContent);
    }

    AttestationDefect? VerdictOf(Hash32 pack)
    {
        if (!_judged.TryGetValue(pack, out var defect))
            _judged[pack] = defect = Read(pack);
        return defect;
    }

    AttestationDefect? Read(Hash32 pack)
    {
        var buffer = new byte[4 << 20];
        var copies = 0;
        for (; copies < StoreExtensions.MaxCopies && keeper.Store.Open(StoreKind.Pack, pack, copies) is { } copy; copies++)
        {
            using (copy)
            {
                if (copy.Size > PackFormat.MaxSize)
                    continue; // no pack: it may have no end
                try
                {
                    using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
                    for (long at = 0; at < copy.Size;)
                    {
                        ct.ThrowIfCancellationRequested();
                        var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, copy.Size - at));
                        copy.Read(at, part);
                        sha.AppendData(part);
                        at += part.Length;
                    }
                    if (new Hash32(sha.GetHashAndReset()) == pack)
                        return null;
                }
                catch (HoldfastException e) when (e.Code is ErrorCode.Truncated or ErrorCode.StoreUnavailable)
                {
                    // The next copy may be sound.
                }
            }
        }
        return copies == 0 ? AttestationDefect.PackMissing : AttestationDefect.PackDamaged;
    }

    /// <summary>Reads the packs that hold trees, to tell damage from a tree that was made wrong.</summary>
    void JudgeTree(PackSet? set)
    {
        foreach (var pack in set?.ToList() ?? [])
        {
            if (chunks.Index.ClassOf(pack.Name) is KeyClass.Tree or null) // as its footer vouched for it: what its header says now may be the damage
                Judge(pack.Name, contentWrong: false);
        }
    }

    void Add(AttestationDefect kind, Hash32 name)
    {
        _isWhole &= kind is not (AttestationDefect.PackMissing or AttestationDefect.PackDamaged);
        _defects.Add((kind, name));
    }

    /// <summary>Numbers of the files to read, drawn evenly over the whole tree: nobody can know which.</summary>
    static HashSet<ulong> ChooseSample(ulong files)
    {
        var chosen = new HashSet<ulong>();
        var wanted = Math.Min(files, SampleFiles);
        Span<byte> bytes = stackalloc byte[8];
        while ((ulong)chosen.Count < wanted)
        {
            RandomNumberGenerator.Fill(bytes);
            chosen.Add(BitConverter.ToUInt64(bytes) % files);
        }
        return chosen;
    }

    /// <returns>False where the lists of the file's chunks cannot be read to their end.</returns>
    bool CheckPlaces(TreeReader tree, EntryBatch rows, int row, PackSet? set)
    {
        var isListed = rows.Chunks[row] is not null || rows.ChunkLists[row] is not null;
        var before = _cuts;
        using var listed = tree.NewChunksOf(rows, row).GetEnumerator();
        while (TryNext(listed))
        {
            ct.ThrowIfCancellationRequested();
            if (!isListed || IsNew(listed.Current))
                CheckPlace(listed.Current, set);
        }
        if (_cuts > before)
            return false;
        _chunkCount += (ulong)rows.ChunkCount(row);
        return true;
    }

    /// <summary>False where a chunk was looked up before, and that is remembered: lists cost who writes them next to nothing where they repeat.</summary>
    bool IsNew(ChunkRef chunk)
    {
        if (_placed.Count == MaxPlaced)
            _placed.Clear();
        return _placed.Add(chunk);
    }

    void CheckPlace(ChunkRef chunk, PackSet? set)
    {
        if (set is null)
            return;
        if (chunks.TryFind(KeyClass.Content, chunk, out var place) && set.Contains(chunks.Index.Pack(place.Pack).Name))
            return;
        var places = chunks.PacksWith(KeyClass.Content, chunk).ToList();
        if (!places.Exists(set.Contains) && _isWhole) // else it lies in the pack that is gone: that is what is wrong
            _defects.Add(places.Count == 0 ? (AttestationDefect.PackMissing, Hash32.None) : (AttestationDefect.PackSetWrong, places[0]));
    }

    /// <param name="rows">Of the tree.</param>
    /// <param name="row">A file.</param>
    /// <param name="most">Bytes of all files together: of one that leads past them the rest is left, and its digest is not told. A row may claim more than can be read in years.</param>
    bool CheckContent(EntryBatch rows, int row, long most)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var data = new DataCursor(rows.Extents[row]);
        var holes = rows.Size[row] - (rows.Extents[row]?.Sum(e => e.Length) ?? rows.Size[row]);
        var hashed = holes <= Math.Min(MaxHoles, most - _sampled);
        if (hashed)
            _sampled += holes;
        long position = 0;
        var before = _cuts;
        using var listed = rows.ChunksOf(row).GetEnumerator();
        while (TryNext(listed))
        {
            ct.ThrowIfCancellationRequested();
            var chunk = listed.Current;
            if (_sampled >= most)
                return true;
            ReadOnlySpan<byte> bytes;
            try
            {
                bytes = chunks.Read(KeyClass.Content, chunk);
            }
            catch (HoldfastException e) when (IsOfPack(e))
            {
                var failed = chunks.PacksWith(KeyClass.Content, chunk).Where(chunks.Failed.ContainsKey).Distinct().ToList();
                if (failed.Find(chunks.Closed.ContainsKey) is var closed && chunks.Closed.TryGetValue(closed, out var fault))
                    throw fault; // who reads may not read it there: nothing is held against anybody
                foreach (var pack in failed)
                    Judge(pack, chunks.Failed[pack]); // none of them gives it
                if (_isWhole)
                {
                    RequireAnswered(failed);
                    _defects.Add((failed.Count == 0 ? AttestationDefect.PackMissing : AttestationDefect.SampleWrong, Hash32.None)); // where no pack's footer has it, it is missing, whatever the index says
                }
                return false;
            }
            _sampled += bytes.Length;
            while (!bytes.IsEmpty)
            {
                var (offset, length) = data.Next(bytes.Length);
                if (hashed)
                {
                    AppendZeros(sha, offset - position);
                    sha.AppendData(bytes[..length]);
                }
                position = offset + length;
                bytes = bytes[length..];
            }
        }
        if (_cuts > before)
            return true; // that is of the tree
        if (hashed)
            AppendZeros(sha, rows.Size[row] - position);
        var digest = new Hash32(sha.GetHashAndReset());
        if (rows.Size[row] == 0 || !hashed)
            return true;
        if (rows.Digest[row].IsNone)
        {
            if (_late.Length + rows.Path(row).Length + Hash32.Size > _mostLate)
                return true;
            _late.Bytes(rows.Path(row));
            _late.Hash(digest);
            _lateCount++;
            return true;
        }
        if (digest == rows.Digest[row])
            return true;
        _defects.Add((AttestationDefect.SampleWrong, Hash32.None));
        return false;
    }

    void AppendZeros(IncrementalHash sha, long count)
    {
        if (count <= 0)
            return;
        var zeros = new byte[64 << 10];
        for (; count > 0; count -= zeros.Length)
        {
            ct.ThrowIfCancellationRequested();
            sha.AppendData(zeros, 0, (int)Math.Min(count, zeros.Length));
        }
    }

    byte[] SealLate(SnapshotObject snapshot)
    {
        if (_lateCount == 0)
            return [];
        var box = new ByteWriter(_late.Length + 8);
        box.Var(_lateCount);
        box.Raw(_late.Span);
        var context = new ByteWriter();
        context.Id(snapshot.Vault);
        context.Id(snapshot.Domain);
        context.U8((byte)LeafType.Attestation);
        return SealedBox.Seal(keys.TreeKeyFor(snapshot.Domain, snapshot.Source).PublicKey, Labels.Payload, context.Span, box.Span);
    }
}
