/**
 * A homeserver as playbooks install it (matrix-docker-ansible-deploy): units of systemd that run containers made with `--rm`, their files below
 * `/matrix`, the database's container on a network of its own.
 */
import { randomBytes } from "node:crypto";
import type { Service } from "../../contract/index.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { until } from "../../engine/run/until.ts";
import type { Expectations } from "../source/expectations.ts";
import { makeIdentity, type HomeserverIdentity } from "../source/identity.ts";
import { populate, type PopulationArgs } from "../source/population.ts";
import { backgroundUpdatesDone } from "./backgroundUpdates.ts";
import { startDocker } from "./composeSynapse.ts";
import { clientPort, containedFiles } from "./containedFiles.ts";
import { containerSynapseId, postgresImage, synapseImage } from "./containerImages.ts";
import type { BootedMachine } from "./machine.ts";
import { machineEnvironment } from "./machineSynapse.ts";

export interface PlaybookSynapse {
    readonly machine: BootedMachine;
    readonly serverName: string;
    readonly baseUrl: string;
    readonly files: HomeserverIdentity;
    /** As the container has them. */
    readonly configPaths: readonly string[];
    readonly unit: string;
    readonly signingKey: string;
    /** As the stack describes it. */
    readonly service: Service;
    /** What it was filled with. */
    readonly expectations?: Expectations;
    answers(): Promise<boolean>;
    /** Runs statements in its database as a superuser; the rows without a heading, columns separated by `|`. */
    readonly query: (statements: string) => Promise<string>;
}

export interface PlaybookSynapseOptions {
    /** `machine.test` when absent. */
    readonly serverName?: string;
    /** Absent: nobody. */
    readonly population?: Pick<PopulationArgs, "users" | "rooms" | "messages">;
}

const startSeconds = 180;
const answerMilliseconds = 2000;
const databaseUser = "synapse";
/** The server's first role, which the playbook makes all others with. */
const administrator = "matrix";
const network = "matrix";
const databaseName = "matrix-postgres";
export const playbookUnit = "matrix-synapse.service";
const databaseUnit = `${databaseName}.service`;
const databaseEnvironment = "/matrix/postgres/env-postgres-server";

/** Installs it, starts it so that it starts with its machine, and fills it. */
export async function installPlaybookSynapse(
    machine: BootedMachine,
    { serverName = "machine.test", population }: PlaybookSynapseOptions = {},
): Promise<PlaybookSynapse> {
    const made = makeIdentity();
    const baseUrl = `http://${machine.address}:${clientPort}`;
    const password = randomBytes(24).toString("base64url");
    const answers = (): Promise<boolean> =>
        fetch(`${baseUrl}/health`, { signal: AbortSignal.timeout(answerMilliseconds) }).then(
            (response) => response.ok,
            () => false,
        );
    await startDocker(machine);
    const files = containedFiles({
        ...{ serverName, made, workers: [], redis: "", mediaStore: "/matrix-media-store-parent/media-store" },
        database: { host: databaseName, name: databaseUser, user: databaseUser, password },
        publicBaseUrl: `${baseUrl}/`,
        replicationSecret: "",
    });
    for (const [name, content] of Object.entries(files))
        await machine.write(`/matrix/synapse/config/${name}`, content, { mode: 0o640 });
    await machine.write(databaseEnvironment, environment(password), { mode: 0o640 });
    await machine.run(["mkdir", "-p", "/matrix/synapse/storage/media-store", "/matrix/postgres/data"]);
    await machine.run(["chown", "-R", `${containerSynapseId}:${containerSynapseId}`, "/matrix/synapse"]);
    await machine.run(["docker", "network", "create", network]);
    for (const [name, content] of Object.entries(units)) await machine.write(`/etc/systemd/system/${name}`, content);
    await machine.run(["systemctl", "daemon-reload"]);
    await machine.run(["systemctl", "enable", "--now", databaseUnit], { timeoutSeconds: startSeconds });
    const psql = (name: string, statements: string): Promise<string> => {
        const client = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-U", administrator, name];
        return machine.run(["docker", "exec", "-i", databaseName, ...client], { input: statements });
    };
    // By its network: while it is being made it answers by its socket alone.
    const answersThere = machine.run.bind(machine, ["docker", "exec", databaseName, "pg_isready", "-h", "localhost"]);
    await until(
        () =>
            answersThere().then(
                () => true,
                () => undefined,
            ),
        { seconds: startSeconds },
    );
    await psql(
        administrator,
        `CREATE ROLE ${databaseUser} LOGIN PASSWORD '${password}'; CREATE DATABASE ${databaseUser} OWNER ${databaseUser} TEMPLATE template0`,
    );
    await machine.run(["systemctl", "enable", "--now", playbookUnit], { timeoutSeconds: startSeconds });
    await until(
        async () => (await answers()) || undefined,
        { seconds: startSeconds },
        async () => new Error(await machine.run(["journalctl", "--unit", playbookUnit, "--lines", "40", "--no-pager"])),
    );
    const synapse: PlaybookSynapse = {
        ...{ machine, serverName, baseUrl, answers },
        ...{ files: made.identity, signingKey: made.signingKey },
        configPaths: ["/data/homeserver.yaml"],
        unit: playbookUnit,
        query: (statements) => psql(databaseUser, statements),
        service: { kind: "systemd", units: [playbookUnit] },
    };
    if (population === undefined) return synapse;
    await backgroundUpdatesDone(synapse.query);
    const progress = lineProgress("population", () => undefined, redact);
    const expectations = await populate({ homeserver: synapse, seed: serverName, progress, ...population });
    return { ...synapse, expectations };
}

const environment = (password: string): string =>
    [
        `POSTGRES_USER=${administrator}`,
        `POSTGRES_PASSWORD=${password}`,
        "POSTGRES_INITDB_ARGS=--encoding=UTF8 --lc-collate=C --lc-ctype=C",
        "",
    ].join("\n");

const docker = "/usr/bin/docker";

/** As the playbook has them: made, connected to further networks, and then started in the foreground. */
const units: Readonly<Record<string, string>> = {
    [databaseUnit]: `[Unit]
Description=Matrix Postgres server
Requires=docker.service
After=docker.service

[Service]
Type=simple
ExecStartPre=-${docker} stop -t 60 ${databaseName}
ExecStartPre=-${docker} rm ${databaseName}
ExecStart=${docker} run --rm --name=${databaseName} --log-driver=none --network=${network} --env-file=${databaseEnvironment} --mount type=bind,src=/matrix/postgres/data,dst=/var/lib/postgresql/data ${postgresImage}
ExecStop=-${docker} stop -t 60 ${databaseName}
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
`,
    [playbookUnit]: `[Unit]
Description=Synapse server
Requires=docker.service
After=docker.service
Requires=${databaseUnit}
After=${databaseUnit}

[Service]
Type=simple
ExecStartPre=-${docker} stop -t 60 matrix-synapse
ExecStartPre=-${docker} rm matrix-synapse
ExecStartPre=${docker} create --rm --name=matrix-synapse --log-driver=none --user=${containerSynapseId}:${containerSynapseId} --entrypoint=${machineEnvironment}/bin/python --network=bridge -p ${clientPort}:${clientPort} --mount type=bind,src=/matrix/synapse/config,dst=/data,ro --mount type=bind,src=/matrix/synapse/storage,dst=/matrix-media-store-parent ${synapseImage} -m synapse.app.homeserver -c /data/homeserver.yaml
ExecStartPre=${docker} network connect ${network} matrix-synapse
ExecStart=${docker} start --attach matrix-synapse
ExecStop=-${docker} stop -t 60 matrix-synapse
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
`,
};
