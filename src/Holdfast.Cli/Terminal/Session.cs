using System.CommandLine;
using System.Text;
using System.Text.Json;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>One run of a command: where its words go, and how its failures are told.</summary>
sealed class Session
{
    public static readonly Option<bool> JsonOption = new("--json") { Description = "One JSON document on standard output instead of text." };
    public static readonly Option<bool> QuietOption = new("--quiet", "-q") { Description = "Nothing but results and errors." };

    readonly bool _json;
    readonly TextWriter _error = Console.Error;

    public Session(ParseResult parsed)
    {
        Parsed = parsed;
        _json = parsed.GetValue(JsonOption);
        IsQuiet = parsed.GetValue(QuietOption) || _json;
    }

    public ParseResult Parsed { get; }
    public bool IsQuiet { get; }
    public bool IsJson => _json;
    public CancellationToken Stop { get; } = Interrupt.Token;

    /// <summary>A command whose failures are told with their code and what to do, and whose exit status is the code.</summary>
    public static Command Command(string name, string description, Action<Command> shape, Func<Session, int> run)
    {
        var command = new Command(name, description);
        shape(command);
        command.Options.Add(JsonOption);
        command.Options.Add(QuietOption);
        command.SetAction(parsed =>
        {
            var session = new Session(parsed);
            try
            {
                return run(session);
            }
            catch (HoldfastException e)
            {
                return session.Fail(e.Code, e.Message, e.Guidance);
            }
            catch (OperationCanceledException)
            {
                return session.Fail(ErrorCode.Interrupted, "Interrupted. Nothing half-done counts; what was stored already is used by the next run.", "Run the same command again when it suits.");
            }
            catch (IOException e) when (e.HResult == 32 || e.InnerException is System.Net.Sockets.SocketException)
            {
                return 0; // the reader of our output has gone: as with head(1)
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                var fault = Core.Storage.DiskFault.Of(e);
                return session.Fail(fault.Code, fault.Message, fault.Guidance);
            }
            catch (Exception e)
            {
                return session.Fail(ErrorCode.Internal, $"A defect in Holdfast: {e.GetType().Name} at {Where(e)}.",
                    "Please report it with these words and the version (holdfast --version); they hold no names or contents. Nothing half-done counts.");
            }
        });
        return command;
    }

    /// <summary>The innermost places of our own code: methods, never values.</summary>
    static string Where(Exception e) =>
        string.Join(" < ", (e.StackTrace ?? "").Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith("at Holdfast", StringComparison.Ordinal)).Take(4)
            .Select(l => l[3..(l.IndexOf('(') is var p and > 0 ? p : l.Length)]));

    public int Fail(ErrorCode code, string message, string guidance)
    {
        if (_json)
        {
            Json(w =>
            {
                w.WriteStartObject("error");
                w.WriteString("code", code.ToString());
                w.WriteNumber("status", (int)code);
                w.WriteString("message", message);
                w.WriteString("guidance", guidance);
                w.WriteEndObject();
            });
        }
        Console.Error.WriteLine($"holdfast: {message}");
        Console.Error.WriteLine($"  what to do: {guidance}");
        Console.Error.WriteLine($"  code: {code} ({(int)code})");
        return (int)code;
    }

    /// <summary>A line of result.</summary>
    public void Line(string text = "")
    {
        if (!_json)
            Console.Out.WriteLine(text);
    }

    /// <summary>A line for the person at the terminal, not a result.</summary>
    public void Note(string text)
    {
        if (!IsQuiet)
            Console.Error.WriteLine(text);
    }

    public void Warn(string text) => _error.WriteLine(text);

    /// <summary>The one JSON document of a run; called where text is not wanted.</summary>
    public void Json(Action<Utf8JsonWriter> write)
    {
        if (!_json)
            return;
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }
        Console.Out.WriteLine(Encoding.UTF8.GetString(stream.ToArray()));
    }

    /// <summary>Asks for an exact answer; without a terminal there is none.</summary>
    public static bool Confirm(string question, string answer)
    {
        if (Console.IsInputRedirected)
            return false;
        Console.Error.Write($"{question} Type \"{answer}\" to go on: ");
        return Console.ReadLine()?.Trim() == answer;
    }
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
