import { expect } from "chai";
import { withClient } from "../../../engine/postgres/connection.ts";
import { createMarker, type MarkerState } from "../../../engine/postgres/databases/marker.ts";
import { safeguard } from "../../../steps/migrate/safeguard.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { newRun } from "../../support/migrationDump.ts";

describe("the step safeguard", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    const mark = (name: string, run: string, state: MarkerState) =>
        withClient(cluster.address(name), { step: "test" }, (client) =>
            createMarker(client, run, testServerName, state),
        );
    async function guard(name: string, run?: Awaited<ReturnType<typeof newRun>>) {
        const used = run ?? (await newRun(cluster));
        return safeguard.act({ run: { id: used.id, directory: used.directory }, database: cluster.target(name) }, used);
    }

    it("passes where there is no database, and where there is an empty one", async () => {
        expect(await guard(cluster.newName("none"))).to.deep.equal({ previous: "absent" });
        const name = await cluster.createDatabase();
        expect(await guard(name)).to.deep.equal({ previous: "empty" });
        await mark(name, "r", "staged");
        expect(await guard(name)).to.deep.equal({ previous: "empty" });
    });

    const contents: readonly (readonly [sql: string, named: string])[] = [
        ["CREATE TABLE public.t (a int)", "table public.t"],
        ["CREATE VIEW public.v AS SELECT 1", "view public.v"],
        ["CREATE SEQUENCE public.s", "sequence public.s"],
        ["CREATE TYPE public.e AS ENUM ('a')", "type public.e"],
        ["CREATE TYPE public.c AS (a int)", "type public.c"],
        ["CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.f"],
        ["CREATE SCHEMA other", "schema other"],
        ["SELECT lo_create(4711)", "large object 4711"],
    ];
    for (const [sql, named] of contents) {
        it(`refuses a database that holds a ${named.split(" ").slice(0, -1).join(" ")}, and names it`, async () => {
            const name = await cluster.createDatabase();
            await cluster.query(name, sql);
            expect((await expectError("SM-E0804", () => guard(name))).detail.found).to.equal(named);
        });
    }

    it("names five objects and counts the others", async () => {
        const name = await cluster.createDatabase();
        await cluster.query(name, [1, 2, 3, 4, 5, 6, 7].map((n) => `CREATE TABLE t${n} (a int)`).join(";"));
        const error = await expectError("SM-E0804", () => guard(name));
        expect(error.detail.found).to.equal(
            "table public.t1, table public.t2, table public.t3, table public.t4, table public.t5 and 2 more",
        );
        expect(error.exitCode).to.equal(8);
    });

    it("refuses what another run has filled, with the way to take that back", async () => {
        const name = await cluster.createDatabase();
        await cluster.query(name, "CREATE TABLE t (a int)");
        await mark(name, "other", "swapped");
        const error = await expectError("SM-E0804", () => guard(name));
        expect(error.detail.found).to.equal("table public.t; the marker of run other, state swapped");
        expect(error.detail.fix).to.match(/undo that run first/);
    });

    it("refuses a committed target", async () => {
        const name = await cluster.createDatabase();
        await mark(name, "other", "committed");
        await expectError("SM-E0707", () => guard(name));
    });

    it("looks at what the swap of this run has put aside, when it is asked again", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase();
        await cluster.query(name, "CREATE TABLE users (a int)");
        await mark(name, run.id, "swapped");
        expect(await guard(name, run)).to.deep.equal({ previous: "absent" });
    });

    for (const name of ["postgres", "template1", "x".repeat(64)]) {
        it(`refuses the name ${name.slice(0, 12)}`, async () => {
            await expectError("SM-E0805", () => guard(name));
        });
    }
});
