using System.Text;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>The witnesses of the log: who they are says the genesis, where they answer the file <c>keeper/witnesses</c>.</summary>
public sealed partial class VaultKeeper
{
    (IReadOnlyList<string> By, CosignedCheckpoints Are)? _cosigned;

    /// <summary>Keys of the witnesses, from the genesis, or those that approvers have put in their place.</summary>
    public IReadOnlyList<CosignerKey> Witnesses => _projection.WitnessKeys;

    /// <summary>What they have cosigned.</summary>
    public CosignedCheckpoints Cosigned
    {
        get
        {
            if (_cosigned is not { } known || !known.By.SequenceEqual(_projection.Witnesses)) // others may count by now
                _cosigned = known = ([.. _projection.Witnesses], new(Path.Combine(_folder, "log"), _disk, _log.Key, Witnesses));
            return known.Are;
        }
    }

    /// <summary>Where they answer, as far as this keeper was told.</summary>
    public IReadOnlyDictionary<string, Uri> WitnessPlaces => WitnessList.Read(_folder);

    /// <summary>A witness has cosigned what this log does not go on from: it was put back, or is another history. Null where none has.</summary>
    public HoldfastException? WitnessFault => Witnesses.Count > 0 && Cosigned.NotIn(_log).FirstOrDefault(Denies) is { } seen ? Forked(seen) : null;

    /// <summary>True where this log does not go on from what a witness cosigned. Another process may have committed, and had that cosigned, since the log was read here: so it is read again before
    /// anything is held against it. Of a log that is damaged, what is missing at its end says nothing.</summary>
    public bool Denies(Checkpoint seen)
    {
        if (CosignedCheckpoints.Extends(_log, seen))
            return false;
        if (LogFault is not null)
            return seen.Size <= _log.Size;
        try
        {
            Refresh();
        }
        catch (HoldfastException)
        {
            return true; // what lies there now cannot be read as this log, or is shorter
        }
        return !CosignedCheckpoints.Extends(_log, seen);
    }

    /// <summary>Makes the checkpoint that was read durable, whoever wrote it: one that a power cut could take back must not be cosigned, for the log that is left would be denied for good.</summary>
    /// <exception cref="HoldfastException">What the disk reports.</exception>
    public void MakeLogDurable() => _disk.SyncFolder(Path.Combine(_folder, "log"));

    HoldfastException Forked(Checkpoint seen) => new(ErrorCode.LogForked,
        seen.Size > _log.Size ? $"The log was put back: a witness has cosigned {seen.Size} leaves of it, and it has {_log.Size}. Nothing is written to it."
            : $"The log has two histories: a witness has cosigned another root for its first {seen.Size} leaves. Nothing is written to it.",
        "Treat it as an attack until shown otherwise: what the witness cosigned lies in log/cosigned.by, with the log's own signature. Reading and restoring go on. Did you yourself bring back an older copy of this vault? Then what came after it is not here; `holdfast log accept` goes on without it, and that witness cosigns this log no more (docs/errors.md, LogForked).");

    /// <summary>Refuses a log that witnesses have seen more of, or another history.</summary>
    /// <exception cref="HoldfastException"><c>LogForked</c>.</exception>
    void RequireWitnessed()
    {
        if (LogFault is null && WitnessFault is { } fault)
            throw fault;
    }
}

/// <summary>Where witnesses answer, <c>keeper/witnesses</c>: a line each of verifier key and URL, a blank between. Whom to believe is not said here, but in the genesis.</summary>
public static class WitnessList
{
    const int MaxSize = 1 << 20; // bytes
    const int MaxUrl = 2_048; // characters
    const string Name = "witnesses";

    /// <summary>By verifier key. A line that makes no sense is passed over: its witness counts as one whose place is not known.</summary>
    public static Dictionary<string, Uri> Read(string vault)
    {
        try
        {
            var bytes = PlainFile.ReadAll(Path.Combine(vault, "keeper", Name), MaxSize) ?? [];
            var places = new Dictionary<string, Uri>();
            foreach (var line in Encoding.UTF8.GetString(bytes).Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries))
            {
                if (line.Split(' ') is [var key, var url] && TryUrl(url, out var uri))
                    places[key] = uri;
            }
            return places;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The submission prefix of a witness, which is its monitoring prefix too.</summary>
    public static bool TryUrl(string text, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Uri? url) =>
        Uri.TryCreate(text.EndsWith('/') ? text : text + "/", UriKind.Absolute, out url) && (url.Scheme == Uri.UriSchemeHttp || url.Scheme == Uri.UriSchemeHttps)
        && text.Length <= MaxUrl && url.Query.Length == 0 && url.Fragment.Length == 0 && url.UserInfo.Length == 0;

    /// <summary>Adds those whose place is not known yet.</summary>
    public static void Add(string vault, IEnumerable<(CosignerKey Key, Uri Url)> places, Disk disk)
    {
        var known = Read(vault);
        foreach (var (key, url) in places)
            known.TryAdd(key.ToString(), url);
        disk.Replace(Path.Combine(vault, "keeper", Name), Encoding.UTF8.GetBytes(string.Concat(known.Select(p => $"{p.Key} {p.Value.AbsoluteUri}\n"))));
    }

    public static void Write(string vault, IEnumerable<(CosignerKey Key, Uri Url)> places, Disk disk) =>
        disk.Replace(Path.Combine(vault, "keeper", Name), Encoding.UTF8.GetBytes(string.Concat(places.Select(p => $"{p.Key} {p.Url.AbsoluteUri}\n"))));
}
