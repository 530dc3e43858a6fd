/** Processes in containers that units run: told as those units' own, with the files of their configuration as their machine has them. */
import { hostPath } from "../../machines/pathMap.ts";
import type { Machine } from "../../machines/machine.ts";
import type { ProcessFacts } from "../../machines/procfs.ts";
import { containerPaths } from "../containers/containerPaths.ts";
import { allContainers, engineNamed } from "../containers/engineCalls.ts";
import { containerOfUnit } from "../containers/unitCommands.ts";
import { looksLikeSynapse } from "../synapseProcess.ts";
import type { UnitFacts } from "./unitFacts.ts";

/**
 * @param named  where none of these runs a container, nobody is asked for any
 * @param loaded  all services that systemd knows of
 * @throws MigrationError SM-E1471
 */
export async function withContainers(
    machine: Machine,
    named: readonly UnitFacts[],
    loaded: readonly UnitFacts[],
    all: readonly ProcessFacts[],
): Promise<readonly ProcessFacts[]> {
    const engines = new Set(named.flatMap((unit) => engineNamed(containerOfUnit(unit)?.engine) ?? []));
    if (engines.size === 0) return all;
    const containers = (await Promise.all([...engines].map((engine) => allContainers(machine, engine)))).flat();
    const units = new Map([...loaded, ...named].map((unit) => [containerOfUnit(unit)?.name, unit.name]));
    return all.map((one) => {
        const container = containers.find(({ id }) => id === one.keeping.container);
        if (container === undefined || !looksLikeSynapse(one.argv)) return one;
        const unit = units.get(container.name);
        const paths = containerPaths(container);
        return {
            ...one,
            argv: one.argv.map((word, index) =>
                configOnMachine(word, one.argv[index - 1], (path) => hostPath(path, paths)),
            ),
            keeping: { ...one.keeping, ...(unit === undefined ? {} : { unit }) },
        };
    });
}

function configOnMachine(word: string, before: string | undefined, mapped: (path: string) => string): string {
    const [, option, path] = /^(--config-path=)(\/.*)$/.exec(word) ?? [];
    if (option !== undefined && path !== undefined) return option + mapped(path);
    return word.startsWith("/") && /^(-c|--config-path)$/.test(before ?? "") ? mapped(word) : word;
}
