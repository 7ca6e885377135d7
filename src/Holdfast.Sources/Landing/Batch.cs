using System.Text;
using System.Text.Json;
using Holdfast.Core;
using Holdfast.Core.Storage;
using Holdfast.Sources.Landing.Formats;

namespace Holdfast.Sources.Landing;

/// <summary>Files that were taken together and go into one snapshot: a folder with them in <c>files</c>, with <c>report.json</c> once they were looked at, and with <c>stored</c> once the vault has them.
/// Whatever a run leaves behind when it is killed, the next goes on with.</summary>
public sealed class Batch
{
    public const string Prefix = "batch-";
    public const string Checksum = ".sha256";
    const string Files = "files";
    const string Report = "report.json"; // part of the snapshot
    const string Stored = "stored";
    const int MostReport = 64 << 20; // bytes
    const int MostList = 64 << 10; // bytes of a checksum's file
    const long MostSize = 16L << 40; // bytes: as long as a timer of the system's counts
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);
    const double LeastRate = 10 << 20; // bytes a second that a file is looked at with, at least: one made to take long keeps others waiting

    readonly string _parent;

    Batch(string parent, Id16 id) => (_parent, Id, Path) = (parent, id, System.IO.Path.Combine(parent, $"{Prefix}{id}"));

    public Id16 Id { get; }

    /// <summary>The folder that is backed up.</summary>
    public string Path { get; }

    public string Content => System.IO.Path.Combine(Path, Files);
    public bool IsStored => File.Exists(System.IO.Path.Combine(Path, Stored));
    public bool IsEmpty => !Directory.Exists(Content) || !Directory.EnumerateFileSystemEntries(Content).Any();

    public static Batch Make(string parent)
    {
        var batch = new Batch(parent, Id16.New());
        Disk.Real.MakeDurable(batch.Content, ownerOnly: true);
        return batch;
    }

    /// <summary>Those of earlier runs too.</summary>
    public static IReadOnlyList<Batch> All(string parent) =>
        [.. Directory.GetDirectories(parent, Prefix + "*").Order(StringComparer.Ordinal).Select(d => System.IO.Path.GetFileName(d)[Prefix.Length..]).Where(n => Id16.TryParse(n, out _)).Select(n => Id16.TryParse(n, out var id) ? new Batch(parent, id) : throw new InvalidOperationException())];

    /// <summary>Looks at each file, unless that was done, and writes down what was found beside them.</summary>
    /// <param name="drop">What they should be.</param>
    /// <param name="history">What came before.</param>
    /// <param name="now">Seconds since 1970.</param>
    /// <param name="ct">Ends it.</param>
    /// <param name="patience">How long looking at one may take, besides what its size takes.</param>
    /// <returns>The dumps among them.</returns>
    public IReadOnlyList<TakenDump> Look(DropPoint drop, DropHistory history, long now, CancellationToken ct, TimeSpan? patience = null)
    {
        var path = System.IO.Path.Combine(Path, Report);
        if (File.Exists(path))
            return Parse(KeptFile.ReadAll(path, MostReport));
        using var folder = LandingFiles.Open(Content);
        var names = folder.Names();
        var all = names.Select(Convert.ToHexString).ToHashSet();
        var least = history.LeastBytes(drop);
        using var bytes = new MemoryStream();
        using (var w = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true }))
        {
            w.WriteStartObject();
            w.WriteNumber("version", 1);
            w.WriteString("drop", drop.Name);
            w.WriteNumber("taken", now);
            w.WriteStartArray("files");
            foreach (var name in names)
                Write(w, name, Judge(folder, name, all, drop, least, patience ?? Patience, ct));
            w.WriteEndArray();
            w.WriteEndObject();
        }
        Disk.Real.Replace(path, bytes.ToArray());
        return Parse(bytes.ToArray());
    }

    sealed record Verdict(long Bytes, DumpFaults Faults, string? Detail, bool IsChecksum);

    static Verdict Judge(LandingFiles folder, byte[] name, HashSet<string> all, DropPoint drop, long least, TimeSpan patience, CancellationToken ct)
    {
        if (folder.OpenFile(name) is not { } file)
            return new Verdict(0, DumpFaults.Unfinished, "it is no plain file", false);
        using var closing = file;
        var size = RandomAccess.GetLength(file);
        if (IsChecksum(name, out var of) && all.Contains(Convert.ToHexString(of)))
            return new Verdict(size, DumpFaults.None, null, true);
        var faults = IsUnfinished(name) || IsChecksum(name, out _) ? DumpFaults.Unfinished : DumpFaults.None;
        if (!drop.Expects(name))
            faults |= DumpFaults.Name;
        if (size < least)
            faults |= DumpFaults.Shrunken;
        var format = InTime(size, patience, limited => DumpCheck.Fault(file, drop.Kind, drop.Edges, limited), ct);
        if (format is not null)
            faults |= DumpFaults.Format;
        var checksum = InTime(size, patience, limited => ChecksumFault(folder, name, file, drop, limited), ct);
        if (checksum is not null)
            faults |= DumpFaults.Checksum;
        return new Verdict(size, faults, format ?? checksum, false);
    }

    static string? InTime(long size, TimeSpan patience, Func<CancellationToken, string?> check, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var time = patience + TimeSpan.FromSeconds(Math.Min(size, MostSize) / LeastRate * (patience > TimeSpan.Zero ? 1 : 0));
        if (time > TimeSpan.Zero)
            limit.CancelAfter(time);
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

    /// <summary>The vault has it: from here on it may go.</summary>
    public void MarkStored() => Disk.Real.Replace(System.IO.Path.Combine(Path, Stored), "1\n"u8);

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
        parent.Forget($"{Prefix}{Id}", isFolder: true);
    }
}
