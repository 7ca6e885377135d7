using System.Globalization;
using System.Text;
using Holdfast.Cli.Terminal;
using Holdfast.Sources.Landing;

namespace Holdfast.Cli.Landing;

/// <summary>What OpenSSH's server is given for a landing: an instance of its own, with a key and a port of its own, so that nothing of the machine's sshd changes.</summary>
static class SshdFiles
{
    /// <summary>What a client may ask (sftp-server(8), -p): to make a file, to write it, to give it its name. To read, list, remove, make folders or links, or change modes and times it may not.</summary>
    public const string Requests = "open,close,write,lstat,fstat,stat,realpath,rename,fsync,limits";

    /// <summary>Files are made without any right, so that nobody opens them a second time, their maker neither.</summary>
    const string Mask = "0777";

    public static string Config(LandingFolder landing, IReadOnlyList<DropPoint> drops, string address, int port)
    {
        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"""
            # Written by `holdfast landing init`; written anew when it runs again.
            ListenAddress {address}
            Port {port}
            HostKey {Quoted(landing.HostKey)}
            PidFile none
            AuthorizedKeysFile {Quoted(landing.Keys + "/%u")}
            AuthenticationMethods publickey
            PubkeyAuthentication yes
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            HostbasedAuthentication no
            GSSAPIAuthentication no
            UsePAM no
            PermitRootLogin no
            PermitUserEnvironment no
            PermitUserRC no
            PermitTTY no
            DisableForwarding yes
            AllowUsers {string.Join(' ', drops.Select(d => d.Account))}
            MaxAuthTries 3
            LoginGraceTime 30
            MaxStartups 100:50:200
            PerSourceMaxStartups 5
            MaxSessions 4
            ClientAliveInterval 15
            ClientAliveCountMax 4
            LogLevel INFO
            Subsystem sftp internal-sftp
            ForceCommand internal-sftp -d /in -u {Mask} -p {Requests}

            """));
        foreach (var drop in drops)
            text.Append(CultureInfo.InvariantCulture, $"\nMatch User {drop.Account}\n    ChrootDirectory {Quoted(landing.Room(drop))}\n");
        return text.ToString();
    }

    /// <summary>What both units give up.</summary>
    const string Hardening = """
        PrivateTmp=yes
        PrivateDevices=yes
        ProtectKernelTunables=yes
        ProtectKernelModules=yes
        ProtectKernelLogs=yes
        ProtectControlGroups=yes
        ProtectClock=yes
        ProtectHostname=yes
        RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
        RestrictNamespaces=yes
        RestrictRealtime=yes
        LockPersonality=yes
        SystemCallArchitectures=native
        """;

    public static string SshdUnit(LandingFolder landing) => $"""
        [Unit]
        Description=Holdfast landing: takes dumps in, by SFTP
        After=network.target
        RequiresMountsFor={landing.Path}

        [Service]
        ExecStart=/usr/sbin/sshd -D -e -f {Unit(landing.Sshd)}
        ExecReload=/bin/kill -HUP $MAINPID
        Restart=on-failure
        RuntimeDirectory=sshd
        RuntimeDirectoryPreserve=yes
        KillMode=mixed
        CapabilityBoundingSet=CAP_SYS_CHROOT CAP_SETUID CAP_SETGID CAP_KILL CAP_NET_BIND_SERVICE CAP_DAC_READ_SEARCH CAP_AUDIT_WRITE
        NoNewPrivileges=yes
        ProtectSystem=strict
        ReadWritePaths={Unit(landing.In("drop"))}
        ProtectHome=yes
        {Hardening}
        TasksMax=2048

        [Install]
        WantedBy=multi-user.target

        """;

    public static string TakeUnit(LandingFolder landing, string vault, string keys) => $"""
        [Unit]
        Description=Holdfast landing: stores what came in
        After=network.target
        RequiresMountsFor={landing.Path}

        [Service]
        Environment={(vault.Length > 0 ? $"HOLDFAST_VAULT={Unit(vault)} " : "")}HOLDFAST_KEYS={Unit(keys)} HOLDFAST_STATE_DIR=/var/lib/holdfast/state
        ExecStart=/usr/local/bin/holdfast landing take {Unit(landing.Path)} --watch 10s --quiet
        Restart=always
        RestartSec=30
        StateDirectory=holdfast
        CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN CAP_FOWNER CAP_LEASE CAP_SETUID CAP_SETGID
        NoNewPrivileges=yes
        {Hardening}
        Nice=10

        [Install]
        WantedBy=multi-user.target

        """;

    public static string UserLine(DropPoint drop) => $"useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin --password '*' {Shell.Word(drop.Account)}";

    static string Quoted(string path) => path.Contains(' ', StringComparison.Ordinal) ? $"\"{path}\"" : path;

    /// <summary>As systemd reads a word: % begins a specifier.</summary>
    static string Unit(string word) => (word.Contains(' ', StringComparison.Ordinal) ? $"\"{word}\"" : word).Replace("%", "%%", StringComparison.Ordinal);
}
