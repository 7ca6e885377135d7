using System.Runtime.ExceptionServices;

namespace Holdfast.Core;

/// <summary>Threads that do one thing together.</summary>
static class Workers
{
    /// <summary>Starts them all and waits for all. Where the system has none left, those that did start are told to end, and waited for.</summary>
    /// <param name="count">How many, 1 or more.</param>
    /// <param name="name">For who looks at the process.</param>
    /// <param name="work">What each does.</param>
    /// <param name="stop">Has them end soon.</param>
    public static void Run(int count, string name, Action work, Action<Exception> stop)
    {
        var threads = Enumerable.Range(0, count).Select(_ => new Thread(() => work()) { IsBackground = true, Name = name }).ToList();
        var started = 0;
        try
        {
            for (; started < count; started++)
                threads[started].Start();
        }
        catch (Exception e)
        {
            stop(e);
            throw;
        }
        finally
        {
            threads[..started].ForEach(t => t.Join());
        }
    }

    /// <summary>Does the same for each of a list, several at once; what is left is not begun after one has failed.</summary>
    /// <param name="atOnce">How many, 1 or more.</param>
    /// <param name="name">For who looks at the process.</param>
    /// <param name="all">What it is done for.</param>
    /// <param name="work">Safe for concurrent use. The first exception that one throws is thrown.</param>
    public static void Each<T>(int atOnce, string name, IReadOnlyList<T> all, Action<T> work)
    {
        var next = -1;
        ExceptionDispatchInfo? fault = null;
        if (Math.Min(atOnce, all.Count) <= 1)
        {
            foreach (var one in all)
                work(one);
            return;
        }
        Run(Math.Min(atOnce, all.Count), name, () =>
        {
            while (Volatile.Read(ref fault) is null && Interlocked.Increment(ref next) is var at && at < all.Count)
            {
                try
                {
                    work(all[at]);
                }
                catch (Exception e)
                {
                    Stop(e);
                }
            }
        }, Stop);
        fault?.Throw();

        void Stop(Exception e) => Interlocked.CompareExchange(ref fault, ExceptionDispatchInfo.Capture(e), null);
    }
}
