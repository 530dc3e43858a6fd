/** A homeserver as Synapse's package for Debian makes it, on a machine that was booted, with people who use it. */
import { randomBytes } from "node:crypto";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import type { Expectations } from "../source/expectations.ts";
import { makeIdentity, type HomeserverIdentity } from "../source/identity.ts";
import { populate, type PopulationArgs } from "../source/population.ts";
import { backgroundUpdatesDone } from "./backgroundUpdates.ts";
import { synapseUser } from "./baseRecipe.ts";
import type { BootedMachine } from "./machine.ts";
import {
    logDirectory,
    mediaStore,
    nginxSite,
    signingKeyFile,
    synapseFiles,
    type MachineDatabase,
} from "./synapseFiles.ts";
import { configPaths, environmentFile, packagedUnits, workersDirectory, workerUnits } from "./synapseUnits.ts";

export interface DebianSynapseOptions {
    /** `machine.test` when absent. */
    readonly serverName?: string;
    /**
     * How Synapse reaches PostgreSQL, which is on the same machine: `socket` when absent. With a password but in `peer`, where the server lets
     * Synapse's user in by its name, at the socket and without a word more.
     */
    readonly database?: "socket" | "tcp" | "peer";
    /** Of generic workers, with Redis between them and the main process; none when absent. */
    readonly workers?: number;
    /** Absent: nobody. */
    readonly population?: Pick<PopulationArgs, "users" | "rooms" | "messages">;
}

export interface DebianSynapse {
    readonly machine: BootedMachine;
    readonly serverName: string;
    /** nginx on the machine's address, without a final slash. */
    readonly baseUrl: string;
    readonly files: HomeserverIdentity;
    /** As they are on the command line. */
    readonly configPaths: readonly string[];
    readonly mediaStore: string;
    readonly signingKeyFile: string;
    readonly database: MachineDatabase;
    /** What starts and stops all of it: the service, or the target of the service and its workers. */
    readonly unit: string;
    /** Every unit whose processes are Synapse's. */
    readonly services: readonly string[];
    /** What it was filled with. */
    readonly expectations?: Expectations;
    /** Whether it answers. */
    answers(): Promise<boolean>;
    /** Runs statements in its database as a superuser; the rows without a heading, columns separated by `|`. */
    query(statements: string): Promise<string>;
}

const startSeconds = 180;
const answerMilliseconds = 2000;

/**
 * Installs it, starts it so that it starts with its machine, and fills it.
 *
 * All is done by root over ssh, as an administrator would; nothing of it is there before.
 */
export async function installDebianSynapse(
    machine: BootedMachine,
    options: DebianSynapseOptions = {},
): Promise<DebianSynapse> {
    const { serverName = "machine.test", workers = 0, population } = options;
    const names = Array.from({ length: workers }, (_, index) => `generic_worker${index + 1}`);
    const isPeer = options.database === "peer";
    const database = {
        host: options.database === "tcp" ? "127.0.0.1" : "/var/run/postgresql",
        name: "synapse",
        user: isPeer ? synapseUser.name : "synapse_user",
        ...(isPeer ? {} : { password: secret() }),
    };
    const made = makeIdentity();
    const baseUrl = `http://${machine.address}`;
    const workerServices = names.map((name) => `matrix-synapse-worker@${name}.service`);
    const synapse: DebianSynapse = {
        machine,
        serverName,
        baseUrl,
        files: made.identity,
        configPaths,
        mediaStore,
        signingKeyFile,
        database,
        unit: workers === 0 ? "matrix-synapse.service" : "matrix-synapse.target",
        services: ["matrix-synapse.service", ...workerServices],
        answers: () =>
            fetch(`${baseUrl}/health`, { signal: AbortSignal.timeout(answerMilliseconds) }).then(
                (response) => response.ok,
                () => false,
            ),
        query: (statements) => asSuperuser(machine, database.name, statements),
    };
    const publicBaseUrl = `${baseUrl}/`;
    const files = synapseFiles({
        serverName,
        database,
        made,
        workers: names,
        replicationSecret: secret(),
        publicBaseUrl,
    });
    await makeDatabase(machine, database);
    await writeFiles(machine, files, workers === 0 ? packagedUnits : workerUnits);
    await putBehindNginx(machine, nginxSite(serverName, workers));
    await machine.run(["systemctl", "daemon-reload"]);
    if (workers > 0) await machine.run(["systemctl", "enable", "--now", "redis-server.service"]);
    await machine.run(["systemctl", "enable", ...new Set([...synapse.services, synapse.unit])]);
    await machine.run(["systemctl", "start", synapse.unit], { timeoutSeconds: startSeconds });
    await machine.run(["systemctl", "is-active", ...synapse.services]);
    if (population === undefined) return synapse;
    await backgroundUpdatesDone((statements) => synapse.query(statements));
    const progress = lineProgress("population", () => undefined, redact);
    const expectations = await populate({ homeserver: synapse, seed: serverName, progress, ...population });
    return { ...synapse, expectations };
}

/** Debian's cluster, as its package has made it, lets nobody but the user of the same name in by its socket: a role with a password has another. */
async function makeDatabase(machine: BootedMachine, { host, name, user, password }: MachineDatabase): Promise<void> {
    if (host.startsWith("/") && password !== undefined) {
        const [file = ""] = (await machine.run(["find", "/etc/postgresql", "-name", "pg_hba.conf"])).split("\n");
        const rules = await machine.run(["cat", file]);
        const own = `local ${name} ${user} scram-sha-256\n`;
        await machine.write(file, own + rules, { mode: 0o640, owner: "postgres" });
    }
    await machine.run(["systemctl", "enable", "--now", "postgresql.service"]);
    await asSuperuser(
        machine,
        "postgres",
        `CREATE ROLE "${user}" LOGIN${password === undefined ? "" : ` PASSWORD '${password}'`};
         CREATE DATABASE ${name} OWNER "${user}" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';`,
    );
}

function asSuperuser(machine: BootedMachine, database: string, statements: string): Promise<string> {
    const psql = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database];
    return machine.run(["runuser", "-u", "postgres", "--", ...psql], { input: statements });
}

async function writeFiles(
    machine: BootedMachine,
    files: Readonly<Record<string, string>>,
    units: Readonly<Record<string, string>>,
): Promise<void> {
    const { name, group, home } = synapseUser;
    const directories = [
        home,
        mediaStore,
        logDirectory,
        "/etc/matrix-synapse",
        "/etc/matrix-synapse/conf.d",
        workersDirectory,
    ];
    await machine.run(["install", "-d", "-o", name, "-g", group, ...directories]);
    for (const [path, content] of Object.entries(files)) {
        await machine.write(path, content, { mode: path === signingKeyFile ? 0o600 : 0o640, owner: name });
    }
    for (const [path, content] of Object.entries(units)) await machine.write(path, content);
    await machine.write(
        environmentFile,
        "# Synapse's caches are small on a small machine.\nSYNAPSE_CACHE_FACTOR=0.5\n",
    );
}

async function putBehindNginx(machine: BootedMachine, site: string): Promise<void> {
    await machine.write("/etc/nginx/sites-available/matrix", site);
    await machine.run(["ln", "-s", "../sites-available/matrix", "/etc/nginx/sites-enabled/matrix"]);
    await machine.run(["rm", "/etc/nginx/sites-enabled/default"]);
    await machine.run(["systemctl", "enable", "--now", "nginx.service"]);
}

const secret = (): string => randomBytes(24).toString("base64url");
