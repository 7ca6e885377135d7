using System.Net;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Siege;
using Holdfast.Cli.Witnesses;
using Holdfast.Core;
using Holdfast.Core.Gateway;
using Holdfast.Core.Grants;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Cli;

/// <summary>What reaches over the network, or is reached over it. It comes with clients and servers that are several times as large as all else, and costs that in memory whether it is used or not: so <c>holdfast-server</c> alone
/// has it, and <c>holdfast</c>, asked for any of it, becomes that program.</summary>
public interface INetwork
{
    /// <summary>Called before a command that will need it does, asks or says anything: it may be run anew from its beginning, by the other program.</summary>
    /// <exception cref="HoldfastException"><c>SystemLimit</c>: that program is not there or cannot be run.</exception>
    void Require();

    IObjectStores Stores { get; }

    /// <summary>A new key, and a certificate that it signs itself, as PEM.</summary>
    string NewIdentity(string name);

    /// <summary>SHA-256 of the certificate in such a text, lower-case hexadecimal.</summary>
    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    string Fingerprint(string identity);

    /// <summary>Has a folder stand for the vault of a keeper, so that it can be opened there.</summary>
    /// <param name="access">How to reach the keeper.</param>
    /// <param name="mirror">The folder, a cache; it is made where it is missing.</param>
    /// <param name="ct">Ends whatever is waited for, then and later.</param>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>, <c>NoPermission</c>; <c>WrongVault</c>: another machine answers. <c>LogForked</c>: it keeps another vault now.</exception>
    void Reach(KeeperAccess access, string mirror, CancellationToken ct);

    /// <summary>Has a keeper answer its clients, until it is stopped.</summary>
    /// <param name="desk">Answers.</param>
    /// <param name="staging">Folder for what waits to be answered.</param>
    /// <param name="clients">Those that may ask, as of now.</param>
    /// <param name="at">Port 0: any that is free.</param>
    /// <param name="identity">Certificate and key, as PEM.</param>
    /// <param name="ready">Gets the address when connections are taken.</param>
    /// <param name="warn">Gets what whoever runs it has to know.</param>
    /// <param name="ct">Ends it: what has begun is answered.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had. <c>KeyFileBad</c>.</exception>
    void Serve(KeeperDesk desk, string staging, Func<IReadOnlyList<KeeperClient>> clients, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct);

    /// <summary>A gateway, by a key that lives as long as this.</summary>
    /// <param name="access">Where it is.</param>
    /// <param name="rate">Bytes a second that are sent at most; 0 for as many as there is room for.</param>
    /// <param name="ct">Ends whatever is waited for.</param>
    IGateway Gateway(GatewayAccess access, long rate, CancellationToken ct);

    /// <summary>Has a gateway answer agents, until it is stopped.</summary>
    /// <param name="desk">Answers.</param>
    /// <param name="at">Port 0: any that is free.</param>
    /// <param name="identity">Certificate and key, as PEM.</param>
    /// <param name="ready">Gets the address when connections are taken.</param>
    /// <param name="warn">Gets what whoever runs it has to know.</param>
    /// <param name="ct">Ends it: what has begun is answered.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had. <c>KeyFileBad</c>.</exception>
    void Serve(GatewayDesk desk, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct);

    /// <summary>A clean room that granted a restore, by a key that lives as long as this.</summary>
    /// <param name="url">Where it answers; ends with a slash.</param>
    /// <param name="fingerprint">Of its certificate.</param>
    /// <param name="ct">Ends whatever is waited for.</param>
    IGrant Grant(Uri url, string fingerprint, CancellationToken ct);

    /// <summary>Has a clean room answer the agent that it granted a restore to, until it is stopped.</summary>
    /// <param name="desk">Answers.</param>
    /// <param name="at">Port 0: any that is free.</param>
    /// <param name="identity">Certificate and key, as PEM.</param>
    /// <param name="ready">Gets the address when connections are taken.</param>
    /// <param name="warn">Gets what whoever runs it has to know.</param>
    /// <param name="ct">Ends it: what has begun is answered.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had. <c>KeyFileBad</c>.</exception>
    void Serve(GrantDesk desk, IPEndPoint at, string identity, Action<string> ready, Action<string> warn, CancellationToken ct);

    /// <summary>A witness of a log.</summary>
    /// <param name="key">Whose cosignatures count.</param>
    /// <param name="url">Where it answers; ends with a slash.</param>
    WitnessClient Witness(CosignerKey key, Uri url);

    /// <summary>Has a witness answer logs, until it is stopped.</summary>
    /// <param name="witness">Judges and keeps.</param>
    /// <param name="at">Port 0: any that is free.</param>
    /// <param name="tls">Certificate and key, both as PEM; null for HTTP.</param>
    /// <param name="ready">Gets the address when connections are taken.</param>
    /// <param name="warn">Gets what whoever runs it has to know.</param>
    /// <param name="ct">Ends it: what has begun is answered.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>: that address cannot be had. <c>KeyFileBad</c>: certificate and key cannot be used.</exception>
    void Serve(Witness witness, IPEndPoint at, (string Certificate, string Key)? tls, Action<string> ready, Action<string> warn, CancellationToken ct);

    /// <summary>Attacks a vault that it makes for that, and throws away.</summary>
    /// <param name="what">Of what kind.</param>
    /// <param name="note">Gets what is being done.</param>
    /// <param name="done">Gets each row when it has run.</param>
    /// <param name="ct">Ends it, and all that it started.</param>
    /// <exception cref="HoldfastException"><c>Usage</c>, <c>SystemLimit</c>: it cannot be built up here.</exception>
    SiegeReport Besiege(SiegeCall what, Action<string> note, Action<SiegeRow> done, CancellationToken ct);
}
