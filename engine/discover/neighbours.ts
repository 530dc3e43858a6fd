/** Other programs on a machine that a move has to know of: media repositories, authentication services, homeservers that are not Synapse. Pure. */
import { basename } from "node:path";
import type { ProcessFacts } from "../machines/procfs.ts";
import { keepsWhatItStarts } from "../services/keeper.ts";
import type { Discovery } from "./discovery.ts";

type Neighbour = Discovery["authenticationServices"][number];

const named = ({ argv }: ProcessFacts, names: RegExp): boolean => names.test(basename(argv[0] ?? ""));

/** @param own  the container that the machine is looked at from */
function neighbour(one: ProcessFacts, program: string, own: string | undefined): Neighbour {
    const { unit, userUnit, container } = one.keeping;
    const isInside = container !== undefined && container !== own;
    const kept = userUnit ?? (unit !== undefined && keepsWhatItStarts(unit) ? unit : undefined);
    return { program, pid: one.pid, ...(isInside ? { container } : kept === undefined ? {} : { unit: kept }) };
}

/** matrix-media-repo, and the file it is configured by where its command line says it. */
export function mediaRepositories(
    processes: readonly ProcessFacts[],
    own: string | undefined,
): Discovery["mediaRepositories"] {
    return processes
        .filter((one) => named(one, /^(media_repo|matrix-media-repo)$/))
        .map((one) => {
            const at = one.argv.findIndex((word) => /^--?config$/.test(word));
            const inline = one.argv
                .map((word) => /^--?config=(.+)$/.exec(word)?.[1])
                .find((path) => path !== undefined);
            const file = inline ?? (at < 0 ? undefined : one.argv[at + 1]);
            return {
                ...neighbour(one, "matrix-media-repo", own),
                ...(file === undefined ? {} : { configFile: file }),
            };
        });
}

export function authenticationServices(processes: readonly ProcessFacts[], own: string | undefined): Neighbour[] {
    return processes
        .filter((one) => named(one, /^(mas-cli|matrix-authentication-service)$/))
        .map((one) => neighbour(one, "matrix-authentication-service", own));
}

/** Processes that are about Matrix or Synapse and none of what is told elsewhere: somebody has to look at them. */
export function strangers(processes: readonly ProcessFacts[]): string[] {
    const others = /^(dendrite(-\w+)*|conduit|conduwuit|tuwunel|continuwuity|grapevine|palpo|telodendria)$/;
    return processes
        .filter((one) => named(one, others))
        .map(
            ({ pid, argv }) =>
                `process ${pid}: ${basename(argv[0] ?? "")} is a homeserver of another kind than Synapse`,
        );
}
