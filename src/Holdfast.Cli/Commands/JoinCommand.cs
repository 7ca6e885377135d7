using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>Has a key folder reach its vault through the vault's keeper, on another machine.</summary>
static class JoinCommand
{
    static readonly Argument<string> UrlArgument = new("URL") { Description = "Where the keeper answers: https://HOST:PORT." };
    static readonly Argument<string> FingerprintArgument = new("FINGERPRINT") { Description = "Of the keeper's certificate, sha256:HEX, as `holdfast keeper serve` shows it there. Take it from someone you trust." };
    static readonly Option<string> NameOption = new("--name") { Description = "What this client is called on the keeper's machine: letters, digits, dots, hyphens.", HelpName = "NAME", DefaultValueFactory = _ => Environment.MachineName };

    public static Command Create() => Session.Command("join", "Reach the vault through its keeper on another machine, from now on; prints this client's fingerprint, for `holdfast keeper allow` there.", command =>
    {
        command.Arguments.Add(UrlArgument);
        command.Arguments.Add(FingerprintArgument);
        command.Options.Add(KeyFolder.KeysOption);
        command.Options.Add(NameOption);
    }, Run);

    static int Run(Session session)
    {
        session.Network.Require();
        var text = session.Parsed.GetValue(UrlArgument)!;
        if (!KeeperAccess.TryUrl(text, out var url))
            throw new HoldfastException(ErrorCode.Usage, "That is no address of a keeper.", "Such as https://keeper.example.nhs.uk:8444 - with no path behind it.");
        if (!KeeperClients.TryFingerprint(session.Parsed.GetValue(FingerprintArgument)!, out var fingerprint))
            throw new HoldfastException(ErrorCode.Usage, "That is no fingerprint.", "It is sha256: and 64 hexadecimal digits; `holdfast keeper serve` shows it when it starts.");
        var name = session.Parsed.GetValue(NameOption)!;
        if (!KeeperClients.IsName(name))
            throw new HoldfastException(ErrorCode.Usage, "A client cannot be called that.", "Letters, digits, dots, hyphens and underscores, 64 at most.");
        var folder = FolderPath.Full(new KeyFolder(session).Folder);
        InitCommand.RequireParent(folder);
        Disk.Real.MakeDurable(folder, ownerOnly: true);
        var known = KeeperAccess.Read(folder, session.Warn);
        var access = new KeeperAccess(url, fingerprint, known?.Identity ?? session.Network.NewIdentity(name)); // who this is stays, where it moves or is given a new certificate
        Disk.Real.Replace(Path.Combine(folder, KeeperAccess.FileName), access.ToArray());
        if (known is not null && (known.Url != url || known.Fingerprint != fingerprint))
            session.Note($"holdfast: these keys reached their vault at {known.Url}, with the keeper {KeeperClients.Written(known.Fingerprint)}; from now on at {url}, with {KeeperClients.Written(fingerprint)}");
        var own = KeeperClients.Written(session.Network.Fingerprint(access.Identity));
        session.Json(w =>
        {
            w.WriteString("url", url.ToString());
            w.WriteString("name", name);
            w.WriteString("fingerprint", own);
            w.WriteBoolean("newIdentity", known is null);
        });
        session.Line(own);
        session.Note(known is not null ? $"holdfast: that is this client's fingerprint, as before: where the keeper knows it, nothing more is to be done there" : $"""
            holdfast: that is this client's fingerprint. On the keeper's machine, with backup, read, attest or manage for what it may ask:
              holdfast keeper allow --vault VAULT {name} {own} --role backup
            Then here, with this key folder: --vault {url}
            """);
        return 0;
    }
}
