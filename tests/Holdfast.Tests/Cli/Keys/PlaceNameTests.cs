using Holdfast.Cli.Keys;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Tests.Cli.Keys;

public sealed class PlaceNameTests
{
    /// <summary>A key folder remembers the vault's place in a line: read back it would be another one, and every backup would be refused as one to a copy.</summary>
    [Theory]
    [InlineData("v\n")]
    [InlineData("v\n/in")]
    [InlineData("v\u0001")]
    [InlineData("link")]
    public void A_vault_or_its_keys_are_made_in_no_folder_whose_place_cannot_be_remembered(string name)
    {
        using var folder = new TempFolder();
        if (OperatingSystem.IsLinux())
        {
            Directory.CreateDirectory(folder["to\n"]);
            File.CreateSymbolicLink(folder["link"], folder["to\n"]);
        }
        Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => VaultKeeper.RequireFree(folder[name])).Code);
        Assert.Equal(ErrorCode.Usage, Assert.Throws<HoldfastException>(() => new KeyFiles(folder[name]).RequireFree()).Code);
        VaultKeeper.RequireFree(folder["plain"]);
        new KeyFiles(folder["plain"]).RequireFree();
    }
}
