/** Whether a port that lost or altered something is noticed, whatever the script's exit code says. */
import { expect } from "chai";
import { comparePorted, type PortComparison } from "../../../engine/sqlite/compare.ts";
import { repairPorted } from "../../../engine/sqlite/repair.ts";
import { portedSource, type PortedSource } from "./portedSource.ts";

describe("comparing SQLite with what was ported", function () {
    this.timeout(180_000);
    let ported: PortedSource;
    let name: string;

    before(async () => {
        ported = await portedSource();
        name = await ported.clone();
        await repairPorted(ported.cluster.address(name));
    });

    const compare = (): Promise<PortComparison> => {
        const { copy, cluster, source } = ported;
        return comparePorted({ database: copy, target: cluster.address(name), python: source.python });
    };
    const failures = async (): Promise<string[]> =>
        (await compare()).checks.filter(({ state }) => state === "failed").map(({ id }) => id);

    it("finds every row on both sides, and names those that PostgreSQL cannot or need not have", async () => {
        const { checks, tables, dropped } = await compare();
        expect(checks.find(({ id }) => id === "sqlite-rows")).to.include({ state: "passed" });
        expect(checks.find(({ id }) => id === "sqlite-dropped")?.state).to.equal("warning");
        const reasonOf = (table: string): string | undefined => dropped.find((rows) => rows.table === table)?.reason;
        expect(reasonOf("blocked_rooms")).to.match(/NUL/);
        expect(reasonOf("event_search")).to.match(/without its event/);
        expect(reasonOf("user_directory")).to.match(/made anew/);
        expect(tables.find((table) => table.name === "events")).to.include({ state: "equal" });
        expect(tables.find((table) => table.name === "event_search")?.transformed).to.have.length(1);
        expect(tables.find((table) => table.name === "schema_version")).to.include({ state: "own" });
        expect(tables.length).to.be.above(150);
    });

    it("has kept NULL in boolean columns, where it means true", async () => {
        const count = (sql: string): Promise<Record<string, unknown>[]> => ported.cluster.query(name, sql);
        expect(await count("SELECT count(*)::int FROM pushers WHERE enabled IS NULL")).to.deep.equal([{ count: 1 }]);
        expect(await count("SELECT count(*)::int FROM users WHERE approved IS NULL")).to.deep.equal([{ count: 1 }]);
    });

    const alterations: [string, string, string][] = [
        ["a row that is missing", "user_ips", "DELETE FROM user_ips WHERE ctid = (SELECT min(ctid) FROM user_ips)"],
        ["a row that is there twice", "event_auth", "INSERT INTO event_auth SELECT * FROM event_auth LIMIT 1"],
        [
            "one letter of a text",
            "event_json",
            "UPDATE event_json SET json = overlay(json placing 'X' from 20) WHERE ctid = (SELECT min(ctid) FROM event_json)",
        ],
        [
            "one bit of bytes",
            "user_filters",
            "UPDATE user_filters SET filter_json = set_bit(filter_json, 9, 1 - get_bit(filter_json, 9))",
        ],
        [
            "NULL that became an empty text",
            "devices",
            "UPDATE devices SET user_agent = coalesce(user_agent, ''), ip = coalesce(ip, '')",
        ],
        ["NULL that became false", "pushers", "UPDATE pushers SET enabled = false WHERE enabled IS NULL"],
        [
            "two values that changed places",
            "receipts_linearized",
            "UPDATE receipts_linearized SET user_id = room_id, room_id = user_id",
        ],
        [
            "a member of a JSON object",
            "profiles",
            `UPDATE profiles SET fields = fields || '{"m.tz": "Europe/Berlin"}' WHERE fields IS NOT NULL`,
        ],
    ];
    for (const [what, table, statement] of alterations) {
        it(`notices ${what}`, async () => {
            name = await ported.clone();
            await ported.cluster.query(name, statement);
            expect(await failures()).to.deep.equal(["sqlite-rows", `sqlite-rows-${table}`]);
        });
    }

    it("notices a table that is not there, unless it has no rows", async () => {
        name = await ported.clone();
        await ported.cluster.query(name, "DROP TABLE room_aliases CASCADE; DROP TABLE applied_module_schemas");
        const { dropped, checks } = await compare();
        expect(dropped.find(({ table }) => table === "room_aliases")?.reason).to.match(/no table of this name/);
        expect(dropped.some(({ table }) => table === "applied_module_schemas")).to.equal(false);
        expect(checks.find(({ id }) => id === "sqlite-dropped")?.evidence).to.include("room_aliases");
    });

    it("notices a column that is not there", async () => {
        name = await ported.clone();
        await ported.cluster.query(name, "ALTER TABLE devices DROP COLUMN last_seen");
        expect(await failures()).to.include("sqlite-rows-devices");
    });
});
