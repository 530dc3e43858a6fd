import { expect } from "chai";
import { tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { rowHash } from "../../../../engine/postgres/compare/rowHash.ts";
import { startCluster, testCluster, type TestCluster } from "../../../support/cluster.ts";

const columns = "a text, b text, n int, o bigint, f boolean, j jsonb, y bytea, v tsvector, l text[]";
const rows = [
    `('x', 'y', 1, 2, true, '{"k": 1.50}', '\\x00ff', 'cat:1', '{p,NULL}')`,
    `('ü', NULL, NULL, 1, false, NULL, '', '', '{}')`,
];
/** What a damaged copy could have instead of the rows. */
const damages: Readonly<Record<string, readonly string[]>> = {
    "a value that is another": [rows[0]?.replace("'x'", "'z'") ?? "", rows[1] ?? ""],
    "two values of a column that have changed places": [
        rows[0]?.replace("'x'", "'ü'") ?? "",
        rows[1]?.replace("'ü'", "'x'") ?? "",
    ],
    "two values of a row that have changed places": [rows[0]?.replace("'x', 'y'", "'y', 'x'") ?? "", rows[1] ?? ""],
    "an empty text for NULL": [rows[0] ?? "", rows[1]?.replace("'ü', NULL", "'ü', ''") ?? ""],
    "zero for NULL": [rows[0] ?? "", rows[1]?.replace("NULL, NULL, 1", "NULL, 0, 1") ?? ""],
    "NULL in the next column": [rows[0] ?? "", rows[1]?.replace("NULL, NULL, 1", "NULL, 1, NULL") ?? ""],
    "a number whose digits are fewer": [rows[0]?.replace("1.50", "1.5") ?? "", rows[1] ?? ""],
    "a bit of a byte": [rows[0]?.replace("00ff", "00fe") ?? "", rows[1] ?? ""],
    "a row in place of the other": [rows[0] ?? "", rows[0] ?? ""],
    "a long number with another one of the same lower and upper half, folded": [
        rows[0]?.replace("1, 2, true", "1, 4294967299, true") ?? "",
        rows[1] ?? "",
    ],
    "a negative number for another one": [rows[0]?.replace("1, 2, true", "1, -3, true") ?? "", rows[1] ?? ""],
    "another truth": [rows[0]?.replace("true", "false") ?? "", rows[1] ?? ""],
};

describe("the hash of a table's rows", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let newer: TestCluster;

    before(async () => {
        [cluster, newer] = [await testCluster(), await startCluster({ postgres: "newer" })];
    });
    after(() => newer.stop());

    async function hash(content: readonly string[], on = cluster, declared = columns): Promise<string | undefined> {
        const name = await on.createDatabase();
        await on.query(name, `CREATE TABLE t (${declared})`);
        const names = "a, b, n, o, f, j, y, v, l";
        if (content.length > 0) await on.query(name, `INSERT INTO t (${names}) VALUES ${content.join(", ")}`);
        const [table] = await tableFingerprints(on.superuserAddress(name), { step: "test", jobs: 1 });
        await on.query("postgres", `DROP DATABASE ${name}`);
        expect(table?.rows).to.equal(content.length);
        return table?.hash;
    }

    for (const [damage, content] of Object.entries(damages))
        it(`tells ${damage}`, async () => {
            expect(await hash(content)).to.not.equal(await hash(rows));
        });

    it("is the same in another order of rows and columns, and on a newer server", async () => {
        const expected = await hash(rows);
        expect(await hash([...rows].reverse())).to.equal(expected);
        expect(await hash(rows, cluster, columns.split(", ").reverse().join(", "))).to.equal(expected);
        expect(await hash(rows, newer)).to.equal(expected);
    });

    it("counts a row that is there twice", async () => {
        const [once, twice] = [await hash(rows), await hash([...rows, ...rows])];
        expect(BigInt(twice ?? 0)).to.equal(2n * BigInt(once ?? 0));
    });

    it("is zero without rows, and something for rows without columns", async () => {
        expect(await hash([])).to.equal("0");
        expect(rowHash([])).to.contain("(0)::text");
    });
});
