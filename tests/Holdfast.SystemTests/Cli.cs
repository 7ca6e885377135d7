using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Holdfast.SystemTests;

sealed record Result(int Status, string Out, string Error)
{
    public Result Expect(int status)
    {
        Assert.True(Status == status, $"status {Status}, not {status}\n{Out}\n{Error}");
        return this;
    }
}

/// <summary>The program as its users run it, in a folder of the test's own.</summary>
sealed class Cli : IDisposable
{
    public static readonly string Root = FindRoot();

    public Cli()
    {
        Folder = Directory.CreateTempSubdirectory("holdfast-system-").FullName;
        Environment = new() { ["HOLDFAST_STATE_DIR"] = this["state"], ["HOLDFAST_VAULT"] = this["vault"], ["HOLDFAST_KEYS"] = this["keys"] };
    }

    public string Folder { get; }
    public Dictionary<string, string> Environment { get; }
    public string this[string name] => Path.Combine(Folder, name);

    static string FindRoot([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "../.."));

    public static bool Has(string program) => System.Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(p => File.Exists(Path.Combine(p, program)));

    static readonly string? FakeTimeLibrary = new[] { "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1" }.FirstOrDefault(File.Exists);

    public static void RequireFakeTime() => Assert.SkipUnless(FakeTimeLibrary is not null, "needs libfaketime");

    /// <summary>What the program's wall clock says from now on, such as "+40d"; null: the truth.</summary>
    public void FakeTime(string? lie)
    {
        Environment.Remove("LD_PRELOAD");
        if (lie is null)
            return;
        Environment["LD_PRELOAD"] = FakeTimeLibrary!;
        Environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"; // the boot clock is the kernel's: no password moves it
        Environment["FAKETIME"] = lie;
    }

    /// <summary>Mounts a small disk in memory; it goes with what is returned. Skips where this user may not mount.</summary>
    /// <param name="name">Of the folder.</param>
    /// <param name="options">Of the mount, such as "size=1m".</param>
    public IDisposable MountTmpfs(string name, string options)
    {
        Assert.SkipUnless(System.Environment.UserName == "root" && OperatingSystem.IsLinux(), "needs root to mount a small tmpfs");
        Directory.CreateDirectory(this[name]);
        Assert.SkipUnless(Finish(StartProgram("mount", null, "-t", "tmpfs", "-o", options, "tmpfs", this[name])).Status == 0, "mounting is not allowed here");
        return new Mounted(this, name);
    }

    sealed class Mounted(Cli cli, string name) : IDisposable
    {
        public void Dispose() => cli.Shell($"umount {name}");
    }

    public Process Start(params string[] arguments) => StartProgram(Path.Combine(Root, "holdfast"), null, arguments);

    public Process StartProgram(string program, string? folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder ?? Folder };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in Environment)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }

    public static Result Finish(Process process, string? input = null)
    {
        using (process)
        {
            var error = process.StandardError.ReadToEndAsync();
            var text = process.StandardOutput.ReadToEndAsync();
            if (input is not null)
                process.StandardInput.Write(input);
            process.StandardInput.Close();
            process.WaitForExit();
            return new Result(process.ExitCode, text.Result, error.Result);
        }
    }

    public Result Run(params string[] arguments) => Finish(Start(arguments));

    /// <summary>Runs it as somebody who owns nothing but what was given to 65534. For root; the test is skipped where the checkout cannot be reached by others.</summary>
    public Result RunAsNobody(params string[] arguments)
    {
        Assert.SkipUnless(System.Environment.UserName == "root" && Has("setpriv"), "needs root and setpriv to become someone else");
        var result = Finish(StartProgram("setpriv", Folder, ["--reuid=65534", "--regid=65534", "--clear-groups", Path.Combine(Root, "artifacts/holdfast/holdfast"), .. arguments]));
        Assert.SkipWhen(result.Error.Contains("setpriv", StringComparison.Ordinal), "the checkout cannot be reached by others");
        return result;
    }

    /// <summary>Runs it days later by both its clocks: in a time namespace of its own, which moves the boot clock, and with the wall clock moved. For root.</summary>
    public Result RunLater(int days, params string[] arguments)
    {
        RequireFakeTime();
        Assert.SkipUnless(System.Environment.UserName == "root" && Has("unshare"), "needs root and unshare to move the boot clock");
        var seconds = (days * 86_400).ToString(System.Globalization.CultureInfo.InvariantCulture);
        FakeTime($"+{days}d");
        try
        {
            var result = Finish(StartProgram("unshare", Folder, ["--time", "--boottime", seconds, "--monotonic", seconds, "--fork", Path.Combine(Root, "artifacts/holdfast/holdfast"), .. arguments]));
            Assert.SkipWhen(result.Error.StartsWith("unshare:", StringComparison.Ordinal), "time namespaces are not allowed here");
            return result;
        }
        finally
        {
            FakeTime(null);
        }
    }

    /// <summary>Id of the newest snapshot.</summary>
    public string LatestId() => System.Text.Json.JsonDocument.Parse(Run("snapshots", "--json").Expect(0).Out).RootElement.GetProperty("snapshots").EnumerateArray()
        .Last().GetProperty("id").GetString()!; // they are listed oldest first

    public Result Shell(string script) => Finish(StartProgram("bash", Folder, "-c", $"set -e; {script}")).Expect(0);

    public Cli Init(string locked = "1d")
    {
        Run("init", this["vault"], "--lock", locked).Expect(0);
        return this;
    }

    public void Write(string name, byte[] bytes)
    {
        var path = Path.Combine(this["source"], name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, bytes);
    }

    public static byte[] Noise(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(Folder, recursive: true);
        }
        catch (IOException)
        {
            // A child of the test may still hold something; the system cleans its temporary folders.
        }
    }
}
