namespace Holdfast.Sources.Files.Linux;

/// <summary>Writes contents: small ones in one go, larger ones in pieces and any order, from any thread.</summary>
sealed unsafe class TargetFiles(ApartFiles apartFiles, TargetNotes notes, TargetReport report, TargetAttributes attributes) : IDisposable
{
    const long DirectFrom = 8 << 20; // bytes: smaller files are likely to be read soon

    readonly WriteBehind _behind = new();
    readonly ThreadLocal<DirectFile?> _current = new();

    public bool WriteWhole(Noted entry, ReadOnlySpan<byte> content)
    {
        try
        {
            return Write(entry, content);
        }
        finally
        {
            notes.Forget(entry);
        }
    }

    bool Write(Noted entry, ReadOnlySpan<byte> content)
    {
        var file = apartFiles.Open(entry, out var apart);
        if (file < 0)
            return false;
        var whole = false;
        var written = false;
        try
        {
            WriteAt(file, content, 0);
            whole = attributes.Set(file, entry);
            written = true;
        }
        finally
        {
            var closed = CloseWritten(file);
            if (!written || closed != 0)
                apartFiles.Remove(entry, apart);
            if (written && closed != 0)
                whole = written = report.WriteFailed(entry, closed);
        }
        return written && apartFiles.Take(entry, apart) && whole;
    }

    public FileWriter? Open(Noted entry)
    {
        var file = apartFiles.Open(entry, out var apart);
        if (file < 0)
        {
            notes.Forget(entry);
            return null;
        }
        if (Native.Truncate(file, entry.Size) == 0)
        {
            var direct = OpenDirect(file, entry);
            return new FileWriter(this, file, direct, direct < 0 ? null : new DirectFile(_behind, file, direct), entry, apart);
        }
        var error = Native.Error;
        _ = Native.Close(file);
        apartFiles.Remove(entry, apart);
        notes.Forget(entry);
        report.WriteFailed(entry, error); // larger than this file system holds, for one
        return null;
    }

    /// <summary>A second handle that writes past the page cache, for a large file without holes; -1 where it does not pay or the file system has no such thing.</summary>
    static int OpenDirect(int file, Noted entry)
    {
        if (entry.Size < DirectFrom || entry.HasHoles || Native.Allocate(file, 0, 0, entry.Size) != 0)
            return -1;
        fixed (byte* path = FolderHandle.ProcPath(file))
            return Native.OpenAt(Native.AtCurrent, path, Native.WriteOnly | Native.Direct | Native.CloseOnExec, 0);
    }

    /// <summary>0, or the error of a file system that says only now that it has no room.</summary>
    public static int CloseWritten(int file) => Native.Close(file) == 0 || Native.Error == Native.EIntr ? 0 : Native.Error;

    public static void WriteAt(int file, ReadOnlySpan<byte> data, long offset)
    {
        fixed (byte* p = data)
        {
            for (var done = 0; done < data.Length;)
            {
                var written = Native.Write(file, p + done, (nuint)(data.Length - done), offset + done);
                if (written < 0 && Native.Error == Native.EIntr)
                    continue;
                if (written <= 0)
                    throw TargetFaults.Fault("A file cannot be written");
                done += (int)written;
            }
        }
    }

    /// <summary>A thread keeps bytes of one file at a time: what it kept of another is handed over.</summary>
    public void TurnTo(DirectFile file)
    {
        if (_current.Value is { } last && last != file)
            last.Leave();
        _current.Value = file;
    }

    public bool SetAttributes(int file, Noted entry) => attributes.Set(file, entry);

    public void Forget(Noted entry) => notes.Forget(entry);

    public bool Take(Noted entry, byte[] apart) => apartFiles.Take(entry, apart);

    public void Remove(Noted entry, byte[] apart) => apartFiles.Remove(entry, apart);

    public bool WriteFailed(Noted entry, int error) => report.WriteFailed(entry, error);

    public void Dispose()
    {
        _behind.Dispose();
        _current.Dispose();
    }
}
