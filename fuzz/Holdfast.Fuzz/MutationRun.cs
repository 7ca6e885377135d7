namespace Holdfast.Fuzz;

/// <summary>Mutates what a parser accepts, and noise: flips, cuts, repeats, splices, and the numbers that break length checks.</summary>
public sealed class MutationRun
{
    static readonly byte[][] Edges =
    [
        [0], [0xFF], [0x7F], [0x80], [0xFF, 0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFF, 0x7F], [0, 0, 0, 0x80],
        [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], [0xFF, 0xFF, 0xFF, 0xFF, 0x07],
    ];

    readonly FuzzTarget _target;
    readonly Random _random;
    readonly List<byte[]> _corpus;

    public MutationRun(FuzzTarget target, int seed)
    {
        _target = target;
        _random = new Random(seed);
        _corpus = [.. target.Seeds(), []];
    }

    /// <summary>Bytes the hungriest input made the parser allocate.</summary>
    public long Largest { get; private set; }
    public long Rounds { get; private set; }
    public long Accepted { get; private set; }

    /// <exception cref="FuzzException">An input broke the parser.</exception>
    public void For(int rounds)
    {
        for (var i = 0; i < rounds; i++)
            One();
    }

    void One()
    {
        var input = Mutate();
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            if (_target.Run(input))
            {
                Accepted++;
                if (_corpus.Count < 500)
                    _corpus.Add(input);
            }
        }
        catch (Exception e)
        {
            throw new FuzzException(_target.Name, input, e);
        }
        Rounds++;
        Largest = Math.Max(Largest, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    byte[] Mutate()
    {
        var bytes = _corpus[_random.Next(_corpus.Count)].ToList();
        if (_random.Next(20) == 0)
        {
            var noise = new byte[_random.Next(4_000)];
            _random.NextBytes(noise);
            return noise;
        }
        for (var n = _random.Next(1, 6); n > 0; n--)
        {
            var at = _random.Next(bytes.Count + 1);
            switch (_random.Next(6))
            {
                case 0 when at < bytes.Count:
                    bytes[at] ^= (byte)(1 << _random.Next(8));
                    break;
                case 1 when at < bytes.Count:
                    bytes[at] = (byte)_random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, Math.Min(_random.Next(1, 64), bytes.Count - at));
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, Math.Min(_random.Next(1, 64), bytes.Count - at)));
                    break;
                case 4:
                    var edge = Edges[_random.Next(Edges.Length)];
                    bytes.RemoveRange(at, Math.Min(edge.Length, bytes.Count - at));
                    bytes.InsertRange(at, edge);
                    break;
                default:
                    var other = _corpus[_random.Next(_corpus.Count)];
                    bytes.InsertRange(at, other.Take(_random.Next(other.Length + 1)));
                    break;
            }
        }
        return [.. bytes.Take(1 << 20)];
    }
}

/// <summary>An input that broke a parser.</summary>
public sealed class FuzzException(string target, byte[] input, Exception inner)
    : Exception($"{target}: {inner.GetType().Name}: {inner.Message}\ninput (base64): {Convert.ToBase64String(input.AsSpan(0, Math.Min(input.Length, 4_096)))}", inner);
