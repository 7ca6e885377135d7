using System.Globalization;

namespace Holdfast.Core;

/// <summary>How many bytes, as people read it.</summary>
public static class ByteCount
{
    public static string Words(double bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        var unit = 0;
        while (bytes >= 1024 && unit < units.Length - 1)
        {
            bytes /= 1024;
            unit++;
        }
        return string.Create(CultureInfo.InvariantCulture, $"{(unit == 0 ? bytes : Math.Round(bytes, bytes < 10 ? 2 : bytes < 100 ? 1 : 0))} {units[unit]}");
    }
}
