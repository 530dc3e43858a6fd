import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { openDump } from "../../../../engine/bundle/dump/openDump.ts";
import { readOpened } from "../../../../engine/bundle/dump/readOpened.ts";
import { runProgram } from "../../../../engine/machines/program.ts";
import { inspectPlainDump } from "../../../../engine/postgres/plainDump/inspect.ts";
import type { PlainDumpContent } from "../../../../engine/postgres/plainDump/content.ts";
import { bundlePassphrase, compressed, encrypted, newDirectory } from "../../../support/bundle.ts";
import { startCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { testRun } from "../../../support/stepRun.ts";
import { inPieces, pgDump, smallDump, smallKeys, smallRows, smallTables } from "../../postgres/plainDump/dumps.ts";

describe("the homeserver's database out of a dump of pg_dumpall", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let plain: PlainDumpContent;

    before(async function () {
        this.timeout(180_000);
        cluster = await startCluster();
        await cluster.createDatabase("synapse", '"synapse-db"');
        // Of another program: tables of the same names, statements that no dump of a homeserver may hold, text that looks like the frame.
        const other = await cluster.createDatabase("empty", "analytics");
        await cluster.query(
            other,
            `CREATE TABLE events (a text); CREATE TABLE users (a text); INSERT INTO events VALUES
             ('-- PostgreSQL database dump complete'), ('\\connect synapse-db'), (E'x\\n-- PostgreSQL database cluster dump complete\\n\\\\.'), ('COPY x FROM stdin;');
             CREATE FUNCTION f() RETURNS text LANGUAGE sql SECURITY DEFINER AS E'SELECT ''a''\\n-- PostgreSQL database dump\\n--'; CREATE EXTENSION dblink;
             CREATE MATERIALIZED VIEW m AS SELECT 1; CREATE TABLE nothing ()`,
        );
        await cluster.query(
            "postgres",
            "CREATE ROLE bridge LOGIN PASSWORD 'hunter2hunter2'; ALTER ROLE bridge SET work_mem TO '8MB'",
        );
        plain = await inspectPlainDump(inPieces(await pgDump(cluster, "synapse-db", "--create"), 65_536));
    });
    after(() => cluster.stop());

    /** What the test's other databases are made from. */
    const own = ["--exclude-database", "synapse_template"];
    const dumpAll = async (...args: readonly string[]): Promise<string> => {
        const { host, port, user, password = "" } = cluster.superuserAddress("postgres");
        const file = join(await newDirectory(cluster), "all.sql");
        await runProgram(
            join(cluster.programs, "pg_dumpall"),
            ["--host", host, "--port", String(port), "--username", user, "--file", file, ...own, ...args],
            { environment: { PGPASSWORD: password }, timeoutSeconds: 60 },
        );
        return file;
    };
    const read = async (path: string, databaseName?: string) => {
        const workDirectory = await newDirectory(cluster, "work");
        const run = testRun("r1", workDirectory);
        const { progress } = run;
        const opened = await openDump([path], {
            ...{
                clientDirectory: cluster.programs,
                workDirectory,
                progress,
                passphrase: bundlePassphrase,
                databaseName,
            },
        });
        const content = await readOpened(opened, inspectPlainDump);
        return { content, said: run.said.join("\n"), input: await opened.finished };
    };
    const rewritten = async (name: string, change: (dump: Buffer) => Buffer): Promise<string> => {
        const path = join(await newDirectory(cluster), name);
        await writeFile(path, change(await readFile(await dumpAll())));
        return path;
    };

    for (const options of [
        [],
        ["--clean"],
        ["--clean", "--if-exists"],
        ["--quote-all-identifiers"],
        ["--no-owner", "--no-role-passwords"],
    ])
        it(`is the same as pg_dump makes it: pg_dumpall ${options.join(" ")}`, async () => {
            const { content, said } = await read(await dumpAll(...options));
            expect(content.tables).to.deep.equal(plain.tables);
            expect(content.sequences).to.deep.equal(plain.sequences);
            if (!options.includes("--quote-all-identifiers")) expect(content.declared).to.deep.equal(plain.declared);
            expect(said)
                .to.contain("database synapse-db is read")
                .and.to.match(/left out: roles, tablespaces.*analytics/);
        });

    it("is read through compression and encryption, each read to its end", async () => {
        const path = await rewritten("all.sql.gz.gpg", (dump) => encrypted(compressed(dump), cluster.directory));
        const { content, input } = await read(path);
        expect(content.tables).to.deep.equal(plain.tables);
        expect(input.layers).to.deep.equal(["gpg", "gzip"]);
        const altered = await rewritten("all.sql.gz.gpg", (dump) => {
            const whole = encrypted(compressed(dump), cluster.directory);
            whole.writeUInt8(whole.readUInt8(whole.length >> 1) ^ 4, whole.length >> 1);
            return whole;
        });
        await expectError("SM-E0924", () => read(altered));
    });

    it("is refused when the dump is cut anywhere, or came through a terminal", async () => {
        const path = await dumpAll();
        const whole = await readFile(path);
        for (const part of [0.2, 0.5, 0.8, 0.97])
            await expectError("SM-E0901", async () =>
                read(await rewritten("cut.sql", (dump) => dump.subarray(0, Math.floor(dump.length * part)))),
            );
        await expectError("SM-E0901", async () =>
            read(await rewritten("cut.sql", (dump) => dump.subarray(0, whole.length - 60))),
        );
        await expectError("SM-E0933", async () =>
            read(
                await rewritten("crlf.sql", (dump) =>
                    Buffer.from(dump.toString("latin1").replaceAll("\n", "\r\n"), "latin1"),
                ),
            ),
        );
    });

    it("has to be named where there are several, and to be there", async () => {
        await cluster.createDatabase("synapse", "second");
        try {
            const path = await dumpAll();
            const error = await expectError("SM-E0935", () => read(path));
            expect(error.block).to.contain("second, synapse-db").and.to.contain("source.databaseName");
            expect((await read(path, "synapse-db")).content.tables).to.deep.equal(plain.tables);
            const wrong = await expectError("SM-E0909", () => read(path, "analytics"));
            expect(wrong.detail.found).to.contain("template1").and.to.contain("second");
        } finally {
            await cluster.query("postgres", "DROP DATABASE second");
        }
        const without = await rewritten("other.sql", (dump) =>
            Buffer.from(dump.toString("latin1").replaceAll("state_groups", "state_grouqs"), "latin1"),
        );
        const none = await expectError("SM-E0909", () => read(without));
        expect(none.detail.found).to.contain("analytics");
    });

    it("is found in a dump of PostgreSQL 9.6, which connects before each of them", async () => {
        const tables = "state_groups schema_version"
            .split(" ")
            .map(
                (name) => `CREATE TABLE public.${name} (\n    a text\n);\nCOPY public.${name} (a) FROM stdin;\n\\.\n\n`,
            );
        const body = `CREATE SEQUENCE public.events_stream_seq;\n${smallTables}${tables.join("")}${smallRows}${smallKeys}`;
        const section = (name: string, dump: Buffer): string =>
            `\\connect ${name}\n\nSET default_transaction_read_only = off;\n\n${dump.toString()}`;
        const empty = smallDump({ body: "" });
        const path = join(await newDirectory(cluster), "old.sql");
        await writeFile(
            path,
            "--\n-- PostgreSQL database cluster dump\n--\n\nSET client_encoding = 'UTF8';\n\nCREATE ROLE synapse;\nCREATE DATABASE synapse WITH TEMPLATE = template0 OWNER = synapse;\n\n" +
                section("postgres", empty) +
                section("synapse", smallDump({ body })) +
                section("template1", empty) +
                "--\n-- PostgreSQL database cluster dump complete\n--\n\n",
        );
        const { content, said } = await read(path);
        expect(content.tables.map(({ name, rows }) => [name, rows])).to.deep.equal([
            ["events", 2],
            ["schema_version", 0],
            ["state_groups", 0],
            ["users", 1],
        ]);
        expect(said).to.contain("database synapse is read").and.to.contain("postgres, template1");
    });
});
