using CsCheck;
using Holdfast.Cli.Emergencies;
using Holdfast.Core;

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
