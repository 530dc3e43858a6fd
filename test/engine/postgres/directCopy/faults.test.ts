import { expect } from "chai";
import { setTimeout as delay } from "node:timers/promises";
import { MigrationError } from "../../../../engine/run/errors.ts";
import { untilItPasses } from "../../../support/waiting.ts";
import { until } from "../../../../engine/run/until.ts";
import { startCluster, testCluster, type TestCluster } from "../../../support/cluster.ts";
import { CuttingProxy } from "./cuttingProxy.ts";
import { differences, runCopy, type TestCopy } from "./databases.ts";

const application = "synapse-migration test-copy";
const state = "a".repeat(64);

/** Large enough that it takes seconds, and that one table is copied in parts. */
const content = `
    CREATE TABLE large (id int PRIMARY KEY, filler text);
    ALTER TABLE large ALTER filler SET STORAGE PLAIN;
    INSERT INTO large SELECT g, g || repeat('x', 1900) FROM generate_series(1, 75000) g;
    DELETE FROM large WHERE id BETWEEN 20000 AND 21000;
    CREATE TABLE middle (id int, other int REFERENCES large (id), text text);
    INSERT INTO middle SELECT g, g, repeat(md5(g::text), 30) FROM generate_series(1, 19000) g;
    CREATE INDEX middle_text ON middle (md5(text), id);
    CREATE TABLE small (id int PRIMARY KEY);
    INSERT INTO small SELECT generate_series(1, 1000);
    CREATE SEQUENCE counter; SELECT setval('counter', 41);`;

describe("a direct copy that is disturbed", function () {
    this.timeout(240_000);
    let cluster: TestCluster;
    let sourceName: string;

    before(async () => {
        cluster = await testCluster();
        sourceName = await cluster.createDatabase("empty", cluster.newName("disturbed"));
        await cluster.query(sourceName, content, "synapse");
    });
    after(() => cluster.query("postgres", `DROP DATABASE ${sourceName} WITH (FORCE)`));

    it("copies a large table in ranges of its pages, of which none is lost or doubled", async () => {
        const copy = await newCopy();
        await runCopy(copy, { jobs: 2 });
        expect(await differences(copy)).to.deep.equal([]);
        const parts = await cluster.query(
            copy.targetName,
            "SELECT rows::int AS rows FROM synapse_migration.copy_part WHERE name = 'large' ORDER BY from_page NULLS FIRST",
        );
        expect(parts).to.have.length(3);
        expect(parts.reduce((sum, { rows }) => sum + Number(rows), 0)).to.equal(73_999);
        await drop(copy);
    });

    for (const [victim, database] of [
        ["source", () => sourceName],
        ["target", ({ targetName }: TestCopy) => targetName],
    ] as const) {
        it(`fails when a session of the ${victim} is ended, leaves no part of a part, and goes on from there`, async () => {
            for (const milliseconds of [150, Math.round(300 + Math.random() * 1500), 2300]) {
                const copy = await newCopy();
                const copying = settled(runCopy(copy, { resume: { state } }));
                await delay(milliseconds);
                await cluster.query(
                    "postgres",
                    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database(copy)}'
                    AND application_name = '${application}' ORDER BY random() LIMIT 1`,
                );
                await wholeOrNothing(copy, await copying, `after ${milliseconds} ms`);
            }
        });

        for (const how of ["reset", "end"] as const) {
            it(`fails when the connection to the ${victim} is cut (${how}), leaves no part of a part, and goes on from there`, async () => {
                const name = victim === "source" ? sourceName : undefined;
                for (const bytes of [4_000, Math.round(1e6 + Math.random() * 5e7), 130_000_000]) {
                    const copy = await newCopy();
                    const proxy = await CuttingProxy.start(cluster.address(name ?? copy.targetName), bytes, how);
                    try {
                        await wholeOrNothing(
                            copy,
                            await settled(runCopy(copy, { resume: { state }, [victim]: proxy.address })),
                            `after ${bytes} bytes`,
                        );
                    } finally {
                        await proxy.stop();
                    }
                }
            });
        }
    }

    it("goes on after the target's server has crashed, with what had reached its log", async () => {
        const newer = await startCluster({ postgres: "newer" });
        try {
            const copy = { from: cluster, sourceName, to: newer, targetName: await newer.createDatabase() };
            const copying = settled(runCopy(copy, { resume: { state } }));
            await delay(1500);
            const [backend] = await newer.query(
                "postgres",
                `SELECT pid FROM pg_stat_activity WHERE datname = '${copy.targetName}' AND query LIKE 'COPY%' LIMIT 1`,
            );
            // All sessions of a server end with the first that is killed, and what they had written is read from its log.
            if (backend !== undefined) process.kill(Number(backend["pid"]), "SIGKILL");
            await wholeOrNothing(copy, await copying, "after the crash");
        } finally {
            await newer.stop();
        }
    });

    it("fails with the reason when it is told to stop, and leaves no session", async () => {
        const copy = await newCopy();
        const stop = new AbortController();
        const copying = settled(runCopy(copy, { signal: stop.signal }));
        await delay(800);
        stop.abort(new Error("enough"));
        const outcome = await copying;
        expect(outcome).to.be.an("error").with.property("message", "enough");
        await sessionsGone(copy);
        await drop(copy);
    });

    it("does not go on with a copy of a source in another state", async () => {
        const copy = await newCopy();
        await runCopy(copy, { resume: { state } });
        const outcome = await settled(runCopy(copy, { resume: { state: "b".repeat(64) } }));
        expect(outcome).to.be.instanceOf(MigrationError).with.property("code", "SM-E0804");
        await drop(copy);
    });

    it("stays below its rate", async () => {
        const copy = await newCopy();
        const began = performance.now();
        const { bytes } = await runCopy(copy, { bytesPerSecond: 40_000_000 });
        expect((performance.now() - began) / 1000).to.be.above(bytes / 40_000_000 - 0.5);
        await drop(copy);
    });

    async function newCopy(): Promise<TestCopy> {
        return { from: cluster, sourceName, to: cluster, targetName: await cluster.createDatabase() };
    }

    /** Nothing that was said to be done is missing, and nothing that was not is there in parts; the next attempt ends it. */
    async function wholeOrNothing(copy: TestCopy, outcome: unknown, when: string): Promise<void> {
        await sessionsGone(copy);
        if (outcome instanceof Error) {
            expect(outcome, `${when}: ${String(outcome.stack)}`).to.be.instanceOf(MigrationError);
            await noPartOfAPart(copy);
            const again = await settled(runCopy(copy, { resume: { state } }));
            // Tables that were made by an attempt which had not written down its plan are not continued: the step makes the database anew.
            if (again instanceof MigrationError && again.code === "SM-E0804") return drop(copy);
            expect(again, again instanceof Error ? `${when}: ${String(again.stack)}` : when).not.to.be.instanceOf(
                Error,
            );
        }
        expect(await differences(copy), when).to.deep.equal([]);
        await drop(copy);
    }

    async function noPartOfAPart({ to, targetName }: TestCopy): Promise<void> {
        const [journal] = await to.query(targetName, "SELECT to_regclass('synapse_migration.copy_part') AS t");
        if (journal?.["t"] === null) return;
        for (const name of ["large", "middle", "small"]) {
            const [row] = await to.query(
                targetName,
                `SELECT (SELECT count(*)::int FROM ${name}) AS found,
                    (SELECT coalesce(sum(rows), 0)::int FROM synapse_migration.copy_part WHERE name = '${name}') AS planned`,
            );
            expect(row?.["found"], name).to.equal(row?.["planned"]);
        }
    }

    /** Those of a copy that has failed roll back within this time. */
    async function sessionsGone({ from, to }: TestCopy): Promise<void> {
        const listed = `SELECT query FROM pg_stat_activity WHERE application_name = '${application}'`;
        const sessions: unknown[] = [];
        await until(
            async () => {
                sessions.length = 0;
                // A server that has crashed answers again in a moment.
                for (const side of [from, to])
                    sessions.push(...(await untilItPasses(() => side.query("postgres", listed))));
                return sessions.length === 0 || undefined;
            },
            { seconds: 20, everyMilliseconds: 50 },
            () => new Error(`sessions are left: ${JSON.stringify(sessions)}`),
        );
    }

    const drop = async ({ to, targetName }: TestCopy): Promise<void> => {
        await to.query("postgres", `DROP DATABASE ${targetName} WITH (FORCE)`);
    };
});

/** What it ended with: an error too. */
async function settled<T>(work: Promise<T>): Promise<unknown> {
    return work.catch((error: unknown) => error);
}
