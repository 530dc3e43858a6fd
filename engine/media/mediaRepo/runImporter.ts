/** Runs matrix-media-repo's own importer over an archive. What it says of its success is not believed: see proof.ts. */
import { setTimeout as delay } from "node:timers/promises";
import type { MediaRepoTarget } from "../../../contract/index.ts";
import { runProgram } from "../../machines/program.ts";
import type { StepRun } from "../../run/step.ts";
import { presentMedia, type ExpectedMedia } from "../mediaRepoArchive/proof.ts";
import type { FitRepository } from "./fitness.ts";

export interface ImporterArgs {
    readonly target: MediaRepoTarget;
    readonly repository: FitRepository;
    /** Holds the parts and nothing else. */
    readonly parts: string;
    /** Its working directory, where it may write a log. */
    readonly workingDirectory: string;
    readonly items: readonly ExpectedMedia[];
}

const lookSeconds = 10;

/** @throws MigrationError SM-E1101 when it fails, is killed, or takes longer than its deadline */
export async function runImporter(args: ImporterArgs, run: StepRun): Promise<void> {
    const { target, repository, parts, workingDirectory } = args;
    const { user } = repository;
    let state = "";
    const ended = new AbortController();
    const watching = watch(args, ended.signal, (arrived) => (state = `${arrived} of ${args.items.length} media`));
    try {
        await run.progress.during(
            "importing media into matrix-media-repo",
            () =>
                runProgram(target.importer, ["-config", target.config, "-directory", parts], {
                    workingDirectory,
                    // It asks for the number of its machine where it has none, and nobody is there to answer.
                    environment: { MACHINE_ID: String(target.machineId), HOME: workingDirectory },
                    ...(user === undefined ? {} : { user }),
                    timeoutSeconds: target.deadlineHours * 3600,
                    signal: run.signal,
                }),
            () => state,
        );
    } finally {
        ended.abort();
        await watching;
    }
}

/** What has arrived so far; for people to see, and so no reason to stop when it cannot be told. */
async function watch(
    { items, repository }: ImporterArgs,
    ended: AbortSignal,
    tell: (arrived: number) => void,
): Promise<void> {
    const pause = (): Promise<boolean> =>
        delay(lookSeconds * 1000, true, { signal: ended, ref: false }).catch(() => false);
    while (await pause()) {
        const options = { step: "hand-media", signal: ended };
        const present = await presentMedia(repository.config.database, items, options).catch(() => undefined);
        if (present !== undefined) tell(present.size);
    }
}
