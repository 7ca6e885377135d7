using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;

namespace Holdfast.Cli.Commands;

/// <summary>A snapshot named on the command line, and the source it must be of.</summary>
static class SnapshotArgument
{
    public static readonly Option<string?> NameOption = new("--name") { Description = "Of this source: then `latest` is its latest.", HelpName = "NAME" };

    public static readonly Option<bool> UnverifiedOption = new("--unverified") { Description = "Read the snapshot even where it is not what its agent signed, and say so: where there is no other." };

    /// <summary>Where the person asked for it, a snapshot that nobody vouches for is read all the same; loudly.</summary>
    /// <returns>Says afterwards whether that was the case.</returns>
    public static Func<bool> AllowUnverified(Session session, Vault vault)
    {
        var isDoubted = false;
        if (session.Parsed.GetValue(UnverifiedOption))
        {
            vault.Unverified = fault =>
            {
                isDoubted = true;
                session.Warn($"holdfast: UNVERIFIED: this snapshot would be refused: {fault}.");
                session.Warn("  Nobody vouches for its names and contents: anyone with a put key may have made them up. Have whoever knows the data look at it before it is used.");
            };
        }
        return () => isDoubted;
    }

    public static Argument<string> Make(string name = "SNAPSHOT") => new(name) { Description = "Id of a snapshot, its first letters, or `latest`." };

    public static SnapshotRecord Find(Session session, Vault vault, ReadingKeys keys, string which)
    {
        if (session.Parsed.GetValue(NameOption) is not { } name)
            return vault.Find(which);
        var bytes = System.Text.Encoding.UTF8.GetBytes(name);
        return keys.Domains.Select(d => d.SourceId(bytes)).Where(id => vault.State.Snapshots.Exists(s => s.Source == id)).Select(id => vault.Find(which, id)).FirstOrDefault()
            ?? throw new HoldfastException(ErrorCode.SnapshotMissing, "There is no snapshot of a source with this name.", "`holdfast snapshots --keys FOLDER` lists names.");
    }

    /// <summary>For commands that need the opening key itself.</summary>
    public static (Vault Vault, OpeningKeys Keys) OpenAll(Session session)
    {
        var vault = KeyFolder.OpenVault(session);
        try
        {
            var folder = new KeyFolder(session);
            folder.Remember(vault);
            return (vault, folder.Open(vault));
        }
        catch
        {
            vault.Dispose();
            throw;
        }
    }

    public static (Vault Vault, ReadingKeys Keys) Open(Session session)
    {
        var vault = KeyFolder.OpenVault(session);
        try
        {
            var folder = new KeyFolder(session);
            folder.Remember(vault);
            return (vault, folder.OpenReading(vault));
        }
        catch
        {
            vault.Dispose();
            throw;
        }
    }
}
