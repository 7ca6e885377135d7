namespace Holdfast.Sources.Landing.Formats;

/// <summary>What a dump is expected to be, as it is called in <c>landing.conf</c>.</summary>
public enum DumpFormat
{
    Any = 0,
    Mssql = 1,
    PgCustom = 2,
    PgPlain = 3,
    Mysqldump = 4,
    OracleExp = 5,
    Tar = 6,
    Ova = 7,
    Zip = 8,
    Xz = 9,
    Qcow2 = 10,
    Vmdk = 11,
    Vhdx = 12,
    Vhd = 13,
    Iso = 14,
}

/// <summary>How it is compressed around that.</summary>
public enum DumpWrapping
{
    None = 0,
    Gzip = 1,
    Zstd = 2,
}

/// <summary>A format and what is around it: <c>mysqldump+gzip</c>, or <c>gzip</c> alone for anything in it.</summary>
public readonly record struct DumpKind(DumpFormat Format, DumpWrapping Wrapping)
{
    static readonly (string Name, DumpFormat Format, bool IsStream)[] Formats =
    [
        ("any", DumpFormat.Any, true), ("mssql", DumpFormat.Mssql, true), ("pg-custom", DumpFormat.PgCustom, true), ("pg-plain", DumpFormat.PgPlain, true), ("mysqldump", DumpFormat.Mysqldump, true),
        ("oracle-exp", DumpFormat.OracleExp, true), ("tar", DumpFormat.Tar, true), ("ova", DumpFormat.Ova, true), ("zip", DumpFormat.Zip, false), ("xz", DumpFormat.Xz, false),
        ("qcow2", DumpFormat.Qcow2, false), ("vmdk", DumpFormat.Vmdk, false), ("vhdx", DumpFormat.Vhdx, false), ("vhd", DumpFormat.Vhd, false), ("iso", DumpFormat.Iso, false),
    ];

    static readonly (string Name, DumpWrapping Wrapping)[] Wrappings = [("gzip", DumpWrapping.Gzip), ("zstd", DumpWrapping.Zstd)];

    /// <summary>For people who wrote another.</summary>
    public static string Names => string.Join(", ", [.. Formats.Select(f => f.Name), .. Wrappings.Select(w => w.Name)]) + "; and FORMAT+gzip or FORMAT+zstd for " + string.Join(", ", Formats.Where(f => f.IsStream && f.Format != DumpFormat.Any).Select(f => f.Name));

    public static bool TryParse(string text, out DumpKind kind)
    {
        kind = default;
        var (name, around) = text.LastIndexOf('+') is var at and >= 0 ? (text[..at], text[(at + 1)..]) : Array.Exists(Wrappings, w => w.Name == text) ? ("any", text) : (text, "");
        var format = Array.Find(Formats, f => f.Name == name);
        var wrapping = Array.Find(Wrappings, w => w.Name == around);
        if (format.Name is null || (around.Length > 0 && (wrapping.Name is null || !format.IsStream)))
            return false;
        kind = new DumpKind(format.Format, wrapping.Wrapping);
        return true;
    }
}
