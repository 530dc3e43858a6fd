/** Other programs on a machine that a move has to know of: media repositories, authentication services, homeservers that are not Synapse. */
import { basename } from "node:path";
import type { Machine } from "../machines/machine.ts";
import type { ProcessFacts } from "../machines/procfs.ts";
import { keepsWhatItStarts } from "../services/keeper.ts";
import type { Discovery } from "./discovery.ts";
import { containerOf, type Ground } from "./rooted.ts";

type Neighbour = Discovery["authenticationServices"][number];

const named = ({ argv }: ProcessFacts, names: RegExp): boolean => names.test(basename(argv[0] ?? ""));

async function neighbour(machine: Machine, one: ProcessFacts, program: string, ground: Ground): Promise<Neighbour> {
    const { unit, userUnit } = one.keeping;
    const container = await containerOf(machine, one, ground);
    const kept = userUnit ?? (unit !== undefined && keepsWhatItStarts(unit) ? unit : undefined);
    const keeper = container !== undefined ? { container } : kept === undefined ? {} : { unit: kept };
    return { program, pid: one.pid, ...keeper };
}

/** matrix-media-repo, and the file it is configured by where its command line says it. */
export async function mediaRepositories(
    machine: Machine,
    processes: readonly ProcessFacts[],
    ground: Ground,
): Promise<Discovery["mediaRepositories"]> {
    return Promise.all(
        processes
            .filter((one) => named(one, /^(media_repo|matrix-media-repo)$/))
            .map(async (one) => {
                const file = configFile(one.argv);
                const found = await neighbour(machine, one, "matrix-media-repo", ground);
                return { ...found, ...(file === undefined ? {} : { configFile: file }) };
            }),
    );
}

/** As Go's own flags have it: `-config FILE`, `--config=FILE`. */
function configFile(argv: readonly string[]): string | undefined {
    const at = argv.findIndex((word) => /^--?config$/.test(word));
    const inline = argv.map((word) => /^--?config=(.+)$/.exec(word)?.[1]).find((path) => path !== undefined);
    return inline ?? (at < 0 ? undefined : argv[at + 1]);
}

export async function authenticationServices(
    machine: Machine,
    processes: readonly ProcessFacts[],
    ground: Ground,
): Promise<Neighbour[]> {
    return Promise.all(
        processes
            .filter((one) => named(one, /^(mas-cli|matrix-authentication-service)$/))
            .map((one) => neighbour(machine, one, "matrix-authentication-service", ground)),
    );
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
