/** Moves the rehearsal's homeserver with `pulumi up`, phase by phase, and takes everything away again. */
import { join } from "node:path";
import { z } from "zod";
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import type { PulumiToolchain } from "../toolchain/toolchain.ts";
import { makeServiceDirectory } from "./directory.ts";
import { PulumiStack } from "./pulumiStack.ts";
import type { RouteStack } from "./routes/route.ts";
import type { Canary } from "./source/canary.ts";
import type { FilledSource } from "./makeSource.ts";
import type { Timings } from "./timings.ts";

export interface MigrationArgs {
    readonly stackName: string;
    readonly pulumi: PulumiToolchain;
    /** Python of the target's Synapse. */
    readonly python: string;
    /** Directory of the target's PostgreSQL programs. */
    readonly postgresPrograms: string;
    readonly projectDirectory: string;
    /** The rehearsal's own. */
    readonly directory: string;
    /** Outlives the rehearsal. */
    readonly reportDirectory: string;
    readonly source: FilledSource;
    readonly canary: Canary;
    /** What the stack is given of the source. */
    readonly route: RouteStack;
    /** Leaves the stack as it is, for a look at it. */
    readonly keep: boolean;
    readonly timings: Timings;
    readonly progress: Progress;
    readonly signal: AbortSignal;
    /** Called when the target is open, with the address of its gateway. */
    readonly whenOpen: (gatewayUrl: string) => Promise<void>;
}

export interface MigrationReport {
    readonly json: string;
    readonly markdown: string;
    readonly html: string;
}

const phasesInOrder = ["assess", "stage", "migrate", "cutover"] as const;
const openOutputs = z.object({
    gatewayUrl: z.url(),
    report: z.object({ json: z.string(), markdown: z.string(), html: z.string() }),
});

/**
 * Previews, migrates, shows that a second run changes nothing, has the target checked, removes what only the move needed, and destroys the stack,
 * also after a failure.
 *
 * @throws MigrationError SM-E1101 when a Pulumi command fails; SM-E1190 when the source still answers after the move
 */
export async function migrate(args: MigrationArgs): Promise<MigrationReport> {
    const { timings, source, keep } = args;
    const stack = await timings.during("pulumi stack init, config", () => createStack(args));
    let failure: unknown;
    try {
        await timings.during("pulumi preview", () => stack.preview());
        for (const phase of phasesInOrder) await timings.during(`pulumi up: ${phase}`, () => stack.up(phase));
        if (await source.answers()) throw stillServing(source);
        const { gatewayUrl, report } = await stack.outputs(openOutputs);
        await timings.during("pulumi up, again", () => stack.up("cutover", "--expect-no-changes"));
        await timings.during("pulumi preview --expect-no-changes", () => stack.preview("--expect-no-changes"));
        await args.whenOpen(gatewayUrl.replace(/\/$/, ""));
        await timings.during("pulumi up: finish", () => stack.up("finish"));
        if (await source.answers()) throw stillServing(source);
        return report;
    } catch (error) {
        failure = error;
        throw error;
    } finally {
        if (!keep) await destroy(stack, args, failure !== undefined);
    }
}

/** A failure of the clean-up must not hide the failure that it cleans up after. */
async function destroy(stack: PulumiStack, { timings, progress }: MigrationArgs, failed: boolean): Promise<void> {
    try {
        await timings.during("pulumi destroy", () => stack.destroy());
    } catch (error) {
        if (!failed) throw error;
        progress.say(`the stack could not be destroyed: ${error instanceof Error ? error.message : String(error)}`);
    }
}

async function createStack(args: MigrationArgs): Promise<PulumiStack> {
    const { source, canary, route, directory, signal, progress } = args;
    return PulumiStack.create({
        name: args.stackName,
        pulumi: args.pulumi,
        projectDirectory: args.projectDirectory,
        directory: join(directory, "pulumi"),
        config: {
            serverName: source.serverName,
            stack: args.stackName,
            phase: "assess",
            disposable: true,
            target: {
                kind: "local",
                directory: makeServiceDirectory(join(directory, "target")),
                synapsePython: args.python,
                postgresPrograms: args.postgresPrograms,
            },
            workDirectory: join(directory, "work"),
            reportDirectory: args.reportDirectory,
            canaryUser: canary.user,
            ...route.config,
        },
        secrets: route.secrets,
        progress,
        signal,
    });
}

function stillServing({ baseUrl }: FilledSource): MigrationError {
    return new MigrationError("SM-E1190", {
        where: baseUrl,
        found: "the source still answers after it was moved",
        expected: "a source that was fenced and stays so",
        changed: "only what belongs to the rehearsal",
    });
}
