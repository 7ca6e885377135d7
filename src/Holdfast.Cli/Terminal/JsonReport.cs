using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Holdfast.Core;

namespace Holdfast.Cli.Terminal;

/// <summary>The one JSON object that a run prints: its members as they come, at the end its failure, where there is one.</summary>
/// <remarks>Each part is rendered apart, so that one that fails half-way leaves nothing behind, and what is written is whole at any time but for its closing braces.</remarks>
sealed class JsonReport
{
    readonly ArrayBufferWriter<byte> _part = new();
    bool _hasMembers, _inList, _listHasElements, _hasError, _isComplete;

    /// <summary>Writes the members of the object that <paramref name="write"/> fills.</summary>
    public void Add(Action<Utf8JsonWriter> write)
    {
        Render(write, isIndented: true);
        if (_part.WrittenCount <= 2)
            return; // {}
        Output.Write(_hasMembers ? ","u8 : "{"u8);
        Output.Write(_part.WrittenSpan[1..^2]); // without the opening brace, and without the line end and the brace that close
        _hasMembers = true;
    }

    public void StartList(string name)
    {
        Output.Write(_hasMembers ? ","u8 : "{"u8);
        Output.Write($"\n  \"{name}\": [");
        (_hasMembers, _inList, _listHasElements) = (true, true, false);
    }

    /// <summary>Writes an object of the list, on a line of its own.</summary>
    public void AddElement(Action<Utf8JsonWriter> write)
    {
        Render(write, isIndented: false);
        Output.Write(_listHasElements ? ",\n    "u8 : "\n    "u8);
        Output.Write(_part.WrittenSpan);
        _listHasElements = true;
        if (Output.IsOver)
            Output.Require();
    }

    public void EndList()
    {
        if (_inList)
            Output.Write(_listHasElements ? "\n  ]" : "]");
        _inList = false;
    }

    /// <summary>Once: the first failure is the one that counts.</summary>
    public void Error(ErrorCode code, string message, string guidance)
    {
        EndList();
        if (_hasError)
            return;
        _hasError = true;
        Add(w =>
        {
            w.WriteStartObject("error");
            w.WriteString("code", code.ToString());
            w.WriteNumber("status", (int)code);
            w.WriteString("message", message);
            w.WriteString("guidance", guidance);
            w.WriteEndObject();
        });
    }

    public void Complete()
    {
        EndList();
        if (!_isComplete)
            Output.Write(_hasMembers ? "\n}\n" : "{}\n");
        _isComplete = true;
        Output.Flush();
    }

    void Render(Action<Utf8JsonWriter> write, bool isIndented)
    {
        _part.ResetWrittenCount();
        using var writer = new Utf8JsonWriter(_part, new JsonWriterOptions { Indented = isIndented, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        writer.WriteStartObject();
        write(writer);
        writer.WriteEndObject();
    }
}

/// <summary>A list of the JSON document that is written as it grows; does nothing where text is wanted.</summary>
sealed class JsonList : IDisposable
{
    readonly JsonReport? _report;

    public JsonList(JsonReport? report, string name)
    {
        _report = report;
        report?.StartList(name);
    }

    /// <summary>Adds an object that has the members written.</summary>
    public void Add(Action<Utf8JsonWriter> write) => _report?.AddElement(write);

    public void Dispose() => _report?.EndList();
}
