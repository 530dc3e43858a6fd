/** The assessment of a homeserver that runs on an SQLite file: what a server would be asked is asked of a snapshot of the file. */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { rm } from "node:fs/promises";
import type { Finding } from "../../contract/index.ts";
import { fenceableDatabase } from "../fence/database/databaseOfSource.ts";
import { openersOf, rightsLacking, sqliteFile } from "../fence/database/sqliteDatabase.ts";
import { heldListeners, type Obstacle } from "../fence/obstacles.ts";
import { describeSourceRecord, fenceInTheWay } from "../fence/sourceRecord.ts";
import { carriedFolders } from "../media/layout.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import { openStore } from "../media/readStore.ts";
import { newScanNotes, scanStore } from "../media/scan.ts";
import { finding } from "../run/finding.ts";
import { takeSnapshot } from "../sqlite/takeFile.ts";
import { verifyKeysOf } from "../synapse/secrets/signingKey.ts";
import { sourceClock, sourceClockId, targetClock, targetClockId } from "./clockChecks.ts";
import { configurationCheckId, configurationFindings } from "./configurationCheck.ts";
import { asFinding, serviceObstacles } from "./fenceChecks.ts";
import { configuredIdentityChecks } from "./identityChecks.ts";
import type { SourceCheck, SourceContext } from "./check.ts";
import { machineChecks } from "./machineChecks.ts";
import { mediaRepoFindings } from "./mediaRepoChecks.ts";
import { mediaStorageChecks } from "./mediaStorageChecks.ts";
import { foreseeDowntime } from "./predictedDowntime.ts";
import { runChecks } from "./runChecks.ts";
import { serviceUserCheckId, serviceUserFindings } from "./serviceUserCheck.ts";
import { checkSqlite } from "./sqliteCheck.ts";
import type { ReadSizes } from "./sizes.ts";

/** Below the run directory. */
const snapshotName = "assessed-file";

/** What only the fence would meet. A rehearsal stops nothing. */
const fenceLooks: readonly SourceCheck[] = Object.entries({
    "fence-service": ({ spec }: SourceContext) => serviceObstacles(spec.source),
    "fence-listeners": ({ spec }: SourceContext) => heldListeners(spec.source),
    "fence-file": fileOpenElsewhere,
    "fence-rights": async ({ config }: SourceContext) => rightsLacking(await sqliteFile(config)),
}).map(([id, look]) => ({
    id,
    cost: "cheap",
    run: async (context) => (context.spec.rehearsal === true ? [] : (await look(context)).map(asFinding)),
}));

const checks: readonly SourceCheck[] = [
    ...machineChecks,
    { id: serviceUserCheckId, cost: "cheap", run: ({ spec }) => serviceUserFindings(spec) },
    ...configuredIdentityChecks,
    { id: "source-owner", cost: "cheap", run: fencedByAnother },
    {
        id: "given-pepper",
        cost: "cheap",
        run({ spec, secrets }) {
            const given = spec.pepper ?? (spec.signingKey === undefined ? secrets.pepper : undefined) ?? "";
            const isOther = given !== (secrets.pepper ?? "");
            return Promise.resolve(
                isOther ? [finding("SM-E0820", "the stack's pepper, or that it has none, is not the source's")] : [],
            );
        },
    },
    ...fenceLooks,
    {
        id: "media-repository",
        cost: "cheap",
        run: ({ spec, measured }) =>
            mediaRepoFindings(spec.mediaRepo, spec.source.serverName, { bytes: measured.sizes.mediaBytes }),
    },
    ...mediaStorageChecks,
    { id: sourceClockId, cost: "cheap", run: ({ spec }) => sourceClock(sourceMachine(spec.source)) },
    { id: targetClockId, cost: "cheap", run: ({ spec }) => targetClock(spec.targetServer) },
    { id: "database-content", cost: "thorough", run: contentFindings },
    { id: configurationCheckId, cost: "thorough", run: configurationFindings },
];

/** They look at what is meant to differ once a run has begun. */
const beforeTheRun: ReadonlySet<string> = new Set([
    ...machineChecks.map(({ id }) => id),
    ...fenceLooks.map(({ id }) => id),
    "media-repository",
    sourceClockId,
    targetClockId,
    "database-content",
    configurationCheckId,
]);

/** What the assessment of any running source gathers. */
export interface SqliteAssessed extends Awaited<ReturnType<typeof runChecks>> {
    readonly sizes: ReadSizes["sizes"];
    /** Names the run. */
    readonly fingerprint: string;
    readonly source: string;
    readonly downtime: Awaited<ReturnType<typeof foreseeDowntime>>;
}

/**
 * @throws MigrationError SM-E0970 where there is no file
 */
export async function assessSqlite(context: Omit<SourceContext, "measured">): Promise<SqliteAssessed> {
    const { spec, config, secrets } = context;
    const measured = await sizesOf(context);
    const outcome = await runChecks(checks, { ...context, measured }, beforeTheRun);
    const { path } = await sqliteFile(config);
    const identity = [config.serverName, path, verifyKeysOf(secrets.signingKeys)];
    return {
        ...outcome,
        sizes: measured.sizes,
        fingerprint: createHash("sha256").update(JSON.stringify(identity)).digest("hex"),
        source: "SQLite",
        downtime: await foreseeDowntime(spec, measured.sizes, undefined),
    };
}

/** A preview walks no store. */
async function sizesOf({ spec, config }: Omit<SourceContext, "measured">): Promise<ReadSizes> {
    const { machine, path } = await sqliteFile(config);
    const files = await Promise.all(["", "-wal"].map((suffix) => machine.files.stat(`${path}${suffix}`)));
    const databaseBytes = files.reduce((sum, facts) => sum + (facts?.size ?? 0), 0);
    const sizes = { databaseBytes, mediaBytes: 0, mediaFiles: 0, tables: 0 };
    if (spec.quick) return { sizes, notRun: ["media-size"] };
    const folders = carriedFolders("carry");
    const store = await openStore(config.machine, config.mediaStorePath, folders);
    for await (const { size } of scanStore(store, folders, newScanNotes())) {
        sizes.mediaBytes += size;
        sizes.mediaFiles += 1;
    }
    return { sizes, notRun: [] };
}

async function fencedByAnother({ spec }: SourceContext): Promise<Finding[]> {
    if (spec.rehearsal === true) return [];
    const runsDirectory = spec.run.id === undefined ? spec.run.directory : dirname(spec.run.directory);
    const database = await fenceableDatabase(spec.source);
    const record = await database.record("assess", (place) => fenceInTheWay(place, runsDirectory));
    return record === undefined ? [] : [finding("SM-E0741", describeSourceRecord(record))];
}

/** Somebody's look at it is over soon; the fence waits for that, and refuses what stays. */
async function fileOpenElsewhere({ spec, config }: SourceContext): Promise<Obstacle[]> {
    const others = await openersOf(spec.source, await sqliteFile(config));
    return others.length === 0 ? [] : [{ code: "SM-W0720", found: others.join("\n") }];
}

async function contentFindings({ spec, config }: SourceContext): Promise<Finding[]> {
    const { machine, path } = await sqliteFile(config);
    const { run, sqliteNul, targetPython: python } = spec;
    const { serverName } = spec.source;
    const directory = join(run.directory, snapshotName);
    try {
        const runId = run.id ?? "unnamed";
        const { file } = await takeSnapshot(machine, path, { directory, runId, python });
        return await checkSqlite({ paths: [file], serverName, python, sqliteNul, workDirectory: run.directory });
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}
