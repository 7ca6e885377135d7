using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Holdfast.Control.Configuration;

/// <summary>A mapping of the configuration, from which members are taken one by one; what nobody took is no member of it.</summary>
sealed class Section(YamlMappingNode? node, string path, Faults faults)
{
    readonly HashSet<string> _known = [];

    public long Line => node?.Start.Line ?? 0;

    public IEnumerable<string> Keys => node?.Children.Keys.Select(k => (k as YamlScalarNode)?.Value ?? "") ?? [];

    public bool Has(string key) => Find(key) is not null;

    public long LineOf(string key) => Find(key)?.Start.Line ?? Line;

    YamlNode? Find(string key)
    {
        _known.Add(key);
        return node?.Children.FirstOrDefault(c => (c.Key as YamlScalarNode)?.Value == key).Value;
    }

    string Name(string key) => path.Length > 0 ? $"{path}.{key}" : key;

    public void Fault(string key, string what, string toDo) => faults.Add(LineOf(key), $"`{Name(key)}` {what}.", toDo);

    public string? Text(string key)
    {
        switch (Find(key))
        {
            case null:
                return null;
            case YamlScalarNode { Value: { Length: > 0 } text }:
                return text;
            default:
                Fault(key, "has no text", "Write one value behind the colon.");
                return null;
        }
    }

    public string? Required(string key, string toDo)
    {
        var text = Text(key);
        if (text is null && !Has(key))
            faults.Add(Line, $"`{Name(key)}` is missing.", toDo);
        return text;
    }

    public T? Read<T>(string key, Func<string, T?> read, string toDo) where T : struct
    {
        if (Text(key) is not { } text)
            return null;
        if (read(text) is { } value)
            return value;
        Fault(key, "is not what belongs there", toDo);
        return null;
    }

    public int Number(string key, int least, int most, int otherwise) =>
        Read(key, t => int.TryParse(t, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most ? number : (int?)null, string.Create(CultureInfo.InvariantCulture, $"Write a number, {least} to {most}.")) ?? otherwise;

    public List<string> Texts(string key)
    {
        switch (Find(key))
        {
            case null:
                return [];
            case YamlScalarNode { Value: { Length: > 0 } one }:
                return [one];
            case YamlSequenceNode list when list.Children.All(c => c is YamlScalarNode { Value.Length: > 0 }):
                return [.. list.Children.Select(c => ((YamlScalarNode)c).Value!)];
            default:
                Fault(key, "is no list of texts", "Write [one, two], or each on a line of its own behind a hyphen.");
                return [];
        }
    }

    /// <summary>A mapping in this one; empty where it is missing, or where nothing stands behind its colon.</summary>
    public Section Inner(string key)
    {
        var found = Find(key);
        if (found is not (null or YamlMappingNode or YamlScalarNode { Value: null or "" or "~" or "null" }))
            Fault(key, "has no members", "Write them below it, indented, each as NAME: VALUE.");
        return new Section(found as YamlMappingNode, Name(key), faults);
    }

    /// <summary>Tells each member that nobody took.</summary>
    public void Close()
    {
        foreach (var (key, _) in node?.Children ?? Enumerable.Empty<KeyValuePair<YamlNode, YamlNode>>())
        {
            if (key is not YamlScalarNode { Value: { } name })
                faults.Add(key.Start.Line, $"A name is expected{(path.Length > 0 ? $" in `{path}`" : "")}.", "Write NAME: VALUE.");
            else if (!_known.Contains(name))
                faults.Add(key.Start.Line, $"There is no `{Name(name)}`.", $"There {(_known.Count == 1 ? "is" : "are")} {string.Join(", ", _known.Order(StringComparer.Ordinal))}.");
        }
    }

    /// <summary>The whole file; empty where it is no YAML, which is told.</summary>
    public static Section Parse(string text, Faults faults)
    {
        try
        {
            var stream = new YamlStream();
            using var reader = new StringReader(text);
            stream.Load(reader);
            if (stream.Documents is [{ RootNode: YamlMappingNode root }])
            {
                if (root.AllNodes.Any(n => !n.Anchor.IsEmpty))
                    faults.Add(0, "Anchors (&name) are not taken.", "Write each value where it belongs.");
                return new Section(root, "", faults);
            }
            faults.Add(1, "There are no settings.", "Write NAME: VALUE, each on a line of its own.");
        }
        catch (Exception e) when (e is YamlException or InvalidOperationException or ArgumentException or FormatException) // its scanner has its own faults on odd bytes
        {
            faults.Add((e as YamlException)?.Start.Line ?? 0, "This is no YAML, or says the same name twice.", "Look at the indentation (blanks, no tabs), at quotes, and for a name that stands there twice.");
        }
        return new Section(null, "", faults);
    }
}
