/** The assessment of a source that comes as files. */
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import type { z } from "zod";
import { readInputEvidence, type InputEvidence } from "../bundle/input/inputEvidence.ts";
import { registerUnlocking } from "../bundle/input/unlocking.ts";
import type { assessContract, Finding } from "../../contract/index.ts";
import type { Progress } from "../run/progress.ts";
import { filesOfTarget, refuseMissingFiles } from "../synapse/config/missingFiles.ts";
import { readSourceConfig } from "../synapse/config/sourceConfig.ts";
import { installedSynapse } from "../synapse/targetVersion.ts";
import { bundleChecks, type AssessSpec, type BundleContext } from "./bundleChecks.ts";
import { findingsOfUnmade } from "./cancelled.ts";
import { conclude, documentedFindings } from "./conclusion.ts";
import { foreseeDowntime } from "./predictedDowntime.ts";
import { notRead } from "./mediaStorageChecks.ts";
import { importedRuns } from "../runIdentity/importedRun.ts";

type Assessment = z.infer<typeof assessContract.result>;

/** A preview shows no progress. */
const quiet: Progress = { say: () => undefined, note: () => undefined, during: (_title, work) => work() };

/**
 * Once a run has loaded the bundle, its files are not looked at any more: they may be gone, and must not stand in the way of going on, or
 * back.
 *
 * @throws MigrationError those of {@link readSourceConfig}; SM-E0931 for a file that is not there, unless one run has loaded it
 */
export async function assessBundle(
    spec: AssessSpec,
    keep: (evidence: object) => Promise<void>,
    evidenceFile: string,
    pinnedId: string | undefined,
    progress: Progress = quiet,
): Promise<Assessment> {
    registerUnlocking(spec);
    const { source, run } = spec;
    const config = await readSourceConfig(source);
    const targetSynapse = await installedSynapse(spec.targetPython);
    const imported = await importedRuns(run.id === undefined ? run.directory : dirname(run.directory));
    const files = await measuredFiles(spec, imported);
    const runId = run.id ?? pinnedId ?? files.runId;
    const known: BundleContext["known"] = { databaseBytes: 0, tables: 0, version: undefined };
    const context: BundleContext = {
        ...{ spec, targetSynapse, progress, known, media: files.media, config },
        // The directory of a run that has not begun is not there in a preview.
        workDirectory: spec.quick ? dirname(evidenceFile) : run.directory,
    };
    const missing = await refuseMissingFiles(config, filesOfTarget(config)).then(() => [], documentedFindings);
    const findings: Finding[] = [...config.findings, ...missing, ...notRead(config.sections)];
    const [notRun, passed]: [string[], string[]] = [[], []];
    for (const { id, cost, beforeImport, run: check } of bundleChecks) {
        if ((spec.quick && cost === "thorough") || (beforeImport && imported.includes(runId))) {
            notRun.push(id);
            continue;
        }
        const found = await check(context).catch((error: unknown) => findingsOfUnmade(id, error));
        if (found === "not-run") {
            notRun.push(id);
            continue;
        }
        findings.push(...found);
        if (found.length === 0) passed.push(id);
    }
    const sizes = {
        databaseBytes: known.databaseBytes,
        mediaBytes: sum(files.media.map(({ bytes }) => bytes)),
        mediaFiles: sum(files.media.map((input) => input.files)),
        tables: known.tables,
    };
    const downtime = await foreseeDowntime(spec, sizes, undefined);
    findings.push(downtime.finding);
    return conclude(spec, evidenceFile, keep, {
        ...{ runId, serverName: source.serverName, findings, notRun, passed, sizes, inputs: files.all },
        versions: {
            source: [`files of ${source.kind}`, ...(known.version === undefined ? [] : [known.version])].join(", "),
            target: `Synapse ${targetSynapse.version}, schema ${targetSynapse.schema}`,
        },
        predictedDowntimeSeconds: downtime.seconds,
    });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** Other files are another source, and another run; files that are gone are those of the one run that has loaded them. */
async function measuredFiles(
    { source }: AssessSpec,
    imported: readonly string[],
): Promise<{ all: readonly InputEvidence[]; media: readonly InputEvidence[]; runId: string }> {
    try {
        const database = await Promise.all(source.database.map(readInputEvidence));
        const media = await Promise.all((source.media ?? []).map(readInputEvidence));
        const all = [...database, ...media];
        return { all, media, runId: fingerprint(source.serverName, all).slice(0, 8) };
    } catch (error) {
        const [only, ...others] = imported;
        if (only === undefined || others.length > 0) throw error;
        return { all: [], media: [], runId: only };
    }
}

/** Other files are another source, and another run. */
function fingerprint(serverName: string, inputs: readonly InputEvidence[]): string {
    return createHash("sha256")
        .update(JSON.stringify([serverName, inputs.map(({ path, digest }) => [basename(path), digest])]))
        .digest("hex");
}
