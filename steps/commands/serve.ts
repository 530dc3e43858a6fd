/** `synapse-migrate serve`: starts again what belongs to a target, after a power cut or the end of the session that had started it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { databaseContract, gatewayContract, phases, startContract, type Phase } from "../../contract/index.ts";
import { ensureCluster } from "../../engine/postgres/server/managedCluster.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { interruption } from "../../engine/run/interruption.ts";
import { keptCopy } from "../../engine/run/ownership/keptCopy.ts";
import { readTargetRecord, type TargetRecord } from "../../engine/run/ownership/targetRecord.ts";
import { restartStep } from "../../engine/run/restartStep.ts";
import { runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import type { StepFinder } from "../../engine/run/undoFromJournal.ts";
import { lookAtServers, type Look } from "../../engine/standing/look.ts";

type Write = (line: string) => void;

/** Adds `serve` to `synapse-migrate`. */
export function registerServe(program: Command, stepNamed: StepFinder): void {
    program
        .command("serve")
        .description("start again what belongs to a target: its PostgreSQL server, its gateway, its homeserver")
        .argument("<directory>", "the target's directory: `target.directory` of its stack")
        .option("--phase <phase>", "nothing of a later phase is started", "finish")
        .action(async (directory: string, options: { readonly phase: string }) => {
            const { signal, stop } = interruption();
            const write: Write = (line) => void process.stderr.write(`${line}\n`);
            try {
                await serveTarget(directory, z.enum(phases).parse(options.phase), { stepNamed, write, signal });
            } finally {
                stop();
            }
        });
}

interface Surroundings {
    readonly stepNamed: StepFinder;
    readonly write: Write;
    readonly signal: AbortSignal;
}

/**
 * Starts what does not stand, in the order in which it needs each other. Of a target that is not committed the homeserver is started only
 * while the source is still fenced for it.
 *
 * @throws MigrationError SM-E1504 when there is no record of a target, or it does not stand afterwards; what the steps throw
 */
export async function serveTarget(
    directory: string,
    phase: Phase,
    { stepNamed, write, signal }: Surroundings,
): Promise<void> {
    const record = await readTargetRecord(directory);
    if (record === undefined)
        throw new MigrationError("SM-E1504", {
            where: directory,
            found: "no record of a target that this program has made",
            expected: "the `target.directory` of a stack in phase stage or later",
            changed: "nothing",
        });
    const runDirectory = whereRunIs(directory, record);
    const wanted = async (): Promise<Look[]> =>
        (await lookAtServers(runDirectory, directory)).filter(({ step }) => isWanted(step, phase));
    for (const { step, spec, wrong } of await wanted()) {
        if (wrong === undefined) continue;
        write(`${wrong}: starting it`);
        await restart(step, inDirectory(spec, runDirectory), { stepNamed, write, signal });
    }
    const left = (await wanted()).flatMap(({ wrong }) => wrong ?? []);
    if (left.length > 0)
        throw new MigrationError("SM-E1504", {
            where: directory,
            found: left.join("\n"),
            expected: "everything that was started for the target to run and to answer",
        });
    write(`everything of ${directory} stands`);
}

/** Its work directory, or what the target has of it when that is gone. */
function whereRunIs(target: string, { owner, run }: TargetRecord): string {
    const directory = join(owner.directory, run);
    return existsSync(runDirectoryPaths(directory).journal) ? directory : keptCopy(target);
}

const contracts = [databaseContract, gatewayContract, startContract];

function isWanted(step: string, phase: Phase): boolean {
    const own = contracts.find(({ name }) => name === step)?.phase;
    return own !== undefined && phases.indexOf(own) <= phases.indexOf(phase);
}

async function restart(step: Look["step"], spec: unknown, surroundings: Surroundings): Promise<void> {
    if (step === databaseContract.name) {
        const { server, run, source } = databaseContract.spec.parse(spec);
        // The step itself would look at a database that is in use by now.
        if (server.kind === "managed") await ensureCluster(server, run.id, source.serverName);
        return;
    }
    const definition = await surroundings.stepNamed(step);
    if (definition === undefined) throw new Error(`there is no step ${step}`);
    await restartStep({ step: definition, spec, write: surroundings.write, signal: surroundings.signal });
}

const anySpec = z.looseObject({ run: z.looseObject({ directory: z.string() }) });

function inDirectory(spec: unknown, directory: string): unknown {
    const { run, ...rest } = anySpec.parse(spec);
    return { ...rest, run: { ...run, directory } };
}
