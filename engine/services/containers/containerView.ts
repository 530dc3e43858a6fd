/** How a homeserver in a container sees the disk and the network, told in terms of its machine. */
import type { SelfHostedSource } from "../../../contract/index.ts";
import type { Machine, Reachable } from "../../machines/machine.ts";
import { hostPath, pathInside, type PathMap } from "../../machines/pathMap.ts";
import { MigrationError } from "../../run/errors.ts";
import type { ContainerFacts } from "./containerFacts.ts";
import { containerPaths } from "./containerPaths.ts";
import { allContainers, bridgeGateway, type EngineName } from "./engineCalls.ts";
import { engineOf, namedContainers } from "./look.ts";
import { placeOnMachine } from "./networkPlace.ts";

export interface ContainerView {
    /** For messages. */
    readonly container: string;
    /** Of all that it can name: what is in no mount leads to nowhere. */
    readonly paths: PathMap;
    /** As the container has it: what relative paths are relative to. */
    readonly workingDirectory: string;
    /** A server that the container reaches, as its machine reaches it. @throws MigrationError SM-E1475, SM-E1473 for a socket in no mount */
    place(address: Reachable): Promise<Reachable>;
}

/**
 * Of the source's main process; undefined for one that runs on its machine itself.
 *
 * @throws MigrationError SM-E1470, SM-E1471, SM-E1477
 */
export async function sourceView(
    { service }: Pick<SelfHostedSource, "service">,
    machine: Machine,
): Promise<ContainerView | undefined> {
    if (service.kind !== "container" && service.kind !== "compose") return undefined;
    const engine = engineOf(service);
    const all = await allContainers(machine, engine);
    const [main] = namedContainers(service, all, machine);
    return viewOf(main, { machine, engine, all });
}

function viewOf(
    main: ContainerFacts,
    around: { readonly machine: Machine; readonly engine: EngineName; readonly all: readonly ContainerFacts[] },
): ContainerView {
    const { machine, engine, all } = around;
    const paths = containerPaths(main);
    return {
        container: main.name,
        paths,
        workingDirectory: main.workingDirectory,
        place: async (address) => {
            if (address.socket === undefined) {
                const gateway = await bridgeGateway(machine, engine);
                const host = placeOnMachine(address.host, main, { machine: machine.name, all, gateway });
                return { host, port: address.port };
            }
            const socket = hostPath(address.socket, paths);
            if (pathInside(socket) === undefined) return { socket };
            throw new MigrationError("SM-E1473", {
                where: `container ${main.name} on ${machine.name}`,
                found: `the socket ${address.socket} is in none of its mounts`,
                expected: "a socket in a directory that the machine has, too",
            });
        },
    };
}
