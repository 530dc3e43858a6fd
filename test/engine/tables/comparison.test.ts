import { expect } from "chai";
import { applyPlan } from "../../../engine/tables/apply.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { liveDatabase, withPrepared, type LiveDatabase } from "./backups.ts";

let cluster: TestCluster;
let live: LiveDatabase;

describe("how rows of a backup are told from live ones", () => {
    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        live = await liveDatabase(cluster);
    });

    it("by all columns of a key of several", async () => {
        await live.query(
            "CREATE TABLE pair (a text, b int, c text, PRIMARY KEY (b, a)); ALTER TABLE pair OWNER TO synapse",
        );
        await live.query("INSERT INTO pair VALUES ('x', 1, 'same'), ('x', 2, 'lost'), ('y', 1, 'changed')");
        const backup = await live.dump();
        await live.query(
            "DELETE FROM pair WHERE b = 2; UPDATE pair SET c = NULL WHERE a = 'y'; INSERT INTO pair VALUES ('z', 1, 'new')",
        );
        await withPrepared(live, { backup: [backup], tables: ["pair"] }, async ({ plan }) => {
            expect(plan.tables[0]?.difference).to.deep.include({
                key: ["b", "a"],
                onlyBackup: { rows: 1, samples: ["b=2, a=x"] },
                onlyLive: { rows: 1, samples: ["b=1, a=z"] },
                different: { rows: 1, samples: ["b=1, a=y"] },
                same: 1,
                differingColumns: { c: 1 },
            });
            await applyPlan(plan, cluster.address(live.name));
            expect(await live.rows("pair")).to.deep.equal(["(x,1,same)", "(x,2,lost)", "(y,1,)", "(z,1,new)"]);
        });
    });

    it("by whole rows, counted, where there is no key", async () => {
        await live.query(
            "CREATE TABLE loose (body text, data json, raw bytea, at real); ALTER TABLE loose OWNER TO synapse",
        );
        const row = `(E'caf\\u00e9 \\U0001f600\\t\\\\', '{"a" : 1}', '\\x00ff', 0.1)`;
        await live.query(
            `INSERT INTO loose VALUES ${row}, ${row}, ${row}, (NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL), ('', 'null', '', 'NaN')`,
        );
        const before = await live.rows("loose");
        const backup = await live.dump();
        await live.query(`TRUNCATE loose; INSERT INTO loose VALUES ${row}, (NULL, NULL, NULL, NULL)`);
        await withPrepared(live, { backup: [backup], tables: ["loose"] }, async ({ plan }) => {
            const [loose] = plan.tables;
            expect(loose?.inserts).to.equal(4);
            expect(loose?.difference.onlyBackup.samples).to.have.length(4);
            expect(loose?.difference.onlyBackup.samples[0]).to.match(/^row sha256:[0-9a-f]{12}$/);
            await applyPlan(plan, cluster.address(live.name));
            expect(await live.rows("loose")).to.deep.equal(before);
        });
    });

    it("by whole rows where a unique column is empty in some", async () => {
        await live.query("CREATE TABLE vague (a text UNIQUE, b text); ALTER TABLE vague OWNER TO synapse");
        await live.query("INSERT INTO vague VALUES (NULL, 'one'), (NULL, 'one'), ('k', 'two')");
        const before = await live.rows("vague");
        const backup = await live.dump();
        await live.query("DELETE FROM vague WHERE b = 'one'");
        await withPrepared(live, { backup: [backup], tables: ["vague"] }, async ({ plan }) => {
            expect(plan.tables[0]?.difference.key).to.deep.equal([]);
            await applyPlan(plan, cluster.address(live.name));
            expect(await live.rows("vague")).to.deep.equal(before);
        });
    });
});
