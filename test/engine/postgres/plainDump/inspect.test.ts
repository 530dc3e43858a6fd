import { createHash } from "node:crypto";
import { expect } from "chai";
import fc from "fast-check";
import { plainDumpWarnings, type PlainDumpContent } from "../../../../engine/postgres/plainDump/content.ts";
import { inspectPlainDump } from "../../../../engine/postgres/plainDump/inspect.ts";
import type { ErrorCode } from "../../../../engine/run/errorCatalogue.ts";
import { MigrationError } from "../../../../engine/run/errors.ts";
import { expectError } from "../../../support/expectError.ts";
import { inPieces, smallDump, smallKeys, smallRows, smallTables, usualSettings, type SmallDump } from "./dumps.ts";

const inspect = (dump: Buffer, ...sizes: number[]): Promise<PlainDumpContent> =>
    inspectPlainDump(inPieces(dump, ...(sizes.length === 0 ? [dump.length] : sizes)));
const refused = (code: ErrorCode, dump: SmallDump | Buffer): Promise<MigrationError> =>
    expectError(code, () => inspect(Buffer.isBuffer(dump) ? dump : smallDump(dump)));
const sequence = "CREATE SEQUENCE public.events_stream_seq;\n";

/** As pg_dump 9.6 before 2018 wrote it: names without schemas. */
const oldDump: SmallDump = {
    versions: "-- Dumped from database version 9.6.6\n-- Dumped by pg_dump version 9.6.6\n\n",
    settings: `SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET check_function_bodies = false;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: plpgsql; Type: EXTENSION; Schema: -; Owner: 
--

CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;
COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';

SET search_path = public, pg_catalog;
SET default_tablespace = '';
SET default_with_oids = false;
`,
    body: `CREATE SEQUENCE public.events_stream_seq;\n${smallTables}${smallRows}${smallKeys}`.replaceAll("public.", ""),
};
/** As pg_dump 18 writes it with --create. */
const createDump = Buffer.from(
    smallDump({ restrictKey: "Key1" })
        .toString()
        .replace(
            "-- Dumped from database version 15.18\n-- Dumped by pg_dump version 15.18",
            "-- Dumped from database version 18.1\n-- Dumped by pg_dump version 18.1",
        )
        .replace(
            "SET check_function_bodies",
            `SET transaction_timeout = 0;
CREATE DATABASE "Synapse" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';
ALTER DATABASE "Synapse" OWNER TO synapse;
\\unrestrict Key1
\\connect "Synapse"
\\restrict Key1

SET client_encoding = 'UTF8';
SET check_function_bodies`,
        ),
);

describe("reading a plain dump", () => {
    it("lists what it holds", async () => {
        const dump = smallDump({ restrictKey: "abc123" });
        const content = await inspect(dump);
        expect(content).to.deep.include({
            ...{ serverVersion: "15.18", programVersion: "15.18", bytes: dump.length, statements: 16 },
            ...{
                sha256: createHash("sha256").update(dump).digest("hex"),
                owners: ["rdsadmin"],
                leftOut: { owners: 1 },
            },
            sequences: [{ schema: "public", name: "events_stream_seq", lastValue: "2", isCalled: true }],
        });
        expect(content.tables.map(({ name, rows, columns }) => [name, rows, columns.length])).to.deep.equal([
            ["events", 2, 3],
            ["users", 1, 1],
        ]);
    });

    it("gives the same result wherever the pieces begin and end", async () => {
        const dump = smallDump({ restrictKey: "abc123" });
        const whole = await inspect(dump);
        expect(await inspect(dump, 1)).to.deep.equal(whole);
        await fc.assert(
            fc.asyncProperty(
                fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 9 }),
                async (sizes) => {
                    expect(await inspect(dump, ...sizes)).to.deep.equal(whole);
                },
            ),
            { numRuns: 60 },
        );
    });

    it("reads dumps of pg_dump 9.6 without schemas, and of 18 with --create", async () => {
        const [plain, old, created] = await Promise.all([
            inspect(smallDump()),
            inspect(smallDump(oldDump)),
            inspect(createDump),
        ]);
        expect(old.tables).to.deep.equal(plain.tables);
        expect(old.sequences).to.deep.equal(plain.sequences);
        expect(old.leftOut).to.deep.equal({ owners: 1, extensions: 1, "comments on extensions": 1 });
        expect(created).to.deep.include({ tables: plain.tables, serverVersion: "18.1" });
    });

    it("leaves out the drops of --clean, and our own marker from an earlier migration", async () => {
        const marker = `CREATE SCHEMA synapse_migration;
CREATE TABLE synapse_migration.marker (\n    run text\n);
ALTER TABLE synapse_migration.marker OWNER TO synapse;
COPY synapse_migration.marker (run) FROM stdin;\nr1\n\\.\n
ALTER TABLE ONLY synapse_migration.marker ADD CONSTRAINT marker_pkey PRIMARY KEY (run);\n`;
        const content = await inspect(
            smallDump({
                body: `DROP TABLE IF EXISTS public.events;\n${marker}${sequence}${smallTables}${smallRows}${smallKeys}`,
            }),
        );
        expect(content.tables.map(({ name }) => name)).to.deep.equal(["events", "users"]);
        expect(content.leftOut).to.deep.equal({ drop: 1, "marker of an earlier migration": 4, owners: 2 });
    });

    it("accepts a dump cut at no byte at all", async function () {
        this.timeout(60_000);
        for (const dump of [smallDump(), smallDump({ restrictKey: "abc123" }), createDump]) {
            for (let length = 0; length < dump.length; length += 1) {
                const cut = dump.subarray(0, length);
                const outcome = await inspect(cut).then(
                    () => "accepted",
                    (error: unknown) => error,
                );
                expect(outcome, `cut to ${length} of ${dump.length} bytes`).to.be.instanceOf(MigrationError);
                expect(outcome, `cut to ${length}`).to.include({ code: "SM-E0901" });
            }
        }
    });

    it("accepts no flipped bit in what holds the rows together", async () => {
        const dump = smallDump();
        const text = dump.toString("latin1");
        const places = [
            ...[...text.matchAll(/\\\.\n/g)].flatMap(({ index }) => [index, index + 1, index + 2]),
            ...[...text.matchAll(/^COPY .*\n/gm)].flatMap(({ index, 0: line }) =>
                Array.from(line, (_, at) => index + at),
            ),
            ...[...text.matchAll(/\t/g)].map(({ index }) => index),
            ...[...text.matchAll(/^-- PostgreSQL database dump complete\n--\n\n/gm)].flatMap(({ index, 0: line }) =>
                Array.from(line.slice(0, -1), (_, at) => index + at),
            ),
        ];
        expect(places.length).to.be.greaterThan(140);
        for (const place of places)
            for (let bit = 0; bit < 8; bit += 1) {
                const flipped = Buffer.from(dump);
                flipped[place] = (flipped[place] ?? 0) ^ (1 << bit);
                // COPY in lower case, and white space for white space, are the same statement.
                const [was, is] = [dump, flipped].map((bytes) => bytes.toString("latin1", place, place + 1));
                if (was?.toLowerCase() === is?.toLowerCase() || (/\s/.test(was ?? "") && /\s/.test(is ?? ""))) continue;
                const outcome = await inspect(flipped).catch((error: unknown) => error);
                expect(outcome, `bit ${bit} of byte ${place}: ${text.slice(place - 10, place + 10)}`).to.be.instanceOf(
                    MigrationError,
                );
            }
    });

    it("says which object was the last that is whole", async () => {
        const text = smallDump().toString();
        const cut = Buffer.from(text.slice(0, text.indexOf("2\t$two")));
        const error = await refused("SM-E0901", cut);
        expect(error.detail.found)
            .to.contain("inside of the rows of table public.events, after 1 whole ones")
            .and.to.match(/CREATE TABLE public.users in line \d+$/);
        const line = text.slice(0, text.indexOf("2\t$two")).split("\n").length;
        expect(error.detail.where).to.equal(`line ${line} of the dump`);
    });

    it("names line, row and byte of a line that lost columns", async () => {
        const text = smallDump().toString().replace("2\t$two\t", "2\t$two ");
        const error = await refused("SM-E0901", Buffer.from(text));
        const at = text.indexOf("\\N\n") + 2;
        expect(error.detail.found).to.equal("a line of 2 columns and not of 3");
        expect(error.detail.where).to.contain(
            `row 2 of table public.events, byte ${Buffer.byteLength(text.slice(0, at))}`,
        );
    });

    it("refuses commands for psql wherever they stand, and a forged \\unrestrict", async () => {
        const body = (line: string): string => `${sequence}${smallTables}${line}\n${smallRows}${smallKeys}`;
        for (const command of [
            "\\! id",
            "\\i x.sql",
            "\\copy a from b",
            "\\connect other",
            "\\set x y",
            "\\unrestrict abc",
            "\\restrict abc",
            "\\unrestrict key1",
        ]) {
            const text = smallDump({ restrictKey: "key1", body: body(command) });
            const error = await refused("SM-E0902", text);
            const line = text.toString().split("\n").indexOf(command, 20) + 1;
            expect(error.detail.where, command).to.equal(`line ${line} of the dump`);
        }
        await refused("SM-E0902", { body: body("ALTER TABLE public.users\n\\! id\nOWNER TO x;") });
        const other = smallDump({ restrictKey: "key1" }).toString().replace("\\unrestrict key1", "\\unrestrict key2");
        await refused("SM-E0902", Buffer.from(other));
        await refused(
            "SM-E0902",
            Buffer.from(createDump.toString().replace('\\connect "Synapse"', "\\connect synapse")),
        );
        await refused(
            "SM-E0901",
            Buffer.from(smallDump().toString().replace("\n\n-- Dumped", "\n\n\\restrict abc\n\n-- Dumped")),
        );
        // Within rows they are data.
        await inspect(
            smallDump({
                body: `${sequence}${smallTables}${smallRows.replace("@a:example.org", "\\\\! id")}${smallKeys}`,
            }),
        );
    });

    it("names the line of a statement that is not on the list", async () => {
        const body = `${sequence}${smallTables}--\n-- Name: x\n--\n\nALTER SYSTEM\n    SET archive_command = 'id';\n${smallRows}`;
        const error = await refused("SM-E0903", { body });
        const line = smallDump({ body }).toString().split("\n").indexOf("ALTER SYSTEM") + 1;
        expect(error.detail).to.include({
            where: `line ${line} of the dump`,
            found: "ALTER SYSTEM SET archive_command",
        });
        await refused("SM-E0903", { body: `${sequence}${smallTables}DROP TABLE public.users;\n${smallRows}` });
        await refused("SM-E0903", { body: `SELECT '${"x".repeat(5 * 1024 * 1024)}';` });
    });

    it("names what a refused object is, whose, and what keeps it out of the dump: never what changes nothing", async () => {
        const heading = (name: string, type: string, schema = "public", owner = "bridge"): string =>
            `--\n-- Name: ${name}; Type: ${type}; Schema: ${schema}; Owner: ${owner}\n--\n\n`;
        for (const [entry, statement, found, fix] of [
            [
                heading("dblink", "EXTENSION", "-", ""),
                "CREATE EXTENSION IF NOT EXISTS dblink WITH SCHEMA public;",
                "EXTENSION dblink, whose owner",
                "DROP EXTENSION dblink on the source",
            ],
            [
                heading("remote", "FOREIGN TABLE"),
                "CREATE FOREIGN TABLE public.remote (a text) SERVER s;",
                "FOREIGN TABLE remote in schema public, owner bridge",
                "--exclude-table='public.remote'",
            ],
            [
                heading("Odd", "TABLE"),
                'CREATE TABLE public."Odd" (a int) PARTITION BY RANGE (a);',
                "TABLE Odd in schema public",
                `--exclude-table='public."Odd"'`,
            ],
            [
                heading("f(integer)", "FUNCTION"),
                "CREATE FUNCTION public.f(integer) RETURNS int LANGUAGE c AS 'x', 'y';",
                "FUNCTION f(integer) in schema public, owner bridge",
                "DROP FUNCTION public.f(integer)",
            ],
            [
                heading("f(integer)", "FUNCTION", "irc"),
                "CREATE FUNCTION irc.f(integer) RETURNS int LANGUAGE plperl AS 'x';",
                "in schema irc",
                "--exclude-schema='irc'",
            ],
            [
                heading("e", "EVENT TRIGGER", "-"),
                "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.f();",
                "EVENT TRIGGER e, owner bridge",
                "DROP EVENT TRIGGER e on the source",
            ],
            [heading("16400", "BLOB", "-"), "SELECT pg_catalog.lo_create('16400');", "BLOB 16400", "--no-blobs"],
        ] as const) {
            const error = await refused("SM-E0903", {
                body: `${sequence}${smallTables}${entry}${statement}\n${smallRows}`,
            });
            expect(error.detail.found).to.contain(found);
            expect(error.block).to.contain(fix);
        }
        const below = `${heading("f()", "FUNCTION")}CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';\nALTER SYSTEM SET archive_command = 'id';\n`;
        const error = await refused("SM-E0903", { body: `${sequence}${smallTables}${below}` });
        expect(error.detail.found).to.equal("ALTER SYSTEM SET archive_command");
    });

    it("names table, line and byte of what is not UTF-8, in whichever piece it comes", async () => {
        const dump = smallDump();
        const at = dump.indexOf(Buffer.from("\u00e9"));
        const wrong: [number, number][] = [
            [at, 0xff],
            [at + 1, 0x41],
            [at - 1, 0xc3],
            [at - 3, 0],
        ];
        for (const [place, byte] of wrong) {
            const damaged = Buffer.from(dump);
            damaged[place] = byte;
            for (const size of [damaged.length, at + 1, 1]) {
                const error = await expectError("SM-E0904", () => inspect(damaged, size));
                expect(error.detail.where, `${place} ${size}`).to.match(
                    /^line 31 of the dump, row 1 of table public.events, byte \d+$/,
                );
                expect(Number(/\d+$/.exec(error.detail.where)?.[0])).to.be.within(place - 1, place + 1);
            }
        }
        await refused("SM-E0904", { settings: usualSettings.replace("UTF8", "SQL_ASCII") });
        await refused(
            "SM-E0904",
            Buffer.concat([smallDump().subarray(0, 300), Buffer.from([0xff]), smallDump().subarray(300)]),
        );
        // Cut within a character.
        const open = Buffer.from(dump);
        open.set(Buffer.from("\xe2\x82\n", "latin1"), dump.indexOf("@a:example.org") + 11);
        await refused("SM-E0904", open);
    });

    describe("that something has changed on its way into the file", () => {
        const warnings = [
            "pg_dump: warning: there are circular foreign-key constraints on this table:",
            "pg_dump: detail: events",
            "pg_dump: hint: Consider using a full dump instead of a --data-only dump to avoid this problem.",
            "",
        ].join("\n");
        const behind = (front: string): Buffer => Buffer.concat([Buffer.from(front), smallDump()]);
        const crlf = (dump: Buffer): Buffer => Buffer.from(dump.toString("latin1").replaceAll("\n", "\r\n"), "latin1");

        it("is read with a byte order mark, and with warnings of pg_dump in front", async () => {
            const { tables, sequences } = await inspect(smallDump());
            for (const front of [
                "\uFEFF",
                warnings,
                `\uFEFF${warnings}`,
                "\n\n",
                warnings.replaceAll("pg_dump", "pg_dumpall"),
            ])
                for (const sizes of [[], [1], [7, 50]])
                    expect(await inspect(behind(front), ...sizes), front).to.deep.include({ tables, sequences });
        });

        it("is named for what a terminal does to it, in whichever piece it comes", async () => {
            for (const dump of [
                crlf(smallDump()),
                crlf(createDump),
                crlf(behind(warnings)),
                crlf(smallDump({ restrictKey: "a1" })),
            ])
                for (const size of [dump.length, 1]) {
                    const error = await expectError("SM-E0933", () => inspect(dump, size));
                    expect(error.detail.found).to.equal("CR LF at the end of every line");
                    expect(error.block).to.contain("sed 's/\\r$//'").and.to.contain("without `-t`");
                }
            expect(
                (await inspect(Buffer.from(crlf(smallDump()).toString("latin1").replaceAll("\r\n", "\n"), "latin1")))
                    .sha256,
            ).to.equal((await inspect(smallDump())).sha256);
        });

        it("is named for what PowerShell does to it", async () => {
            const text = Buffer.from(`\uFEFF${smallDump().toString()}`, "utf16le");
            for (const dump of [text, Buffer.from(text).swap16()])
                expect((await refused("SM-E0933", dump)).block)
                    .to.contain("UTF-16")
                    .and.to.contain("--file");
        });

        it("is named for messages in it, without what they may hold", async () => {
            const inFront = await refused(
                "SM-E0934",
                behind('Defaulted container "synapse" out of: synapse, postgres\n'),
            );
            expect(inFront.detail).to.include({ where: "line 1 of the dump" });
            expect(inFront.detail.found).to.contain("begins with Defaulted, in front of the dump");
            const traced = await refused("SM-E0934", behind("PGPASSWORD=hunter2 pg_dump synapse\n"));
            expect(traced.block).to.contain("a message of another program").and.not.to.contain("hunter2");
            const failed = await refused(
                "SM-E0934",
                behind("pg_dump: error: query failed: ERROR: permission denied\n"),
            );
            expect(failed.detail.found).to.contain("permission denied");
            await refused(
                "SM-E0934",
                Buffer.from('pg_dump: error: connection to server failed: FATAL: role "root" does not exist\n'),
            );
            const between = `${sequence}${smallTables}pg_dump: warning: it isn't; what it was\n${smallRows}${smallKeys}`;
            const error = await refused("SM-E0934", { body: between });
            const line =
                smallDump({ body: between })
                    .toString()
                    .split("\n")
                    .findIndex((text) => text.startsWith("pg_dump: ")) + 1;
            expect(error.detail.where).to.equal(`line ${line} of the dump`);
        });
    });

    it("refuses dumps of a part, and says how to make a whole one", async () => {
        const noRows = await refused("SM-E0907", { body: `${sequence}${smallTables}${smallKeys}` });
        expect(noRows.detail.found).to.contain("--schema-only");
        await refused("SM-E0907", { body: smallRows });
        await refused("SM-E0907", {
            body: `${sequence}${smallTables}${smallRows.replace(/COPY public.users[^]*/, "")}`,
        });
        await refused("SM-E0907", {
            body: `${sequence}${smallTables}${smallRows}${smallKeys.replace("INDEX events_order ON public.events", "INDEX x ON public.eventz")}`,
        });
        const cluster = Buffer.from(
            "--\n-- PostgreSQL database cluster dump\n--\n\nSET default_transaction_read_only = off;\n\nCREATE ROLE postgres;\n",
        );
        expect((await refused("SM-E0907", cluster)).block).to.contain("pg_dumpall");
        await refused("SM-E0907", Buffer.from("CREATE TABLE a (b text);\n"));
    });

    it("accepts that the one-time keys have no rows, and warns of it", async () => {
        const keys = "CREATE TABLE public.e2e_one_time_keys_json (\n    user_id text\n);\n";
        const locks = "CREATE UNLOGGED TABLE public.worker_read_write_locks (\n    a text\n);\n";
        const content = await inspect(
            smallDump({ body: `${sequence}${smallTables}${keys}${locks}${smallRows}${smallKeys}` }),
        );
        expect(content.leftOut).to.include({ "data of e2e_one_time_keys_json": 1, "data of unlogged tables": 1 });
        expect(plainDumpWarnings(content, "a dump").map(({ code }) => code)).to.deep.equal(["SM-W0908"]);
        expect(plainDumpWarnings(await inspect(smallDump()), "a dump")).to.deep.equal([]);
    });

    it("refuses another database, and several in one file", async () => {
        const other = await refused("SM-E0909", {
            body: "CREATE TABLE public.roomserver_rooms (\n a text\n);\nCOPY public.roomserver_rooms (a) FROM stdin;\n\\.\n",
        });
        expect(other.detail.found).to.contain("no table events or users").and.to.contain("public.roomserver_rooms");
        await refused("SM-E0909", Buffer.concat([smallDump(), smallDump()]));
        const two = createDump.toString().replace("ALTER DATABASE", "CREATE DATABASE other;\nALTER DATABASE");
        await refused("SM-E0909", Buffer.from(two));
        await refused("SM-E0901", Buffer.concat([smallDump(), Buffer.from("SELECT 1;\n")]));
    });

    it("refuses rows that do not fit the tables of the dump", async () => {
        const body = (rows: string): SmallDump => ({ body: `${sequence}${smallTables}${rows}${smallKeys}` });
        await refused("SM-E0901", body(smallRows.replace("(name)", "(nome)")));
        await refused(
            "SM-E0901",
            body(smallRows.replace("(stream_ordering, event_id, json)", "(stream_ordering, event_id)")),
        );
        await refused("SM-E0901", body(smallRows + smallRows));
        await refused("SM-E0901", { body: `${sequence}${smallTables}${smallTables}` });
        await refused("SM-E0901", body(smallRows.replace("FROM stdin;", "FROM stdin; --")));
    });

    it("fails with the error of its stream, also when all of the dump came before it", async () => {
        async function* failing(): AsyncGenerator<Buffer> {
            yield* inPieces(smallDump(), 100);
            throw new Error("gzip: invalid checksum");
        }
        const outcome = await inspectPlainDump(failing()).catch((error: unknown) => error);
        expect(outcome).to.be.instanceOf(Error).with.property("message", "gzip: invalid checksum");
    });

    it("stops when it is told to, and closes the stream", async () => {
        const stop = new AbortController();
        const ended: string[] = [];
        async function* endless(): AsyncGenerator<Buffer> {
            try {
                yield* inPieces(smallDump().subarray(0, 700), 100);
                stop.abort(new Error("stopped by a test"));
                for (;;) yield* inPieces(Buffer.from("-- x\n"), 1000);
            } finally {
                ended.push("closed");
            }
        }
        const reading = inspectPlainDump(endless(), { signal: stop.signal });
        expect(await reading.catch((error: unknown) => error)).to.have.property("message", "stopped by a test");
        expect(ended).to.deep.equal(["closed"]);
    });
});
