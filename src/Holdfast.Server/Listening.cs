using System.Net;
using Holdfast.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace Holdfast.Server;

/// <summary>What the servers of this program have in common: HTTP/1.1, one request a connection at a time, and bounds on what a connection can take before anything of it is read.</summary>
static class Listening
{
    /// <summary>How long a request's headers, or a handshake, may take.</summary>
    public static readonly TimeSpan Headers = TimeSpan.FromSeconds(10);

    static readonly TimeSpan Ending = TimeSpan.FromSeconds(10);

    /// <summary>Answers until it is stopped.</summary>
    /// <param name="at">Port 0: any that is free.</param>
    /// <param name="limit">Sets the other bounds.</param>
    /// <param name="listen">TLS, where there is any.</param>
    /// <param name="services">Adds what the server is to use.</param>
    /// <param name="answer">Answers a request.</param>
    /// <param name="ready">Gets the address when connections are taken.</param>
    /// <param name="stop">Ends it: what has begun is answered.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had.</exception>
    public static async Task RunAsync(IPEndPoint at, Action<KestrelServerLimits> limit, Action<ListenOptions> listen, Action<IServiceCollection> services, RequestDelegate answer, Action<string> ready, CancellationToken stop)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(options =>
        {
            options.AddServerHeader = false;
            options.Limits.MaxConcurrentUpgradedConnections = 0;
            options.Limits.MaxRequestHeaderCount = 40;
            options.Limits.MaxRequestHeadersTotalSize = 1 << 13;
            options.Limits.MaxRequestLineSize = 1 << 11;
            options.Limits.RequestHeadersTimeout = Headers;
            limit(options.Limits);
            options.Listen(at, one =>
            {
                one.Protocols = HttpProtocols.Http1;
                listen(one);
            });
        });
        services(builder.Services);
        await using var app = builder.Build();
        ((IApplicationBuilder)app).Run(answer);
        try
        {
            await app.StartAsync(stop);
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            throw new HoldfastException(ErrorCode.Usage, $"Nothing can listen on {at}: the address is taken, is none of this machine's, or needs a right that this user has not.", "Name another with --listen ADDRESS:PORT; a port below 1024 needs root, or AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit.", e);
        }
        ready(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        try
        {
            await Task.Delay(Timeout.Infinite, stop);
        }
        catch (OperationCanceledException)
        {
            using var patience = new CancellationTokenSource(Ending);
            await app.StopAsync(patience.Token);
        }
    }
}

/// <summary>What whoever runs a server has to know: once, not at each request.</summary>
/// <param name="warn">Gets it.</param>
sealed class Warnings(Action<string> warn)
{
    string _told = "";

    public void Tell(string text)
    {
        if (Interlocked.Exchange(ref _told, text) != text)
            warn(text);
    }
}
