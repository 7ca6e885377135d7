using UglyToad.PdfPig.Content;
using UglyToad.PdfPig.Core;
using UglyToad.PdfPig.Fonts.Standard14Fonts;
using UglyToad.PdfPig.Writer;

namespace Holdfast.Cli.RecoveryKit;

/// <summary>One A4 page that is written from top to bottom in black. Lengths are points (1/72 inch).</summary>
sealed class PdfSheet(PdfPageBuilder page, PdfSheet.Fonts fonts)
{
    public const double Width = 595;
    public const double Height = 842;
    public const double Left = 54; // wide enough for a punched binder
    public const double Right = Width - 48;
    const double Leading = 1.28;

    internal sealed record Fonts(
        PdfDocumentBuilder.AddedFont Text, PdfDocumentBuilder.AddedFont Bold, PdfDocumentBuilder.AddedFont Mono)
    {
        public static Fonts Of(PdfDocumentBuilder document) => new(
            document.AddStandard14Font(Standard14Font.Helvetica),
            document.AddStandard14Font(Standard14Font.HelveticaBold),
            document.AddStandard14Font(Standard14Font.CourierBold));
    }

    public Fonts Faces => fonts;

    /// <summary>Where the next line's top is, from the foot of the page.</summary>
    public double Y { get; set; } = Height - 48;

    public static PdfSheet Add(PdfDocumentBuilder document, Fonts fonts) => new(document.AddPage(PageSize.A4), fonts);

    /// <summary>One line, not broken; <paramref name="x"/> and <paramref name="baseline"/> from the lower left corner.</summary>
    public void Put(string text, double size, double x, double baseline, PdfDocumentBuilder.AddedFont? font = null) =>
        page.AddText(Printable(text), size, new PdfPoint(x, baseline), font ?? fonts.Text);

    /// <summary>Text broken at spaces, from <see cref="Y"/> down.</summary>
    public void Paragraph(
        string text, double size, PdfDocumentBuilder.AddedFont? font = null, double left = Left, double right = Right, double after = 4)
    {
        foreach (var line in Wrap(text, size, font ?? fonts.Text, right - left))
        {
            Y -= size * Leading;
            Put(line, size, left, Y + size * (Leading - 1), font);
        }
        Y -= after;
    }

    public void Heading(string text, double size = 12.5)
    {
        Y -= 5;
        Paragraph(text, size, fonts.Bold, after: 3);
    }

    /// <summary>A paragraph with its number, or a box to tick, hanging in front.</summary>
    public void Item(string mark, string text, double size, double left = Left, double right = Right)
    {
        const double indent = 18;
        var baseline = Y - size;
        if (mark.Length > 0)
            Put(mark, size, left, baseline, fonts.Bold);
        else
            Box(left + 1, baseline - 1, size, size, 0.8);
        Paragraph(text, size, left: left + indent, right: right, after: 3);
    }

    /// <summary>A label and a line to write on.</summary>
    public void Blank(string label, double size, double left, double right, double baseline)
    {
        Put(label, size, left, baseline);
        Line(left + Measure(label, size, fonts.Text) + 5, right, baseline - 2, 0.6);
    }

    public void Line(double fromX, double toX, double y, double thickness) =>
        page.DrawLine(new PdfPoint(fromX, y), new PdfPoint(toX, y), thickness);

    public void Upright(double x, double fromY, double toY, double thickness) =>
        page.DrawLine(new PdfPoint(x, fromY), new PdfPoint(x, toY), thickness);

    public void Box(double x, double y, double width, double height, double thickness) =>
        page.DrawRectangle(new PdfPoint(x, y), width, height, thickness);

    /// <summary>The code with its quiet zone in a square of the given side, from its lower left corner.</summary>
    public void Qr(QrSquare code, double x, double y, double side)
    {
        var module = side / code.Size;
        page.SetTextAndFillColor(0, 0, 0);
        foreach (var (row, column, length) in code.Runs())
            page.DrawRectangle( // a hair too high, so that no viewer shows a seam between rows
                new PdfPoint(x + column * module, y + side - (row + 1) * module), length * module, module * 1.02, 0.01, fill: true);
    }

    public double Measure(string text, double size, PdfDocumentBuilder.AddedFont font)
    {
        var letters = page.MeasureText(Printable(text), size, new PdfPoint(0, 0), font);
        return letters.Count == 0 ? 0 : letters[^1].EndBaseLine.X;
    }

    List<string> Wrap(string text, double size, PdfDocumentBuilder.AddedFont font, double width)
    {
        List<string> lines = [];
        var line = "";
        foreach (var word in text.Split(' '))
        {
            var longer = line.Length == 0 ? word : $"{line} {word}";
            if (line.Length > 0 && Measure(longer, size, font) > width)
            {
                lines.Add(line);
                longer = word;
            }
            line = longer;
        }
        lines.Add(line);
        return lines;
    }

    /// <summary>A text as it is printed: PdfPig writes the standard fonts in ASCII only. Accents are dropped, what has no plain letter becomes a question mark.</summary>
    public static string Printable(string text) => string.Create(text.Length, text, (span, source) =>
    {
        const string plain = "AAAAAAACEEEEIIIIDNOOOOOxOUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty"; // U+00C0 to U+00FF
        for (var i = 0; i < span.Length; i++)
            span[i] = source[i] switch
            {
                '\u0174' or '\u0175' => source[i] is '\u0174' ? 'W' : 'w', // Welsh
                '\u0176' or '\u0177' => source[i] is '\u0176' ? 'Y' : 'y',
                '\u2018' or '\u2019' => '\'',
                '\u2013' or '\u2014' => '-',
                >= '\u00C0' and <= '\u00FF' => plain[source[i] - '\u00C0'],
                >= ' ' and <= '~' => source[i],
                _ => '?',
            };
    });
}
