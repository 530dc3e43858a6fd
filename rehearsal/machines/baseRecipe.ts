/** What the machines of the tests are made of: the packages of their Debian, its services, and the files that are ours. */

/** The release that the machines run: what Synapse's own package is most often installed on. */
export const release = "bookworm";

/** Only these and what they need: everything else that is on a rented machine, no test looks at. */
export const packages = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "postgresql",
    "python3",
    "python3-venv",
    "sudo",
    "iproute2",
    "procps",
    "ca-certificates",
    "nginx-light",
    "redis-server",
    "docker.io",
    "iptables",
    "rsync",
] as const;

/**
 * Not started at boot until a deployment enables them, so that a machine is up in a second. Timers that would change a machine under a test's
 * hands are off for good.
 */
export const disabledUnits = [
    "nginx.service",
    "postgresql.service",
    "redis-server.service",
    "docker.service",
    "docker.socket",
    "containerd.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
] as const;

export const enabledUnits = ["systemd-networkd.service"] as const;

/** As Synapse's package makes it: a system user without a group of its own. */
export const synapseUser = { name: "matrix-synapse", group: "nogroup", home: "/var/lib/matrix-synapse" } as const;

/** Somebody who administers the machine with `sudo`, beside root. */
export const operator = "admin";

/** Controllers of cgroup v1; those that a machine does not have are passed over. */
const controllers = ["memory", "cpu", "cpuacct", "cpu,cpuacct", "pids", "blkio", "freezer", "devices", "cpuset"];

/**
 * systemd-nspawn shows controllers of cgroup v1 read-only, and runc has to make groups in them. A bind mount can be made writable again, where
 * `remount` alone finds the file system busy.
 */
const writableCgroups = `[Unit]
Description=Lets containers be made in this machine
Before=containerd.service docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
${controllers.map((name) => `ExecStart=-/bin/mount -o remount,rw,bind /sys/fs/cgroup/${name}`).join("\n")}
`;

const beforeDocker = `[Unit]
Requires=writable-cgroups.service
After=writable-cgroups.service
`;

/** Path and content; all of mode 0644 but what {@link privateFiles} names. */
export const files: Readonly<Record<string, string>> = {
    "/etc/systemd/system/writable-cgroups.service": writableCgroups,
    "/etc/systemd/system/docker.service.d/writable-cgroups.conf": beforeDocker,
    [`/etc/sudoers.d/${operator}`]: `${operator} ALL=(ALL) NOPASSWD: ALL\n`,
    // Nothing but the other machines of a test is reached from a machine, no name server either.
    "/etc/resolv.conf": "",
    // Without it, every login would wait for a name of the address it comes from.
    "/etc/ssh/sshd_config.d/tests.conf": "UseDNS no\nPrintMotd no\n",
    // Empty: each machine gets its own.
    "/etc/machine-id": "",
};

export const privateFiles: Readonly<Record<string, number>> = { [`/etc/sudoers.d/${operator}`]: 0o440 };

/** What debootstrap leaves, and no machine is to share with another or need. */
export const removed = [
    "/usr/sbin/policy-rc.d",
    "/var/cache/apt",
    "/var/lib/apt/lists",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ecdsa_key.pub",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_rsa_key.pub",
] as const;
