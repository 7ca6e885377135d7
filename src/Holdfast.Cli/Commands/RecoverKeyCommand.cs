using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core.Crypto;

namespace Holdfast.Cli.Commands;

static class RecoverKeyCommand
{
    static readonly Argument<string[]> ShareArgument = new("SHARE") { Description = "Files, each with the lines of one share; without any, shares are read from standard input, an empty line after each.", Arity = ArgumentArity.ZeroOrMore };
    static readonly Option<string> OutOption = new("--out") { Description = "New folder for the rebuilt opening key.", HelpName = "FOLDER", Required = true };
    static readonly Option<bool> PassphraseFlag = new("--passphrase") { Description = "Protect it with a passphrase instead of a key file." };

    public static Command Create() => Session.Command("recover-key", "Rebuild the opening key from recovery shares; needs no vault.", command =>
    {
        command.Arguments.Add(ShareArgument);
        command.Options.Add(OutOption);
        command.Options.Add(PassphraseFlag);
        command.Options.Add(KeyFolder.PassphraseOption);
    }, Run);

    static int Run(Session session)
    {
        var folder = Path.GetFullPath(session.Parsed.GetValue(OutOption)!);
        new KeyFiles(folder).RequireFree();
        var texts = session.Parsed.GetValue(ShareArgument)!.Select((file, i) => (Name: $"share file {i + 1}", Text: UserFile.Text(file, $"Share file {i + 1}"))).ToList();
        if (texts.Count == 0)
            texts = Console.In.ReadToEnd().Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select((text, i) => (Name: $"share {i + 1}", Text: text)).ToList();
        var shares = texts.Select(t => RecoveryShare.Parse(t.Text, t.Name)).ToList();
        using var seed = RecoveryShares.Combine(shares, out var unfit);
        foreach (var share in unfit)
            session.Warn($"holdfast: {share} does not fit the others and was left aside.");
        var passphrase = KeyFolder.NewPassphrase(session, PassphraseFlag);
        new KeyFiles(folder).WriteOpening(seed, shares[0].VaultId, shares[0].Epoch, passphrase);
        var (vaultId, epoch) = (shares[0].VaultId, shares[0].Epoch);
        foreach (var share in shares)
            share.Dispose();
        session.Json(w =>
        {
            w.WriteString("vault", vaultId.ToString());
            w.WriteNumber("epoch", epoch);
            w.WriteString("folder", folder);
        });
        session.Line($"The opening key of vault {vaultId}, epoch {epoch}, is in {folder}.");
        session.Line($"  holdfast snapshots --vault FOLDER --keys {folder}");
        return 0;
    }
}
