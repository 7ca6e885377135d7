using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Holdfast.Tests.Layers;

/// <summary>Arrows point one way. A folder of Core may use those that stand above it here, and nothing else.</summary>
public sealed partial class LayerTests
{
    static readonly string[] Order =
    [
        "Codec", "Crypto", "Chunking", "Retention", "Approvals", "Log", "Storage", "Keys", "Packs", "Index", "Snapshots", "Keeper", "Backup", "Gateway", "Restore", "Grants",
    ];

    static string Root([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../../.."));

    [GeneratedRegex(@"\bHoldfast\.(Core\.(?<layer>\w+)|(?<project>Sources|Cli|Server|Storage))\b|\busing (?<layer2>\w+)\.")]
    private static partial Regex Uses();

    [GeneratedRegex(@"(?<![\w.])(?<layer>Codec|Crypto|Chunking|Retention|Approvals|Log|Storage|Keys|Packs|Index|Snapshots|Keeper|Backup|Gateway|Restore|Grants)\.[A-Z]\w+")]
    private static partial Regex Relative();

    [Fact]
    public void Core_folders_use_only_those_above_them()
    {
        var core = Path.Combine(Root(), "src/Holdfast.Core");
        var found = Directory.GetDirectories(core).Select(Path.GetFileName).Where(n => n is not ("obj" or "bin")).Order().ToList();
        Assert.Equal(found, Order.Order());
        var wrong = new List<string>();
        foreach (var layer in Order)
        {
            foreach (var file in Directory.GetFiles(Path.Combine(core, layer), "*.cs", SearchOption.AllDirectories))
            {
                foreach (var line in File.ReadLines(file).Where(l => !l.TrimStart().StartsWith("//", StringComparison.Ordinal)))
                {
                    foreach (Match use in Uses().Matches(line))
                    {
                        var used = use.Groups["layer"].Value;
                        if (use.Groups["project"].Success || (Array.IndexOf(Order, used) is var i and >= 0 && i > Array.IndexOf(Order, layer) && !IsKnown(layer, used)))
                            wrong.Add($"{layer}/{Path.GetFileName(file)}: {line.Trim()}");
                    }
                }
            }
        }
        Assert.Empty(wrong);
    }

    /// <summary>The log writes through the store's seam for changes; it uses nothing else of it.</summary>
    static bool IsKnown(string layer, string used) => (layer, used) is ("Log", "Storage") or ("Storage", "Log");

    /// <summary>And what it calls of the service that removes anything, it calls on objects of its own that it made to try that out; and for expiry, with a credential of its own.</summary>
    [Fact]
    public void The_object_store_uses_Core_alone_and_removes_nothing_but_for_expiry()
    {
        foreach (var file in Directory.GetFiles(Path.Combine(Root(), "src/Holdfast.Storage.S3"), "*.cs"))
        {
            var text = File.ReadAllText(file);
            Assert.DoesNotMatch(@"Holdfast\.(Sources|Cli|Server|Core\.(Codec|Crypto|Chunking|Approvals|Log|Keys|Packs|Index|Snapshots|Keeper|Backup|Gateway|Restore|Grants))\b", text);
            Assert.True(!text.Contains("DeleteObject", StringComparison.Ordinal) || Path.GetFileName(file) is "BucketCheck.cs" or "S3Remover.cs", $"{Path.GetFileName(file)} removes objects");
        }
    }

    /// <summary>What is linked into it costs memory in each backup, used or not (docs/performance.md).</summary>
    [Fact]
    public void The_program_that_backs_up_into_folders_has_no_network()
    {
        static IEnumerable<string> Network(System.Reflection.Assembly assembly) => assembly.GetReferencedAssemblies().Select(a => a.Name!)
            .Where(n => n is "System.Net.Http" or "System.Net.Sockets" or "System.Net.Security" || n.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal) || n.StartsWith("AWSSDK", StringComparison.Ordinal));

        var program = System.Reflection.Assembly.Load("holdfast");
        var seen = new HashSet<string>();
        var open = new Queue<System.Reflection.Assembly>([program]);
        while (open.TryDequeue(out var assembly))
        {
            Assert.Empty(Network(assembly));
            foreach (var next in assembly.GetReferencedAssemblies().Where(a => a.Name!.StartsWith("Holdfast", StringComparison.Ordinal) && seen.Add(a.Name)))
                open.Enqueue(System.Reflection.Assembly.Load(next));
        }
        Assert.Equal(["Holdfast.Cli", "Holdfast.Core", "Holdfast.Sources"], seen.Order());
        Assert.NotEmpty(Network(System.Reflection.Assembly.Load("holdfast-server")));
    }

    /// <summary>It starts what has keys, and has none; and its libraries are in no program that backs up or keeps.</summary>
    [Fact]
    public void The_control_plane_holds_no_key_and_opens_no_vault()
    {
        static HashSet<string> All(string program)
        {
            var seen = new HashSet<string>();
            var open = new Queue<string>([program]);
            while (open.TryDequeue(out var name))
            {
                foreach (var next in System.Reflection.Assembly.Load(name).GetReferencedAssemblies().Select(a => a.Name!).Where(seen.Add).Where(n => n.StartsWith("Holdfast", StringComparison.Ordinal)))
                    open.Enqueue(next);
            }
            return seen;
        }

        string[] own = ["Npgsql", "Microsoft.Data.Sqlite", "YamlDotNet", "Cronos"];
        Assert.Equal(own.Order(), own.Intersect(All("holdfast-control")).Order());
        Assert.DoesNotContain("Holdfast.Storage.S3", All("holdfast-control"));
        foreach (var program in new[] { "holdfast", "holdfast-server" })
            Assert.Empty(own.Intersect(All(program)));
        foreach (var file in Directory.GetFiles(Path.Combine(Root(), "src/Holdfast.Control"), "*.cs", SearchOption.AllDirectories))
            Assert.DoesNotMatch(@"Holdfast\.(Sources|Server|Storage)\b|Core\.(Codec|Crypto|Chunking|Approvals|Log|Keys|Packs|Index|Snapshots|Keeper|Backup|Gateway|Restore|Grants)\b|\bVault\.(Open|Create)|\bOpenVault\b|\b(OpeningKeys?|ReadingKeys|PutKey|AgentKey|VaultKeeper)\b", File.ReadAllText(file));
    }

    [Fact]
    public void The_keeper_holds_no_data_key()
    {
        var wrong = Directory.GetFiles(Path.Combine(Root(), "src/Holdfast.Core/Keeper"), "*.cs")
            .SelectMany(f => File.ReadLines(f).Select(l => (File: Path.GetFileName(f), Line: l)))
            .Where(l => l.Line.Contains("OpeningKeys", StringComparison.Ordinal) || l.Line.Contains("ReadingKeys", StringComparison.Ordinal) || l.Line.Contains("DomainKeys", StringComparison.Ordinal)
                || l.Line.Contains("PutKey", StringComparison.Ordinal) || l.Line.Contains("SealedBox", StringComparison.Ordinal)).ToList();
        Assert.Empty(wrong);
    }

    [Fact]
    public void Only_expiry_removes_named_files()
    {
        var wrong = Directory.GetFiles(Path.Combine(Root(), "src"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(f => File.ReadLines(f).Select(l => (File: Path.GetFileName(f), Line: l)))
            .Where(l => l.Line.Replace("remover.key", "", StringComparison.Ordinal).Contains("emover", StringComparison.Ordinal)).Select(l => l.File).Distinct().Order(StringComparer.Ordinal).ToList();
        Assert.Equal(["Expiry.cs", "IObjectStores.cs", "IRemover.cs", "OtherProgram.cs", "Places.cs", "Remover.cs", "S3Remover.cs", "S3Stores.cs", "VaultKeeper.Locks.cs", "VaultKeeper.cs"], wrong); // VaultKeeper makes it, for expiry
        Assert.DoesNotContain(typeof(Holdfast.Core.Storage.IStore).GetMethods().Concat(typeof(Holdfast.Core.Storage.ILockingStore).GetMethods()), m => m.Name.Contains("Delete", StringComparison.Ordinal) || m.Name.Contains("Remove", StringComparison.Ordinal));
    }

    [Fact]
    public void System_calls_that_remove_rename_or_shorten_stand_in_few_places()
    {
        var allowed = new Dictionary<string, string[]>
        {
            ["Native.Unlink("] = ["ApartFiles.cs", "LandingFiles.cs", "LateEntries.cs", "TargetDisks.cs"],
            ["Native.Rename("] = ["ApartFiles.cs"],
            ["Native.Truncate("] = ["TargetFiles.cs"],
            ["RenameAt2("] = ["Disk.cs", "Libc.cs"],
            ["\"unlink\""] = [],
            ["\"unlinkat\""] = ["Native.cs"],
            ["EntryPoint = \"rename"] = ["Native.cs", "Libc.cs"],
            ["\"ftruncate"] = ["Native.cs"],
            ["\"rmdir\""] = [],
        };
        foreach (var file in Directory.GetFiles(Path.Combine(Root(), "src"), "*.cs", SearchOption.AllDirectories))
        {
            var text = File.ReadAllText(file);
            foreach (var (call, places) in allowed)
                Assert.True(!text.Contains(call, StringComparison.Ordinal) || places.Contains(Path.GetFileName(file)), $"{Path.GetFileName(file)} has {call}");
        }
    }

    [Fact]
    public void Every_error_code_is_documented()
    {
        var document = File.ReadAllText(Path.Combine(Root(), "docs/errors.md"));
        foreach (var code in Enum.GetValues<Holdfast.Core.ErrorCode>().Where(c => c != Holdfast.Core.ErrorCode.None))
            Assert.Contains($"| {(int)code} | `{code}` |", document, StringComparison.Ordinal);
    }

    [Fact]
    public void The_documentation_links_to_files_that_are_there()
    {
        var root = Root();
        var broken = new List<string>();
        foreach (var file in Directory.GetFiles(root, "*.md").Concat(Directory.GetFiles(Path.Combine(root, "docs"), "*.md", SearchOption.AllDirectories)))
        {
            foreach (Match link in Links().Matches(File.ReadAllText(file)))
            {
                var target = link.Groups[1].Value.Split('#')[0];
                if (target.Length > 0 && !target.Contains("://", StringComparison.Ordinal) && !Path.Exists(Path.Combine(Path.GetDirectoryName(file)!, target)))
                    broken.Add($"{Path.GetFileName(file)}: {target}");
            }
        }
        Assert.Empty(broken);
    }

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Links();
}
