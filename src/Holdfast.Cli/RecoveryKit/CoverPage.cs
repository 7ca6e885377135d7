using Holdfast.Core.Crypto;

namespace Holdfast.Cli.RecoveryKit;

/// <summary>Page 1: for the organisation. It holds no secret and belongs with the incident plan.</summary>
static class CoverPage
{
    const string Command = "holdfast recover-key --out FOLDER";

    public static void Write(PdfSheet sheet, IReadOnlyList<RecoveryShare> shares, string organisation, DateOnly printed)
    {
        var share = shares[0];
        var size = shares.Count > 8 ? 9.5 : 10; // the table needs the room
        sheet.Paragraph("Recovery kit for encrypted backups", 22, sheet.Faces.Bold, after: 0);
        sheet.Paragraph(organisation, 14, after: 2);
        sheet.Line(PdfSheet.Left, PdfSheet.Right, sheet.Y, 1.2);

        RecoveryKitPdf.Fact(sheet, "Vault", RecoveryKitPdf.VaultOf(share), 10.5);
        RecoveryKitPdf.Fact(sheet, "Key epoch", $"{share.Epoch}", 10.5);
        RecoveryKitPdf.Fact(sheet, "Share set", RecoveryKitPdf.SetOf(share), 10.5);
        RecoveryKitPdf.Fact(sheet, "Opens with", $"{RecoveryKitPdf.Quorum(share)} shares", 10.5);
        RecoveryKitPdf.Fact(sheet, "Printed", RecoveryKitPdf.Day(printed), 10.5);
        sheet.Y -= 6;

        sheet.Heading("What this is");
        sheet.Paragraph(
            $"The backups in this vault are encrypted with one key. The {shares.Count} pages after this one are shares of that key. " +
            $"{Capital(RecoveryKitPdf.Quorum(share))} shares together open every backup, with nothing else: " +
            "no password, no network, no supplier. " +
            (share.Threshold > 1
                ? "Fewer open nothing. "
                : "Each share by itself opens everything: guard every one like the key itself. ") +
            (share.Threshold < share.Total
                ? $"So up to {share.Total - share.Threshold} may be lost or away. "
                : "So no share may be lost. ") +
            "When the vault begins a new key epoch, print a new kit at once: this one is then sure only of backups made before. " +
            "This cover page holds no secret.", size);

        sheet.Heading("Today");
        sheet.Item("", $"Check that {shares.Count} share pages follow and that each is sharp and complete.", size);
        sheet.Item("", $"On a computer you trust, run \"{Command}\" and enter {Some(share)} from the paper: do they fit? Then remove that folder.", size);
        sheet.Item("", "Put each share in an envelope of its own, seal and sign it, and hand it over. Fill in the table below.", size);
        sheet.Item("", "Keep the envelopes in different buildings or safes. Nobody holds two. Holders know their deputy.", size);
        sheet.Item("", "Write into step 1 below where the vault, its copies and the Holdfast program lie.", size);
        sheet.Item("", "Delete the file this was printed from, and have the printer's memory and job list cleared.", size);
        sheet.Item("", "Put this page into the incident plan, on paper, with a copy of the small file opening.key (never of opening.secret).", size);

        sheet.Heading("When it is needed");
        sheet.Item("1", "Take a clean computer with the Holdfast program and the vault, or a copy of it. It needs no network.", size);
        sheet.Item(" ", $"Vault: {Blank} Copy: {Blank} Program: {Blank}", size);
        sheet.Item("2", $"Call the holders until {Some(share)} are in the room. Let each holder open the envelope.", size);
        sheet.Item("3", $"Run \"{Command}\". Type or scan each share; it names a wrong line. Compare check words.", size);
        sheet.Item("4", "Run \"holdfast snapshots --vault VAULT --keys FOLDER\": FOLDER as in step 3, VAULT the vault's folder. For each source it lists, choose a snapshot from before the damage, and run \"holdfast restore ID TARGET --vault VAULT --keys FOLDER\", TARGET a new folder. Afterwards make a new set of shares: paper that was opened is no longer sealed.", size);

        sheet.Heading("Who holds the shares");
        string[] rehearsals = shares.Count > 8 ? ["", ""] : ["", "", ""];
        const double below = 120; // both heads of tables, the second heading and the foot
        var rowHeight = Math.Min(25, (sheet.Y - below) / (shares.Count + rehearsals.Length));
        Table(sheet, ["Share", "Holder", "Deputy", "Place and envelope number", "Given on"], [40, 125, 115, 143, 70],
            shares.Select(s => $"{s.Index}"), rowHeight);

        sheet.Y -= 4;
        sheet.Heading("Rehearse once a year, and when a holder leaves");
        sheet.Paragraph("Enter shares from the paper as if it were needed, note it here, and seal them in new envelopes.", size, after: 5);
        Table(sheet, ["Date", "Shares used", "By", "Result"], [90, 110, 150, 143], rehearsals, rowHeight);
    }

    const string Blank = "______________________"; // to be written on by hand

    static string Some(RecoveryShare share) => share.Threshold == 1 ? "one share" : $"{share.Threshold} shares";

    static string Capital(string text) => char.ToUpperInvariant(text[0]) + text[1..];

    static void Table(PdfSheet sheet, string[] heads, double[] widths, IEnumerable<string> firsts, double rowHeight)
    {
        var top = sheet.Y;
        const double headHeight = 15;
        var y = top - headHeight;
        var x = PdfSheet.Left;
        sheet.Line(PdfSheet.Left, PdfSheet.Right, top, 0.8);
        foreach (var (i, head) in heads.Index())
        {
            sheet.Put(head, 8.5, x + 4, y + 4.5, sheet.Faces.Bold);
            x += widths[i];
        }
        sheet.Line(PdfSheet.Left, PdfSheet.Right, y, 0.8);
        foreach (var first in firsts)
        {
            y -= rowHeight;
            if (first.Length > 0)
                sheet.Put(first, 10, PdfSheet.Left + 4, y + rowHeight / 2 - 3.5, sheet.Faces.Bold);
            sheet.Line(PdfSheet.Left, PdfSheet.Right, y, 0.5);
        }
        x = PdfSheet.Left;
        sheet.Upright(x, top, y, 0.5);
        foreach (var width in widths)
            sheet.Upright(x += width, top, y, 0.5);
        sheet.Y = y;
    }
}
