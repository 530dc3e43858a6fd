/** Whether a step that is done may answer a changed specification with its old result. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { z } from "zod";
import { phases } from "../../contract/define.ts";
import { removedSecret } from "../../contract/secret.ts";
import type { RunReference } from "../../contract/shared.ts";
import { MigrationError } from "./errors.ts";
import type { JournalRecord } from "./journal.ts";
import type { AnyStep } from "./openStep.ts";
import { keptCopy } from "./ownership/keptCopy.ts";
import { readTargetRecord } from "./ownership/targetRecord.ts";
import { parseJson } from "./parseJson.ts";
import { runDirectoryPaths } from "./runDirectory.ts";
import { specChanges } from "./specChanges.ts";
import { specDigest } from "./specDigest.ts";
import { secretsIn, withoutSecrets } from "./specSecrets.ts";
import { isCommitted } from "./stepState.ts";

const manifest = z.looseObject({ version: z.string() });
/** Of this program: another one may put more into the same specification. */
export const programVersion = manifest.parse(createRequire(import.meta.url)("../../package.json")).version;

/** How fast something is done and by which programs means nothing once it is, wherever in a specification it stands. */
const means = new Set(["jobs", "bytesPerSecond", "clientDirectory", "programs", "targetPython"]);

/** Tells whether secrets are the same, and gives none away. */
export function secretsDigest(contract: Pick<Contract, "spec">, spec: unknown, keyFile: string): Promise<string> {
    return specDigest(secretsIn(contract.spec, spec), keyFile);
}

type Contract = Pick<AnyStep["contract"], "name" | "phase" | "spec" | "immaterial">;

/**
 * What matters of the difference between the specification that the step was done with and this one: paths of its fields, and "its secrets".
 *
 * Undefined where it cannot be told: the kept specification is gone, or an earlier version of the program kept less.
 *
 * Secrets do not matter once the target is committed: it has them, and an administrator may take them out of the stack's configuration.
 */
export async function materialChanges(
    contract: Contract,
    run: RunReference,
    records: readonly JournalRecord[],
    spec: unknown,
): Promise<string[] | undefined> {
    const intent = records.findLast((record) => record.step === contract.name && record.kind === "intent");
    const kept = await keptSpec(contract.name, run);
    if (intent?.program === undefined || kept === undefined) return undefined;
    const { other, oneSided } = specChanges(kept, withoutSecrets(contract.spec, spec), removedSecret);
    const sameProgram = intent.program === programVersion;
    const { immaterial = [] } = contract;
    const changed = [...other, ...(sameProgram ? oneSided : [])].filter(
        (path) => !means.has(path.split(".").at(-1) ?? "") && !immaterial.some((field) => isBelow(path, field)),
    );
    if (await committed(run, records)) return changed;
    const { digestKey } = runDirectoryPaths(run.directory);
    const sameSecrets = intent.secretsDigest === (await secretsDigest(contract, spec, digestKey));
    return sameSecrets ? changed : [...changed, "its secrets"];
}

/** Whether the path is the field's, or of something in it. */
export const isBelow = (path: string, field: string): boolean => path === field || path.startsWith(`${field}.`);

/** What cannot be made true any more, and how to get there. */
export async function changedAfterwards(
    contract: Contract,
    run: RunReference,
    records: readonly JournalRecord[],
    changed: readonly string[],
): Promise<MigrationError> {
    const before = phases[Math.max(0, phases.indexOf(contract.phase) - 1)] ?? "assess";
    const isCommittedNow = await committed(run, records);
    return new MigrationError("SM-E0717", {
        where: `step ${contract.name}, ${runDirectoryPaths(run.directory).journal}`,
        found: `another value of ${changed.join(", ")}`,
        expected: "what the step was done with",
        fix: isCommittedNow
            ? "set it back: since the commit the step is not done again"
            : `set it back; or declare phase \`${before}\`, which takes the step back, and then this one again`,
        changed: "nothing",
    });
}

async function committed({ target }: RunReference, records: readonly JournalRecord[]): Promise<boolean> {
    if (isCommitted(records)) return true;
    const record = target === undefined ? undefined : await readTargetRecord(target);
    return record !== undefined && record.state !== "held";
}

/** Of the run, which `finish` removes, or beside the target. */
async function keptSpec(step: string, { directory, target }: RunReference): Promise<unknown> {
    for (const place of [directory, ...(target === undefined ? [] : [keptCopy(target)])]) {
        const file = join(runDirectoryPaths(place).specs, `${step}.json`);
        const text = await readFile(file, "utf8").catch(() => undefined);
        if (text !== undefined) return parseJson(text);
    }
    return undefined;
}
