namespace Holdfast.Core.Grants;

/// <summary>Gathers records into pieces. Safe for concurrent use.</summary>
sealed class GrantStream(PieceQueue queue)
{
    const int Full = 4 << 20; // bytes: a piece that has so many goes

    readonly Lock _turn = new();
    byte[]? _piece;
    int _length;

    /// <summary>Bytes of content, and files whose content has all gone.</summary>
    public (long Bytes, long Files) Sent => (Volatile.Read(ref _bytes), Volatile.Read(ref _files));

    long _bytes;
    long _files;

    /// <summary>Waits where the agent's host is slower.</summary>
    /// <param name="kind">Which record.</param>
    /// <param name="handle">Of a file.</param>
    /// <param name="offset">In it.</param>
    /// <param name="bytes">By kind.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public void Put(GrantRecordKind kind, int handle = -1, long offset = 0, ReadOnlySpan<byte> bytes = default)
    {
        Span<byte> head = stackalloc byte[GrantRecord.MostHead];
        lock (_turn)
        {
            queue.RequireGoing();
            var headLength = GrantRecord.WriteHead(head, kind, handle, offset, bytes.Length);
            if (_length > 1 && _length - 1 + headLength + bytes.Length > Full)
                Send();
            if (_piece is null)
                (_piece, _length) = (queue.Rent(), 1); // after the state
            head[..headLength].CopyTo(_piece.AsSpan(_length));
            bytes.CopyTo(_piece.AsSpan(_length + headLength));
            _length += headLength + bytes.Length;
            if (kind is GrantRecordKind.Whole or GrantRecordKind.Part)
                Volatile.Write(ref _bytes, _bytes + bytes.Length);
            if (kind is GrantRecordKind.Whole or GrantRecordKind.Done)
                Volatile.Write(ref _files, _files + 1);
        }
    }

    /// <summary>What there is goes now.</summary>
    public void Flush()
    {
        lock (_turn)
            Send();
    }

    void Send()
    {
        if (_piece is not { } piece)
            return;
        piece[0] = (byte)PieceState.Here;
        _piece = null;
        queue.Put(piece, _length);
        _length = 0;
    }
}
