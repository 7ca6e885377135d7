using System.Globalization;
using Holdfast.Cli.Siege;

namespace Holdfast.Server.Siege;

/// <summary>Targets that are reached over the network.</summary>
static class Net
{
    /// <param name="stage">The stage.</param>
    /// <param name="url">Of the server.</param>
    /// <param name="pack">Name of a pack that is there.</param>
    /// <param name="look">What is there now.</param>
    /// <param name="more">Further names.</param>
    public static Target At(Stage stage, string url, string pack, Func<Finding> look, params (string Name, string Value)[] more)
    {
        var names = new Dictionary<string, string> { ["URL"] = url, ["PACK"] = pack, ["HOLDFAST"] = Tools.Self };
        var folder = stage.Lair();
        names["HOLDFAST_STATE_DIR"] = Path.Combine(folder, "state");
        foreach (var (name, value) in more)
            names[name] = value;
        return new Target(names, look) { Folder = folder };
    }

    public static Target Keeper(Stage stage, params (string, string)[] more) => At(stage, stage.Keeper, stage.Pack, () => stage.Main.Look(), more);

    public static Target Gateway(Stage stage, params (string, string)[] more) => At(stage, stage.Gateway, stage.Pack, () => stage.Main.Look(), more);

    /// <summary>The share, with a sound copy behind it.</summary>
    public static Target Share(Stage stage, Func<Finding>? look, params (string, string)[] more)
    {
        var copy = stage.Mended();
        return At(stage, stage.Share.Url, stage.PlainPack, look ?? (() => stage.Plain.Look(copy)), more);
    }

    public static Target Share(Stage stage, params (string, string)[] more) => Share(stage, null, more);

    /// <summary>The four ways to harm a file by HTTP. The script's $WHO is what is shown as a certificate.</summary>
    /// <param name="prefix">Of the ids.</param>
    /// <param name="who">The credential, in words.</param>
    /// <param name="before">What the script begins with.</param>
    /// <param name="on">The server.</param>
    /// <param name="control">The share.</param>
    public static IEnumerable<Attack> Verbs(string prefix, string who, string before, Func<Target> on, Func<Target> control)
    {
        foreach (var (id, tries, script) in new[]
        {
            ("delete", "remove a pack", "-X DELETE"),
            ("overwrite", "write over a pack", "-X PUT --data-binary junk"),
            ("change", "write into a pack", "-X PATCH --data-binary junk"),
            ("truncate", "cut a pack to nothing", "-X PUT --data-binary ''"),
            ("rename", "rename a pack", "-X MOVE -H \"Destination: $URL/v1/packs/$PACK.old\""),
        })
        {
            yield return new Attack($"{prefix}.{id}", who, tries, Expectation.Refused)
            {
                Script = string.Create(CultureInfo.InvariantCulture, $"{before}curl -sk --cert \"$WHO\" --max-time 15 {script} \"$URL/v1/packs/$PACK\" -o answer -w '%{{http_code}}'"),
                On = on,
                Control = "a share of the same files",
                ControlOn = control,
            };
        }
    }
}
