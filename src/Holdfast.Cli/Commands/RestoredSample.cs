using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

/// <summary>What a comparison of restored files with their originals found. One that differs without its original having changed is no count but a failure.</summary>
/// <param name="Same">Equal, byte for byte.</param>
/// <param name="Changed">Their originals changed, or went, since the snapshot was taken.</param>
/// <param name="Unreadable">Their originals may not be read, or cannot.</param>
sealed record SampleResult(long Same, long Changed, long Unreadable);

/// <summary>Restores some files of a snapshot for real and compares them with what they were taken from.</summary>
static class RestoredSample
{
    const int Files = 100;
    const long Bytes = 256 << 20;
    const int BufferSize = 1 << 20; // bytes

    /// <summary>The clock that stamps changes of files moves in steps of up to so much.</summary>
    static readonly TimeSpan ClockStep = TimeSpan.FromMilliseconds(20);

    /// <param name="Path">Within the source.</param>
    /// <param name="Size">Bytes, as the snapshot has it; the times below too.</param>
    /// <param name="Seconds">Modification time.</param>
    /// <param name="Nanoseconds">Of the modification time.</param>
    /// <param name="IsSettled">False where it changed each time it was read.</param>
    sealed record Chosen(byte[] Path, long Size, long Seconds, uint Nanoseconds, bool IsSettled);

    enum Verdict
    {
        Same,
        Changed,
        Unreadable,
        Different,
    }

    /// <param name="vault">Holds the snapshot.</param>
    /// <param name="record">The snapshot.</param>
    /// <param name="keys">Open it.</param>
    /// <param name="original">What it was taken from.</param>
    /// <param name="began">When the backup began: a file whose change time is later may have changed since it was read, whatever its writer did to its modification time.</param>
    /// <param name="target">Folder of this command alone: made for its owner's eyes only, and removed, at the start too where an earlier run was cut short.</param>
    /// <param name="ct">Stops it.</param>
    /// <exception cref="HoldfastException"><c>RestoreMismatch</c>.</exception>
    public static SampleResult Compare(Vault vault, SnapshotRecord record, OpeningKeys keys, string original, DateTimeOffset began, string target, CancellationToken ct)
    {
        var chosen = Choose(vault, record, keys, ct);
        try
        {
            Remove(target);
            MakePrivate(target);
            var restored = Path.Combine(target, "restored");
            using (var writer = FileTarget.Create(restored, new FileTargetOptions()))
                vault.Restore(record, keys, writer, new PathFilter(path => chosen.ContainsKey(Convert.ToHexString(path))), new RestoreProgress(), 0, ct, isIsolated: true); // its owner's alone, and removed
            MakeOwn(restored); // modes as restored may keep even their owner out
            using var originals = FileSource.Open(original, new FileSourceOptions());
            using var copies = FileSource.Open(restored, new FileSourceOptions());
            var counts = new long[(int)Verdict.Different + 1];
            foreach (var file in chosen.Values)
            {
                ct.ThrowIfCancellationRequested();
                counts[(int)Judge(originals, copies, file, began - ClockStep)]++;
            }
            return counts[(int)Verdict.Different] == 0
                ? new SampleResult(counts[(int)Verdict.Same], counts[(int)Verdict.Changed], counts[(int)Verdict.Unreadable])
                : throw new HoldfastException(ErrorCode.RestoreMismatch, $"{counts[(int)Verdict.Different]} of {chosen.Count} restored files are not what they were taken from, and the originals have not changed since.",
                    "Do not rely on this vault. Run `holdfast verify --full`, look at the disk and the memory of this machine, and report it.");
        }
        finally
        {
            Remove(target);
        }
    }

    static Verdict Judge(ISource originals, ISource copies, Chosen file, DateTimeOffset began)
    {
        if (!TryDigest(originals, file, out var original, out var verdict))
            return verdict;
        if (TryDigest(copies, file, out var copy, out _) && copy.Digest == original.Digest)
            return Verdict.Same;
        if (!file.IsSettled || original.Seen != (file.Size, file.Seconds, file.Nanoseconds) || original.Changed >= began)
            return Verdict.Changed;
        // Once more: what was read a moment ago may have been on its way to something else.
        if (!TryDigest(originals, file, out var again, out verdict))
            return verdict;
        return again == original ? Verdict.Different : Verdict.Changed;
    }

    readonly record struct Reading(Hash32 Digest, (long Size, long Seconds, uint Nanoseconds) Seen, DateTimeOffset Changed);

    /// <param name="source">Has the file.</param>
    /// <param name="file">Which.</param>
    /// <param name="reading">What was found.</param>
    /// <param name="verdict">Why it could not be read, or not in one state.</param>
    static bool TryDigest(ISource source, Chosen file, out Reading reading, out Verdict verdict)
    {
        reading = default;
        verdict = Verdict.Changed;
        var batch = new EntryBatch(1);
        var row = batch.Add(file.Path);
        var known = source.Problems.Count;
        using var content = source.Open(batch, row);
        if (content is null)
        {
            verdict = source.Problems.Count > known && source.Problems.Any(p => p.Path.AsSpan().SequenceEqual(file.Path) && p.Kind != ProblemKind.Vanished) ? Verdict.Unreadable : Verdict.Changed;
            return false;
        }
        try
        {
            content.Refresh(batch, row);
            using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var buffer = new byte[BufferSize];
            // A file that has grown is read to where it shows: some, of a kernel's making, have no end.
            for (long at = 0; at <= file.Size && content.Read(buffer, at) is var count and > 0; at += count)
                sha.AppendData(buffer, 0, count);
            if (content.HasChanged())
                return false;
            var changed = DateTimeOffset.FromUnixTimeSeconds(batch.CtimeSeconds[row]).AddTicks(batch.CtimeNanoseconds[row] / 100);
            // A file system that knows whole seconds only: at any time of that second.
            if (batch.CtimeNanoseconds[row] == 0 && batch.CtimeSeconds[row] != 0)
                changed = changed.AddSeconds(1);
            reading = new Reading(new Hash32(sha.GetHashAndReset()), (batch.Size[row], batch.MtimeSeconds[row], batch.MtimeNanoseconds[row]), changed);
            return true;
        }
        catch (IOException)
        {
            verdict = Verdict.Unreadable;
            return false;
        }
    }

    static void MakePrivate(string folder)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(folder);
        else
            Directory.CreateDirectory(folder, Owner);
    }

    const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Gives the owner back what restored modes took: folders of mode 0555 cannot be emptied, files of mode 0000 cannot be read.</summary>
    static void MakeOwn(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        File.SetUnixFileMode(folder, Owner);
        foreach (var entry in new DirectoryInfo(folder).EnumerateFileSystemInfos())
        {
            if (entry.LinkTarget is not null)
                continue;
            if (entry is DirectoryInfo)
                MakeOwn(entry.FullName);
            else
                File.SetUnixFileMode(entry.FullName, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
    }

    static void Remove(string folder)
    {
        if (!Directory.Exists(folder))
            return;
        MakeOwn(folder);
#pragma warning disable RS0030 // our own temporary folder
        Directory.Delete(folder, recursive: true);
#pragma warning restore RS0030
    }

    /// <summary>Files drawn evenly from the whole tree, at most <see cref="Files"/>, whose names this machine can spell.</summary>
    static Dictionary<string, Chosen> Choose(Vault vault, SnapshotRecord record, OpeningKeys keys, CancellationToken ct)
    {
        var all = Math.Max(1, (long)(record.Object?.Files ?? 1));
        var wanted = Math.Min(all, Files);
        var chosen = new Dictionary<string, Chosen>();
        long due = RandomNumberGenerator.GetInt32((int)Math.Min(all, int.MaxValue)), bytes = 0; // each file adds its share of one that is wanted
        foreach (var rows in vault.Rows(record, keys, ct))
        {
            for (var row = 0; row < rows.Count; row++)
            {
                if (rows.Kind[row] != EntryKind.File || (due += wanted) < all)
                    continue;
                due -= all;
                if (chosen.Count == Files || bytes + rows.Size[row] > Bytes || !System.Text.Unicode.Utf8.IsValid(rows.Path(row)))
                    continue;
                bytes += rows.Size[row];
                var path = rows.Path(row).ToArray();
                chosen[Convert.ToHexString(path)] = new Chosen(path, rows.Size[row], rows.MtimeSeconds[row], rows.MtimeNanoseconds[row], rows.State[row] != ContentState.Unsettled);
            }
        }
        return chosen;
    }
}
