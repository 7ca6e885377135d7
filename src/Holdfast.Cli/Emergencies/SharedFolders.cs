using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Emergencies;

/// <summary>What of this machine others reach over a network: disks that are shares, and folders that NFS or Samba give out, as far as their own files say.</summary>
/// <param name="Mounts">Of /proc/self/mountinfo.</param>
/// <param name="Exports">Of /etc/exports and its folder.</param>
/// <param name="Samba">Of smb.conf and of shares that users made.</param>
sealed record SharedFolders(IReadOnlyList<string> Mounts, IReadOnlyList<string> Exports, IReadOnlyList<string> Samba)
{
    const int MaxFile = 1 << 20; // bytes
    static readonly string[] NetworkKinds = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "ocfs2", "gfs2", "virtiofs", "vboxsf", "vmhgfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.vmhgfs-fuse"];

    public static SharedFolders Here => new(Lines("/proc/self/mountinfo"), [.. Lines("/etc/exports"), .. In("/etc/exports.d").SelectMany(Lines)], [.. Lines("/etc/samba/smb.conf"), .. In("/var/lib/samba/usershares").SelectMany(Lines)]);

    static string[] In(string folder)
    {
        try
        {
            return Directory.GetFiles(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return []; // there is none, or it goes while it is looked at
        }
    }

    static string[] Lines(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            var bytes = new byte[MaxFile];
            return Encoding.UTF8.GetString(bytes, 0, file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)).Split('\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Why others reach a folder; null where nothing says that they do.</summary>
    /// <param name="folder">Its real path; it need not be there.</param>
    public string? Reaching(string folder)
    {
        var mount = Mounts.Select(Mount).Where(m => m.Kind.Length > 0 && FolderPath.IsWithin(folder, m.At)).OrderBy(m => m.At.Length).LastOrDefault();
        if (NetworkKinds.Contains(mount.Kind, StringComparer.Ordinal))
            return $"it lies on a network share ({mount.Kind}), which others reach";
        if (Exports.Select(Export).Any(e => e.Length > 1 && IsOneIn(folder, e)))
            return "it lies in what this machine exports (NFS), or has that in it";
        if (Samba.Select(Share).Any(s => s.Length > 1 && IsOneIn(folder, s)))
            return "it lies in what this machine shares (Samba), or has that in it";
        return null;
    }

    static bool IsOneIn(string folder, string other) => FolderPath.IsWithin(folder, other) || FolderPath.IsWithin(other, folder);

    /// <summary>Mount point and kind of file system: fields 5 and, after a hyphen, 1 (proc_pid_mountinfo(5)).</summary>
    static (string At, string Kind) Mount(string line)
    {
        var fields = line.Split(' ');
        var hyphen = Array.IndexOf(fields, "-");
        return hyphen > 4 && hyphen + 1 < fields.Length ? (Unescaped(fields[4]), fields[hyphen + 1]) : ("", "");
    }

    /// <summary>The path at the beginning of a line, in quotes or not (exports(5)).</summary>
    static string Export(string line)
    {
        line = line.Trim();
        return line.StartsWith('"') && line.IndexOf('"', 1) is var end and > 0 ? line[1..end] : line.StartsWith('/') ? Unescaped(line.Split(' ', '\t')[0]) : "";
    }

    static string Share(string line) => line.Split('=', 2) is [var name, var path] && name.Trim().Equals("path", StringComparison.OrdinalIgnoreCase) && path.Trim().Trim('"') is ['/', ..] and var at ? at.TrimEnd('/') : "";

    static string Unescaped(string text) => text.Replace("\\040", " ", StringComparison.Ordinal).Replace("\\011", "\t", StringComparison.Ordinal).Replace("\\134", "\\", StringComparison.Ordinal);
}
