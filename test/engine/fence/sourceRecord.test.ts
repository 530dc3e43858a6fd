import { dirname, join } from "node:path";
import { expect } from "chai";
import type { RunReference } from "../../../contract/index.ts";
import {
    claimSource,
    fenceInTheWay,
    readSourceRecord,
    refuseOthersFence,
    releaseSource,
    whoseFence,
} from "../../../engine/fence/sourceRecord.ts";
import { withClient, type Client, type DatabaseAddress } from "../../../engine/postgres/connection.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { testCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

describe("the record at the source", () => {
    let address: DatabaseAddress;
    const comment = async (client: Client): Promise<unknown> => {
        const { rows } = await client.query<{ comment: unknown }>(
            "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()",
        );
        return rows[0]?.comment;
    };
    const connected = <T>(work: (client: Client) => Promise<T>): Promise<T> =>
        withClient(address, { step: "test" }, work);

    before(async () => {
        const cluster = await testCluster();
        // As the source's own role, which owns the database and nothing more.
        address = cluster.address(await cluster.createDatabase());
    });

    async function withRuns(work: (a: RunReference, b: RunReference) => Promise<void>): Promise<void> {
        await withWorkDirectory(async (directory) => {
            const runs = ["a", "b"].map((place) => ({
                id: "r1",
                directory: join(directory, place, "runs", "r1"),
                stack: `stack-${place}`,
                target: `/srv/${place}`,
            }));
            for (const run of runs) await prepareRunDirectory(run.directory);
            await work(...(runs as [RunReference, RunReference]));
        });
    }

    it("is appended to what people wrote, read by whoever connects, and leaves nothing when it is taken back", () =>
        withRuns((a) =>
            connected(async (client) => {
                const { rows } = await client.query<{ name: string }>("SELECT quote_ident(current_database()) AS name");
                await client.query(`COMMENT ON DATABASE ${rows[0]?.name ?? ""} IS 'ours since 2019\nask Eve'`);
                await claimSource(client, a, "on");
                expect(await comment(client)).to.match(/^ours since 2019\nask Eve\nsynapse-migration: \{/);
                expect(await readSourceRecord(client)).to.include({
                    run: "r1",
                    stack: "stack-a",
                    target: "/srv/a",
                    state: "fenced",
                    readOnly: "on",
                });
                await releaseSource(client, a);
                expect(await comment(client)).to.equal("ours since 2019\nask Eve");
                await client.query(`COMMENT ON DATABASE ${rows[0]?.name ?? ""} IS NULL`);
                await claimSource(client, a, null);
                await releaseSource(client, a);
                expect(await comment(client)).to.equal(null);
            }),
        ));

    it("is written where the database begins every session read-only, and remembers how it was at first", () =>
        withRuns((a) =>
            connected(async (client) => {
                await claimSource(client, a, null);
                await client.query("SET default_transaction_read_only = on");
                await claimSource(client, { ...a, id: "r2" }, "on");
                expect(await readSourceRecord(client)).to.include({ run: "r2", readOnly: null });
                await releaseSource(client, a);
                expect(await readSourceRecord(client), "a newer run's stays").to.include({ run: "r2" });
                await releaseSource(client, { ...a, id: "r2" });
            }),
        ));

    it("refuses a second stack with the same run id, names the first, and stays", () =>
        withRuns((a, b) =>
            connected(async (client) => {
                await claimSource(client, a, null);
                const error = await expectError("SM-E0741", () => claimSource(client, b, null));
                expect(error.detail.found).to.include("stack-a").and.to.include("fenced since");
                await expectError("SM-E0741", () => refuseOthersFence(client, b));
                await refuseOthersFence(client, a);
                expect((await whoseFence(client, b)).whose).to.equal("another");
                expect((await whoseFence(client, a)).whose).to.equal("ours");
                await releaseSource(client, b);
                expect(await fenceInTheWay(client, dirname(b.directory))).to.include({ stack: "stack-a" });
                expect(await fenceInTheWay(client, dirname(a.directory))).to.equal(undefined);
                await releaseSource(client, a);
            }),
        ));

    it("has one winner when two stacks fence at the same time", () =>
        withRuns(async (a, b) => {
            const outcomes = await Promise.allSettled(
                [a, b].map((run) => connected((client) => claimSource(client, run, null))),
            );
            expect(outcomes.map(({ status }) => status)).to.have.members(["fulfilled", "rejected"]);
            await connected(async (client) => {
                for (const run of [a, b]) await releaseSource(client, run);
                expect(await readSourceRecord(client)).to.equal(undefined);
            });
        }));

    it("is refused when it is damaged", () =>
        withRuns((a) =>
            connected(async (client) => {
                const { rows } = await client.query<{ name: string }>("SELECT quote_ident(current_database()) AS name");
                await client.query(`COMMENT ON DATABASE ${rows[0]?.name ?? ""} IS 'synapse-migration: {"run": "r1"}'`);
                await expectError("SM-E0743", () => claimSource(client, a, null));
                await client.query(`COMMENT ON DATABASE ${rows[0]?.name ?? ""} IS NULL`);
            }),
        ));
});
