using System.Globalization;

namespace Holdfast.Cli.Terminal;

/// <summary>One line that is written over while a command works; nothing where there is no terminal.</summary>
sealed class ProgressLine : IDisposable
{
    static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    readonly Timer? _timer;
    readonly Lock _lock = new();
    readonly Func<TimeSpan, string> _text;
    readonly long _since = TimeProvider.System.GetTimestamp();
    bool _done;

    public ProgressLine(Session session, Func<TimeSpan, string> text)
    {
        _text = text;
        if (!session.IsQuiet && !Console.IsErrorRedirected)
            _timer = new Timer(_ => Show(), null, Interval, Interval);
    }

    public TimeSpan Elapsed => TimeProvider.System.GetElapsedTime(_since);

    void Show()
    {
        lock (_lock)
        {
            if (_done)
                return;
            var text = _text(Elapsed);
            var width = Math.Max(20, Console.WindowWidth - 1);
            Console.Error.Write($"\r{(text.Length > width ? text[..width] : text)}\x1b[K");
        }
    }

    /// <summary>"1.2 GiB of 4.5 GiB (27 %), 310 MiB/s, 11 s left".</summary>
    public static string Rate(long done, long all, TimeSpan elapsed)
    {
        var rate = done / Math.Max(elapsed.TotalSeconds, 0.001);
        if (all <= 0)
            return $"{Text.Bytes(done)}, {Text.Bytes(rate)}/s";
        var left = rate > 0 ? TimeSpan.FromSeconds(Math.Max(0, all - done) / rate) : TimeSpan.Zero;
        return string.Create(CultureInfo.InvariantCulture, $"{Text.Bytes(done)} of {Text.Bytes(all)} ({Math.Min(100, 100.0 * done / all):0} %), {Text.Bytes(rate)}/s, {Text.Duration(left)} left");
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _done = true;
            if (_timer is not null)
                Console.Error.Write("\r\x1b[K");
        }
        _timer?.Dispose();
    }
}
