using System.Collections.Concurrent;
using System.Security.Cryptography;
using Holdfast.Core;
using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>A folder into which this user can write nothing, or that cannot be made: what lies in it is counted, not told one by one.</summary>
sealed class ShutFolder(byte[]? path, int error, bool isThere)
{
    /// <summary>Null where there are so many of them that it is counted only.</summary>
    public byte[]? Path => path;
    public int Error => error;

    /// <summary>False where there is no such folder: then nothing below it is there either.</summary>
    public bool IsThere => isThere;
    public long Entries;
}

/// <summary>What did not come back, and what the system refused of what did. Failures that concern the whole disk are thrown instead.</summary>
sealed class TargetReport(TargetFolders folders, TargetNotes notes)
{
    readonly ProblemList _problems = new();
    readonly ConcurrentDictionary<(string What, string Detail), long> _refusals = new();
    readonly Dictionary<(string What, string Detail), List<byte[]>> _inDoubt = [];
    readonly Dictionary<Hash32, ShutFolder> _shut = []; // by the digest of the path, which may be long

    public IReadOnlyCollection<TargetProblem> Problems
    {
        get
        {
            lock (_shut)
                return _problems.With([.. _shut.Values.Where(s => s.Entries > 0).Select(s => new TargetProblem(TargetFaults.FaultOf(s.Error), s.Path, TargetFaults.Describe(s.Error), s.Entries))]);
        }
    }

    public IReadOnlyCollection<AttributeRefusal> Refusals => [.. _refusals.OrderBy(r => r.Key).Select(r => new AttributeRefusal(r.Key.What, r.Key.Detail, r.Value) { Paths = _inDoubt.GetValueOrDefault(r.Key, []) })];

    public ShutFolder Shut(ReadOnlySpan<byte> path, int error, bool isThere)
    {
        if (error == Native.ERofs)
            folders.RequireWritable();
        var key = new Hash32(SHA256.HashData(path));
        lock (_shut)
            return _shut.TryGetValue(key, out var known) ? known : _shut[key] = new ShutFolder(_shut.Count < TargetProblem.Listed ? path.ToArray() : null, error, isThere);
    }

    /// <summary>An entry cannot be made: because of its folder, or for a reason of its own.</summary>
    public void Missed(Noted entry, ReadOnlySpan<byte> folder, int error)
    {
        if (TargetFaults.IsOfTheDisk(error))
            throw TargetFaults.Fault("An entry cannot be made", error);
        if (TargetFaults.IsOfTheFolder(error))
            Interlocked.Increment(ref Shut(folder, error, isThere: true).Entries);
        else
            Problem(entry, error);
    }

    /// <summary>Always false.</summary>
    public bool WriteFailed(Noted entry, int error)
    {
        if (TargetFaults.IsOfTheDisk(error))
            throw TargetFaults.Fault("A file cannot be written", error);
        Problem(entry, error);
        return false;
    }

    public void Problem(Noted entry, int error) => Problem(entry, TargetFaults.FaultOf(error), Native.Describe(error));

    public void Problem(Noted entry, TargetFault fault, string detail) => _problems.Add(fault, notes.PathOf(entry), detail);

    public void Refusal(string what, int error)
    {
        if (TargetFaults.IsOfTheDisk(error))
            throw TargetFaults.Fault("Attributes cannot be written", error);
        Refusal(what, Native.Describe(error));
    }

    /// <summary>A folder is left as it was, as others may have put it there. At the end, from one thread.</summary>
    public void InDoubt(string what, Noted entry)
    {
        Refusal(what, AttributeRefusal.MayBeOthers);
        var paths = _inDoubt.TryGetValue((what, AttributeRefusal.MayBeOthers), out var known) ? known : _inDoubt[(what, AttributeRefusal.MayBeOthers)] = [];
        if (paths.Count < TargetProblem.Listed)
            paths.Add(notes.PathOf(entry).ToArray());
    }

    public void Refusal(string what, string detail) => _refusals.AddOrUpdate((what, detail), 1, (_, n) => n + 1);
}
