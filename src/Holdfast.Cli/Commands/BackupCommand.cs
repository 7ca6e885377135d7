using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Backup;
using Holdfast.Core.Gateway;
using Holdfast.Core.Retention;
using Holdfast.Core.Snapshots;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;
using Holdfast.Sources.Streams;

namespace Holdfast.Cli.Commands;

static class BackupCommand
{
    const int ShownProblems = 20;
    const int ShownExcludes = 10;
    const int MaxName = 1_024; // bytes
    const ulong LeastRate = 64 << 10; // bytes a second: a gateway with others waiting sends away who is slower than a quarter of that
    const int MaxFileName = 255; // bytes: file systems take no longer name, and a stream comes back as a file of its name

    static readonly Argument<string?> SourceArgument = new("SOURCE") { Description = "Folder to back up.", Arity = ArgumentArity.ZeroOrOne };
    static readonly Argument<string[]> CommandArgument = new("COMMAND") { Description = "With --stdin: a command whose output is backed up, after --.", Arity = ArgumentArity.ZeroOrMore };
    static readonly Option<string?> NameOption = new("--name") { Description = "Name of the source; snapshots of one name follow each other. Default: the folder's path, of an agent with the machine's name before it; a stream needs one.", HelpName = "NAME" };
    static readonly Option<bool> StdinOption = new("--stdin") { Description = "Back up the output of a command given after --, and nothing where it fails; or standard input, whose writer's failure nobody sees." };
    static readonly Option<string[]> ExcludeOption = new("--exclude") { Description = "Leave out what matches, as in .gitignore; may be repeated.", HelpName = "PATTERN", DefaultValueFactory = _ => [] };
    static readonly Option<string?> ExcludeFromOption = new("--exclude-from") { Description = "File with such patterns.", HelpName = "FILE" };
    static readonly Option<bool> OneFileSystemOption = new("--one-file-system") { Description = "Stay on the folder's file system." };
    static readonly Option<bool> FormerCachesOption = new("--with-caches") { Hidden = true }; // what is done anyway, since --skip-caches has to be asked for
    static readonly Option<bool> CachesOption = new("--skip-caches") { Description = "Leave out what lies in folders that a file CACHEDIR.TAG marks as caches. Whoever may write to the data can have any folder left out so." };
    static readonly Option<int> LevelOption = new("--level") { Description = "zstd level, 1 to 19.", HelpName = "N", DefaultValueFactory = _ => new ArchiveOptions().Level };
    static readonly Option<bool> EmptyOption = new("--allow-empty") { Description = "Take a folder with nothing in it too, or with --stdin a stream of no bytes." };
    static readonly Option<bool> ReadAllOption = new("--read-all") { Description = "Read every file, whatever its times say." };
    /// <summary>What says how a folder is walked and read.</summary>
    static readonly Option[] FolderOptions = [ExcludeOption, ExcludeFromOption, OneFileSystemOption, CachesOption, FormerCachesOption, ReadAllOption];
    static readonly Option<string?> LimitOption = new("--limit-upload") { Description = "Bytes a second that an agent sends at most, such as 10MiB. Default: as many as there is room for.", HelpName = "RATE" };
    static readonly Option<bool> AttestOption = new("--attest") { Description = "Re-open the snapshot afterwards and log what was found; needs the opening key." };

    static readonly Option<string?> RunOption = new("--run") { Description = "Name this run: of all that are begun under one name, one is committed, whichever process or machine began it (with the same keys).", HelpName = "ID" };
    const int MaxRun = 200; // characters

    public static Command Create() => Session.Command("backup", "Back up a folder or a stream.", command =>
    {
        command.Arguments.Add(SourceArgument);
        command.Arguments.Add(CommandArgument);
        foreach (var option in new Option[] { NameOption, StdinOption, ExcludeOption, ExcludeFromOption, EmptyOption, OneFileSystemOption, CachesOption, FormerCachesOption, LevelOption, ThreadsArgument.Option, ReadAllOption, LimitOption, RunOption, AttestOption })
            command.Options.Add(option);
        KeyFolder.AddTo(command, reading: true, scoped: false);
    }, Run);

    static int Run(Session session)
    {
        var stdin = session.Parsed.GetValue(StdinOption);
        var words = session.Parsed.GetValue(CommandArgument)!;
        var unknown = session.Parsed.Tokens.TakeWhile(t => t.Value != "--").Select(t => t.Value).FirstOrDefault(t => (t == session.Parsed.GetValue(SourceArgument) || words.Contains(t)) && t.StartsWith('-'));
        if (unknown is not null || (!stdin && words.Length > 0) || (stdin && words.Length > 0 && !session.Parsed.Tokens.Any(t => t.Value == "--")))
            throw new HoldfastException(ErrorCode.Usage, unknown is not null ? "There is no such option." : words.Length > 0 && session.Parsed.Tokens.Any(t => t.Value == "--") ? "A command after -- is there to be read from, and --stdin is missing." : "There is one word too many: a backup takes one folder.",
                "`holdfast backup --help` shows how it is called; with --stdin a command follows after --.");
        var keys = new KeyFolder(session);
        var access = GatewayAccess.Meant(session);
        using var vault = access is null ? KeyFolder.OpenVault(session) : null;
        var level = session.Parsed.GetValue(LevelOption);
        if (level is < 1 or > 19)
            throw new HoldfastException(ErrorCode.Usage, "The level is out of range.", "Choose 1 (fast) to 19 (small).");
        var options = new ArchiveOptions { Level = level, Threads = ThreadsArgument.Get(session), UseState = !session.Parsed.GetValue(ReadAllOption), HasMounts = !session.Parsed.GetValue(OneFileSystemOption) };
        if (vault is not null && session.Parsed.GetResult(LimitOption) is { Implicit: false })
            throw new HoldfastException(ErrorCode.Usage, "--limit-upload says how much an agent sends to its gateway, and these keys are no agent's.", "Leave it out.");
        if (session.Parsed.GetValue(RunOption) is { } run && (run.Length is 0 or > MaxRun || !run.All(c => c is > ' ' and <= '~')))
            throw new HoldfastException(ErrorCode.Usage, "A run cannot be named so.", $"Letters, digits and signs without blanks, {MaxRun} at most.");
        var target = vault is not null ? new Target(vault.Keeper.Folders, name => IsNew(vault, keys, name), job => Run(session, vault, keys, job)) : GatewayTarget(session, keys, access!);
        return session.Parsed.GetValue(StdinOption) ? Stream(session, target, options) : Folder(session, target, keys, options);
    }

    /// <summary>True where the run of this name was done before: by the log as it was checked here, never by another process's word.</summary>
    public static bool IsDone(Session session, HoldfastException e) => e.Done is not null && session.Parsed.GetValue(RunOption) is not null;

    /// <summary>Tells that this run was done before.</summary>
    /// <param name="session">Of the command.</param>
    /// <param name="e">What says so.</param>
    /// <param name="wasIncomplete">Its snapshot is not whole, as far as is known.</param>
    /// <param name="isAttested">Null where nobody looked.</param>
    /// <param name="now">By the vault's clock; 0 where it is not known.</param>
    /// <returns>The exit status.</returns>
    public static int TellDone(Session session, HoldfastException e, bool wasIncomplete, bool? isAttested = null, ulong now = 0)
    {
        var done = e.Done!;
        session.Json(w =>
        {
            w.WriteBoolean("doneBefore", true);
            w.WriteString("snapshot", done.Snapshot.ToString());
            w.WriteString("committed", Text.Iso(done.Committed));
            if (now > 0)
                w.WriteString("vaultTime", Text.Iso(now));
            if (isAttested is { } good)
                w.WriteBoolean("attested", good);
        });
        session.Step(e.Message);
        if (wasIncomplete)
            session.Warn("holdfast: INCOMPLETE: something was left out of that snapshot, or is in doubt. The process that made it ended before it could say what; the next run does");
        if (isAttested == false)
            return FailDefective(session);
        return wasIncomplete ? (int)ErrorCode.Incomplete : 0;
    }

    static int FailDefective(Session session) => session.Fail(ErrorCode.SnapshotDefective, "ATTESTATION FOUND DEFECTS: the snapshot is stored, and is not what was signed, or not whole. The log has a record of it.",
        "Run `holdfast attest`: it re-checks, and names packs to bring back, or the writer or agent to look into.");

    /// <summary>Where a backup goes.</summary>
    /// <param name="Folders">The vault's on this machine: they are left out of what is backed up.</param>
    /// <param name="IsNew">False for a source whose first backups were taken as they were named: it goes on.</param>
    /// <param name="Run">Backs up.</param>
    sealed record Target(IReadOnlyList<string> Folders, Func<string, bool> IsNew, Func<Job, int> Run)
    {
        /// <summary>Names a folder's source where nobody does.</summary>
        public Func<string, string> NameOf { get; init; } = path => path;
    }

    /// <summary>What is backed up.</summary>
    sealed record Job(ISource Source, string Name, string RootPath, ArchiveOptions Options, Excludes? Excludes = null)
    {
        /// <summary>Takes what came of it, in place of telling the user, and gives the exit status.</summary>
        public Func<Outcome, int>? Tell { get; init; }
    }

    /// <summary>Backs up for another command, into the vault or through the gateway that the call means.</summary>
    /// <param name="session">Of that command, with the options of <see cref="KeyFolder"/>.</param>
    /// <param name="source">What.</param>
    /// <param name="name">Of the source.</param>
    /// <param name="rootPath">Where it lies, for whoever reads the snapshot.</param>
    /// <param name="tell">Takes what came of it, and gives the exit status.</param>
    /// <returns>0 where the snapshot is stored, and nothing is wrong with the vault.</returns>
    public static int Store(Session session, ISource source, string name, string rootPath, Func<Outcome, int> tell)
    {
        var keys = new KeyFolder(session);
        var options = new ArchiveOptions();
        if (GatewayAccess.Meant(session) is { } access)
            return AgentBackup.Run(session, keys, access, session.Network.Gateway(access, 0, session.Stop), source, name, rootPath, options, null, tell);
        using var vault = KeyFolder.OpenVault(session);
        return Run(session, vault, keys, new Job(source, name, rootPath, options) { Tell = tell });
    }

    static Target GatewayTarget(Session session, KeyFolder keys, GatewayAccess access)
    {
        if (session.Parsed.GetValue(AttestOption))
            throw new HoldfastException(ErrorCode.Usage, "An agent cannot attest: it reads nothing of the vault.", "Leave --attest out; `holdfast attest` runs where the opening key is.");
        var rate = InitCommand.Size(session, LimitOption);
        if (session.Parsed.GetResult(LimitOption) is { Implicit: false } && rate is < LeastRate or > long.MaxValue / 2)
            throw new HoldfastException(ErrorCode.Usage, "That is no rate to send at.", $"{Text.Bytes(LeastRate)} a second is the least (64KiB).");
        var gateway = new Lazy<IGateway>(() => session.Network.Gateway(access, (long)rate, session.Stop)); // one for all tries: it has answered before
        return new Target([], _ => true, job => AgentBackup.Run(session, keys, access, gateway.Value, job.Source, job.Name, job.RootPath, job.Options, job.Excludes)) { NameOf = path => $"{Environment.MachineName}:{path}" }; // other machines have folders of that path
    }

    static int Folder(Session session, Target target, KeyFolder keys, ArchiveOptions options)
    {
        var named = session.Parsed.GetValue(SourceArgument) ?? throw new HoldfastException(ErrorCode.Usage, "No folder to back up was named.", "holdfast backup FOLDER, or --stdin for a stream.");
        if (named.Length == 0)
            throw new HoldfastException(ErrorCode.Usage, "A folder with an empty name was named.", "Name the folder to back up. In a script, look at the variable that should hold its name.");
        var path = FolderPath.Full(named); // the path is the name of a source that was given none
        if (session.Parsed.GetValue(NameOption) is { } name && Encoding.UTF8.GetByteCount(name) > MaxName && target.IsNew(name))
            throw new HoldfastException(ErrorCode.Usage, $"The name of a source has at most {MaxName} bytes.", "Choose a shorter --name.");
        if (target.Folders.Any(f => FolderPath.IsWithin(path, f)))
            throw new HoldfastException(ErrorCode.Usage, "The folder to back up lies inside the vault.", "Name a folder with data of yours; a vault is copied with any tool that copies files, and needs no backup inside itself.");
        if (keys.IsGiven && FolderPath.IsWithin(keys.Folder, path))
            session.Warn("holdfast: the vault's keys lie inside the folder that is backed up. Lost with it they cannot open their own copy, and whoever restores that folder gets them: keep keys elsewhere, and print a recovery kit");
        if (!session.Parsed.GetValue(EmptyOption) && IsEmpty(path))
            throw new HoldfastException(ErrorCode.SourceMissing, "There is nothing in the folder; nothing was committed.", "See whether the disk or share that should be there is mounted. Where nothing is right, add --allow-empty.");
        if (target.Folders.Any(f => FolderPath.IsWithin(f, path)))
            session.Note("holdfast: the vault lies inside the folder that is backed up, and is left out");
        var patterns = session.Parsed.GetValue(ExcludeOption)!;
        Excludes.RequireSound(patterns, "--exclude number", areLines: true);
        if (patterns.Any(IsWholePath))
            session.Warn("holdfast: an --exclude names the folder to back up by its whole path, and matches nothing: patterns are relative to that folder, as in .gitignore (/sub for its folder sub)");
        if (patterns.Any(p => p.StartsWith('#')))
            session.Warn("holdfast: an --exclude begins with #, as a comment of .gitignore does, and matches nothing: for a name that begins so, write \\#name");
        IReadOnlyList<string> lines = [];
        if (session.Parsed.GetValue(ExcludeFromOption) is { } file)
        {
            lines = UserFile.Lines(file, "The file with patterns (--exclude-from)");
            Excludes.RequireSound(lines, "Line", areLines: true);
            if (lines.ToList().FindIndex(l => l.Contains('\uFFFD', StringComparison.Ordinal) && !l.StartsWith('#')) is var at and >= 0)
                session.Warn($"holdfast: line {at + 1} of --exclude-from is not text in UTF-8, and matches nothing: save the file as UTF-8, and write * for what of a name is no UTF-8 itself");
        }
        return AgentRun.Again(Once, AgentRun.Pauses, lost => session.Warn($"holdfast: {lost.Message} It begins anew"), session.Stop);

        int Once()
        {
            var excludes = new Excludes().AddLines(patterns);
            var typed = excludes.Count;
            excludes.AddLines(lines);
            using var source = FileSource.Open(path, new FileSourceOptions
            {
                Excludes = excludes,
                OneFileSystem = session.Parsed.GetValue(OneFileSystemOption),
                SkipCaches = session.Parsed.GetValue(CachesOption),
                WhenEmpty = session.Parsed.GetValue(EmptyOption) || excludes.IsEmpty ? null : () => throw new HoldfastException(ErrorCode.SourceMissing, "The excludes leave nothing of the folder; nothing was committed.", "Look at --exclude and the lines of --exclude-from: `*` matches everything. Where nothing is right, add --allow-empty."),
                SkipFolders = target.Folders,
            });
            var status = target.Run(new Job(source, session.Parsed.GetValue(NameOption) ?? target.NameOf(path), path, options, excludes));
            TellUnmatched(session, excludes.Unmatched(typed).Where(p => !IsWholePath(p)));
            return status;
        }

        bool IsWholePath(string pattern) => pattern.TrimStart('!').StartsWith(path + "/", StringComparison.Ordinal);
    }

    static void TellUnmatched(Session session, IEnumerable<string> patterns)
    {
        var unmatched = patterns.Distinct().ToList();
        foreach (var pattern in unmatched.Take(ShownExcludes))
            session.Note($"holdfast: the exclude `{pattern}` matched nothing; where it should have, look at how it is written");
        if (unmatched.Count > ShownExcludes)
            session.Note($"holdfast: {Text.Count(unmatched.Count - ShownExcludes, "more exclude", "more excludes")} matched nothing");
    }

    /// <summary>What cannot be looked into is told by who opens it.</summary>
    static bool IsEmpty(string folder)
    {
        try
        {
            return Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    static int Stream(Session session, Target target, ArchiveOptions options)
    {
        var name = session.Parsed.GetValue(NameOption) ?? throw new HoldfastException(ErrorCode.Usage, "A stream needs a name.", "Add --name NAME.");
        var fileName = Encoding.UTF8.GetBytes(name.Replace('/', '-'));
        if (!TreePath.IsValid(fileName) || fileName.Length == 0)
            throw new HoldfastException(ErrorCode.Usage, "That cannot be the name of a file.", "Choose another --name.");
        if (fileName.Length > MaxFileName && target.IsNew(name))
            throw new HoldfastException(ErrorCode.Usage, $"A stream comes back as a file of its name, and file systems take {MaxFileName} bytes for one at most; this name has {fileName.Length}.", "Choose a shorter --name.");
        if (FolderOptions.FirstOrDefault(o => session.Parsed.GetResult(o) is { Implicit: false }) is { } ofFolder)
            throw new HoldfastException(ErrorCode.Usage, $"{ofFolder.Name} says how a folder is backed up, and with --stdin there is none: a stream is taken as it comes.", $"Leave {ofFolder.Name} out.");
        Action? whenEmpty = session.Parsed.GetValue(EmptyOption) ? null : () => throw new HoldfastException(ErrorCode.ProducerFailed, "Not one byte came; nothing was committed.",
            "A dump of nothing is a dump that failed: look at what should have written it. Where nothing is right, add --allow-empty.");
        if (session.Parsed.GetResult(SourceArgument)?.Tokens is [var stray, ..] && session.Parsed.Tokens.TakeWhile(t => t.Type != TokenType.DoubleDash).Any(t => ReferenceEquals(t, stray)))
            throw new HoldfastException(ErrorCode.Usage, $"With --stdin there is no folder to back up, and `{stray.Value}` stands where one would be.", "Leave it out; a command whose output is to be backed up stands after --: holdfast backup --stdin --name NAME -- COMMAND.");
        // Everything after -- is the command; the first word fills SOURCE, as it comes first.
        string[] command = [.. session.Parsed.GetValue(SourceArgument) is { } first ? [first] : Array.Empty<string>(), .. session.Parsed.GetValue(CommandArgument)!];
        if (command.Length == 0)
        {
            if (!Console.IsInputRedirected)
                session.Note("Reading what is typed at this terminal, until Ctrl+D at the beginning of a line.");
            using var input = StandardInput.Open(session.Stop);
            using var plain = new StreamSource(input, fileName, TimeProvider.System, whenEmpty: whenEmpty);
            return target.Run(new Job(plain, name, "", options));
        }
        using var producer = Producer.Start(command);
        using var stopping = session.Stop.Register(producer.Kill); // else its output would have to end first
        using var source = new StreamSource(producer.Output, fileName, TimeProvider.System, () => producer.RequireSuccess(session.Stop), whenEmpty);
        return target.Run(new Job(source, name, "", options));
    }

    /// <summary>False for a source whose first backups were taken as they were named: it goes on.</summary>
    static bool IsNew(Vault vault, KeyFolder keys, string name) => vault.Keeper.Newest(keys.SourceOf(vault, name)) is null;

    static int Run(Session session, Vault vault, KeyFolder keys, Job job)
    {
        var (source, name, rootPath, options, excludes) = job;
        using var put = keys.Put();
        using var agent = keys.Agent();
        vault.Require(put);
        keys.Remember(vault, toChange: true);
        if (put.SealingKeys.Max(k => k.Epoch) is var epoch && epoch < vault.State.KeyEpoch)
            session.Warn($"holdfast: this put.key seals to key epoch {epoch}, and the vault is in epoch {vault.State.KeyEpoch}: whoever has the opening key of that epoch reads what is backed up now. `holdfast key issue --out FOLDER`, with the opening key, makes new ones for this machine");
        if (vault.LastReads().IsUnreadable)
            session.Warn($"holdfast: {ReadsWords.Fault}. {ReadsWords.Advice}");
        HoldfastException? fault = null; // why the snapshot is stored and not attested
        if (Shut(vault) is { } lost)
        {
            session.Warn($"holdfast: no copy of the vault's keyring (objects/.../{vault.State.Keyring}) can be read: until it is back from another copy of the vault, nothing can be restored, of this backup neither");
            if (session.Parsed.GetValue(AttestOption))
                fault = new HoldfastException(lost, "no key opened the vault when the run began.", "");
        }
        var sourceId = put.Domain.SourceId(Encoding.UTF8.GetBytes(name));
        if (vault.Keeper.Newest(sourceId) is { } last && last.Agent != agent.Agent)
            session.Warn("holdfast: the last backup of this name was made with other keys. Where that was another machine, stop (Ctrl+C) and give this one a --name of its own (such as HOST-data): snapshots of one name follow each other, and share places, policy and quota. Where this machine's keys were issued anew, there is nothing to do");
        if (PolicyDoubt.Words(vault.State.LostPoliciesFor(sourceId)) is { } doubt)
            session.Warn($"holdfast: {doubt}");
        using var opening = session.Parsed.GetValue(AttestOption) && fault is null ? keys.Open(vault) : null; // what is missing for it is told before hours of reading
        BackupResult result;
        try
        {
            result = Execute(session, vault, source, name, rootPath, options, put, agent, keys.Folder);
        }
        catch (HoldfastException e) when (IsDone(session, e))
        {
            // What the run that made it may not have come to, or failed at, is said as it would have.
            try
            {
                keys.Remember(vault, toChange: true);
            }
            catch (HoldfastException away) when (keys.IsAway)
            {
                session.Warn($"holdfast: that these keys have seen the snapshot could not be remembered ({away.Code}): bring the disk back that the key folder is on");
            }
            if (Shut(vault) is { } closed)
                return FailShut(session, vault, closed);
            var record = vault.Find(e.Done!.Snapshot.ToString());
            if (record.Defects > 0)
                return FailDefective(session);
            bool? isAttested = opening is null ? null : record.Attested > 0 || vault.Attest(record, opening, full: false, agent.Agent, session.Stop).IsGood;
            return TellDone(session, e, RequestOf(session, name, rootPath, StateFolder(), options).WasIncomplete(agent, e.Done!), isAttested, vault.Keeper.Clock.Now);
        }
        if (vault.Keeper.Reserve is var room && room.Kept < room.Wanted)
            session.Warn($"holdfast: there is not enough room on the vault's disk: of the {Text.Bytes(room.Wanted)} kept there so that locks can be extended, {Text.Bytes(room.Kept)} are left. Make room there from what is not the vault's, and the next change makes it whole{(vault.Keeper.Folders.Count > 1 ? "" : "; `holdfast store add FOLDER` has packs go to another disk")}");
        try
        {
            keys.Remember(vault, toChange: true);
        }
        catch (HoldfastException e) when (keys.IsAway)
        {
            session.Warn($"holdfast: the snapshot is stored; that these keys have seen it could not be remembered ({e.Code}): bring the disk back that the key folder is on, or the next command does not notice should the log be put back");
        }
        catch (HoldfastException e)
        {
            throw new HoldfastException(e.Code, $"Snapshot {Text.Id(result.Snapshot)} is stored. {e.Message}", e.Guidance, e);
        }
        Core.Keeper.AttestationObject? attested = null;
        try
        {
            if (opening is not null)
            {
                attested = vault.Attest(vault.Find(result.Snapshot.ToString()), opening, full: false, agent.Agent, session.Stop);
            }
        }
        catch (HoldfastException e)
        {
            fault = e;
        }
        catch (OperationCanceledException e)
        {
            fault = new HoldfastException(ErrorCode.Interrupted, "Interrupted.", "", e);
        }
        var status = job.Tell is { } tell ? tell(OutcomeOf(result)) : Tell(session, source, excludes?.LeftOut ?? 0, OutcomeOf(result), attested);
        if (source.Problems.Any(p => p.Kind != ProblemKind.Skipped) && PlacesTaken(vault, sourceId, result.Receipt) is { Count: > 0 } places)
        {
            var whole = Text.Iso((result.Receipt.Expiry + RetentionPolicy.Day - 1) / RetentionPolicy.Day * RetentionPolicy.Day)[..10]; // --until is of a day at 00:00
            session.Warn($"holdfast: INCOMPLETE as it is, this snapshot took the place of its {string.Join(" and ", places)}, locked until {Text.Time(result.Receipt.Expiry)}. Once the cause is mended and a complete one is there, `{keys.Line($"lock latest --name {Shell.Word(name)} --until {whole}", vault)}` locks that as long");
        }
        if (Shut(vault) is { } shut)
        {
            if (fault is not null)
                session.Warn($"holdfast: the snapshot was not attested: {fault.Message}");
            return FailShut(session, vault, shut);
        }
        return fault is null ? status : session.Fail(fault.Code, $"The snapshot is stored, and was not attested: {fault.Message}", $"{fault.Guidance} `holdfast attest {Text.Id(result.Snapshot)}` does that alone.".TrimStart());
    }

    static int FailShut(Session session, Vault vault, ErrorCode why) =>
        session.Fail(why, $"The snapshot is stored, but nothing of this vault can be restored with its opening key now, not this snapshot either: no copy of the vault's keyring (objects/.../{vault.State.Keyring}) can be read.",
            "Bring that file back from another copy of the vault, in its place: what is stored is sealed to keys that the keyring opens. `holdfast status` then says whether more is missing.");

    /// <summary>The long places that a commit holds by the length of its lock. The keeper cannot tell that it is not whole.</summary>
    static List<string> PlacesTaken(Vault vault, Id16 source, Core.Keeper.CommitReceipt receipt)
    {
        const ulong slack = 60; // seconds: the clock is read anew
        var policy = vault.State.PolicyFor(source);
        var now = vault.Keeper.Clock.Now;
        var kept = receipt.Expiry - Math.Min(receipt.Expiry, receipt.Committed + (vault.Keeper.Clock.LockFrom - now)) + slack;
        return [.. Enum.GetValues<Places.Kind>().Where(k => Places.Length(k, policy) is var length && length > policy.Base && length <= kept).Select(k => k.ToString().ToLowerInvariant())];
    }

    /// <summary>Why the vault's keyring cannot be read, without which no key opens what is stored; null where it can.</summary>
    static ErrorCode? Shut(Vault vault)
    {
        try
        {
            vault.Keeper.Store.ReadObject(vault.State.Keyring);
            return null;
        }
        catch (HoldfastException e)
        {
            return e.Code is ErrorCode.ObjectMissing or ErrorCode.ObjectDamaged ? e.Code : null; // of a disk that does not answer, nothing is known
        }
    }

    /// <summary>Snapshots of one name follow each other: what is another source than before may be meant, but a stream never is what a folder was.</summary>
    public static void OtherRoot(Session session, byte[] last, string now)
    {
        if (last.Length == 0 != (now.Length == 0))
            throw new HoldfastException(ErrorCode.Usage, $"The last backup of this name was of {(last.Length == 0 ? "a stream" : "a folder")}, and this is {(last.Length == 0 ? "a folder" : "a stream")}; nothing was stored.", "Give this one a --name of its own: `latest` of a name is one source's.");
        session.Warn($"holdfast: the last backup of this name was of another folder: {Text.Name(last)}. Snapshots of one name follow each other; where this is another source, stop (Ctrl+C) and give it a --name of its own");
    }

    public static BackupResult Execute(Session session, Vault vault, ISource source, string name, string rootPath, ArchiveOptions options, Core.Keys.PutKey put, Core.Keys.AgentKey agent, string keys)
    {
        var progress = new BackupProgress();
        ProcessLimits.RequireProc();
        var state = UsableStateFolder(session, keys);
        using var line = ProgressOf(session, progress, "stored");
        BackupResult result;
        try
        {
            result = vault.BackUp(source, RequestOf(session, name, rootPath, state, options), put, agent, progress, session.Stop);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.DiskFull)
        {
            throw new HoldfastException(e.Code, e.Message, $"{e.Guidance} It begins anew: all that is new since the last snapshot is read again, and what was not in a finished pack yet (of some 64 MiB each) is stored again.", e);
        }
        if (ClockWords.Doubt(vault.Keeper.Clock) is { } doubt)
            session.Warn($"{doubt}. The dates of this snapshot and of its lock are by the vault's clock");
        if (!result.IsRemembered)
            session.Warn($"holdfast: what was seen could not be remembered in {state}; the next run reads every file. Free space there or grant access, or name another folder in HOLDFAST_STATE_DIR");
        return result;
    }

    public static BackupRequest RequestOf(Session session, string name, string rootPath, string? state, ArchiveOptions options) =>
        new(Encoding.UTF8.GetBytes(name), Encoding.UTF8.GetBytes(Environment.MachineName), Encoding.UTF8.GetBytes(rootPath), state)
        {
            Options = options,
            Run = session.Parsed.GetValue(RunOption),
            OnOtherRoot = last => OtherRoot(session, last, rootPath),
        };

    /// <param name="session">Of the command.</param>
    /// <param name="progress">How far it is.</param>
    /// <param name="done">What became of the bytes that are counted last.</param>
    public static ProgressLine ProgressOf(Session session, BackupProgress progress, string done) => new(session, elapsed => string.Create(CultureInfo.InvariantCulture,
        $"{progress.Entries:#,0} entries seen, {progress.Files:#,0} files read, {ProgressLine.Rate(progress.Bytes, 0, elapsed)}, {Text.Bytes(progress.Stored)} {done}, {Text.Duration(elapsed)}"));

    /// <summary>Where what is seen is remembered; null for nowhere, which is told.</summary>
    public static string? UsableStateFolder(Session session, string keys)
    {
        var state = StateFolder();
        if (state is null)
            session.Warn("holdfast: this user has no home folder, and HOLDFAST_STATE_DIR names none: what is seen is not remembered, and the next run reads every file");
        else if (FolderOwner.IsAnothers(state) && !FolderOwner.IsAnothers(keys))
        {
            session.Warn($"holdfast: {state} is another user's, who could read there what root's backups have seen: it is not remembered, and the next run reads every file. Name a folder of root's in HOLDFAST_STATE_DIR, or run with root's own HOME (sudo -H)");
            state = null;
        }
        else
            FolderOwner.Know(state);
        return state;
    }

    /// <summary>What came of a backup.</summary>
    /// <param name="Snapshot">Its id.</param>
    /// <param name="Committed">Vault time.</param>
    /// <param name="Expiry">End of its lock.</param>
    /// <param name="Leaf">Of the log.</param>
    /// <param name="Since">What it is compared with, for people; null where it is a first one.</param>
    /// <param name="IsCompared">It was.</param>
    /// <param name="Archive">What was found.</param>
    /// <param name="Stored">Bytes of new packs; null for an agent, which is not told.</param>
    public sealed record Outcome(Id16 Snapshot, ulong Committed, ulong Expiry, long Leaf, string? Since, bool IsCompared, Archive Archive, ulong? Stored)
    {
        /// <summary>Bytes that went to a gateway; null where there is none.</summary>
        public ulong? Sent { get; init; }
    }

    static Outcome OutcomeOf(BackupResult result) => new(result.Snapshot, result.Receipt.Committed, result.Receipt.Expiry, result.Receipt.Ordinal, result.Parent is null ? null : Text.Id(result.Parent.Snapshot), result.IsCompared, result.Archive, result.Archive.NewBytes);

    public static int Tell(Session session, ISource source, long excluded, Outcome result, Core.Keeper.AttestationObject? attested)
    {
        var archive = result.Archive;
        var s = archive.Statistics;
        session.Json(w =>
        {
            w.WriteString("snapshot", result.Snapshot.ToString());
            w.WriteString("committed", Text.Iso(result.Committed));
            w.WriteString("lockedUntil", Text.Iso(result.Expiry));
            w.WriteNumber("entries", archive.Entries);
            w.WriteNumber("files", archive.Files);
            w.WriteNumber("bytes", archive.LogicalBytes);
            w.WriteNumber("bytesRead", archive.BytesRead);
            if (result.Stored is { } stored)
                w.WriteNumber("bytesStored", stored);
            if (result.Sent is { } sent)
                w.WriteNumber("bytesSent", sent);
            w.WriteBoolean("compared", result.Since is not null && result.IsCompared);
            w.WriteNumber("newFiles", s.Files(r => r.NewFiles));
            w.WriteNumber("changedFiles", s.Files(r => r.ChangedFiles));
            w.WriteNumber("removedFiles", s.Files(r => r.RemovedFiles));
            w.WriteNumber("renamedFiles", s.Files(r => r.Renamed));
            w.WriteNumber("unchangedFiles", s.Files(r => r.UnchangedFiles));
            w.WriteNumber("excluded", excluded);
            w.WriteNumber("changedUnseen", archive.Surprises);
            w.WriteNumber("leaf", result.Leaf);
            w.WriteBoolean("attested", attested is { IsGood: true });
            WriteProblems(w, source.Problems);
        });
        var status = TellProblems(session, source.Problems);
        session.Step($"Snapshot {Text.Id(result.Snapshot)} is stored and locked until {Text.Time(result.Expiry)}.");
        session.Step($"  {Text.Count((long)archive.Files, "file")}, {Text.Bytes(archive.LogicalBytes)}; {Text.Bytes(archive.BytesRead)} read, {(result.Sent is { } sent ? $"{Text.Bytes(sent)} sent" : $"{Text.Bytes(result.Stored ?? 0)} stored")}{LeftOut(source.Problems)}");
        if (excluded > 0)
            session.Step($"  {Text.Count(excluded, "entry", "entries")} left out by excludes (with all that is below {(excluded == 1 ? "it, if it is a folder" : "folders among them")})");
        if (archive.Surprises > 0)
            session.Warn($"holdfast: {Text.Count(archive.Surprises, "file that was", "files that were")} read in turn {(archive.Surprises == 1 ? "holds" : "hold")} something else than at the last run, though size and times are the same: others like {(archive.Surprises == 1 ? "it" : "them")} that were not read may be stored as they were then. A program that writes through a mapping does that, a disk image in the place of another, a share whose times stand still. The same backup with --read-all reads every file");
        if (result.Since is not null && !result.IsCompared)
        {
            session.Step($"  since {result.Since}: NOT COMPARED; what that run saw is not remembered here, or does not fit the vault as it is now, so every file was read{(result.Sent is null ? $" (`holdfast diff {result.Since} {Text.Id(result.Snapshot)}` compares the two)" : "")}");
        }
        else if (result.Since is not null)
        {
            session.Step(string.Create(CultureInfo.InvariantCulture,
                $"  since {result.Since}: {s.Files(r => r.NewFiles):#,0} new, {s.Files(r => r.ChangedFiles):#,0} changed, {s.Files(r => r.RemovedFiles):#,0} removed ({s.Files(r => r.Renamed):#,0} renamed), {s.Files(r => r.UnchangedFiles):#,0} unchanged"));
        }
        if (attested is { IsGood: true })
            session.Step("  attested: re-opened from the vault, and a sample of its contents matched");
        else if (attested is not null)
            return FailDefective(session);
        return status;
    }

    /// <summary>What the result line says of what is not in the snapshot, or not as it should be; empty where all is.</summary>
    public static string LeftOut(IReadOnlyCollection<SourceProblem> problems)
    {
        var (serious, skipped, sockets) = (problems.Count(p => p.Kind != ProblemKind.Skipped), problems.Count(p => p.Kind == ProblemKind.Skipped), problems.Count(p => p is { Kind: ProblemKind.Skipped, Detail: FileSource.Socket }));
        return (serious > 0 ? $"; INCOMPLETE: {Text.Count(serious, "entry", "entries")} left out or in doubt, listed above" : "")
            + (sockets > 0 ? $"; {Text.Count(sockets, "socket")} left out, as nothing brings one back" : "")
            + (skipped > sockets ? $"; {Text.Count(skipped - sockets, "mounted file")} left out, as the kernel makes up what is in it" : "");
    }

    /// <summary>What was left out or is in doubt, each with what to do; exit status 3 where a file was.</summary>
    public static int TellProblems(Session session, IReadOnlyCollection<SourceProblem> problems)
    {
        var serious = problems.Where(p => p.Kind != ProblemKind.Skipped).ToList();
        foreach (var kind in serious.GroupBy(p => p.Kind).OrderBy(g => g.Key))
        {
            session.Warn($"holdfast: {Text.Count(kind.Count(), "entry", "entries")} {Describe(kind.Key)}");
            foreach (var problem in kind.OrderBy(p => p.Path, Comparer<byte[]>.Create((l, r) => TreePath.Compare(l, r))).Take(ShownProblems))
                session.Warn($"    {Text.Name(problem.Path)}{(problem.Detail.Length > 0 ? $"  ({problem.Detail})" : "")}");
            if (kind.Count() > ShownProblems)
                session.Warn($"    and {Text.Count(kind.Count() - ShownProblems, "more", "more")}; --json lists them all");
        }
        return serious.Count > 0 ? (int)ErrorCode.Incomplete : 0;
    }

    static string Describe(ProblemKind kind) => kind switch
    {
        ProblemKind.Vanished => "vanished while the backup ran; the next run sees what is there then",
        ProblemKind.PermissionDenied => $"may not be read by this user; the owner or root grants it with: setfacl -R -m {Shell.Word($"u:{FileSource.User}:rX")} FOLDER, which lets that user read all of it; where that is too much, back up as root (files of this user's own: chmod -R u+rX FOLDER)",
        ProblemKind.ReadFailed => "could not be read; look at the disk or share (dmesg)",
        ProblemKind.Changed => "changed at each reading; stored as read last. A dump or a file system snapshot gives a consistent copy",
        ProblemKind.TooMuch => "with more than a snapshot takes of one entry: that is left out, the rest of the entry is kept where nothing else is said",
        _ => "left out: the path is too long or too deep to be kept",
    };

    public static void WriteProblems(System.Text.Json.Utf8JsonWriter w, IReadOnlyCollection<SourceProblem> problems)
    {
        w.WriteStartArray("problems");
        foreach (var problem in problems)
        {
            w.WriteStartObject();
            w.WriteString("kind", problem.Kind.ToString());
            w.WriteName("path", problem.Path);
            w.WriteString("detail", problem.Detail);
            w.WriteEndObject();
        }
        w.WriteEndArray();
    }

    /// <summary>Where this machine remembers its last runs: HOLDFAST_STATE_DIR, else the user's state folder; null where the user has no home.</summary>
    public static string? StateFolder()
    {
        if (Environment.GetEnvironmentVariable("HOLDFAST_STATE_DIR") is { Length: > 0 } named)
            return Path.GetFullPath(named);
        if (Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } state)
            return Path.GetFullPath(Path.Combine(state, "holdfast"));
        if (OperatingSystem.IsWindows())
            return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "Holdfast");
        // A user without an entry in the list of users has the root folder for a home.
        return Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home && (home != "/" || Environment.IsPrivilegedProcess) ? Path.Combine(home, ".local", "state", "holdfast") : null;
    }
}
