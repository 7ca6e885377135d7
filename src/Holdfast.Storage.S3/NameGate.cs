using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Storage.S3;

/// <summary>Lets one thread at a time enter a name; those of other names go on.</summary>
sealed class NameGate
{
    readonly HashSet<(StoreKind, Hash32)> _held = [];

    public Turn Hold((StoreKind, Hash32) name)
    {
        lock (_held)
        {
            while (!_held.Add(name))
                Monitor.Wait(_held);
        }
        return new Turn(this, name);
    }

    public readonly struct Turn(NameGate gate, (StoreKind, Hash32) name) : IDisposable
    {
        public void Dispose()
        {
            lock (gate._held)
            {
                gate._held.Remove(name);
                Monitor.PulseAll(gate._held);
            }
        }
    }
}
