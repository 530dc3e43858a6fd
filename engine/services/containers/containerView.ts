/** How a homeserver in a container sees the disk and the network, told in terms of its machine. */
import type { Machine, Reachable } from "../../machines/machine.ts";
import { hostPath, pathInside, type PathMap } from "../../machines/pathMap.ts";
import { MigrationError } from "../../run/errors.ts";
import type { ContainerFacts } from "./containerFacts.ts";
import { containerPaths } from "./containerPaths.ts";
import { bridgeGateway, type EngineName } from "./engineCalls.ts";
import { placeOnMachine, whoseNetwork } from "./networkPlace.ts";

export interface ContainerView {
    /** For messages. */
    readonly container: string;
    /** Of all that it can name: what is in no mount leads to nowhere. */
    readonly paths: PathMap;
    /** As the container has it: what relative paths are relative to. */
    readonly workingDirectory: string;
    /** Its ports are not the machine's, but for those that are published. */
    readonly inOwnNetwork: boolean;
    /** A server that the container reaches, as its machine reaches it. @throws MigrationError SM-E1475, SM-E1473 for a socket in no mount */
    place(address: Reachable): Promise<Reachable>;
}

/** Of a container that is there, or of one that was. */
export function viewOf(
    main: ContainerFacts,
    around: { readonly machine: Machine; readonly engine: EngineName; readonly all: readonly ContainerFacts[] },
): ContainerView {
    const { machine, engine, all } = around;
    const paths = containerPaths(main);
    return {
        container: main.name,
        paths,
        workingDirectory: main.workingDirectory,
        inOwnNetwork: whoseNetwork(main, all).networkMode !== "host",
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
