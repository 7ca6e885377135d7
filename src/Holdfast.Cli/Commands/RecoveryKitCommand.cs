using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.RecoveryKit;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;
using Holdfast.Core.Keys;

namespace Holdfast.Cli.Commands;

static class RecoveryKitCommand
{
    static readonly Option<int> ThresholdOption = new("--threshold") { Description = "So many shares rebuild the key.", HelpName = "M", DefaultValueFactory = _ => 2 };
    static readonly Option<int> SharesOption = new("--shares") { Description = "So many shares are printed, one page each.", HelpName = "N", DefaultValueFactory = _ => 3 };
    static readonly Option<string> OutOption = new("--out") { Description = "PDF to write; print it and remove it.", HelpName = "FILE", Required = true };
    static readonly Option<string> OrganisationOption = new("--organisation") { Description = "Whose vault it is, for the pages.", HelpName = "NAME", DefaultValueFactory = _ => "" };

    public static Command Create() => Session.Command("recovery-kit", "Print the opening key as shares, so that nobody can be locked out.", command =>
    {
        foreach (var option in new Option[] { ThresholdOption, SharesOption, OutOption, OrganisationOption })
            command.Options.Add(option);
        KeyFolder.AddTo(command, reading: true, scoped: false);
    }, Run);

    static int Run(Session session)
    {
        var (threshold, total) = (session.Parsed.GetValue(ThresholdOption), session.Parsed.GetValue(SharesOption));
        if (total is < 1 or > RecoveryKitPdf.MaxShares)
            throw new HoldfastException(ErrorCode.Usage, $"No kit has {total} shares.", $"A kit has 1 to {RecoveryKitPdf.MaxShares} shares (--shares N): 3 or 5 suit most.");
        if (threshold < 1 || threshold > total)
            throw new HoldfastException(ErrorCode.Usage, $"Of {total} shares {threshold} cannot be what is needed.",
                $"A kit has 1 to {RecoveryKitPdf.MaxShares} shares (--shares N), and needs 1 to N of them (--threshold M): 2 of 3, or 3 of 5.");
        var path = Path.GetFullPath(session.Parsed.GetValue(OutOption)!);
        KeyFolder.RequireNewSecret(session, path);
        if (threshold == 1)
            session.Warn("holdfast: WARNING: with a threshold of 1 each page is the whole key: one that is seen, copied or lost opens every backup. 2 of 3 costs one more page.");
        var organisation = session.Parsed.GetValue(OrganisationOption)!;
        if (PdfSheet.Printable(organisation) is var printed && printed != organisation)
            session.Note($"holdfast: the kit is printed in plain letters; the organisation's name stands in it as {printed}");
        var (vault, keys) = KeyFolder.OpenToChange(session);
        using (vault)
        using (keys)
        {
            if (keys.Keyring.Epoch != vault.State.KeyEpoch)
                throw new HoldfastException(ErrorCode.WrongKey, $"This opening key is of epoch {keys.Keyring.Epoch}; the vault is in epoch {vault.State.KeyEpoch}.", "Print the kit with the newest opening key: one of an older epoch does not open newer backups.");
            Print(session, vault, keys, threshold, total, path);
        }
        return 0;
    }

    static void Print(Session session, Vault vault, OpeningKeys keys, int threshold, int total, string path)
    {
        var shares = RecoveryShares.Split(keys.Seed.Span, vault.Id, keys.Keyring.Epoch, threshold, total);
        try
        {
            KeyFolder.WriteNew(path, RecoveryKitPdf.Render(shares, session.Parsed.GetValue(OrganisationOption)!, DateOnly.FromDateTime(TimeProvider.System.GetUtcNow().UtcDateTime)));
        }
        finally
        {
            foreach (var share in shares)
                share.Dispose();
        }
        try
        {
            // The file first: a kit that the log tells of, and nobody printed, would calm people who are locked out.
            vault.Keeper.Record(LeafType.RecoveryKit, Id16.New(), Id16.None, (ulong)threshold, (ulong)total, keys.Keyring.Epoch);
        }
        catch (HoldfastException e)
        {
            throw new HoldfastException(e.Code, $"The kit was written, but the vault's log could not record it: {e.Message}",
                $"The pages in the file work, and are as secret as the key. Remove the file and print a new kit when the vault can be written to. {e.Guidance}", e);
        }
        session.Json(w =>
        {
            w.WriteString("file", path);
            w.WriteNumber("threshold", threshold);
            w.WriteNumber("shares", total);
        });
        session.Step($"The kit is in {path}: a cover page and {Text.Count(total, "share")}. {(threshold == 1 ? "Any one of them opens" : $"Any {threshold} of them open")} everything.");
        session.Step("Print it, give each share to another person or place, then remove the file: it is as secret as the key.");
    }
}
