using System.Diagnostics;
using System.Text;
using CsCheck;
using Holdfast.Sources.Landing.Formats;

namespace Holdfast.Tests.Sources.Landing;

/// <summary>Dumps that the real programs made are taken for whole; cut anywhere, or changed where the format has a sum, they are not.</summary>
public sealed class DumpCheckTests : IDisposable
{
    const int DataSize = 300_001; // bytes: no whole number of blocks of anything

    readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    static byte[] Noise(int length)
    {
        var bytes = new byte[length];
#pragma warning disable RS0030 // a seed makes it the same each time
        new Random(7).NextBytes(bytes);
#pragma warning restore RS0030
        return bytes;
    }

    static bool Has(string program) => Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(p => File.Exists(Path.Combine(p, program)));

    void Shell(string script)
    {
        var start = new ProcessStartInfo("bash") { WorkingDirectory = _folder.Path, RedirectStandardError = true, RedirectStandardOutput = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("set -e; " + script);
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, error.Result);
    }

    string? Fault(string kind, byte[] bytes, string? begins = null, string? ends = null)
    {
        Assert.True(DumpKind.TryParse(kind, out var parsed), kind);
        var path = _folder["checked"];
        File.WriteAllBytes(path, bytes);
        using var file = File.OpenHandle(path);
        return DumpCheck.Fault(file, parsed, new DumpCheck.Edges(begins, ends), TestContext.Current.CancellationToken);
    }

    /// <summary>What a program made of a file of noise, with zeros behind it.</summary>
    byte[] Made(string program, string script, string result)
    {
        Assert.SkipUnless(Has(program), $"needs {program}");
        File.WriteAllBytes(_folder["data"], [.. Noise(DataSize), .. new byte[DataSize], .. Noise(5_000)]);
        File.WriteAllText(_folder["note.txt"], string.Concat(Enumerable.Range(0, 3_000).Select(n => $"bed {n} of ward {n % 13}\n")));
        Shell(script);
        return File.ReadAllBytes(_folder[result]);
    }

    [Theory]
    [InlineData("gzip", "gzip", "gzip -k note.txt", "note.txt.gz")]
    [InlineData("gzip", "gzip", "gzip -kc note.txt data > two.gz; gzip -kc note.txt >> two.gz", "two.gz")]
    [InlineData("zstd", "zstd", "zstd -q note.txt", "note.txt.zst")]
    [InlineData("xz", "xz", "xz -k note.txt", "note.txt.xz")]
    [InlineData("xz", "xz", "xz -kc --block-size=10000 note.txt > b.xz; head -c 8 /dev/zero >> b.xz; xz -kc data >> b.xz", "b.xz")]
    [InlineData("zip", "zip", "zip -q a.zip note.txt data", "a.zip")]
    [InlineData("zip", "zip", "cat data | zip -q a.zip - note.txt", "a.zip")]
    [InlineData("tar+gzip", "tar", "tar czf a.tgz note.txt data", "a.tgz")]
    [InlineData("tar+zstd", "zstd", "tar c note.txt data | zstd -q > a.tzst", "a.tzst")]
    [InlineData("qcow2", "qemu-img", "qemu-img convert -O qcow2 data d", "d")]
    [InlineData("qcow2", "qemu-img", "qemu-img convert -c -O qcow2 data d", "d")]
    [InlineData("qcow2", "qemu-img", "qemu-img convert -O qcow2 -o cluster_size=4k,extended_l2=off,compat=0.10 data d", "d")]
    [InlineData("vhd", "qemu-img", "qemu-img convert -O vpc data d", "d")]
    [InlineData("vhd", "qemu-img", "qemu-img convert -O vpc -o subformat=fixed data d", "d")]
    public void Whole_it_is_sound_and_cut_anywhere_it_is_not(string kind, string program, string script, string result)
    {
        var dump = Made(program, script, result);

        Assert.Null(Fault(kind, dump));
        foreach (var length in Cuts(dump.Length))
            Assert.True(Fault(kind, dump[..length]) is not null, $"{kind} of {dump.Length} bytes, cut to {length}");
    }

    /// <summary>What stands behind the last thing that counts may go: padding of a tar file, the room at an image's end.</summary>
    [Theory]
    [InlineData("tar", "tar", "tar cf d note.txt data", "d")]
    [InlineData("tar", "tar", "tar --format=pax -cf d note.txt data", "d")]
    [InlineData("tar", "tar", "truncate -s 3M holes; tar -S -cf d holes note.txt data", "d")]
    [InlineData("vmdk", "qemu-img", "qemu-img convert -O vmdk data d", "d")]
    [InlineData("vmdk", "qemu-img", "qemu-img convert -O vmdk -o subformat=streamOptimized data d", "d")]
    [InlineData("vhdx", "qemu-img", "qemu-img convert -O vhdx data d", "d")]
    [InlineData("iso", "genisoimage", "mkdir -p i; cp data i; genisoimage -quiet -o d i", "d")]
    public void Whole_it_is_sound_and_without_some_of_its_data_it_is_not(string kind, string program, string script, string result)
    {
        var dump = Made(program, script, result);

        Assert.Null(Fault(kind, dump));
        foreach (var length in Cuts(Math.Min(dump.Length, DataSize)))
            Assert.True(Fault(kind, dump[..length]) is not null, $"{kind} of {dump.Length} bytes, cut to {length}");
    }

    static IEnumerable<int> Cuts(int length) => Enumerable.Range(0, 40).Select(n => length * n / 40).Concat([1, 3, 10, 511, 512, 513, length - 513, length - 512, length - 9, length - 4, length - 3, length - 2, length - 1]).Where(n => n < length && n >= 0).Distinct();

    [Theory]
    [InlineData("gzip", "gzip", "gzip -kc note.txt > d", 30)]
    [InlineData("zstd", "zstd", "zstd -qc note.txt > d", 30)]
    [InlineData("zip", "zip", "zip -q d.zip note.txt data; mv d.zip d", 100)]
    public void A_byte_that_was_changed_in_it_is_found(string kind, string program, string script, int from)
    {
        var dump = Made(program, script, "d");
        var end = kind == "zip" ? DataSize : dump.Length; // behind that stands the directory, of which times and attributes have no sum

        for (var at = from; at < end; at += Math.Max(1, (end - from) / 60))
        {
            var changed = dump.ToArray();
            changed[at] ^= 0x10;
            Assert.True(Fault(kind, changed) is not null, $"{kind}, byte {at}");
        }
    }

    [Theory]
    [InlineData("tar", "tar", "tar cf d note.txt data")]
    [InlineData("xz", "xz", "xz -kc note.txt > d")]
    [InlineData("vhd", "qemu-img", "qemu-img convert -O vpc data d")]
    public void A_byte_that_was_changed_in_what_has_a_sum_is_found(string kind, string program, string script)
    {
        var dump = Made(program, script, "d");
        var places = kind switch { "tar" => Enumerable.Range(0, 148), "vhd" => Enumerable.Range(dump.Length - 512, 300), _ => Enumerable.Range(dump.Length - 20, 20).Concat(Enumerable.Range(0, 12)) };

        foreach (var at in places)
        {
            var changed = dump.ToArray();
            changed[at] ^= 0x10;
            Assert.True(Fault(kind, changed) is not null, $"{kind}, byte {at}");
        }
    }

    [Fact]
    public void An_appliance_is_compared_with_its_manifest()
    {
        Assert.SkipUnless(Has("tar") && Has("sha256sum"), "needs tar and sha256sum");
        File.WriteAllBytes(_folder["disk.vmdk"], Noise(DataSize));
        File.WriteAllText(_folder["vm.ovf"], "<Envelope/>");
        Shell("for f in vm.ovf disk.vmdk; do echo \"SHA256($f)= $(sha256sum $f | cut -c1-64)\"; done > vm.mf; tar -cf d vm.ovf vm.mf disk.vmdk; tar -cf other disk.vmdk vm.ovf");
        var dump = File.ReadAllBytes(_folder["d"]);
        var changed = dump.ToArray();
        changed[3 * 1024 + DataSize / 2] ^= 1;

        Assert.Null(Fault("ova", dump));
        Assert.Equal("something in it is not what its manifest says", Fault("ova", changed));
        Assert.Null(Fault("tar", changed)); // a control: nothing else in it tells
        Assert.NotNull(Fault("ova", File.ReadAllBytes(_folder["other"])));
        Assert.NotNull(Fault("ova", dump[..(dump.Length / 2)]));
    }

    [Theory]
    [InlineData("pg-plain", "--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n\n")]
    [InlineData("pg-plain", "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n\n")]
    [InlineData("pg-plain", "--\n-- PostgreSQL database cluster dump\n--\n\nSELECT 1;\n--\n-- PostgreSQL database cluster dump complete\n--\n\n")]
    [InlineData("mysqldump", "-- MySQL dump 10.13  Distrib 8.0\nCREATE TABLE t (a INT);\n-- Dump completed on 2026-01-05 12:00:00\n")]
    [InlineData("mysqldump", "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\nCREATE TABLE t (a INT);\n-- Dump completed on 2026-01-05 12:00:00\n")]
    public void A_text_has_its_first_line_and_its_last(string kind, string text)
    {
        var closing = Encoding.UTF8.GetBytes(text.Replace("SELECT", new string(' ', 20_000) + "SELECT", StringComparison.Ordinal).Replace("CREATE", new string(' ', 20_000) + "CREATE", StringComparison.Ordinal));

        Assert.Null(Fault(kind, closing));
        var begin = text.IndexOf("complete", StringComparison.Ordinal);
        foreach (var length in Enumerable.Range(1, text.Length - begin).Select(n => closing.Length - n).Concat(Cuts(closing.Length)).Where(n => !closing.AsSpan(n).Trim("\n"u8).IsEmpty))
            Assert.True(Fault(kind, closing[..length]) is not null, $"cut to {length} of {closing.Length}");
        Assert.NotNull(Fault(kind, [.. closing, .. "DROP TABLE t;\n"u8]));
        Assert.NotNull(Fault(kind, [.. "#!"u8, .. closing]));
        Assert.Null(Fault(kind + "+gzip", Gzip(closing)));
        Assert.NotNull(Fault(kind + "+gzip", Gzip(closing[..^40]))); // sound as gzip, and not as what is in it
    }

    static byte[] Gzip(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new System.IO.Compression.GZipStream(packed, System.IO.Compression.CompressionLevel.Fastest))
            gzip.Write(bytes);
        return packed.ToArray();
    }

    [Fact]
    public void A_configuration_has_the_first_and_the_last_line_that_were_named()
    {
        Assert.Null(Fault("any", "\n! switch 3\ninterface 1\nend\r\n"u8.ToArray(), "! switch", "end"));
        Assert.NotNull(Fault("any", "\n! switch 3\ninterf"u8.ToArray(), "! switch", "end"));
        Assert.NotNull(Fault("any", "% Access denied\nend\n"u8.ToArray(), "! switch", "end"));
    }

    [Fact]
    public void What_has_only_a_header_is_known_by_it()
    {
        Assert.Null(Fault("mssql", [.. "TAPE"u8, .. new byte[508]]));
        Assert.Null(Fault("mssql", [.. "MSSQLBAK"u8, .. new byte[504]]));
        Assert.NotNull(Fault("mssql", [.. "TAPE"u8, .. new byte[500]]));
        Assert.NotNull(Fault("mssql", new byte[512]));
        Assert.Null(Fault("oracle-exp", [3, 0, 1, .. "TEXPORT:V11.02.00\n"u8]));
        Assert.NotNull(Fault("oracle-exp", [3, 0, 1, .. "TEXP0RT:V11.02.00\n"u8]));
        Assert.NotNull(Fault("any", []));
    }

    [Fact]
    public void A_checksum_beside_a_file_is_compared()
    {
        File.WriteAllText(_folder["a"], "ward list\n");
        var digest = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData("ward list\n"u8));
        using var file = File.OpenHandle(_folder["a"]);

        string? Of(string list) => DumpCheck.ChecksumFault(file, Encoding.UTF8.GetBytes(list), TestContext.Current.CancellationToken);
        Assert.Null(Of(digest));
        Assert.Null(Of($"{digest}  a\n"));
        Assert.Null(Of($"\\{digest.ToUpperInvariant()}  a\\nb\n"));
        Assert.NotNull(Of($"{digest[..63]}"));
        Assert.NotNull(Of($"{digest[..63]}{(digest[63] == '0' ? '1' : '0')}  a\n"));
        Assert.NotNull(Of($"{digest}00  a\n"));
        Assert.NotNull(Of(""));
    }

    [Fact]
    public void A_custom_dump_of_PostgreSQL_is_read_to_its_end()
    {
        Assert.SkipWhen(PostgresCluster.Missing is not null, PostgresCluster.Missing ?? "");
        using var server = new PostgresCluster();
        var database = server.NewDatabase();
        server.Psql("CREATE TABLE bed (id int, note text); INSERT INTO bed SELECT n, md5(n::text) FROM generate_series(1, 3000) n; CREATE TABLE nobody (id int); CREATE TABLE ward (id int); INSERT INTO ward VALUES (1); SELECT lo_from_bytea(0, decode(repeat('00ff7f', 9000), 'hex')); SELECT lo_from_bytea(0, '\\x01');", database);
        server.Shell("pg_dump -Fc -f custom; pg_dump -Fc | cat > piped; pg_dump -Fc -Z0 -f stored; pg_dump -f plain; pg_dumpall -f all; pg_dump -Fc -s -f schema; pg_dump -Fc -t ward -t nobody -f small", database, _folder.Path);

        foreach (var name in new[] { "custom", "piped", "stored", "schema" })
        {
            var dump = File.ReadAllBytes(_folder[name]);
            Assert.Null(Fault("pg-custom", dump));
            Assert.Null(Fault("pg-custom+gzip", Gzip(dump)));
            foreach (var length in Cuts(dump.Length))
                Assert.True(Fault("pg-custom", dump[..length]) is not null, $"{name} of {dump.Length}, cut to {length}");
        }
        var small = File.ReadAllBytes(_folder["small"]);
        for (var length = 0; length < small.Length; length++) // between two blocks of data too
            Assert.True(Fault("pg-custom", small[..length]) is not null, $"small of {small.Length}, cut to {length}");
        foreach (var name in new[] { "plain", "all" })
        {
            var dump = File.ReadAllBytes(_folder[name]);
            Assert.Null(Fault("pg-plain", dump));
            Assert.NotNull(Fault("pg-plain", dump[..^60]));
        }
    }

    /// <summary>Lengths that lead beyond the file, or below nothing: each of these ended the process.</summary>
    [Fact]
    public void A_header_that_leads_beyond_the_file_is_refused()
    {
        Assert.NotNull(Fault("gzip", [0x1F, 0x8B, 8, 2, 0, 0, 0, 0, 0, 0]));
        byte[] bgzf = [0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF, 6, 0, (byte)'B', (byte)'C', 2, 0, 0x1B, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (var length = 0; length < bgzf.Length; length++)
            Assert.True(Fault("gzip", bgzf[..length]) is not null, $"cut to {length}");
        for (var flags = 0; flags < 32; flags++)
        {
            for (var length = 10; length < 40; length++)
                _ = Fault("gzip", [0x1F, 0x8B, 8, (byte)flags, .. Noise(length)]);
        }
        byte[] header = [0xFD, .. "7zXZ"u8, 0, 0, 0], footer = [0, 0, 0, 0, 0, 0, (byte)'Y', (byte)'Z'], index = [0, 0, 0, 0];
        byte[] xz = [.. header, .. Crc(header.AsSpan(6)), .. index, .. Crc(footer.AsSpan(0, 6)), .. footer];
        Assert.Equal("its index is damaged", Fault("xz", xz));
    }

    static byte[] Crc(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var b in bytes)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
        }
        return BitConverter.GetBytes(~crc);
    }

    /// <summary>What a dump leaves that failed at once and was packed all the same.</summary>
    [Theory]
    [InlineData("gzip", "gzip", "true | gzip > d")]
    [InlineData("gzip", "gzip", "true | gzip > d; true | gzip >> d")]
    [InlineData("zstd", "zstd", "true | zstd -q > d")]
    [InlineData("xz", "xz", "true | xz > d")]
    [InlineData("xz", "xz", "true | xz > d; true | xz >> d")]
    [InlineData("zip", "zip", "touch e; zip -q a.zip e; mv a.zip d")]
    [InlineData("zip", "zip", "printf 'PK\\x05\\x06%018d' 0 | tr 0 '\\0' > d")]
    public void An_archive_of_nothing_is_no_dump(string kind, string program, string script) => Assert.Equal("it is empty", Fault(kind, Made(program, script, "d")));

    [Theory]
    [InlineData("gzip", "gzip", "true | gzip > d; gzip -c note.txt >> d")]
    [InlineData("zstd", "zstd", "true | zstd -q > d; zstd -qc note.txt >> d")]
    [InlineData("xz", "xz", "true | xz > d; xz -c note.txt >> d")]
    public void Nothing_before_a_dump_takes_nothing_from_it(string kind, string program, string script) => Assert.Null(Fault(kind, Made(program, script, "d")));

    [Fact]
    public void Any_bytes_at_all_are_judged_or_refused()
    {
        string[] kinds = ["pg-custom", "tar", "ova", "zip", "xz", "qcow2", "vmdk", "vhdx", "vhd", "iso", "gzip", "zstd", "tar+gzip", "mysqldump"];
        byte[][] heads = [[], [.. "PGDMP\x01\x0e\x00\x04\x08\x01"u8], [0xFD, .. "7zXZ\0"u8], [.. "QFI\u0000"u8[..3], 0xFB, 0, 0, 0, 3], [.. "KDMV"u8, 1, 0, 0, 0], [.. "vhdxfile"u8], [.. "conectix"u8], [0x1F, 0x8B, 8, 0], [0x28, 0xB5, 0x2F, 0xFD]];
        var samples =
            from kind in Gen.Int[0, kinds.Length - 1]
            from head in Gen.Int[0, heads.Length - 1]
            from body in Gen.Byte.Array[0, 3_000]
            from tail in Gen.Int[0, 3]
            select (Kind: kinds[kind], Bytes: (byte[])[.. heads[head], .. body, .. tail == 1 ? "PK\x05\x06\0\0\0\0\x01\0\x01\0\x2e\0\0\0\0\0\0\0\0\0"u8 : tail == 2 ? "conectix"u8 : []]);

        samples.Sample(s => { _ = Fault(s.Kind, s.Bytes); }, iter: 3_000, threads: 1);
    }

    [Fact]
    public void A_sound_image_with_bytes_changed_at_random_is_judged_or_refused()
    {
        Assert.SkipUnless(Has("qemu-img"), "needs qemu-img");
        foreach (var (kind, format) in new[] { ("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vhd", "vpc") })
        {
            var image = Made("qemu-img", $"qemu-img convert -O {format} data d", "d");
            Gen.Select(Gen.Int[0, Math.Min(image.Length, 70_000) - 1], Gen.Byte).Array[1, 8].Sample(changes =>
            {
                var changed = image.ToArray();
                foreach (var (at, value) in changes)
                    changed[at] = value;
                _ = Fault(kind, changed);
            }, iter: 200, threads: 1);
        }
    }
}
