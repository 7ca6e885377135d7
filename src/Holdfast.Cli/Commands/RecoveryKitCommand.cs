using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.RecoveryKit;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keeper;

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
        KeyFolder.AddTo(command, reading: true);
    }, Run);

    static int Run(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        var (threshold, total) = (session.Parsed.GetValue(ThresholdOption), session.Parsed.GetValue(SharesOption));
        if (threshold < 1 || threshold > total || total > RecoveryKitPdf.MaxShares)
            throw new HoldfastException(ErrorCode.Usage, "Those numbers of shares do not go together.", $"The threshold is at least 1 and at most the number of shares; a kit has {RecoveryKitPdf.MaxShares} pages at most.");
        using var keys = new KeyFolder(session).Open(vault);
        var shares = RecoveryShares.Split(keys.Seed.Span, vault.Id, keys.Keyring.Epoch, threshold, total);
        try
        {
            var pdf = RecoveryKitPdf.Render(shares, session.Parsed.GetValue(OrganisationOption)!, DateOnly.FromDateTime(TimeProvider.System.GetUtcNow().UtcDateTime));
            var path = Path.GetFullPath(session.Parsed.GetValue(OutOption)!);
            if (File.Exists(path))
                throw new HoldfastException(ErrorCode.Usage, "There is a file of that name already.", "Choose another name: a kit is never written over another.");
            KeyFolder.WriteNew(path, pdf);
            vault.Keeper.Record(LeafType.RecoveryKit, Id16.New(), Id16.None, (ulong)threshold, (ulong)total, keys.Keyring.Epoch);
            session.Json(w =>
            {
                w.WriteString("file", path);
                w.WriteNumber("threshold", threshold);
                w.WriteNumber("shares", total);
            });
            session.Line($"The kit is in {path}: a cover page and {Text.Count(total, "share")}. Any {threshold} of them open everything.");
            session.Line("Print it, give each share to another person or place, then remove the file: it is as secret as the key.");
        }
        finally
        {
            foreach (var share in shares)
                share.Dispose();
        }
        return 0;
    }
}
