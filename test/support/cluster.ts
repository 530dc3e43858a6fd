/** A throw-away PostgreSQL cluster for tests, shared by all test files of a mocha process, with a database of a real Synapse to copy. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SelfHostedSource, TargetDatabase } from "../../contract/index.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { serviceUser } from "../../engine/machines/serviceUser.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { freePort } from "../../engine/machines/freePort.ts";
import { newerPostgres } from "./newerPostgres.ts";
import { synapseDump } from "./synapseDump.ts";

const host = "127.0.0.1";
/** Has the kernel end the server when this process is gone. */
const setpriv = "setpriv";
/** Synapse's role: owns databases, and nothing more. */
const owner = "synapse";
/** May make databases and roles, and is not a superuser: as on a managed server. */
const admin = "migrator";
const superuser = "postgres";
const templateName = "synapse_template";
const startSeconds = 30;
export const testServerName = "rehearsal.test";

let names = 0;
let shared: Promise<TestCluster> | undefined;

/** The cluster of this process; stopped after the last test. */
export function testCluster(): Promise<TestCluster> {
    return (shared ??= startCluster());
}

after(async function () {
    this.timeout(60_000);
    await (await shared)?.stop();
    shared = undefined;
});

export interface ClusterOptions {
    /** Whose server runs: of the set-up, or of a newer major version. Client programs are the set-up's either way. */
    readonly postgres?: "installed" | "newer";
    /** Settings of the server beside, or in place of, the ones that tests have. */
    readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Starts a cluster of its own. It dies with this process, whatever ends that.
 *
 * @public
 */
export async function startCluster({ postgres: which, settings }: ClusterOptions = {}): Promise<TestCluster> {
    const { postgres } = await ensureToolchain({ postgres: true }, () => undefined);
    if (postgres === undefined) throw new Error("the toolchain has no PostgreSQL");
    const directory = await mkdtemp(join(tmpdir(), "synapse-migration-test-"));
    const serverPrograms = which === "newer" ? await newerPostgres() : postgres.directory;
    const cluster = new TestCluster(directory, postgres.directory, await freePort(), serverPrograms, settings);
    try {
        await cluster.start();
        return cluster;
    } catch (error) {
        await cluster.stop();
        throw error;
    }
}

export class TestCluster {
    /** For the test's own files too; removed by {@link stop}. */
    public readonly directory: string;
    /** Directory of PostgreSQL's client programs. */
    public readonly programs: string;
    public readonly port: number;
    private readonly serverPrograms: string;
    private readonly settings: Readonly<Record<string, string>>;
    private readonly password = randomBytes(12).toString("hex");
    private process: ChildProcess | undefined;
    private template: Promise<void> | undefined;

    constructor(
        directory: string,
        programs: string,
        port: number,
        serverPrograms = programs,
        settings: Readonly<Record<string, string>> = {},
    ) {
        this.directory = directory;
        this.programs = programs;
        this.port = port;
        this.serverPrograms = serverPrograms;
        this.settings = settings;
    }

    public get passwordFile(): string {
        return join(this.directory, "password");
    }

    /** A database as Synapse's role, or as another one. */
    public address(name: string, user = owner): DatabaseAddress {
        return { host, port: this.port, name, user, password: this.password };
    }

    public superuserAddress(name = superuser): DatabaseAddress {
        return this.address(name, superuser);
    }

    /** What a step is told of a target database on this server. */
    public target(name: string): TargetDatabase {
        return {
            ...{ host, port: this.port, name, owner, ownerPasswordFile: this.passwordFile },
            ...{ admin, adminPasswordFile: this.passwordFile, clientDirectory: this.programs },
        };
    }

    /** Likewise, of a homeserver that is installed and connects as that role, who also makes databases. */
    public async installed(name: string, user: string): Promise<TargetDatabase> {
        const deployment = await this.source(name, user);
        const { host, port, clientDirectory } = this.target(name);
        return {
            ...{ host, port, clientDirectory, name, owner: user, admin: user },
            installed: { deployment, admin: { kind: "owner" } },
        };
    }

    /** A source homeserver whose database is on this server: only its configuration exists. */
    public async source(name: string, user = owner): Promise<SelfHostedSource> {
        const config = join(this.directory, `homeserver-${name}-${user}.yaml`);
        const database = {
            name: "psycopg2",
            args: { host, port: this.port, database: name, user, password: this.password },
        };
        await writeFile(
            config,
            JSON.stringify({ server_name: testServerName, media_store_path: join(this.directory, "media"), database }),
            { mode: 0o600 },
        );
        const service = { kind: "process" as const, pidFile: join(this.directory, "homeserver.pid") };
        return {
            kind: "selfHosted",
            serverName: testServerName,
            homeserverConfig: [config],
            machine: { kind: "local" },
            service,
        };
    }

    /** A name that no database has. */
    public newName(prefix = "db"): string {
        names += 1;
        return `${prefix}_${names}`;
    }

    /** Makes a database: empty, or with the tables and rows of a real homeserver. Returns its name. */
    public async createDatabase(content: "empty" | "synapse" = "empty", name = this.newName()): Promise<string> {
        if (content === "synapse") await (this.template ??= this.makeTemplate());
        await this.query(
            superuser,
            content === "synapse"
                ? `CREATE DATABASE ${name} OWNER ${owner} TEMPLATE ${templateName}`
                : `CREATE DATABASE ${name} OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
        );
        return name;
    }

    /** Runs statements in a database, as a superuser when it is not said who. */
    public async query(name: string, sql: string, user = superuser): Promise<Record<string, unknown>[]> {
        return withClient(this.address(name, user), { step: "test" }, async (client) => {
            await client.query("SET search_path = public");
            const result = await client.query<Record<string, unknown>>(sql);
            return Array.isArray(result) ? [] : result.rows;
        });
    }

    /** Names of all databases but PostgreSQL's own and the template. */
    public async databases(): Promise<string[]> {
        const rows = await this.query(
            superuser,
            `SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', '${templateName}') ORDER BY datname`,
        );
        return rows.map(({ datname }) => String(datname));
    }

    public async start(): Promise<void> {
        const user = serviceUser();
        const asUser = { workingDirectory: "/", timeoutSeconds: startSeconds, ...(user === undefined ? {} : { user }) };
        const data = join(this.directory, "data");
        const initdbPassword = join(this.directory, "initdb-password");
        await mkdir(data, { mode: 0o700 });
        for (const path of [this.passwordFile, initdbPassword]) await writeFile(path, this.password, { mode: 0o600 });
        // Its user goes through the directory and writes only below: targets are made in it, which that user must not exchange.
        await chmod(this.directory, 0o711);
        if (user !== undefined) for (const path of [data, initdbPassword]) await chown(path, user.uid, user.gid);
        await runProgram(
            join(this.serverPrograms, "initdb"),
            [
                ...["--pgdata", data, "--username", superuser, "--pwfile", initdbPassword, "--auth", "scram-sha-256"],
                ...["--encoding", "UTF8", "--locale", "C", "--no-sync"],
            ],
            asUser,
        );
        const settings = {
            ...{
                listen_addresses: host,
                port: this.port,
                unix_socket_directories: "",
                fsync: "off",
                full_page_writes: "off",
            },
            ...{ synchronous_commit: "off", shared_buffers: "64MB", max_wal_size: "2GB", autovacuum: "off" },
            ...this.settings,
        };
        const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
        this.process = spawn(
            setpriv,
            ["--pdeathsig", "QUIT", "--", join(this.serverPrograms, "postgres"), "-D", data, ...options],
            { cwd: "/", stdio: "ignore", ...(user ?? {}) },
        );
        await withClient(this.superuserAddress(), { step: "test", patienceSeconds: startSeconds }, async (client) => {
            await client.query(`CREATE ROLE ${owner} LOGIN PASSWORD '${this.password}'`);
            await client.query(
                `CREATE ROLE ${admin} LOGIN CREATEDB CREATEROLE PASSWORD '${this.password}' IN ROLE ${owner}`,
            );
        });
    }

    public async stop(): Promise<void> {
        const { process } = this;
        this.process = undefined;
        if (process !== undefined && process.exitCode === null) {
            const exited = once(process, "exit");
            process.kill("SIGQUIT");
            await exited;
        }
        await rm(this.directory, { recursive: true, force: true });
    }

    private async makeTemplate(): Promise<void> {
        const dump = await synapseDump(testServerName);
        await this.createDatabase("empty", templateName);
        const file = join(this.directory, "pgpass");
        await writeFile(file, `*:*:*:*:${this.password}\n`, { mode: 0o600 });
        await runProgram(
            join(this.programs, "pg_restore"),
            [
                "--no-owner",
                "--no-acl",
                "--exit-on-error",
                "-h",
                host,
                "-p",
                String(this.port),
                "-U",
                owner,
                "-d",
                templateName,
                dump,
            ],
            { environment: { PGPASSFILE: file }, timeoutSeconds: 60 },
        );
        await this.query(templateName, "ANALYZE");
    }
}
