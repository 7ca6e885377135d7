namespace Holdfast.Core.Index;

/// <summary>Merges sorted runs into one ascending sequence, a few blocks of each in memory.</summary>
static class RunMerge
{
    /// <param name="runs">Each with the number that the merged run gives its packs; null for a pack that goes.</param>
    /// <returns>Each entry once.</returns>
    public static IEnumerable<IndexEntry> Entries(IEnumerable<(IndexRun Run, uint?[] Numbers)> runs)
    {
        Cursor[] heap = [.. runs.Select(r => new Cursor(r.Run, r.Numbers)).Where(c => c.MoveNext())];
        var count = heap.Length;
        for (var i = count / 2 - 1; i >= 0; i--)
            SiftDown(heap, count, i);
        var hasLast = false;
        IndexEntry last = default;
        while (count > 0)
        {
            var entry = heap[0].Current;
            if (!hasLast || entry != last)
                yield return entry;
            (hasLast, last) = (true, entry);
            if (!heap[0].MoveNext())
                heap[0] = heap[--count];
            SiftDown(heap, count, 0);
        }
    }

    static void SiftDown(Cursor[] heap, int count, int at)
    {
        if (at >= count)
            return;
        var moving = heap[at];
        for (int child; (child = 2 * at + 1) < count; at = child)
        {
            if (child + 1 < count && heap[child + 1].Current < heap[child].Current)
                child++;
            if (moving.Current <= heap[child].Current)
                break;
            heap[at] = heap[child];
        }
        heap[at] = moving;
    }

    /// <summary>Goes through one run, with its packs renumbered.</summary>
    sealed class Cursor(IndexRun run, uint?[] numbers)
    {
        readonly IndexRun.Reader _reader = run.Read();

        public IndexEntry Current { get; private set; }

        public bool MoveNext()
        {
            while (_reader.TryNext(out var entry))
            {
                if (numbers[entry.Pack] is not { } pack)
                    continue;
                Current = entry with { Pack = pack };
                return true;
            }
            return false;
        }
    }
}
