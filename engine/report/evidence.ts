/** Reads what steps left as evidence: the parts whose shape is known, whatever else is in the files. */
import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { check, count, finding, type Check, type Finding } from "../../contract/index.ts";

/** A file larger than this is not evidence anybody reads. */
const largestFile = 64 * 1024 * 1024;

const rows = z.union([
    count,
    z
        .string()
        .regex(/^\d{1,15}$/)
        .transform(Number),
]);
const hash = z.union([z.string(), z.number()]).transform(String);
const known = <T>(shape: z.ZodType<T>) => shape.optional().catch(undefined);
/** A comparison names both sides; the manifest of a dump has `schema`, `rows` and `hash` of the source alone. */
const tableEvidence = z
    .object({
        name: known(z.string()),
        table: known(z.string()),
        schema: known(z.string()),
        rows: known(rows),
        hash: known(hash),
        sourceRows: known(rows),
        targetRows: known(rows),
        sourceHash: known(hash),
        targetHash: known(hash),
        /** Emptied in the target on purpose, and found so. */
        emptied: known(z.boolean()),
        /** Rows that the target has beyond those of the source, and is meant to have. */
        added: known(count),
        equal: known(z.boolean()),
    })
    .transform(({ name, table, schema, rows, hash, sourceRows, sourceHash, ...seen }, context) => {
        const full = table ?? (schema === undefined || name === undefined ? name : `${schema}.${name}`);
        if (full !== undefined)
            return { ...seen, name: full, sourceRows: sourceRows ?? rows, sourceHash: sourceHash ?? hash };
        context.addIssue({ code: "custom", message: "a table without a name" });
        return z.NEVER;
    });
export type TableEvidence = z.infer<typeof tableEvidence>;

export interface StepEvidence {
    readonly step: string;
    readonly checks: readonly Check[];
    readonly findings: readonly Finding[];
    readonly tables: readonly TableEvidence[];
    readonly versions: Readonly<Record<string, string>>;
    /** Why the file, or entries in it, could not be used. */
    readonly unread: readonly string[];
}

/** Evidence of all steps, ordered by name. A directory that is not there is no evidence. */
export async function readEvidence(directory: string): Promise<StepEvidence[]> {
    const names = await readdir(directory).catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
        throw error;
    });
    const files = names.filter((name) => name.endsWith(".json")).sort();
    return Promise.all(files.map((name) => readEvidenceFile(join(directory, name))));
}

async function readEvidenceFile(path: string): Promise<StepEvidence> {
    const step = basename(path, ".json");
    try {
        return parseEvidence(step, JSON.parse(await readBounded(path)));
    } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        return { step, checks: [], findings: [], tables: [], versions: {}, unread: [reason] };
    }
}

async function readBounded(path: string): Promise<string> {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
        const { size } = await file.stat();
        if (size > largestFile) throw new Error(`it has ${size} bytes, more than the ${largestFile} that are read`);
        return await file.readFile("utf8");
    } finally {
        await file.close();
    }
}

/** Takes the conventional fields of one step's evidence; entries that do not fit are counted, never guessed. */
function parseEvidence(step: string, value: unknown): StepEvidence {
    const fields = z.record(z.string(), z.unknown()).safeParse(value).data ?? {};
    const unread: string[] = [];
    const list = <T>(name: string, shape: z.ZodType<T>): T[] => {
        const entries = fields[name];
        if (!Array.isArray(entries)) return [];
        const fitting = entries.flatMap((entry: unknown) => shape.safeParse(entry).data ?? []);
        if (fitting.length < entries.length) {
            unread.push(
                `${entries.length - fitting.length} of ${entries.length} entries in "${name}" have another shape`,
            );
        }
        return fitting;
    };
    return {
        step,
        // Unknown keys beside the three known ones are dropped instead of failing the entry.
        checks: [
            ...list("checks", z.object(check.shape)),
            // The assessment lists ids: what a check found is a finding.
            ...list("passed", z.string()).map((id) => ({
                id,
                state: "passed" as const,
                evidence: "nothing was found",
            })),
            ...list("notRun", z.string()).map((id) => ({
                id,
                state: "not-run" as const,
                evidence: "the step left it out",
            })),
        ],
        findings: list("findings", z.object(finding.shape)),
        tables: list("tables", tableEvidence),
        versions: z.record(z.string(), z.string()).safeParse(fields["versions"]).data ?? {},
        unread,
    };
}
