using System.Buffers.Binary;

namespace Holdfast.Core.Snapshots;

/// <summary>What kind of file it is, for statistics (docs/format.md, section 10.5). Numbers are part of the format.</summary>
public enum ContentKind : byte
{
    Unknown = 0,
    Text = 1,
    Document = 2,
    Image = 3,
    Dicom = 4,
    AudioVideo = 5,
    Archive = 6,
    Database = 7,
    Program = 8,
    DiskImage = 9,
    Encrypted = 10,
    Source = 11,
}

/// <summary>Tells kinds by first bytes, else by extension.</summary>
public static class ContentKinds
{
    public const int Kinds = 12;

    /// <param name="start">The first bytes of the file; 512 are enough.</param>
    /// <param name="name">The file's name, for where the bytes say nothing.</param>
    /// <param name="fits">False where the extension promises another kind than the first bytes show: renamed, or encrypted in place.</param>
    public static ContentKind Tell(ReadOnlySpan<byte> start, ReadOnlySpan<byte> name, out bool fits)
    {
        var byName = ByExtension(name);
        var byBytes = ByFirstBytes(start);
        fits = true;
        if (byBytes != ContentKind.Unknown)
        {
            fits = byName is ContentKind.Unknown || byName == byBytes || byName is ContentKind.Text or ContentKind.Source
                || (byName == ContentKind.Document && byBytes == ContentKind.Archive); // office files are archives
            return byName == ContentKind.Document && byBytes == ContentKind.Archive ? ContentKind.Document : byBytes;
        }
        var isText = LooksLikeText(start);
        if (byName is ContentKind.Text or ContentKind.Source)
        {
            fits = isText;
            return byName;
        }
        if (byName is ContentKind.Document or ContentKind.Image or ContentKind.Archive)
            fits = start.Length < 4 || isText; // these have known first bytes, or are text (svg, rtf without its mark)
        return byName != ContentKind.Unknown ? byName : isText ? ContentKind.Text : ContentKind.Unknown;
    }

    static ContentKind ByFirstBytes(ReadOnlySpan<byte> s)
    {
        if (s.Length >= 132 && s.Slice(128, 4).SequenceEqual("DICM"u8))
            return ContentKind.Dicom;
        if (s.Length < 4)
            return ContentKind.Unknown;
        switch (BinaryPrimitives.ReadUInt32BigEndian(s))
        {
            case 0x25504446: // %PDF
            case 0xD0CF11E0: // OLE
            case 0x7B5C7274: // {\rt
                return ContentKind.Document;
            case 0x89504E47: // PNG
            case 0x47494638: // GIF8
            case 0x49492A00: // TIFF
            case 0x4D4D002A:
                return ContentKind.Image;
            case 0x504B0304: // zip
            case 0x28B52FFD: // zstd
            case 0xFD377A58: // xz
            case 0x377ABCAF: // 7z
            case 0x52617221: // Rar!
                return ContentKind.Archive;
            case 0x7F454C46: // ELF
            case 0xCAFEBABE: // class, Mach-O
            case 0xCFFAEDFE:
            case 0x0061736D: // wasm
                return ContentKind.Program;
            case 0x53514C69: // SQLi(te)
            case 0x50474450: // PGDMP, pg_dump
                return ContentKind.Database;
            case 0x514649FB: // QFI, qcow2
            case 0x4B444D56: // KDMV
                return ContentKind.DiskImage;
            case 0x4F676753: // OggS
            case 0x664C6143: // fLaC
            case 0x1A45DFA3: // Matroska
            case 0x52494646: // RIFF
                return ContentKind.AudioVideo;
            case 0x53616C74: // Salt(ed__), openssl enc
            case 0x4C554B53: // LUKS
                return ContentKind.Encrypted;
        }
        if (s[0] == 0xFF && s[1] == 0xD8 && s[2] == 0xFF)
            return ContentKind.Image; // JPEG
        if (s[0] == 0x1F && s[1] == 0x8B || s.StartsWith("BZh"u8))
            return ContentKind.Archive;
        if (s.StartsWith("MZ"u8) || s.StartsWith("#!"u8))
            return ContentKind.Program;
        if (s.Length > 8 && s.Slice(4, 4).SequenceEqual("ftyp"u8) || s.StartsWith("ID3"u8))
            return ContentKind.AudioVideo;
        if (s.StartsWith("age-encryption"u8) || s.StartsWith("-----BEGIN PGP MESSAGE"u8))
            return ContentKind.Encrypted;
        return s.Length > 262 && s.Slice(257, 5).SequenceEqual("ustar"u8) ? ContentKind.Archive : ContentKind.Unknown;
    }

    static ContentKind ByExtension(ReadOnlySpan<byte> name)
    {
        var dot = name.LastIndexOf((byte)'.');
        if (dot <= 0 || name.Length - dot is < 2 or > 8)
            return ContentKind.Unknown;
        Span<byte> lower = stackalloc byte[8];
        var length = name.Length - dot - 1;
        for (var i = 0; i < length; i++)
            lower[i] = (byte)(name[dot + 1 + i] is >= (byte)'A' and <= (byte)'Z' and var c ? c | 0x20 : name[dot + 1 + i]);
        ulong key = 0;
        foreach (var c in lower[..length])
            key = key << 8 | c;
        return Extensions.TryGetValue(key, out var kind) ? kind : ContentKind.Unknown;
    }

    static readonly Dictionary<ulong, ContentKind> Extensions = MakeExtensions();

    static Dictionary<ulong, ContentKind> MakeExtensions()
    {
        var map = new Dictionary<ulong, ContentKind>();
        Add(ContentKind.Text, "txt log csv tsv md rst ini cfg conf properties hl7 eml po");
        Add(ContentKind.Document, "pdf doc docx xls xlsx ppt pptx odt ods odp rtf vsd msg");
        Add(ContentKind.Image, "png jpg jpeg gif tif tiff bmp webp heic svg ico jp2");
        Add(ContentKind.Dicom, "dcm dicom");
        Add(ContentKind.AudioVideo, "mp3 mp4 m4a m4v avi mkv mov wav flac ogg webm wmv");
        Add(ContentKind.Archive, "zip gz tgz bz2 xz zst 7z rar tar jar cab deb rpm whl");
        Add(ContentKind.Database, "db sqlite sqlite3 mdf ndf ldf bak dmp dump ibd frm mdb accdb dbf edb");
        Add(ContentKind.Program, "exe dll so sys msi bin com pyc o a ko class");
        Add(ContentKind.DiskImage, "vmdk vhd vhdx qcow2 img iso vdi raw ova");
        Add(ContentKind.Encrypted, "gpg pgp age aes enc kdbx p7m");
        Add(ContentKind.Source, "c h cc cpp hpp cs java py js ts go rs rb pl php sh html htm css xml json yaml yml toml sql tex el lisp hs ml");
        return map;

        void Add(ContentKind kind, string extensions)
        {
            foreach (var extension in extensions.Split(' '))
                map[extension.Aggregate(0UL, (key, c) => key << 8 | c)] = kind;
        }
    }

    static bool LooksLikeText(ReadOnlySpan<byte> s) => !s.IsEmpty && !s[..Math.Min(s.Length, 512)].ContainsAnyInRange((byte)0, (byte)8);
}
