/** Run directories as the steps leave them, with fixed instants, for the tests of the report. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JournalRecord } from "../../../engine/run/journal.ts";

/** What a test says of a record; the rest follows. */
export type Line = Pick<JournalRecord, "step" | "kind"> &
    Partial<JournalRecord> & {
        /** Seconds after the first moment of the run. */
        readonly after: number;
    };

const phaseOf: Readonly<Record<string, string>> = {
    assess: "assess",
    "guard-stage": "stage",
    secrets: "stage",
    database: "stage",
    "media-storage": "stage",
    configure: "stage",
    gateway: "stage",
    "media-early": "stage",
    commit: "cutover",
    open: "cutover",
};
const begin = Date.parse("2026-11-21T10:00:00.000Z");
export const instantAfter = (seconds: number): string => new Date(begin + seconds * 1000).toISOString();

/** Records with a valid chain, in the order in which steps that run at the same time would write them. */
export function journal(lines: readonly Line[]): JournalRecord[] {
    let previous = "0".repeat(64);
    const inOrder = [...lines].sort((a, b) => a.after - b.after);
    return inOrder.map(({ after, ...line }, index) => {
        const body = {
            seq: index + 1,
            at: instantAfter(after),
            phase: phaseOf[line.step] ?? "migrate",
            ...line,
            previous,
        };
        const sorted = Object.fromEntries(Object.entries(body).sort(([a], [b]) => (a < b ? -1 : 1)));
        const hash = createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
        previous = hash;
        return { ...body, hash };
    });
}

export interface RunFixture {
    readonly directory: string;
    readonly remove: () => Promise<void>;
}

/** Writes a run directory. Evidence given as a string is written as it is. */
export async function runDirectory(
    lines: readonly Line[],
    evidence: Readonly<Record<string, unknown>>,
): Promise<RunFixture> {
    const directory = await mkdtemp(join(tmpdir(), "report-test-"));
    await mkdir(join(directory, "evidence"));
    await writeFile(
        join(directory, "journal.jsonl"),
        journal(lines)
            .map((record) => `${JSON.stringify(record)}\n`)
            .join(""),
    );
    for (const [step, content] of Object.entries(evidence)) {
        await writeFile(
            join(directory, "evidence", `${step}.json`),
            typeof content === "string" ? content : JSON.stringify(content),
        );
    }
    return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
}

/** A step that was done at once. */
export const done = (step: string, after: number, seconds: number, result: unknown = {}): Line[] => [
    { step, kind: "intent", after },
    { step, kind: "done", after: after + seconds, seconds, result },
];

export const failed = (step: string, after: number, seconds: number, code: string, message: string): Line[] => [
    { step, kind: "intent", after },
    { step, kind: "failed", after: after + seconds, seconds, error: { code, message } },
];

export const undone = (step: string, after: number, seconds: number): Line[] => [
    { step, kind: "undo", after },
    { step, kind: "undone", after: after + seconds, seconds },
];

const digest = "5f".repeat(32);
const media = { files: 1284, bytes: 734_003_200, copied: 1284, treeDigest: digest, missing: 0, orphans: 2, checks: [] };

export const assessment = {
    runId: "a1b2c3",
    serverName: "example.org",
    versions: { "Synapse, source": "1.163.2", "PostgreSQL, source": "15.18", "Schema version": "94" },
    sizes: { databaseBytes: 763_363_328, mediaBytes: 734_003_200, mediaFiles: 1284, tables: 4 },
    predictedDowntimeSeconds: 48,
    errors: 0,
    warnings: 1,
    findings: [],
    committed: false,
    notRun: ["rows-break-index"],
    evidenceFile: "/evidence.json",
};

/** Assess and stage, an hour before the migration itself. */
export const staged: Line[] = [
    ...done("assess", 0, 3.2, assessment),
    ...done("guard-stage", 4, 0.01),
    ...done("secrets", 4.2, 0.6),
    ...done("database", 4.3, 2.9),
    ...done("media-storage", 4.4, 0.1),
    ...done("configure", 7.5, 1.1, { baseUrl: "http://127.0.0.1:8008" }),
    ...done("gateway", 8.8, 0.4, { url: "https://matrix.example.org" }),
    ...done("media-early", 5, 9.7, media),
];

const cutOver = 3600;
export const fenced: Line[] = done("fence", cutOver, 4.1, {
    token: digest,
    fencedAt: instantAfter(cutOver + 1.4),
    stillSeconds: 2,
    sessionsEnded: 7,
});

/** From the fence to the open gateway; the restore needs a second attempt, the probe was killed once. */
export const migrated: Line[] = [
    ...staged,
    ...fenced,
    ...done("dump", cutOver + 4.3, 8.4),
    ...done("media-final", cutOver + 4.5, 2.2, { ...media, copied: 3 }),
    ...done("safeguard", cutOver + 12.8, 0.2),
    ...failed(
        "restore",
        cutOver + 13.1,
        5.6,
        "SM-E1101",
        "SM-E1101 a program that a step needs failed: pg_restore ended with exit code 1",
    ),
    ...done("restore", cutOver + 21, 11.9),
    ...done("verify", cutOver + 33, 4.4, {
        proof: digest,
        tables: 4,
        rows: 120_345,
        passed: 3,
        warnings: [],
        notRun: [],
    }),
    ...done("swap", cutOver + 37.5, 0.3),
    ...done("start", cutOver + 37.9, 6.3),
    { step: "probe", kind: "intent", after: cutOver + 44.3 },
    { step: "probe", kind: "action", action: "login", after: cutOver + 45.1 },
    ...done("probe", cutOver + 48, 2.8, {
        proof: digest,
        passed: 6,
        warnings: [],
        notRun: [{ id: "guest-token-macaroon", state: "not-run", evidence: "the source does not allow guests" }],
    }),
    ...done("commit", cutOver + 51, 0.2),
    ...done("open", cutOver + 51.4, 0.8, { openedAt: instantAfter(cutOver + 52.1), checks: [] }),
];

export const evidence: Record<string, object> = {
    assess: {
        checks: [{ id: "server-name-of-all-users", state: "passed", evidence: "all 214 users are on example.org" }],
        findings: [
            {
                id: "SM-W0507",
                severity: "warning",
                evidence: "2 of the media files are in no database row",
                fix: "delete them before the migration, or leave them",
            },
            {
                id: "SM-I0704",
                severity: "info",
                evidence: "the source runs 2 workers; the target runs none",
                fix: "add workers after the cut-over",
            },
        ],
    },
    fence: {
        checks: [
            { id: "service-stopped", state: "passed", evidence: "the process has ended and nothing took its place" },
            { id: "exclusive-lock", state: "passed", evidence: "an exclusive lock on every table was granted at once" },
        ],
        watermarks: { ignored: 1 },
    },
    verify: {
        checks: [
            { id: "database-rows", state: "passed", evidence: "120 345 rows in 4 tables" },
            { id: "media.complete", state: "passed", evidence: "1284 media, each with its file" },
            { id: "sequences", state: "passed", evidence: "25 sequences, none behind" },
            { id: "collation", state: "warning", evidence: "the source had en_US.UTF-8" },
            { id: "remote-media", state: "not-run", evidence: "the remote cache was left behind" },
        ],
        tables: [
            {
                name: "events",
                sourceRows: 101_200,
                targetRows: 101_200,
                sourceHash: "-8843200912345678901234",
                targetHash: "-8843200912345678901234",
            },
            { name: "users", sourceRows: 214, targetRows: "214", sourceHash: "991234", targetHash: "991234" },
            { name: "devices", sourceRows: 831, targetRows: 831, sourceHash: "-17", targetHash: "-17" },
            { name: "event_json", sourceRows: 18_100, targetRows: 18_100, sourceHash: "4", targetHash: "4" },
        ],
        versions: { "PostgreSQL, target": "15.18" },
    },
    probe: {
        checks: [
            { id: "server-keys", state: "passed", evidence: "ed25519:a_AbCd, as before" },
            ...["old-access-token", "old-sync-token", "known-event", "known-media", "password-pepper"].map((id) => ({
                ...{ id, state: "passed", evidence: "what the test account left is there" },
            })),
        ],
    },
};

export const environment = {
    source: "Synapse 1.163.2, self-hosted",
    target: "local",
    plugins: "offline",
    "Pulumi CLI": "3.250.0",
};
