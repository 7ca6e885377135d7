using QRCoder;

namespace Holdfast.Cli.RecoveryKit;

/// <summary>A QR code as rows of dark runs, so that it prints as sharp rectangles at any size.</summary>
/// <remarks>Error correction level Q: it still reads with a quarter of its area spoilt by a fold or a stain.</remarks>
sealed class QrSquare
{
    const int QuietZone = 4; // modules, which ISO/IEC 18004 wants on every side

    readonly QRCodeData _code;

    public QrSquare(string text)
    {
        using var generator = new QRCodeGenerator();
        _code = generator.CreateQrCode(text, QRCodeGenerator.ECCLevel.Q);
    }

    /// <summary>Modules on one side, the quiet zone included.</summary>
    public int Size => _code.ModuleMatrix.Count;

    /// <summary>Modules on one side, without it.</summary>
    public int Modules => Size - 2 * QuietZone;

    /// <summary>Row 0 is the highest.</summary>
    public bool IsDark(int row, int column) => _code.ModuleMatrix[row][column];

    /// <summary>Each row's runs of dark modules, from left to right.</summary>
    public IEnumerable<(int Row, int Column, int Length)> Runs()
    {
        for (var row = 0; row < Size; row++)
            for (int column = 0, start = -1; column <= Size; column++)
                if (column < Size && IsDark(row, column))
                    start = start < 0 ? column : start;
                else if (start >= 0)
                {
                    yield return (row, start, column - start);
                    start = -1;
                }
    }
}
