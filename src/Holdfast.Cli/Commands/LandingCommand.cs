using System.CommandLine;
using System.Text;
using Holdfast.Cli.Keys;
using Holdfast.Cli.Landing;
using Holdfast.Cli.Terminal;
using Holdfast.Core;
using Holdfast.Core.Storage;
using Holdfast.Sources.Files;
using Holdfast.Sources.Landing;

namespace Holdfast.Cli.Commands;

/// <summary>A folder where tools drop their dumps by SFTP, and from where they go into the vault.</summary>
static class LandingCommand
{
    static readonly Argument<string> FolderArgument = new("FOLDER") { Description = "The landing." };
    static readonly Option<string> ListenOption = ListenAddress.Option(2222);
    static readonly Option<string?> WatchOption = new("--watch") { Description = "Go on, this often, until it is stopped: 10s, 5m (minutes), 1h.", HelpName = "TIME" };

    public static Command Create()
    {
        var landing = new Command("landing", "Take in dumps that tools drop by SFTP: what is complete is checked, stored and locked; what is missing is told.");
        landing.Subcommands.Add(Session.Command("init", "Make a landing, or bring it up to date with its landing.conf: folders, an sshd_config and units of systemd. Nothing outside FOLDER is changed.", command =>
        {
            command.Arguments.Add(FolderArgument);
            command.Options.Add(ListenOption);
            command.Options.Add(KeyFolder.VaultOption);
            command.Options.Add(KeyFolder.KeysOption);
        }, Init));
        landing.Subcommands.Add(Session.Command("take", "Store what is complete, once or with --watch until it is stopped. Exit status 59 where something is wrong with a dump, or one is missing.", command =>
        {
            command.Arguments.Add(FolderArgument);
            command.Options.Add(WatchOption);
            command.Options.Add(KeyFolder.VaultOption);
            command.Options.Add(KeyFolder.KeysOption);
        }, Take));
        landing.Subcommands.Add(Session.Command("status", "Show what came, what is due and what is wrong. Exit status 59 where something is.", command => command.Arguments.Add(FolderArgument), Status));
        return landing;
    }

    static int Init(Session session)
    {
        RequireLinux();
        var at = ListenAddress.Of(session, ListenOption);
        var landing = Of(session);
        InitCommand.RequireParent(landing.Path);
        RequireRootsOwn(landing.Path);
        var drops = File.Exists(landing.Plan) ? Plan(landing) : null; // what is wrong with it is told before anything is made
        foreach (var folder in new[] { landing.Path, landing.Keys })
            Disk.Real.MakeDurable(folder);
        foreach (var folder in new[] { landing.State, landing.In("taken"), landing.Units })
            Disk.Real.MakeDurable(folder, ownerOnly: true);
        Open(landing.Path);
        Open(landing.Keys);
        if (drops is null)
        {
            Disk.Real.WriteNew(landing.Plan, Encoding.UTF8.GetBytes(LandingPlan.Example));
            session.Step($"Made the landing in {landing.Path}.");
            session.Note($"holdfast: now write its drop points into {landing.Plan}, and run this again");
            return 0;
        }
        var missing = drops.Where(d => !Intake.Prepare(landing, d)).ToList();
        if (missing.Count > 0)
            throw new HoldfastException(ErrorCode.Usage, $"This machine lacks {Text.Count(missing.Count, "account")} that landing.conf names, each with a group of its own.", "As root: " + string.Join("; ", missing.Select(SshdFiles.UserLine)));
        Open(landing.In("drop"));
        Put(landing.Sshd, SshdFiles.Config(landing, drops, at.Address.ToString(), at.Port));
        Put(Path.Combine(landing.Units, "holdfast-landing-sshd.service"), SshdFiles.SshdUnit(landing));
        Put(Path.Combine(landing.Units, "holdfast-landing-take.service"), SshdFiles.TakeUnit(landing, session.Parsed.GetValue(KeyFolder.VaultOption) is { } vault ? Place(vault) : "", new KeyFolder(session).Folder));
        foreach (var drop in drops)
            _ = DropHistory.Of(landing.History(drop), Now); // from now on what does not come is missing
        landing.KeepReserve();
        session.Step($"{Text.Count(drops.Count, "drop point")} in {landing.Path}; sshd_config and units are written.");
        if (!File.Exists(landing.HostKey))
            session.Note($"holdfast: make its host key: ssh-keygen -q -t ed25519 -N '' -f {Shell.Word(landing.HostKey)}");
        foreach (var drop in drops.Where(d => !File.Exists(Path.Combine(landing.Keys, d.Account))))
            session.Note($"holdfast: put the public key that drops at {drop.Name} into {Shell.Word(Path.Combine(landing.Keys, drop.Account))}, owned by root, mode 644");
        session.Note($"holdfast: then: cp {Shell.Word(landing.Units)}/*.service /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now holdfast-landing-sshd holdfast-landing-take");
        return 0;
    }

    static void Put(string path, string text) => Disk.Real.Replace(path, Encoding.UTF8.GetBytes(text));

    static string Place(string vault) => KeeperAccess.TryUrl(vault, out _) ? vault : FolderPath.Full(vault);

    /// <summary>Others pass through it: sshd does, as the account.</summary>
    static void Open(string folder)
    {
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(folder, (UnixFileMode)0x1ED); // rwxr-xr-x
    }

    /// <summary>sshd takes the folder for a root folder, and keys from it, only where nobody but root can change the way to it.</summary>
    static void RequireRootsOwn(string folder)
    {
        if (!Environment.IsPrivilegedProcess)
            throw new HoldfastException(ErrorCode.NoPermission, "A landing is root's: sshd shuts accounts into a folder of root's alone.", "Run this as root.");
        if (FolderOwner.IsAnothers(folder) || Ways(folder).Any(IsOpenToOthers))
            throw new HoldfastException(ErrorCode.Usage, "Others than root may change the way to that folder: sshd would let nobody in.", "Name a folder below one that root alone writes to, such as /srv/landing, on a disk of its own.");
    }

    static bool IsOpenToOthers(string folder) => !OperatingSystem.IsWindows() && Directory.Exists(folder) && (File.GetUnixFileMode(folder) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0;

    static IEnumerable<string> Ways(string folder)
    {
        for (var at = folder; at is not null; at = Path.GetDirectoryName(at))
            yield return at;
    }

    static long Now => TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    static LandingFolder Of(Session session) => new(session.Parsed.GetValue(FolderArgument)!);

    static void RequireLinux()
    {
        if (!OperatingSystem.IsLinux())
            throw new HoldfastException(ErrorCode.Usage, "A landing runs on Linux.", "Run it there; tools of any system drop their dumps by SFTP.");
    }

    static IReadOnlyList<DropPoint> Plan(LandingFolder landing)
    {
        if (!File.Exists(landing.Plan))
            throw new HoldfastException(ErrorCode.SourceMissing, "There is no landing in that folder, or it is not mounted.", "Check the path; `holdfast landing init FOLDER` makes one.");
        return LandingPlan.Parse(UserFile.Lines(landing.Plan, "The file landing.conf"));
    }

    static int Take(Session session)
    {
        RequireLinux();
        var landing = Of(session);
        _ = Plan(landing); // what is wrong with it is told before anything is done
        if (session.Parsed.GetValue(WatchOption) is not { } text)
            return new Round(session, landing).Run().Tell(session, landing, isOnce: true);
        if (LandingPlan.Time(text) is not { } pause || pause < TimeSpan.FromSeconds(1) || pause > TimeSpan.FromDays(1))
            throw new HoldfastException(ErrorCode.Usage, $"--watch takes a time from a second to a day, and `{text}` is none.", "Write it as a whole number and a unit: 10s, 5m, 1h.");
        session.Note("Taking what comes; Ctrl+C ends it.");
        try
        {
            for (var told = ""; ; Task.Delay(pause, session.Stop).GetAwaiter().GetResult())
            {
                var words = "";
                try
                {
                    var report = new Round(session, landing).Run();
                    words = report.Words;
                    if (report.Files > 0 || words != told)
                        report.Tell(session, landing, isOnce: false);
                }
                catch (HoldfastException e)
                {
                    words = e.Message;
                    if (words != told) // once, not each time
                        session.Warn($"holdfast: {e.Message}\n  what to do: {e.Guidance}");
                }
                told = words;
            }
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
    }

    static int Status(Session session)
    {
        RequireLinux();
        var landing = Of(session);
        var now = Now;
        var report = new LandingReport();
        var plan = Plan(landing);
        foreach (var drop in plan)
        {
            try
            {
                using var intake = new Intake(landing, drop);
                var history = DropHistory.Read(landing.History(drop)) ?? new DropHistory(now, []);
                report.Add(drop, history, intake.State(now), now);
            }
            catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
            {
                report.Fail(drop.Name, e as HoldfastException ?? DiskFault.Of(e));
            }
        }
        report.AddDisk(landing);
        report.AddStrays(landing, plan);
        return report.Tell(session, landing, isOnce: true, isAsked: true);
    }

    /// <summary>One run over all drop points. What is wrong at one keeps none of the others waiting.</summary>
    sealed class Round(Session session, LandingFolder landing)
    {
        static readonly TimeSpan Pause = TimeSpan.FromSeconds(10);

        readonly LandingReport _report = new();
        readonly IReadOnlyList<DropPoint> _plan = Plan(landing);
        long _tended;

        public LandingReport Run()
        {
            using var alone = landing.Lock();
            landing.OpenReserve();
            Tend(Fail);
            foreach (var drop in _plan)
                Guard(drop, Store, Fail);
            foreach (var drop in _plan)
                Guard(drop, Tell, Fail);
            try
            {
                landing.KeepReserve();
            }
            catch (Exception e) when (e is HoldfastException or IOException or UnauthorizedAccessException)
            {
                _report.Fail("", Of(e));
            }
            _report.AddDisk(landing);
            _report.AddStrays(landing, _plan);
            return _report;
        }

        void Fail(DropPoint drop, HoldfastException fault) => _report.Fail(drop.Name, fault);

        static void Guard(DropPoint drop, Action<DropPoint> work, Action<DropPoint, HoldfastException> fail)
        {
            try
            {
                work(drop);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                fail(drop, Of(e));
            }
        }

        static HoldfastException Of(Exception fault) => fault switch
        {
            HoldfastException known => known,
            IOException or UnauthorizedAccessException => DiskFault.Of(fault),
            _ => new HoldfastException(ErrorCode.Internal, $"Something that should not be happened at a drop point ({fault.GetType().Name}).", "Report it; the other drop points go on, and what was taken stays in the landing.", fault),
        };

        /// <summary>Takes what is complete everywhere out of reach, and shuts what is full, before anything is looked at: that may take long.</summary>
        void Tend(Action<DropPoint, HoldfastException> fail)
        {
            foreach (var drop in _plan)
                Guard(drop, Collect, fail);
            _tended = TimeProvider.System.GetTimestamp();
        }

        void Between()
        {
            if (TimeProvider.System.GetElapsedTime(_tended) > Pause)
                Tend((_, _) => { }); // what is wrong shows at the end of the run
        }

        void Collect(DropPoint drop)
        {
            var now = Now;
            using var intake = new Intake(landing, drop);
            try
            {
                intake.Collect(now, session.Stop);
            }
            finally
            {
                intake.Admit(intake.State(now).IsClosed);
            }
        }

        void Tell(DropPoint drop)
        {
            var now = Now;
            using var intake = new Intake(landing, drop);
            var state = intake.State(now);
            intake.Admit(state.IsClosed);
            _report.Add(drop, DropHistory.Of(landing.History(drop), now), state, now);
        }

        void Store(DropPoint drop)
        {
            var history = DropHistory.Of(landing.History(drop), Now);
            using var intake = new Intake(landing, drop);
            // Looking may part a batch into two.
            foreach (var batch in intake.Batches().Where(b => !b.IsStored && !b.IsEmpty))
                Guard(drop, _ => batch.Look(drop, history, session.Stop, Between), Fail);
            foreach (var batch in intake.Batches())
            {
                try
                {
                    history = Store(drop, batch, history);
                }
                catch (Exception e) when (e is IOException or HoldfastException { Code: ErrorCode.Incomplete or ErrorCode.ObjectDamaged })
                {
                    batch.MarkFailed();
                    Fail(drop, Of(e)); // of these files: others are not kept waiting by what cannot be read
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    batch.MarkFailed();
                    throw;
                }
            }
        }

        /// <summary>Each step is durable before the next; a run that is killed between two is gone on with. What the vault does not have is never removed.</summary>
        DropHistory Store(DropPoint drop, Batch batch, DropHistory history)
        {
            session.Stop.ThrowIfCancellationRequested();
            if (!batch.IsStored && batch.IsEmpty)
            {
                batch.Remove();
                return history;
            }
            var isNoted = history.Dumps.Any(d => d.Batch == batch.Id);
            if (isNoted && batch.IsIncomplete)
                return history;
            if (!isNoted || !batch.IsStored)
            {
                var dumps = batch.Look(drop, history, session.Stop, Between);
                if (!batch.IsStored && !batch.IsIncomplete)
                    BackUp(drop, batch, dumps);
                if (batch.IsIncomplete)
                    dumps = [.. dumps.Select(d => d with { Faults = d.Faults | DumpFaults.Format })];
                if (!isNoted)
                {
                    history = history with { Dumps = [.. history.Dumps, .. dumps] };
                    history.Write(Disk.Real, landing.History(drop));
                }
            }
            if (!batch.IsIncomplete)
                batch.Remove();
            return history;
        }

        /// <summary>Once the snapshot is committed the batch is marked, whatever else is wrong: what failed after that is told, and not stored again.</summary>
        void BackUp(DropPoint drop, Batch batch, IReadOnlyList<TakenDump> dumps)
        {
            using var source = FileSource.Open(batch.Path, new FileSourceOptions { Excludes = new Excludes().AddLines(Batch.Notes) });
            var name = dumps.Any(d => d.IsGood) ? drop.Source : drop.DoubtfulSource;
            var isCommitted = false;
            var status = BackupCommand.Store(session, source, name, landing.Inbox(drop), outcome =>
            {
                batch.MarkStored(isWhole: source.Problems.Count == 0);
                isCommitted = true;
                _report.Stored(drop, dumps.Count, (long)outcome.Archive.LogicalBytes, outcome.Snapshot);
                return 0;
            });
            if (status == 0)
                return;
            var fault = isCommitted ? new HoldfastException((ErrorCode)status, "What was taken is stored, and something is wrong with the vault.", "`holdfast status` says what.")
                : new HoldfastException((ErrorCode)status, "What was taken is not in the vault, and stays in the landing.", "Look at the disk of the landing, and at the vault (`holdfast status`); the next run tries again.");
            if (!isCommitted)
                throw fault;
            Fail(drop, fault);
        }
    }
}
