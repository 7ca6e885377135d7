using System.Security.Cryptography;
using Holdfast.Core.Backup;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Snapshots;

namespace Holdfast.Core.Restore;

/// <summary>Re-opens a snapshot from what lies in the vault and says whether it is what its agent signed: every node of its tree, every chunk's place against
/// its pack set, and the contents of a sample of files or of all.</summary>
sealed class Attestor(VaultKeeper keeper, ChunkReader chunks, OpeningKeys keys, CancellationToken ct)
{
    const int SampleFiles = 64;
    const long SampleBytes = 256 << 20;
    const long MaxHoles = 1L << 40; // bytes of zeros that are hashed for a file's digest: a row may claim holes that take years
    const byte PackMissing = 1, IdWrong = 3, RootWrong = 4, PackSetWrong = 5, ContentWrong = 6;

    readonly HashSet<(byte, Hash32)> _defects = [];
    readonly ByteWriter _late = new();
    ulong _lateCount;
    ulong _chunkCount;
    long _sampled;

    public AttestationObject Attest(SnapshotRecord record, bool full)
    {
        var snapshot = record.Object!;
        var set = keeper.State.PacksOf(record);
        TreeSection? tree = null;
        var rootMatches = keeper.State.Agent(snapshot.Agent) is { } agent && snapshot.IsSignedBy(snapshot.Agent, agent.PublicKey)
            && TreeSection.TryParse(snapshot.Open(SnapshotSection.Tree, keys), out tree)
            && SnapshotObject.ContentRootOf(tree!.RootSalt, snapshot.Vault, snapshot.Domain, snapshot.Source, snapshot.Session, snapshot.Snapshot,
                snapshot.ParentContentRoot, tree.Root.Digest) == snapshot.ContentRoot;
        if (!rootMatches)
            _defects.Add((RootWrong, record.Name));
        var sampleMatches = true;
        if (tree is not null)
        {
            try
            {
                var chosen = full ? null : ChooseSample(snapshot.Files);
                ulong file = 0;
                foreach (var rows in new TreeReader(chunks, tree.Root, tree.RootLevel).Rows())
                {
                    ct.ThrowIfCancellationRequested();
                    for (var row = 0; row < rows.Count; row++)
                    {
                        if (rows.Kind[row] != EntryKind.File)
                            continue;
                        CheckPlaces(rows, row, set);
                        if (chosen is null || (chosen.Contains(file) && _sampled < SampleBytes))
                            sampleMatches &= CheckContent(rows, row);
                        file++;
                    }
                }
                rootMatches &= file == snapshot.Files;
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.ChunkMissing or ErrorCode.PackDamaged or ErrorCode.PackMissing or ErrorCode.ObjectDamaged)
            {
                _defects.Add((RootWrong, record.Name));
                rootMatches = false;
            }
        }
        foreach (var pack in chunks.PacksRead)
        {
            if (set is null || !set.Contains(pack))
                _defects.Add((PackSetWrong, pack));
        }
        return new AttestationObject(keeper.Vault, snapshot.Domain, VaultKeeper.Salt(), snapshot.Snapshot, full, (ulong)(set?.Count ?? 0), _chunkCount, (ulong)chunks.BytesRead,
            rootMatches, set is not null && !_defects.Any(d => d.Item1 is PackSetWrong or PackMissing), sampleMatches, [.. _defects.Order()], SealLate(snapshot));
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

    void CheckPlaces(EntryBatch rows, int row, PackSet? set)
    {
        foreach (var chunk in rows.ChunksOf(row))
            CheckPlace(chunk.Digest, set);
    }

    void CheckPlace(Hash32 digest, PackSet? set)
    {
        _chunkCount++;
        if (set is null)
            return;
        if (chunks.TryFind(KeyClass.Content, digest, out var place) && set.Contains(chunks.Index.Pack(place.Pack).Name))
            return;
        var places = chunks.PacksWith(KeyClass.Content, digest).ToList();
        if (!places.Exists(set.Contains))
            _defects.Add(places.Count == 0 ? (PackMissing, Hash32.None) : (PackSetWrong, places[0]));
    }

    bool CheckContent(EntryBatch rows, int row)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var data = new DataCursor(rows.Extents[row]);
        var hashed = rows.Size[row] - (rows.Extents[row]?.Sum(e => e.Length) ?? rows.Size[row]) <= MaxHoles;
        long position = 0;
        foreach (var chunk in rows.ChunksOf(row))
        {
            ReadOnlySpan<byte> bytes;
            try
            {
                bytes = chunks.Read(KeyClass.Content, chunk);
            }
            catch (HoldfastException e) when (e.Code is ErrorCode.ChunkMissing or ErrorCode.PackDamaged or ErrorCode.PackMissing)
            {
                _defects.Add((ContentWrong, Hash32.None));
                foreach (var pack in chunks.PacksWith(KeyClass.Content, chunk.Digest).Distinct())
                    _defects.Add((IdWrong, pack)); // none of them gives it
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
        if (hashed)
            AppendZeros(sha, rows.Size[row] - position);
        var digest = new Hash32(sha.GetHashAndReset());
        if (rows.Size[row] == 0 || !hashed)
            return true;
        if (rows.Digest[row].IsNone)
        {
            _late.Bytes(rows.Path(row));
            _late.Hash(digest);
            _lateCount++;
            return true;
        }
        if (digest == rows.Digest[row])
            return true;
        _defects.Add((ContentWrong, Hash32.None));
        return false;
    }

    static void AppendZeros(IncrementalHash sha, long count)
    {
        if (count <= 0)
            return;
        var zeros = new byte[64 << 10];
        for (; count > 0; count -= zeros.Length)
            sha.AppendData(zeros, 0, (int)Math.Min(count, zeros.Length));
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
        var key = keys.Keyring.SealingKeys.Where(k => k.Class == KeyClass.Tree && k.Domain == snapshot.Domain && (k.Source == snapshot.Source || k.Source.IsNone))
            .OrderByDescending(k => k.Source == snapshot.Source).ThenByDescending(k => k.Epoch).First();
        return SealedBox.Seal(key.PublicKey, Labels.Payload, context.Span, box.Span);
    }
}
