using System.Diagnostics;
using Holdfast.Core;

namespace Holdfast.Server.Siege;

/// <summary>What a process ended with. Status -1: it was ended, for its time was over.</summary>
sealed record Ran(int Status, string Out, string Error);

/// <summary>Runs processes, each within its time, and ends those that still run when this is disposed of.</summary>
/// <param name="stop">Ends what is waited for.</param>
sealed class Tools(CancellationToken stop) : IDisposable
{
    static readonly TimeSpan Most = TimeSpan.FromSeconds(60);
    static readonly TimeSpan Ending = TimeSpan.FromSeconds(15);

    readonly List<Process> _servers = [];

    /// <summary>This program: what keepers, gateways and agents are run by.</summary>
    public static string Self { get; } = Environment.ProcessPath ?? throw new HoldfastException(ErrorCode.SystemLimit, "It cannot be told which program this is.", "Run it by its path.");

    public static bool IsRoot => Environment.UserName == "root";

    public static bool Has(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Any(p => File.Exists(Path.Combine(p, program)));

    /// <summary>The library that lies to a process about the time; null where it is not installed.</summary>
    public static string? FakeTime { get; } = Array.Find(["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib64/faketime/libfaketime.so.1"], File.Exists);

    /// <summary>Runs a program to its end.</summary>
    /// <param name="program">Name or path.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="folder">Where it runs.</param>
    /// <param name="names">Of its environment, besides what this process has.</param>
    /// <param name="uid">Another user, where this one is root; null for this user.</param>
    /// <param name="most">How long it may run; null: a minute.</param>
    /// <param name="input">What it reads; null for nothing.</param>
    public Ran Run(string program, IEnumerable<string> arguments, string folder, IReadOnlyDictionary<string, string>? names = null, int? uid = null, TimeSpan? most = null, Stream? input = null)
    {
        using var process = Begin(program, arguments, folder, names, uid);
        using var time = CancellationTokenSource.CreateLinkedTokenSource(stop);
        time.CancelAfter(most ?? Most);
        var (said, told) = (process.StandardOutput.ReadToEndAsync(CancellationToken.None), process.StandardError.ReadToEndAsync(CancellationToken.None));
        var isOver = false;
        try
        {
            if (input is not null)
                input.CopyTo(process.StandardInput.BaseStream);
            process.StandardInput.Close();
            process.WaitForExitAsync(time.Token).GetAwaiter().GetResult();
        }
        catch (IOException)
        {
            process.WaitForExit(); // it read no more
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            isOver = true;
        }
        stop.ThrowIfCancellationRequested();
        return new Ran(isOver ? -1 : process.ExitCode, said.GetAwaiter().GetResult(), told.GetAwaiter().GetResult());
    }

    /// <summary>Runs one that has to end well.</summary>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>: it did not.</exception>
    public Ran Must(string program, IEnumerable<string> arguments, string folder, IReadOnlyDictionary<string, string>? names = null, int? uid = null)
    {
        var ran = Run(program, arguments, folder, names, uid);
        return ran.Status == 0 ? ran : throw Broken($"{Path.GetFileName(program)} {arguments.FirstOrDefault()} ended with {ran.Status}: {ran.Error.Trim().ReplaceLineEndings(" ")}");
    }

    public static HoldfastException Broken(string what) => new(ErrorCode.SystemLimit, $"The attack test cannot be built up here: {what}", "Look at what it says; nothing but the test's own folder was touched.");

    /// <summary>Starts one that answers others, and waits for its first lines.</summary>
    /// <param name="lines">How many.</param>
    public (Process Process, string[] Said) Serve(IEnumerable<string> arguments, string folder, IReadOnlyDictionary<string, string> names, int? uid, int lines)
    {
        var process = Begin(Self, arguments, folder, names, uid);
        _servers.Add(process);
        process.StandardInput.Close();
        var told = process.StandardError.ReadToEndAsync(CancellationToken.None);
        var said = new string[lines];
        for (var i = 0; i < lines; i++)
        {
            using var time = CancellationTokenSource.CreateLinkedTokenSource(stop);
            time.CancelAfter(Most);
            said[i] = process.StandardOutput.ReadLineAsync(time.Token).AsTask().GetAwaiter().GetResult() ?? throw Broken($"{arguments.First()} ended at its start: {told.GetAwaiter().GetResult().Trim().ReplaceLineEndings(" ")}");
        }
        _ = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        return (process, said);
    }

    /// <summary>Starts any other program that goes on running; it is ended like those.</summary>
    public Process Start(string program, IEnumerable<string> arguments, string folder, int? uid = null)
    {
        var process = Begin(program, arguments, folder, null, uid);
        _servers.Add(process);
        process.StandardInput.Close();
        _ = process.StandardError.ReadToEndAsync(CancellationToken.None);
        _ = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        return process;
    }

    /// <summary>Ends one in order; where it does not, all the same.</summary>
    public void Stop(Process process)
    {
        _servers.Remove(process);
        using (process)
        {
            if (process.HasExited)
                return;
            using (var kill = Process.Start(new ProcessStartInfo("sh", ["-c", "kill -TERM \"$1\"", "sh", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)])))
                kill?.WaitForExit();
            if (!process.WaitForExit(Ending))
                process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }
    }

    static Process Begin(string program, IEnumerable<string> arguments, string folder, IReadOnlyDictionary<string, string>? names, int? uid)
    {
        IEnumerable<string> whole = uid is { } other ? ["setpriv", $"--reuid={other}", $"--regid={other}", "--clear-groups", "--", program, .. arguments] : [program, .. arguments];
        var start = new ProcessStartInfo(whole.First(), whole.Skip(1)) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        foreach (var name in start.Environment.Keys.Where(n => n.StartsWith("HOLDFAST_", StringComparison.Ordinal) || n is "LD_PRELOAD").ToList())
            start.Environment.Remove(name);
        foreach (var (name, value) in names ?? new Dictionary<string, string>())
            start.Environment[name] = value;
        try
        {
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw Broken($"{program} cannot be run: {e.Message}");
        }
    }

    /// <summary>The most memory that a process has had, bytes, since this was asked with <paramref name="anew"/>; 0 where it is gone.</summary>
    public static long Peak(int pid, bool anew = false)
    {
        try
        {
            if (anew)
                File.AppendAllText($"/proc/{pid}/clear_refs", "5"); // proc(5): the peak is what it has now
            var line = File.ReadLines($"/proc/{pid}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
            return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], System.Globalization.CultureInfo.InvariantCulture) << 10;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return 0;
        }
    }

    public void Dispose()
    {
        foreach (var process in Enumerable.Reverse(_servers).ToList())
            Stop(process);
    }
}
