using System.Security.Cryptography;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;
using Holdfast.Core.Restore;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Cli.Commands;

/// <summary>Restores some files of a snapshot for real and compares them with what they were taken from.</summary>
static class RestoredSample
{
    const int Files = 100;
    const long Bytes = 256 << 20;

    /// <param name="vault">Holds the snapshot.</param>
    /// <param name="record">The snapshot.</param>
    /// <param name="keys">Open it.</param>
    /// <param name="original">What it was taken from.</param>
    /// <param name="target">Folder of this command alone: made for its owner's eyes only, and removed, at the start too where an earlier run was cut short.</param>
    /// <param name="ct">Stops it.</param>
    /// <exception cref="HoldfastException"><c>RestoreMismatch</c>.</exception>
    public static (long Same, long Moved) Compare(Vault vault, SnapshotRecord record, OpeningKeys keys, string original, string target, CancellationToken ct)
    {
        var chosen = Choose(vault, record, keys, ct);
        try
        {
            Remove(target);
            MakePrivate(target);
            var restored = Path.Combine(target, "restored");
            using (var writer = FileTarget.Create(restored, new FileTargetOptions()))
                vault.Restore(record, keys, writer, new PathFilter(path => chosen.ContainsKey(Convert.ToHexString(path))), new RestoreProgress(), 0, ct);
            long same = 0, moved = 0;
            foreach (var (path, time) in chosen.Values)
            {
                var name = Encoding.UTF8.GetString(path);
                var (before, after) = (new FileInfo(Path.Combine(original, name)), new FileInfo(Path.Combine(restored, name)));
                if (!after.Exists)
                    throw Mismatch();
                if (!before.Exists || new DateTimeOffset(before.LastWriteTimeUtc).ToUnixTimeSeconds() != time)
                    moved++;
                else if (before.Length != after.Length || !Digest(before).AsSpan().SequenceEqual(Digest(after)))
                    throw Mismatch();
                else
                    same++;
            }
            return (same, moved);
        }
        finally
        {
            Remove(target);
        }
    }

    static void MakePrivate(string folder)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(folder);
        else
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    static void Remove(string folder)
    {
        if (Directory.Exists(folder))
#pragma warning disable RS0030 // our own temporary folder
            Directory.Delete(folder, recursive: true);
#pragma warning restore RS0030
    }

    static byte[] Digest(FileInfo file)
    {
        using var stream = file.OpenRead();
        return SHA256.HashData(stream);
    }

    /// <summary>Files drawn evenly from the whole tree, whose names this machine can spell.</summary>
    static Dictionary<string, (byte[] Path, long Time)> Choose(Vault vault, SnapshotRecord record, OpeningKeys keys, CancellationToken ct)
    {
        var every = Math.Max(1, (long)(record.Object?.Files ?? 1) / Files);
        var chosen = new Dictionary<string, (byte[], long)>();
        long seen = RandomNumberGenerator.GetInt32((int)Math.Min(every, int.MaxValue)), bytes = 0;
        foreach (var rows in vault.Rows(record, keys, ct))
        {
            for (var row = 0; row < rows.Count; row++)
            {
                if (rows.Kind[row] != EntryKind.File || seen++ % every != 0 || bytes + rows.Size[row] > Bytes || !System.Text.Unicode.Utf8.IsValid(rows.Path(row)))
                    continue;
                bytes += rows.Size[row];
                chosen[Convert.ToHexString(rows.Path(row))] = (rows.Path(row).ToArray(), rows.MtimeSeconds[row]);
            }
        }
        return chosen;
    }

    static HoldfastException Mismatch() => new(ErrorCode.RestoreMismatch, "A restored file is not what it was taken from.", "Do not rely on this vault. Run `holdfast verify --full`, look at the disk and the memory of this machine, and report it.");
}
