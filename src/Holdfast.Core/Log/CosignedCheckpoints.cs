using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Log;

/// <summary>What witnesses have cosigned of a log, kept beside it: <c>cosigned</c>, the newest checkpoint with its cosignatures; and in <c>cosigned.by</c> the newest one of each witness, also where it
/// is ahead of this log, or of another history. Only what bears the log's signature and a witness's counts: who can write to the folder can take files away, and put none there that say anything.</summary>
/// <param name="folder">The log's.</param>
/// <param name="disk">Where changes go.</param>
/// <param name="log">Its key.</param>
/// <param name="witnesses">Theirs.</param>
public sealed class CosignedCheckpoints(string folder, Disk disk, VerifierKey log, IReadOnlyList<CosignerKey> witnesses)
{
    const string NewestFile = "cosigned";
    const string EachFolder = "cosigned.by";
    const string GivenUp = ".before-";

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    string Each => Path.Combine(folder, EachFolder);

    string PathOf(CosignerKey witness) => Path.Combine(Each, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(witness.ToString())).AsSpan(0, 16)));

    /// <summary>The newest with its cosignatures; null where there is none that counts.</summary>
    public Checkpoint? Newest => Read(Path.Combine(folder, NewestFile), witnesses);

    /// <summary>The newest that this witness cosigned, as far as is known here.</summary>
    public Checkpoint? Of(CosignerKey witness) => Read(PathOf(witness), [witness]);

    Checkpoint? Read(string path, IReadOnlyList<CosignerKey> by)
    {
        try
        {
            return PlainFile.ReadAll(path, Checkpoint.MaxLength) is { } bytes && Checkpoint.TryParse(Encoding.UTF8.GetString(bytes), out var found) ? Counted(found, by) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // a note that is not there says nothing, and neither does one that cannot be read
        }
    }

    Checkpoint? Counted(Checkpoint found, IReadOnlyList<CosignerKey> by) => found.IsSignedBy(log) && by.Any(w => found.CosignedAt(w) is not null) ? found.Reduced([log], by) : null;

    /// <summary>Keeps a checkpoint with cosignatures, durably: for each witness, where it says more than what is kept, and for all where nothing newer is. What this log does not go on from stays once it
    /// is known: that is what a keeper must not sign over.</summary>
    /// <exception cref="HoldfastException">What the disk reports.</exception>
    public void Keep(Checkpoint cosigned)
    {
        if (Counted(cosigned, witnesses) is not { } counted || IsGivenUp(counted))
            return;
        disk.MakeDurable(Each);
        using var alone = FolderLock.Take(Each, Patience);
        foreach (var witness in witnesses)
        {
            if (counted.CosignedAt(witness) is { } time && IsNews(counted, time, Of(witness), w => w.CosignedAt(witness)))
                Put(PathOf(witness), counted.Reduced([log], [witness]));
        }
        var known = Newest;
        if (known is not null && (known.Size, known.Root) == (counted.Size, counted.Root))
            Put(Path.Combine(folder, NewestFile), known.With(counted.CosignatureLines(witnesses)).Reduced([log], witnesses)); // another witness may have cosigned it meanwhile
        else if (known is null || counted.Size > known.Size)
            Put(Path.Combine(folder, NewestFile), counted);
    }

    /// <summary>Another root for the size that is kept counts too: it shows two histories.</summary>
    static bool IsNews(Checkpoint found, ulong time, Checkpoint? known, Func<Checkpoint, ulong?> timeOf) =>
        known is null || found.Size > known.Size || (found.Size == known.Size && (found.Root != known.Root || time >= timeOf(known)));

    void Put(string path, Checkpoint checkpoint) => disk.Replace(path, Encoding.UTF8.GetBytes(checkpoint.Note));

    /// <summary>All that is kept and that a log does not go on from: it was put back, or is another history.</summary>
    /// <param name="of">The log here.</param>
    public IReadOnlyList<Checkpoint> NotIn(MerkleLog of) =>
        [.. witnesses.Select(Of).Append(Newest).OfType<Checkpoint>().Where(c => !Extends(of, c)).DistinctBy(c => (c.Size, c.Root))];

    public static bool Extends(MerkleLog of, Checkpoint seen) => seen.Size <= of.Size && of.Tree.Root(seen.Size) == seen.Root;

    /// <summary>Puts aside what the log here does not go on from: a person has decided to go on all the same. The files stay as evidence, and what they say is not held against this log again.</summary>
    /// <param name="of">The log here.</param>
    /// <param name="when">Of names.</param>
    /// <returns>How many.</returns>
    public int GiveUp(MerkleLog of, DateTimeOffset when)
    {
        var count = 0;
        foreach (var (path, found) in witnesses.Select(w => (PathOf(w), Of(w))).Append((Path.Combine(folder, NewestFile), Newest)))
        {
            if (found is null || Extends(of, found))
                continue;
            var aside = $"{path}{GivenUp}{when:yyyyMMdd-HHmmss}";
            if (!disk.Rename(path, aside, replace: false))
                disk.Rename(path, $"{aside}-{Id16.New().ToString()[..8]}", replace: false);
            disk.SyncFolder(Path.GetDirectoryName(path)!);
            count++;
        }
        return count;
    }

    /// <summary>A person went on from an earlier state than this: its witness will never cosign the log again, and that is known.</summary>
    public bool IsGivenUp(Checkpoint seen)
    {
        try
        {
            return Directory.Exists(Each) && Directory.EnumerateFiles(Each, $"*{GivenUp}*").Any(f => Read(f, witnesses) is { } given && (given.Size, given.Root) == (seen.Size, seen.Root));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
