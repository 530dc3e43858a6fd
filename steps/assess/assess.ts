/** Reads the source and the place the target will have, and says what a migration would meet. Changes nothing. */
import { dirname, join } from "node:path";
import { z } from "zod";
import type { AssessmentCheck, SourceContext } from "../../engine/assess/check.ts";
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
import { assessSqlite } from "../../engine/assess/sqliteAssessment.ts";
import { serverVersion } from "../../engine/assess/serverVersion.ts";
import { mediaFileChecks } from "../../engine/assess/mediaFileChecks.ts";
import { mediaStorageChecks } from "../../engine/assess/mediaStorageChecks.ts";
import { installedChecks } from "../../engine/assess/installedChecks.ts";
import { targetChecks } from "../../engine/assess/targetChecks.ts";
import { runChecks } from "../../engine/assess/runChecks.ts";
import { readSizes } from "../../engine/assess/sizes.ts";
import { pinnedRun, sourceFingerprint } from "../../engine/runIdentity/runIdentity.ts";
import { refuseAnother, seenTarget } from "../../engine/standing/seenTarget.ts";
import { foreseeDowntime } from "../../engine/assess/predictedDowntime.ts";
import { assessContract } from "../../contract/index.ts";
import { writePrivateFile } from "../../engine/run/atomicFile.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { allOf } from "../../engine/run/eachOf.ts";
import { keepChoice } from "../../engine/fence/afterFailure.ts";
import { keepDeclared } from "../../engine/run/declaredPhase.ts";
import { prepareRunDirectory, runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import type { Progress } from "../../engine/run/progress.ts";
import { defineStep } from "../../engine/run/step.ts";
import { filesOfIdentity, filesOfTarget, refuseMissingFiles } from "../../engine/synapse/config/missingFiles.ts";
import { requirePostgres, type HomeserverConfig } from "../../engine/synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import { readHomeserverSecrets } from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { installedSynapse } from "../../engine/synapse/targetVersion.ts";

type AssessSpec = z.infer<typeof assessContract.spec>;
type Assessment = z.infer<typeof assessContract.result>;

/** A preview must not take longer than ten seconds; a statement that does is cancelled and its check is listed as not run. */
const quickStatementSeconds = 1.5;
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
    ...installedChecks,
    ...clockChecks,
    ...mediaRepoChecks,
    configurationCheck,
];
const idsBeforeTheRun: ReadonlySet<string> = new Set(checksBeforeTheRun.map(({ id }) => id));
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
    ...installedChecks,
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
    const [targetSynapse, secrets] = await allOf(installedSynapse(spec.targetPython), readHomeserverSecrets(config));
    const context = {
        ...{ spec: { ...spec, source }, config, secrets, targetSynapse },
        begun: pinnedId !== undefined,
        foreignCode: spec.foreignCode ?? [],
    };
    const assessed = requireCopy(spec, config) === "port" ? await assessSqlite(context) : await assessServer(context);
    const { fingerprint, downtime, findings, ...found } = assessed;
    return conclude(spec, evidenceFile, keep, {
        ...{ notRun: found.notRun, passed: found.passed, sizes: found.sizes },
        runId: spec.run.id ?? pinnedId ?? fingerprint.slice(0, 8),
        serverName: config.serverName,
        findings: [...config.findings, ...secrets.findings, ...findings, downtime.finding],
        versions: { source: found.source, target: `Synapse ${targetSynapse.version}` },
        predictedDowntimeSeconds: downtime.seconds,
    });
}

/**
 * How the rows travel fits what they are in.
 *
 * @throws MigrationError SM-E0505, SM-E0979, SM-E0704
 */
function requireCopy({ copy }: AssessSpec, config: HomeserverConfig): "port" | "server" {
    if (copy?.mode !== "port") {
        requirePostgres(config);
        return "server";
    }
    if (config.database.kind === "sqlite") return "port";
    throw new MigrationError("SM-E0979", {
        where: config.database.where,
        found: "a database of PostgreSQL",
        changed: "nothing",
    });
}

async function assessServer(context: Omit<SourceContext, "measured">) {
    const { spec, config, secrets } = context;
    const address = await sourceAddress(spec.source);
    const options = {
        step: "assess",
        readOnly: true,
        statementSeconds: spec.quick ? quickStatementSeconds : thoroughStatementSeconds,
    };
    const assessed = await withClient(address, options, async (client) => {
        const measured = await readSizes(client);
        const outcome = await runChecks(allChecks, { ...context, client, measured }, idsBeforeTheRun);
        const [server, fingerprint] = [await serverVersion(client), await sourceFingerprint(client, config, secrets)];
        return { ...outcome, sizes: measured.sizes, source: `PostgreSQL ${server.text}`, fingerprint };
    });
    return { ...assessed, downtime: await foreseeDowntime(spec, assessed.sizes, address) };
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
