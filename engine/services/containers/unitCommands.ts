/** Which container a unit of systemd runs, as its commands say it: also while the container is not there, as one made with `--rm`. Pure. */
import { basename } from "node:path";
import type { UnitFacts } from "../systemd/unitFacts.ts";
import { containerClients } from "./clients.ts";
import type { ContainerFacts } from "./containerFacts.ts";

export interface UnitContainer {
    /** The program that is called. */
    readonly engine: string;
    readonly name: string;
    /** As `docker inspect` would have it, where it is not there; the sources of mounts that are volumes are their names. */
    readonly facts: ContainerFacts;
}

/** Options of `run` and `create` that say something of the disk or the network, by what they may be called. */
const options: Readonly<Record<string, string>> = {
    "--name": "name",
    "-v": "volume",
    "--volume": "volume",
    "--mount": "mount",
    "--network": "network",
    "--net": "network",
    "--add-host": "host",
    "-w": "directory",
    "--workdir": "directory",
};

/** @returns undefined for a unit that runs no container */
export function containerOfUnit({ words, prepares }: Pick<UnitFacts, "words" | "prepares">): UnitContainer | undefined {
    const at = words.findIndex((word) => containerClients.test(word));
    const [client, verb] = [words[at], words[at + 1]];
    if (client === undefined || (verb !== "run" && verb !== "start")) return undefined;
    // What is made before it is started is said in a command of its own.
    const given = optionsIn(verb === "run" ? words : prepares);
    const name = given.get("name")?.[0] ?? (verb === "start" ? words.at(-1) : undefined);
    if (name === undefined) return undefined;
    const networks = [...(given.get("network") ?? []), ...connectedIn([...prepares, ...words], name)];
    const mounts = [...(given.get("volume") ?? []).flatMap(volumeIn), ...(given.get("mount") ?? []).flatMap(mountIn)];
    return {
        engine: basename(client),
        name,
        facts: {
            ...{ id: "", name, image: "", status: "exited", pid: 0, health: undefined, exitCode: 0, labels: {} },
            ...{ restart: "no", pidsLimit: 0, autoRemove: true, command: [], publishedPorts: [] },
            networkMode: networks[0] ?? "",
            networks: networks.map((network) => ({ name: network, address: "", aliases: [] })),
            extraHosts: given.get("host") ?? [],
            mounts,
            workingDirectory: given.get("directory")?.[0] ?? "/",
            databaseRole: undefined,
        },
    };
}

function optionsIn(words: readonly string[]): Map<string, string[]> {
    const found = new Map<string, string[]>();
    words.forEach((word, index) => {
        const [, option = word, inline] = /^(--[a-z-]+)=(.*)$/.exec(word) ?? [];
        const kind = options[option];
        const value = inline ?? words[index + 1];
        if (kind !== undefined && value !== undefined) found.set(kind, [...(found.get(kind) ?? []), value]);
    });
    return found;
}

/** `docker network connect <network> <name>`. */
function connectedIn(words: readonly string[], name: string): string[] {
    return words.flatMap((word, index) => {
        if (word !== name) return [];
        // Options such as `--alias` are between the verb and the network.
        const verb = words.lastIndexOf("connect", index);
        const network = words[index - 1];
        return verb > 0 &&
            words[verb - 1] === "network" &&
            !words.slice(verb, index).some((one) => containerClients.test(one)) &&
            network !== undefined
            ? [network]
            : [];
    });
}

function volumeIn(text: string): ContainerFacts["mounts"] {
    const [source, destination] = text.split(":");
    return source === undefined || destination === undefined ? [] : [{ source, destination }];
}

function mountIn(text: string): ContainerFacts["mounts"] {
    const given = new Map(text.split(",").map((pair) => [pair.split("=")[0] ?? "", pair.slice(pair.indexOf("=") + 1)]));
    const destination = given.get("dst") ?? given.get("target") ?? given.get("destination");
    const source = given.get("src") ?? given.get("source") ?? "";
    return destination === undefined ? [] : [{ source, destination }];
}
