using System.Runtime.InteropServices;

namespace Holdfast.SystemTests;

/// <summary>The released program, as `./publish` makes it for the machine the test runs on.</summary>
public sealed class ReleaseTests
{
    static readonly string Rid = RuntimeInformation.RuntimeIdentifier;

    /// <summary>An ahead-of-time build: minutes, and packs that a build without network does not have.</summary>
    static bool CanPublish => Cli.Has("clang") && Directory.Exists(Package($"microsoft.netcore.app.runtime.nativeaot.{Rid}")) && Directory.Exists(Package($"microsoft.netcore.app.runtime.{Rid}"));

    static string Package(string name) => Path.Combine(Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget/packages"), name);

    [Fact]
    public void A_release_runs_by_itself_and_has_its_licences_and_checksums()
    {
        Assert.SkipUnless(CanPublish, $"needs clang and the packages microsoft.netcore.app.runtime.nativeaot.{Rid} and microsoft.netcore.app.runtime.{Rid} in the NuGet cache");
        using var cli = new Cli();
        Cli.Finish(cli.StartProgram(Path.Combine(Cli.Root, "publish"), Cli.Root, Rid)).Expect(0);
        cli.Shell($"cp -a '{Cli.Root}/artifacts/release/{Rid}' elsewhere; cd elsewhere; sha256sum -c --quiet SHA256SUMS; test \"$(find . -type f | wc -l)\" = $(($(wc -l <SHA256SUMS) + 1))");
        Assert.Matches(@"^\d+\.\d+\.\d+", cli.Shell("cd /; env -i \"$OLDPWD/elsewhere/holdfast\" --version").Out);
        Assert.Equal(17, Cli.Finish(cli.StartProgram(cli["elsewhere/holdfast"], null, "witness", "serve", "nowhere")).Status); // the other program, by the first
        Assert.Contains("The configuration (--config)", Cli.Finish(cli.StartProgram(cli["elsewhere/holdfast"], null, "serve", "--config", "nowhere")).Expect(2).Error, StringComparison.Ordinal); // and the third, with a runtime of its own
        Assert.Equal(File.ReadAllBytes(Path.Combine(Cli.Root, "LICENSE")), File.ReadAllBytes(cli["elsewhere/LICENSE"]));
        var notices = File.ReadAllText(cli["elsewhere/THIRD-PARTY-NOTICES"]);
        foreach (var name in new[] { "bouncycastle.cryptography", "awssdk.s3", "libsodium", "microsoft.data.sqlite", "npgsql", "nsec.cryptography", "pdfpig", "qrcoder", "system.commandline", "zstdnet", $"microsoft.netcore.app.runtime.nativeaot.{Rid}", $"microsoft.aspnetcore.app.runtime.{Rid}" })
            Assert.Matches($@"(?m)^{name} \d", notices);
        foreach (var name in new[] { "libsodium", "zstdnet", "qrcoder" })
        {
            foreach (var text in Directory.GetDirectories(Package(name)).SelectMany(f => Directory.GetFiles(f, "LICENSE*")))
                Assert.Contains(File.ReadAllText(text).Trim('\uFEFF', '\r', '\n'), notices, StringComparison.Ordinal);
        }
    }
}
