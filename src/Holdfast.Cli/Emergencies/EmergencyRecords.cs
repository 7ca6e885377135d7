using Holdfast.Cli.Commands;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Emergencies;

/// <summary>Steps of emergencies on their way into the log. Where it cannot be written, care goes on: the record is kept on this machine, and each later command that finds the vault enters it.</summary>
static class EmergencyRecords
{
    const int MaxKept = 1_000;
    const int MaxRead = 10_000; // files
    const string Refused = "refused-";

    /// <summary>Where records of a vault are kept; null where this user has no place for it.</summary>
    static string? Folder(Id16 vault) => BackupCommand.StateFolder() is { } state && !FolderOwner.IsAnothers(state) ? Path.Combine(state, "emergencies", vault.ToString()) : null;

    static string Name(EmergencyObject step) => $"{step.Emergency}-{(int)step.Step}";

    /// <summary>Enters a step.</summary>
    /// <returns>False where it could not be, and is kept.</returns>
    public static bool Enter(Session session, Vault vault, EmergencyObject step)
    {
        EnterKept(session, vault); // what it builds on may be among them
        Keep(session, step); // durable before anything happens: whoever is killed after this has told of it
        try
        {
            RequireOpen(vault);
            vault.Keeper.Enter(step);
            Forget(step);
            return true;
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: the log could NOT be told of this emergency now: {e.Message} The record is kept on this machine, and entered by the next command here that may write to the vault. Tell the approvers yourself meanwhile");
            return false;
        }
    }

    static void RequireOpen(Vault vault)
    {
        if (vault.Keeper.Closed is { } closed)
            throw closed;
    }

    static void Keep(Session session, EmergencyObject step)
    {
        try
        {
            var folder = Folder(step.Vault) ?? throw new HoldfastException(ErrorCode.Usage, "This user has no folder for what is remembered.", "Name one in HOLDFAST_STATE_DIR.");
            Disk.Real.MakeDurable(folder, ownerOnly: true);
            Leftovers.Sweep(Disk.Real, folder, "*.new"); // of one that was killed before it did anything
            Disk.Real.Replace(Path.Combine(folder, Name(step)), step.ToArray());
        }
        catch (HoldfastException e)
        {
            session.Warn($"holdfast: the record of this emergency could not be kept on this machine: {e.Message} Write it down: emergency {step.Emergency}, snapshot {step.Snapshot}");
        }
    }

    /// <summary>What the log will never take is told once, and kept beside what is still to be entered.</summary>
    static void SetAside(Session session, EmergencyObject step, HoldfastException fault)
    {
        try
        {
            if (Folder(step.Vault) is not { } folder)
                return;
            Disk.Real.Replace(Path.Combine(folder, Refused + Name(step)), step.ToArray());
            Forget(step);
            session.Warn($"holdfast: the log does NOT take a step of emergency {Text.Id(step.Emergency)} ({step.Step.ToString().ToLowerInvariant()}, {Text.Time(step.At)}) that was made on this machine: {fault.Message} It is kept in {Path.Combine(folder, Refused + Name(step))}; tell the approvers");
        }
        catch (HoldfastException)
        {
            // The next command tries again.
        }
    }

    /// <summary>What was entered is kept as an empty file: nothing with a name is removed.</summary>
    static void Forget(EmergencyObject step)
    {
        if (Folder(step.Vault) is { } folder && File.Exists(Path.Combine(folder, Name(step))))
            Disk.Real.Replace(Path.Combine(folder, Name(step)), []);
    }

    /// <summary>Steps that this machine has and the log may not, in the order in which they happened.</summary>
    public static IReadOnlyList<EmergencyObject> Kept(Id16 vault)
    {
        try
        {
            return Folder(vault) is not { } folder || !Directory.Exists(folder) ? []
                : [.. Directory.EnumerateFiles(folder).Where(p => IsName(Path.GetFileName(p)) && HasBytes(p)).Take(MaxRead).Select(Read).OfType<EmergencyObject>().Where(s => s.Vault == vault).OrderBy(s => s.At).ThenBy(s => s.Step).Take(MaxKept)];
        }
        catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    static bool IsName(string name) => name.Length == 2 * Id16.Size + 2 && name[^2] == '-' && name[^1] is >= '1' and <= '4' && Id16.TryParse(name.AsSpan(0, 2 * Id16.Size), out _);

    static bool HasBytes(string path)
    {
        try
        {
            return new FileInfo(path).Length > 0; // else it was entered
        }
        catch (IOException)
        {
            return false;
        }
    }

    static EmergencyObject? Read(string path)
    {
        try
        {
            return KeptFile.ReadAll(path, EmergencyObject.MaxSize) is { } bytes && EmergencyObject.TryParse(bytes, out var step) && Name(step) == Path.GetFileName(path) ? step : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // another command has just replaced it
        }
    }

    /// <summary>The log will not take it later either. A later step of an emergency that it does not know may come from another user's restore, whose own record has yet to be entered.</summary>
    internal static bool IsFinal(Projection state, EmergencyObject step) => step.Step == EmergencyStep.Begun || state.Emergency(step.Emergency) is not null;

    /// <summary>Steps made on this machine that the log did not take.</summary>
    public static int CountRefused(Id16 vault)
    {
        try
        {
            return Folder(vault) is { } folder && Directory.Exists(folder) ? Directory.EnumerateFiles(folder, Refused + "*").Count(p => IsName(Path.GetFileName(p)[Refused.Length..])) : 0;
        }
        catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>Enters what is kept, where the vault may be written to. It hinders nothing.</summary>
    public static void EnterKept(Session session, Vault vault)
    {
        if (vault.Keeper.Closed is not null)
            return;
        var left = new HashSet<Id16>(); // emergencies of which an earlier step is not in the log yet
        foreach (var step in Kept(vault.Id))
        {
            try
            {
                vault.Keeper.Enter(step);
                Forget(step);
                session.Note($"holdfast: the log has now been told of emergency {Text.Id(step.Emergency)}, which could not be entered when it happened");
            }
            catch (HoldfastException e) when (e.Code == ErrorCode.CommitRefused && !left.Contains(step.Emergency) && IsFinal(vault.State, step))
            {
                SetAside(session, step, e);
            }
            catch (HoldfastException)
            {
                left.Add(step.Emergency); // the next command tries again; `status` and `emergency list` say that it is not in the log
            }
        }
    }
}
