/** A whole rehearsal: makes a homeserver, moves it, checks it, and leaves nothing behind but a report. */
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import { ensureToolchain } from "../toolchain/toolchain.ts";
import { checkHomeserver, type CheckArgs } from "./check.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "./directory.ts";
import { makeSource, reportDirectoryOf } from "./makeSource.ts";
import { migrate, type MigrationReport } from "./migration.ts";
import type { Expectations } from "./source/expectations.ts";
import type { RouteName } from "./routes/routes.ts";
import { Timings } from "./timings.ts";

export interface RehearsalArgs {
    readonly users: number;
    readonly rooms: number;
    readonly messages: number;
    readonly seed: string;
    readonly route: RouteName;
    /** How the database travels; what the stack does without being told when absent. */
    readonly copy?: "archive" | "direct" | "replicate" | undefined;
    /** Python of the source's Synapse; the target's when absent. */
    readonly sourcePython?: string | undefined;
    /** Leaves everything running and in place, and says where. */
    readonly keep: boolean;
    readonly projectDirectory: string;
    readonly progress: Progress;
    readonly signal: AbortSignal;
}

export interface RehearsalResult {
    readonly report: MigrationReport;
    /** Checks of the target that passed; a failed one is an error. */
    readonly checks: number;
    readonly timings: string;
}

/**
 * Runs the rehearsal. Whatever happens, processes and directories of its own are gone afterwards, unless they are to be kept.
 *
 * @throws MigrationError SM-E1192 when the target lacks something; and what making and moving the homeserver throw
 */
export async function rehearse(args: RehearsalArgs): Promise<RehearsalResult> {
    const { progress, keep } = args;
    const timings = new Timings(progress);
    const directory = makeRehearsalDirectory();
    const stoppable: { stop(): Promise<void> }[] = [];
    let failed = true;
    try {
        const { report, checks } = await run(args, directory, timings, stoppable);
        failed = false;
        return { report, checks, timings: timings.table() };
    } finally {
        if (failed) progress.say(`timings until the failure:\n${timings.table()}`);
        if (keep) progress.say(`kept as asked for: ${directory} and all that runs from it`);
        else await cleanUp(directory, stoppable, failed, progress);
    }
}

async function run(
    args: RehearsalArgs,
    directory: string,
    timings: Timings,
    stoppable: { stop(): Promise<void> }[],
): Promise<{ report: MigrationReport; checks: number }> {
    const { progress, signal } = args;
    const { pulumi, postgres, synapse } = await timings.during("toolchain", () =>
        ensureToolchain({ pulumi: true, postgres: true, synapse: true, archives: args.route !== "local" }, (line) =>
            progress.say(line),
        ),
    );
    if (pulumi === undefined || postgres === undefined || synapse === undefined)
        throw new Error("the toolchain lacks a part that was asked for");
    signal.throwIfAborted();
    const toolchain = { pulumi, postgres, synapse };
    const made = await makeSource({ ...args, directory, timings, toolchain, stoppable });
    const { source, canary, expectations, stack } = made;
    keepExpectations(directory, expectations);
    const { projectDirectory, keep } = args;
    let checks = 0;
    const report = await migrate({
        stackName: basename(directory),
        pulumi,
        python: synapse.python,
        postgresPrograms: postgres.directory,
        projectDirectory,
        directory,
        reportDirectory: reportDirectoryOf(directory),
        source,
        canary,
        route: args.copy === undefined ? stack : { ...stack, config: { ...stack.config, copy: args.copy } },
        keep,
        timings,
        progress,
        signal,
        whenOpen: async (baseUrl) => {
            checks = await timings.during("independent check of the target", () =>
                requireWhole({ baseUrl, expectations, progress, signal }),
            );
        },
    });
    return { report, checks };
}

/**
 * @returns how many checks passed
 * @throws MigrationError SM-E1192 that names those that did not
 */
export async function requireWhole(args: CheckArgs): Promise<number> {
    const results = await checkHomeserver(args);
    const failures = results.filter(({ passed }) => !passed);
    if (failures.length === 0) return results.length;
    throw new MigrationError("SM-E1192", {
        where: args.baseUrl,
        found: failures.map(({ name, detail }) => `${name}: ${detail}`).join("\n"),
        expected: `all ${results.length} checks to pass`,
        changed: "only what belongs to the rehearsal",
    });
}

function keepExpectations(directory: string, expectations: Expectations): void {
    writeFileSync(join(directory, "expectations.json"), JSON.stringify(expectations), { mode: 0o600 });
}

/** Stops what was started, the last first, then whatever else runs from the directory, which then is removed. */
async function cleanUp(
    directory: string,
    stoppable: readonly { stop(): Promise<void> }[],
    failed: boolean,
    progress: Progress,
): Promise<void> {
    for (const one of stoppable) {
        await one.stop().catch((error: unknown) => progress.say(`could not be stopped: ${String(error)}`));
    }
    if (failed) progress.say(`logs: ${keepLogs(directory)}`);
    const leftovers = await removeRehearsalDirectory(directory);
    for (const { pid, command } of leftovers) progress.say(`had to be ended: ${pid} ${command}`);
    if (leftovers.length > 0 && !failed) {
        throw new MigrationError("SM-E1191", {
            where: directory,
            found: `${leftovers.length} processes ran on after everything had been stopped and destroyed`,
            expected: "none",
            changed: "they were ended, and the directory was removed",
        });
    }
}

/** Logs outlive a failed rehearsal: they say why. Returns their directory. */
function keepLogs(directory: string): string {
    const kept = join(dirname(directory), "logs", basename(directory));
    mkdirSync(kept, { recursive: true, mode: 0o700 });
    for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        const isLog = entry.isFile() && (entry.name.endsWith(".log") || entry.name.endsWith(".jsonl"));
        if (isLog) cpSync(path, join(kept, path.slice(directory.length + 1).replaceAll("/", "-")));
    }
    return kept;
}
