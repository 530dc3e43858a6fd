/** A result for each step, as its contract describes it, so that a graph can be declared without doing anything. */
import * as contracts from "../../contract/index.ts";
import type { Assessment } from "../../components/assessment.ts";

const digest = (letter: string): string => letter.repeat(64);
const instant = "2026-11-21T12:00:00.000Z";

/** Of a migration without findings, at its very beginning. */
export const assessment: Assessment = {
    runId: "r1",
    serverName: "example.org",
    versions: { "source synapse": "1.163.2", "source postgresql": "15.18" },
    sizes: { databaseBytes: 1_000_000, mediaBytes: 2_000_000, mediaFiles: 12, tables: 170 },
    predictedDowntimeSeconds: 42,
    errors: 0,
    warnings: 0,
    findings: [],
    committed: false,
    notRun: [],
    evidenceFile: "/srv/work/runs/r1/evidence/assess.json",
};

const media = {
    files: 12,
    bytes: 2_000_000,
    copied: 12,
    treeDigest: digest("a"),
    missing: 0,
    orphans: 0,
    checks: [],
};

const exported = (section: string) => ({
    sectionFile: `/srv/work/runs/r1/export-${section}.json`,
    sectionDigest: digest("7"),
    files: 1,
    bytes: 1_000_000,
    seconds: 3,
});

const results: Readonly<Record<string, unknown>> = {
    assess: assessment,
    "guard-stage": { guards: "stage" },
    "guard-migrate": { guards: "migrate" },
    "guard-cutover": { guards: "cutover" },
    secrets: {
        signingKeyFile: "/srv/target/signing.key",
        secretsFile: "/srv/target/secrets.yaml",
        verifyKeys: { "ed25519:a_AbCd": "Y2FuIGJlIHJlYWQgYnkgZXZlcnlib2R5" },
    },
    database: {
        database: {
            host: "127.0.0.1",
            port: 5433,
            name: "synapse",
            owner: "synapse",
            ownerPasswordFile: "/srv/target/postgres/owner",
            admin: "postgres",
            adminPasswordFile: "/srv/target/postgres/admin",
            clientDirectory: "/usr/lib/postgresql/15/bin",
        },
        serverVersion: "15.18",
        managed: true,
    },
    "installed-database": {
        database: {
            host: "/var/run/postgresql",
            port: 5432,
            name: "synapse",
            owner: "matrix-synapse",
            admin: "postgres",
            clientDirectory: "/usr/lib/postgresql/15/bin",
        },
        serverVersion: "15.18",
    },
    "place-media-early": { files: 12, bytes: 2_000_000, sent: 12 },
    vacate: { vacatedAt: instant, ran: true },
    "place-media": { files: 12, bytes: 2_000_000, sent: 0 },
    identity: { written: ["/etc/matrix-synapse/conf.d/zz-synapse-migration.yaml"], digest: digest("1") },
    "start-installed": {
        baseUrl: "https://matrix.example.org",
        version: "1.163.2",
        startedAt: instant,
        healthySeconds: 5,
    },
    "open-installed": { openedAt: instant, checks: [], url: "https://matrix.example.org" },
    "media-storage": { mediaStore: "/srv/target/media_store" },
    "media-early": media,
    "media-final": { ...media, copied: 0 },
    configure: {
        configFiles: ["/srv/target/homeserver.yaml", "/srv/target/secrets.yaml"],
        pidFile: "/srv/target/homeserver.pid",
        logFile: "/srv/target/homeserver.log",
        baseUrl: "http://127.0.0.1:18008",
        digest: digest("b"),
        notCarried: [],
    },
    gateway: { url: "http://127.0.0.1:18009", directory: "/srv/target/gateway", pidFile: "/srv/target/gateway/pid" },
    canary: { canaryFile: "/srv/work/runs/r1/canary.json", userId: "@canary:example.org", notLeft: [] },
    fence: { token: digest("c"), fencedAt: instant, stillSeconds: 2, sessionsEnded: 3 },
    dump: {
        directory: "/srv/work/runs/r1/dump",
        manifestFile: "/srv/work/runs/r1/dump.manifest.json",
        manifestDigest: digest("d"),
        tables: 170,
        rows: 1000,
        bytes: 1_000_000,
        seconds: 3,
    },
    safeguard: { previous: "empty" },
    restore: { incoming: "synapse_incoming_r1", tables: 170, rows: 1000, oneTimeKeys: "kept", seconds: 4 },
    copy: {
        incoming: "synapse_incoming_r1",
        manifestFile: "/srv/work/runs/r1/copy-manifest.json",
        manifestDigest: digest("4"),
        tables: 170,
        rows: 1000,
        bytes: 900_000,
        oneTimeKeys: "kept",
        seconds: 4,
    },
    follow: {
        incoming: "synapse_incoming_r1",
        slot: "synapse_migration_r1",
        publication: "synapse_migration_r1",
        digest: digest("3"),
        tables: 170,
        rows: 1000,
        bytes: 900_000,
        seconds: 4,
        identities: 121,
        lagSeconds: 0.3,
        lagBytes: 0,
        findings: [],
    },
    settle: { lagSeconds: 0.3, lagBytes: 0 },
    "catch-up": {
        incoming: "synapse_incoming_r1",
        manifestFile: "/srv/work/runs/r1/replication-manifest.json",
        manifestDigest: digest("2"),
        oneTimeKeys: "kept",
        position: "0/1A2B3C4",
        parts: { "last change": 0.3 },
        checks: [],
        left: [],
    },
    "take-file": { file: "/srv/work/runs/r1/taken-file/homeserver.db", bytes: 1_000_000, seconds: 1 },
    import: {
        incoming: "synapse_incoming_r1",
        manifestFile: "/srv/work/runs/r1/import-manifest.json",
        manifestDigest: digest("9"),
        tables: 170,
        rows: 1000,
        oneTimeKeys: "emptied",
        lossWindowSeconds: 3600,
        seconds: 4,
    },
    "import-media": { ...media, treeDigest: digest("8"), rowsAdded: 3 },
    "hand-media": {
        manifestFile: "/srv/work/runs/r1/handed-media.json",
        manifestDigest: digest("4"),
        config: "/etc/media-repo.yaml",
        media: 12,
        bytes: 2_000_000,
        imported: 12,
        servedAgain: 0,
        checks: [],
        seconds: 5,
    },
    verify: { proof: digest("e"), tables: 170, rows: 1000, passed: 20, warnings: [], notRun: [] },
    swap: { name: "synapse", previous: "synapse_previous_r1", swappedAt: instant },
    start: { baseUrl: "http://127.0.0.1:18008", version: "1.163.2", startedAt: instant, healthySeconds: 5 },
    probe: { proof: digest("f"), passed: 10, warnings: [], notRun: [] },
    "purge-remote-media": {
        purged: 5,
        withoutFile: 0,
        quarantined: 1,
        askedAs: "temporary account",
        checks: [],
        seconds: 2,
    },
    commit: { committedAt: instant },
    open: { openedAt: instant, downtimeSeconds: 40, checks: [] },
    "clear-traces": { removed: 5, left: 0 },
    cleanup: { removedBytes: 1_000_000, removedDatabases: ["synapse_previous_r1"] },
    "prepare-bundle": {
        directory: "/srv/bundle",
        verifyKeys: { "ed25519:a_AbCd": "Y2FuIGJlIHJlYWQgYnkgZXZlcnlib2R5" },
    },
    "export-database": { ...exported("database"), tables: 170, rows: 1000 },
    "export-media": { ...exported("media"), media: 12, longestBytes: 2_000_000 },
    "export-config": exported("configuration"),
    "seal-bundle": {
        manifestFile: "/srv/bundle/manifest.json",
        manifestDigest: digest("5"),
        files: 7,
        bytes: 3_000_000,
    },
    "verify-bundle": { proof: digest("6"), passed: 7, warnings: [], notRun: [] },
    "hand-over": { handedOverAt: instant },
    "clear-export": { removedBytes: 4000 },
    report: {
        json: "/srv/reports/r1/report.json",
        markdown: "/srv/reports/r1/report.md",
        html: "/srv/reports/r1/report.html",
    },
};

type AnyContract = Pick<contracts.StepContract<unknown, unknown>, "name" | "phase" | "version" | "spec" | "result">;

/** All contracts, by step name. */
export const contractsByStep: ReadonlyMap<string, AnyContract> = new Map(
    Object.values(contracts)
        .filter((value): value is AnyContract & typeof value => typeof value === "object" && "result" in value)
        .map((contract) => [contract.name, contract]),
);

/** What the step would print. */
export function stepOutput(step: string): string {
    const contract = contractsByStep.get(step);
    if (contract === undefined) throw new Error(`there is no step ${step}`);
    return JSON.stringify(contract.result.parse(results[step]));
}
