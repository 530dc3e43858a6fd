import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import type { RunReference } from "../../../contract/index.ts";
import { recordBesideFile, recordFile } from "../../../engine/fence/database/recordBesideFile.ts";
import { recordInDatabase } from "../../../engine/fence/database/recordInDatabase.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import {
    claimSource,
    fenceInTheWay,
    markCommitted,
    refuseOthersFence,
    releaseSource,
    whoseFence,
    type RecordPlace,
} from "../../../engine/fence/sourceRecord.ts";
import { withClient, type Client, type DatabaseAddress } from "../../../engine/postgres/connection.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { testCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

async function withRuns(work: (a: RunReference, b: RunReference, directory: string) => Promise<void>): Promise<void> {
    await withWorkDirectory(async (directory) => {
        const runs = ["a", "b"].map((place) => ({
            id: "r1",
            directory: join(directory, place, "runs", "r1"),
            stack: `stack-${place}`,
            target: `/srv/${place}`,
        }));
        for (const run of runs) await prepareRunDirectory(run.directory);
        await work(...(runs as [RunReference, RunReference]), directory);
    });
}

describe("the record at the source", () => {
    let address: DatabaseAddress;
    const connected = <T>(work: (client: Client, place: RecordPlace) => Promise<T>): Promise<T> =>
        withClient(address, { step: "test" }, (client) => work(client, recordInDatabase(client)));
    const beside = (directory: string): RecordPlace => recordBesideFile(thisMachine, join(directory, "homeserver.db"));

    before(async () => {
        const cluster = await testCluster();
        // As the source's own role, which owns the database and nothing more.
        address = cluster.address(await cluster.createDatabase());
    });

    const places: {
        where: string;
        at: <T>(directory: string, work: (place: RecordPlace) => Promise<T>) => Promise<T>;
    }[] = [
        { where: "a database of PostgreSQL", at: (_directory, work) => connected((_client, place) => work(place)) },
        { where: "an SQLite file", at: (directory, work) => work(beside(directory)) },
    ];
    for (const { where, at } of places)
        describe(`of ${where}`, () => {
            it("remembers how it was at first, and is the newest run's", () =>
                withRuns((a, _b, directory) =>
                    at(directory, async (place) => {
                        await claimSource(place, a, null);
                        await claimSource(place, { ...a, id: "r2" }, "on");
                        expect(await place.read()).to.include({ run: "r2", readOnly: null, state: "fenced" });
                        await releaseSource(place, a);
                        expect(await place.read(), "a newer run's stays").to.include({ run: "r2" });
                        await releaseSource(place, { ...a, id: "r2" });
                        expect(await place.read()).to.equal(undefined);
                    }),
                ));

            it("refuses a second stack with the same run id, names the first, and stays", () =>
                withRuns((a, b, directory) =>
                    at(directory, async (place) => {
                        await claimSource(place, a, null);
                        const error = await expectError("SM-E0741", () => claimSource(place, b, null));
                        expect(error.detail.found).to.include("stack-a").and.to.include("fenced since");
                        await expectError("SM-E0741", () => refuseOthersFence(place, b));
                        await refuseOthersFence(place, a);
                        expect((await whoseFence(place, b)).whose).to.equal("another");
                        expect((await whoseFence(place, a)).whose).to.equal("ours");
                        await releaseSource(place, b);
                        expect(await fenceInTheWay(place, dirname(b.directory))).to.include({ stack: "stack-a" });
                        expect(await fenceInTheWay(place, dirname(a.directory))).to.equal(undefined);
                        await releaseSource(place, a);
                    }),
                ));

            it("is nobody's to take once it says that the source was left for good", () =>
                withRuns((a, b, directory) =>
                    at(directory, async (place) => {
                        await claimSource(place, a, null);
                        await expectError("SM-E0741", () => markCommitted(place, b));
                        await markCommitted(place, a);
                        await markCommitted(place, a);
                        expect((await whoseFence(place, a)).whose).to.equal("committed");
                        await releaseSource(place, a);
                        await expectError("SM-E0741", () => claimSource(place, a, null));
                        expect(await place.read()).to.include({ state: "committed" });
                        await place.change(() => undefined);
                    }),
                ));

            it("has one winner when two stacks fence at the same time", () =>
                withRuns(async (a, b, directory) => {
                    const outcomes = await Promise.allSettled(
                        [a, b].map((run) => at(directory, (place) => claimSource(place, run, null))),
                    );
                    expect(outcomes.map(({ status }) => status)).to.have.members(["fulfilled", "rejected"]);
                    await at(directory, async (place) => {
                        for (const run of [a, b]) await releaseSource(place, run);
                        expect(await place.read()).to.equal(undefined);
                    });
                }));
        });

    it("is appended to what people wrote of a database, read by whoever connects, and leaves nothing when it is taken back", () =>
        withRuns((a) =>
            connected(async (client, place) => {
                const comment = async (): Promise<unknown> => {
                    const { rows } = await client.query<{ comment: unknown }>(
                        "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()",
                    );
                    return rows[0]?.comment;
                };
                const { rows } = await client.query<{ name: string }>("SELECT quote_ident(current_database()) AS name");
                await client.query(`COMMENT ON DATABASE ${rows[0]?.name ?? ""} IS 'ours since 2019\nask Eve'`);
                await claimSource(place, a, "on");
                expect(await comment()).to.match(/^ours since 2019\nask Eve\nsynapse-migration: \{/);
                expect(await place.read()).to.include({
                    run: "r1",
                    stack: "stack-a",
                    target: "/srv/a",
                    state: "fenced",
                    readOnly: "on",
                });
                await releaseSource(place, a);
                expect(await comment()).to.equal("ours since 2019\nask Eve");
                await client.query(`COMMENT ON DATABASE ${rows[0]?.name ?? ""} IS NULL`);
                await claimSource(place, a, null);
                await releaseSource(place, a);
                expect(await comment()).to.equal(null);
            }),
        ));

    it("is written where the database begins every session read-only", () =>
        withRuns((a) =>
            connected(async (client, place) => {
                await client.query("SET default_transaction_read_only = on");
                await claimSource(place, a, "on");
                expect(await place.read()).to.include({ run: "r1", readOnly: "on" });
                await releaseSource(place, a);
            }),
        ));

    it("is a file beside an SQLite file that only its owner reads, and leaves nothing when it is taken back", () =>
        withRuns(async (a, b, directory) => {
            const place = beside(directory);
            await Promise.allSettled([a, b].map((run) => claimSource(place, run, null)));
            expect((await stat(recordFile(join(directory, "homeserver.db")))).mode & 0o777).to.equal(0o600);
            for (const run of [a, b]) await releaseSource(place, run);
            expect((await readdir(directory)).sort()).to.deep.equal(["a", "b"]);
        }));

    it("is refused when it is damaged", () =>
        withRuns((a, _b, directory) =>
            connected(async (client, place) => {
                const { rows } = await client.query<{ name: string }>("SELECT quote_ident(current_database()) AS name");
                await client.query(`COMMENT ON DATABASE ${rows[0]?.name ?? ""} IS 'synapse-migration: {"run": "r1"}'`);
                await expectError("SM-E0743", () => claimSource(place, a, null));
                await client.query(`COMMENT ON DATABASE ${rows[0]?.name ?? ""} IS NULL`);
                const file = recordFile(join(directory, "homeserver.db"));
                await writeFile(file, "{");
                await expectError("SM-E0743", () => claimSource(beside(directory), a, null));
                expect(await readFile(file, "utf8"), "it is a person's to look at").to.equal("{");
            }),
        ));
});
