import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { DatabaseOverrides } from "../../../../contract/source.ts";
import { configuredAddress } from "../../../../engine/postgres/databases/sourceDatabase.ts";
import { readHomeserverConfig, requirePostgres } from "../../../../engine/synapse/config/homeserverConfig.ts";
import { expectError } from "../../../support/expectError.ts";

describe("the database's section of a homeserver.yaml", () => {
    let directory: string;
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-config-"));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const write = async (database: string): Promise<string> => {
        const path = join(directory, "homeserver.yaml");
        await writeFile(
            path,
            `server_name: example.org\nreport_stats: false\ndatabase:\n  name: psycopg2\n${database}`,
        );
        return path;
    };
    const reading = async (args: string, database?: DatabaseOverrides) =>
        readHomeserverConfig([await write(`  args: ${args}\n`)], { database });
    const connection = async (args: string, database?: DatabaseOverrides) =>
        requirePostgres(await reading(args, database));
    const problems = async (args: string, database?: DatabaseOverrides): Promise<string[]> =>
        (await connection(args, database)).problems.map(({ code, detail }) => `${code} ${detail.found}`);

    it("takes numbers, dates and booleans for the text that psycopg2 makes of them", async () => {
        expect(
            await connection("{user: 2024-01-01, password: 123456, database: 0x1F, host: localhost}"),
        ).to.deep.include({
            ...{ user: "2024-01-01", password: "123456", name: "31", host: "localhost", problems: [] },
        });
    });

    it("takes arguments that are null or empty for libpq's defaults", async () => {
        expect(await connection("{user: synapse, host: '', port: null, password: '', passfile: ''}")).to.include({
            ...{ host: "/var/run/postgresql", port: 5432, name: "synapse", password: undefined, passfile: undefined },
        });
    });

    it("names each argument that it would have dropped, and none that is of no matter, with SM-E0230", async () => {
        const ordinary =
            "user: s, database: d, host: h, connect_timeout: 10, keepalives_idle: 10, cp_min: 5, application_name: x, target_session_attrs: read-write, options: '-c statement_timeout=5s', gssencmode: prefer, channel_binding: prefer";
        expect(await problems(`{${ordinary}}`)).to.deep.equal([]);
        expect(
            await problems(
                `{user: s, database: d, host: h, channel_binding: require, options: '-c search_path=matrix', require_auth: scram-sha-256, sslcrl: /x}`,
            ),
        ).to.deep.equal(
            ["channel_binding", "options", "require_auth", "sslcrl"].map((name) => `SM-E0230 database.args.${name}`),
        );
    });

    it("refuses several hosts, hostaddr, dsn and service until the stack says which server it is", async () => {
        const one: DatabaseOverrides = { host: "db1", port: 5432, name: "d", user: "s" };
        for (const [args, found] of [
            ["{user: s, database: d, host: 'db1,db2'}", "several servers in database.args: host db1,db2, port "],
            [
                "{user: s, database: d, host: 'a,b', port: '1,2'}",
                "several servers in database.args: host a,b, port 1,2",
            ],
            ["{user: s, database: d, host: h, hostaddr: 10.0.0.1}", "database.args.hostaddr"],
            ["{dsn: 'host=h user=s'}", "database.args.dsn"],
            ["{service: synapse}", "database.args.service"],
            ["{user: s, database: d, host: '@socket'}", "host: @socket, a socket without a file"],
        ] as const) {
            expect(await problems(args), args).to.deep.equal([`SM-E0230 ${found}`]);
            expect(await connection(args, one), args).to.deep.include({
                host: "db1",
                name: "d",
                user: "s",
                problems: [],
            });
        }
        await expectError("SM-E0230", async () => configuredAddress([await write("  args: {service: synapse}\n")]));
    });

    it("says who the role is where no user is named: not whoever runs this program, with SM-E0232", async () => {
        for (const args of ["{database: d}", "{}"]) {
            expect(await problems(args)).to.deep.equal(["SM-E0232 no `user` in database.args"]);
            expect(await problems(args, { user: "s", name: "d" })).to.deep.equal([]);
        }
        const { findings } = await reading("{database: d}");
        expect(findings.filter(({ severity }) => severity === "error").map(({ id }) => id)).to.deep.equal(["SM-E0232"]);
        await expectError("SM-E0232", async () => configuredAddress([await write("")]));
    });

    it("takes TLS with its files, and nothing of it for a socket", async () => {
        const args = "user: s, sslmode: verify-full, sslrootcert: /etc/ca.pem, sslcert: c.pem, sslkey: k.pem";
        expect((await connection(`{${args}, host: db.example.org}`)).tls).to.deep.equal({
            mode: "verify-full",
            rootCertificate: "/etc/ca.pem",
            certificate: join(directory, "c.pem"),
            key: join(directory, "k.pem"),
        });
        expect((await connection(`{${args}}`)).tls).to.deep.equal({ mode: "disable" });
        expect((await connection("{user: s, host: h}")).tls.mode).to.equal("prefer");
        const own = { sslmode: "require", sslrootcert: "/own/ca.pem" } as const;
        expect((await connection(`{${args}, host: h}`, own)).tls).to.include({
            mode: "require",
            rootCertificate: "/own/ca.pem",
        });
    });

    it("refuses TLS whose files libpq would look for in another home directory, and modes there are none of", async () => {
        const found = async (args: string) => problems(`{user: s, host: h, ${args}}`);
        expect(await found("sslmode: verify-ca")).to.deep.equal(["SM-E0230 sslmode: verify-ca without sslrootcert"]);
        expect(await found("sslmode: verify-full, sslrootcert: system")).to.deep.equal([
            "SM-E0230 sslrootcert: system",
        ]);
        expect(await found("sslcert: /c.pem")).to.deep.equal(["SM-E0230 sslcert without sslkey"]);
        await expectError("SM-E0206", () => found("sslmode: full"));
    });

    it("finds the password in a passfile as libpq does", async () => {
        const passfile = join(directory, "pgpass");
        await writeFile(
            passfile,
            "# comment\nother:5432:*:*:wrong\nh:5432:d:someone:wrong\n*:*:d:a\\:b:right\\:\\\\\n*:*:*:*:late\n",
            { mode: 0o600 },
        );
        const passwordOf = async (args: string): Promise<string | undefined> =>
            (await configuredAddress([await write(`  args: {${args}, passfile: ${passfile}}\n`)])).password;
        expect(await passwordOf("host: h, database: d, user: 'a:b'")).to.equal("right:\\");
        expect(await passwordOf("host: h, database: d, user: x")).to.equal("late");
        expect(await passwordOf("host: h, database: d, user: x, password: own")).to.equal("own");
        await expectError("SM-E1003", async () =>
            configuredAddress([await write("  args: {user: s, host: h, passfile: /missing/pgpass}\n")]),
        );
    });

    it("warns of a section that comes twice, and takes the last, with SM-W0229", async () => {
        const path = await write(
            "  args: {database: /var/lib/homeserver.db}\ndatabase:\n  name: psycopg2\n  args: {user: s}\n",
        );
        const config = await readHomeserverConfig([path]);
        expect(requirePostgres(config)).to.include({ user: "s", where: `${path}:6` });
        const [warning] = config.findings;
        expect(warning).to.include({ id: "SM-W0229", severity: "warning" });
        expect(warning?.evidence).to.contain(`database is in lines 3 and 6 of ${path}; Synapse takes line 6`);
    });
});
