/**
 * A homeserver that Podman runs by units of systemd, as `podman generate systemd --new` writes them: each makes its container with `--rm` and leaves
 * it to Podman's own keeper. Its configuration in a volume, its media in a directory, the database's container on a network of their own.
 */
import { randomBytes } from "node:crypto";
import type { Service } from "../../contract/index.ts";
import { until } from "../../engine/run/until.ts";
import { makeIdentity, type HomeserverIdentity } from "../source/identity.ts";
import { clientPort, containedFiles } from "./containedFiles.ts";
import { containerSynapseId, loadImages, postgresImage, synapseImage } from "./containerImages.ts";
import type { BootedMachine } from "./machine.ts";

export interface PodmanSynapse {
    readonly serverName: string;
    readonly files: HomeserverIdentity;
    /** As the container has them. */
    readonly configPaths: readonly string[];
    /** Where the volume with the configuration is on the machine. */
    readonly volume: string;
    /** As the stack describes it. */
    readonly service: Service;
    answers(): Promise<boolean>;
}

export const podmanUnit = "container-synapse.service";
export const podmanMedia = "/srv/media";
const podmanNetwork = "matrix";
const databaseUnit = "container-database.service";
const databaseUser = "synapse";
const environmentFile = "/srv/database.env";
const startSeconds = 180;
const answerMilliseconds = 2000;

/** What the homeserver's container is made with, but its name. */
export const podmanOptions = [
    `--network=${podmanNetwork}`,
    `--publish=${clientPort}:${clientPort}`,
    "--volume=synapse:/data",
    `--volume=${podmanMedia}:/media`,
] as const;

/** Installs it on a machine that has Podman, and starts it so that it starts with its machine. */
export async function installPodmanSynapse(machine: BootedMachine): Promise<PodmanSynapse> {
    const serverName = "machine.test";
    const made = makeIdentity();
    const baseUrl = `http://${machine.address}:${clientPort}`;
    const password = randomBytes(24).toString("base64url");
    const answers = (): Promise<boolean> =>
        fetch(`${baseUrl}/health`, { signal: AbortSignal.timeout(answerMilliseconds) }).then(
            (response) => response.ok,
            () => false,
        );
    await loadImages(machine, "podman");
    await machine.run(["podman", "network", "create", podmanNetwork]);
    await machine.run(["podman", "volume", "create", "synapse"]);
    const volume = (
        await machine.run(["podman", "volume", "inspect", "--format", "{{.Mountpoint}}", "synapse"])
    ).trim();
    const files = containedFiles({
        ...{ serverName, made, workers: [], redis: "", mediaStore: "/media/store" },
        database: { host: "database", name: databaseUser, user: databaseUser, password },
        publicBaseUrl: `${baseUrl}/`,
        replicationSecret: "",
    });
    // A volume is not seen from outside of the machine.
    const staged = "/var/tmp/data";
    for (const [name, content] of Object.entries(files))
        await machine.write(`${staged}/${name}`, content, { mode: 0o640 });
    await machine.write(environmentFile, environment(password), { mode: 0o600 });
    await machine.run(["cp", "-a", `${staged}/.`, volume]);
    await machine.run(["rm", "-r", staged]);
    await machine.run(["mkdir", "-p", podmanMedia]);
    await machine.run(["chown", "-R", `${containerSynapseId}:${containerSynapseId}`, volume, podmanMedia]);
    const containers = {
        database: [
            `--network=${podmanNetwork}`,
            "--volume=database:/var/lib/postgresql/data",
            `--env-file=${environmentFile}`,
            postgresImage,
        ],
        synapse: [...podmanOptions, synapseImage],
    };
    for (const [name, options] of Object.entries(containers)) {
        await machine.run(["podman", "create", `--name=${name}`, ...options]);
        const unit = await machine.run(["podman", "generate", "systemd", "--new", "--name", name]);
        await machine.run(["podman", "rm", name]);
        await machine.write(`/etc/systemd/system/container-${name}.service`, unit);
    }
    await machine.run(["systemctl", "daemon-reload"]);
    await machine.run(["systemctl", "enable", "--now", databaseUnit, podmanUnit], { timeoutSeconds: startSeconds });
    await until(
        async () => (await answers()) || undefined,
        { seconds: startSeconds },
        async () => new Error(await machine.run(["journalctl", "--unit", podmanUnit, "--lines", "40", "--no-pager"])),
    );
    return {
        ...{ serverName, answers, volume },
        files: made.identity,
        configPaths: ["/data/homeserver.yaml"],
        service: { kind: "systemd", units: [podmanUnit] },
    };
}

const environment = (password: string): string =>
    [
        `POSTGRES_USER=${databaseUser}`,
        `POSTGRES_PASSWORD=${password}`,
        "POSTGRES_INITDB_ARGS=--encoding=UTF8 --lc-collate=C --lc-ctype=C",
        "",
    ].join("\n");
