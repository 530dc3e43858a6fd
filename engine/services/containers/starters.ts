/** What would start a homeserver's containers again, beside their own restart policies: units of systemd, and containers that rule over others. */
import type { Machine } from "../../machines/machine.ts";
import type { ProcessFacts } from "../../machines/procfs.ts";
import { MigrationError } from "../../run/errors.ts";
import { showUnits } from "../systemd/systemctl.ts";
import type { UnitFacts } from "../systemd/unitFacts.ts";
import { containerClients } from "./clients.ts";
import { containerOfUnit } from "./unitCommands.ts";
import { describeContainer, type ContainerFacts } from "./containerFacts.ts";

/** Units that run one of the containers: by their commands, or by a client in their control group. Empty where there is no systemd. */
export async function unitsThatRun(
    machine: Machine,
    containers: readonly ContainerFacts[],
    all: readonly ProcessFacts[],
): Promise<UnitFacts[]> {
    const clients = all.filter(
        ({ argv, keeping }) =>
            keeping.unit !== undefined &&
            argv.slice(0, 2).some((word) => containerClients.test(word)) &&
            containers.some(({ name, id }) => argv.some((word) => [name, `--name=${name}`, id].includes(word))),
    );
    const units = await loadedServices(machine);
    return units.filter(
        (unit) =>
            containers.some(({ name }) => containerOfUnit(unit)?.name === name) ||
            clients.some(
                ({ keeping }) =>
                    keeping.unit === unit.name &&
                    /\.service$/.test(unit.name) &&
                    !/^(ssh|sshd|cron|docker|containerd)(@.*)?\.service$/.test(unit.name),
            ),
    );
}

async function loadedServices(machine: Machine): Promise<UnitFacts[]> {
    try {
        return [...(await showUnits(machine, ["*.service"])).values()];
    } catch (error) {
        if (error instanceof MigrationError && error.code === "SM-E1421") return [];
        throw error;
    }
}

/** In words: what may do something with these containers. */
export function rulers(all: readonly ContainerFacts[], own: readonly ContainerFacts[]): string[] {
    const sockets = all.filter(
        (one) =>
            one.status === "running" &&
            !own.includes(one) &&
            one.mounts.some(({ source }) => /\/(docker|podman)\.sock$/.test(source)),
    );
    return sockets.map((one) => `may start or replace them, as it has the engine's socket: ${describeContainer(one)}`);
}

/** What a cluster keeps: not stopped for good by stopping it. */
export function clusterOf({ labels, name }: ContainerFacts): string | undefined {
    const swarm = labels["com.docker.swarm.service.name"];
    if (swarm !== undefined) return `container ${name} is a task of the swarm's service ${swarm}`;
    const pod = labels["io.kubernetes.pod.name"];
    return pod === undefined ? undefined : `container ${name} is of the pod ${pod}`;
}
