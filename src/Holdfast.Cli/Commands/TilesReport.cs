using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

/// <summary>Looks at the log's files of hashes, which nothing needs while its leaves are sound, and which tell the sound ones when some are not.</summary>
static class TilesReport
{
    const int Looks = 5;

    /// <summary>Writes damaged ones anew.</summary>
    /// <param name="session">Gets the words.</param>
    /// <param name="vault">The vault.</param>
    /// <param name="mayWrite">False where nobody can tell the vault from a copy of it.</param>
    /// <returns>What is wrong, where it stays so.</returns>
    public static HoldfastException? Mend(Session session, Vault vault, bool mayWrite)
    {
        if (vault.Keeper.Remote is not null)
            return null; // what lies here is a copy of the leaves, which were checked; that log's own files are looked at where the vault is kept
        try
        {
            var damaged = Damaged(vault);
            if (damaged > 0 && !mayWrite)
                return new HoldfastException(ErrorCode.LogDamaged, $"{What(damaged)}.", "Run `holdfast log verify` with the key folder (--keys): it writes them anew from the leaves. See what else on that disk is damaged.");
            if (damaged > 0 && vault.Keeper.MendTiles() is var mended and > 0)
                session.Finding($"{What(mended)}: written anew. See what else on that disk is damaged.");
            return null;
        }
        catch (HoldfastException e)
        {
            return new HoldfastException(ErrorCode.LogDamaged, $"Files of hashes in the vault's log are damaged, or cannot be read, and could not be written anew: {e.Message}", e.Guidance, e);
        }
    }

    static string What(int files) => $"{Text.Count(files, "file")} of hashes in the vault's log {(files == 1 ? "is" : "are")} damaged or missing; the leaves are sound";

    /// <summary>The last, partial files go when somebody appends: then the log is looked at as it is by now.</summary>
    internal static int Damaged(Vault vault)
    {
        var damaged = vault.Keeper.Log.DamagedTiles().Count;
        for (var looks = 0; damaged > 0 && looks < Looks; looks++)
        {
            vault.Keeper.Refresh();
            damaged = vault.Keeper.Log.DamagedTiles().Count;
        }
        return damaged;
    }
}
