using Holdfast.Cli.Commands;

namespace Holdfast.Control.Processes;

/// <summary>A role that runs here: keeper, gateway, clean room or witness.</summary>
/// <param name="Name">Which.</param>
/// <param name="Arguments">Of `holdfast`.</param>
sealed record Role(string Name, IReadOnlyList<string> Arguments)
{
    /// <summary>As which user; null for that of this process.</summary>
    public string? User { get; init; }
}

/// <summary>Keeps a role's process running, with a longer pause each time that it ends soon.</summary>
sealed class RoleKeeper(Role role, User? user, Spawner spawner, Action<string> note, Action<string> warn, TimeProvider clock)
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(75); // a gateway waits a minute for what has begun
    static readonly TimeSpan First = TimeSpan.FromSeconds(1);
    static readonly TimeSpan Longest = TimeSpan.FromMinutes(1);

    /// <summary>Until it is stopped.</summary>
    public void Run(CancellationToken stop)
    {
        for (var pause = First; !stop.IsCancellationRequested;)
        {
            var began = clock.GetTimestamp();
            var status = Once(stop);
            if (stop.IsCancellationRequested)
                return;
            if (clock.GetElapsedTime(began) > Longest)
                pause = First;
            warn($"holdfast: {role.Name} ended: {ServeCommand.Code(status)}. It is started again in {pause.TotalSeconds:0} s");
            stop.WaitHandle.WaitOne(pause);
            pause = pause * 2 < Longest ? pause * 2 : Longest;
        }
    }

    int Once(CancellationToken stop)
    {
        try
        {
            using var child = new Child(spawner.Start(role.Arguments, user));
            child.Read(p => p.StandardOutput, reader => Pass(reader, note));
            child.Read(p => p.StandardError, reader => Pass(reader, warn));
            return child.Wait(Patience, stop);
        }
        catch (Core.HoldfastException e)
        {
            return (int)e.Code;
        }
    }

    void Pass(StreamReader from, Action<string> to)
    {
        while (from.ReadLine() is { } line)
            to($"{role.Name}: {line}");
    }
}
