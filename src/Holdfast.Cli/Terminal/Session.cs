using System.CommandLine;
using System.Text;
using System.Text.Json;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>One run of a command: where its words go, and how its failures are told.</summary>
sealed class Session
{
    public static readonly Option<bool> JsonOption = new("--json") { Description = "Print one JSON object instead of text; a failure is its member `error`." };
    static readonly Option<bool> RefusedJsonOption = new(JsonOption.Name) { Hidden = true };
    public static readonly Option<bool> QuietOption = new("--quiet", "-q") { Description = "Print nothing but what was asked for, warnings and errors: a command that does something and goes well says nothing." };

    readonly bool _json;
    readonly JsonReport _report = new();
    readonly HashSet<string> _advised = [];
    readonly List<Action> _told = []; // failures in words, for after the JSON document
    readonly TextWriter _error = Console.Error;

    public Session(ParseResult parsed)
    {
        Parsed = parsed;
        _json = parsed.GetValue(JsonOption) || parsed.GetValue(RefusedJsonOption);
        IsQuiet = parsed.GetValue(QuietOption) || _json;
    }

    public ParseResult Parsed { get; }
    public INetwork Network => ((CommandInvocation)Parsed.InvocationConfiguration).Network;
    public IControl Control => ((CommandInvocation)Parsed.InvocationConfiguration).Control;
    public bool IsQuiet { get; }
    public bool IsJson => _json;
    public CancellationToken Stop { get; } = Interrupt.Token;

    /// <summary>Ends what is asked of a keeper elsewhere: with <see cref="Stop"/>, but for a command that has something to record when it is stopped.</summary>
    public CancellationToken Reaching { get; set; } = Interrupt.Token;

    /// <summary>A command whose failures are told with their code and what to do, and whose exit status is the code.</summary>
    /// <param name="name">What is typed.</param>
    /// <param name="description">Of its help.</param>
    /// <param name="shape">Adds arguments and options.</param>
    /// <param name="run">Gives the exit status.</param>
    /// <param name="withoutJson">What to do instead of --json, for a command whose results are bytes.</param>
    public static Command Command(string name, string description, Action<Command> shape, Func<Session, int> run, string? withoutJson = null)
    {
        var command = new Command(name, description);
        shape(command);
        command.Options.Add(withoutJson is null ? JsonOption : RefusedJsonOption);
        command.Options.Add(QuietOption);
        command.SetAction(parsed =>
        {
            var session = new Session(parsed);
            var status = withoutJson is not null && session.IsJson
                ? session.Fail(ErrorCode.Usage, $"`holdfast {name}` writes bytes as they are; it has no JSON form.", withoutJson)
                : session.Run(run);
            session.Complete();
            return status;
        });
        return command;
    }

    int Run(Func<Session, int> run)
    {
        try
        {
            ProcessLimits.RequireOpenFiles();
            return run(this);
        }
        catch (HoldfastException e)
        {
            return Fail(e.Code, e.Message, e.Guidance);
        }
        catch (OperationCanceledException)
        {
            return Fail(ErrorCode.Interrupted, "Interrupted. Nothing half-done counts.", "Run the same command again when it suits.");
        }
        catch (ReaderGoneException)
        {
            return 0; // as with head(1)
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var fault = Core.Storage.DiskFault.Of(e);
            return Fail(fault.Code, fault.Message, fault.Guidance);
        }
        catch (Exception e) when (ProcessLimits.Of(e) is { } fault)
        {
            return Fail(fault.Code, fault.Message, fault.Guidance);
        }
        catch (Exception e)
        {
            return Fail(ErrorCode.Internal, $"A defect in Holdfast: {e.GetType().Name} at {Where(e)}.",
                "Please report it with these words and the version (holdfast --version); they hold no names or contents. Nothing half-done counts.");
        }
    }

    /// <summary>Ends the JSON document of the run, the only one there is; then says in words what failed.</summary>
    void Complete()
    {
        if (_json)
            _report.Complete();
        _told.ForEach(tell => tell());
    }

    /// <summary>The innermost places of our own code: methods, never values.</summary>
    static string Where(Exception e) =>
        string.Join(" < ", (e.StackTrace ?? "").Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith("at Holdfast", StringComparison.Ordinal)).Take(4)
            .Select(l => l[3..(l.IndexOf('(') is var p and > 0 ? p : l.Length)]));

    public int Fail(ErrorCode code, string message, string guidance)
    {
        if (!_json)
        {
            Output.Flush();
            return Tell(code, message, _advised.Contains(guidance) && !Console.IsOutputRedirected && !Console.IsErrorRedirected ? "as it says above." : guidance); // both on one screen
        }
        _report.Error(code, message, guidance);
        _told.Add(() => Tell(code, message, guidance));
        return (int)code;
    }

    /// <summary>Tells a call that cannot be run; where JSON was asked for, in JSON too.</summary>
    public static int Refuse(IEnumerable<string> arguments, HoldfastException fault)
    {
        if (arguments.TakeWhile(a => a != "--").Contains(JsonOption.Name))
        {
            var report = new JsonReport();
            report.Error(fault.Code, fault.Message, fault.Guidance);
            report.Complete();
        }
        return Tell(fault.Code, fault.Message, fault.Guidance);
    }

    /// <summary>A failure in words, on standard error; the status is its code.</summary>
    public static int Tell(ErrorCode code, string message, string guidance)
    {
        Console.Error.WriteLine(Text.Plain(Shell.AsCalled($"holdfast: {message}")));
        Console.Error.WriteLine(Text.Plain(Shell.AsCalled($"  what to do: {guidance}")));
        Console.Error.WriteLine($"  code: {code} ({(int)code})");
        return (int)code;
    }

    /// <summary>A line of the answer, of a command that was asked for one.</summary>
    public void Line(string text = "")
    {
        if (_json)
            return;
        Output.Write(Terminal.Text.Plain(Shell.AsCalled(text)) + "\n");
        Output.Flush();
    }

    /// <summary>What to do about something in the answer: once, where several things want the same done.</summary>
    public void Advice(string before, string advice)
    {
        if (_advised.Add(advice))
            Line(before + advice);
    }

    /// <summary>A line on what a command does and has done: --quiet leaves it out.</summary>
    public void Step(string text = "")
    {
        if (!IsQuiet)
            Line(text);
    }

    /// <summary>A line on something wrong, among those of <see cref="Step"/>: with --quiet it stands alone, and so on standard error.</summary>
    public void Finding(string text)
    {
        if (!IsQuiet)
            Line(text);
        else if (!_json)
            Warn(text);
    }

    /// <summary>A line of a long list: lines are written many at a time, and the list ends where nobody reads it any more.</summary>
    public void Row(string text)
    {
        if (_json)
            return;
        Output.Write(Terminal.Text.Plain(text) + "\n");
        if (Output.IsOver)
            Output.Require();
    }

    /// <summary>A line for the person at the terminal, not a result.</summary>
    public void Note(string text)
    {
        if (!IsQuiet)
            Warn(text);
    }

    /// <summary>A line on standard error that --quiet leaves.</summary>
    public void Warn(string text)
    {
        if (!_json)
            Output.Flush(); // so that both are read in their order
        _error.WriteLine(Terminal.Text.Plain(Shell.AsCalled(text)));
    }

    /// <summary>Members of the one JSON document of a run; may be called several times.</summary>
    public void Json(Action<Utf8JsonWriter> write)
    {
        if (_json)
            _report.Add(write);
    }

    /// <summary>A member of the JSON document that is a list, written as it grows: for lists that may be too long for memory.</summary>
    /// <remarks>Until it is disposed of, nothing else goes into the document but the failure that ends it.</remarks>
    public JsonList JsonList(string name) => new(_json ? _report : null, name);
}

static class JsonExtensions
{
    /// <summary>A name from a backup: as text where it is text, else escaped; and always as base64 where text would lose something.</summary>
    public static void WriteName(this Utf8JsonWriter writer, string property, ReadOnlySpan<byte> name)
    {
        var isText = System.Text.Unicode.Utf8.IsValid(name);
        writer.WriteString(property, isText ? Encoding.UTF8.GetString(name) : Text.Name(name));
        if (!isText)
            writer.WriteString(property + "Base64", Convert.ToBase64String(name));
    }
}
