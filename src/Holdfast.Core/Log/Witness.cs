using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core.Crypto;
using Holdfast.Core.Storage;
using Microsoft.Win32.SafeHandles;

namespace Holdfast.Core.Log;

/// <summary>What a witness answers, for HTTP to carry.</summary>
/// <param name="Status">Of HTTP.</param>
/// <param name="Body">Text.</param>
/// <param name="ContentType">Its type.</param>
public sealed record WitnessAnswer(int Status, string Body, string ContentType = WitnessAnswer.Text)
{
    public const string Text = "text/plain; charset=utf-8";
    public const string TreeSize = "text/x.tlog.size";

    /// <summary>Set where the log's own signature shows that the log has two histories: the log, by the first letters of SHA-256 of its origin, and the size that it has both for.</summary>
    public (string Log, long Size)? Fork { get; init; }
}

/// <summary>Cosigns checkpoints of the logs it follows (C2SP tlog-witness): each goes on from the one before, so that whoever believes this witness believes in one history. Knows nothing of what a
/// log records.</summary>
/// <remarks>Of each log it keeps the checkpoint that it cosigned last, with the log's signature and its own: durable before the cosignature leaves this class, whatever happens then. So of two roots
/// for one size it gives away one cosignature at the most. Safe for concurrent use; one process has a witness's folder at a time.</remarks>
public sealed class Witness : IDisposable
{
    const int MaxState = Checkpoint.MaxLength; // bytes: the log's signature and our own
    const string Nothing = "none\n"; // a log that was added and never cosigned: without its file nothing is signed

    readonly string _folder;
    readonly Ed25519Signer _signer;
    readonly Disk _disk;
    readonly TimeProvider _time;
    readonly SafeFileHandle _alone;
    readonly Lock _gate = new();
    Dictionary<string, FollowedLog> _logs;
    (DateTime, long) _list; // its stamp when it was read
    bool _isDurable; // all that stands in state/; whoever ran before may have died between a name and its sync

    Witness(string folder, string name, Ed25519Signer signer, Disk disk, TimeProvider time)
    {
        (_folder, _signer, _disk, _time) = (folder, signer, disk, time);
        Key = new CosignerKey(name, signer.PublicKey.ToArray());
        _alone = Take(folder);
        try
        {
            _list = FollowedLogs.Stamp(folder);
            _logs = FollowedLogs.Read(folder);
        }
        catch
        {
            _alone.Dispose();
            throw;
        }
    }

    public CosignerKey Key { get; }

    /// <summary>Logs that it follows.</summary>
    public int Logs => _logs.Count;

    /// <summary>Takes the folder for this process.</summary>
    /// <param name="folder">The witness's.</param>
    /// <param name="name">Of its key.</param>
    /// <param name="signer">Its key; disposed of with this.</param>
    /// <param name="disk">Where changes go.</param>
    /// <param name="time">Its clock.</param>
    /// <exception cref="HoldfastException"><c>VaultBusy</c>: another process has it.</exception>
    public static Witness Open(string folder, string name, Ed25519Signer signer, Disk disk, TimeProvider time) => new(folder, name, signer, disk, time);

    /// <summary>Has a witness follow a log from now on; one that runs takes it in.</summary>
    /// <returns>False where it did already.</returns>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>: it is followed, and what was cosigned last of it is gone.</exception>
    public static bool Follow(string folder, VerifierKey key, string origin, Disk disk)
    {
        var isFollowed = FollowedLogs.Read(folder).ContainsKey(origin);
        if (isFollowed && !File.Exists(StatePath(folder, origin)))
            throw Unknown(origin); // begun anew it would have a second root for a size
        disk.MakeDurable(Path.Combine(folder, "state"), ownerOnly: true);
        if (!isFollowed)
            disk.WriteNew(StatePath(folder, origin), Encoding.ASCII.GetBytes(Nothing)); // first: the list is what makes it count
        return FollowedLogs.Add(folder, key, origin, disk);
    }

    /// <summary>Answers add-checkpoint. Total on hostile bytes.</summary>
    /// <exception cref="HoldfastException">What the disk reports, or a state that cannot be read: nothing was cosigned.</exception>
    public WitnessAnswer AddCheckpoint(ReadOnlySpan<byte> body)
    {
        if (!Log.AddCheckpoint.TryParse(body, out var request))
            return new WitnessAnswer(400, "that is no request for add-checkpoint\n");
        var checkpoint = request.Checkpoint;
        if (Find(checkpoint.Origin) is not { } log)
            return new WitnessAnswer(404, "this witness does not follow that log\n");
        if (log.Keys.Any(checkpoint.HasBadSignatureOf) || !log.Keys.Any(checkpoint.HasSignatureOf))
            return new WitnessAnswer(403, "that is not signed by the log\n");
        if (request.Old > checkpoint.Size)
            return new WitnessAnswer(400, "the old size is beyond the checkpoint's\n");
        checkpoint = checkpoint.Reduced(log.Keys, []);
        lock (_gate)
        {
            RequireDurable();
            var last = ReadState(log);
            var size = last?.Size ?? 0;
            (string, long)? fork = null;
            if (last is not null && checkpoint.Size == size && checkpoint.Root != last.Root)
            {
                fork = (Short(log.Origin), size);
                KeepEvidence(checkpoint);
            }
            if (request.Old != size)
                return new WitnessAnswer(409, string.Create(CultureInfo.InvariantCulture, $"{size}\n"), WitnessAnswer.TreeSize) { Fork = fork };
            // Of no leaves there is one root, and before the first cosignature it is the one to go on from.
            if (!MerkleTree.VerifyConsistency(size, checkpoint.Size, request.Proof, last?.Root ?? LogHash.Empty, checkpoint.Root))
                return new WitnessAnswer(422, "the proof does not show that this goes on from what was cosigned last\n") { Fork = fork };
            // The clock may have been set back; what was said of a time stays the latest then.
            var time = Math.Max((ulong)Math.Max(1, _time.GetUtcNow().ToUnixTimeSeconds()), last?.CosignedAt(Key) ?? 0);
            var cosigned = checkpoint.Cosign(Key, _signer, time);
            var state = Encoding.UTF8.GetBytes(cosigned.Note);
            if (state.Length > MaxState || !IsState(cosigned.Note, log.Origin, out _))
                return new WitnessAnswer(400, "that note could not be read back\n"); // it would end the log here
            _isDurable = false;
            _disk.Replace(StatePath(_folder, log.Origin), state);
            _isDurable = true;
            return new WitnessAnswer(200, cosigned.CosignatureLines([Key]));
        }
    }

    /// <summary>Answers a monitor: the checkpoint of a log that was cosigned last.</summary>
    /// <param name="hash">SHA-256 of the log's origin, in lower-case hexadecimal.</param>
    public WitnessAnswer Latest(string hash)
    {
        if (!Hash32.TryParse(hash, out _) || Find(log => HashOf(log.Origin) == hash) is not { } log)
            return new WitnessAnswer(404, "this witness does not follow that log\n");
        lock (_gate)
        {
            RequireDurable();
            return ReadState(log) is { } last ? new WitnessAnswer(200, last.Note) : new WitnessAnswer(404, "nothing of that log was cosigned yet\n");
        }
    }

    /// <summary>SHA-256 of an origin, as it stands in a path.</summary>
    public static string HashOf(string origin) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(origin)));

    static string Short(string origin) => HashOf(origin)[..8];

    FollowedLog? Find(string origin) => Listed().GetValueOrDefault(origin);

    FollowedLog? Find(Func<FollowedLog, bool> which) => Listed().Values.FirstOrDefault(which);

    /// <summary>The logs as they are listed by now: a log or a key may have been added, or taken out. That costs each request a look at the list's stamp.</summary>
    Dictionary<string, FollowedLog> Listed()
    {
        lock (_gate)
        {
            if (FollowedLogs.Stamp(_folder) is var list && list != _list)
                (_logs, _list) = (FollowedLogs.Read(_folder), list);
            return _logs;
        }
    }

    /// <summary>A cosignature whose name is not durable yet must not leave: a power cut would take it back, and another root could be cosigned.</summary>
    /// <exception cref="HoldfastException">What the disk reports.</exception>
    void RequireDurable()
    {
        var folder = Path.Combine(_folder, "state");
        if (_isDurable || !Directory.Exists(folder))
            return;
        _disk.SyncFolder(folder);
        _isDurable = true;
    }

    /// <summary>What was cosigned last of a log; null where nothing was.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>: it is not known, and so nothing may be cosigned.</exception>
    Checkpoint? ReadState(FollowedLog log)
    {
        string text;
        try
        {
            text = new UTF8Encoding(false, true).GetString(PlainFile.ReadAll(StatePath(_folder, log.Origin), MaxState) ?? throw Unknown(log.Origin));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or DecoderFallbackException)
        {
            throw Unknown(log.Origin);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
        if (text == Nothing)
            return null;
        return IsState(text, log.Origin, out var last) ? last : throw Unknown(log.Origin);
    }

    bool IsState(string text, string origin, [NotNullWhen(true)] out Checkpoint? last) => Checkpoint.TryParse(text, out last) && last.Origin == origin && last.CosignedAt(Key) is not null;

    static HoldfastException Unknown(string origin) => new(ErrorCode.KeyFileBad, $"What was cosigned last of the log {Short(origin)} (state/{HashOf(origin)}) is missing or damaged: this witness cosigns nothing of it.",
        "Bring that file back only from a copy that is certainly the newest: with an older one this witness could cosign a second history, which is what it is there to prevent. Where there is none, the log needs another witness, with a key of its own.");

    /// <summary>A second root for one size, signed by the log: the first one of each log stays.</summary>
    void KeepEvidence(Checkpoint other)
    {
        try
        {
            _disk.WriteNew(StatePath(_folder, other.Origin) + ".fork", Encoding.UTF8.GetBytes(other.Note));
        }
        catch (HoldfastException)
        {
            // It is refused all the same; the disk's fault shows with the next cosignature.
        }
    }

    static string StatePath(string folder, string origin) => Path.Combine(folder, "state", HashOf(origin));

    static SafeFileHandle Take(string folder)
    {
        try
        {
            return PlainFile.Take(Path.Combine(folder, "lock"));
        }
        catch (IOException e) when (PlainFile.IsTaken(e))
        {
            throw new HoldfastException(ErrorCode.VaultBusy, "Another process runs this witness already.", "One process at a time has a witness's folder: end the other one first (`fuser` on the file `lock` says which).", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e, folder);
        }
    }

    public void Dispose()
    {
        _signer.Dispose();
        _alone.Dispose();
    }
}
