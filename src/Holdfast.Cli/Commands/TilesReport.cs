using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

/// <summary>Looks at the log's files of hashes, which nothing needs while its leaves are sound, and which tell the sound ones when some are not.</summary>
static class TilesReport
{
    /// <summary>Writes damaged ones anew.</summary>
    /// <param name="session">Gets the words.</param>
    /// <param name="vault">The vault.</param>
    /// <param name="mayWrite">False where nobody can tell the vault from a copy of it.</param>
    /// <returns>What is wrong, where it stays so.</returns>
    public static HoldfastException? Mend(Session session, Vault vault, bool mayWrite)
    {
        var damaged = vault.Keeper.Log.DamagedTiles().Count;
        if (damaged == 0)
            return null;
        var what = $"{Text.Count(damaged, "file")} of hashes in the vault's log {(damaged == 1 ? "is" : "are")} damaged or missing; the leaves are sound";
        try
        {
            if (!mayWrite)
                return new HoldfastException(ErrorCode.LogDamaged, $"{what}.", "Run `holdfast log verify` with the key folder (--keys): it writes them anew from the leaves. See what else on that disk is damaged.");
            vault.Keeper.MendTiles();
            session.Line($"{what}: written anew. See what else on that disk is damaged.");
            return null;
        }
        catch (HoldfastException e)
        {
            return new HoldfastException(ErrorCode.LogDamaged, $"{what}. They could not be written anew: {e.Message}", e.Guidance, e);
        }
    }
}
