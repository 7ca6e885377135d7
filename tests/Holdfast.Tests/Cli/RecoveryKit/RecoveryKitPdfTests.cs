using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Holdfast.Cli.RecoveryKit;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using UglyToad.PdfPig;
using UglyToad.PdfPig.Content;

namespace Holdfast.Tests.Cli.RecoveryKit;

public class RecoveryKitPdfTests
{
    static readonly byte[] Seed = RandomNumberGenerator.GetBytes(32);
    static readonly IReadOnlyList<RecoveryShare> Shares = RecoveryShares.Split(Seed, Id16.New(), 2, 3, 5);
    static readonly DateOnly Day = new(2026, 11, 23);
    const string Trust = "Northbridge and Vale NHS Foundation Trust";
    static readonly byte[] Pdf = RecoveryKitPdf.Render(Shares, Trust, Day);

    [Fact]
    public void The_printed_lines_give_the_key_back()
    {
        using var document = PdfDocument.Open(Pdf);
        Assert.Equal(1 + Shares.Count, document.NumberOfPages);
        var read = new List<RecoveryShare>();
        for (var i = 0; i < Shares.Count; i++)
        {
            var lines = LinesOf(document.GetPage(i + 2)).ToArray();
            var typed = string.Join('\n', lines.Where(line => Regex.IsMatch(line, "^[1-7]: ")));
            Assert.True(RecoveryShare.TryParse(typed, out var share, out var fault), fault?.ToString());
            Assert.Equal(Shares[i].ToText(), share.ToText());
            Assert.Contains(lines, line => line.EndsWith(share.Words, StringComparison.Ordinal));
            Assert.Contains($"Share {i + 1} of 5", lines);
            read.Add(share);
        }
        using var seed = RecoveryShares.Combine([.. read.Skip(2)]);
        Assert.Equal(Seed, seed.Span.ToArray());
    }

    [Fact]
    public void Every_page_names_organisation_vault_set_and_quorum()
    {
        using var document = PdfDocument.Open(Pdf);
        foreach (var page in document.GetPages())
        {
            var text = string.Join('\n', LinesOf(page)).Replace(" ", "").Replace("\n", "");
            Assert.Contains(Trust.Replace(" ", ""), text);
            Assert.Contains($"{Shares[0].VaultId}", text);
            Assert.Contains($"{Shares[0].SetId:x16}", text);
            Assert.Contains("any3ofthe5shares", text);
            Assert.Contains("23November2026", text);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    public void Without_an_organisation_a_share_says_what_it_is_of_all_the_same(string organisation)
    {
        using var document = PdfDocument.Open(RecoveryKitPdf.Render(Shares, organisation, Day));
        foreach (var page in document.GetPages().Skip(1))
        {
            var text = string.Join('\n', LinesOf(page)).Replace(" ", "").Replace("\n", "");
            Assert.Contains("ofthekeytotheencryptedbackupsinthevaultnamedhere", text);
        }
    }

    [Fact]
    public void The_cover_holds_no_secret_and_says_what_to_do()
    {
        using var document = PdfDocument.Open(Pdf);
        var cover = string.Join('\n', LinesOf(document.GetPage(1)));
        Assert.Contains("holdfast recover-key", cover);
        Assert.Contains("Rehearse once a year", cover);
        foreach (var share in Shares)
        {
            Assert.DoesNotContain(share.Words, cover);
            foreach (var line in share.ToText().Split('\n')[4..8]) // lines 1 to 3 hold ids that the cover shows
                Assert.DoesNotContain(line[3..], cover);
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(7, 12)]
    public void Nothing_runs_off_the_paper_or_into_the_footing(int m, int n)
    {
        var shares = RecoveryShares.Split(Seed, Id16.New(), uint.MaxValue, m, n);
        const string longName =
            "The Very Long Named Royal Infirmary and Community Partnership University Hospitals NHS Foundation Trust of Ŵyn-ŷ-Môr";
        using var document = PdfDocument.Open(RecoveryKitPdf.Render(shares, longName, Day));
        foreach (var page in document.GetPages())
            Assert.All(page.Letters, letter =>
            {
                Assert.InRange(letter.StartBaseLine.X, 40, 560);
                Assert.InRange(letter.EndBaseLine.X, 40, 560);
                Assert.InRange(letter.StartBaseLine.Y, 28, 810);
            });
    }

    [Fact]
    public void Words_for_engineers_stay_off_the_paper()
    {
        using var document = PdfDocument.Open(Pdf);
        foreach (var page in document.GetPages())
            Assert.DoesNotMatch("(?i)\\b(keeper|witness|agent|clean room|gateway|seed|Shamir|Argon2)\\b", string.Join('\n', LinesOf(page)));
    }

    [Fact]
    public void The_square_code_decodes_to_the_share()
    {
        const string zbar = "/usr/bin/zbarimg";
        Assert.SkipUnless(File.Exists(zbar), "zbarimg is not installed (Debian: zbar-tools), so nothing here can decode a QR code.");
        foreach (var share in Shares)
        {
            var decoded = Decode(zbar, new QrSquare(share.ToQrText()));
            Assert.Equal(share.ToQrText(), decoded);
            Assert.True(RecoveryShare.TryParse(decoded, out var read, out var fault), fault?.ToString());
            Assert.Equal(share.ToText(), read.ToText());
        }
    }

    [Fact]
    public void The_rectangles_on_the_page_are_the_modules_of_the_code()
    {
        var code = new QrSquare(Shares[0].ToQrText());
        Assert.Equal(49, code.Modules); // version 8: 157 alphanumeric characters at level Q just fit

        using var document = PdfDocument.Open(Pdf);
        var filled = document.GetPage(2).Paths.Where(path => path.IsFilled).Select(path => path.GetBoundingRectangle()!.Value).ToArray();
        var module = (filled.Max(r => r.Right) - filled.Min(r => r.Left)) / code.Modules;
        var (left, top) = (filled.Min(r => r.Left) - 4 * module, filled.Max(r => r.Top) + 4 * module);
        Assert.InRange(module / 72 * 25.4, 0.8, 2); // millimetres
        Assert.InRange(left + code.Size * module, 0, PdfSheet.Width - 20); // printers leave the edge of the paper white
        for (var row = 0; row < code.Size; row++)
            for (var column = 0; column < code.Size; column++)
            {
                var (x, y) = (left + (column + 0.5) * module, top - (row + 0.5) * module);
                Assert.Equal(code.IsDark(row, column), filled.Any(r => r.Left < x && x < r.Right && r.Bottom < y && y < r.Top));
            }
    }

    [Fact]
    public void Anything_but_one_whole_set_in_order_is_refused()
    {
        var other = RecoveryShares.Split(Seed, Id16.New(), 2, 3, 5);
        Assert.Throws<ArgumentException>(() => RecoveryKitPdf.Render([], Trust, Day));
        Assert.Throws<ArgumentException>(() => RecoveryKitPdf.Render([.. Shares.Take(4)], Trust, Day));
        Assert.Throws<ArgumentException>(() => RecoveryKitPdf.Render([.. Shares.Reverse()], Trust, Day));
        Assert.Throws<ArgumentException>(() => RecoveryKitPdf.Render([.. Shares.Take(4), other[4]], Trust, Day));
        Assert.Throws<ArgumentException>(() => RecoveryKitPdf.Render(RecoveryShares.Split(Seed, Id16.New(), 2, 3, 13), Trust, Day));
    }

    // What a reader sees as one line: letters on one baseline, a space wherever there is a gap.
    static IEnumerable<string> LinesOf(Page page) => page.Letters
        .GroupBy(letter => Math.Round(letter.StartBaseLine.Y, 1))
        .OrderByDescending(line => line.Key)
        .Select(line => string.Concat(line.OrderBy(letter => letter.StartBaseLine.X).Select(letter => letter.Value)).Trim());

    static string Decode(string zbar, QrSquare code)
    {
        const int scale = 6;
        var side = code.Size * scale;
        using var image = new MemoryStream();
        image.Write(System.Text.Encoding.ASCII.GetBytes($"P5\n{side} {side}\n255\n"));
        for (var y = 0; y < side; y++)
            for (var x = 0; x < side; x++)
                image.WriteByte(code.IsDark(y / scale, x / scale) ? (byte)0 : (byte)255);

        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".pgm");
        File.WriteAllBytes(path, image.ToArray());
        try
        {
            var start = new ProcessStartInfo(zbar, ["--quiet", "--nodbus", "--raw", path]) { RedirectStandardOutput = true };
            using var process = Process.Start(start)!;
            var text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return text.Trim();
        }
        finally
        {
            File.Delete(path);
        }
    }
}
