using Holdfast.Cli.Commands;

namespace Holdfast.Tests.Cli.Commands;

public sealed class TilesReportTests
{
    /// <summary>The last files of hashes have other names after each append.</summary>
    [Fact]
    public void What_another_process_appends_meanwhile_is_no_damage()
    {
        using var test = new TestVault();
        test.WriteSome();
        test.BackUp();
        using var vault = test.Open();
        test.Write("later", "x");
        test.BackUp();
        string Tile(long width) => Path.Combine(test.Folder, "log", "tile", "0", "000.p", $"{width}");
        File.Delete(Tile(vault.Keeper.Log.Size)); // as after many appends
        Assert.NotEmpty(vault.Keeper.Log.DamagedTiles());
        Assert.Equal(0, TilesReport.Damaged(vault));
        var tile = Tile(vault.Keeper.Log.Size);
        File.Delete(tile);
        Assert.Equal(1, TilesReport.Damaged(vault));
        Assert.Equal(1, vault.Keeper.MendTiles());
        Assert.True(File.Exists(tile));
        Assert.Equal(0, TilesReport.Damaged(vault));
    }
}
