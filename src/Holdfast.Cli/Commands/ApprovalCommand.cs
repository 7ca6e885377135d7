using System.CommandLine;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Crypto;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

/// <summary>What takes several people: their keys, what they sign, and how it gets to the vault. A request is a file; signing it needs no vault and no network.</summary>
static class ApprovalCommand
{
    static readonly Argument<string> NewKeyArgument = new("FILE") { Description = "The new key file: best on a stick of yours." };
    static readonly Argument<string> FileArgument = new("FILE") { Description = "The request's file." };
    static readonly Argument<string[]> FilesArgument = new("FILE") { Description = "The request's file; several, where people signed copies of it apart.", Arity = ArgumentArity.OneOrMore };
    static readonly Option<string> KeyOption = new("--key") { Description = "Your approval key.", HelpName = "FILE", Required = true };
    static readonly Option<string?> PassphraseOption = new("--passphrase-file") { Description = "File whose first line is the passphrase of the approval key; without it, it is asked for.", HelpName = "FILE" };
    static readonly Option<string?> ConfirmOption = new("--confirm") { Description = "Without a terminal: the code that `approval show` prints for the request.", HelpName = "CODE" };

    static readonly Argument<string> IdArgument = new("REQUEST") { Description = "Its id, or the first letters of it, as `approval list` shows it." };
    static readonly Option<string> OutOption = new("--out") { Description = "The request's new file.", HelpName = "FILE", Required = true };

    static Passphrase OfKey { get; } = new("the approval key", "Whoever has the file and the passphrase approves in your name, so make it long", "Where it is lost, so is the key: the other approvers approve of a new one (`holdfast approval request approvers`).");

    public static Command Create()
    {
        var approval = new Command("approval", """
            Have several people approve what weakens a vault's protection.

            Who they are is named when a vault is made (holdfast init --approver). Each has a key of their own; a request is a file, which each of them signs where they are; the vault checks the signatures, whoever brings them.
            """);
        approval.Subcommands.Add(Session.Command("key", "Make your approval key, under a passphrase; prints its public part, for holdfast init --approver.", command =>
        {
            command.Arguments.Add(NewKeyArgument);
            command.Options.Add(PassphraseOption);
        }, MakeKey));
        approval.Subcommands.Add(ApprovalRequests.Create());
        approval.Subcommands.Add(Session.Command("show", "Show what a request asks for, and who signed it.", command => command.Arguments.Add(FileArgument), Show));
        foreach (var (name, description, decision) in new[] { ("sign", "Approve of a request: adds your signature to its file. Needs no vault.", Decision.Approved), ("object", "Object to a request: adds that to its file. Once submitted it has no effect, whoever approves it.", Decision.Objected) })
        {
            approval.Subcommands.Add(Session.Command(name, description, command =>
            {
                command.Arguments.Add(FileArgument);
                foreach (var option in new Option[] { KeyOption, PassphraseOption, ConfirmOption })
                    command.Options.Add(option);
            }, session => Sign(session, decision)));
        }
        approval.Subcommands.Add(Session.Command("submit", "Bring a request and its signatures to the vault. Objections count before approvals.", command =>
        {
            command.Arguments.Add(FilesArgument);
            KeyFolder.AddTo(command, reading: false);
        }, Submit));
        approval.Subcommands.Add(Session.Command("get", "Take the file of a request that was submitted out of the vault again: to look at it, or to object to it. The words of its reason are not in the vault.", command =>
        {
            command.Arguments.Add(IdArgument);
            command.Options.Add(OutOption);
            KeyFolder.AddTo(command, reading: false);
        }, Get));
        approval.Subcommands.Add(Session.Command("list", "List the vault's approvers, and the requests that were approved or objected to.", command => KeyFolder.AddTo(command, reading: false), List));
        return approval;
    }

    static int MakeKey(Session session)
    {
        var path = FolderPath.Full(session.Parsed.GetValue(NewKeyArgument)!);
        KeyFolder.RequireNewSecret(path);
        var file = ApproverKeyFile.Create(OfKey.New(session, PassphraseOption), Argon2Cost.Default);
        KeyFolder.WriteNew(path, file.ToArray());
        session.Json(w =>
        {
            w.WriteString("approver", file.Approver.Id.ToString());
            w.WriteString("publicKey", file.Approver.ToString());
        });
        session.Line(file.Approver.ToString());
        session.Note($"holdfast: that is the public part: give it to whoever makes the vault (holdfast init --approver). Your approver id is {file.Approver.Id}: see that `holdfast approval list` there shows all of it. The file and its passphrase are yours alone; keep the file off the machines that others administer");
        return 0;
    }

    static RequestFile Read(string path) => RequestFile.TryParse(UserFile.Text(path, "The request's file", limit: RequestFile.MaxSize), out var file) ? file
        : throw new HoldfastException(ErrorCode.ProofInvalid, "That file is no request, or was altered.", "Have whoever made the request send it again (holdfast approval request); mail it as a file, not as text.");

    static int Show(Session session)
    {
        var file = Read(session.Parsed.GetValue(FileArgument)!);
        Tell(session, file);
        session.Json(w =>
        {
            RequestWords.Write(w, file.Asked);
            w.WriteString("code", RequestWords.Code(file.Request));
            if (file.Reason is not null)
                w.WriteString("reason", file.Reason);
            w.WriteStartArray("signed");
            foreach (var (decision, signature) in file.Signed)
            {
                w.WriteStartObject();
                w.WriteString("approver", signature.Approver.ToString());
                w.WriteString("says", decision.ToString().ToLowerInvariant());
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        return 0;
    }

    static void Tell(Session session, RequestFile file)
    {
        var (asked, lines) = (file.Asked, RequestWords.Of(file.Asked));
        session.Line($"Request {Text.Id(asked.Head.Id)} to vault {asked.Head.Vault}");
        session.Line($"  because   {file.Reason ?? (asked.Head.Reason.IsNone ? "no reason is given" : "of a reason whose words are not in this file: ask whoever made it")}");
        session.Line($"  asked by  {(asked.Head.Requester.IsNone ? "nobody who says to be an approver" : $"approver {Text.Id(asked.Head.Requester)}, whose own approval does not count")}, {Text.Time(asked.Head.Made)}");
        session.Line($"  open      until {Text.Time(asked.Head.Until)}");
        session.Line($"  in force  {RequestWords.Effect(asked)}");
        session.Line($"  code      {RequestWords.Code(file.Request)}: who has another in front of them has another request");
        foreach (var (decision, signature) in file.Signed)
            session.Line($"  {(decision == Decision.Approved ? "approved" : "OBJECTED")}  by {signature.Approver} (checked when it is submitted)");
        session.Line($"  asks      to {lines[0]}"); // last, right above the question
        foreach (var line in lines.Skip(1))
            session.Line($"              {line}");
    }

    static int Sign(Session session, Decision decision)
    {
        var path = session.Parsed.GetValue(FileArgument)!;
        var file = Read(path);
        var key = ApproverKeyFile.Parse(UserFile.Bytes(session.Parsed.GetValue(KeyOption)!, "The approval key file", ErrorCode.KeyFileBad, ApproverKeyFile.MaxSize));
        if (decision == Decision.Approved && file.Asked is ApprovalRequest.Succession)
            throw new HoldfastException(ErrorCode.QuorumMissing, "That request replaces those who approve: whoever has the opening key signed it, and no approver does.", "Do nothing where it is meant; object to it where it is not (holdfast approval object).");
        if (decision == Decision.Approved && file.Asked.Head.Requester == key.Approver.Id)
            throw new HoldfastException(ErrorCode.QuorumMissing, "That request is your own: who asks does not approve of it.", "Have the others approve of it.");
        var code = RequestWords.Code(file.Request);
        if (session.Parsed.GetValue(ConfirmOption) is { } typed)
        {
            if (!RequestWords.IsCode(typed, file.Request))
                throw new HoldfastException(ErrorCode.NotConfirmed, "That is not the code of this request. Nothing was signed.", "`holdfast approval show FILE` prints what it asks for, and its code.");
        }
        else
        {
            Tell(session, file);
            var word = decision == Decision.Approved ? "approve" : "object";
            if (!Prompt.Confirm(decision == Decision.Approved ? "Approve of that?" : "Object to that?", word, session.Stop))
                throw new HoldfastException(ErrorCode.NotConfirmed, "It was not confirmed. Nothing was signed.", $"Type \"{word}\" when asked, or add --confirm {code}.");
        }
        using var signer = key.Open(OfKey.Ask(session, PassphraseOption));
        Disk.Real.Replace(FolderPath.Full(path), Encoding.UTF8.GetBytes(file.Sign(decision, signer).ToString()));
        session.Json(w =>
        {
            w.WriteString("request", file.Asked.Head.Id.ToString());
            w.WriteString("approver", key.Approver.Id.ToString());
            w.WriteString("says", decision.ToString().ToLowerInvariant());
        });
        session.Step($"{(decision == Decision.Approved ? "Approved" : "Objected")}: the file has your signature. Hand it on; `holdfast approval submit` brings it to the vault.");
        return 0;
    }

    static int Submit(Session session)
    {
        var files = session.Parsed.GetValue(FilesArgument)!.Select(Read).ToList();
        if (files.Exists(f => !f.Request.AsSpan().SequenceEqual(files[0].Request)))
            throw new HoldfastException(ErrorCode.Usage, "Those files are of different requests.", "Submit one request at a time, with all the files that people signed of it.");
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault, toChange: true);
        if (files[0].Asked.Head.Vault != vault.Id)
            throw new HoldfastException(ErrorCode.WrongVault, $"The request is to vault {files[0].Asked.Head.Vault}, and this is {vault.Id}.", "Name the right vault (--vault), or make a request to this one.");
        var signed = files.SelectMany(f => f.Signed).ToList();
        if (signed.RemoveAll(s => !ApprovalObject.IsSigned(files[0].Request, s.Decision, s.Signature, vault.State.Voters(files[0].Asked, s.Decision)) && (vault.State.Request(files[0].Asked.Head.Id) is not { } known || !ApprovalObject.IsSigned(files[0].Request, s.Decision, s.Signature, known.People))) is var bad and > 0)
            session.Warn($"holdfast: {Text.Count(bad, "signature is", "signatures are")} not of this vault's approvers, or not of this request: left out");
        var all = files[0] with { Signed = signed };
        var objections = all.All(Decision.Objected);
        var word = objections ?? all.All(Decision.Approved) ?? throw (files[0].Asked is ApprovalRequest.Succession
            ? new HoldfastException(ErrorCode.QuorumMissing, "That request is not signed with the opening key that this vault was made with.", "Make it anew with that key (holdfast approval request succession --keys FOLDER).")
            : new HoldfastException(ErrorCode.QuorumMissing, "No approver of this vault has signed that request.", "Have approvers sign it (holdfast approval sign FILE --key THEIR-KEY)."));
        var record = vault.Keeper.Decide(word);
        session.Json(w =>
        {
            RequestWords.Write(w, record.Asked);
            w.WriteString("state", RequestWords.StateName(record));
            if (record.From > 0)
                w.WriteString("inForceFrom", Text.Iso(record.From));
        });
        session.Step($"Request {Text.Id(record.Id)}, to {RequestWords.Of(record.Asked)[0]}: {RequestWords.State(record, vault.Keeper.Clock.Now)}.");
        return 0;
    }

    static int Get(Session session)
    {
        var path = FolderPath.Full(session.Parsed.GetValue(OutOption)!);
        KeyFolder.RequireNew(session, path);
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var id = session.Parsed.GetValue(IdArgument)!;
        var found = vault.State.Requests.Where(r => id.Length > 0 && r.Id.ToString().StartsWith(id, StringComparison.OrdinalIgnoreCase)).ToList();
        if (found is not [var record])
            throw new HoldfastException(ErrorCode.Usage, found.Count == 0 ? "No request of that id was submitted to this vault." : "Several requests have ids that begin so.", "`holdfast approval list` shows them.");
        var file = new RequestFile(record.Asked.ToArray(), null, []);
        KeyFolder.WriteNew(path, Encoding.UTF8.GetBytes(file.ToString()));
        session.Json(w =>
        {
            RequestWords.Write(w, record.Asked);
            w.WriteString("code", RequestWords.Code(file.Request));
            w.WriteString("state", RequestWords.StateName(record));
        });
        session.Step($"Request {Text.Id(record.Id)}, to {RequestWords.Of(record.Asked)[0]}: {RequestWords.State(record, vault.Keeper.Clock.Now)}.");
        if (record.IsWaiting)
            session.Step($"To stop it: {Shell.Program} approval object FILE --key YOUR-KEY, then {Shell.Program} approval submit FILE");
        return 0;
    }

    static int List(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var (people, requests, now) = (vault.State.Approvers, vault.State.Requests, vault.Keeper.Clock.Now);
        session.Json(w =>
        {
            w.WriteNumber("quorum", people.Quorum);
            w.WriteStartArray("approvers");
            foreach (var person in people.People)
                w.WriteStringValue(person.ToString());
            w.WriteEndArray();
            w.WriteStartArray("requests");
            foreach (var request in requests)
            {
                w.WriteStartObject();
                RequestWords.Write(w, request.Asked);
                w.WriteString("state", RequestWords.StateName(request));
                if (request.Approved > 0)
                {
                    w.WriteString("approved", Text.Iso(request.Approved));
                    w.WriteString("inForceFrom", Text.Iso(request.From));
                }
                if (request.InForce > 0)
                    w.WriteString("inForce", Text.Iso(request.InForce));
                w.WriteStartArray("by");
                foreach (var id in request.By)
                    w.WriteStringValue(id.ToString());
                w.WriteEndArray();
                w.WriteEndObject();
            }
            w.WriteEndArray();
        });
        session.Line(people.IsNobody ? "No approvers: nothing weakens this vault's protection, and one administrator does the rest. They are named when a vault is made (holdfast init --approver)." : $"{people.Quorum} of these {people.People.Count} approve:");
        foreach (var person in people.People)
            session.Line($"  {person.Id}  {person}");
        foreach (var emergency in GovernanceReport.Shown(vault))
            session.Line(EmergencyCommand.Words(vault.State, emergency));
        foreach (var request in requests)
        {
            session.Line($"{Text.Id(request.Id)}  to {RequestWords.Of(request.Asked)[0]}");
            foreach (var line in request.IsWaiting ? RequestWords.Of(request.Asked).Skip(1) : [])
                session.Line($"            {line}");
            session.Line($"          {RequestWords.State(request, now)}");
        }
        return 0;
    }
}
