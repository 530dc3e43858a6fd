import { expect } from "chai";
import { follow, type Following } from "../../../../engine/postgres/replication/follow.ts";
import { catchUp } from "../../../../engine/postgres/replication/catchUp.ts";
import { tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { startCluster, type TestCluster } from "../../../support/cluster.ts";
import { copyRowsByDump } from "./copyByDump.ts";
import { makePair, startSource, startWriter, tracesOn } from "./source.ts";

describe("following a source that goes on being written to", function () {
    this.timeout(120_000);
    let source: TestCluster;
    let newer: TestCluster;

    before(async function () {
        source = await startSource();
        newer = await startCluster({ postgres: "newer" });
        await newer.query("postgres", "GRANT pg_create_subscription TO migrator");
    });
    after(() => Promise.all([source.stop(), newer.stop()]));

    for (const { title, target, admin } of [
        { title: "of the same version", target: () => source, admin: "postgres" },
        { title: "of PostgreSQL 18, without a superuser", target: () => newer, admin: "migrator" },
    ])
        it(`ends with equal rows on a target ${title}, and leaves nothing on the source`, async () => {
            const pair = await makePair(source, target(), { admin });
            const { replication, sourceName, incoming } = pair;
            const writer = startWriter(source, sourceName);
            let writes: number;
            let followed: Following;
            try {
                followed = await follow(replication, { copy: copyRowsByDump(source.programs), jobs: 2 });
                expect(followed.rows).to.be.greaterThan(20_000);
                expect(followed.identities).to.equal(8);
            } finally {
                writes = await writer.stop();
            }
            expect(writer.errors).to.deep.equal([]);
            expect(writes).to.be.greaterThan(50);
            const result = await catchUp(replication, { digest: followed.digest, verify: "strict", jobs: 2 });
            expect(result.left).to.deep.equal([]);
            const options = { step: "test", jobs: 2 };
            const here = await tableFingerprints(source.address(sourceName), options);
            const there = await tableFingerprints(target().address(incoming), options);
            const rowsOf = (list: typeof here) => list.map(({ name, rows, hash }) => ({ name, rows, hash }));
            expect(rowsOf(there)).to.deep.equal(rowsOf(here));
            expect(await tracesOn(pair)).to.deep.equal([]);
        });
});
