using System.Globalization;
using Amazon.S3;
using Holdfast.Core;

namespace Holdfast.Storage.S3;

/// <summary>Moments as the service has them.</summary>
static class S3Time
{
    public static DateTime Of(ulong seconds) => DateTimeOffset.FromUnixTimeSeconds((long)seconds).UtcDateTime;

    /// <summary>Rounded down; 0 for none.</summary>
    public static ulong Seconds(DateTime? moment) => moment is { } known && known.ToUniversalTime() > DateTime.UnixEpoch ? (ulong)new DateTimeOffset(known.ToUniversalTime()).ToUnixTimeSeconds() : 0;

    public static string Words(ulong seconds) => seconds == 0 ? "no lock" : Of(seconds).ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    /// <summary>A lock that was asked for would have ended already.</summary>
    public static HoldfastException Past(AmazonS3Exception refused) => new(ErrorCode.ClockInDoubt,
        "The object store refuses a lock: by its own clock, what it was to be locked until is past, or the lock is none it takes.",
        "See which clock is right, this machine's, the vault's (`holdfast status`) or the object store's, and set the wrong one right. Nothing was stored without its lock.", refused);
}
