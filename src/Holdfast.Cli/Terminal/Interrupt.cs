using System.Runtime.InteropServices;

namespace Holdfast.Cli.Terminal;

/// <summary>Ctrl+C and SIGTERM end a command in order: what is stored stays, nothing half-done counts.</summary>
sealed class Interrupt : IDisposable
{
    readonly CancellationTokenSource _source = new();
    readonly List<PosixSignalRegistration> _signals = [];

    public static CancellationToken Token { get; private set; }

    public static Interrupt Listen()
    {
        var interrupt = new Interrupt();
        Token = interrupt._source.Token;
        foreach (var signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM })
        {
            interrupt._signals.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                interrupt._source.Cancel();
            }));
        }
        return interrupt;
    }

    public void Dispose()
    {
        foreach (var signal in _signals)
            signal.Dispose();
        _source.Dispose();
    }
}
