using System.CommandLine;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>The witness's own role: another site, which holds nothing but its key and, of each log, the checkpoint that it cosigned last.</summary>
static class WitnessCommand
{
    static readonly Argument<string> FolderArgument = new("FOLDER") { Description = "The witness's folder: its key, and what it has cosigned." };
    static readonly Argument<string> KeyArgument = new("KEY") { Description = "The log's public key: `holdfast init` prints it, and it stands in the vault's file `vault`, after `log`. Take it from someone you trust." };
    static readonly Option<string> NameOption = new("--name") { Description = "What the witness is called, for good: best a name of yours as in a URL, such as witness.example.nhs.uk/w1.", HelpName = "NAME", Required = true };
    static readonly Option<string?> OriginOption = new("--origin") { Description = "The log's origin, where it is another than the name in its key.", HelpName = "TEXT" };
    static readonly Option<string> ListenOption = ListenAddress.Option(8443);
    static readonly Option<string?> CertificateOption = new("--certificate") { Description = "For TLS: the certificate, as PEM, signed by an authority that the keepers believe themselves: none in between is sent.", HelpName = "FILE" };
    static readonly Option<string?> CertificateKeyOption = new("--key") { Description = "For TLS: the certificate's private key, as PEM.", HelpName = "FILE" };

    public static Command Create()
    {
        var witness = new Command("witness", "Cosign the logs of other sites' vaults, so that none of them can be put back or rewritten unseen.");
        witness.Subcommands.Add(Session.Command("init", "Make a witness and its key; prints the public key, for `holdfast init --witness`.", command =>
        {
            command.Arguments.Add(FolderArgument);
            command.Options.Add(NameOption);
        }, Init));
        witness.Subcommands.Add(Session.Command("add", "Have the witness follow a log. One that runs takes it in.", command =>
        {
            command.Arguments.Add(FolderArgument);
            command.Arguments.Add(KeyArgument);
            command.Options.Add(OriginOption);
        }, Add));
        witness.Subcommands.Add(Session.Command("serve", "Answer logs that ask for cosignatures (C2SP tlog-witness, HTTP). Runs until it is stopped.", command =>
        {
            command.Arguments.Add(FolderArgument);
            foreach (var option in new Option[] { ListenOption, CertificateOption, CertificateKeyOption })
                command.Options.Add(option);
        }, Serve));
        return witness;
    }

    static string Folder(Session session)
    {
        var folder = FolderPath.Full(session.Parsed.GetValue(FolderArgument)!);
        FolderOwner.Know(folder);
        return folder;
    }

    static int Init(Session session)
    {
        var (folder, name) = (Folder(session), session.Parsed.GetValue(NameOption)!);
        if (!VerifierKey.IsName(name) || !name.All(c => c is > ' ' and <= '~'))
            throw new HoldfastException(ErrorCode.Usage, "A witness cannot be called that.", "Letters, digits and signs without blanks and without +, 256 at most, such as witness.example.nhs.uk/w1.");
        InitCommand.RequireParent(folder);
        Disk.Real.MakeDurable(folder, ownerOnly: true);
        using var seed = SecretBytes.Random(Ed25519Signer.SeedSize);
        using var signer = new Ed25519Signer(seed.Span);
        if (!Disk.Real.WriteNew(Path.Combine(folder, WitnessKeyFile.Name), WitnessKeyFile.Write(name, seed)))
            throw new HoldfastException(ErrorCode.VaultExists, "There is a witness in that folder already.", "Use it as it is (`holdfast witness serve`), or name another folder: a witness's key is never made anew.");
        var key = new CosignerKey(name, signer.PublicKey.ToArray()).ToString();
        session.Json(w =>
        {
            w.WriteString("folder", folder);
            w.WriteString("verifierKey", key);
        });
        session.Line(key);
        session.Note($"""
            holdfast: that is the witness's public key, which a vault is made with: holdfast init VAULT --witness {key}=URL
              {Path.Combine(folder, WitnessKeyFile.Name)} is the secret one. Keep no copy of this folder to bring back later: an older one could cosign a second history
            """);
        return 0;
    }

    static int Add(Session session)
    {
        var folder = Folder(session);
        WitnessKeyFile.Read(folder).Signer.Dispose(); // there is a witness
        if (!VerifierKey.TryParse(session.Parsed.GetValue(KeyArgument)!, out var key))
            throw new HoldfastException(ErrorCode.Usage, "That is no verifier key of a log.", "It looks like holdfast/HEX+HEX8+BASE64; a witness's own key is of another kind.");
        var origin = session.Parsed.GetValue(OriginOption) is { Length: > 0 } named ? named : key.Name;
        if (origin.Any(char.IsControl))
            throw new HoldfastException(ErrorCode.Usage, "An origin is one line of text.", "It is the first line of the log's checkpoint.");
        var isNew = Witness.Follow(folder, key, origin, Disk.Real);
        session.Json(w =>
        {
            w.WriteString("origin", origin);
            w.WriteBoolean("added", isNew);
        });
        session.Step(isNew ? $"The witness follows {origin} from now on." : $"The witness follows {origin} with that key already.");
        return 0;
    }

    static int Serve(Session session)
    {
        var folder = Folder(session);
        var at = ListenAddress.Of(session, ListenOption);
        session.Network.Require();
        var tls = Tls(session);
        var (name, signer) = WitnessKeyFile.Read(folder);
        using var witness = Witness.Open(folder, name, signer, Disk.Real, TimeProvider.System);
        session.Network.Serve(witness, at, tls, address =>
        {
            session.Step($"Listening on {address}");
            session.Note($"Witness of {Text.Count(witness.Logs, "log")}; Ctrl+C ends it.");
        }, text => session.Warn($"holdfast: {text}"), session.Stop);
        return 0;
    }

    /// <summary>Certificate and key, both as PEM; null for HTTP.</summary>
    static (string Certificate, string Key)? Tls(Session session)
    {
        var (file, key) = (session.Parsed.GetValue(CertificateOption), session.Parsed.GetValue(CertificateKeyOption));
        if (file is null && key is null)
            return null;
        if (file is null || key is null)
            throw new HoldfastException(ErrorCode.Usage, "TLS takes a certificate and its key.", "Give both --certificate and --key.");
        return (UserFile.Text(file, "The certificate's file"), UserFile.Text(key, "The file of the certificate's key"));
    }
}
