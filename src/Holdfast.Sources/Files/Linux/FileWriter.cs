using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>One file that is written in pieces. It gets its attributes and its name when it is complete, and is taken back where it will not be.</summary>
sealed class FileWriter(TargetFiles target, int file, int direct, DirectFile? directFile, Noted entry, byte[] apart) : IContentWriter
{
    readonly Lock _lock = new();
    int _writing; // threads in Write: the file is not closed under them
    bool _abandoned;
    bool _closed;

    public void Write(ReadOnlySpan<byte> data, long offset)
    {
        if (!Enter())
            return;
        try
        {
            if (directFile is not null)
            {
                target.TurnTo(directFile);
                directFile.Write(data, offset);
            }
            else
            {
                TargetFiles.WriteAt(file, data, offset);
            }
        }
        finally
        {
            Leave();
        }
    }

    public IContentRoom? Room(int length, long offset)
    {
        if (directFile is null || length > DirectFile.LongestRoom || !Enter())
            return null;
        try
        {
            target.TurnTo(directFile);
            return new ContentRoom(this, directFile, directFile.Room(length, offset), length);
        }
        catch
        {
            Leave();
            throw;
        }
    }

    sealed class ContentRoom(FileWriter writer, DirectFile file, DirectRun run, int length) : IContentRoom
    {
        public Span<byte> Span => run.Free[..length];

        public void Keep() => run.Take(length);

        public void Dispose()
        {
            try
            {
                file.Keep(run);
            }
            finally
            {
                writer.Leave();
            }
        }
    }

    /// <summary>False where the file is taken back: there is nothing to write to.</summary>
    bool Enter()
    {
        lock (_lock)
        {
            if (_abandoned)
                return false;
            _writing++;
            return true;
        }
    }

    void Leave()
    {
        lock (_lock)
        {
            _writing--;
            if (_abandoned)
                TakeBack();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_closed)
                return;
            _abandoned = true;
            TakeBack();
        }
    }

    void TakeBack()
    {
        if (_writing > 0 || _closed)
            return; // who leaves last does it
        _closed = true;
        directFile?.Forget();
        Close();
        target.Forget(entry);
        target.Remove(entry, apart);
    }

    /// <summary>0, or the error.</summary>
    int Close()
    {
        var failed = direct >= 0 ? TargetFiles.CloseWritten(direct) : 0;
        return TargetFiles.CloseWritten(file) is var error && failed == 0 ? error : failed;
    }

    public bool Complete()
    {
        lock (_lock)
        {
            if (_closed || _abandoned)
                return false;
            _closed = true;
        }
        var (written, whole, failed) = (false, false, 0);
        try
        {
            directFile?.Complete();
            whole = target.SetAttributes(file, entry);
            written = true;
        }
        finally
        {
            failed = Close();
            target.Forget(entry);
            if (!written || failed != 0)
                target.Remove(entry, apart);
        }
        return failed == 0 ? target.Take(entry, apart) && whole : target.WriteFailed(entry, failed);
    }
}
