import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect } from "chai";
import { setTimeout as delay } from "node:timers/promises";
import { readFile, readdir, stat } from "node:fs/promises";
import { z } from "zod";
import { inSnapshot, query, queryOne, withClient } from "../../../engine/postgres/connection.ts";
import { parseArchiveList } from "../../../engine/postgres/pgDump/dumpArchive.ts";
import { withPasswordFile } from "../../../engine/postgres/server/passwordFile.ts";
import { scramVerifier } from "../../../engine/postgres/server/scramVerifier.ts";
import {
    refuseOldServer,
    refusePossiblySame,
    refuseSameDatabase,
    refuseStandby,
    type DatabaseFacts,
} from "../../../engine/postgres/server/serverFacts.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { newRun } from "../../support/migrationDump.ts";

describe("a connection to PostgreSQL", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    it("names the step, and has settings under which values have one text", async () => {
        const row = z.object({ name: z.string(), zone: z.string(), bytes: z.string(), time: z.string() });
        const found = await withClient(cluster.address("postgres"), { step: "dump" }, (client) =>
            queryOne(
                client,
                row,
                `SELECT current_setting('application_name') AS name, current_setting('TimeZone') AS zone,
                    ROW('\\x00ff'::bytea)::text AS bytes, ROW('2026-01-02T03:04:05+02'::timestamptz)::text AS time`,
            ),
        );
        expect(found).to.deep.equal({
            name: "synapse-migration dump",
            zone: "UTC",
            bytes: '("\\\\x00ff")',
            time: '("2026-01-02 01:04:05+00")',
        });
    });

    it("goes by its own settings, whatever is set for the database", async () => {
        const name = await cluster.createDatabase();
        for (const setting of [
            ...["statement_timeout = '1ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'"],
            ...[
                "idle_session_timeout = '200ms'",
                "default_transaction_isolation = serializable",
                "search_path = nowhere",
            ],
            ...[
                "standard_conforming_strings = off",
                "array_nulls = off",
                "DateStyle = German",
                "client_encoding = LATIN1",
            ],
        ])
            await cluster.query("postgres", `ALTER DATABASE ${name} SET ${setting}`);
        const session = { step: "test", statementSeconds: 0 };
        const found = await withClient(cluster.address(name), session, async (client) => {
            await client.query("SELECT pg_sleep(0.05)");
            // Our own settings come with the first statement: on a busy machine, some time after the session has begun.
            await delay(300);
            await client.query("BEGIN");
            await delay(50);
            const shape = z.object({ isolation: z.string(), text: z.string() });
            return queryOne(
                client,
                shape,
                String.raw`SELECT current_setting('transaction_isolation') AS isolation, '\d+' || '{NULL}'::text[]::text AS text`,
            );
        });
        expect(found).to.deep.equal({ isolation: "read committed", text: String.raw`\d+{NULL}` });
    });

    it("cannot write where it is read only", async () => {
        const name = await cluster.createDatabase();
        const write = () =>
            withClient(cluster.address(name), { step: "test", readOnly: true }, (client) =>
                client.query("CREATE TABLE public.t (a int)"),
            );
        expect((await expectError("SM-E1104", write)).detail.found).to.match(
            /read-only transaction \(SQLSTATE 25006\)/,
        );
    });

    it("does not wait for a statement without end", async () => {
        const address = cluster.address("postgres");
        await expectError("SM-E1103", () =>
            withClient(address, { step: "test", statementSeconds: 0.05 }, (client) =>
                client.query("SELECT pg_sleep(20)"),
            ),
        );
    });

    it("ends at once when the step is stopped, and the server does not go on for long", async () => {
        const controller = new AbortController();
        const stopped = withClient(
            cluster.address("postgres"),
            { step: "test", signal: controller.signal },
            async (client) => {
                setTimeout(() => controller.abort(), 20);
                await client.query("SELECT pg_sleep(20)");
            },
        );
        const began = performance.now();
        expect(String(await stopped.catch((error: unknown) => error))).to.match(/abort/i);
        expect(performance.now() - began).to.be.lessThan(2000);
    });

    it("says that the server has ended the session", async () => {
        await expectError("SM-E1102", () =>
            withClient(cluster.superuserAddress(), { step: "test" }, async (client) => {
                const { pid } = await queryOne(client, z.object({ pid: z.number() }), "SELECT pg_backend_pid() AS pid");
                await cluster.query("postgres", `SELECT pg_terminate_backend(${pid}, 5000)`);
                await client.query("SELECT 1");
            }),
        );
    });

    it("names the right that the role lacks", async () => {
        await expectError("SM-E0515", () =>
            withClient(cluster.address("postgres"), { step: "test" }, (client) =>
                client.query("SELECT * FROM pg_authid"),
            ),
        );
    });

    it("sees with an exported snapshot what was there when it was taken", async () => {
        const name = await cluster.createDatabase();
        await cluster.query(name, "CREATE TABLE t (a int); GRANT SELECT ON t TO synapse");
        const count = z.object({ n: z.number() });
        await withClient(cluster.address(name), { step: "test" }, async (holder) => {
            await holder.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
            const { id } = await queryOne(holder, z.object({ id: z.string() }), "SELECT pg_export_snapshot() AS id");
            await cluster.query(name, "INSERT INTO t VALUES (1)");
            const seen = await withClient(cluster.address(name), { step: "test" }, (client) =>
                inSnapshot(client, id, () => query(client, count, "SELECT count(*)::int AS n FROM public.t")),
            );
            expect(seen).to.deep.equal([{ n: 0 }]);
        });
        await expectError("SM-E1104", () =>
            withClient(cluster.address(name), { step: "test" }, (client) =>
                inSnapshot(client, "no'snapshot", () => Promise.resolve()),
            ),
        );
    });

    it("gives programs their password in a file that only we can read and that does not stay", async () => {
        const run = await newRun(cluster);
        const address = { ...cluster.address("postgres"), user: "a:b", password: "c\\d:e" };
        await withPasswordFile(run.directory, "dump", address, async (path) => {
            expect((await stat(path)).mode & 0o777).to.equal(0o600);
            expect(await readFile(path, "utf8")).to.equal("*:*:*:a\\:b:c\\\\d\\:e\n");
        });
        expect(await readdir(run.directory)).to.deep.equal([]);
    });

    it("stores passwords as the server does", async () => {
        await cluster.query("postgres", `CREATE ROLE verified LOGIN PASSWORD '${scramVerifier("s3cret-pass")}'`);
        const address = { ...cluster.address("postgres", "verified"), password: "s3cret-pass" };
        expect(
            await withClient(address, { step: "test" }, (client) =>
                query(client, z.object({ u: z.string() }), "SELECT current_user AS u"),
            ),
        ).to.deep.equal([{ u: "verified" }]);
    });
});

describe("what rules a server out", () => {
    const facts: DatabaseFacts = {
        ...{ versionNumber: 150018, version: "15.18", systemIdentifier: "7", oid: "16384", name: "synapse" },
        ...{
            encoding: "UTF8",
            collate: "C",
            ctype: "C",
            otherProvider: null,
            owner: "synapse",
            standby: false,
            sizeBytes: 1,
        },
    };

    it("refuses a server older than Synapse supports", async () => {
        refuseOldServer({ ...facts, versionNumber: 140000 }, "here");
        await expectError("SM-E0502", () =>
            Promise.resolve().then(() => refuseOldServer({ ...facts, versionNumber: 130022 }, "here")),
        );
    });

    it("refuses a standby", async () => {
        refuseStandby(facts, "here");
        await expectError("SM-E0806", () =>
            Promise.resolve().then(() => refuseStandby({ ...facts, standby: true }, "here")),
        );
    });

    it("takes two databases for one only when cluster and oid are the same", async () => {
        refuseSameDatabase(facts, { ...facts, oid: "5" }, "here");
        refuseSameDatabase(facts, { ...facts, systemIdentifier: "8" }, "here");
        refuseSameDatabase({ ...facts, systemIdentifier: null }, { ...facts, systemIdentifier: null }, "here");
        await expectError("SM-E0803", () =>
            Promise.resolve().then(() => refuseSameDatabase(facts, { ...facts }, "here")),
        );
    });

    it("takes a database that may be the source's for it where it would be put aside", async () => {
        refusePossiblySame(facts, { ...facts }, "here");
        refusePossiblySame(facts, { systemIdentifier: null, oid: "5" }, "here");
        await expectError("SM-E0803", () =>
            Promise.resolve().then(() => refusePossiblySame(facts, { ...facts, systemIdentifier: null }, "here")),
        );
    });
});

describe("parseArchiveList", () => {
    it("reads kinds of one and of two words", () => {
        const list =
            ";\n; Archive created\n215; 1259 16390 TABLE public users synapse\n3456; 0 16390 TABLE DATA public users synapse\n9; 0 0 SEQUENCE SET public s synapse\n";
        expect(parseArchiveList(list)).to.deep.equal([
            {
                id: 215,
                kind: "TABLE",
                schema: "public",
                name: "users",
                line: "215; 1259 16390 TABLE public users synapse",
            },
            {
                id: 3456,
                kind: "TABLE DATA",
                schema: "public",
                name: "users",
                line: "3456; 0 16390 TABLE DATA public users synapse",
            },
            { id: 9, kind: "SEQUENCE SET", schema: "public", name: "s", line: "9; 0 0 SEQUENCE SET public s synapse" },
        ]);
    });
});

describe("a PostgreSQL server whose disk is full", () => {
    /** Of a server that refuses every login (PostgreSQL's protocol, "ErrorResponse"). */
    const refusing = async (code: string, message: string, work: (port: number) => Promise<void>): Promise<void> => {
        const fields = Buffer.from(`SFATAL\0C${code}\0M${message}\0\0`);
        const head = Buffer.alloc(5, "E");
        head.writeInt32BE(fields.length + 4, 1);
        const server = createServer((socket) => {
            socket.once("data", () => socket.end(Buffer.concat([head, fields])));
        }).listen(0, "127.0.0.1");
        await once(server, "listening");
        try {
            await work((server.address() as AddressInfo).port);
        } finally {
            server.close();
            await once(server, "close");
        }
    };

    for (const [code, message] of [
        ["53100", "could not extend file: No space left on device"],
        ["XX000", "could not write init file"],
    ] as const)
        it(`is told with SM-E1201 where it refuses a login with "${message}"`, () =>
            refusing(code, message, async (port) => {
                const address = { host: "127.0.0.1", port, name: "synapse", user: "synapse" };
                const { detail } = await expectError("SM-E1201", () =>
                    withClient(address, { step: "test" }, () => Promise.resolve()),
                );
                expect(detail.found).to.contain(message);
            }));
});
