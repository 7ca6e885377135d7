using System.Security.Cryptography;

namespace Holdfast.Core.Keeper;

/// <summary>All lines, each before its branches, and these by where they leave it, each before its own. So the branches that leave a part of a line, with theirs, are a run of places.</summary>
/// <remarks>Places are counted from 0, and what comes between moves them on: log n steps for a new line and for each question (a treap; Seidel and Aragon, 1996).</remarks>
sealed class PackLineOrder
{
    PackLinePlace? _top;

    public int Count => PackLinePlace.CountOf(_top);

    public PackLine this[int place]
    {
        get
        {
            for (var at = _top!; ;)
            {
                var left = PackLinePlace.CountOf(at.Left);
                if (place == left)
                    return at.Line;
                (at, place) = place < left ? (at.Left!, place) : (at.Right!, place - left - 1);
            }
        }
    }

    /// <summary>Takes a line in, with the snapshot that it begins with.</summary>
    public void Add(PackLine line, PackLine? trunk)
    {
        var place = line.Place = new PackLinePlace(line);
        if (trunk?.BranchFrom(line.Leaves) is { Place: { } after })
            place.PutBefore(after);
        else if (trunk is not null)
            place.PutAfter(Last(trunk).Place!);
        else if (_top is not null)
            place.PutAfter(_top.Last);
        trunk?.Add(line);
        _top = place.Rise() ?? _top ?? place;
    }

    /// <summary>The largest end of a lock in the lines of a run of places.</summary>
    public ulong Expiry(int from, int end) => PackLinePlace.Expiry(_top, from, end);

    /// <summary>The first of a run of places whose line has not been given whole.</summary>
    public PackLine? NotGiven(int from, int end) => PackLinePlace.NotGiven(_top, from) is { } place && place.Number < end ? place.Line : null;

    /// <summary>The last of a line and its branches, and theirs.</summary>
    static PackLine Last(PackLine line)
    {
        while (line.LastBranch is { } branch)
            line = branch;
        return line;
    }

    /// <summary>The place of the first branch that leaves a line at a snapshot or after it; where there is none, the first behind it and all its branches.</summary>
    static int PlaceOfBranch(PackLine line, int at) => line.BranchFrom(at)?.Place!.Number ?? Last(line).Place!.Number + 1;

    /// <summary>Where the snapshots are whose sets have a pack.</summary>
    /// <param name="newest">Of its spans.</param>
    /// <param name="held">Gets it, in place of what it had.</param>
    public static void Find(PackSpan? newest, List<HeldBy> held)
    {
        held.Clear();
        List<(int From, int End)>? inherited = null; // places of branches that gave it up, each with all that leave it
        for (var span = newest; span is not null; span = span.Earlier)
        {
            if (span.IsInherited)
                (inherited ??= []).Add((span.Line.Place!.Number, PlaceOfBranch(span.Line, int.MaxValue)));
        }
        inherited?.Sort(static (l, r) => l.From.CompareTo(r.From));
        for (var span = newest; span is not null; span = span.Earlier)
        {
            held.Add(new HeldBy(span.Line, span.From, Math.Min(span.End, span.Line.Records.Count)));
            if (span.Line.BranchFrom(span.From) is not { Leaves: var leaves } || leaves >= span.End)
                continue;
            var end = PlaceOfBranch(span.Line, span.End);
            for (var place = PlaceOfBranch(span.Line, span.From); place < end;)
            {
                // A branch that gave the pack up says itself how long it had it, for its branches too.
                var cut = First(inherited, place);
                var until = Math.Min(cut?.From ?? end, end);
                if (place < until)
                    held.Add(new HeldBy(null, place, until));
                place = until < end ? cut!.Value.End : end;
            }
        }
    }

    /// <summary>The first of some runs of places that begins no earlier.</summary>
    static (int From, int End)? First(List<(int From, int End)>? runs, int place)
    {
        var (low, high) = (0, runs?.Count ?? 0);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = runs![middle].From < place ? (middle + 1, high) : (low, middle);
        }
        return low < (runs?.Count ?? 0) ? runs![low] : null;
    }
}

/// <summary>The place of a line among all: a node of a tree in their order, in which each has a random weight and none a heavier one below it. It knows a few things of all at and below it.</summary>
sealed class PackLinePlace(PackLine line)
{
    readonly int _weight = RandomNumberGenerator.GetInt32(int.MaxValue);
    PackLinePlace? _above;
    ulong _own = line.Expiries.Max(0, line.Records.Count); // the largest of its line
    ulong _expiry;
    bool _isGiven;
    bool _areGiven; // all of them
    int _count = 1;

    public PackLine Line => line;
    public PackLinePlace? Left { get; private set; }
    public PackLinePlace? Right { get; private set; }

    public PackLinePlace Last
    {
        get
        {
            var at = this;
            while (at.Right is { } right)
                at = right;
            return at;
        }
    }

    /// <summary>How many are before it.</summary>
    public int Number
    {
        get
        {
            var number = CountOf(Left);
            for (var at = this; at._above is { } above; at = above)
                number += at == above.Right ? CountOf(above.Left) + 1 : 0;
            return number;
        }
    }

    public static int CountOf(PackLinePlace? place) => place?._count ?? 0;

    public void PutBefore(PackLinePlace next)
    {
        if (next.Left?.Last is { } before)
            (before.Right, _above) = (this, before);
        else
            (next.Left, _above) = (this, next);
    }

    public void PutAfter(PackLinePlace before)
    {
        if (before.Right is null)
        {
            (before.Right, _above) = (this, before);
            return;
        }
        var at = before.Right;
        while (at.Left is { } left)
            at = left;
        (at.Left, _above) = (this, at);
    }

    /// <summary>Takes a new place, which is below all others, to where its weight belongs.</summary>
    /// <returns>The top, where that is not what it was.</returns>
    public PackLinePlace? Rise()
    {
        Sum();
        while (_above is { } above && above._weight < _weight)
        {
            var over = above._above;
            if (above.Left == this)
            {
                above.Left = Right;
                Right?._above = above;
                Right = above;
            }
            else
            {
                above.Right = Left;
                Left?._above = above;
                Left = above;
            }
            (above._above, _above) = (this, over);
            if (over?.Left == above)
                over.Left = this;
            else
                over?.Right = this;
            above.Sum();
            Sum();
        }
        for (var at = _above; at is not null; at = at._above)
            at.Sum();
        return _above is null ? this : null;
    }

    void Sum()
    {
        _count = 1 + CountOf(Left) + CountOf(Right);
        _expiry = Math.Max(_own, Math.Max(Left?._expiry ?? 0, Right?._expiry ?? 0));
        _areGiven = _isGiven && Left?._areGiven != false && Right?._areGiven != false;
    }

    public void Raise(ulong expiry)
    {
        _own = Math.Max(_own, expiry);
        for (var at = this; at is not null && at._expiry < expiry; at = at._above)
            at._expiry = expiry;
    }

    public void SetGiven(bool isGiven)
    {
        if (_isGiven == isGiven)
            return;
        _isGiven = isGiven;
        for (var at = this; at is not null; at = at._above)
            at.Sum();
    }

    /// <summary>The largest end of a lock from one place up to another, counted from the first at or below a node.</summary>
    public static ulong Expiry(PackLinePlace? top, int from, int end)
    {
        if (top is null || from >= top._count || end <= 0)
            return 0;
        if (from <= 0 && end >= top._count)
            return top._expiry;
        var left = CountOf(top.Left);
        return Math.Max(from <= left && left < end ? top._own : 0, Math.Max(Expiry(top.Left, from, end), Expiry(top.Right, from - left - 1, end - left - 1)));
    }

    /// <summary>The first that has not been given whole, from a place on, counted from the first at or below a node.</summary>
    public static PackLinePlace? NotGiven(PackLinePlace? top, int from)
    {
        if (top is null || top._areGiven || from >= top._count)
            return null;
        var left = CountOf(top.Left);
        return NotGiven(top.Left, from) ?? (from <= left && !top._isGiven ? top : NotGiven(top.Right, from - left - 1));
    }
}

/// <summary>Snapshots of a line, or, without one, all snapshots of the lines of a run of places.</summary>
readonly record struct HeldBy(PackLine? Line, int From, int End);
