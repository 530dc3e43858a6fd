import { expect } from "chai";
import { indexChecks } from "../../../engine/assess/indexChecks.ts";
import type { Finding } from "../../../contract/index.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { restored } from "./restored.ts";
import { findingsOf } from "./runCheck.ts";

describe("indexes that a dump leaves out", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    let name = "";
    const tables = `CREATE TABLE rooms (id bigint, alias text); CREATE UNIQUE INDEX rooms_id ON rooms (id);
        CREATE INDEX rooms_alias ON rooms (alias); CREATE TABLE members (room bigint, CONSTRAINT members_once UNIQUE (room))`;
    const mark = (index: string, how: string): Promise<unknown> =>
        cluster.query(name, `UPDATE pg_index SET ${how} WHERE indexrelid = '${index}'::regclass`);
    const found = (): Promise<Finding[]> => findingsOf(indexChecks, "invalid-indexes", cluster.address(name));
    const exists = async (database: string, relation: string): Promise<boolean> => {
        const [row] = await cluster.query(database, `SELECT to_regclass('${relation}') IS NOT NULL AS there`);
        return row?.["there"] === true;
    };

    before(async () => {
        cluster = await testCluster();
    });
    beforeEach(async () => {
        name = await cluster.createDatabase("empty");
        await cluster.query(name, tables);
    });

    it("are none in a homeserver's database, and none in one whose indexes are all valid", async () => {
        expect(await found()).to.deep.equal([]);
        name = await cluster.createDatabase("synapse");
        expect(await found()).to.deep.equal([]);
    });

    for (const how of ["indisvalid = false", "indisvalid = false, indisready = false"]) {
        it(`are warned of where nothing but the index is lost (${how})`, async () => {
            await mark("rooms_alias", how);
            const [warning, ...more] = await found();
            expect(more).to.deep.equal([]);
            expect(warning).to.deep.include({ id: "SM-W0517", severity: "warning" });
            expect(warning?.evidence).to.contain("rooms_alias of public.rooms");
            expect(warning?.fix).to.contain('REINDEX INDEX CONCURRENTLY "public"."rooms_alias"');
            const copy = await restored(cluster, name);
            expect(copy.failure).to.equal(undefined);
            expect(await exists(copy.name, "rooms_id")).to.equal(true);
            expect(await exists(copy.name, "rooms_alias")).to.equal(false);
        });
    }

    it("block where a unique constraint is lost with its index", async () => {
        await mark("members_once", "indisvalid = false");
        const [blocking, ...more] = await found();
        expect(more).to.deep.equal([]);
        expect(blocking).to.deep.include({ id: "SM-E0517", severity: "error" });
        expect(blocking?.evidence).to.contain("members_once of public.members");
        const copy = await restored(cluster, name);
        expect(copy.failure).to.equal(undefined);
        expect(
            await cluster.query(copy.name, "SELECT FROM pg_constraint WHERE conname = 'members_once'"),
        ).to.have.length(0);
    });

    it("block where a foreign key that cannot be restored refers to one", async () => {
        await cluster.query(
            name,
            "ALTER TABLE members ADD CONSTRAINT members_room FOREIGN KEY (room) REFERENCES rooms (id)",
        );
        await mark("rooms_id", "indisvalid = false");
        const [blocking] = await found();
        expect(blocking?.id).to.equal("SM-E0517");
        expect(blocking?.evidence).to.contain("rooms_id of public.rooms, for members_room");
        expect((await restored(cluster, name)).failure).to.contain("there is no unique constraint matching given keys");
    });

    it("block where the catalogue contradicts itself, as the dump's manifest counts on a valid index", async () => {
        await mark("rooms_alias", "indisready = false");
        const [blocking] = await found();
        expect(blocking?.id).to.equal("SM-E0517");
        expect(blocking?.evidence).to.contain("marked valid and not ready");
        expect(await exists((await restored(cluster, name)).name, "rooms_alias")).to.equal(false);
    });

    it("are gone once they are built again as the finding says", async () => {
        await mark("rooms_alias", "indisvalid = false, indisready = false");
        await mark("members_once", "indisvalid = false");
        for (const { fix } of await found()) await cluster.query(name, fix.split(";")[0] ?? "");
        expect(await found()).to.deep.equal([]);
    });

    it("are to be dropped where a failed REINDEX left them", async () => {
        await cluster.query(name, "INSERT INTO rooms VALUES (1, 'a'), (2, 'b')");
        await mark("rooms_id", "indisunique = false, indisready = false");
        await cluster.query(name, "INSERT INTO rooms VALUES (2, 'c')");
        await mark("rooms_id", "indisunique = true, indisready = true");
        const failed = await cluster.query(name, "REINDEX INDEX CONCURRENTLY rooms_id").catch(String);
        expect(failed).to.contain("could not create unique index");
        const [warning] = await found();
        expect(warning?.fix).to.equal('left behind by a failed REINDEX: DROP INDEX "public"."rooms_id_ccnew"');
    });
});
