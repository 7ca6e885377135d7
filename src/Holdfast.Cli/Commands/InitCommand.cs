using System.CommandLine;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Approvals;
using Holdfast.Core.Keeper;
using Holdfast.Core.Log;
using Holdfast.Core.Retention;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Commands;

static class InitCommand
{
    const ulong LeastReserve = 1 << 20; // bytes
    const ulong MostReserve = 1UL << 40;
    const int MostBasis = 500; // characters

    static readonly Argument<string> VaultArgument = new("VAULT") { Description = "Folder of the new vault; best on a disk of its own." };
    static readonly Option<string> LockOption = new("--lock") { Description = "How long every snapshot is locked: 1d (days), 6m (months), 1y (years).", HelpName = "TIME", DefaultValueFactory = _ => "30d" };
    public static readonly Option<uint> WeeksOption = new("--weeks") { Description = "Keep a snapshot of each week this many weeks: each day's first, until one of the week is attested.", HelpName = "N" };
    public static readonly Option<uint> MonthsOption = new("--months") { Description = "Keep a snapshot of each month this many months: each day's first, until one of the month is attested.", HelpName = "N" };
    public static readonly Option<uint> YearsOption = new("--years") { Description = "Keep a snapshot of each year this many years: each day's first, until one of the year is attested.", HelpName = "N" };
    public static readonly Option<string?> DailyOption = new("--daily-quota") { Description = "New data one source may add in a day, and all sources together that one machine began to back up lately: 50GiB, or 50GB in thousands. Set when the vault is made (init), and raised after that, or lowered by approvers; without it there is no limit.", HelpName = "SIZE" };
    public static readonly Option<string?> LockedOption = new("--locked-quota") { Description = "Data one source may hold locked, and such sources together: 2TiB, or 2TB in thousands. Set when the vault is made (init), and raised after that, or lowered by approvers; without it there is no limit.", HelpName = "SIZE" };
    static readonly Option<string> ReserveOption = new("--reserve") { Description = "Room kept free, so that a lock can be lengthened on a full disk: 64MiB, or 64MB in thousands.", HelpName = "SIZE", DefaultValueFactory = _ => "64MiB" };
    static readonly Option<string?> LongestOption = new("--longest") { Description = "How long any lock may ever be in this vault, for good: 13 months (403d) where nothing is said, or as long as the policy needs. Longer takes --legal-basis.", HelpName = "TIME" };
    static readonly Option<string?> BasisOption = new("--legal-basis") { Description = "By which law or rule locks may last over 13 months; kept in the vault, in the clear.", HelpName = "TEXT" };
    static readonly Option<string?> StoreOption = new("--store") { Description = "Keep packs and objects in a bucket with Object Lock, s3:https://HOST/BUCKET/PREFIX, in place of the vault's folder; the log stays there.", HelpName = "PLACE" };
    static readonly Option<string?> StoreKeyOption = new("--store-key") { Description = "File with two lines, access key id and secret access key of the keeper's own user of that bucket. It is copied into the vault's folder.", HelpName = "FILE" };
    static readonly Option<bool> PassphraseFlag = new("--passphrase") { Description = "Protect the opening key with a passphrase instead of a key file." };
    public static readonly Option<string?> ConfirmOption = new("--confirm-locked-until") { Description = "For a lock over 30 days, without a terminal: the date until which space stays taken, YYYY-MM-DD.", HelpName = "DATE" };

    public static readonly Option<string[]> WitnessOption = new("--witness") { Description = "A witness that cosigns the log: its public key (`holdfast witness init` prints it), =, and the URL where it answers. May be given several times.", HelpName = "KEY=URL" };

    public static readonly Option<string[]> ApproverOption = new("--approver") { Description = "A person who approves what weakens protection: their public key (`holdfast approval key` prints it). May be given several times.", HelpName = "KEY" };
    public static readonly Option<uint> QuorumOption = new("--quorum") { Description = "How many of them it takes: 2 of 3 suits most.", HelpName = "N" };

    public static Command Create() => Session.Command("init", "Make a vault and its keys.", command =>
    {
        command.Arguments.Add(VaultArgument);
        command.Options.Add(KeyFolder.KeysOption);
        foreach (var option in new Option[] { LockOption, WeeksOption, MonthsOption, YearsOption, LongestOption, BasisOption, DailyOption, LockedOption, ReserveOption, StoreOption, StoreKeyOption, PassphraseFlag, KeyFolder.PassphraseOption, ConfirmOption, WitnessOption, ApproverOption, QuorumOption })
            command.Options.Add(option);
    }, Run);

    static int Run(Session session)
    {
        if (session.Parsed.GetValue(StoreOption) is not null)
            session.Network.Require();
        var folder = FolderPath.Full(session.Parsed.GetValue(VaultArgument)!);
        var keys = FolderPath.Full(new KeyFolder(session).Folder);
        RequireApart(folder, keys);
        var clock = ReleaseDay.RequireClock();
        var length = Length(session, LockOption)!.Value;
        var policy = new RetentionPolicy(length, session.Parsed.GetValue(WeeksOption), session.Parsed.GetValue(MonthsOption), session.Parsed.GetValue(YearsOption),
            Size(session, DailyOption), Size(session, LockedOption));
        if (Size(session, ReserveOption) is var reserve && reserve is < LeastReserve or > MostReserve)
            throw new HoldfastException(ErrorCode.Usage, "The reserve is out of range.", $"From {Text.Bytes(LeastReserve)} to {Text.Bytes(MostReserve)}; 64MiB suits most.");
        RequirePlaces(policy);
        var witnesses = Witnesses(session);
        var approvers = Approvers(session);
        var longest = policy.Longest;
        if (longest > LockRules.LastEnd - (ulong)clock.ToUnixTimeSeconds())
            throw new HoldfastException(ErrorCode.LockTooLong, "No lock ends after 2105.", "Choose a shorter lock; a lock can be lengthened later.");
        var (mostLocked, basis) = Longest(session, longest);
        var unfinished = VaultKeeper.Unfinished(folder);
        var files = new KeyFiles(keys);
        VaultKeeper.RequireFree(folder);
        RequireParent(folder);
        files.RequireFree(unfinished);
        RequireParent(keys);
        var place = Place(session);
        ConfirmLong(session, (ulong)clock.ToUnixTimeSeconds() + longest, (ulong)clock.ToUnixTimeSeconds(), folder, "nothing was made");
        var passphrase = session.Parsed.GetValue(PassphraseFlag) || session.Parsed.GetValue(KeyFolder.PassphraseOption) is not null ? Passphrase.OfOpeningKey.New(session, KeyFolder.PassphraseOption) : null;

        if (files.PutAside(unfinished))
            session.Warn("holdfast: an earlier `init` of this folder was cut short; its keys open nothing and were put aside as *.unused-*.");
        var (vault, made) = Made(() => Vault.Create(folder, new NewVault(VaultKind.Real, policy, Math.Min(length, RetentionPolicy.Day), mostLocked, reserve) { LegalBasis = basis, Witnesses = [.. witnesses.Select(w => w.Key)], Approvers = approvers }, written =>
            {
                files.Write(written, passphrase);
                if (witnesses.Count > 0)
                    WitnessList.Write(folder, witnesses, Disk.Real);
            }, place: place), folder, "name a folder on another one");
        using (vault)
        using (made)
        {
            new LogMemory(keys).Keep(vault);
            session.Json(w =>
            {
                w.WriteString("vault", vault.Id.ToString());
                w.WriteString("folder", folder);
                w.WriteString("keys", keys);
                if (place is not null)
                    w.WriteString("store", place.Place);
                w.WriteString("clock", Text.Iso(vault.State.Genesis!.Created));
                w.WriteNumber("lockSeconds", length);
                w.WriteString("logKey", vault.Keeper.File.LogKey);
                w.WriteNumber("quorum", approvers.Quorum);
                w.WriteNumber("approvers", approvers.People.Count);
                w.WriteStartArray("witnesses");
                witnesses.ForEach(witness => w.WriteStringValue(witness.Key.ToString()));
                w.WriteEndArray();
            });
            session.Step($"Vault {vault.Id} is ready. Every snapshot in it is locked for {StatusCommand.Policy(policy)}; nothing shortens that.");
            if (place?.Told is { } told)
                session.Warn($"holdfast: {told.Message} {told.Guidance}");
            if (place is not null)
                session.Step($"Its packs and objects go to {place.Place}, and are locked there too. The log and the keeper's keys stay in {folder}: copy its log elsewhere after each backup (docs/manual/operate.md, In an object store): without it nothing tells what was promised.");
            session.Step($"Its clock starts from this machine's, {Text.Time(vault.State.Genesis!.Created)}: where that is not the time now, set the machine's clock right and make another vault; this one's stays wrong.");
            if (length < RetentionPolicy.Day)
                session.Warn($"holdfast: a lock of {Text.Span(length)} protects nothing from an attack that is noticed later than that. `{Shell.Program} policy set --vault {Shell.Word(folder)} --keys {Shell.Word(keys)} --lock 30d` makes it longer; {(approvers.IsNobody ? "nothing makes it shorter" : "only its approvers make it shorter again")}");
            if (longest > length)
                session.Step($"What is backed up today stays until {Text.Time((ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + longest)[..10]}.");
            if (vault.Keeper.Reserve is { } room && room.Kept < room.Wanted)
                session.Warn($"holdfast: there was no room for the reserve of {Text.Bytes(room.Wanted)}: on a full disk no lock can be lengthened and no folder added. Make room on that disk, and the next change makes it; or make the vault anew with a smaller --reserve");
            if (new DriveInfo(folder).AvailableFreeSpace is var free && free < Obstacle.LeastRoom && place is null)
                session.Warn($"holdfast: {Text.Bytes(free)} are free there, and {Text.Bytes(Obstacle.LeastRoom)} are needed for one pack: the first backup may fail. `holdfast store add FOLDER` adds a folder on another disk");
            session.Step();
            session.Step($"  {KeyFolder.PutFile}, {KeyFolder.AgentFile}   what a backup needs; they read nothing");
            session.Step(passphrase is null
                ? $"  {KeyFolder.OpeningFile}, {KeyFolder.SecretFile}   open everything: move {KeyFolder.SecretFile} to a safe place, off this machine"
                : $"  {KeyFolder.OpeningFile}          opens everything, with your passphrase");
            session.Step($"  {Path.Combine(folder, "keeper", "log.key")}   signs the log: keep a copy {(passphrase is null ? $"with {KeyFolder.SecretFile}" : "in a safe place, off this machine")}; without it a vault whose disk is lost is restored from its copies, and cannot go on");
            if (!approvers.IsNobody)
            {
                session.Step();
                session.Step($"{approvers.Quorum} of its {approvers.People.Count} approvers approve what weakens its protection, and nobody else; who they are is changed by themselves, or 30 days after the opening key asked for it and none of them objected{(approvers.Quorum == approvers.People.Count ? ". ONE LOST KEY, and nothing can be approved until then: it is better to have one to spare" : "")}.");
            }
            if (witnesses.Count > 0)
            {
                session.Step();
                session.Step("Its witnesses follow it once they have its log's public key (`holdfast witness add` there), and it is cosigned for as long as `holdfast log cosign --every 5m` runs here:");
                session.Step($"  {vault.Keeper.File.LogKey}");
            }
            session.Step();
            session.Step("Next, before the first real backup: print the recovery kit, so that nobody can be locked out.");
            session.Step($"  {Shell.Program} recovery-kit --vault {Shell.Word(folder)} --keys {Shell.Word(keys)} --threshold 2 --shares 3 --out kit.pdf");
        }
        return 0;
    }

    /// <summary>The longest lock that the vault will ever give, and by which law or rule where that is over 13 months: what nobody can shorten must not be longer than somebody could say why.</summary>
    static (ulong Longest, string? Basis) Longest(Session session, ulong policy)
    {
        var given = session.Parsed.GetResult(LongestOption) is null ? null : Length(session, LongestOption);
        if (given < policy)
            throw new HoldfastException(ErrorCode.Usage, "--longest is shorter than the locks of the policy.", "Give it as long as --lock, --weeks, --months and --years need, or leave it out.");
        var longest = given ?? Math.Max(policy, LockRules.LongestWithoutBasis);
        var basis = session.Parsed.GetValue(BasisOption) is { Length: > 0 } text ? text : null;
        if (basis is not null && (basis.Length > MostBasis || basis.Any(char.IsControl)))
            throw new HoldfastException(ErrorCode.Usage, "The legal basis is too long, or more than one line of text.", $"{MostBasis} characters at most.");
        return longest <= LockRules.LongestWithoutBasis || basis is not null ? (longest, basis) : throw new HoldfastException(ErrorCode.Usage,
            $"Locks of {Text.Span(longest)} are over 13 months, and no legal basis was given; nothing was made.",
            "Nobody can shorten a lock, not for a person's right to erasure either: so say by which law or rule data has to stay that long (--legal-basis \"...\", docs/manual/data-protection.md), or lock for less.");
    }

    /// <summary>Those that were named, each once.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static List<(CosignerKey Key, Uri Url)> Witnesses(Session session)
    {
        var witnesses = (session.Parsed.GetValue(WitnessOption) ?? []).Select(Witness).ToList();
        return witnesses.DistinctBy(w => w.Key.ToString()).Count() == witnesses.Count && witnesses.Count <= ApprovalRequest.MostWitnesses ? witnesses
            : throw new HoldfastException(ErrorCode.Usage, "The same witness is named twice, or there are too many.", $"Name each once, and {ApprovalRequest.MostWitnesses} at most.");
    }

    /// <summary>The people who were named, and how many of them it takes.</summary>
    /// <exception cref="HoldfastException"><c>Usage</c>.</exception>
    public static ApproverSet Approvers(Session session)
    {
        var named = session.Parsed.GetValue(ApproverOption) ?? [];
        var quorum = session.Parsed.GetValue(QuorumOption);
        if (named.Length == 0 && quorum == 0)
            return ApproverSet.Nobody;
        var keys = named.Select(n => Approver.TryParse(n, out var person) ? person.PublicKey
            : throw new HoldfastException(ErrorCode.Usage, "That is no public key of an approver.", "It looks like approver+HEX8+BASE64; `holdfast approval key` printed it for its owner."));
        return ApproverSet.Of((int)Math.Min(quorum, int.MaxValue), keys) ?? throw new HoldfastException(ErrorCode.Usage, "Those approvers, and that quorum, do not go together.",
            $"Name each person once (--approver), {ApproverSet.Most} at most, and give --quorum: how many of them it takes, 2 of 3 for example. With one more than it takes, one lost key stops nobody.");
    }

    /// <summary>The object store that was named; null for the vault's own folder.</summary>
    static ObjectStorePlace? Place(Session session) => (session.Parsed.GetValue(StoreOption), session.Parsed.GetValue(StoreKeyOption)) switch
    {
        (null, null) => null,
        (null, _) => throw new HoldfastException(ErrorCode.Usage, "--store-key was given without --store.", "Name the bucket too: --store s3:https://HOST/BUCKET/PREFIX."),
        (_, null) => throw new HoldfastException(ErrorCode.Usage, "--store was given without --store-key.", "Name a file with two lines, the access key id and the secret access key of a user of the keeper's own (chmod 600)."),
        ({ } place, { } file) => new ObjectStorePlace(session.Network.Stores.Name(place), Credential(session, file), session.Network.Stores),
    };

    static byte[] Credential(Session session, string file)
    {
        session.Network.Stores.RequireCredential(file);
        return UserFile.Bytes(file, "The file with the S3 credentials", ErrorCode.KeyFileBad, UserFile.TextLimit);
    }

    /// <summary>What --witness says.</summary>
    public static (CosignerKey Key, Uri Url) Witness(string text)
    {
        // Base64 may end with = too.
        var at = text.IndexOf("=http", StringComparison.OrdinalIgnoreCase);
        return at > 0 && CosignerKey.TryParse(text[..at], out var key) && key.Name.All(char.IsAscii) && WitnessList.TryUrl(text[(at + 1)..], out var url) ? (key, url)
            : throw new HoldfastException(ErrorCode.Usage, "--witness takes a witness's public key, =, and a URL.", "Such as witness.example/w1+1a2b3c4d+BASE64=https://witness.example:8443/; `holdfast witness init` prints the key. A log's own key is of another kind.");
    }

    /// <summary>A disk that is full before there is a vault: no folder can be added to it.</summary>
    /// <param name="make">Makes the vault, and writes its keys.</param>
    /// <param name="folder">The vault's.</param>
    /// <param name="otherwise">What to do in place of freeing space.</param>
    public static (Vault Vault, NewVaultKeys Keys) Made(Func<(Vault Vault, NewVaultKeys Keys)> make, string folder, string otherwise)
    {
        try
        {
            return make();
        }
        catch (HoldfastException e) when (e is { Code: ErrorCode.DiskFull, InnerException: not HoldfastException }) // else it was the keys', and that has been said
        {
            throw new HoldfastException(e.Code, $"The disk that the vault should be on is full{DiskFault.Room(folder)}: no vault was made.", $"Free space on that disk, or {otherwise}; then run this again.", e);
        }
    }

    /// <summary>Null where the option was not given and has no default.</summary>
    public static ulong? Length<T>(Session session, Option<T> option) => session.Parsed.GetValue(option) is not string text ? null
        : Text.Seconds(text) ?? throw new HoldfastException(ErrorCode.Usage, $"{option.Name} takes a length of time, and `{text}` is none.", "Write it as a whole number and a unit: 90s, 12h, 30d, 8w, 6m (of 31 days), 1y (of 366).");

    public static void RequirePlaces(RetentionPolicy policy)
    {
        if (policy.Weeks > RetentionPolicy.MaxWeeks || policy.Months > RetentionPolicy.MaxMonths || policy.Years > RetentionPolicy.MaxYears)
            throw new HoldfastException(ErrorCode.Usage, "No vault keeps a snapshot for so long.",
                $"At most {RetentionPolicy.MaxWeeks} weeks, {RetentionPolicy.MaxMonths} months and {RetentionPolicy.MaxYears} years.");
    }

    /// <summary>0 where the option was not given.</summary>
    public static ulong Size<T>(Session session, Option<T> option) => session.Parsed.GetValue(option) is not string text ? 0
        : Text.Size(text) ?? throw new HoldfastException(ErrorCode.Usage, $"{option.Name} takes a size above 0, and `{text}` is none.", Text.SizeForms);

    /// <summary>Whoever takes the vault's disk must not find the keys on it.</summary>
    public static void RequireApart(string vault, string keys)
    {
        if (keys == vault || keys.StartsWith(vault + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            throw new HoldfastException(ErrorCode.Usage, "The key folder lies inside the vault.", "Keep keys elsewhere: whoever takes the vault must not find them in it.");
    }

    /// <summary>Refuses a folder in one that is not there: a name mistyped, or a disk that is not mounted, would have the data end up on another disk.</summary>
    /// <param name="folder">Full path, without an ending separator.</param>
    public static void RequireParent(string folder)
    {
        if (!Directory.Exists(folder) && Path.GetDirectoryName(folder) is { } parent && !Directory.Exists(parent))
            throw new HoldfastException(ErrorCode.TargetMissing, "The folder in which that one should be made is not there; nothing was made.",
                "Check the path, and that the disk is mounted; then make the folder (mkdir -p) or name another.");
    }

    /// <summary>Has a person type the date until which space stays taken, where that is over 30 days.</summary>
    /// <param name="session">Of the person.</param>
    /// <param name="end">When that is.</param>
    /// <param name="now">By the clock that the lock goes by: the vault's, where there is one.</param>
    /// <param name="folder">Where the space is; null where it is not on this machine.</param>
    /// <param name="otherwise">What has been done where they do not.</param>
    /// <param name="what">Stays.</param>
    public static void ConfirmLong(Session session, ulong end, ulong now, string? folder, string otherwise, string what = "What is backed up today")
    {
        if (end - Math.Min(end, now) <= LockRules.LongLock)
            return;
        var until = Text.Time(end)[..10];
        if (session.Parsed.GetValue(ConfirmOption) == until)
            return;
        var root = folder;
        while (root is not null && !Directory.Exists(root))
            root = Path.GetDirectoryName(root)!;
        session.Warn($"{what} stays locked until {until}. Nobody can remove it sooner, you included{(root is null ? "" : $"; {Text.Bytes(new DriveInfo(root).AvailableFreeSpace)} are free for it")}.");
        if (!Prompt.Confirm($"Lock until {until}?", until, session.Stop))
            throw new HoldfastException(ErrorCode.NotConfirmed, $"A lock over 30 days was not confirmed; {otherwise}.", $"Type the date when asked, or add --confirm-locked-until {until}.");
    }
}
