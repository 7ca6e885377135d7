using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using ZstdNet;

namespace Holdfast.Sources.Landing.Formats;

/// <summary>Says whether a file is what it should be, from its header to its trailer. It reads and never writes, believes no length that the file does not have, and unpacks to nowhere.</summary>
public static class DumpCheck
{
    /// <summary>The first line a text should have and the last, where the format says nothing of them: of device configurations.</summary>
    public sealed record Edges(string? Begins, string? Ends);

    internal const string Empty = "it is empty";

    /// <param name="file">Open for reading; stays open.</param>
    /// <param name="kind">What it should be.</param>
    /// <param name="edges">Of a text.</param>
    /// <param name="ct">Ends it.</param>
    /// <returns>What is wrong, in a few words without anything of the file's own; null where nothing is found.</returns>
    /// <exception cref="IOException">The medium failed.</exception>
    public static string? Fault(SafeFileHandle file, DumpKind kind, Edges edges, CancellationToken ct)
    {
        var dump = new DumpFile(file);
        if (dump.Length == 0)
            return Empty;
        try
        {
            switch (kind.Wrapping)
            {
                case DumpWrapping.Gzip:
                    return GzipDump.Fault(dump, s => Inner(s, kind.Format, edges, ct), ct);
                case DumpWrapping.Zstd:
                    return ZstdDump.Fault(dump, s => Inner(s, kind.Format, edges, ct), ct);
                default:
                    return kind.Format switch
                    {
                        DumpFormat.Zip => ZipDump.Fault(dump, ct),
                        DumpFormat.Xz => XzDump.Fault(dump, ct),
                        DumpFormat.Qcow2 => Qcow2Image.Fault(dump, ct),
                        DumpFormat.Vmdk => VmdkImage.Fault(dump, ct),
                        DumpFormat.Vhdx => VhdxImage.Fault(dump, ct),
                        DumpFormat.Vhd => VhdImage.Fault(dump, ct),
                        DumpFormat.Iso => IsoImage.Fault(dump),
                        _ => Plain(dump, kind.Format, edges, ct),
                    };
            }
        }
        catch (EndOfStreamException)
        {
            return "it ends before its end";
        }
        catch (Exception e) when (e is InvalidDataException or ZstdException)
        {
            return "what is in it does not unpack";
        }
    }

    static string? Plain(DumpFile dump, DumpFormat format, Edges edges, CancellationToken ct)
    {
        if (format == DumpFormat.Mssql && dump.Length % MssqlBackup.Block != 0)
            return "it is cut in the middle of a block";
        using var whole = dump.Whole();
        return Inner(whole, format, edges, ct);
    }

    static string? Inner(Stream stream, DumpFormat format, Edges edges, CancellationToken ct) => format switch
    {
        DumpFormat.PgCustom => PgCustomDump.Fault(stream, ct),
        DumpFormat.Tar => TarDump.Fault(stream, isAppliance: false, ct),
        DumpFormat.Ova => TarDump.Fault(stream, isAppliance: true, ct),
        DumpFormat.Mssql => MssqlBackup.Fault(stream),
        DumpFormat.OracleExp => OracleExport.Fault(stream),
        DumpFormat.PgPlain => TextDump.Fault(stream, TextDump.IsPgHead, TextDump.IsPgTail, ct),
        DumpFormat.Mysqldump => TextDump.Fault(stream, TextDump.IsMysqlHead, TextDump.IsMysqlTail, ct),
        _ when edges.Begins is not null || edges.Ends is not null => TextDump.Fault(stream, head => TextDump.Begins(head, edges.Begins), (_, tail) => TextDump.Ends(tail, edges.Ends), ct),
        _ => null,
    };

    /// <summary>Reads what is left, for the checksum that stands behind it.</summary>
    internal static string? ToEnd(Stream stream, CancellationToken ct)
    {
        var buffer = new byte[1 << 17];
        while (stream.Read(buffer) > 0)
            ct.ThrowIfCancellationRequested();
        return null;
    }

    /// <summary>Compares a file with the list beside it, as sha256sum(1) writes it, or with the digest alone.</summary>
    /// <param name="file">The file.</param>
    /// <param name="list">What stands in the list.</param>
    /// <param name="ct">Ends it.</param>
    public static string? ChecksumFault(SafeFileHandle file, ReadOnlySpan<byte> list, CancellationToken ct)
    {
        const int digits = 64;
        if (list is [(byte)'\\', ..]) // sha256sum(1) begins a line so where the name behind it is escaped
            list = list[1..];
        if (list.Length < digits || (list.Length > digits && list[digits] is not ((byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')))
            return "the checksum beside it is none";
        Span<byte> wanted = stackalloc byte[32];
        if (Convert.FromHexString(list[..digits], wanted, out _, out _) != System.Buffers.OperationStatus.Done)
            return "the checksum beside it is none";
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var whole = new DumpFile(file).Whole();
        var buffer = new byte[1 << 17];
        while (whole.Read(buffer) is var read and > 0)
        {
            ct.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, read);
        }
        return hash.GetHashAndReset().AsSpan().SequenceEqual(wanted) ? null : "its checksum is not the one beside it";
    }
}
