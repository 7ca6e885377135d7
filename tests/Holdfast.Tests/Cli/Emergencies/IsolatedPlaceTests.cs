using CsCheck;
using Holdfast.Cli.Emergencies;
using Holdfast.Core;
using Holdfast.Core.Storage;

namespace Holdfast.Tests.Cli.Emergencies;

/// <summary>What an emergency restores is where nobody else gets to it, and is marked; it is isolated or released, and never half of each.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class IsolatedPlaceTests : IDisposable
{
    static readonly SharedFolders Nothing = new([], [], []);
    readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    IsolatedPlace Make() => IsolatedPlace.Make(_folder["place"], Id16.New(), Id16.New(), Id16.New());

    static ErrorCode Refused(Action act) => Assert.Throws<HoldfastException>(act).Code;

    [Fact]
    public void A_place_is_shut_and_its_mark_says_what_it_is()
    {
        var place = Make();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(place.Folder));
        Assert.Equal(place, IsolatedPlace.Read(place.Folder));
        Assert.Null(IsolatedPlace.Read(_folder["."]));
        Assert.Equal(ErrorCode.TargetNotEmpty, Refused(() => Make())); // it is one already
    }

    [Theory]
    [InlineData("770")]
    [InlineData("705")]
    [InlineData("701")]
    public void A_folder_that_others_may_enter_or_list_is_none(string mode)
    {
        Directory.CreateDirectory(_folder["place"]);
        File.SetUnixFileMode(_folder["place"], (UnixFileMode)Convert.ToInt32(mode, 8));
        Assert.Equal(ErrorCode.TargetUnsafe, Refused(() => Make()));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder["place"]));
    }

    [Fact]
    public void A_folder_below_one_that_is_open_to_all_is_none()
    {
        Directory.CreateDirectory(_folder["open/in"]);
        File.SetUnixFileMode(_folder["open"], (UnixFileMode)Convert.ToInt32("777", 8));
        Assert.Equal(ErrorCode.TargetUnsafe, Refused(() => IsolatedPlace.RequireShut(_folder["open/in/place"], Nothing)));
        File.SetUnixFileMode(_folder["open"], (UnixFileMode)Convert.ToInt32("1777", 8)); // as /tmp
        IsolatedPlace.RequireShut(_folder["open/in/place"], Nothing);
    }

    /// <summary>A group is others, and so is whoever owns a folder above, also where a link leads through it.</summary>
    [Fact]
    public void A_folder_that_a_group_or_another_user_may_exchange_is_none()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "to give folders to other users takes root");
        Directory.CreateDirectory(_folder["team/in"]);
        Directory.CreateSymbolicLink(_folder["link"], _folder["team/in"]);
        foreach (var (owner, mode, isShut) in new[] { ("0:0", "770", true), ("0:1234", "770", false), ("0:1234", "1770", true), ("0:1234", "750", true), ("1234:0", "700", false) })
        {
            Chown(owner, _folder["team"]);
            File.SetUnixFileMode(_folder["team"], (UnixFileMode)Convert.ToInt32(mode, 8));
            foreach (var place in new[] { _folder["team/in/place"], Path.Combine(_folder["link"], "place") })
            {
                if (isShut)
                    IsolatedPlace.RequireShut(place, Nothing);
                else
                    Assert.Equal(ErrorCode.TargetUnsafe, Refused(() => IsolatedPlace.RequireShut(place, Nothing)));
            }
        }
    }

    static void Chown(string owner, string path)
    {
        using var chown = System.Diagnostics.Process.Start("chown", [owner, path]);
        chown.WaitForExit();
        Assert.Equal(0, chown.ExitCode);
    }

    /// <summary>A kill while the mark is first written leaves no mark, and a folder that can be made a place all the same.</summary>
    [Fact]
    public void What_a_kill_left_of_a_mark_keeps_no_place_from_being_made()
    {
        Directory.CreateDirectory(_folder["place"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.WriteAllText(_folder[$"place/{IsolatedPlace.Marker}.{Id16.New()}.new"], "holdfast isol");
        Assert.Equal(PlaceState.Restoring, IsolatedPlace.Read(Make().Folder)!.State);
        Directory.CreateDirectory(_folder["other"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.WriteAllText(_folder["other/holdfast-isolated.txt"], "no such thing");
        Assert.Equal(ErrorCode.TargetNotEmpty, Refused(() => IsolatedPlace.Make(_folder["other"], Id16.New(), Id16.New(), Id16.None)));
    }

    /// <summary>A source may have a file of the mark's name, and what was restored of it is no place.</summary>
    [Fact]
    public void A_file_of_the_marks_name_makes_no_place_of_a_folder_that_is_open()
    {
        var place = Make();
        Directory.CreateDirectory(place.Content);
        Assert.True(IsolatedPlace.IsAt(place.Folder));
        Directory.CreateDirectory(_folder["target"]);
        File.Copy(Path.Combine(place.Folder, IsolatedPlace.Marker), _folder[$"target/{IsolatedPlace.Marker}"]);
        Directory.CreateDirectory(_folder["target/content"]);
        File.SetUnixFileMode(_folder["target"], (UnixFileMode)Convert.ToInt32("755", 8));
        Assert.False(IsolatedPlace.IsAt(_folder["target"]));
        File.SetUnixFileMode(_folder["target"], (UnixFileMode)Convert.ToInt32("700", 8));
        Directory.Delete(_folder["target/content"]);
        Assert.False(IsolatedPlace.IsAt(_folder["target"]));
    }

    [Theory]
    [InlineData("/srv/data  192.168.0.0/24(rw)", "", "/srv/data/x", true)]
    [InlineData("\"/srv/my data\" *(ro)", "", "/srv/my data", true)]
    [InlineData("/srv/data\\040two *(ro)", "", "/srv/data two/x", true)]
    [InlineData("/srv/data/x/y *(rw)", "", "/srv/data/x", true)] // it has in it what is given out
    [InlineData("# /srv/data", "", "/srv/data/x", false)]
    [InlineData("/srv/data *(rw)", "", "/srv/database", false)]
    [InlineData("", "   path = /home/shared/", "/home/shared/x", true)]
    [InlineData("", "; path = /home/shared", "/home/shared/x", false)]
    [InlineData("", "path=/home/shared", "/home/sharedx", false)]
    public void What_this_machine_gives_out_is_no_isolated_place(string export, string samba, string place, bool isShared) =>
        Assert.Equal(isShared, new SharedFolders([], [export], [samba]).Reaching(place) is not null);

    [Theory]
    [InlineData("nfs4", true)]
    [InlineData("cifs", true)]
    [InlineData("fuse.sshfs", true)]
    [InlineData("ext4", false)]
    public void A_network_share_is_none(string kind, bool isShared) => Assert.Equal(isShared, new SharedFolders(
        ["22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw", $"40 22 0:35 / /mnt/my\\040share rw - {kind} srv:/x rw", "nonsense"], [], []).Reaching("/mnt/my share/deep") is not null);

    [Fact]
    public void Any_text_is_a_mark_or_none() => Gen.Select(Gen.Int[0, 400], Gen.Char).Sample((at, c) =>
    {
        var text = new IsolatedPlace("/x", Id16.New(), Id16.New(), Id16.New(), Id16.New(), Hash32.None, Id16.None, PlaceState.Releasing, "/srv/to").ToString();
        var bent = at < text.Length ? text[..at] + c + text[(at + 1)..] : text + c;
        if (IsolatedPlace.TryParse("/x", bent, out var read))
            Assert.Equal(bent, read.ToString());
        Assert.False(IsolatedPlace.TryParse("/x", text[..Math.Min(at, text.Length - 1)], out _));
    });

    /// <summary>Killed before the move, after it, or before the mark says so: the next run ends in the same state.</summary>
    [Theory]
    [InlineData("before")]
    [InlineData("marked")]
    [InlineData("moved")]
    [InlineData("done")]
    public void Killed_at_any_point_it_is_isolated_or_released_and_the_next_run_ends_it(string killed)
    {
        var place = (Make() with { State = PlaceState.Isolated }).Write();
        Directory.CreateDirectory(place.Content);
        File.WriteAllText(Path.Combine(place.Content, "file"), "text");
        var to = _folder["ward"];
        if (killed != "before")
            (place with { State = PlaceState.Releasing, Target = to }).Write();
        if (killed is "moved" or "done")
            Directory.Move(place.Content, to);
        if (killed == "done")
            (place with { State = PlaceState.Released, Target = to }).Write();
        Assert.Equal(killed is "moved" or "done", Directory.Exists(to));
        Assert.Equal(killed is "before" or "marked", Directory.Exists(place.Content));

        IsolatedPlace.Read(place.Folder)!.MoveTo(to);
        Assert.Equal("text", File.ReadAllText(Path.Combine(to, "file")));
        Assert.False(Directory.Exists(place.Content));
        Assert.Equal((PlaceState.Released, to), (IsolatedPlace.Read(place.Folder)!.State, IsolatedPlace.Read(place.Folder)!.Target));
    }

    sealed class PlainDisk(int error) : Disk
    {
        protected override int RenameUnlessTaken(string from, string name) => error;
    }

    /// <summary>NFS and some FUSE have no renaming that refuses a taken name.</summary>
    [Fact]
    public void It_is_let_out_where_the_file_system_only_renames_and_replaces_nothing_there()
    {
        const int invalid = 22; // EINVAL
        var place = (Make() with { State = PlaceState.Isolated }).Write();
        Directory.CreateDirectory(place.Content);
        File.WriteAllText(Path.Combine(place.Content, "file"), "text");
        Directory.CreateDirectory(_folder["empty"]);
        File.WriteAllText(_folder["taken"], "text");
        foreach (var taken in new[] { "empty", "taken" })
            Assert.Equal(ErrorCode.TargetNotEmpty, Refused(() => place.MoveTo(_folder[taken], new PlainDisk(invalid))));
        Assert.Equal(PlaceState.Released, place.MoveTo(_folder["ward"], new PlainDisk(invalid)).State);
        Assert.Equal("text", File.ReadAllText(_folder["ward/file"]));
    }

    /// <summary>The log says that it may go, and where it was to go cannot take it: it goes elsewhere, and never from there.</summary>
    [Fact]
    public void What_could_not_be_moved_goes_to_another_path()
    {
        const int otherDisk = 18; // EXDEV: two mounts of one disk
        var place = (Make() with { State = PlaceState.Isolated }).Write();
        Directory.CreateDirectory(place.Content);
        Assert.False(place.HasNotMoved);
        var refused = Assert.Throws<HoldfastException>(() => place.MoveTo(_folder["mounted"], new PlainDisk(otherDisk)));
        Assert.Contains("in the isolated place still", refused.Message, StringComparison.Ordinal);
        place = IsolatedPlace.Read(place.Folder)!;
        Assert.True(place.HasNotMoved);
        place = place.MoveTo(_folder["ward"]);
        Assert.True(Directory.Exists(_folder["ward"]));
        Assert.False(place.HasNotMoved);
    }

    [Fact]
    public void Nothing_that_stands_in_the_way_is_replaced()
    {
        var place = (Make() with { State = PlaceState.Isolated }).Write();
        Directory.CreateDirectory(place.Content);
        Directory.CreateDirectory(_folder["ward"]);
        Assert.Equal(ErrorCode.TargetNotEmpty, Refused(() => place.MoveTo(_folder["ward"])));
        Assert.True(Directory.Exists(place.Content));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder["ward"]));
    }

    /// <summary>What a second process brings after the approval would come out by it.</summary>
    [Fact]
    public void A_place_is_restored_into_or_released_by_one_process_at_a_time()
    {
        Assert.Null(IsolatedPlace.Hold(_folder["nothing"], Assert.Fail));
        var place = Make();
        using (IsolatedPlace.Hold(place.Folder, Assert.Fail))
            Assert.Equal(ErrorCode.VaultBusy, Refused(() => IsolatedPlace.Hold(place.Folder, Assert.Fail)));
        IsolatedPlace.Hold(place.Folder, Assert.Fail)!.Dispose();
    }

    /// <summary>A lock that cannot be taken, of another user's file or on a disk that takes none, keeps no patient waiting.</summary>
    [Fact]
    public void Where_no_lock_can_be_had_it_is_gone_on_without_and_told()
    {
        var place = Make();
        Directory.CreateDirectory(Path.Combine(place.Folder, IsolatedPlace.Marker + ".lock")); // no file that could be opened, not by root either
        var told = new List<string>();
        Assert.Null(IsolatedPlace.Hold(place.Folder, told.Add));
        Assert.Contains("nobody else", Assert.Single(told), StringComparison.Ordinal);
    }

    [Fact]
    public void The_place_of_another_emergency_has_another_secret()
    {
        var (one, two) = (Make(), IsolatedPlace.Read(_folder["place"])!.Anew(Id16.None).Write());
        Assert.Equal(two, IsolatedPlace.Read(_folder["place"]));
        Assert.Equal(0, new[] { one.Emergency == two.Emergency, one.Place == two.Place, one.Secret == two.Secret, one.Secret == one.Commitment }.Count(b => b));
    }

    [Fact]
    public void A_mark_that_makes_no_sense_is_not_taken_for_no_mark()
    {
        var place = Make();
        File.AppendAllText(Path.Combine(place.Folder, IsolatedPlace.Marker), "x");
        Assert.Equal(ErrorCode.TargetUnsafe, Refused(() => IsolatedPlace.Read(place.Folder)));
    }
}
