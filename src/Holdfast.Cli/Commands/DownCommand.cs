using System.CommandLine;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;

namespace Holdfast.Cli.Commands;

static class DownCommand
{
    static readonly Argument<string?> SourceArgument = new("FOLDER") { Description = "The folder that `holdfast up` was given; without it, the only trial there is.", Arity = ArgumentArity.ZeroOrOne };

    public static Command Create() => Session.Command("down", "End a trial: nothing of Holdfast stays running, and how the trial vault is removed.", command =>
    {
        command.Arguments.Add(SourceArgument);
        command.Options.Add(UpCommand.BaseOption);
    }, Run);

    static int Run(Session session)
    {
        var places = UpCommand.Named(session, SourceArgument) ?? TrialPlaces.Only($"holdfast down FOLDER{(session.Parsed.GetValue(UpCommand.BaseOption) is { } named ? $" --base {Shell.Word(named)}" : "")}", session.Parsed.GetValue(UpCommand.BaseOption)) ?? throw new HoldfastException(ErrorCode.VaultMissing, "This machine remembers no trial.", "`holdfast up FOLDER` makes one; one that an earlier version made has to be named: holdfast down FOLDER.");
        if (!File.Exists(Path.Combine(places.Vault, VaultFile.Name)))
            throw new HoldfastException(ErrorCode.VaultMissing, "There is no trial vault of this folder.", "Name the folder that `holdfast up` was given; --base where it was given too.");
        using var vault = Vault.Open(places.Vault);
        var until = vault.State.Snapshots.Where(s => !s.IsRemoved).Select(s => s.Expiry).DefaultIfEmpty(0UL).Max();
        var over = vault.Keeper.Clock.HasPassed(until);
        session.Json(w =>
        {
            w.WriteString("vault", places.Vault);
            w.WriteString("lockedUntil", Text.Iso(until));
            w.WriteBoolean("mayBeRemoved", over);
        });
        session.Line("Nothing is running: Holdfast works only while a command does.");
        session.Line(over ? "The trial's lock has ended. To remove the trial, its keys and what this machine remembers of it:" : $"The trial is locked until {Text.Time(until)}. From then on, to remove the trial, its keys and what this machine remembers of it:");
        var remembered = BackupCommand.StateFolder() is { } state ? Path.Combine(state, vault.Id.ToString()) : null;
        session.Line($"  rm -r {string.Join(' ', new[] { places.Vault, places.Keys, places.Proof, places.Proof + ".lock", remembered, places.Note }.OfType<string>().Where(Path.Exists).Select(Shell.Word))}");
        session.Line("Holdfast itself deletes nothing but by `holdfast expire`, what no lock has held for 14 days.");
        return 0;
    }
}
