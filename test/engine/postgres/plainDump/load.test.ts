import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import {
    compareDefinitions,
    describeDifference,
    readDefinitions,
    readOwners,
} from "../../../../engine/postgres/catalogue/catalogue.ts";
import { withClient, type DatabaseAddress } from "../../../../engine/postgres/connection.ts";
import { tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { inspectPlainDump } from "../../../../engine/postgres/plainDump/inspect.ts";
import { tableLineDigests, type LineDigest } from "../../../../engine/postgres/plainDump/lineDigest.ts";
import { loadPlainDump, type PlainDumpContent } from "../../../../engine/postgres/plainDump/load.ts";
import { readSequences } from "../../../../engine/postgres/sequences/sequences.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { inPieces, pgDump, psql, smallDump, smallKeys, smallRows, smallTables } from "./dumps.ts";
import { untilItPasses } from "../../../support/waiting.ts";

const pieceBytes = 64 * 1024;
const sequence = "CREATE SEQUENCE public.events_stream_seq;\n";
let cluster: TestCluster;

/** What a database is: rows, definitions, sequences. */
async function stateOf(address: DatabaseAddress): Promise<unknown> {
    const rows = await tableFingerprints(address, { step: "test", jobs: 2 });
    return withClient(address, { step: "test" }, async (client) => ({
        rows: rows.map(({ schema, name, rows: count, hash }) => ({ schema, name, count, hash })),
        definitions: await readDefinitions(client),
        sequences: await readSequences(client),
    }));
}

async function load(
    dump: Buffer,
    jobs = 2,
    name?: string,
): Promise<{ address: DatabaseAddress; content: PlainDumpContent }> {
    const address = cluster.address(name ?? (await cluster.createDatabase()));
    return { address, content: await loadPlainDump({ dump: inPieces(dump, pieceBytes), address, jobs }) };
}

const promised = ({ tables }: PlainDumpContent): LineDigest[] =>
    tables.map(({ schema, name, rows, digest }) => ({ schema, name, rows, digest }));

async function sessionsIn({ name }: DatabaseAddress): Promise<number> {
    const rows = await cluster.query("postgres", `SELECT 1 FROM pg_stat_activity WHERE datname = '${name}'`);
    return rows.length;
}

describe("loading a plain dump", () => {
    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
    });

    describe("of a homeserver", () => {
        let dump: Buffer;
        let restored: DatabaseAddress;

        before(async function () {
            this.timeout(120_000);
            const source = await cluster.createDatabase("synapse");
            // More than a chunk of one table, so that several connections share it.
            await cluster.query(
                source,
                `INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
                SELECT n, '!room:rehearsal.test', 'm.room.member', E'\\t\\\\' || repeat(md5(n::text), 6), '$' || n FROM generate_series(1, 30000) n;
                UPDATE users SET password_hash = E'tab\\there, line\\nbreak, back\\\\slash, \\u00e9' WHERE name = (SELECT min(name) FROM users);
                CREATE ROLE rdsadmin; ALTER TABLE users OWNER TO rdsadmin; ALTER TABLE events OWNER TO rdsadmin;
                GRANT SELECT ON rooms TO rdsadmin; ALTER ROLE rdsadmin RENAME TO "4711-ab"; CREATE PUBLICATION p FOR ALL TABLES;
                COMMENT ON TABLE users IS 'x;y'; CREATE EXTENSION citext; ALTER TABLE events REPLICA IDENTITY FULL`,
            );
            dump = await pgDump(cluster, source);
            const file = join(cluster.directory, "without-owners.sql");
            await writeFile(file, await pgDump(cluster, source, "--no-owner", "--no-acl", "--no-publications"));
            restored = cluster.address(await cluster.createDatabase());
            await psql(cluster, restored.name, "synapse", file);
        });

        for (const jobs of [1, 2, 3]) {
            it(`makes the database that psql makes, with ${jobs} jobs`, async () => {
                const { address, content } = await load(dump, jobs);
                const [expected, found] = await Promise.all([stateOf(restored), stateOf(address)]);
                expect(found).to.deep.equal(expected);
                expect(content.owners).to.deep.equal(["4711-ab", "synapse"]);
                expect(content.leftOut).to.include.keys("owners", "privileges", "publications");
                expect(await inspectPlainDump(inPieces(dump, 1000))).to.deep.equal(content);
                const owners = await withClient(address, { step: "test" }, readOwners);
                expect(owners.filter(({ owner }) => owner !== "synapse")).to.deep.equal([]);
            });
        }

        it("has digests that the loaded tables prove, and that find a changed, a lost and a doubled row", async () => {
            const { address, content } = await load(dump);
            const digests = (): Promise<readonly LineDigest[]> =>
                tableLineDigests(address, content.tables, { jobs: 2 });
            expect(await digests()).to.deep.equal(promised(content));
            const changes: [table: string, sql: string][] = [
                ["users", "UPDATE users SET is_guest = 1 - is_guest WHERE name = (SELECT min(name) FROM users)"],
                ["event_json", "DELETE FROM event_json WHERE event_id = (SELECT min(event_id) FROM event_json)"],
                [
                    "state_groups_state",
                    "INSERT INTO state_groups_state SELECT * FROM state_groups_state ORDER BY event_id LIMIT 1",
                ],
            ];
            for (const [, sql] of changes) await cluster.query(address.name, sql);
            const found = await digests();
            const unlike = promised(content).filter((table, index) => found[index]?.digest !== table.digest);
            expect(unlike.map(({ name }) => name)).to.deep.equal(changes.map(([table]) => table).sort());
            await cluster.query(address.name, "DROP TABLE presence_stream");
            expect((await digests()).map(({ name }) => name)).not.to.include("presence_stream");
        });

        it("tells how far it is, in order", async () => {
            const phases: string[] = [];
            let last = { bytes: 0, tables: 0, rows: 0 };
            const address = cluster.address(await cluster.createDatabase());
            const content = await loadPlainDump({
                ...{ dump: inPieces(dump, pieceBytes), address, jobs: 2 },
                onProgress: ({ phase, ...read }) => {
                    if (phases.at(-1) !== phase) phases.push(phase);
                    expect(read.bytes).to.be.at.least(last.bytes);
                    expect(read.rows).to.be.at.least(last.rows);
                    last = read;
                },
            });
            expect(phases).to.deep.equal(["data", "indexes", "constraints"]);
            expect(last.tables).to.equal(content.tables.length);
            expect(last.rows).to.equal(content.tables.reduce((sum, { rows }) => sum + rows, 0));
        });

        for (const options of [
            ["--create", "--clean", "--if-exists"],
            ["--clean"],
            ["--clean", "--if-exists"],
            ["--quote-all-identifiers"],
            ["--quote-all-identifiers", "--clean", "--if-exists", "--create"],
            ["--no-owner", "--no-acl", "--no-tablespaces"],
        ])
            it(`makes the same database of a dump of pg_dump ${options.join(" ")}`, async () => {
                const source = await cluster.createDatabase("synapse");
                const { address, content } = await load(await pgDump(cluster, source, ...options));
                const [expected, found] = await Promise.all(
                    [cluster.address(source), address].map((each) =>
                        withClient(each, { step: "test" }, readDefinitions),
                    ),
                );
                expect(compareDefinitions(expected ?? [], found ?? []).map(describeDifference)).to.deep.equal([]);
                const digests = await tableLineDigests(cluster.address(source), content.tables, { jobs: 1 });
                expect(promised(content)).to.deep.equal(digests);
            });

        it("ends at once when it is told to stop, and leaves no session behind", async () => {
            const stop = new AbortController();
            const address = cluster.address(await cluster.createDatabase());
            const loading = loadPlainDump({
                ...{ dump: inPieces(dump, pieceBytes), address, jobs: 2, signal: stop.signal },
                onProgress: ({ rows }) => {
                    if (rows > 10_000) stop.abort(new Error("stopped by a test"));
                },
            });
            expect(await loading.catch((error: unknown) => error)).to.have.property("message", "stopped by a test");
            await untilItPasses(async () => expect(await sessionsIn(address)).to.equal(0));
        });

        it("fails with the error of the stream that comes behind the last byte", async () => {
            const address = cluster.address(await cluster.createDatabase());
            async function* failing(): AsyncGenerator<Buffer> {
                yield* inPieces(dump, pieceBytes);
                throw new Error("gpg: message was altered");
            }
            const outcome = await loadPlainDump({ dump: failing(), address, jobs: 2 }).catch((error: unknown) => error);
            expect(outcome).to.have.property("message", "gpg: message was altered");
        });
    });

    it("carries any text through COPY and back", async () => {
        const text = fc.option(fc.string({ unit: "binary", maxLength: 40 }).map((value) => value.replaceAll("\0", "")));
        await fc.assert(
            fc.asyncProperty(fc.array(fc.tuple(text, text), { minLength: 60, maxLength: 120 }), async (rows) => {
                const source = cluster.address(await cluster.createDatabase());
                await withClient(source, { step: "test" }, async (client) => {
                    await client.query(
                        "CREATE TABLE public.users (name text, x text); CREATE TABLE public.events (a text)",
                    );
                    for (const row of rows) await client.query("INSERT INTO public.users VALUES ($1, $2)", row);
                });
                const { address, content } = await load(await pgDump(cluster, source.name));
                const read = (of: DatabaseAddress): Promise<unknown> =>
                    cluster.query(of.name, "SELECT * FROM users ORDER BY 1, 2");
                expect(await read(address)).to.deep.equal(await read(source));
                expect(await tableLineDigests(address, content.tables, { jobs: 1 })).to.deep.equal(promised(content));
            }),
            { numRuns: 3 },
        );
    });

    it("has the server's digest of every escape that COPY knows", async () => {
        const odd = [
            "\\101\\x42\\q",
            "\\303\\244\\x9",
            "\\N",
            "x\\N",
            "\\\tx",
            "\\b\\f\\n\\r\\t\\v\\\\",
            "\b\f\v\u0001\u007f",
            "",
            "\\134N",
            "\\12\\1",
            "\\xz",
        ];
        const rows = smallRows.replace("@a:example.org\n", odd.map((value) => `${value}\n`).join(""));
        const { address, content } = await load(smallDump({ body: `${sequence}${smallTables}${rows}${smallKeys}` }));
        expect(await tableLineDigests(address, content.tables, { jobs: 2 })).to.deep.equal(promised(content));
        expect(content.tables.find(({ name }) => name === "users")?.rows).to.equal(odd.length);
    });

    it("has all that a view selects looked at before it fills the view, wherever the dump makes it", async () => {
        const made = `CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''ran''; END';
            CREATE MATERIALIZED VIEW public.m AS SELECT public.f() AS x WITH NO DATA;\nREFRESH MATERIALIZED VIEW public.m;\n`;
        for (const body of [
            `${sequence}${smallTables}${made}${smallRows}${smallKeys}`,
            `${sequence}${smallTables}${smallRows}${smallKeys}${made}`,
        ]) {
            const address = cluster.address(await cluster.createDatabase());
            const beforeRows = async (): Promise<void> => {
                const found = await cluster.query(address.name, "SELECT 1 FROM pg_proc WHERE proname = 'f'");
                if (found.length > 0) throw new Error("seen");
            };
            const dump = inPieces(smallDump({ body }), 100);
            const outcome = await loadPlainDump({ dump, address, jobs: 2, beforeRows }).catch(
                (error: unknown) => error,
            );
            expect(outcome).to.have.property("message", "seen");
        }
    });

    it("streams a row that is larger than what it keeps in memory", async () => {
        const megabyte = Buffer.alloc(1024 * 1024, "x");
        const [before = "", after = ""] = smallDump().toString().split("@a:example.org");
        async function* large(): AsyncGenerator<Buffer> {
            yield* inPieces(Buffer.from(before), 100);
            for (let part = 0; part < 60; part += 1) yield await Promise.resolve(megabyte);
            yield Buffer.from(after);
        }
        const address = cluster.address(await cluster.createDatabase());
        const content = await loadPlainDump({ dump: large(), address, jobs: 2 });
        const [row] = await cluster.query(address.name, "SELECT length(name) AS length FROM users");
        expect(row).to.deep.equal({ length: 60 * megabyte.length });
        expect(await tableLineDigests(address, content.tables, { jobs: 1 })).to.deep.equal(promised(content));
    });

    it("loads names without schemas into the first of the search path", async () => {
        const settings =
            "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nCREATE SCHEMA other;\nSET search_path = other, pg_catalog;\n";
        const body = `${sequence}${smallTables}${smallRows}${smallKeys}`.replaceAll("public.", "");
        const { address, content } = await load(smallDump({ settings, body }));
        expect(content.tables.map(({ schema }) => schema)).to.deep.equal(["other", "other"]);
        expect(await tableLineDigests(address, content.tables, { jobs: 2 })).to.deep.equal(promised(content));
        const indexes = await cluster.query(
            address.name,
            "SELECT indexname FROM pg_indexes WHERE schemaname = 'other' ORDER BY 1",
        );
        expect(indexes).to.deep.equal([{ indexname: "events_order" }, { indexname: "events_pkey" }]);
    });

    it("only loads into a database that holds nothing but our marker, and never as a superuser", async () => {
        const used = await cluster.createDatabase();
        await cluster.query(used, "CREATE TABLE anything (a int)");
        expect((await expectError("SM-E0804", () => load(smallDump(), 1, used))).detail.found).to.equal(
            "public.anything",
        );
        const marked = await cluster.createDatabase();
        await cluster.query(marked, "CREATE SCHEMA synapse_migration CREATE TABLE marker (run text)");
        await load(smallDump(), 1, marked);
        const address = cluster.superuserAddress(await cluster.createDatabase());
        const outcome = await loadPlainDump({ dump: inPieces(smallDump(), 100), address, jobs: 1 }).catch(
            (error: unknown) => error,
        );
        expect(outcome).to.be.instanceOf(Error).with.property("message").that.contains("superuser");
    });

    it("says line and object of what the server refuses, and never a value", async () => {
        const body = (rows: string, keys = smallKeys): Buffer =>
            smallDump({ body: `${sequence}${smallTables}${rows}${keys}` });
        const lineOf = (dump: Buffer, text: string): string =>
            `line ${
                dump
                    .toString()
                    .split("\n")
                    .findIndex((line) => line.startsWith(text)) + 1
            } of the dump`;
        const wrongType = body(smallRows.replace("2\t$two", "secret\t$two"));
        const damaged = await expectError("SM-E0901", () => load(wrongType));
        expect(damaged.detail.where).to.equal(
            `${lineOf(wrongType, "secret")}, table public.events, column stream_ordering`,
        );
        expect(damaged.block).not.to.contain("secret");

        const twice = body(smallRows.replace("2\t$two", "2\t$one"));
        const duplicate = await expectError("SM-E0513", () => load(twice));
        expect(duplicate.detail.where).to.contain(
            `${lineOf(twice, "ALTER TABLE ONLY public.events")}, constraint events_pkey`,
        );
        expect(duplicate.block).not.to.contain("$one");

        const octal = body(smallRows.replace("@a:example.org", "a\\377b"));
        expect((await expectError("SM-E0904", () => load(octal))).detail.where).to.contain(lineOf(octal, "a\\377b"));

        const noColumn = body(smallRows, smallKeys.replace("(stream_ordering)", "(nothing)"));
        expect((await expectError("SM-E1104", () => load(noColumn))).detail.where).to.contain(
            "index events_order of table public.events",
        );

        const noType = smallDump({ body: smallTables.replace("name text", "name nothing") + smallRows });
        expect((await expectError("SM-E1104", () => load(noType))).detail.where).to.contain("table public.users");
    });

    it("gives the server one statement at a time, whatever it might hold", async () => {
        const hidden = `${sequence}${smallTables}${smallRows}CREATE INDEX x ON public.users USING btree (name) :\nDROP TABLE public.users;\n${smallKeys}`;
        await expectError("SM-E1104", () => load(smallDump({ body: hidden })));
    });

    it("refuses extensions that the server lacks or the owner may not create", async () => {
        const body = `CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;\n${sequence}${smallTables}${smallRows}${smallKeys}`;
        const [available] = await cluster.query(
            "postgres",
            "SELECT 1 FROM pg_available_extensions WHERE name = 'uuid-ossp'",
        );
        if (available === undefined) await expectError("SM-E0511", () => load(smallDump({ body })));
        else expect((await load(smallDump({ body }))).content.statements).to.equal(17);
    });
});
