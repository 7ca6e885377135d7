using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Restore;

namespace Holdfast.Cli.Commands;

static class LogCommand
{
    static readonly Argument<string> Snapshot = SnapshotArgument.Make();
    static readonly Option<string?> SinceOption = new("--since") { Description = "A file with a checkpoint, or a proof, that was kept earlier: the log must still begin with all that it covered, and the vault have all that the proof's snapshot needs.", HelpName = "FILE" };
    static readonly Option<string?> ProofOption = new("--proof") { Description = "Check this proof file; needs no vault.", HelpName = "FILE" };
    static readonly Option<string?> KeyOption = new("--log-key") { Description = "With --proof: the log's public key, from someone you trust. `holdfast init --json` prints it, and it stands in the vault's file `vault`, after `log`.", HelpName = "KEY" };
    static readonly Option<string[]> WitnessOption = new("--witness") { Description = "Ask this witness, and none that the vault names: its public key, from someone you trust, =, and its URL. It must show the log as it is now.", HelpName = "KEY=URL" };
    static readonly Option<bool> OfflineOption = new("--offline") { Description = "Do not ask the witnesses; what they cosigned earlier is checked all the same." };
    static readonly Option<string?> ConfirmOption = new("--confirm") { Description = "Without a terminal: the vault's id, or its first eight letters.", HelpName = "LETTERS" };
    static readonly Option<string?> OutOption = new("--out") { Description = "A new file to write it to, instead of standard output.", HelpName = "FILE" };

    public static Command Create()
    {
        var log = new Command("log", "Show and prove what was done to the vault, to an outsider too.");
        log.Subcommands.Add(Session.Command("checkpoint", "Print the signed checkpoint: keep it elsewhere, and compare later.", command =>
        {
            command.Options.Add(OutOption);
            KeyFolder.AddTo(command, reading: false);
        }, Checkpoint));
        log.Subcommands.Add(Session.Command("prove", "Write a proof that a snapshot was committed and locked, for anyone to check.", command =>
        {
            command.Arguments.Add(Snapshot);
            command.Options.Add(SnapshotArgument.NameOption);
            command.Options.Add(OutOption);
            KeyFolder.AddTo(command, reading: false);
        }, Prove));
        log.Subcommands.Add(Session.Command("verify", "Check that the log is whole and signed; with --proof, check a proof file, without any vault.", command =>
        {
            command.Options.Add(SinceOption);
            command.Options.Add(ProofOption);
            command.Options.Add(KeyOption);
            command.Options.Add(WitnessOption);
            command.Options.Add(OfflineOption);
            KeyFolder.AddTo(command, reading: false);
        }, Verify));
        log.Subcommands.Add(LogCosign.Create());
        log.Subcommands.Add(Session.Command("entries", "List what the log records, oldest first.", command => KeyFolder.AddTo(command, reading: false), Entries));
        log.Subcommands.Add(Session.Command("accept", "Go on with the log that is here: an older copy of the vault that you brought back knowingly, or one in another place.", command =>
        {
            command.Options.Add(ConfirmOption);
            KeyFolder.AddTo(command, reading: false);
        }, Accept));
        return log;
    }

    /// <summary>A person's own decision, and never a job's: whoever put an older log in the vault's place would want it taken.</summary>
    static int Accept(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        var folder = new KeyFolder(session);
        var memory = new LogMemory(folder.Folder);
        if (memory.Closed is { } closed)
            throw new HoldfastException(ErrorCode.NoPermission, $"What these keys have seen cannot be looked at, and cannot be put aside: this user may not {(Directory.Exists(closed) ? "enter" : "read")} {closed}. Nothing was changed.", $"{memory.Open(closed)}. Then run this again.");
        if (!Directory.Exists(folder.Folder))
            throw new HoldfastException(ErrorCode.KeyFileBad, "The key folder that was named is not there; nothing was changed.", "Look at --keys or HOLDFAST_KEYS.");
        if (folder.Files.Vault() is { } of && of != vault.Id)
            throw new HoldfastException(ErrorCode.WrongVault, "The key folder is of another vault.", "Name a vault and the key folder that was made with it.");
        if (vault.Keeper.LogFault is { } damaged && vault.Keeper.Cosigned.NotIn(vault.Keeper.Log).Count > 0)
            throw new HoldfastException(damaged.Code, damaged.Message, damaged.Guidance); // what witnesses cosigned may be what is missing here: mended first, then judged
        var isUnknown = memory.HasLostCheckpoint || folder.IsUnreadable(memory, vault); // then it agrees with any log
        if (memory.Place is not null && !isUnknown && vault.Keeper.WitnessFault is null && IsAccepted(memory, vault))
        {
            memory.Keep(vault);
            session.Json(w => w.WriteNumber("size", vault.Keeper.Log.Size));
            session.Step("These keys go on with this vault already: there is nothing to accept.");
            return 0;
        }
        if (!vault.Keeper.HasLogKey)
            throw new HoldfastException(ErrorCode.KeyFileBad, "The key of the log (keeper/log.key) is not in this copy: it can be read, and nothing can be written to it. Nothing was changed.",
                "To restore from it no `accept` is needed: where commands end with LogForked, " + LogMemory.ReadUncompared + " To go on backing up to it, put keeper/log.key into it first, from where you keep a copy of that file; where there is none, make a new vault (`holdfast init`) and keep this one for restores.");
        var (seen, word) = (memory.Seen, Text.Id(vault.Id));
        var here = vault.State.Snapshots.LastOrDefault(s => !s.IsRemoved);
        var typed = session.Parsed.GetValue(ConfirmOption);
        var isConfirmed = typed == word || typed == vault.Id.ToString();
        Action<string> tell = isConfirmed ? session.Note : session.Warn; // whoever has yet to decide has to know, with --quiet too
        tell($"The log here has {Text.Count(vault.Keeper.Log.Size, "leaf", "leaves")}; its newest snapshot is {(here is null ? "none" : $"of {Text.Time(here.Committed)}")}.");
        (isUnknown ? session.Warn : tell)(isUnknown ? "What these keys have seen of it before cannot be told: the file `checkpoint` in the key folder is damaged or gone. If the vault was put back to an older state, what was committed since is not here." : seen is null ? "These keys have seen none before." : $"These keys have seen one of {Text.Count(seen.Size, "leaf", "leaves")}{(memory.Place is { } place ? $" in {place}" : "")}. Snapshots committed and locks lengthened in it only are not here, and that vault is refused from now on.");
        if (!isConfirmed && !Prompt.Confirm("Go on with the log that is here?", word, session.Stop))
            throw new HoldfastException(ErrorCode.NotConfirmed, "That was not confirmed; nothing was changed.", $"Be sure that nobody else put this log here. Then type the first letters of the vault's id when asked, or add --confirm {word}.");
        var kept = memory.Accept(vault);
        var givenUp = vault.Keeper.Cosigned.GiveUp(vault.Keeper.Log, TimeProvider.System.GetUtcNow());
        session.Json(w =>
        {
            w.WriteString("vault", vault.Id.ToString());
            w.WriteString("folder", LogMemory.PlaceOf(vault));
            w.WriteNumber("size", vault.Keeper.Log.Size);
            if (kept is not null)
                w.WriteString("earlierCheckpoint", kept);
        });
        session.Step($"These keys go on with the vault in {LogMemory.PlaceOf(vault)}.");
        if (kept is not null)
            session.Step($"What they had seen before is kept as evidence in {kept}.");
        if (givenUp > 0)
            session.Warn("holdfast: witnesses have cosigned more of this log, or another history, than is here. That is kept as evidence in log/ (*.before-*); they will never cosign this log again: where cosignatures are wanted, go on with a new vault and new witnesses");
        return 0;
    }

    static bool IsAccepted(LogMemory memory, Vault vault)
    {
        try
        {
            return memory.Compare(vault) is null;
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogForked)
        {
            return false; // what is to be decided
        }
    }

    static int Checkpoint(Session session)
    {
        RequireOut(session);
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var checkpoint = vault.Keeper.Log.Checkpoint!;
        Put(session, checkpoint.Note, w =>
        {
            w.WriteNumber("size", checkpoint.Size);
            w.WriteString("root", Convert.ToBase64String(checkpoint.Root.ToArray()));
            w.WriteString("note", checkpoint.Note);
        });
        return 0;
    }

    static int Prove(Session session)
    {
        RequireOut(session);
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var record = SnapshotArgument.FindByPutKey(session, vault, session.Parsed.GetValue(Snapshot)!);
        var proof = vault.Keeper.Log.Prove((long)record.Ordinal);
        var state = BytesState.Of(vault, record);
        Put(session, proof.ToString(), w =>
        {
            w.WriteString("snapshot", record.Snapshot.ToString());
            w.WriteNumber("leaf", record.Ordinal);
            w.WriteString("proof", proof.ToString());
            w.WriteString("statement", state.Statement);
            w.WriteNumber("packs", state.Packs);
            w.WriteNumber("packsMissing", state.Missing);
            w.WriteNumber("packsDamaged", state.Damaged);
            w.WriteNumber("packsNeverRead", state.NeverRead);
            if (state.LastRead is { } read)
                w.WriteString("allBytesLastRead", Text.Iso(read));
        });
        session.Note($"Snapshot {record.Snapshot}: record unaltered since {Text.Time(record.Committed)}: the proof shows it to anyone who has the log key {vault.Keeper.File.LogKey}");
        if (state.Code == ErrorCode.None)
            session.Note(state.Statement);
        return state.Code == ErrorCode.None ? 0 : session.Fail(state.Code, state.Statement + " The proof holds for the record, not for the data.", ProblemReport.Advice(state.Code));
    }

    /// <summary>What may be said of the bytes of a snapshot whose record is proven: what is known of its packs now, not only when they were last read.</summary>
    /// <param name="LastRead">Since when all of them have been read and found right; null where that may not be said.</param>
    sealed record BytesState(ErrorCode Code, int Packs, int Missing, int Damaged, int NeverRead, ulong? LastRead, string Statement)
    {
        public static BytesState Of(Vault vault, SnapshotRecord record)
        {
            var health = vault.Health();
            var (reads, marks) = (vault.LastReads().Times, vault.LastReads().Damaged);
            var packs = vault.State.SizedPacksOf(record)?.ToList();
            // Whatever their locks say: a statement on the bytes holds for bytes that are there.
            var names = health.Stored.Select(p => p.Name).ToHashSet();
            var whole = health.Stored.Select(p => (p.Name, p.Size)).ToHashSet();
            var missing = packs?.Count(p => !names.Contains(p.Name)) ?? 0;
            var damaged = packs?.Count(p => names.Contains(p.Name) && (marks.ContainsKey(p.Name) || !whole.Contains((p.Name, p.Size)))) ?? 0;
            var isHealed = health.Healed.Contains(record);
            var code = isHealed ? ErrorCode.None : missing > 0 ? ErrorCode.PackMissing : damaged > 0 ? ErrorCode.PackDamaged : health.Of(record).Keys.DefaultIfEmpty(ErrorCode.None).Min();
            var never = packs?.Count(p => !reads.ContainsKey(p.Name)) ?? 0;
            var last = code == ErrorCode.None && packs is { Count: > 0 } && never == 0 ? packs.Min(p => reads[p.Name]) : (ulong?)null;
            var statement = code switch
            {
                ErrorCode.PackMissing or ErrorCode.PackDamaged => $"Its bytes are NOT ALL THERE: of the {Text.Count(packs!.Count, "pack")} it needs, {missing} missing, {damaged} damaged.",
                ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged => "Its snapshot object, or one it builds on, is missing or damaged: which packs it needs cannot be told.",
                ErrorCode.SnapshotDefective => $"Attestation found DEFECTS in it on {Text.Time(record.DefectsFound)}.",
                _ when isHealed => $"of its {Text.Count(packs!.Count, "pack")} {missing} {(missing == 1 ? "is" : "are")} missing, {damaged} damaged; all that they held was read from other packs, and found right, on {Text.Time(record.DefectsFound)}.",
                _ when last is { } read => $"All its bytes were last read and found right on {Text.Time(read)}.",
                _ when packs is { Count: 0 } => "It needs no pack.",
                _ => $"Its bytes: {never} of {packs?.Count ?? 0} packs were NEVER READ BACK since they were written (holdfast verify).",
            };
            return new BytesState(code, packs?.Count ?? 0, missing, damaged, never, last, statement);
        }
    }

    static void RequireOut(Session session)
    {
        if (session.Parsed.GetValue(OutOption) is { } file)
            KeyFolder.RequireNew(session, Path.GetFullPath(file));
    }

    static void Put(Session session, string text, Action<System.Text.Json.Utf8JsonWriter> json)
    {
        if (session.Parsed.GetValue(OutOption) is { } file)
        {
            KeyFolder.WriteNew(Path.GetFullPath(file), System.Text.Encoding.UTF8.GetBytes(text));
            session.Step($"Written to {file}.");
        }
        else if (!session.IsJson)
            Output.Write(text);
        session.Json(json);
    }

    static int Verify(Session session)
    {
        if (session.Parsed.GetValue(ProofOption) is { } file)
            return VerifyProof(session, file);
        if (session.Parsed.GetValue(WitnessOption) is { Length: > 0 } || (!session.Parsed.GetValue(OfflineOption) && WitnessList.Read(KeyFolder.VaultFolder(session)).Count > 0))
            session.Network.Require();
        using var vault = KeyFolder.OpenVault(session); // opening reads every leaf and checks the root
        var folder = new KeyFolder(session);
        var since = Since(session, vault); // first: where the keys' own memory calls the log forked, this is what tells how far that goes
        try
        {
            folder.Remember(vault);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogForked && since is { } compared)
        {
            throw new HoldfastException(e.Code, $"{e.Message} {compared.Words}", compared.Fault is null ? $"{e.Guidance} {WhatSinceMeans}" : e.Guidance, e);
        }
        if (since?.Fault is { } other)
            throw other;
        if (since is { } same)
            session.Step(same.Words);
        var seenByWitnesses = new WitnessReport(session, vault, folder).Verify([.. (session.Parsed.GetValue(WitnessOption) ?? []).Select(InitCommand.Witness).Select(w => session.Network.Witness(w.Key, w.Url))], !session.Parsed.GetValue(OfflineOption));
        session.Json(w =>
        {
            w.WriteNumber("size", vault.Keeper.Log.Size);
            w.WriteString("root", Convert.ToBase64String(vault.Keeper.Log.Checkpoint!.Root.ToArray()));
            w.WriteNumber("lost", vault.Keeper.Log.Lost.Count);
        });
        if (seenByWitnesses is { Code: ErrorCode.LogForked } forked)
            throw forked;
        if (vault.Keeper.LogFault is { } damaged)
            return session.Fail(damaged.Code, damaged.Message, damaged.Guidance);
        if (TilesReport.Mend(session, vault, mayWrite: folder is { IsGiven: true, NotCompared: null }) is { } tiles)
            return session.Fail(tiles.Code, tiles.Message, tiles.Guidance);
        session.Step($"The log is whole: {Text.Count(vault.Keeper.Log.Size, "leaf", "leaves")}, and its signature is right.");
        if (seenByWitnesses is { } seen)
            return session.Fail(seen.Code, seen.Message, seen.Guidance);
        return folder.NotCompared is { } fault && session.Parsed.GetValue(SinceOption) is null ? session.Fail(fault.Code, fault.Message, fault.Guidance) : 0;
    }

    const string WhatSinceMeans = "What the file covers is there unaltered: what was rewritten or is missing came after it.";

    /// <summary>The log compared with the checkpoint in the file that --since names; null where none was.</summary>
    static (string Words, HoldfastException? Fault)? Since(Session session, Vault vault)
    {
        if (session.Parsed.GetValue(SinceOption) is not { } file)
            return null;
        var text = Note(file, "The earlier checkpoint");
        var earlier = LogProof.TryParse(text, out var proof) ? proof.Checkpoint : Core.Log.Checkpoint.TryParse(text, out var kept) ? kept
            : throw new HoldfastException(ErrorCode.ProofInvalid, "That file is no checkpoint, and no proof.", "It is what `holdfast log checkpoint` or `holdfast log prove` printed, unchanged.");
        HoldfastException? fault = null;
        try
        {
            vault.Keeper.Log.RequireExtends(earlier);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.LogForked)
        {
            fault = e;
        }
        session.Json(w =>
        {
            w.WriteStartObject("since");
            w.WriteNumber("size", earlier.Size);
            w.WriteBoolean("unaltered", fault is null);
            w.WriteEndObject();
        });
        var leaves = Text.Count(earlier.Size, "leaf", "leaves");
        if (fault is null && proof is not null)
            return OfProof(session, vault, proof, $"The log begins with the {leaves} that the proof goes by, unaltered.");
        return (fault is null ? $"The log begins with the {leaves} of the earlier checkpoint, unaltered." : $"Nor does it begin with the {leaves} of the earlier checkpoint that --since names.", fault);
    }

    /// <summary>The snapshot that a proof is of: its record stands in the log where the proof's checkpoint does; whether its data is there, only the vault can show.</summary>
    static (string Words, HoldfastException? Fault) OfProof(Session session, Vault vault, LogProof proof, string begins)
    {
        if (!proof.IsValid(vault.Keeper.Log.Key) || !Leaf.TryParse(proof.Leaf, out var leaf))
            throw new HoldfastException(ErrorCode.ProofInvalid, "The proof does not hold.", "It was altered, or is of another log.");
        if (leaf.Type != LeafType.Commit || vault.State.Find(leaf.Subject) is not { } record)
            return (begins, null);
        var state = record.IsRemoved ? null : BytesState.Of(vault, record);
        session.Json(w =>
        {
            w.WriteStartObject("proven");
            w.WriteString("snapshot", record.Snapshot.ToString());
            w.WriteString("lockedUntil", Text.Iso(record.Expiry));
            w.WriteBoolean("givenUp", record.IsRemoved);
            w.WriteBoolean("allThere", state?.Code == ErrorCode.None);
            w.WriteEndObject();
        });
        var name = $"Snapshot {record.Snapshot}, which it proves,";
        if (state is null)
            return ($"{begins} {name} was locked until {Text.Time(record.Expiry)}, and given up after that.", null);
        return state.Code == ErrorCode.None ? ($"{begins} {name} is there: {state.Statement}", null)
            : ($"{begins} {name} is NOT WHOLE.", new HoldfastException(state.Code, $"The record of snapshot {record.Snapshot} stands unaltered, locked until {Text.Time(record.Expiry)}. {state.Statement}", ProblemReport.Advice(state.Code)));
    }

    /// <summary>A note that was sent by mail or saved by an editor has other line ends, or a blank line more, and says the same.</summary>
    static string Note(string file, string what) => UserFile.Text(file, what).Replace("\r\n", "\n", StringComparison.Ordinal).TrimEnd('\n') + "\n";

    static int VerifyProof(Session session, string file)
    {
        var named = session.Parsed.GetValue(KeyOption) ?? throw new HoldfastException(ErrorCode.Usage, "A proof is checked against a log key.", "Add --log-key KEY; take the key from someone you trust, not from where the proof came from.");
        if (!VerifierKey.TryParse(named, out var key))
            throw new HoldfastException(ErrorCode.ProofInvalid, "That is no verifier key.", "It looks like holdfast/HEX+HEX8+BASE64.");
        if (!LogProof.TryParse(Note(file, "The proof file"), out var proof))
            throw new HoldfastException(ErrorCode.ProofInvalid, "That file is no proof.", "It is what `holdfast log prove SNAPSHOT` wrote, unchanged.");
        if (!proof.IsValid(key) || !Leaf.TryParse(proof.Leaf, out var leaf))
            throw new HoldfastException(ErrorCode.ProofInvalid, "The proof does not hold.", "It was altered, or is of another log. Ask for a new one: holdfast log prove SNAPSHOT.");
        session.Json(w =>
        {
            w.WriteBoolean("valid", true);
            LeafWords.Write(w, (long)proof.Index, leaf);
        });
        session.Step($"The proof holds: leaf {proof.Index} of {proof.Checkpoint.Size}, {leaf.Type} of {leaf.Subject}, {Text.Time(leaf.VaultTime)}{(leaf.Type == LeafType.Commit ? $", locked until {Text.Time(leaf.A)}" : "")}.");
        return 0;
    }

    static int Entries(Session session)
    {
        using var vault = KeyFolder.OpenVault(session);
        new KeyFolder(session).Remember(vault);
        var log = vault.Keeper.Log;
        var refused = VaultHealth.RefusedLeaves(vault.Keeper).GroupBy(l => l.Ordinal).ToDictionary(g => g.Key, g => g.First());
        using var entries = session.JsonList("entries");
        for (long i = 0; i < log.Size; i++)
        {
            session.Stop.ThrowIfCancellationRequested();
            var index = i;
            if (Leaf.TryParse(log.Leaf(i), out var leaf))
            {
                var fault = refused.TryGetValue((ulong)i, out var found) ? LeafWords.Of(found) : null;
                entries.Add(w =>
                {
                    LeafWords.Write(w, index, leaf);
                    if (fault is not null)
                        w.WriteString("refused", fault);
                });
                session.Row($"{i,6}  {Text.Time(leaf.VaultTime)}  {LeafWords.Of(leaf)}{(fault is null ? "" : $"; {fault}")}");
            }
            else
            {
                var isLost = log.Lost.Contains(i);
                entries.Add(w =>
                {
                    w.WriteNumber("leaf", index);
                    w.WriteString("type", isLost ? "Damaged" : "Unknown");
                });
                session.Row($"{i,6}  {(isLost ? "DAMAGED: what it said is not known" : "written by a version newer than this one")}");
            }
        }
        return 0;
    }
}
