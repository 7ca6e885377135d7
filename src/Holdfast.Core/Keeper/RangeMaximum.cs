namespace Holdfast.Core.Keeper;

/// <summary>Numbers that only grow, and the largest of any that follow each other: log n steps for each change and each question.</summary>
sealed class RangeMaximum
{
    ulong[] _tree = new ulong[2]; // a tree in a heap's order: node k is above 2k and 2k + 1, and the second half holds the numbers

    /// <summary>Raises a number; those that were never raised are 0.</summary>
    public void Raise(int index, ulong value)
    {
        while (index >= _tree.Length / 2)
            Grow();
        for (var at = index + _tree.Length / 2; at > 0; at /= 2)
            _tree[at] = Math.Max(_tree[at], value);
    }

    void Grow()
    {
        var (half, tree) = (_tree.Length / 2, new ulong[2 * _tree.Length]);
        // Each level becomes the left half of the one below where it was; the root stays the largest of all.
        for (var level = 1; level <= half; level *= 2)
            Array.Copy(_tree, level, tree, 2 * level, level);
        tree[1] = _tree[1];
        _tree = tree;
    }

    /// <summary>The largest from one index up to another, which is not among them.</summary>
    public ulong Max(int from, int end)
    {
        var largest = 0ul;
        for (var (low, high) = (from + _tree.Length / 2, end + _tree.Length / 2); low < high; (low, high) = (low / 2, high / 2))
        {
            if (low % 2 == 1)
                largest = Math.Max(largest, _tree[low++]);
            if (high % 2 == 1)
                largest = Math.Max(largest, _tree[--high]);
        }
        return largest;
    }
}
