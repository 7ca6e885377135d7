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
}
