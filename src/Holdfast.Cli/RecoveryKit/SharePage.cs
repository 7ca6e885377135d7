using Holdfast.Core.Crypto;

namespace Holdfast.Cli.RecoveryKit;

/// <summary>One page for one holder: what to keep, how, and the share as code, as lines to type and as check words.</summary>
static class SharePage
{
    const double Size = 10;
    const double QrSide = 186; // 3.26 points or 1.15 mm a module: hand scanners want 0.5 mm

    public static void Write(PdfSheet sheet, RecoveryShare share, string organisation, DateOnly printed)
    {
        var qrLeft = PdfSheet.Right - QrSide + 8; // its quiet zone may reach into the margin
        var qrBottom = sheet.Y - QrSide + 12;
        var textRight = qrLeft - 8;
        sheet.Qr(new QrSquare(share.ToQrText()), qrLeft, qrBottom, QrSide);

        sheet.Paragraph("SECRET. KEEP SEALED. FOR ITS HOLDER ONLY.", 9, sheet.Faces.Bold, right: textRight, after: 0);
        sheet.Paragraph($"Share {share.Index} of {share.Total}", 30, sheet.Faces.Bold, right: textRight, after: 2);
        var isNamed = !string.IsNullOrWhiteSpace(organisation);
        sheet.Paragraph(isNamed ? "of the key to the encrypted backups of" : "of the key to the encrypted backups in the vault named here", 11, right: textRight, after: isNamed ? 0 : 2);
        if (isNamed)
            sheet.Paragraph(organisation, 13, sheet.Faces.Bold, right: textRight, after: 2);
        RecoveryKitPdf.Fact(sheet, "Vault", RecoveryKitPdf.VaultOf(share)[..19], Size);
        sheet.Y -= Size * 1.25;
        sheet.Put(RecoveryKitPdf.VaultOf(share)[20..], Size, PdfSheet.Left + 70, sheet.Y, sheet.Faces.Bold);
        RecoveryKitPdf.Fact(sheet, "Key epoch", $"{share.Epoch}", Size);
        RecoveryKitPdf.Fact(sheet, "Share set", RecoveryKitPdf.SetOf(share), Size);
        RecoveryKitPdf.Fact(sheet, "Opens with", $"{RecoveryKitPdf.Quorum(share)} shares", Size);
        RecoveryKitPdf.Fact(sheet, "Printed", RecoveryKitPdf.Day(printed), Size);

        sheet.Y = Math.Min(sheet.Y, qrBottom) - 26;
        var middle = (PdfSheet.Left + PdfSheet.Right) / 2;
        sheet.Blank("Holder", Size, PdfSheet.Left, middle - 8, sheet.Y);
        sheet.Blank("Deputy", Size, middle + 8, PdfSheet.Right, sheet.Y);
        sheet.Y -= 27;
        sheet.Blank("Place kept", Size, PdfSheet.Left, middle - 8, sheet.Y);
        sheet.Blank("Envelope no. and date", Size, middle + 8, PdfSheet.Right, sheet.Y);
        sheet.Y -= 20;

        Lines(sheet, share);

        sheet.Heading("Keep it");
        sheet.Item("-",
            "Never photograph, photocopy, e-mail or dictate it, and never type it anywhere except into the recovery program.", Size);
        sheet.Item("-", "Keep it sealed, dry and locked away, apart from every other share. Tell your deputy where it is.", Size);
        sheet.Item("-",
            "You may read the check words to a colleague over the telephone to show that you hold the right page. Never the lines.", Size);
        sheet.Item("-",
            "Report it at once if it is lost, opened or seen. A new set can be made; shares of different sets do not mix.", Size);
        sheet.Item("-", "When you leave your post, hand it over in person and have the table on the cover page changed.", Size);

        sheet.Heading("Use it");
        sheet.Item("1",
            "Only when the incident commander or the backup lead asks you, or for the yearly rehearsal. Satisfy yourself who is asking.", Size);
        sheet.Item("2",
            "Bring this page. The program \"holdfast recover-key --out FOLDER\" asks for the seven lines, or for the square code by a hand scanner " +
            "on that computer (no telephone). Capital or small letters do not matter; there is no letter O, I, L or U, only digits " +
            "0 and 1.", Size);
        sheet.Item("3", $"It shows the check words of what you typed: compare them. {Needed(share)}", Size);
    }

    static string Needed(RecoveryShare share) => share.Threshold == 1
        ? "This share alone then opens the backups."
        : $"It then needs {share.Threshold - 1} more {(share.Threshold == 2 ? "share" : "shares")} of the same set.";

    static void Lines(PdfSheet sheet, RecoveryShare share)
    {
        const double size = 19, lineHeight = 25, pad = 12, wordsHeight = 40;
        var lines = share.ToText().Split('\n', StringSplitOptions.RemoveEmptyEntries)[1..];
        var height = lines.Length * lineHeight + 2 * pad - 6;
        var top = sheet.Y;
        sheet.Box(PdfSheet.Left, top - height - wordsHeight, PdfSheet.Right - PdfSheet.Left, height + wordsHeight, 1.4);
        sheet.Line(PdfSheet.Left, PdfSheet.Right, top - height, 0.8);

        var x = (PdfSheet.Left + PdfSheet.Right - sheet.Measure(lines[0], size, sheet.Faces.Mono)) / 2;
        foreach (var (i, line) in lines.Index())
            sheet.Put(line, size, x, top - pad - size * 0.72 - i * lineHeight, sheet.Faces.Mono);

        var words = share.Words;
        sheet.Put("Check words", Size, PdfSheet.Left + 12, top - height - wordsHeight / 2 - 4);
        sheet.Put(words, 17, PdfSheet.Left + 92, top - height - wordsHeight / 2 - 6, sheet.Faces.Bold);
        sheet.Y = top - height - wordsHeight - 4;
    }
}
