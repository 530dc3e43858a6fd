/** The assessment as the control plane uses it: a quick one in every preview, and what follows from what it found. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { assessContract, type RunReference } from "../contract/index.ts";
import { MigrationError } from "../engine/run/errors.ts";
import type { MigrationConfig } from "./config/parseConfig.ts";
import { reaches } from "./config/effective.ts";
import { mediaStorageProvider } from "./mediaStorage.ts";
import { readResult, stepInterpreter, type SpecInputs } from "./migrationStep.ts";
import type { MigrationSecrets } from "./config/readStackConfig.ts";
import type { AnyTargetLayout } from "./targets/target.ts";

export type Assessment = z.infer<typeof assessContract.result>;
export type AssessmentSpec = SpecInputs<z.infer<typeof assessContract.spec>>;

/** Each run has a directory of its own here. */
const runsDirectory = (config: MigrationConfig): string => join(config.workDirectory, "runs");

/** How every step of a run is told which run it is. */
export function runReference(config: MigrationConfig, target: AnyTargetLayout, id: string): RunReference {
    const { disposable, stack } = config;
    // A bundle is somebody else's: nothing of ours lies beside it.
    const beside = target.kind === "emsBundle" ? {} : { target: target.directory };
    return { id, directory: join(runsDirectory(config), id), disposable, stack, ...beside };
}

/**
 * What the assessment is asked.
 *
 * @param runId  when it is not known yet, the directory is the one that all runs live in
 */
export function assessmentSpec(
    config: MigrationConfig,
    secrets: MigrationSecrets,
    target: AnyTargetLayout,
    runId: string | undefined,
    mode: Pick<AssessmentSpec, "quick" | "enforce" | "declares" | "sourceAfterFailure">,
): AssessmentSpec {
    return {
        run:
            runId === undefined
                ? { directory: runsDirectory(config), disposable: config.disposable }
                : runReference(config, target, runId),
        source: config.source,
        targetDirectory: target.directory,
        targetPython: target.python,
        ...(target.kind === "emsBundle"
            ? { bundle: { programs: target.clientDirectory, databaseFormat: target.format } }
            : {
                  user: target.user,
                  ...(target.kind === "installed"
                      ? { installed: { deployment: target.deployment, admin: target.database.server.admin } }
                      : { targetServer: target.database.server }),
                  mediaStorageProvider: mediaStorageProvider(target.mediaStorageProvider, secrets),
              }),
        ...(target.kind === "emsBundle" ? {} : { mediaRepo: target.mediaRepo }),
        ...mode,
        copy: {
            mode: config.copy,
            jobs: config.copyJobs ?? (config.copy === "archive" ? 2 : availableParallelism()),
            replication: config.replicationAddress,
        },
        acknowledged: [...config.acknowledge],
        ...(config.foreignCode.length === 0 ? {} : { foreignCode: [...config.foreignCode] }),
        acceptMissingMedia: config.acceptMissingMedia,
        sqliteNul: config.sqliteNul,
        pepper: secrets.pepper,
        passphrase: secrets.passphrase,
        secretKey: secrets.secretKey,
        rehearsal: config.rehearsal,
        macaroonSecretKey: secrets.macaroonSecretKey,
        signingKey: secrets.signingKey,
    };
}

/**
 * Looks at source and target without changing anything, in previews too: only what is cheap at any database size.
 *
 * @throws MigrationError SM-E0213 when the step answers something else than its contract says
 * @throws RunError when the step fails, for example because it cannot read the source's configuration
 */
export async function assessQuickly(
    config: MigrationConfig,
    secrets: MigrationSecrets,
    target: AnyTargetLayout,
): Promise<Assessment> {
    const declares = pulumi.runtime.isDryRun()
        ? {}
        : { declares: config.phase, sourceAfterFailure: config.sourceAfterFailure };
    const mode = { quick: true, enforce: false, ...declares };
    const spec = assessmentSpec(config, secrets, target, config.run, mode);
    const call = {
        interpreter: stepInterpreter(assessContract.name),
        command: "--do",
        stdin: await settled(pulumi.jsonStringify(spec)),
        logging: local.Logging.Stderr,
    };
    const { stdout } = await local.run(call).catch((error: unknown) => {
        // The message ends in the step's own error block; the stack is that of the call to the engine.
        throw new pulumi.RunError(error instanceof Error ? error.message : String(error));
    });
    return readResult(assessContract, stdout);
}

/** Says what there is to move, each finding, what did not run, and the downtime to expect. */
export async function announce(assessment: Assessment): Promise<void> {
    for (const { id, severity, evidence, fix } of assessment.findings) {
        const line = `${id} ${evidence}\n  fix: ${fix}`;
        await (severity === "info" ? pulumi.log.info(line) : pulumi.log.warn(line));
    }
    const { versions, sizes, notRun, predictedDowntimeSeconds } = assessment;
    const lines = [
        `run ${assessment.runId} of ${assessment.serverName}`,
        ...(assessment.committed ? ["committed: its target is the homeserver"] : []),
        ...Object.entries(versions).map(([name, version]) => `${name}: ${version}`),
        `database: ${megabytes(sizes.databaseBytes)} in ${sizes.tables} tables`,
        `media: ${megabytes(sizes.mediaBytes)} in ${sizes.mediaFiles} files`,
        `predicted downtime: ${predictedDowntimeSeconds} s`,
        `not run in this quick look, and run by \`pulumi up\`: ${notRun.length === 0 ? "none" : notRun.join(", ")}`,
        `findings: ${assessment.errors} blocking, ${assessment.warnings} warnings; all of them: ${assessment.evidenceFile}`,
    ];
    await pulumi.log.info(lines.join("\n"));
}

/** By what the target was when it was committed, whatever is configured since. */
export function commitmentOf(config: MigrationConfig, { committed, target }: Assessment): "none" | "kept" | "released" {
    if (!committed || (target?.disposable ?? config.disposable)) return "none";
    return target?.state === "released" ? "released" : "kept";
}

/**
 * What forbids to go on, before anything is declared.
 *
 * @throws MigrationError SM-E0300 for findings that block what is declared, SM-E1501 for a way back over the commit, SM-E1502 for
 *     another run after it
 */
export function refuseIfBlocked(config: MigrationConfig, assessment: Assessment): void {
    if (commitmentOf(config, assessment) !== "none") {
        if (config.run !== undefined && config.run !== assessment.runId)
            throw new MigrationError("SM-E1502", {
                where: `config run, ${config.run}`,
                found: `run ${assessment.runId} is committed`,
                expected: `${assessment.runId}, or no config run at all`,
                changed: "nothing",
            });
        if (!reaches(config.phase, "cutover"))
            throw new MigrationError("SM-E1501", {
                where: `phase ${config.phase}, run ${assessment.runId}`,
                found: "the target of this run is committed",
                expected: "phase cutover or finish",
            });
    }
    // What is committed has to be finished, whatever a source that must never serve again looks like.
    if (assessment.errors === 0 || assessment.committed || !reaches(config.phase, "stage")) return;
    const blocking = assessment.findings.filter(({ severity }) => severity === "error");
    throw new MigrationError("SM-E0300", {
        where: `phase ${config.phase}, homeserver ${config.serverName}`,
        found: [
            `${assessment.errors} blocking findings`,
            ...blocking.map(({ id, evidence, fix }) => `${id} ${evidence}\n  fix: ${fix}`),
        ].join("\n"),
        expected: "none",
    });
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** The value of an output that holds nothing but configuration, which is known in a preview, too. */
function settled(output: pulumi.Output<string>): Promise<string> {
    return new Promise((resolve) => {
        output.apply(resolve);
    });
}
