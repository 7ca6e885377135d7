using System.Diagnostics.CodeAnalysis;
using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Keeper;

/// <summary>A client of a keeper that is a process of its own.</summary>
/// <param name="Name">For people: letters, digits, dots, hyphens, underscores.</param>
/// <param name="Role">What it may ask.</param>
/// <param name="Fingerprint">SHA-256 of its certificate, lower-case hexadecimal.</param>
/// <param name="Uncommitted">Bytes of packs that it may have stored and that no commit names; null for half of the room there is.</param>
public sealed record KeeperClient(string Name, KeeperRole Role, string Fingerprint, ulong? Uncommitted = null)
{
    /// <summary>What the log calls it: the first 16 bytes of its fingerprint.</summary>
    public Id16 Identity => Hash32.TryParse(Fingerprint, out var hash) ? new Id16(hash.ToArray().AsSpan(0, Id16.Size)) : Id16.None;
}

/// <summary>Who may reach a keeper: the file <c>keeper/clients</c>, a line each, `NAME ROLE sha256:FINGERPRINT`, and the bytes it may store without committing where that is set (docs/protocol.md). Read again for each request: a line taken away shuts that client out at once.</summary>
public static class KeeperClients
{
    const int MaxSize = 1 << 20; // bytes
    const int MaxName = 64; // characters
    const string FileName = "clients";
    const string Kind = "sha256:";

    static string At(string vault) => Path.Combine(vault, "keeper", FileName);

    /// <summary>A fingerprint as it is typed and printed.</summary>
    public static string Written(string fingerprint) => Kind + fingerprint;

    /// <summary>The same read.</summary>
    public static bool TryFingerprint(string text, [NotNullWhen(true)] out string? fingerprint)
    {
        fingerprint = text.StartsWith(Kind, StringComparison.OrdinalIgnoreCase) ? text[Kind.Length..].ToLowerInvariant() : null;
        return fingerprint is not null && Hash32.TryParse(fingerprint, out _);
    }

    public static bool IsName(string name) => name.Length is > 0 and <= MaxName && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');

    /// <summary>All of them; none where there is no such file.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>: a line makes no sense, and then nobody is let in. <c>NoPermission</c>, <c>StoreUnavailable</c>.</exception>
    public static IReadOnlyList<KeeperClient> Read(string vault)
    {
        byte[]? bytes;
        try
        {
            bytes = PlainFile.ReadAll(At(vault), MaxSize);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskFault.Of(e);
        }
        var clients = new List<KeeperClient>();
        foreach (var line in Encoding.UTF8.GetString(bytes ?? throw Bad(0)).Split('\n').Index())
        {
            if (line.Item.Length == 0)
                continue;
            if (line.Item.Split(' ') is not [var name, var role, var written, .. { Length: <= 1 } more] || !IsName(name) || !TryRole(role, out var known) || !TryFingerprint(written, out var fingerprint) || !TryLimit(more, out var limit))
                throw Bad(line.Index + 1);
            clients.Add(new KeeperClient(name, known, fingerprint, limit));
        }
        return clients;
    }

    static bool TryLimit(string[] given, out ulong? limit)
    {
        limit = given is [var text] && ulong.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var bytes) ? bytes : null;
        return given.Length == 0 || limit is not null;
    }

    static HoldfastException Bad(int line) => new(ErrorCode.KeyFileBad, $"The list of the keeper's clients (keeper/clients) makes no sense{(line > 0 ? $" in line {line}" : "")}: nobody is let in.",
        "Each line is a name, a role (backup, read, attest or manage) and a fingerprint (sha256:HEX), with one blank between, then a number of bytes or nothing. Mend it by hand; `holdfast keeper allow` writes such lines.");

    public static bool TryRole(string text, out KeeperRole role)
    {
        role = text switch { "backup" => KeeperRole.Backup, "read" => KeeperRole.Read, "manage" => KeeperRole.Manage, "attest" => KeeperRole.Attest, _ => 0 };
        return role != 0;
    }

    /// <summary>Lets a client in; one of that name that was known before is replaced.</summary>
    public static void Allow(string vault, KeeperClient client, Disk disk) => Write(vault, [.. Read(vault).Where(c => c.Name != client.Name), client], disk);

    /// <summary>Shuts a client out.</summary>
    /// <returns>False where there is none of that name.</returns>
    public static bool Deny(string vault, string name, Disk disk)
    {
        var known = Read(vault);
        var left = known.Where(c => c.Name != name).ToList();
        if (left.Count == known.Count)
            return false;
        Write(vault, left, disk);
        return true;
    }

    static void Write(string vault, IEnumerable<KeeperClient> clients, Disk disk) =>
        disk.Replace(At(vault), Encoding.UTF8.GetBytes(string.Concat(clients.Select(c => $"{c.Name} {c.Role.ToString().ToLowerInvariant()} {Kind}{c.Fingerprint}{(c.Uncommitted is { } bytes ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $" {bytes}") : "")}\n"))));
}
