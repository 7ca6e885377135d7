using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Holdfast.Core.Snapshots;
using Holdfast.Sources.Files;

namespace Holdfast.Tests.Sources;

/// <summary>Targets in which another user may rename while root restores.</summary>
public sealed partial class SharedTargetTests
{
    const uint Other = 65_534;
    const int CurrentFolder = -100;
    const uint Exchange = 2; // RENAME_EXCHANGE

    static bool IsRoot => OperatingSystem.IsLinux() && Environment.UserName == "root";

    [LibraryImport("libc", EntryPoint = "renameat2", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Rename(int fromFolder, string from, int toFolder, string to, uint flags);

    [LibraryImport("libc", EntryPoint = "lchown", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Give(string path, uint uid, uint gid);

    static string Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return text.Trim();
    }

    /// <summary>Owner and permissions.</summary>
    static string Look(string path) => Run("stat", "-L", "-c", "%u %a", path);

    static int Add(EntryBatch rows, string path, EntryKind kind, uint mode, uint owner)
    {
        var row = rows.Add(Encoding.UTF8.GetBytes(path));
        (rows.Kind[row], rows.Mode[row], rows.Uid[row], rows.Gid[row], rows.LinkCount[row]) = (kind, mode, owner, owner, 1);
        rows.LinkTarget[row] = kind == EntryKind.Symlink ? "nowhere"u8.ToArray() : null;
        return row;
    }

    /// <summary>Another thread exchanges each name, as soon as it is there, for a file that its reader may not see, and back. On code that goes by names this fails unless that thread
    /// is never quick enough in all rounds.</summary>
    [Theory]
    [InlineData(EntryKind.Fifo)]
    [InlineData(EntryKind.Symlink)]
    public void What_is_exchanged_for_a_special_file_as_it_is_made_gets_nothing_of_it(EntryKind kind)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs renameat2");
        Assert.SkipUnless(IsRoot || kind == EntryKind.Fifo, "only root gives a symlink away");
        const int entries = 400;
        var (time, exchanged) = (Stopwatch.StartNew(), 0);
        for (var round = 0; round < 40 && time.Elapsed < TimeSpan.FromSeconds(4); round++)
        {
            using var folder = new TempFolder();
            Directory.CreateDirectory(folder["t"]);
            File.WriteAllText(folder["t/secret"], "root's alone");
            Run("chmod", "600", folder["t/secret"]);
            using var secret = File.OpenHandle(folder["t/secret"]);
            var held = $"/proc/{Environment.ProcessId}/fd/{secret.DangerousGetHandle()}"; // whatever its name
            var before = Look(held);
            var names = Enumerable.Range(0, entries).Select(i => folder[$"t/x{i:d3}"]).ToArray();
            using var target = FileTarget.Create(folder["t"], new FileTargetOptions { Existing = ExistingFiles.Replace });
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, IsRoot ? Other : 0));
            for (var i = 0; i < entries; i++)
                target.Add(rows, Add(rows, $"x{i:d3}", kind, 0x1B6, IsRoot ? Other : 0));
            var isDone = false;
            var other = new Thread(() =>
            {
                for (var i = 0; i < entries; i++)
                {
                    while (Rename(CurrentFolder, folder["t/secret"], CurrentFolder, names[i], Exchange) != 0)
                    {
                        if (Volatile.Read(ref isDone))
                            return;
                    }
                    exchanged++;
                    Thread.SpinWait(2_000); // long enough for what follows the making
                    _ = Rename(CurrentFolder, folder["t/secret"], CurrentFolder, names[i], Exchange);
                }
            });
            other.Start();
            target.Finish();
            Volatile.Write(ref isDone, true);
            other.Join();
            Assert.Equal(before, Look(held));
            Assert.All(target.Problems, p => Assert.Equal(TargetFault.InTheWay, p.Fault));
        }
        Assert.True(exchanged > 0, "nothing was exchanged");
    }

    [Fact]
    public void Special_files_get_all_their_attributes()
    {
        Assert.SkipUnless(IsRoot, "owners and devices take root");
        using var folder = new TempFolder();
        using (var target = FileTarget.Create(folder["t"], new FileTargetOptions()))
        {
            var rows = new EntryBatch();
            target.Add(rows, Add(rows, "", EntryKind.Directory, 0x1ED, 0));
            foreach (var kind in new[] { EntryKind.CharacterDevice, EntryKind.Fifo, EntryKind.Symlink })
            {
                var row = Add(rows, $"{kind}", kind, 0x1B6, Other);
                rows.MtimeSeconds[row] = 1_000_000_000;
                rows.RawDevice[row] = kind == EntryKind.CharacterDevice ? 1UL << 32 | 3 : 0;
                rows.Xattrs[row] = XattrList.Encode([("trusted.holdfast"u8.ToArray(), "1"u8.ToArray())]);
                target.Add(rows, row);
            }
            Assert.Equal(3, target.Finish().Others);
            Assert.Empty(target.Problems);
            Assert.DoesNotContain(target.Refusals, r => r.What != "extended attributes"); // not every file system has them
        }
        foreach (var kind in new[] { EntryKind.CharacterDevice, EntryKind.Fifo })
            Assert.Equal("65534 65534 666 1000000000", Run("stat", "-c", "%u %g %a %Y", folder[$"t/{kind}"]));
        Assert.Equal("65534 65534 777 1000000000", Run("stat", "-c", "%u %g %a %Y", folder[$"t/{EntryKind.Symlink}"]));
    }
}
