using System.Globalization;
using System.Text;
using System.Text.Json;
using Holdfast.Core;
using Holdfast.Core.Storage;
using Holdfast.Sources.Landing.Formats;

namespace Holdfast.Sources.Landing;

/// <summary>Files that were taken together and go into one snapshot: a folder with them in <c>files</c>, with <c>report.json</c> once they were looked at, and with <c>stored</c> once the vault has them
/// (<c>incomplete</c> where it has a snapshot that lacks what could not be read).
/// Whatever a run leaves behind when it is killed, the next goes on with.</summary>
public sealed class Batch
{
    public const string Prefix = "batch-";
    public const string Checksum = ".sha256";
    const string Files = "files";
    const string Report = "report.json"; // part of the snapshot
    const string Failed = "failed";
    const string Parting = "parting";
    const string Stored = "stored", Incomplete = "incomplete";
    const int MostReport = 64 << 20; // bytes
    const int MostList = 64 << 10; // bytes of a checksum's file
    const long MostSize = 8L << 40; // bytes: as long as a timer of the system's counts
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);
    static readonly TimeSpan Least = TimeSpan.FromSeconds(1) / 4; // for a file, where those before it took all the patience there is
    const double LeastRate = 4 << 20; // bytes on the disk a second that a file is looked at with, at least: one made to take long keeps others waiting

    readonly string _parent;

    readonly string _name;

    Batch(string parent, long taken, Id16 id)
    {
        (_parent, Taken, Id) = (parent, taken, id);
        _name = string.Create(CultureInfo.InvariantCulture, $"{Prefix}{taken:d12}-{id}"); // in the order in which they were taken
        Path = System.IO.Path.Combine(parent, _name);
    }

    public Id16 Id { get; }

    /// <summary>Seconds since 1970.</summary>
    public long Taken { get; }

    /// <summary>The folder that is backed up.</summary>
    public string Path { get; }

    public string Content => System.IO.Path.Combine(Path, Files);
    public bool IsStored => File.Exists(System.IO.Path.Combine(Path, Stored));

    /// <summary>The vault has a snapshot of it that lacks something: nothing is stored again, and nothing removed.</summary>
    public bool IsIncomplete => File.Exists(System.IO.Path.Combine(Path, Incomplete));

    public bool IsEmpty => !Directory.Exists(Content) || !Directory.EnumerateFileSystemEntries(Content).Any();

    /// <param name="parent">Where.</param>
    /// <param name="now">Seconds since 1970.</param>
    public static Batch Make(string parent, long now)
    {
        var batch = new Batch(parent, Math.Max(0, now), Id16.New());
        Disk.Real.MakeDurable(batch.Content, ownerOnly: true);
        return batch;
    }

    /// <summary>Those of earlier runs too, the oldest first.</summary>
    public static IReadOnlyList<Batch> All(string parent) =>
        [.. Directory.GetDirectories(parent, Prefix + "*").Select(d => Parse(parent, System.IO.Path.GetFileName(d)[Prefix.Length..])).OfType<Batch>().OrderBy(b => b.Taken).ThenBy(b => b.Id)];

    static Batch? Parse(string parent, string name) =>
        name.Split('-') is [var time, var id] && long.TryParse(time, NumberStyles.None, CultureInfo.InvariantCulture, out var taken) && Id16.TryParse(id, out var known) && new Batch(parent, taken, known) is var batch && batch._name == Prefix + name ? batch : null;

    public bool IsLookedAt => File.Exists(System.IO.Path.Combine(Path, Report));

    /// <summary>What was found, where it was looked at; none where a run takes it away meanwhile.</summary>
    public IReadOnlyList<TakenDump> Dumps()
    {
        try
        {
            return IsLookedAt ? Parse(KeptFile.ReadAll(System.IO.Path.Combine(Path, Report), MostReport)) : [];
        }
        catch (Exception e) when (e is IOException or HoldfastException)
        {
            return [];
        }
    }

    /// <summary>Looks at each file, unless that was done, and writes down what was found beside them. Where some are no good, they go into a batch of their own, which waits to be looked at.</summary>
    /// <param name="drop">What they should be.</param>
    /// <param name="history">What came before.</param>
    /// <param name="ct">Ends it.</param>
    /// <param name="between">Done before each file.</param>
    /// <param name="patience">How long looking at all may take, besides what their sizes take.</param>
    /// <returns>The dumps among them.</returns>
    public IReadOnlyList<TakenDump> Look(DropPoint drop, DropHistory history, CancellationToken ct, Action? between = null, TimeSpan? patience = null)
    {
        var path = System.IO.Path.Combine(Path, Report);
        if (File.Exists(path))
            return Parse(KeptFile.ReadAll(path, MostReport));
        using var folder = LandingFiles.Open(Content);
        Rejoin(folder);
        var names = folder.Names();
        var all = names.Select(Convert.ToHexString).ToHashSet();
        var least = history.LeastBytes(drop);
        var left = patience ?? Patience;
        var verdicts = new List<(byte[] Name, Verdict Verdict)>();
        foreach (var name in names)
        {
            between?.Invoke();
            verdicts.Add((name, Judge(folder, name, all, drop, least, ref left, ct)));
        }
        verdicts = Part(folder, verdicts);
        using var bytes = new MemoryStream();
        using (var w = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true }))
        {
            w.WriteStartObject();
            w.WriteNumber("version", 1);
            w.WriteString("drop", drop.Name);
            w.WriteNumber("taken", Taken);
            w.WriteStartArray("files");
            foreach (var (name, verdict) in verdicts)
                Write(w, name, verdict);
            w.WriteEndArray();
            w.WriteEndObject();
        }
        Disk.Real.Replace(path, bytes.ToArray());
        return Parse(bytes.ToArray());
    }

    /// <summary>Moves what is no good, and its checksums, into a batch of its own: so that nothing that is no good is stored under the name of what is.</summary>
    List<(byte[] Name, Verdict Verdict)> Part(LandingFiles folder, List<(byte[] Name, Verdict Verdict)> verdicts)
    {
        var bad = verdicts.Where(v => !v.Verdict.IsGood).Select(v => Convert.ToHexString(v.Name)).ToHashSet();
        var stays = verdicts.Where(v => !bad.Contains(Convert.ToHexString(IsChecksum(v.Name, out var of) && v.Verdict.IsChecksum ? of : v.Name))).ToList();
        if (bad.Count == 0 || !stays.Exists(v => !v.Verdict.IsChecksum))
            return verdicts;
        var part = System.IO.Path.Combine(Path, Parting);
        Disk.Real.MakeDurable(part, ownerOnly: true);
        using (var other = LandingFiles.Open(part))
        {
            foreach (var (name, _) in verdicts.Except(stays))
                folder.Move(name, other, name);
        }
        var made = new Batch(_parent, Taken, Id16.New());
        Disk.Real.MakeDurable(made.Path, ownerOnly: true);
        using var here = LandingFiles.Open(Path);
        using var there = LandingFiles.Open(made.Path);
        here.Move(Encoding.ASCII.GetBytes(Parting), there, Encoding.ASCII.GetBytes(Files)); // all at once: a dump is looked at with its checksum
        return stays;
    }

    /// <summary>A run before was killed while it moved what is no good.</summary>
    void Rejoin(LandingFiles folder)
    {
        using (var part = LandingFiles.TryOpen(System.IO.Path.Combine(Path, Parting)))
        {
            if (part is null)
                return;
            foreach (var name in part.Names())
                part.Move(name, folder, name);
        }
        using var here = LandingFiles.Open(Path);
        here.Forget(Parting, isFolder: true);
    }

    sealed record Verdict(long Bytes, DumpFaults Faults, string? Detail, bool IsChecksum)
    {
        public bool IsGood => IsChecksum || new TakenDump(0, Bytes, Faults, Id16.None).IsGood;
    }

    static Verdict Judge(LandingFiles folder, byte[] name, HashSet<string> all, DropPoint drop, long least, ref TimeSpan left, CancellationToken ct)
    {
        if (folder.OpenFile(name) is not { } file)
            return new Verdict(0, DumpFaults.Unfinished, "it is no plain file", false);
        using var closing = file;
        var size = RandomAccess.GetLength(file);
        if (IsChecksum(name, out var of))
        {
            if (all.Contains(Convert.ToHexString(of)))
                return new Verdict(size, DumpFaults.None, null, true);
            if (size <= MostList)
                return new Verdict(size, DumpFaults.None, "what it is the checksum of is not beside it", true);
        }
        var faults = IsUnfinished(name) || IsChecksum(name, out _) ? DumpFaults.Unfinished : DumpFaults.None;
        if (!drop.Expects(name))
            faults |= DumpFaults.Name;
        if (size < least)
            faults |= DumpFaults.Shrunken;
        var onDisk = folder.TryLook(name, out var stat) ? Math.Min(size, (long)stat.Blocks * 512) : size; // a hole of any size costs nothing to make
        var format = InTime(onDisk, ref left, limited => DumpCheck.Fault(file, drop.Kind, drop.Edges, limited), ct);
        if (format is not null)
            faults |= DumpFaults.Format;
        var checksum = InTime(onDisk, ref left, limited => ChecksumFault(folder, name, file, drop, limited), ct);
        if (checksum is not null)
            faults |= DumpFaults.Checksum;
        return new Verdict(size, faults, format ?? checksum, false);
    }

    /// <summary>A check's verdict, whatever becomes of it: what it meets was made by somebody else, and is stored all the same.</summary>
    /// <param name="size">Bytes on the disk.</param>
    /// <param name="left">Of the patience that all files of a batch share.</param>
    /// <param name="check">Gives the verdict.</param>
    /// <param name="ct">Ends it, without a verdict.</param>
    public static string? InTime(long size, ref TimeSpan left, Func<CancellationToken, string?> check, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var own = TimeSpan.FromSeconds(Math.Min(size, MostSize) / LeastRate);
        var since = TimeProvider.System.GetTimestamp();
        if (left >= TimeSpan.Zero)
            limit.CancelAfter(own + (left > Least ? left : Least));
        else
            limit.Cancel();
        try
        {
            return check(limit.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return "it takes too long to look at";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "the disk does not give all of it";
        }
        catch (Exception e) when (e is not (OperationCanceledException or HoldfastException))
        {
            return "it could not be judged";
        }
        finally
        {
            if (left > TimeSpan.Zero && TimeProvider.System.GetElapsedTime(since) - own is var spent && spent > TimeSpan.Zero)
                left = spent < left ? left - spent : TimeSpan.Zero;
        }
    }

    static string? ChecksumFault(LandingFiles folder, byte[] name, Microsoft.Win32.SafeHandles.SafeFileHandle file, DropPoint drop, CancellationToken ct)
    {
        using var list = folder.OpenFile([.. name, .. Encoding.ASCII.GetBytes(Checksum)]);
        if (list is null)
            return drop.HasChecksums ? "there is no checksum beside it" : null;
        var text = new byte[Math.Min(MostList, RandomAccess.GetLength(list))];
        var read = RandomAccess.Read(list, text, 0);
        return DumpCheck.ChecksumFault(file, text.AsSpan(0, read), ct);
    }

    static void Write(Utf8JsonWriter w, byte[] name, Verdict verdict)
    {
        w.WriteStartObject();
        w.WriteString("name", Encoding.UTF8.GetString(name));
        w.WriteBase64String("nameBase64", name);
        w.WriteNumber("bytes", verdict.Bytes);
        w.WriteNumber("faults", (int)verdict.Faults);
        w.WriteString("verdict", verdict.IsChecksum ? "checksum" : verdict.Faults == DumpFaults.None ? "whole" : verdict.Faults.ToString());
        if (verdict.Detail is not null)
            w.WriteString("detail", verdict.Detail);
        w.WriteEndObject();
    }

    IReadOnlyList<TakenDump> Parse(byte[]? report)
    {
        try
        {
            using var document = JsonDocument.Parse(report);
            var taken = document.RootElement.GetProperty("taken").GetInt64();
            return [.. document.RootElement.GetProperty("files").EnumerateArray().Where(f => f.GetProperty("verdict").GetString() != "checksum")
                .Select(f => new TakenDump(taken, f.GetProperty("bytes").GetInt64(), (DumpFaults)f.GetProperty("faults").GetInt32(), Id))];
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentNullException)
        {
            throw new HoldfastException(ErrorCode.ObjectDamaged, "The report on what was taken, a file of the landing's own, was not written so.", "Remove `report.json` from the batch below `taken`: its files are looked at again.", e);
        }
    }

    /// <summary>The name ends as those of checksums do.</summary>
    /// <param name="name">Of a file.</param>
    /// <param name="of">Name of the file that it is of.</param>
    public static bool IsChecksum(byte[] name, out byte[] of)
    {
        var ends = name.AsSpan().EndsWith(Encoding.ASCII.GetBytes(Checksum)) && name.Length > Checksum.Length;
        of = ends ? name[..^Checksum.Length] : [];
        return ends;
    }

    /// <summary>Clients write under such a name, and rename the file once it is whole.</summary>
    public static bool IsUnfinished(ReadOnlySpan<byte> name)
    {
        if (name is [(byte)'.', ..])
            return true;
        var text = Encoding.Latin1.GetString(name);
        return Array.Exists(Unfinished, end => text.EndsWith(end, StringComparison.OrdinalIgnoreCase));
    }

    static readonly string[] Unfinished = [".filepart", ".part", ".partial", ".tmp", ".temp", ".uploading", ".inprogress", "~"];

    /// <summary>The vault has it: from here on it may go, where the vault has all of it.</summary>
    public void MarkStored(bool isWhole = true) => Disk.Real.Replace(System.IO.Path.Combine(Path, isWhole ? Stored : Incomplete), "1\n"u8);

    /// <summary>Notes beside the files, no part of the snapshot: as patterns of .gitignore.</summary>
    public static IReadOnlyList<string> Notes => [$"/{Failed}"];

    /// <summary>It was tried to store it, in vain.</summary>
    public bool IsFailed => File.Exists(System.IO.Path.Combine(Path, Failed));

    public void MarkFailed()
    {
        try
        {
            if (!IsFailed && Directory.Exists(Path))
                Disk.Real.Replace(System.IO.Path.Combine(Path, Failed), "1\n"u8);
        }
        catch (HoldfastException)
        {
            // The disk is full, or fails: what failed first is told, and the alarm comes a day after it was taken.
        }
    }

    /// <summary>Of what the vault has, nothing is left here. Whatever is there of it: a run before may have been killed half way.</summary>
    public void Remove()
    {
        if (!IsStored && !IsEmpty)
            throw new InvalidOperationException("The vault does not have it.");
        using var parent = LandingFiles.Open(_parent);
        using (var batch = LandingFiles.Open(Path))
        {
            if (Directory.Exists(Content))
            {
                using (var files = LandingFiles.Open(Content))
                {
                    foreach (var name in files.Names())
                        files.Forget(name);
                }
                batch.Forget(Files, isFolder: true);
            }
            foreach (var name in batch.Names().Where(n => !n.AsSpan().SequenceEqual("stored"u8)))
                batch.Forget(name); // the report, and what a run that was killed left of it
            batch.Forget(Stored); // last: while anything is left, it says that the vault has it
        }
        parent.Forget(_name, isFolder: true);
    }
}
