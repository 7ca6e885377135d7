namespace Holdfast.Sources.Landing.Formats;

/// <summary>SQL Server's backup file: Microsoft Tape Format, or the container of a compressed one. No more of either is published that would tell its end: a cut shows by the length of a block, or by the size.</summary>
static class MssqlBackup
{
    public const int Block = 512; // bytes

    public static string? Fault(Stream stream)
    {
        Span<byte> head = stackalloc byte[8];
        var read = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        return head[..read].StartsWith("TAPE"u8) || head[..read].SequenceEqual("MSSQLBAK"u8) ? null : "it does not begin as a backup of SQL Server does";
    }
}

/// <summary>The original exp of Oracle, whose header names it. That of Data Pump is not published.</summary>
static class OracleExport
{
    const int Within = 16; // bytes: before the name stand a length and the character set

    public static string? Fault(Stream stream)
    {
        Span<byte> head = stackalloc byte[Within + 8];
        var read = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
        return head[..read].IndexOf("EXPORT:V"u8) >= 0 ? null : "it does not begin as an export of Oracle does";
    }
}
