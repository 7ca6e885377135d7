using System.Runtime.InteropServices;

namespace Holdfast.Cli.Terminal;

/// <summary>Ctrl+C, SIGTERM and a terminal that closes end a command in order: what is stored stays, nothing half-done counts. A file that grows beyond `ulimit -f` is for who writes it to tell.</summary>
sealed class Interrupt : IDisposable
{
    const PosixSignal FileTooLarge = (PosixSignal)25; // SIGXFSZ: would end the program; handled, not ignored, so that a command whose output is backed up does not inherit it

    readonly CancellationTokenSource _source = new();
    readonly List<PosixSignalRegistration> _signals = [];

    public static CancellationToken Token { get; private set; }

    public static Interrupt Listen()
    {
        var interrupt = new Interrupt();
        Token = interrupt._source.Token;
        foreach (var signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP })
        {
            interrupt._signals.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                interrupt._source.Cancel();
            }));
        }
        if (OperatingSystem.IsLinux())
            interrupt._signals.Add(PosixSignalRegistration.Create(FileTooLarge, context => context.Cancel = true));
        return interrupt;
    }

    public void Dispose()
    {
        foreach (var signal in _signals)
            signal.Dispose();
        _source.Dispose();
    }
}
