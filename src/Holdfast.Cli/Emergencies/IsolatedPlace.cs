using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Emergencies;

/// <summary>A folder that an emergency restores into: open to nobody but its owner, and marked, so that whoever finds it later knows what it is. What was restored lies in <see cref="Content"/>.</summary>
/// <param name="Folder">Its path.</param>
/// <param name="Vault">Vault id.</param>
/// <param name="Snapshot">Which is restored.</param>
/// <param name="Emergency">Id.</param>
/// <param name="Place">Id of this place.</param>
/// <param name="Secret">Random: who knows it has this place.</param>
/// <param name="Approver">The approver who began it; none for anybody else.</param>
/// <param name="State">How far it is.</param>
/// <param name="Target">Where it goes, or went; null while it is isolated.</param>
sealed record IsolatedPlace(string Folder, Id16 Vault, Id16 Snapshot, Id16 Emergency, Id16 Place, Hash32 Secret, Id16 Approver, PlaceState State, string? Target)
{
    public const string Marker = "holdfast-isolated";
    const string Head = "holdfast isolated v1";
    const int MaxMarker = 16_384; // bytes
    const int WouldBlock = 11; // EWOULDBLOCK
    const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>What was restored. Its own permissions are the snapshot's; nobody gets to it but through the place.</summary>
    public string Content => Path.Combine(Folder, "content");

    /// <summary>What the log has of the secret from the beginning.</summary>
    public Hash32 Commitment => new(SHA256.HashData(Secret.ToArray()));

    static Hash32 NewSecret() => new(RandomNumberGenerator.GetBytes(Hash32.Size));

    /// <summary>The same folder as the place of another emergency.</summary>
    public IsolatedPlace Anew(Id16 approver) => this with { Emergency = Id16.New(), Place = Id16.New(), Secret = NewSecret(), Approver = approver };

    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(Head).Append($"\nvault {Vault}\nsnapshot {Snapshot}\nemergency {Emergency}\nplace {Place}\nsecret {Secret}\napprover {Approver}\nstate {State.ToString().ToLowerInvariant()}\n");
        if (Target is not null)
            text.Append("target ").Append(Convert.ToBase64String(Encoding.UTF8.GetBytes(Target))).Append('\n');
        return text.ToString();
    }

    /// <summary>Total.</summary>
    public static bool TryParse(string folder, string text, [NotNullWhen(true)] out IsolatedPlace? place)
    {
        place = null;
        var lines = text.Split('\n');
        if (text.Length > MaxMarker || lines.Length is < 9 or > 10 || lines[0] != Head || lines[^1].Length > 0 || !TryId(lines[1], "vault ", out var vault) || !TryId(lines[2], "snapshot ", out var snapshot)
            || !TryId(lines[3], "emergency ", out var emergency) || !TryId(lines[4], "place ", out var id) || !lines[5].StartsWith("secret ", StringComparison.Ordinal) || !Hash32.TryParse(lines[5].AsSpan("secret ".Length), out var secret)
            || !TryId(lines[6], "approver ", out var approver)
            || !lines[7].StartsWith("state ", StringComparison.Ordinal) || !Enum.TryParse<PlaceState>(lines[7].AsSpan("state ".Length), ignoreCase: true, out var state) || !Enum.IsDefined(state))
            return false;
        string? target = null;
        if (lines.Length == 10)
        {
            var bytes = new byte[lines[8].Length];
            if (!lines[8].StartsWith("target ", StringComparison.Ordinal) || !Convert.TryFromBase64String(lines[8]["target ".Length..], bytes, out var length))
                return false;
            target = Encoding.UTF8.GetString(bytes, 0, length);
        }
        var parsed = new IsolatedPlace(folder, vault, snapshot, emergency, id, secret, approver, state, target);
        if (target is null != state is PlaceState.Restoring or PlaceState.Isolated || parsed.ToString() != text)
            return false;
        place = parsed;
        return true;
    }

    static bool TryId(string line, string word, out Id16 id)
    {
        id = default;
        return line.StartsWith(word, StringComparison.Ordinal) && Id16.TryParse(line.AsSpan(word.Length), out id);
    }

    /// <summary>Null where the folder is none.</summary>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>: it is marked as one, and by what nobody can tell.</exception>
    public static IsolatedPlace? Read(string folder)
    {
        var path = Path.Combine(folder, Marker);
        if (!File.Exists(path))
            return null;
        var text = DiskFaults(() => KeptFile.ReadAll(path, MaxMarker));
        return text is not null && TryParse(folder, Encoding.UTF8.GetString(text), out var place) ? place
            : throw new HoldfastException(ErrorCode.TargetUnsafe, "The folder is marked as an isolated place, and the mark makes no sense. Nothing was changed.", "Treat what lies there as isolated: it was restored in an emergency. `holdfast emergency list` shows those that are open.");
    }

    static byte[]? DiskFaults(Func<byte[]?> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
    }

    /// <summary>Durable when it returns.</summary>
    public IsolatedPlace Write()
    {
        Disk.Real.Replace(Path.Combine(Folder, Marker), Encoding.UTF8.GetBytes(ToString()));
        return this;
    }

    /// <summary>Makes a new place, shut for everybody else from its first moment.</summary>
    /// <exception cref="HoldfastException"><c>TargetUnsafe</c>: others could reach it there; <c>TargetNotEmpty</c>.</exception>
    public static IsolatedPlace Make(string folder, Id16 vault, Id16 snapshot, Id16 approver)
    {
        RequireShut(folder, SharedFolders.Here);
        Leftovers.Sweep(Disk.Real, folder, $"{Marker}.*.new"); // of a mark that a kill left unwritten
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any(e => !IsUnwritten(e)))
            throw new HoldfastException(ErrorCode.TargetNotEmpty, "The folder for the isolated place is not empty.", "Name one that is empty, or not there yet. To go on with an emergency restore that was interrupted, add --resume.");
        Disk.Real.MakeDurable(folder, ownerOnly: true);
        RequireShut(folder, SharedFolders.Here); // as it was made
        return New(folder, vault, snapshot, approver).Write();
    }

    /// <summary>Of a new emergency; nothing of it is written.</summary>
    public static IsolatedPlace New(string folder, Id16 vault, Id16 snapshot, Id16 approver) => new(folder, vault, snapshot, Id16.New(), Id16.New(), NewSecret(), approver, PlaceState.Restoring, null);

    static bool IsUnwritten(string path) => Path.GetFileName(path) is var name && name.StartsWith(Marker + ".", StringComparison.Ordinal) && name.EndsWith(".new", StringComparison.Ordinal);

    /// <summary>What lies in a folder is isolated there. A file of the mark's name that a restore brought elsewhere makes no place of a folder: one is shut, and has its content beside the mark.</summary>
    public static bool IsAt(string folder) => File.Exists(Path.Combine(folder, Marker)) && Directory.Exists(Path.Combine(folder, "content")) && (OperatingSystem.IsWindows() || (File.GetUnixFileMode(folder) & Others) == 0);

    /// <summary>Refuses a place that anybody else on this machine, or on another, could look into or exchange.</summary>
    /// <param name="folder">It need not be there.</param>
    /// <param name="shared">Folders that others reach over the network, and why.</param>
    public static void RequireShut(string folder, SharedFolders shared)
    {
        if (OperatingSystem.IsWindows())
            throw Unsafe("who may look into a folder is not checked on this system", "Restore in an emergency on Linux.");
        if (shared.Reaching(FolderPath.Real(folder)) is { } reached)
            throw Unsafe(reached, "Name a folder on a disk of this machine that is not shared.");
        if (FolderOwner.IsAnothers(folder))
            throw Unsafe("it is another user's, or lies in a folder of another user's", "Name a folder of this user's, such as one in /root or on a disk of its own.");
        if (Directory.Exists(folder) && (File.GetUnixFileMode(folder) & Others) != 0)
            throw Unsafe("others may look into it", "Shut it (chmod 700), or name one that is not there yet.");
        if (FolderOwner.ExchangedByOthers(folder) is { } above)
            throw Unsafe($"others may put another folder in its place, as {above} is theirs, or they may write to it", "Name a folder in one that only this user and root may write to.");
    }

    static HoldfastException Unsafe(string why, string mend) => new(ErrorCode.TargetUnsafe, $"That is no isolated place: {why}. Nothing was restored.", mend);

    /// <summary>Keeps a restore into a place and its release apart: what comes after an approval is not brought out by it. Ends with the process, however that does.</summary>
    /// <param name="folder">It need not be one.</param>
    /// <param name="warn">Told why it cannot be held: care goes on without.</param>
    /// <returns>Null where the folder is no place, or cannot be held.</returns>
    /// <exception cref="HoldfastException"><c>VaultBusy</c>: another process has it.</exception>
    public static IDisposable? Hold(string folder, Action<string> warn)
    {
        if (!File.Exists(Path.Combine(folder, Marker)))
            return null;
        try
        {
            return new FileStream(Path.Combine(folder, Marker + ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None); // flock(2)
        }
        catch (IOException e) when (e.HResult == WouldBlock)
        {
            throw new HoldfastException(ErrorCode.VaultBusy, "Another process restores into that isolated place, or releases it. Nothing was changed.", "Run this again when it has ended.", e) { IsTransient = true };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            warn($"holdfast: nothing keeps a second process out of that isolated place meanwhile: {DiskFault.Of(e).Message} See that nobody else restores into it, or releases it, now");
            return null;
        }
    }

    /// <summary>It may go, the log says so, and it has not: where its target cannot take it, another may.</summary>
    public bool HasNotMoved => State == PlaceState.Releasing && Directory.Exists(Content);

    /// <summary>Moves what was restored to where it is used, in one step: killed at any point it is in the one place or in the other, and the mark says in which.</summary>
    /// <exception cref="HoldfastException"><c>TargetNotEmpty</c>: something is there.</exception>
    public IsolatedPlace MoveTo(string target, Disk? disk = null)
    {
        if (State == PlaceState.Released)
            return this;
        var isMoved = State == PlaceState.Releasing && !Directory.Exists(Content) && Directory.Exists(target); // an earlier run came so far
        if (!isMoved && !Directory.Exists(Content))
            throw new HoldfastException(ErrorCode.TargetMissing, "What was restored is not in the isolated place any more, nor where it was to go.", "Somebody took it away: find out who. `holdfast emergency list` shows what the log has.");
        var moving = (this with { State = PlaceState.Releasing, Target = target }).Write();
        if (!isMoved && !Renamed(disk ?? Disk.Real, target))
            throw new HoldfastException(ErrorCode.TargetNotEmpty, "Something stands where it would be released to. It stays isolated.", "Move that away, or name another path; then run this again.");
        Disk.Real.SyncFolder(Path.GetDirectoryName(target)!);
        Disk.Real.SyncFolder(Folder);
        return (moving with { State = PlaceState.Released }).Write();
    }

    bool Renamed(Disk disk, string target)
    {
        try
        {
            return disk.Rename(Content, target, replace: false);
        }
        catch (HoldfastException e)
        {
            throw new HoldfastException(e.Code, $"{e.Message} What was restored is in the isolated place still.", $"{e.Guidance} Then run this again, with this path or with another on the disk of {Folder}, best beside it.", e);
        }
    }
}

/// <summary>How far an isolated place is.</summary>
enum PlaceState
{
    /// <summary>The restore into it has not ended.</summary>
    Restoring,

    /// <summary>It has, and nobody has let it out.</summary>
    Isolated,

    /// <summary>It may go, and is about to.</summary>
    Releasing,

    /// <summary>It went.</summary>
    Released,
}
