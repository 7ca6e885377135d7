using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

static class RecoverKeyCommand
{
    static readonly Argument<string[]> ShareArgument = new("SHARE") { Description = "Files, each with the lines of one share. Without any, the terminal asks for them line by line; from a pipe they are read with an empty line after each.", Arity = ArgumentArity.ZeroOrMore };
    static readonly Option<string> OutOption = new("--out") { Description = "New folder for the rebuilt opening key: what restore then takes as --keys.", HelpName = "FOLDER", Required = true };
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
        var folder = FolderPath.Full(session.Parsed.GetValue(OutOption)!);
        new KeyFiles(folder).RequireFree();
        var shares = Shares(session);
        using var seed = RecoveryShares.Combine(shares, out var unfit);
        foreach (var share in unfit)
            session.Warn($"holdfast: {share} does not fit the others and was left aside.");
        var passphrase = session.Parsed.GetValue(PassphraseFlag) || session.Parsed.GetValue(KeyFolder.PassphraseOption) is not null ? Passphrase.OfOpeningKey.New(session, KeyFolder.PassphraseOption) : null;
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
        session.Step($"The opening key of vault {vaultId}, epoch {epoch}, is in {folder}.");
        session.Step($"  see what is there   {Shell.Program} snapshots --vault VAULT --keys {Shell.Word(folder)}");
        session.Step($"  bring it back       {Shell.Program} restore SNAPSHOT TARGET --vault VAULT --keys {Shell.Word(folder)}   (SNAPSHOT: an id that `snapshots` shows)");
        session.Step("Shares that were opened are no longer sealed: print a new kit afterwards (holdfast key rotate, then holdfast recovery-kit).");
        return 0;
    }

    static List<RecoveryShare> Shares(Session session)
    {
        var files = session.Parsed.GetValue(ShareArgument)!;
        if (files.Length == 0 && Prompt.IsPossible)
            return new ShareDialogue(question => Prompt.Line(question, session.Stop), session.Warn).Run();
        try
        {
            var texts = files.Length > 0
                ? files.Select((file, i) => (Name: $"share file {i + 1}", Text: UserFile.Text(file, $"Share file {i + 1}")))
                : UserFile.InputText(session.Stop).ReplaceLineEndings("\n").Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select((text, i) => (Name: $"share {i + 1}", Text: text));
            return [.. texts.Select(t => RecoveryShare.Parse(t.Text, t.Name))];
        }
        catch (HoldfastException e) when (files.Length == 0)
        {
            throw new HoldfastException(e.Code, e.Message, $"{e.Guidance} From a pipe, put an empty line after each share.", e);
        }
    }
}
