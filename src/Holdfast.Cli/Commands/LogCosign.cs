using System.CommandLine;
using System.Globalization;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Cli.Witnesses;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

/// <summary><c>log cosign</c>: once, or as a service beside the backups.</summary>
static class LogCosign
{
    static readonly TimeSpan Shortest = TimeSpan.FromSeconds(1);
    static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    static readonly Option<string?> EveryOption = new("--every") { Description = "Go on, this often, until it is stopped: 30s, 5m (minutes), 1h.", HelpName = "TIME" };

    static readonly Option<bool> IfAnyOption = new("--if-any") { Description = "Where the vault has no witnesses, say so and end well: for a job that goes with any vault." };

    public static Command Create() => Session.Command("cosign", "Have the witnesses cosign the newest checkpoint; no backup waits for it.", command =>
    {
        command.Options.Add(EveryOption);
        command.Options.Add(IfAnyOption);
        KeyFolder.AddTo(command, reading: false);
    }, Run);

    static int Run(Session session)
    {
        var every = Every(session);
        session.Network.Require();
        using var vault = KeyFolder.OpenVault(session, KeyFolder.LocalFolder(session));
        var keys = new KeyFolder(session);
        keys.Remember(vault);
        var report = new WitnessReport(session, vault, keys);
        if (session.Parsed.GetValue(IfAnyOption) && vault.Keeper.Witnesses.Count == 0)
        {
            session.Step("This vault has no witnesses.");
            return 0;
        }
        report.Require();
        if (vault.Keeper.Closed is { } closed)
            throw closed;
        var cosigning = new Cosigning(vault.Keeper, report.Known);
        if (every is not { } pause)
            return Round(session, cosigning, report, isOnce: true, stop: session.Stop);
        session.Note("Having the log cosigned; Ctrl+C ends it.");
        try
        {
            for (var told = ""; ; Task.Delay(pause, session.Stop).GetAwaiter().GetResult())
            {
                try
                {
                    Round(session, cosigning, report, isOnce: false, stop: session.Stop);
                    told = "";
                }
                catch (HoldfastException e) when (e.Message != told)
                {
                    told = e.Message; // once, not each time
                    session.Warn($"holdfast: {e.Message}\n  what to do: {e.Guidance}");
                }
                catch (HoldfastException)
                {
                    // As before.
                }
            }
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
    }

    static int Round(Session session, Cosigning cosigning, WitnessReport report, bool isOnce, CancellationToken stop)
    {
        var outcomes = cosigning.RoundAsync(stop).GetAwaiter().GetResult();
        return report.Tell(outcomes, isOnce);
    }

    /// <summary>In which m is minutes: nobody waits for months here.</summary>
    static TimeSpan? Every(Session session)
    {
        if (session.Parsed.GetValue(EveryOption) is not { } text)
            return null;
        var unit = text.Length < 2 ? 0 : text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3_600, _ => 0 };
        return unit > 0 && int.TryParse(text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count <= 100_000 && TimeSpan.FromSeconds((long)count * unit) is var time && time >= Shortest && time <= Longest ? time
            : throw new HoldfastException(ErrorCode.Usage, $"--every takes a time from a second to a day, and `{text}` is none.", "Write it as a whole number and a unit: 30s, 5m, 1h.");
    }
}
