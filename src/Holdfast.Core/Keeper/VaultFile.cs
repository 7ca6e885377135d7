using System.Text;

namespace Holdfast.Core.Keeper;

/// <summary>The text file <c>vault</c> that says which vault a folder is (docs/format.md, section 3).</summary>
public sealed record VaultFile(Id16 Vault, string LogKey, Hash32 Genesis)
{
    public const string Name = "vault";
    const string FirstLine = "holdfast vault v1";
    const int MaxSize = 4_096; // bytes

    public byte[] ToArray() => Encoding.ASCII.GetBytes($"{FirstLine}\nid {Vault}\nlog {LogKey}\ngenesis {Genesis}\n");

    /// <exception cref="HoldfastException"><c>VaultMissing</c>, <c>FormatNewer</c>.</exception>
    public static VaultFile Read(string folder)
    {
        var path = Path.Combine(folder, Name);
        string text;
        try
        {
            text = Encoding.ASCII.GetString(Storage.PlainFile.ReadAll(path, MaxSize) ?? throw Missing(folder));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Directory.Exists(folder) ? Missing(folder)
                : File.Exists(folder) ? new HoldfastException(ErrorCode.VaultMissing, $"What was named as the vault is a file: {folder}.", "Name the vault's folder: the file `vault` lies in it.")
                : new HoldfastException(ErrorCode.VaultMissing, $"The folder that was named as the vault does not exist: {folder}.", "Check the path of --vault or HOLDFAST_VAULT, and that its disk is mounted.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Storage.DiskFault.Of(e);
        }
        var lines = text.Split('\n');
        if (lines[0] != FirstLine && lines[0].StartsWith("holdfast vault v", StringComparison.Ordinal))
            throw new HoldfastException(ErrorCode.FormatNewer, "This vault was made by a newer Holdfast.", "Use the newest release of holdfast with it; nothing was changed.");
        if (lines.Length != 5 || lines[0] != FirstLine || lines[4].Length > 0 || !lines[1].StartsWith("id ", StringComparison.Ordinal)
            || !lines[2].StartsWith("log ", StringComparison.Ordinal) || !lines[3].StartsWith("genesis ", StringComparison.Ordinal)
            || !Id16.TryParse(lines[1].AsSpan(3), out var id) || !Hash32.TryParse(lines[3].AsSpan(8), out var genesis))
            throw Missing(folder);
        return new VaultFile(id, lines[2][4..], genesis);
    }

    /// <summary>True where the folder is a vault, or one of the folders of one.</summary>
    public static bool IsOne(string folder)
    {
        try
        {
            return File.Exists(Path.Combine(folder, Name)) && Read(folder).Vault != Id16.None;
        }
        catch (HoldfastException e)
        {
            return e.Code == ErrorCode.FormatNewer;
        }
    }

    /// <summary>What to do where a line of the file is damaged.</summary>
    /// <param name="mend">Where there is no other copy of it: which line to mend, and to what.</param>
    internal static string PutBack(string mend) =>
        $"Put the file back: every copy of the vault, and every folder added with `store add`, has the same one. Without any, mend its {mend}.";

    internal const string LogKeyFault = "The file `vault` is damaged: its line `log` is no log key.";

    internal static string LogKeyAdvice => PutBack($"line `log` by hand: what follows that word is in put.key, and {ShowLogKey} shows it");

    const string ShowLogKey = "`tail -n +2 put.key | base64 -d | grep -aoE 'holdfast/[0-9a-f]{32}[+][0-9a-f]{8}[+][A-Za-z0-9+/]{44}'`";

    static HoldfastException Missing(string folder) => new(ErrorCode.VaultMissing,
        $"There is no vault in {folder}: its file `vault` is missing or says something else.",
        "Check the path (it is the folder that `holdfast init` made). Where only this one small file was lost: every copy of the vault, and every folder added with `store add`, has the same one. Without any, write it anew after the format.md next to it, section 3: "
        + $"what follows `log` is in put.key, and {ShowLogKey} shows it; `id` is what stands in that between / and the first +; `genesis` is the payload of leaf 0 of the log.");
}
