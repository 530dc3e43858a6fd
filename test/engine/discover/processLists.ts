/** Processes as real deployments have them: what `/proc/<pid>/cmdline`, `cgroup` and `cwd` say on each. */
import { keepingIn } from "../../../engine/machines/controlGroup.ts";
import type { ProcessFacts } from "../../../engine/machines/procfs.ts";

export interface ListedProcess {
    readonly argv: string;
    /** Path of the control group. */
    readonly group: string;
    readonly workingDirectory?: string;
    readonly parent?: number;
    readonly uid?: number;
}

/** @param list  words of a command line are divided by single blanks */
export function processes(list: Readonly<Record<number, ListedProcess>>): ProcessFacts[] {
    return Object.entries(list).map(([pid, one]) => ({
        pid: Number(pid),
        startTicks: "1",
        parent: one.parent ?? 1,
        session: Number(pid),
        ...{ uid: one.uid ?? 998, gid: 998, groups: [], umask: 18 },
        argv: one.argv.split(" "),
        workingDirectory: one.workingDirectory ?? "/",
        keeping: keepingIn(`0::${one.group}\n`),
    }));
}

const debianPython = "/opt/venvs/matrix-synapse/bin/python -m";
const debianFiles = "--config-path=/etc/matrix-synapse/homeserver.yaml --config-path=/etc/matrix-synapse/conf.d/";

export const debianPackage = {
    700: {
        argv: `${debianPython} synapse.app.homeserver ${debianFiles}`,
        group: "/system.slice/matrix-synapse.service",
        workingDirectory: "/var/lib/matrix-synapse",
    },
    20: { argv: "/usr/sbin/sshd -D", group: "/system.slice/ssh.service", uid: 0 },
};

/** Units of Synapse's own documentation for workers. */
export const withWorkers = {
    ...debianPackage,
    701: {
        argv: `${debianPython} synapse.app.generic_worker ${debianFiles} --config-path=/etc/matrix-synapse/workers/one.yaml`,
        group: "/system.slice/system-matrix\\x2dsynapse\\x2dworker.slice/matrix-synapse-worker@one.service",
        workingDirectory: "/var/lib/matrix-synapse",
    },
};

export const idOf = (digit: string): string => digit.repeat(64);

/** `docker compose up`, with Synapse's own image: its start script has become Synapse. */
export const dockerCompose = {
    1500: {
        argv: "/usr/local/bin/python -m synapse.app.homeserver --config-path /data/homeserver.yaml",
        group: `/system.slice/docker-${idOf("a")}.scope`,
        uid: 991,
    },
    1400: { argv: "/usr/bin/dockerd -H fd://", group: "/system.slice/docker.service", uid: 0 },
    1450: {
        argv: `/usr/bin/containerd-shim-runc-v2 -namespace moby -id ${idOf("a")}`,
        group: "/system.slice/containerd.service",
        uid: 0,
    },
    1600: { argv: "postgres", group: `/system.slice/docker-${idOf("b")}.scope`, uid: 70 },
};

/** matrix-docker-ansible-deploy: a unit runs the client, and waits for a container that it has made. */
export const ansibleDeploy = {
    2000: {
        argv: "/usr/bin/env docker start --attach matrix-synapse",
        group: "/system.slice/matrix-synapse.service",
        uid: 0,
    },
    2001: {
        argv: "docker run --rm --name matrix-synapse-worker-generic-0 --entrypoint=python ghcr.io/element-hq/synapse:v1.120.0 -m synapse.app.generic_worker -c /data/homeserver.yaml -c /data/worker.generic-0.yaml",
        group: "/system.slice/matrix-synapse-worker-generic-0.service",
        uid: 0,
    },
    2100: {
        argv: "python -m synapse.app.homeserver -c /data/homeserver.yaml",
        group: `/system.slice/docker-${idOf("c")}.scope`,
    },
    2101: {
        argv: "python -m synapse.app.generic_worker -c /data/homeserver.yaml -c /data/worker.generic-0.yaml",
        group: `/system.slice/docker-${idOf("d")}.scope`,
    },
};

export const yunohost = {
    900: {
        argv: "/var/www/synapse/venv/bin/python -m synapse.app.homeserver --config-path /etc/matrix-synapse/homeserver.yaml",
        group: "/system.slice/synapse.service",
        workingDirectory: "/home/yunohost.app/synapse",
    },
};

const store = "/nix/store/4wl5b9gv6n0bnnxv41r2ck2hg1pz1n9b";
export const nixos = {
    800: {
        argv: `${store}-python3-3.12.8/bin/python3.12 ${store}-matrix-synapse-1.122.0/bin/.synapse_homeserver-wrapped --config-path ${store}-homeserver.yaml --keys-directory /var/lib/matrix-synapse`,
        group: "/system.slice/matrix-synapse.service",
        workingDirectory: "/var/lib/matrix-synapse",
    },
    801: {
        argv: `${store}-python3-3.12.8/bin/python3.12 ${store}-matrix-synapse-1.122.0/bin/.synapse_worker-wrapped --config-path ${store}-homeserver.yaml --config-path ${store}-worker.yaml`,
        group: "/system.slice/matrix-synapse-worker-federation_sender.service",
        workingDirectory: "/var/lib/matrix-synapse",
    },
};

/** `synctl start` in a home directory, by hand: the path is relative to where it was called. */
export const synctl = {
    600: {
        argv: "/home/matrix/env/bin/python3.11 -m synapse.app.homeserver -c homeserver.yaml --daemonize",
        group: "/user.slice/user-1000.slice/session-3.scope",
        workingDirectory: "/home/matrix/synapse",
        uid: 1000,
    },
    601: {
        argv: "sudo -u matrix /home/matrix/env/bin/python3.11 -m synapse.app.homeserver -c homeserver.yaml",
        group: "/user.slice/user-1000.slice/session-3.scope",
        uid: 0,
    },
};
