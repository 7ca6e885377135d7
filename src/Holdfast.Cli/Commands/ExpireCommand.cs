using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

static class ExpireCommand
{
    static readonly Option<bool> DryRunOption = new("--dry-run") { Description = "Only say what would be removed." };

    public static Command Create() => Session.Command("expire", "Remove what no lock has held for 14 days. Nothing else is ever removed.", command =>
    {
        command.Options.Add(DryRunOption);
        KeyFolder.AddTo(command, reading: false);
    }, Run);

    static int Run(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var dry = session.Parsed.GetValue(DryRunOption);
        var result = vault.Keeper.Expire(dry);
        var packs = result.Names.Count(n => n.Kind == StoreKind.Pack);
        session.Json(w =>
        {
            w.WriteBoolean("dryRun", dry);
            w.WriteNumber("packs", packs);
            w.WriteNumber("objects", result.Names.Count - packs);
            w.WriteNumber("bytes", result.Bytes);
            w.WriteBoolean("clockInDoubt", result.InDoubt);
        });
        session.Line(result.Names.Count == 0
            ? "Nothing may be removed yet: every pack is locked, or its lock ended less than 14 days ago."
            : $"{(dry ? "Would remove" : "Removed")} {Text.Count(packs, "pack")} and {Text.Count(result.Names.Count - packs, "object")}, {Text.Bytes(result.Bytes)}.");
        if (result.InDoubt)
            session.Warn("holdfast: the clocks disagree, or a snapshot cannot say what it needs; what either still protects stays. `holdfast status` and `holdfast verify` say more.");
        return 0;
    }
}
