/** The sweep's table: what was damaged, which layer found it, and what nothing found. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeDamage, type Damage } from "./damages.ts";
import { layerOf, type Verdict } from "./verdict.ts";

export interface Tried {
    readonly damage: Damage;
    readonly verdict: Verdict;
}

export interface Swept {
    readonly artefact: string;
    readonly seconds: number;
    readonly tries: readonly Tried[];
}

interface Row {
    readonly artefact: string;
    readonly damages: number;
    readonly flips: number;
    /** Code, or the place it came from -> damages. */
    readonly foundBy: Readonly<Record<string, number>>;
    readonly benign: number;
    /** What nothing in the artefact tells -> damages. */
    readonly undetectable: Readonly<Record<string, number>>;
    readonly notFound: readonly { readonly damage: string; readonly read: string }[];
}

export function rowOf({ artefact, tries }: Swept): Row {
    return {
        artefact,
        damages: tries.length,
        flips: tries.filter(({ damage }) => damage.kind === "flip").length,
        foundBy: counted(tries, ({ verdict }) =>
            verdict.kind === "found" ? `${layerOf(verdict.by)} (${verdict.by})` : undefined,
        ),
        benign: tries.filter(({ verdict }) => verdict.kind === "benign").length,
        undetectable: counted(tries, ({ verdict }) => (verdict.kind === "undetectable" ? verdict.what : undefined)),
        notFound: tries.flatMap(({ damage, verdict }) =>
            verdict.kind === "missed" ? [{ damage: describeDamage(damage), read: verdict.read }] : [],
        ),
    };
}

const heads = [
    "artefact",
    "damages",
    "found by",
    "benign: same content",
    "not detectable in the artefact",
    "NOT FOUND",
];

/** Markdown. */
export function tableOf(swept: readonly Swept[]): string {
    const rows = swept.map(rowOf);
    const lines = rows.map((row) => [
        row.artefact,
        `${row.damages} (${row.flips} flips, ${row.damages - row.flips} cuts)`,
        listed(row.foundBy),
        String(row.benign),
        listed(row.undetectable),
        String(row.notFound.length),
    ]);
    const table = [heads, heads.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
    const unprotected = rows.reduce((sum, row) => sum + Object.values(row.undetectable).reduce((a, b) => a + b, 0), 0);
    const misses = rows.flatMap(({ artefact, notFound }) =>
        notFound.map(({ damage, read }) => `- ${artefact}: ${damage}: ${read}`),
    );
    const notes = [
        `${rows.reduce((sum, { damages }) => sum + damages, 0)} damages. "Benign": what was read is what was written, as bytes that mean nothing were hit.`,
        `"Not detectable in the artefact", ${unprotected} damages: rows or thumbnails of a format without checksums that are as well-formed as before. ` +
            'An SHA-256 beside the file (`sha256sum FILE > FILE.sha256`, or `SHA256SUMS`) or encryption closes it, as the rows "with SHA-256 sums" and those of `.gpg` show.',
        misses.length === 0 ? "Nothing else was left unfound." : `NOT FOUND, ${misses.length}:\n\n${misses.join("\n")}`,
    ];
    return `${table}\n\n${notes.join("\n\n")}\n`;
}

/** `corruption.json` and `corruption.md`. */
export async function writeReport(directory: string, swept: readonly Swept[]): Promise<void> {
    await mkdir(directory, { recursive: true });
    const rows = swept.map((each) => ({ ...rowOf(each), seconds: each.seconds }));
    await writeFile(join(directory, "corruption.json"), `${JSON.stringify({ format: 1, rows }, undefined, 1)}\n`);
    await writeFile(join(directory, "corruption.md"), `# Corruption sweep\n\n${tableOf(swept)}`);
}

function counted(tries: readonly Tried[], key: (tried: Tried) => string | undefined): Record<string, number> {
    const counts = new Map<string, number>();
    for (const tried of tries) {
        const name = key(tried);
        if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

function listed(counts: Readonly<Record<string, number>>): string {
    const entries = Object.entries(counts).map(([name, count]) => `${name}: ${count}`);
    return entries.length === 0 ? "0" : entries.join("; ");
}
