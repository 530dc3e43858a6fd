/** A plan for people. */
import type { TablesPlan } from "./plan.ts";

type PlannedTable = TablesPlan["tables"][number];

export function planMarkdown(plan: TablesPlan): string {
    const { database, sideSchema, backup, replace, tables, refusals, madeAt } = plan;
    return [
        `# Tables of a backup into ${code(database)}`,
        "",
        `Made at ${madeAt}. The backup's rows are in the schema ${code(sideSchema)}.`,
        "",
        ...backup.files.map(({ path, bytes, sha256 }) => `- ${code(path)}, ${bytes} bytes, sha-256 ${code(sha256)}`),
        "",
        ...(refusals.length === 0 ? [] : refusalLines(refusals)),
        "| table | only in the backup | only live | different | same | to insert | to replace |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ...tables.map(
            ({ difference: { table, onlyBackup, onlyLive, different, same }, inserts, replaces }) =>
                `| ${cell(table)} | ${onlyBackup.rows} | ${onlyLive.rows} | ${different.rows} | ${same} | ${inserts} | ${replaces} |`,
        ),
        "",
        replace
            ? "Rows that differ take the backup's values. Nothing is deleted."
            : "Rows that differ stay as they are. Nothing is deleted.",
        "Rows that were deleted on purpose after the backup come back as well: look at the keys below.",
        "",
        ...tables.flatMap(tableLines),
    ].join("\n");
}

function refusalLines(refusals: TablesPlan["refusals"]): string[] {
    return [
        "## It must not be applied",
        "",
        ...refusals.flatMap(({ code: errorCode, where, found }) => [
            `- ${errorCode}: ${cell(where)}`,
            ...found.split("\n").map((line) => `    ${cell(line)}`),
        ]),
        "",
    ];
}

function tableLines({ difference }: PlannedTable): string[] {
    const { table, key, onlyBackup, onlyLive, different, differingColumns } = difference;
    const { columnsOnlyBackup, columnsOnlyLive } = difference;
    const differing = Object.entries(differingColumns).map(([column, rows]) => `${column} (${rows})`);
    return [
        `## ${cell(table)}`,
        "",
        key.length === 0
            ? "It has no key: whole rows are compared, and counted as often as they are there."
            : `Rows are told apart by ${key.map(code).join(", ")}.`,
        "",
        ...(differing.length === 0
            ? []
            : [`Columns that differ, in how many rows: ${differing.map(cell).join(", ")}.`, ""]),
        ...(columnsOnlyBackup.length === 0
            ? []
            : [`Columns of the backup that are not restored: ${columnsOnlyBackup.map(code).join(", ")}.`, ""]),
        ...(columnsOnlyLive.length === 0
            ? []
            : [
                  `Columns that the backup lacks, which take their defaults: ${columnsOnlyLive.map(code).join(", ")}.`,
                  "",
              ]),
        ...sampleLines("Only in the backup", onlyBackup),
        ...sampleLines("Only live", onlyLive),
        ...sampleLines("Different", different),
    ];
}

function sampleLines(title: string, { rows, samples }: { rows: number; samples: readonly string[] }): string[] {
    if (rows === 0) return [];
    const more = rows > samples.length ? [`- … ${rows - samples.length} more`] : [];
    return [`${title}:`, "", ...samples.map((sample) => `- ${code(sample)}`), ...more, ""];
}

/** Values come from a database that strangers write to: nothing of them is markup, and none breaks out of its line. */
function cell(text: string): string {
    return oneLine(text).replace(/[\\`*_{}[\]<>()#|!~&]/g, "\\$&");
}

function code(text: string): string {
    const line = oneLine(text).replaceAll("|", "\\|");
    const longest = Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length));
    const fence = "`".repeat(longest + 1);
    return longest === 0 ? `\`${line}\`` : `${fence} ${line} ${fence}`;
}

const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "�");
