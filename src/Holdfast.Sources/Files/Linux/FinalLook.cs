using Holdfast.Core.Snapshots;

namespace Holdfast.Sources.Files.Linux;

/// <summary>Compares, name by name, what stands in the snapshot's folders with what the snapshot has in them. Before folders get their own permissions, which may keep this user out.</summary>
sealed unsafe class FinalLook(TargetFolders folders, TargetNotes notes, TargetReport report)
{
    readonly NameList _there = new();
    readonly List<Noted> _gone = [];

    /// <summary>What does not stand there any more.</summary>
    public IReadOnlyList<Noted> Gone => _gone;

    /// <summary>What is not there any more though it was made, is told, and marked so: where a file system takes two names for one, the second entry took the place of the first.</summary>
    /// <param name="made">Numbers of the folders, each after the one that it lies in.</param>
    /// <returns>How many names there are that the snapshot has not.</returns>
    public long Compare(IEnumerable<int> made)
    {
        var strangers = 0L;
        var names = notes.NamesByFolder();
        foreach (var entry in made.Select(number => notes[number]))
        {
            if (!Read(entry))
                continue;
            var known = names.In(entry).Count(IsThere);
            strangers += (entry.IsThere ? _there.Count : 0) - known; // what another folder holds was counted there
        }
        return Math.Max(0, strangers);
    }

    bool Read(Noted folder)
    {
        var dot = stackalloc byte[2] { (byte)'.', 0 };
        var handle = folders.TryOpen(notes.PathOf(folder));
        var list = handle < 0 ? -1 : Native.OpenAt(handle, dot, Native.ReadOnly | Native.Folder | Native.CloseOnExec, 0);
        if (list < 0)
            return false; // which is told when its attributes are set
        _there.Clear();
        var isRead = _there.Read(list);
        _ = Native.Close(list);
        _there.Sort();
        return isRead;
    }

    bool IsThere(int name)
    {
        if (_there.Contains(notes.NameOf(name)))
            return true;
        if (notes.NotedAt(name) is { IsThere: true } entry)
        {
            entry.IsThere = false;
            _gone.Add(entry);
            report.Problem(entry, TargetFault.InTheWay, "its folder has no such name any more: another entry of the snapshot took its place, as where upper and lower case are one, or somebody took it away");
        }
        return false;
    }
}
