import { chown, copyFile, chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { runProgram } from "../../../engine/machines/program.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { query, withClient, type DatabaseAddress } from "../../../engine/postgres/connection.ts";
import { identifySystem } from "../../../engine/postgres/replication/slot.ts";
import { runDatabaseProgram } from "../../../engine/postgres/server/clientPrograms.ts";
import { configuredAddress } from "../../../engine/postgres/databases/sourceDatabase.ts";
import { until } from "../../../engine/run/until.ts";
import { z } from "zod";
import { startCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { testRun } from "../../support/stepRun.ts";

type Tls = NonNullable<DatabaseAddress["tls"]>;

describe("TLS to a PostgreSQL server", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let files: string;
    const path = (name: string): string => join(files, name);

    before(async () => {
        cluster = await startCluster({ settings: { listen_addresses: "127.0.0.1,127.0.0.2" } });
        files = join(cluster.directory, "tls");
        await mkdir(files);
        await certificates();
        const server = join(cluster.directory, "data", "tls");
        await mkdir(server);
        for (const name of ["server.crt", "server.key", "ca.crt"]) await copyFile(path(name), join(server, name));
        await writeFile(
            join(cluster.directory, "data", "pg_hba.conf"),
            [
                "hostssl all cert_only 127.0.0.0/8 cert",
                "hostssl all plain_only 127.0.0.0/8 reject",
                "hostnossl all plain_only 127.0.0.0/8 scram-sha-256",
                "host all postgres 127.0.0.0/8 scram-sha-256",
                "hostssl all all 127.0.0.0/8 scram-sha-256",
                "hostssl replication all 127.0.0.0/8 scram-sha-256\n",
            ].join("\n"),
        );
        await chmod(join(server, "server.key"), 0o600);
        const user = serviceUser();
        if (user !== undefined)
            for (const name of ["", "server.crt", "server.key", "ca.crt"])
                await chown(join(server, name), user.uid, user.gid);
        await cluster.query("postgres", "CREATE ROLE cert_only LOGIN");
        await cluster.query(
            "postgres",
            `CREATE ROLE plain_only LOGIN PASSWORD '${cluster.address("x").password ?? ""}'`,
        );
        await cluster.query("postgres", "ALTER ROLE synapse REPLICATION");
    });
    after(() => cluster.stop());

    async function openssl(...args: string[]): Promise<void> {
        await runProgram("openssl", args, { workingDirectory: files, timeoutSeconds: 30 });
    }

    /** An authority, another one, the server's certificate for localhost alone, and a client's. */
    async function certificates(): Promise<void> {
        const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        for (const name of ["ca", "other"])
            await openssl(
                "req",
                "-x509",
                ...key,
                "-keyout",
                `${name}.key`,
                "-out",
                `${name}.crt`,
                "-subj",
                `/CN=${name}`,
            );
        for (const [name, subject, alternative] of [
            ["server", "/CN=db.test", "subjectAltName=DNS:localhost"],
            ["client", "/CN=cert_only", "subjectAltName=DNS:client"],
        ] as const)
            await openssl(
                ...["req", "-x509", ...key, "-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", `${name}.key`],
                ...["-out", `${name}.crt`, "-subj", subject, "-addext", alternative],
            );
        await chmod(path("client.key"), 0o600);
    }

    async function switchTls(on: boolean): Promise<void> {
        const server = join(cluster.directory, "data", "tls");
        const settings = on
            ? `ssl = on; ssl_cert_file = '${server}/server.crt'; ssl_key_file = '${server}/server.key'; ssl_ca_file = '${server}/ca.crt'`
            : "ssl = off";
        await withClient(cluster.superuserAddress(), { step: "test" }, async (client) => {
            for (const setting of settings.split("; ")) await client.query(`ALTER SYSTEM SET ${setting}`);
            await client.query("SELECT pg_reload_conf()");
            await until(
                async () => {
                    const [now] = await query(client, z.object({ ssl: z.string() }), "SHOW ssl");
                    return now?.ssl === (on ? "on" : "off") || undefined;
                },
                { seconds: 20 },
                () => new Error("the server did not take its settings"),
            );
        });
    }

    const address = (tls: Tls | undefined, more: Partial<DatabaseAddress> = {}): DatabaseAddress => ({
        ...cluster.address("postgres"),
        tls,
        ...more,
    });
    const isEncrypted = async (to: DatabaseAddress): Promise<boolean> =>
        withClient(to, { step: "test", readOnly: true }, async (client) => {
            const rows = await query(
                client,
                z.object({ ssl: z.boolean() }),
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            );
            return rows[0]?.ssl ?? false;
        });

    describe("that takes nothing else", () => {
        before(() => switchTls(true));

        it("is used in every mode but `disable`, whose login the server refuses", async () => {
            for (const mode of ["allow", "prefer", "require"] as const)
                expect(await isEncrypted(address({ mode })), mode).to.equal(true);
            await expectError("SM-E1004", () => isEncrypted(address({ mode: "disable" })));
            await expectError("SM-E1004", () => isEncrypted(address(undefined)));
        });

        it("is left where the server wants none for the role, but only if TLS was not asked for", async () => {
            expect(await isEncrypted(address({ mode: "prefer" }, { user: "plain_only" }))).to.equal(false);
            await expectError("SM-E1004", () => isEncrypted(address({ mode: "require" }, { user: "plain_only" })));
        });

        it("comes first where it is preferred, but on this machine, where it would protect from nobody", async () => {
            const to = (host: string): DatabaseAddress => address({ mode: "prefer" }, { host, user: "postgres" });
            expect(await isEncrypted(to("127.0.0.1"))).to.equal(false);
            // What is not known to be this machine.
            expect(await isEncrypted(to("127.0.0.2"))).to.equal(true);
        });

        it("proves the server's certificate, and its name in `verify-full`", async () => {
            const [ca, other] = [path("ca.crt"), path("other.crt")];
            expect(await isEncrypted(address({ mode: "verify-ca", rootCertificate: ca }))).to.equal(true);
            expect(
                await isEncrypted(address({ mode: "verify-full", rootCertificate: ca }, { host: "localhost" })),
            ).to.equal(true);
            const wrongName = await expectError("SM-E0233", () =>
                isEncrypted(address({ mode: "verify-full", rootCertificate: ca })),
            );
            expect(wrongName.detail.found).to.match(/^sslmode verify-full: .*127\.0\.0\.1/);
            for (const mode of ["require", "verify-ca"] as const)
                await expectError("SM-E0233", () => isEncrypted(address({ mode, rootCertificate: other })));
            await expectError("SM-E0233", () =>
                isEncrypted(address({ mode: "verify-ca", rootCertificate: "/missing" })),
            );
        });

        it("shows the client's certificate where the configuration has one", async () => {
            const tls = { mode: "require", certificate: path("client.crt"), key: path("client.key") } as const;
            expect(await isEncrypted(address(tls, { user: "cert_only", password: undefined }))).to.equal(true);
            await expectError("SM-E1004", () =>
                isEncrypted(address({ mode: "require" }, { user: "cert_only", password: undefined })),
            );
        });

        it("is used and proven by PostgreSQL's own programs and by replication connections, too", async () => {
            const run = testRun("run1", files);
            const dump = (tls: Tls, user = "synapse") =>
                runDatabaseProgram(
                    {
                        ...{ directory: cluster.programs, program: "pg_dump", step: "test" },
                        args: ["--schema-only", "--file", join(files, "dump.sql")],
                        address: address(tls, { user }),
                    },
                    run,
                );
            await dump({ mode: "verify-ca", rootCertificate: path("ca.crt") });
            await dump({ mode: "require", certificate: path("client.crt"), key: path("client.key") }, "cert_only");
            await expectError("SM-E1101", () => dump({ mode: "verify-ca", rootCertificate: path("other.crt") }));
            await expectError("SM-E1101", () => dump({ mode: "disable" }));
            expect(await identifySystem(address({ mode: "verify-ca", rootCertificate: path("ca.crt") }))).to.match(
                /^\d+$/,
            );
            await expectError("SM-E0233", () =>
                identifySystem(address({ mode: "verify-ca", rootCertificate: path("other.crt") })),
            );
        });

        it("is used as homeserver.yaml asks for it", async () => {
            const { host, port, user, password } = cluster.address("postgres");
            const config = path("homeserver.yaml");
            const args = { host, port, user, password, database: "postgres", sslmode: "verify-ca" };
            const database = { name: "psycopg2", args: { ...args, sslrootcert: path("ca.crt") } };
            await writeFile(config, JSON.stringify({ server_name: "example.org", database }));
            expect(await isEncrypted(await configuredAddress([config]))).to.equal(true);
        });
    });

    describe("that has none", () => {
        before(() => switchTls(false));

        it("is done without where the configuration leaves it open, and refused with SM-E0233 where it does not", async () => {
            const superuser = { user: "postgres" };
            for (const mode of ["allow", "prefer", "disable"] as const)
                expect(await isEncrypted(address({ mode }, superuser)), mode).to.equal(false);
            const error = await expectError("SM-E0233", () => isEncrypted(address({ mode: "require" }, superuser)));
            expect(error.detail.found).to.equal("sslmode require: The server does not support SSL connections");
        });
    });
});
