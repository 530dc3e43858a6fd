/** Reads the source and the place the target will have, and says what a migration would meet. Changes nothing. */
import { dirname, join } from "node:path";
import { z } from "zod";
import type { AssessmentCheck, AssessmentContext } from "../../engine/assess/check.ts";
import { clockChecks } from "../../engine/assess/clockChecks.ts";
import { configurationCheckId, configurationFindings } from "../../engine/assess/configurationCheck.ts";
import { constraintChecks } from "../../engine/assess/constraintChecks.ts";
import { replicationChecks } from "../../engine/assess/replicationChecks.ts";
import { copyChecks } from "../../engine/assess/serverCopyChecks.ts";
import { databaseChecks } from "../../engine/assess/databaseChecks.ts";
import { fenceChecks } from "../../engine/assess/fenceChecks.ts";
import { identityChecks } from "../../engine/assess/identityChecks.ts";
import { indexChecks } from "../../engine/assess/indexChecks.ts";
import { keyChecks } from "../../engine/assess/keyChecks.ts";
import { machineChecks } from "../../engine/assess/machineChecks.ts";
import { mediaRepoChecks } from "../../engine/assess/mediaRepoChecks.ts";
import { assessBundle } from "../../engine/assess/bundleAssessment.ts";
import { conclude, documentedFindings, shown } from "../../engine/assess/conclusion.ts";
import { serviceUserCheckId, serviceUserFindings } from "../../engine/assess/serviceUserCheck.ts";
import { serverVersion } from "../../engine/assess/serverVersion.ts";
import { mediaFileChecks } from "../../engine/assess/mediaFileChecks.ts";
import { mediaStorageChecks } from "../../engine/assess/mediaStorageChecks.ts";
import { targetChecks } from "../../engine/assess/targetChecks.ts";
import { findingsOfUnmade, isCancelled } from "../../engine/assess/cancelled.ts";
import { readSizes } from "../../engine/assess/sizes.ts";
import { pinnedRun, sourceFingerprint } from "../../engine/runIdentity/runIdentity.ts";
import { refuseAnother, seenTarget } from "../../engine/standing/seenTarget.ts";
import { foreseeDowntime } from "../../engine/assess/predictedDowntime.ts";
import { assessContract, type Finding } from "../../contract/index.ts";
import { writePrivateFile } from "../../engine/run/atomicFile.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { allOf } from "../../engine/run/eachOf.ts";
import { keepChoice } from "../../engine/fence/afterFailure.ts";
import { keepDeclared } from "../../engine/run/declaredPhase.ts";
import { prepareRunDirectory, runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import type { Progress } from "../../engine/run/progress.ts";
import { defineStep } from "../../engine/run/step.ts";
import { filesOfIdentity, filesOfTarget, refuseMissingFiles } from "../../engine/synapse/config/missingFiles.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import { readHomeserverSecrets } from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { installedSynapse } from "../../engine/synapse/targetVersion.ts";

type AssessSpec = z.infer<typeof assessContract.spec>;
type Assessment = z.infer<typeof assessContract.result>;

/** A preview must not take longer than ten seconds; a statement that does is cancelled and its check is listed as not run. */
const quickStatementSeconds = 1.5;
/** No check of a preview is begun after this. */
const quickBudgetSeconds = 4;
const thoroughStatementSeconds = 6 * 3600;

const serviceUserCheck: AssessmentCheck = {
    id: serviceUserCheckId,
    cost: "cheap",
    run: ({ spec }) => serviceUserFindings(spec),
};
const configurationCheck: AssessmentCheck = {
    id: configurationCheckId,
    // Importing all of Synapse takes seconds.
    cost: "thorough",
    run: configurationFindings,
};
/** What they look at is meant to differ once a run has begun, and must not stand in the way of going back. */
const checksBeforeTheRun: readonly AssessmentCheck[] = [
    ...machineChecks,
    ...replicationChecks,
    ...fenceChecks,
    ...targetChecks,
    ...clockChecks,
    ...mediaRepoChecks,
    configurationCheck,
];
/** The target comes last: a server that does not answer takes the time of nothing else in a preview. */
const allChecks: readonly AssessmentCheck[] = [
    ...machineChecks,
    serviceUserCheck,
    ...databaseChecks,
    ...indexChecks,
    ...constraintChecks,
    ...keyChecks,
    ...copyChecks,
    ...replicationChecks,
    ...identityChecks,
    ...fenceChecks,
    ...mediaRepoChecks,
    ...mediaStorageChecks,
    ...mediaFileChecks,
    ...targetChecks,
    ...clockChecks,
    configurationCheck,
];

export const assess = defineStep(assessContract, (spec, run) =>
    assessSource(
        spec,
        (evidence) => run.evidence(evidence),
        join(runDirectoryPaths(run.directory).evidence, "assess.json"),
        undefined,
        run.progress,
    ),
);

/**
 * The assessment of a preview: cheap checks only, no journal, nothing written but its evidence file. One of an `up` keeps the phase that is
 * declared, too.
 *
 * @param spec  its run directory is the one that all runs live in, unless a run id is given
 */
export async function quickAssessment(spec: AssessSpec): Promise<Assessment> {
    const runsDirectory = spec.run.id === undefined ? spec.run.directory : dirname(spec.run.directory);
    await prepareRunDirectory(runsDirectory);
    const assessment = await lookQuickly(spec, runsDirectory);
    if (spec.declares !== undefined) await keepChoice(runsDirectory, spec.sourceAfterFailure ?? "restore");
    if (spec.declares !== undefined) await keepDeclared(join(runsDirectory, assessment.runId), spec.declares);
    return assessment;
}

async function lookQuickly(spec: AssessSpec, runsDirectory: string): Promise<Assessment> {
    const evidenceFile = join(runsDirectory, "assessment.json");
    const pinned = await pinnedRun(runsDirectory, spec.run);
    const keep = (evidence: object): Promise<void> => writePrivateFile(evidenceFile, JSON.stringify(evidence));
    const target = await seenTarget(spec.targetDirectory, runsDirectory, pinned);
    // The source must never serve again and may be gone, so it is not asked any more.
    if (target.committedRun !== undefined)
        return { ...nothingRead(spec, target.committedRun, evidenceFile), ...target.seen, committed: true };
    const quick = { ...spec, quick: true, enforce: false };
    try {
        refuseAnother(target);
        return { ...(await assessSource(quick, keep, evidenceFile, pinned?.id)), ...target.seen };
    } catch (error) {
        // A preview shows what is wrong beside everything else it has to say, instead of ending with a stack trace.
        const findings = documentedFindings(error);
        await keep({ findings, notRun: allChecks.map(({ id }) => id) });
        const runId = pinned?.id ?? spec.run.id ?? "unread";
        const counts = { errors: findings.length, findings: shown(findings) };
        return { ...nothingRead(spec, runId, evidenceFile), ...counts };
    }
}

async function assessSource(
    spec: AssessSpec,
    keep: (evidence: object) => Promise<void>,
    evidenceFile: string,
    pinnedId?: string,
    progress?: Progress,
): Promise<Assessment> {
    const { source } = spec;
    if (source.kind !== "selfHosted") return assessBundle({ ...spec, source }, keep, evidenceFile, pinnedId, progress);
    const config = await readSourceConfig(source);
    const copied = spec.bundle === undefined ? filesOfTarget(config) : [];
    await refuseMissingFiles(config, [...filesOfIdentity(config), ...copied]);
    const [targetSynapse, address, secrets] = await allOf(
        installedSynapse(spec.targetPython),
        sourceAddress(source),
        readHomeserverSecrets(config),
    );
    const options = {
        step: "assess",
        readOnly: true,
        statementSeconds: spec.quick ? quickStatementSeconds : thoroughStatementSeconds,
    };
    const assessed = await withClient(address, options, async (client) => {
        const measured = await readSizes(client);
        const outcome = await runChecks({
            ...{ spec: { ...spec, source }, config, secrets, client, targetSynapse, measured },
            begun: pinnedId !== undefined,
            foreignCode: spec.foreignCode ?? [],
        });
        const [server, fingerprint] = [await serverVersion(client), await sourceFingerprint(client, config, secrets)];
        return { ...outcome, sizes: measured.sizes, server, fingerprint };
    });
    const downtime = await foreseeDowntime(spec, assessed.sizes, address);
    return conclude(spec, evidenceFile, keep, {
        runId: spec.run.id ?? pinnedId ?? assessed.fingerprint.slice(0, 8),
        serverName: config.serverName,
        findings: [...config.findings, ...secrets.findings, ...assessed.findings, downtime.finding],
        notRun: assessed.notRun,
        passed: assessed.passed,
        versions: { source: `PostgreSQL ${assessed.server.text}`, target: `Synapse ${targetSynapse.version}` },
        sizes: assessed.sizes,
        predictedDowntimeSeconds: downtime.seconds,
    });
}

/** An assessment in which no check ran. */
function nothingRead(spec: AssessSpec, runId: string, evidenceFile: string): Assessment {
    return {
        runId,
        serverName: spec.source.serverName,
        versions: {},
        sizes: { databaseBytes: 0, mediaBytes: 0, mediaFiles: 0, tables: 0 },
        predictedDowntimeSeconds: 0,
        errors: 0,
        warnings: 0,
        findings: [],
        committed: false,
        notRun: allChecks.map(({ id }) => id),
        evidenceFile,
    };
}

async function runChecks(
    context: AssessmentContext,
): Promise<{ findings: Finding[]; notRun: string[]; passed: string[] }> {
    const findings: Finding[] = [];
    const notRun: string[] = [...context.measured.notRun];
    const passed: string[] = [];
    const began = performance.now();
    for (const { id, cost, run } of allChecks) {
        const outOfTime = context.spec.quick && performance.now() - began > quickBudgetSeconds * 1000;
        const meantToDiffer = context.begun && checksBeforeTheRun.some((check) => check.id === id);
        if ((context.spec.quick && cost === "thorough") || outOfTime || meantToDiffer) {
            notRun.push(id);
            continue;
        }
        try {
            const found = await run(context);
            if (found === "not-run") {
                notRun.push(id);
                continue;
            }
            findings.push(...found);
            if (found.length === 0) passed.push(id);
        } catch (error) {
            // What keeps one from being made is as much a finding as any other, and hides none of them.
            if (!isCancelled(error)) findings.push(...findingsOfUnmade(id, error));
            notRun.push(id);
        }
    }
    return { findings, notRun, passed };
}
