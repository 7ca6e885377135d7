namespace Holdfast.Tests.Sources;

/// <summary>A folder on a file system that does other than it is told, as disks of other systems do: bindfs(1) over a folder of its own. Gone afterwards.</summary>
sealed class OddMount : IDisposable
{
    /// <summary>Between bindfs and the system: names in lower case alone, or a number for each name of a file.</summary>
    const string Between = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <sys/stat.h>
        #include <dirent.h>
        #include <fcntl.h>
        #include <unistd.h>
        #include <stdarg.h>

        static const char *fold(const char *path, char *to)
        {
            if (!getenv("FOLDS_CASE") || *path == '/') // what is mounted goes by relative paths
                return path;
            char *at = to;
            do
                *at++ = *path >= 'A' && *path <= 'Z' ? *path + 32 : *path;
            while (*path++);
            return to;
        }

        static void number(const char *path, struct stat64 *stat)
        {
            if (!getenv("NUMBERS_NAMES") || !S_ISREG(stat->st_mode))
                return;
            stat->st_ino = 5381;
            while (*path)
                stat->st_ino = stat->st_ino * 33 + *path++;
        }

        #define REAL(type, name, types) static type (*real) types; char other[4096]; if (!real) real = dlsym(RTLD_NEXT, #name); path = fold(path, other)
        #define OF_ONE(type, name, types, arguments) type name types { REAL(type, name, types); return real arguments; }
        #define OF_TWO(name) int name(const char *path, const char *to) { char second[4096]; REAL(int, name, (const char *, const char *)); return real(path, fold(to, second)); }

        OF_ONE(int, mkdir, (const char *path, mode_t mode), (path, mode))
        OF_ONE(int, chmod, (const char *path, mode_t mode), (path, mode))
        OF_ONE(int, lchown, (const char *path, uid_t user, gid_t group), (path, user, group))
        OF_ONE(int, rmdir, (const char *path), (path))
        OF_ONE(int, unlink, (const char *path), (path))
        OF_ONE(DIR *, opendir, (const char *path), (path))
        OF_ONE(int, truncate64, (const char *path, off64_t size), (path, size))
        OF_ONE(ssize_t, readlink, (const char *path, char *to, size_t size), (path, to, size))
        OF_TWO(rename)

        int link(const char *path, const char *to)
        {
            char second[4096];
            REAL(int, link, (const char *, const char *));
            errno = EPERM;
            return getenv("HAS_NO_LINKS") ? -1 : real(path, fold(to, second));
        }

        int symlink(const char *target, const char *path)
        {
            REAL(int, symlink, (const char *, const char *));
            return real(target, path);
        }

        int open64(const char *path, int flags, ...)
        {
            va_list more;
            va_start(more, flags);
            mode_t mode = va_arg(more, mode_t);
            va_end(more);
            REAL(int, open64, (const char *, int, ...));
            return real(path, flags, mode);
        }

        int __open64_2(const char *path, int flags)
        {
            REAL(int, __open64_2, (const char *, int));
            return real(path, flags);
        }

        int utimensat(int folder, const char *path, const struct timespec times[2], int flags)
        {
            REAL(int, utimensat, (int, const char *, const struct timespec *, int));
            return real(folder, path, times, flags);
        }

        int __lxstat64(int version, const char *path, struct stat64 *stat)
        {
            REAL(int, __lxstat64, (int, const char *, struct stat64 *));
            int failed = real(version, path, stat);
            if (!failed)
                number(path, stat);
            return failed;
        }

        int lstat64(const char *path, struct stat64 *stat)
        {
            REAL(int, lstat64, (const char *, struct stat64 *));
            int failed = real(path, stat);
            if (!failed)
                number(path, stat);
            return failed;
        }

        int lstat(const char *path, struct stat *stat) { return lstat64(path, (struct stat64 *)stat); }
        """;

    readonly TempFolder _folder = new();
    readonly string _path;

    OddMount(string path) => _path = path;

    /// <summary>Takes owners and permissions and keeps none: as NTFS without its own, CIFS without UNIX extensions, FAT with <c>quiet</c>.</summary>
    /// <param name="path">A folder that is there. As all that follow: null where this user may not mount, or something is not installed.</param>
    public static OddMount? Forgetful(string path) => TryMake(path, [], "--chmod-ignore", "--chown-ignore", "--chgrp-ignore", "-p", "0777");

    /// <summary>Upper and lower case are one.</summary>
    public static OddMount? CaseBlind(string path, bool hasLinks = true) => TryMake(path, hasLinks ? ["FOLDS_CASE=1"] : ["FOLDS_CASE=1", "HAS_NO_LINKS=1"]);

    /// <summary>Each name of a file has a number of its own.</summary>
    public static OddMount? NumbersNames(string path) => TryMake(path, ["NUMBERS_NAMES=1"]);

    static OddMount? TryMake(string path, string[] between, params string[] options)
    {
        var mount = new OddMount(path);
        var below = Directory.CreateDirectory(mount._folder["below"]).FullName;
        var preload = Array.Empty<string>();
        if (between.Length > 0)
        {
            var source = mount._folder["between.c"];
            var library = mount._folder["between.so"];
            File.WriteAllText(source, Between);
            if (LoopDisk.Run("clang", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"))
                preload = [$"LD_PRELOAD={library}", .. between];
        }
        if (between.Length > 0 == preload.Length > 0 && OperatingSystem.IsLinux() && LoopDisk.Run("env", [.. preload, "bindfs", .. options, below, path]))
            return mount;
        mount.Dispose();
        return null;
    }

    public void Dispose()
    {
        LoopDisk.Run("umount", _path);
        _folder.Dispose();
    }
}
