namespace Holdfast.Cli.Terminal;

/// <summary>What is said where the vault's note of what was read, and found damaged, cannot be read.</summary>
static class ReadsWords
{
    public const string Fault = "the vault's note of packs found damaged (keeper/reads) cannot be read from its disk: backups may build on a pack that is known to be damaged";
    public const string Advice = "Look at that disk first. Then move the file aside and run `holdfast verify --full`, with the key that opens contents: it finds what is damaged anew.";
}
