/** `synapse-migrate`: one subcommand a step. Pulumi calls it, and so can an administrator in an incident. */
import { Command, CommanderError } from "commander";
import { z } from "zod";
import { assessContract, giveBackContract } from "../contract/index.ts";
import { phaseOf, stepNamed, stepNames } from "./registry.ts";
import { boundedOutput } from "../engine/run/boundedOutput.ts";
import { closeMachines } from "../engine/machines/openMachine.ts";
import { endingOf } from "../engine/run/ending.ts";
import { MigrationError } from "../engine/run/errors.ts";
import { interruption } from "../engine/run/interruption.ts";
import { readJournal } from "../engine/run/journal.ts";
import { keepNotes } from "../engine/run/notes.ts";
import type { LineKind } from "../engine/run/progress.ts";
import { registerSecret, withoutSecret } from "../engine/run/redaction.ts";
import { doStep, updateStep } from "../engine/run/runStep.ts";
import type { AnyStep, StepCall } from "../engine/run/openStep.ts";
import type { StepRun } from "../engine/run/step.ts";
import { undoWithFailedSteps } from "../engine/run/undoFromJournal.ts";
import { runDirectoryPaths } from "../engine/run/runDirectory.ts";
import { isBegun } from "../engine/run/stepState.ts";
import { secretsIn } from "../engine/run/specSecrets.ts";

/** A specification longer than this is not one. */
const longestSpec = 1024 * 1024;
const usageError = 2;

interface StepOptions {
    readonly do?: boolean;
    readonly again?: boolean;
    readonly undo?: boolean;
    readonly reprint?: boolean;
}

/** Of the step that runs. */
let stopped: AbortSignal | undefined;

const output = boundedOutput((text) => void process.stderr.write(text));
const ofRun = z.looseObject({ run: z.looseObject({ directory: z.string() }) });

/** What prints a step's lines, and keeps in the run's directory what must be known when they are gone. */
function speaker(spec: unknown, mode: "do" | "undo"): (line: string, kind?: LineKind) => void {
    const directory = ofRun.safeParse(spec).data?.run.directory;
    const keep = directory === undefined ? undefined : keepNotes(directory, mode);
    return (line, kind) => {
        keep?.(line, kind);
        output.line(line, kind);
    };
}

function stepCommand(name: string): Command {
    return new Command(name)
        .description(`step of the phase ${phaseOf(name) ?? ""}; its specification is read from standard input as JSON`)
        .option("--do", "do the step, or answer from the journal when it is done")
        .option("--again", "as --do, of a step that looks, whose resource is there: the stack has not forgotten it")
        .option("--undo", "take the step back")
        .option(
            "--reprint",
            "print the result that the journal has; what was changed is made true where it can be, else refused",
        )
        .action(async (options: StepOptions) => {
            const chosen = Object.entries(options).filter(([, given]) => given === true);
            if (chosen.length !== 1)
                throw new CommanderError(
                    usageError,
                    "usage",
                    "exactly one of --do, --again, --undo and --reprint is needed",
                );
            const spec = await readSpec(name);
            const step = await namedStep(name);
            const { signal, stop } = interruption();
            stopped = signal;
            try {
                const write = speaker(spec, options.undo === true ? "undo" : "do");
                const call = { step, spec, write, signal, afterFailure, isKnown: options.again === true };
                if (options.undo !== true) await finishPuttingBack(call);
                if (options.undo === true) await undoWithFailedSteps(call, stepNamed);
                else if (options.reprint === true) process.stdout.write(`${await updateStep(call)}\n`);
                else process.stdout.write(`${await answerOf(call)}\n`);
            } finally {
                stop();
            }
        });
}

const quickSpec = z.looseObject({ quick: z.literal(true) });

/** Loaded only where it is needed. */
const puttingBack = async () => ({
    ...(await import("../engine/fence/afterFailure.ts")),
    giveBack: await namedStep(giveBackContract.name),
});

async function afterFailure(error: unknown, step: AnyStep, run: StepRun): Promise<unknown> {
    const { sourceAfterFailure, giveBack } = await puttingBack();
    return sourceAfterFailure(error, step, run, giveBack);
}

/** A kill may have ended it in the middle, with the source down: it comes before whatever is refused because of it. */
async function finishPuttingBack(call: StepCall): Promise<void> {
    const directory = ofRun.safeParse(call.spec).data?.run.directory;
    if (directory === undefined || call.step.contract.phase !== giveBackContract.phase) return;
    if (!isBegun(await readJournal(runDirectoryPaths(directory).journal), giveBackContract.name)) return;
    const { finishGivingBack, giveBack } = await puttingBack();
    await finishGivingBack(directory, giveBack, call);
}

async function namedStep(name: string): Promise<AnyStep> {
    const step = await stepNamed(name);
    if (step === undefined) throw new Error(`there is no step ${name}`);
    return step;
}

async function answerOf(call: StepCall): Promise<string> {
    if (call.step.contract.name !== assessContract.name || !quickSpec.safeParse(call.spec).success) return doStep(call);
    for (const secret of secretsIn(assessContract.spec, call.spec)) registerSecret(secret);
    const { quickAssessment } = await import("./assess/assess.ts");
    return withoutSecret(JSON.stringify(await quickAssessment(assessContract.spec.parse(call.spec))));
}

async function readSpec(step: string): Promise<unknown> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of process.stdin) {
        const part = Buffer.from(chunk as Uint8Array);
        bytes += part.length;
        if (bytes > longestSpec) throw notASpec(step, `more than ${longestSpec} bytes`);
        chunks.push(part);
    }
    try {
        return JSON.parse(Buffer.concat(chunks).toString("utf8"));
    } catch {
        // The text may hold secrets, and the parser's message quotes it.
        throw notASpec(step, "something that is not JSON");
    }
}

function notASpec(step: string, found: string): MigrationError {
    return new MigrationError("SM-E0200", {
        where: `step ${step}, standard input`,
        found,
        expected: "the specification as JSON",
    });
}

/** What is on a command line can be read by everybody on the machine. */
function refuseSecretArguments(args: readonly string[]): void {
    const secret = args.find(
        (argument) =>
            /^--?[\w-]*(pepper|secret|password|passphrase|signing-?key|token)/i.test(argument) &&
            !/^--(password|passphrase)-file(=|$)/.test(argument),
    );
    if (secret === undefined) return;
    throw new MigrationError("SM-E0210", {
        where: "the command line of synapse-migrate",
        found: `the option ${secret.split("=")[0] ?? ""}`,
        expected: "secrets on standard input or in files of mode 0600",
    });
}

const program = new Command("synapse-migrate")
    .description("Moves a Matrix Synapse homeserver, step by step.")
    .exitOverride();
for (const name of stepNames) program.addCommand(stepCommand(name).exitOverride());
// What Pulumi never calls is loaded only where it may be asked for.
if (!stepNames.includes(process.argv[2] ?? "")) {
    const [init, discover, status, tables, slots, serve, adopt, release, support] = await Promise.all([
        import("./commands/init.ts"),
        import("./commands/discover.ts"),
        import("./commands/status.ts"),
        import("./commands/tables.ts"),
        import("./commands/slots.ts"),
        import("./commands/serve.ts"),
        import("./commands/adopt.ts"),
        import("./commands/release.ts"),
        import("./commands/support.ts"),
    ]);
    init.registerInit(program);
    discover.registerDiscover(program);
    status.registerStatus(program);
    tables.registerTables(program);
    slots.registerSlots(program);
    serve.registerServe(program, stepNamed);
    adopt.registerAdopt(program);
    release.registerRelease(program);
    support.registerSupport(program);
}

try {
    refuseSecretArguments(process.argv.slice(2));
    await program.parseAsync();
} catch (error) {
    const { lines, exitCode } = endingOf(error, stopped);
    output.end(lines);
    process.exitCode = exitCode;
} finally {
    await closeMachines();
}
