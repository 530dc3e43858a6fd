/** Whether a source that was fenced still stands where it stood then. */
import type { RunReference, SelfHostedSource, Source } from "../../contract/index.ts";
import { sourceService } from "../services/service.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import { fenceableDatabase } from "./database/databaseOfSource.ts";
import type { StillStep } from "./database/fenceableDatabase.ts";
import { readToken } from "./fenceToken.ts";
import { markCommitted } from "./sourceRecord.ts";
import { startedHomeservers } from "./unnamedHomeserver.ts";
import { stillLive } from "./writingSessions.ts";

/**
 * Refuses unless the source still stands where the token says it was fenced.
 *
 * @param digest  of the token, which the run directory has
 * @param step  reads the rows where nothing else can tell; without it, or before the copy, what is not proven is refused
 * @throws MigrationError SM-E0702 naming what moved, who is connected, or what runs again, SM-E0703 for another token, SM-E0741 when another stack holds the fence
 */
export async function refuseUnlessStillFenced(
    source: Source,
    digest: string,
    run: RunReference,
    step?: StillStep,
): Promise<void> {
    const token = await readToken(run.directory, digest);
    const fenced = runningSource(source);
    await refuseStarted(fenced);
    await (await fenceableDatabase(fenced)).refuseUnlessStill(token, run, step);
}

/** The source must never serve again. Safe to repeat. */
export async function markSourceCommitted(source: Source, run: RunReference, step: string): Promise<void> {
    const database = await fenceableDatabase(runningSource(source));
    await database.record(step, (place) => markCommitted(place, run));
}

function runningSource(source: Source): SelfHostedSource {
    if (source.kind !== "selfHosted") throw new Error(`a source of kind ${source.kind} has no fence`);
    return source;
}

/**
 * Whether any of it runs again. What was started by habit, or by hand past what holds its units, has no session for a while, and is told by its
 * name, or by the files that it was started with, before it has one.
 */
async function refuseStarted(source: SelfHostedSource): Promise<void> {
    if (source.service.kind === "container" || source.service.kind === "compose") {
        const { running: isRunning, evidence } = await sourceService(source).status();
        if (isRunning) throw stillLive(["its containers run again:", ...evidence].join("\n"));
        return;
    }
    const started = await startedHomeservers(source);
    if (started.length === 0) return;
    const machine = sourceMachine(source);
    throw stillLive([`it runs again${machine.isHere ? "" : ` on ${machine.name}`}:`, ...started].join("\n"));
}
