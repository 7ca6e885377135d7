using System.Text;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Restore;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Core;

/// <summary>Notes in a vault's folder: whoever owns it can put there what he likes, and what is no line of the note takes no memory.</summary>
public sealed class NoteLinesTests
{
    const int Hostile = 16 << 20; // bytes: as a whole it would be 32 MiB of text, and 8,000,000 lines in an array

    static string[] Lines(string path, int shortest, int longest, int most)
    {
        var lines = new List<string>();
        foreach (var line in PlainFile.ReadNote(path, shortest, longest, most))
            lines.Add(line.ToString());
        return [.. lines];
    }

    [Fact]
    public void Lines_of_the_right_length_are_given_and_no_others()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["note"], "\na\nbbb\ncccc\nddddd\n\neeeeee\nfff");
        Assert.Equal(["bbb", "cccc", "ddddd", "fff"], Lines(folder["note"], 3, 5, 100));
        Assert.Equal(["bbb", "cccc"], Lines(folder["note"], 3, 5, 2));
        Assert.Empty(Lines(folder["none"], 3, 5, 2));
        File.WriteAllText(folder["note"], "");
        Assert.Empty(Lines(folder["note"], 3, 5, 2));
    }

    /// <summary>Wherever a line lies in what is read at once, and after a line that goes beyond it.</summary>
    [Fact]
    public void No_line_is_lost_between_two_reads()
    {
        using var folder = new TempFolder();
        var expected = Enumerable.Range(0, 20_000).Select(i => new string((char)('a' + i % 26), 3 + i % 5)).ToArray();
        var text = new StringBuilder();
        for (var i = 0; i < expected.Length; i++)
            text.Append(i % 5_000 == 17 ? new string('x', 70_000 + i) + "\n" : "").Append(expected[i]).Append('\n');
        File.WriteAllText(folder["note"], text.ToString());
        Assert.Equal(expected, Lines(folder["note"], 3, 7, int.MaxValue));
    }

    static IEnumerable<(string Name, byte[] Bytes)> Hostiles()
    {
        var bytes = new byte[Hostile];
        bytes.AsSpan().Fill((byte)'a');
        yield return ("no line feed", bytes);
        for (var i = 1; i < Hostile; i += 2)
            bytes[i] = (byte)'\n';
        yield return ("short lines", bytes);
        var line = new string('x', 80) + "\n";
        for (var i = 0; i < Hostile; i++)
            bytes[i] = (byte)line[i % line.Length];
        yield return ("lines of the right length", bytes);
    }

    [Fact]
    public void What_is_no_line_takes_no_memory()
    {
        using var folder = new TempFolder();
        foreach (var (name, bytes) in Hostiles())
        {
            File.WriteAllBytes(folder["note"], bytes);
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Empty(ReadTimes.Load(folder["note"]).Times);
            Assert.Empty(new RefusalTally(folder["note"], Disk.Real).Read());
            Assert.Empty(UnclaimedNote.Read(folder["note"]));
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 12 << 20, name);
        }
    }

    /// <summary>A vault never has so many; a file of somebody's may.</summary>
    [Fact]
    public void A_note_of_too_many_names_takes_no_more_than_the_largest_real_one()
    {
        using var folder = new TempFolder();
        using (var note = new StreamWriter(folder["note"]))
        {
            for (var i = 0; i < 1_200_000; i++)
                note.Write($"{i:x64} 1\n");
        }
        Assert.Equal(1 << 20, UnclaimedNote.Read(folder["note"]).Count);
        var read = ReadTimes.Load(folder["note"]);
        Assert.Equal(1 << 20, read.Times.Count);
        Assert.Empty(read.Damaged);
    }

    /// <summary>Else a vault of more packs would read the same ones for ever, and never the others.</summary>
    [Fact]
    public void Of_too_many_packs_those_read_longest_ago_count_as_never_read()
    {
        using var folder = new TempFolder();
        Hash32[] Names(int first, int count) => [.. Enumerable.Range(first, count).Select(i => new Hash32(Convert.FromHexString($"{i:x64}")))];
        var damaged = Names(2_000_000, 10);
        Assert.Null(ReadTimes.Update(folder["reads"], new ReadFindings { Sound = Names(0, 400_000), Damaged = damaged }, 1));
        Assert.Null(ReadTimes.Update(folder["reads"], new ReadFindings { Sound = Names(400_000, 600_010) }, 2));
        var read = ReadTimes.Load(folder["reads"]);
        Assert.Equal(1_000_000 - damaged.Length, read.Times.Count);
        Assert.Equal(600_010, read.Times.Values.Count(t => t == 2));
        Assert.Equal(damaged.Order(), read.Damaged.Keys.Order());
    }
}
