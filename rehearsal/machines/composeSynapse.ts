/**
 * A homeserver as the documentation of Synapse's official image has it run by Compose, on a machine that was booted: PostgreSQL in a container of its
 * own on the network of the project, or a SQLite file below `/data`, which is in a directory beside the file or in a volume; the port of clients
 * published.
 */
import { randomBytes } from "node:crypto";
import { stringify } from "yaml";
import type { Service } from "../../contract/index.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { until } from "../../engine/run/until.ts";
import type { Expectations } from "../source/expectations.ts";
import { makeIdentity, type HomeserverIdentity } from "../source/identity.ts";
import { populate, type PopulationArgs } from "../source/population.ts";
import { backgroundUpdatesDone } from "./backgroundUpdates.ts";
import { installCompose } from "./composePlugin.ts";
import { clientPort, containedFiles } from "./containedFiles.ts";
import { containerSynapseId, loadImages, postgresImage, redisImage, synapseImage } from "./containerImages.ts";
import type { BootedMachine } from "./machine.ts";
import { machineEnvironment } from "./machineSynapse.ts";

export interface ComposeSynapseOptions {
    /** `machine.test` when absent. */
    readonly serverName?: string;
    /** Where `/data` is: a directory of the machine when absent. */
    readonly data?: "directory" | "volume";
    /** `postgresql` when absent. With `sqlite` there is no other container, and there can be no workers. */
    readonly database?: "postgresql" | "sqlite";
    /** Of generic workers, with Redis between them and the main process; none when absent. */
    readonly workers?: number;
    /** Absent: nobody. */
    readonly population?: Pick<PopulationArgs, "users" | "rooms" | "messages">;
}

export interface ComposeSynapse {
    readonly machine: BootedMachine;
    readonly serverName: string;
    /** Its published port on the machine's address, without a final slash. */
    readonly baseUrl: string;
    readonly files: HomeserverIdentity;
    /** As they are on the command line: as the container has them. */
    readonly configPaths: readonly string[];
    readonly signingKey: string;
    /** As the stack describes it. */
    readonly service: Service;
    /** Of the main process. */
    readonly container: string;
    /** What it was filled with. */
    readonly expectations?: Expectations;
    /** Whether it answers. */
    answers(): Promise<boolean>;
    /** Runs statements in its database, on SQLite one; the rows without a heading, columns separated by `|`. */
    query(statements: string): Promise<string>;
    /** `docker compose` in the directory of its file. */
    compose(...args: string[]): Promise<string>;
}

const project = "matrix";
export const composeDirectory = "/srv/matrix";
const startSeconds = 180;
const answerMilliseconds = 2000;
const databaseUser = "synapse";
const databaseFile = "/data/homeserver.db";
/** In the container, for there is no `sqlite3` in it; one statement. */
const askSqlite = `import sqlite3, sys
for row in sqlite3.connect("${databaseFile}").execute(sys.stdin.read()): print(*row, sep="|")`;

/** Installs it, starts it so that it starts with its machine, and fills it. */
export async function installComposeSynapse(
    machine: BootedMachine,
    options: ComposeSynapseOptions = {},
): Promise<ComposeSynapse> {
    const { serverName = "machine.test", data = "directory", database = "postgresql", population } = options;
    const workers = Array.from({ length: options.workers ?? 0 }, (_, index) => `generic_worker${index + 1}`);
    const made = makeIdentity();
    const baseUrl = `http://${machine.address}:${clientPort}`;
    const password = randomBytes(24).toString("base64url");
    const compose = (...args: string[]): Promise<string> =>
        machine.run(["docker", "compose", "--project-directory", composeDirectory, ...args], {
            timeoutSeconds: startSeconds,
        });
    const answers = (): Promise<boolean> =>
        fetch(`${baseUrl}/health`, { signal: AbortSignal.timeout(answerMilliseconds) }).then(
            (response) => response.ok,
            () => false,
        );
    if (database === "sqlite" && workers.length > 0) throw new Error("Synapse has no workers on SQLite");
    const container = `${project}-synapse-1`;
    // Not as root: a journal of root's would be closed to Synapse.
    const client =
        database === "sqlite"
            ? ["--user", String(containerSynapseId), container, `${machineEnvironment}/bin/python`, "-c", askSqlite]
            : [`${project}-db-1`, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", databaseUser];
    const query = (statements: string): Promise<string> =>
        machine.run(["docker", "exec", "-i", ...client], { input: statements });
    await startDocker(machine);
    await installCompose(machine);
    await machine.write(`${composeDirectory}/compose.yaml`, composeFile({ data, database, workers, password }), {
        mode: 0o600,
    });
    await compose("create");
    await writeData(machine, data, {
        ...containedFiles({
            ...{ serverName, made, workers, redis: "redis", mediaStore: "/data/media_store" },
            database:
                database === "sqlite"
                    ? { file: databaseFile }
                    : { host: "db", name: databaseUser, user: databaseUser, password },
            publicBaseUrl: `${baseUrl}/`,
            replicationSecret: randomBytes(24).toString("base64url"),
        }),
    });
    await compose("up", "--detach");
    await until(
        async () => (await answers()) || undefined,
        { seconds: startSeconds },
        async () => new Error(await compose("logs", "--tail", "50")),
    );
    const synapse: ComposeSynapse = {
        ...{ machine, serverName, baseUrl, answers, query, compose },
        files: made.identity,
        signingKey: made.signingKey,
        configPaths: ["/data/homeserver.yaml"],
        service: { kind: "compose", project, services: ["synapse"] },
        container,
    };
    if (population === undefined) return synapse;
    await backgroundUpdatesDone(query);
    const progress = lineProgress("population", () => undefined, redact);
    const expectations = await populate({ homeserver: synapse, seed: serverName, progress, ...population });
    return { ...synapse, expectations };
}

/** Enables Docker and gives it the images. */
export async function startDocker(machine: BootedMachine): Promise<void> {
    await machine.run(["systemctl", "enable", "--now", "docker.service"], { timeoutSeconds: startSeconds });
    await loadImages(machine);
}

interface ComposeFile extends Pick<Required<ComposeSynapseOptions>, "data" | "database"> {
    readonly workers: readonly string[];
    readonly password: string;
}

/** A worker has a service of its own, as the documentation of the image has it. */
function composeFile({ data, database, workers, password }: ComposeFile): string {
    const onServer = database === "postgresql";
    const volumes = [`${data === "directory" ? "./data" : "data"}:/data`];
    const always = { restart: "unless-stopped" };
    const worker = (name: string): object => ({
        ...{ image: synapseImage, ...always, volumes, depends_on: ["synapse"] },
        command: [
            ...["run", "-m", "synapse.app.generic_worker"],
            ...["--config-path=/data/homeserver.yaml", `--config-path=/data/workers/${name}.yaml`],
        ],
        healthcheck: { disable: true },
    });
    return stringify({
        name: project,
        services: {
            synapse: {
                ...{ image: synapseImage, ...always, volumes },
                environment: { SYNAPSE_CONFIG_PATH: "/data/homeserver.yaml", SYNAPSE_CACHE_FACTOR: "0.5" },
                ...(onServer ? { depends_on: ["db"] } : {}),
                ports: [`${clientPort}:${clientPort}`],
            },
            ...Object.fromEntries(workers.map((name) => [name, worker(name)])),
            ...(workers.length === 0 ? {} : { redis: { image: redisImage, ...always } }),
            ...(onServer ? { db: { ...databaseService(password), ...always } } : {}),
        },
        volumes: { ...(onServer ? { database: {} } : {}), ...(data === "volume" ? { data: {} } : {}) },
    });
}

const databaseService = (password: string): object => ({
    ...{ image: postgresImage, volumes: ["database:/var/lib/postgresql/data"] },
    environment: {
        POSTGRES_USER: databaseUser,
        POSTGRES_PASSWORD: password,
        POSTGRES_INITDB_ARGS: "--encoding=UTF8 --lc-collate=C --lc-ctype=C",
    },
});

/** All of it belongs to the image's own user, whom the machine does not know. */
async function writeData(
    machine: BootedMachine,
    data: "directory" | "volume",
    files: Readonly<Record<string, string>>,
): Promise<void> {
    const format = "{{.Mountpoint}}";
    const place =
        data === "directory"
            ? `${composeDirectory}/data`
            : (await machine.run(["docker", "volume", "inspect", "--format", format, `${project}_data`])).trim();
    // A volume is not seen from outside of the machine.
    const staged = "/var/tmp/data";
    for (const [name, content] of Object.entries(files))
        await machine.write(`${staged}/${name}`, content, { mode: 0o640 });
    await machine.run(["mkdir", "-p", place]);
    await machine.run(["cp", "-a", `${staged}/.`, place]);
    await machine.run(["rm", "-r", staged]);
    await machine.run(["chown", "-R", `${containerSynapseId}:${containerSynapseId}`, place]);
}
