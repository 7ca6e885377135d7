using System.Globalization;
using Holdfast.Core.Crypto;
using UglyToad.PdfPig.Writer;

namespace Holdfast.Cli.RecoveryKit;

/// <summary>The printable recovery kit: a cover page for the organisation, then one page for each share.</summary>
/// <remarks>The document holds every share, so it is as secret as the key itself: print it and let go of it; never store it.</remarks>
static class RecoveryKitPdf
{
    public const int MaxShares = 12; // rows of the cover's table

    /// <param name="shares">All shares of one set, in order.</param>
    /// <param name="organisation">Whose vault it is. Accents are dropped and letters beyond Latin print as question marks: the standard
    /// fonts have none.</param>
    /// <param name="printed">The day it is printed.</param>
    /// <exception cref="ArgumentException">Not the whole of one set, or more than <see cref="MaxShares"/>.</exception>
    public static byte[] Render(IReadOnlyList<RecoveryShare> shares, string organisation, DateOnly printed)
    {
        if (shares.Count is 0 or > MaxShares || shares.Count != shares[0].Total
            || shares.Index().Any(s => s.Item.Index != s.Index + 1 || s.Item.SetId != shares[0].SetId))
            throw new ArgumentException($"A kit holds all shares of one set, in order, {MaxShares} at most.", nameof(shares));

        using var document = new PdfDocumentBuilder();
        document.DocumentInformation.Title = "Holdfast recovery kit";
        document.DocumentInformation.Producer = "Holdfast";
        var fonts = PdfSheet.Fonts.Of(document);
        CoverPage.Write(PdfSheet.Add(document, fonts), shares, organisation, printed);
        foreach (var share in shares)
            SharePage.Write(PdfSheet.Add(document, fonts), share, organisation, printed);
        return document.Build();
    }

    internal static string Day(DateOnly day) => day.ToString("d MMMM yyyy", CultureInfo.InvariantCulture);

    /// <summary>The vault id in groups of four, as people compare it.</summary>
    internal static string VaultOf(RecoveryShare share) =>
        string.Join(' ', share.VaultId.ToString().Chunk(4).Select(group => new string(group)));

    internal static string SetOf(RecoveryShare share) =>
        string.Join(' ', share.SetId.ToString("x16", CultureInfo.InvariantCulture).Chunk(4).Select(group => new string(group)));

    internal static string Quorum(RecoveryShare share) =>
        share.Threshold == share.Total ? $"all {share.Total}" : $"any {share.Threshold} of the {share.Total}";

    /// <summary>Name and value in two columns.</summary>
    internal static void Fact(PdfSheet sheet, string name, string value, double size, double left = PdfSheet.Left)
    {
        sheet.Y -= size * 1.45;
        sheet.Put(name, size, left, sheet.Y);
        sheet.Put(value, size, left + 70, sheet.Y, sheet.Faces.Bold);
    }
}
