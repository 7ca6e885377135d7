namespace Holdfast.Storage.S3;

/// <summary>How patient an <see cref="S3Store"/> is, and what it sends in parts. What is set here is for tests and odd services; the rest fits all.</summary>
public sealed record S3Options
{
    /// <summary>How long a call is tried again while the service does not answer, refuses for the moment or gives less than it said. Each call is tried three times at least. 5 minutes.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a request may stand still, with no byte going either way, until it is given up and tried again. 1 minute: a storage daemon that hangs is found out within half a minute.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Before the first repetition, less up to a half by chance; twice as long before each further one. 200 ms.</summary>
    public TimeSpan FirstWait { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>No wait is longer. 10 seconds.</summary>
    public TimeSpan LongestWait { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Larger ones are sent in parts. 96 MiB: a pack, of 64 MiB, goes in one request, the only way in which Ceph locks it at birth.</summary>
    public long PartsAbove { get; init; } = 96 << 20;

    /// <summary>Bytes of a part; 5 MiB is the least that S3 takes. 32 MiB.</summary>
    public int PartSize { get; init; } = 32 << 20;
}
