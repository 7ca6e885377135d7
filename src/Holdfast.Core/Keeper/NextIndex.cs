namespace Holdfast.Core.Keeper;

/// <summary>Indexes that are taken one by one, and the next from any on that is not: nearly no steps for each, however many were taken (union-find with path halving; Tarjan, 1975).</summary>
sealed class NextIndex
{
    readonly List<int> _next = [];

    public int From(int index)
    {
        while (index < _next.Count && _next[index] != index)
        {
            var next = _next[index];
            if (next < _next.Count)
                next = _next[index] = _next[next];
            index = next;
        }
        return index;
    }

    public void Take(int index)
    {
        while (_next.Count <= index)
            _next.Add(_next.Count);
        _next[index] = index + 1;
    }
}
