import { expect } from "chai";
import fc from "fast-check";
import type { DatabaseAddress } from "../../../../engine/postgres/connection.ts";
import { tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { canonicalByte } from "../../../../engine/postgres/plainDump/copyEscape.ts";
import { inspectPlainDump } from "../../../../engine/postgres/plainDump/inspect.ts";
import { InsertRows, RowFault } from "../../../../engine/postgres/plainDump/insertRows.ts";
import { readPlainDump } from "../../../../engine/postgres/plainDump/read.ts";
import { noSink } from "../../../../engine/postgres/plainDump/sink.ts";
import { tableLineDigests } from "../../../../engine/postgres/plainDump/lineDigest.ts";
import { loadPlainDump, type PlainDumpContent } from "../../../../engine/postgres/plainDump/load.ts";
import type { ErrorCode } from "../../../../engine/run/errorCatalogue.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { inPieces, pgDump, smallDump, smallRows, smallTables } from "./dumps.ts";

/** What becomes of the rows of one INSERT, cut at the given places. */
function converted(rows: string, columns: number, cuts: readonly number[] = []): string {
    const bytes = Buffer.from(rows);
    const reader = new InsertRows(columns);
    const places = [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
    let from = 0;
    let end: number | undefined;
    for (const to of places) {
        end = reader.scan(bytes.subarray(0, to), from);
        if (end !== undefined) break;
        from = to;
    }
    if (end !== bytes.length) throw new Error("the statement has no end");
    return reader.take().toString();
}

type Value = string | number | boolean | null;
/** As pg_dump writes it (`dumpTableData_insert`). */
const literal = (value: Value): string =>
    value === null ? "NULL" : typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
/** As a server without `standard_conforming_strings` would have it. */
const escapeLiteral = (value: Value): string =>
    typeof value === "string" ? `E'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'` : literal(value);
const field = (value: Value): string => {
    if (value === null) return "\\N";
    if (typeof value === "boolean") return value ? "t" : "f";
    return Buffer.from([...Buffer.from(String(value))].flatMap((byte) => [...canonicalByte(byte)])).toString();
};

const text = fc
    .string({ unit: "grapheme" })
    .chain((any) => fc.constantFrom(any, `${any}'\\`, `\\N`, `a\n\r\t\b${any}''`, `');--${any}`, `\\.`, ``))
    .filter((value) => !value.includes("\0"));
const value: fc.Arbitrary<Value> = fc.oneof(
    text,
    fc.constantFrom<Value>(null, true, false),
    fc.integer(),
    fc.double({ noDefaultInfinity: true, noNaN: true }),
);
const rowsOf = fc
    .integer({ min: 1, max: 4 })
    .chain((columns) =>
        fc.array(fc.array(value, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 4 }),
    );

describe("the rows of an INSERT", () => {
    it("become the lines that COPY has of them, wherever the pieces end", () => {
        const written = fc.constantFrom(literal, escapeLiteral);
        const behind = fc.constantFrom(";", " ON CONFLICT DO NOTHING;", "\n\tON CONFLICT  DO NOTHING ;");
        fc.assert(
            fc.property(rowsOf, written, behind, fc.array(fc.nat(), { maxLength: 6 }), (rows, as, tail, cuts) => {
                const sql = rows.map((row) => `(${row.map(as).join(", ")})`).join(",\n\t") + tail;
                const lines = rows.map((row) => `${row.map(field).join("\t")}\n`).join("");
                expect(converted(sql, rows[0]?.length ?? 0, cuts)).to.equal(lines);
            }),
            { numRuns: 400 },
        );
    });

    it("take numbers of every form, infinities and bits, and bytea as its text", () => {
        expect(converted("(-1, 1e+20, 1.5E-7, 'NaN', '-Infinity', B'0101', '\\xdeff');", 7)).to.equal(
            "-1\t1e+20\t1.5E-7\tNaN\t-Infinity\t0101\t\\\\xdeff\n",
        );
        expect(converted(" (E'a\\n\\'\\\\', e''), (NULL, true);", 2)).to.equal("a\\n'\\\\\t\n\\N\tt\n");
    });

    it("are nothing but literals: what could be run, or is left open, is refused", () => {
        const refused: readonly (readonly [string, string])[] = [
            ...[
                "(now(), 1);",
                "(DEFAULT, 1);",
                "(1 + 1, 1);",
                "('a' || 'b', 1);",
                "((SELECT 1), 1);",
                "(1::text, 1);",
            ].map((sql) => [sql, "literal"] as const),
            ...[
                "(x.y, 1);",
                "($1, 1);",
                "('a'::text, 1);",
                "(B'012', 1);",
                "(X'0f', 1);",
                "(U&'a', 1);",
                "('a' 'b', 1);",
            ].map((sql) => [sql, "literal"] as const),
            ["(E'\\x41', 1);", "escape"],
            ["(1);", "a row of 1 values"],
            ["(1, 2, 3);", "a row of 3 values"],
            ["(1, 2) RETURNING f();", "behind the rows"],
            ["(1, 2) ON CONFLICT DO UPDATE SET a = f();", "behind the rows"],
            ["(1, 2) (3, 4);", "behind the rows"],
            ["SELECT 1, 2;", "no row"],
            [";", "no row"],
            ["('a\0', 1);", "NUL"],
        ];
        for (const [sql, found] of refused)
            expect(() => converted(sql, 2), sql)
                .to.throw(RowFault)
                .with.property("message")
                .that.contains(found);
        for (const open of ["(1, 'a", "(1, 'a''", "(1, 2)", "(1, 2) ON CONFLICT"])
            expect(() => converted(open, 2), open).to.throw("the statement has no end");
    });
});

/** The small dump's rows as `pg_dump --inserts` has them. */
const smallInserts = (rows: string): Buffer => {
    const users = "--\n-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: synapse\n--\n\n";
    return smallDump({ body: `CREATE SEQUENCE public.events_stream_seq;\n${smallTables}${rows}${users}` });
};

describe("a dump whose rows are INSERTs", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    let source: string;
    before(async () => {
        cluster = await testCluster();
        source = await cluster.createDatabase("synapse", cluster.newName("inserts"));
        await cluster.query(
            source,
            `INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
            SELECT n, '!room:rehearsal.test', 'm.room.member', E'\\t\\r\\n''\\\\' || repeat(md5(n::text), 6), '$' || n FROM generate_series(1, 9000) n;
            CREATE TABLE public.kinds (
                id integer GENERATED ALWAYS AS IDENTITY, t text, b bytea, n numeric, f double precision, o boolean, v bit varying,
                a text[], j jsonb, z timestamp with time zone, "Odd ""name" text);
            CREATE TABLE public.empty (a text);
            ALTER TABLE public.kinds OWNER TO synapse;
            ALTER TABLE public.empty OWNER TO synapse;
            INSERT INTO public.kinds (t, b, n, f, o, v, a, j, z, "Odd ""name") VALUES
                (E'\\\\N', '\\x00ff27', 'NaN', 'Infinity', true, B'101', ARRAY['a''b', NULL, '\\'], '{"a": "\\n"}', '2026-11-30', ''),
                (NULL, NULL, 1e-20, -0.1, false, B'', '{}', 'null', 'infinity', ');--'),
                ('äöü 🐤', '', -12345678901234567890.5, 1e300, NULL, NULL, NULL, NULL, NULL, E'two\\nlines\\r\\n\\\\.')`,
        );
    });

    const dumpOf = (...args: readonly string[]): Promise<Buffer> => pgDump(cluster, source, ...args);
    const inspect = (dump: Buffer, size = 64 * 1024): Promise<PlainDumpContent> =>
        inspectPlainDump(inPieces(dump, size));

    for (const args of [
        ["--inserts"],
        ["--column-inserts", "--on-conflict-do-nothing"],
        ["--rows-per-insert=700", "--quote-all-identifiers"],
    ])
        it(`of pg_dump ${args.join(" ")} holds row for row what the one with COPY holds, and is loaded as that`, async () => {
            const [copied, inserted] = [await inspect(await dumpOf()), await dumpOf(...args)];
            const content = await inspect(inserted);
            expect(content.tables).to.deep.equal(copied.tables);
            expect(content.sequences).to.deep.equal(copied.sequences);
            expect(content.tables.find(({ name }) => name === "empty")).to.include({ rows: 0 });

            const rowsIn = async (address: DatabaseAddress) =>
                (await tableFingerprints(address, { step: "test", jobs: 2 })).map(({ schema, name, rows, hash }) => ({
                    ...{ schema, name, rows, hash },
                }));
            const address = cluster.address(await cluster.createDatabase());
            const loaded = await loadPlainDump({ dump: inPieces(inserted, 64 * 1024), address, jobs: 2 });
            expect(loaded).to.deep.equal(content);
            const digests = await tableLineDigests(address, content.tables, { jobs: 2 });
            expect(digests).to.deep.equal(
                content.tables.map(({ schema, name, rows, digest }) => ({ schema, name, rows, digest })),
            );
            expect(await rowsIn(address)).to.deep.equal(await rowsIn(cluster.address(source)));
        });

    it("is the same wherever its pieces begin and end, and keeps no statement, however long", async () => {
        const rows = Array.from({ length: 200 }, (_, n) => `('@u${n}:x', '${"'' \\ \n".repeat(n)}', ${n})`).join(
            ",\n\t",
        );
        const dump = smallInserts(`INSERT INTO public.events VALUES\n\t${rows};\n`);
        const whole = await inspect(dump);
        expect(whole.tables.map(({ name, rows: count }) => [name, count])).to.deep.equal([
            ["events", 200],
            ["users", 0],
        ]);
        for (const size of [1, 7, 1000]) expect(await inspect(dump, size)).to.deep.equal(whole);
        // Ten times what a statement may have, and five times what may be kept: it is handed on as it comes.
        let largest = 0;
        const long = `INSERT INTO public.events VALUES ${Array.from({ length: 40_000 }, (_, n) => `('a', '${"b".repeat(1000)}', ${n})`).join(", ")};\n`;
        const sink = {
            ...noSink,
            rows: (data: Buffer) => Promise.resolve(void (largest = Math.max(largest, data.length))),
        };
        const content = await readPlainDump(inPieces(smallInserts(long), 64 * 1024), sink);
        expect(content.tables[0]?.rows).to.equal(40_000);
        expect(largest).to.be.lessThan(1024 * 1024 + 1);
    });

    it("is refused for code among its values (SM-E0936), for rows in two ways (SM-E0937), and where it is cut off or not UTF-8", async () => {
        const refused = (code: ErrorCode, rows: string | Buffer) =>
            expectError(code, () => inspect(Buffer.isBuffer(rows) ? rows : smallInserts(rows)));
        const row = "INSERT INTO public.events VALUES ('a', 'b', 1);\n";
        const error = await refused("SM-E0936", `${row}INSERT INTO public.events VALUES ('secret-9d1f', f(), 1);\n`);
        expect(error.detail.where).to.match(/^line \d+ of the dump, an INSERT of table public\.events, byte \d+$/);
        expect(error.block).not.to.contain("secret-9d1f");
        await refused("SM-E0937", `${row}${smallRows.replace(/^COPY public.events[^]*?\\\.\n/, "")}`);
        await refused("SM-E0901", smallInserts(row).subarray(0, smallInserts(row).indexOf("'b', 1")));
        await refused("SM-E0901", `${row}INSERT INTO public.users VALUES ('a');\n${row}`);
        await refused("SM-E0907", `${row}INSERT INTO public.nobody VALUES ('a');\n`);
        await refused("SM-E0903", "INSERT INTO public.events SELECT 'a', 'b', 1;\n");
        await refused("SM-E0904", Buffer.from(smallInserts(row).toString().replace("'b'", "'\xff'"), "latin1"));
        // Without the comment that says that there are none, rows are missing.
        const silent = smallInserts(row).toString().replace("TABLE DATA", "TABLE");
        await refused("SM-E0907", Buffer.from(silent));
    });
});
