/**
 * Images with the conventions of the official ones of Synapse and PostgreSQL: their users, volumes, variables and entry points. Of their content
 * nothing: that is the programs of the machines' own Debian, so that no registry is asked for anything.
 */
import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { exists } from "../../engine/run/exists.ts";
import { lockFile } from "../../engine/run/fileLock.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { thisMachine } from "../../toolchain/machine.ts";
import { baseMachine, machinesDirectory } from "./baseMachine.ts";
import { layerOf, writeArchive } from "./imageArchive.ts";
import type { BootedMachine } from "./machine.ts";
import { machineEnvironment } from "./machineSynapse.ts";

export const synapseImage = "matrixdotorg/synapse:test";
export const postgresImage = "postgres:15";
export const redisImage = "redis:7";

/** User and group of Synapse in its official image. */
export const containerSynapseId = 991;
/** User and group of PostgreSQL in its official image. */
const containerPostgresId = 999;

const buildSeconds = 1800;
const loadSeconds = 300;

/** As `/start.py` of the official image runs it: as user 991 unless `UID` says otherwise, a worker where `-m` names one. */
const startSynapse = `#!/bin/sh
set -e
[ "$1" != run ] || shift
case " $* " in *" -m "*) ;; *) set -- -m "\${SYNAPSE_WORKER:-synapse.app.homeserver}" "$@" ;; esac
case " $* " in *" --config-path"*|*" -c "*) ;; *) set -- "$@" --config-path "\${SYNAPSE_CONFIG_PATH:-/data/homeserver.yaml}" ;; esac
[ "$(id -u)" = 0 ] || exec ${machineEnvironment}/bin/python "$@"
exec setpriv --reuid="\${UID:-${containerSynapseId}}" --regid="\${GID:-${containerSynapseId}}" --clear-groups ${machineEnvironment}/bin/python "$@"
`;

/** As `docker-entrypoint.sh` of the official image does it: a cluster where there is none, of the role and the database that are asked for. */
const startPostgres = `#!/bin/sh
set -e
[ "$1" = postgres ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres: "$PGDATA" /run/postgresql
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user="\${POSTGRES_USER:-postgres}"
    umask 077
    printf '%s\\n' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username="$user" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 $POSTGRES_INITDB_ARGS
    rm /tmp/password
    printf 'host all all all scram-sha-256\\n' >> "$PGDATA/pg_hba.conf"
    printf "listen_addresses = '*'\\n" >> "$PGDATA/postgresql.conf"
    pg_ctl -w -o "-c listen_addresses=''" start
    [ "\${POSTGRES_DB:-$user}" = postgres ] || createdb --username="$user" --maintenance-db=postgres "\${POSTGRES_DB:-$user}"
    pg_ctl -w -m fast stop
fi
exec "$@"
`;

/** What a container has no use for. */
const notInImages = [
    ...["containerd*", "docker*", "ctr", "dnet", "perl*", "systemd*", "*ctl"].map((name) => `usr/bin/${name}`),
    ...["dockerd", "docker-*", "runc", "nginx", "sshd"].map((name) => `usr/sbin/${name}`),
    ...["doc", "man", "locale", "info", "lintian", "perl*", "bash-completion"].map((name) => `usr/share/${name}`),
    ...["libLLVM*", "libz3*", "perl*", "libperl*"].map((name) => `usr/lib/x86_64-linux-gnu/${name}`),
    ...["usr/lib/postgresql/15/lib/bitcode", "usr/lib/systemd", "usr/lib/udev", "usr/lib/python3.11/__pycache__"],
];
const directories = ["bin", "sbin", "lib", "lib64", "usr", "etc", "var/run", dirname(machineEnvironment).slice(1)];

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const postgresConfig = {
    Env: [`PATH=/usr/lib/postgresql/15/bin:${path}`, "LANG=C.UTF-8", "PG_MAJOR=15", "PGDATA=/var/lib/postgresql/data"],
    Entrypoint: ["docker-entrypoint.sh"],
    Cmd: ["postgres"],
    Volumes: { "/var/lib/postgresql/data": {} },
    ExposedPorts: { "5432/tcp": {} },
    StopSignal: "SIGINT",
};
const redisConfig = {
    Env: [`PATH=${path}`],
    Cmd: ["redis-server", "--protected-mode", "no", "--save", "", "--dir", "/usr"],
    ExposedPorts: { "6379/tcp": {} },
};
const second = 1_000_000_000;
const health = "import urllib.request; urllib.request.urlopen('http://localhost:8008/health')";
const synapseConfig = {
    Env: [`PATH=${path}`, "LANG=C.UTF-8"],
    Entrypoint: ["/start.sh"],
    Volumes: { "/data": {} },
    ExposedPorts: { "8008/tcp": {}, "8009/tcp": {}, "8448/tcp": {} },
    Healthcheck: {
        Test: ["CMD", `${machineEnvironment}/bin/python`, "-c", health],
        StartPeriod: 5 * second,
        Interval: 2 * second,
        Timeout: 5 * second,
    },
};

/** To be raised when what is done with all of this changes. */
const workmanship = 1;

/** Puts the images onto a machine on which Docker runs, or that has Podman. */
export async function loadImages(machine: BootedMachine, engine: "docker" | "podman" = "docker"): Promise<void> {
    const inside = "/var/tmp/images.tar";
    await copyFile(await imageArchive(), machine.path(inside));
    await machine.run([engine, "load", "--quiet", "--input", inside], { timeoutSeconds: loadSeconds });
    await rm(machine.path(inside));
}

/** The archive that has all images: made once for each base of the machines. */
async function imageArchive(): Promise<string> {
    const base = await baseMachine();
    const content = {
        workmanship,
        base,
        startSynapse,
        startPostgres,
        directories,
        notInImages,
        postgresConfig,
        redisConfig,
        synapseConfig,
    };
    const digest = createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 12);
    const archive = join(machinesDirectory(), `images-${digest}.tar`);
    if (await exists(archive)) return archive;
    const lock = await lockFile(
        join(machinesDirectory(), "images.lock"),
        `a build, process ${process.pid}`,
        buildSeconds,
    );
    try {
        if (!(await exists(archive))) await build(base, archive);
        return archive;
    } finally {
        await lock.release();
    }
}

async function build(base: string, archive: string): Promise<void> {
    const machine = thisMachine();
    const progress = lineProgress("machines", (line) => void process.stderr.write(`${line}\n`), redact);
    const partial = join(machinesDirectory(), "images.partial");
    await rm(partial, { recursive: true, force: true });
    try {
        await progress.during(
            `making images of Synapse and PostgreSQL in ${archive} (once, about 0.4 GB)`,
            async () => {
                const layers = join(partial, "archive");
                const common = await layerOf(machine, layers, "debian", {
                    from: base,
                    only: directories,
                    without: notInImages,
                });
                const own = async (name: string, files: Readonly<Record<string, string>>, empty: readonly string[]) => {
                    const from = join(partial, name);
                    for (const directory of [...empty, "tmp", "run/postgresql"])
                        await mkdir(join(from, directory), { recursive: true });
                    await chmod(join(from, "tmp"), 0o1777);
                    for (const [file, text] of Object.entries(files)) await writeProgram(join(from, file), text);
                    return layerOf(machine, layers, name, { from, only: ["."] });
                };
                const postgres = await own(
                    "postgres",
                    {
                        "usr/local/bin/docker-entrypoint.sh": startPostgres,
                        ...(await usersOf(base, "postgres", containerPostgresId)),
                    },
                    ["var/lib/postgresql/data"],
                );
                const synapse = await own("synapse", { "start.sh": startSynapse }, ["data"]);
                const whole = `${archive}.partial`;
                await writeArchive(
                    machine,
                    layers,
                    [
                        { tag: postgresImage, layers: [common, postgres], config: postgresConfig },
                        { tag: redisImage, layers: [common], config: redisConfig },
                        { tag: synapseImage, layers: [common, synapse], config: synapseConfig },
                    ],
                    whole,
                );
                await rename(whole, archive);
            },
        );
    } finally {
        await rm(partial, { recursive: true, force: true });
    }
}

async function writeProgram(file: string, text: string): Promise<void> {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    await chmod(file, text.startsWith("#!") ? 0o755 : 0o644);
}

/** The base's own users, of whom one has other ids. */
async function usersOf(base: string, name: string, id: number): Promise<Record<string, string>> {
    const changed = async (file: string, ids: string): Promise<string> =>
        (await readFile(join(base, file), "utf8")).replace(
            new RegExp(`^(${name}:[^:]*):\\d+(:\\d+)?:`, "m"),
            `$1:${ids}:`,
        );
    return {
        "etc/passwd": await changed("etc/passwd", `${id}:${id}`),
        "etc/group": await changed("etc/group", String(id)),
    };
}
