using System.Buffers;
using System.Net;
using Amazon.S3;
using Amazon.S3.Model;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>One version of a key, read in ranges. Who reads in order has some megabytes fetched at once: each request costs a way there and back.</summary>
sealed class S3Item(S3Wire wire, string bucket, string key, string version, long size) : IStoredItem
{
    const int Ahead = 4 << 20; // bytes
    const int LargestRange = 16 << 20; // bytes of one request
    const int Gap = 1 << 20; // bytes that may be passed over by who reads in order

    readonly Lock _lock = new();
    byte[]? _window;
    long _windowStart;
    int _windowCount;
    long _end = -1; // of the read before

    public long Size => size;

    public void Read(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > size - destination.Length)
            throw new HoldfastException(ErrorCode.Truncated, "A version in the object store is shorter than it should be.", "Run `holdfast verify` to see which, and how far the damage goes.");
        while (!destination.IsEmpty)
        {
            var taken = Take(offset, destination, out var fetch);
            if (taken == 0)
            {
                var bytes = ArrayPool<byte>.Shared.Rent(fetch);
                Fetch(offset, bytes, fetch);
                taken = Math.Min(fetch, destination.Length);
                bytes.AsSpan(0, taken).CopyTo(destination);
                Keep(bytes, offset, fetch, isMore: fetch > taken);
            }
            offset += taken;
            destination = destination[taken..];
        }
    }

    /// <param name="offset">In bytes.</param>
    /// <param name="into">What is at hand is copied there.</param>
    /// <param name="fetch">Bytes to fetch where nothing is.</param>
    int Take(long offset, Span<byte> into, out int fetch)
    {
        lock (_lock)
        {
            var inOrder = _end >= 0 && offset >= _end && offset - _end <= Gap;
            _end = offset + into.Length;
            fetch = (int)Math.Min(size - offset, Math.Min(inOrder ? Math.Max(into.Length, Ahead) : into.Length, LargestRange));
            if (_window is null || offset < _windowStart || offset >= _windowStart + _windowCount)
                return 0;
            var from = (int)(offset - _windowStart);
            var count = Math.Min(into.Length, _windowCount - from);
            _window.AsSpan(from, count).CopyTo(into);
            return count;
        }
    }

    void Keep(byte[] bytes, long offset, int count, bool isMore)
    {
        byte[]? old = bytes;
        if (isMore)
        {
            lock (_lock)
                (old, _window, _windowStart, _windowCount) = (_window, bytes, offset, count);
        }
        if (old is not null)
            ArrayPool<byte>.Shared.Return(old);
    }

    void Fetch(long offset, byte[] into, int count)
    {
        var have = 0; // what arrived before an answer was cut short is not asked for again
        wire.Call(async attempt =>
        {
            GetObjectResponse answer;
            try
            {
                answer = await wire.Client.GetObjectAsync(new GetObjectRequest { BucketName = bucket, Key = key, VersionId = version, ByteRange = new ByteRange(offset + have, offset + count - 1) }, attempt.Token).ConfigureAwait(false);
            }
            catch (AmazonS3Exception e) when (S3Fault.IsMissing(e) || e.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
            {
                throw new HoldfastException(ErrorCode.StoreUnavailable, "A version that was in the object store when it was opened is not there any more, or not as it was.",
                    "Only whoever administers the object store itself can have removed it: find out who did. Run `holdfast verify` to see how far it goes.", e);
            }
            using (answer)
            {
                // What lies in between may know nothing of ranges, or answer from another version.
                if (answer.HttpStatusCode != HttpStatusCode.PartialContent || answer.ContentRange != $"bytes {offset + have}-{offset + count - 1}/{size}")
                    throw new IOException("another range came than was asked for");
                while (have < count)
                {
                    var read = await answer.ResponseStream.ReadAsync(into.AsMemory(have, count - have), attempt.Token).ConfigureAwait(false);
                    if (read == 0)
                        throw new IOException("an answer was shorter than it said");
                    attempt.Moved();
                    have += read;
                }
                return true;
            }
        }, count);
    }

    public void Forget()
    {
        byte[]? old;
        lock (_lock)
            (old, _window, _windowCount) = (_window, null, 0);
        if (old is not null)
            ArrayPool<byte>.Shared.Return(old);
    }

    public void Dispose() => Forget();
}
