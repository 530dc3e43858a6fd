/** A PostgreSQL server of the bench: stock settings, on loopback, gone when the bench is. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { serviceUser } from "../engine/machines/serviceUser.ts";
import { runProgram } from "../engine/machines/program.ts";
import { withClient, type DatabaseAddress } from "../engine/postgres/connection.ts";
import { giveToServiceUser } from "../rehearsal/directory.ts";
import { freePort } from "../engine/machines/freePort.ts";
import { familySeconds } from "./processor.ts";

const host = "127.0.0.1";
/** Owns the databases, as on a real server; makes replication slots, as it must where data is replicated. */
const owner = "synapse";
const superuser = "bench";
const startSeconds = 120;
const initSeconds = 60;

/** An address with a password. */
export type Address = DatabaseAddress & { readonly password: string };

/** Beyond PostgreSQL's own defaults: nothing that makes writing faster or less safe. */
export type Settings = Readonly<Record<string, string>>;

export class BenchServer {
    /**
     * Of all roles of all servers: a copy of a cluster keeps it. Nothing but generated rows is behind it, and no other machine can ask.
     */
    public static readonly password = "only-generated-rows";

    private constructor(
        public readonly port: number,
        /** Directory of PostgreSQL's programs. */
        public readonly programs: string,
        private readonly process: ChildProcess,
    ) {}

    /**
     * Makes a cluster that has not been started: UTF8, C.
     *
     * @param data  must not exist; the directory above it must be open to the service user
     */
    public static async create(data: string, programs: string): Promise<void> {
        const passwordFile = `${data}.password`;
        await mkdir(data, { mode: 0o700 });
        await writeFile(passwordFile, BenchServer.password, { mode: 0o600 });
        giveToServiceUser(data);
        giveToServiceUser(passwordFile);
        const user = serviceUser();
        try {
            await runProgram(
                join(programs, "initdb"),
                [
                    ...["--pgdata", data, "--username", superuser, "--pwfile", passwordFile],
                    ...["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
                ],
                { workingDirectory: "/", timeoutSeconds: initSeconds, ...(user === undefined ? {} : { user }) },
            );
        } finally {
            await rm(passwordFile, { force: true });
        }
    }

    /** Starts the server of a cluster, and makes Synapse's role where it has none. */
    public static async start(data: string, programs: string, settings: Settings = {}): Promise<BenchServer> {
        const port = await freePort();
        const all = { listen_addresses: host, port: String(port), unix_socket_directories: "", ...settings };
        const options = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
        const child = spawn(
            "setpriv",
            ["--pdeathsig", "QUIT", "--", join(programs, "postgres"), "-D", data, ...options],
            { cwd: "/", stdio: "ignore", ...(serviceUser() ?? {}) },
        );
        const server = new BenchServer(port, programs, child);
        try {
            await withClient(
                server.administration(),
                { step: "bench", patienceSeconds: startSeconds },
                async (client) => {
                    const { rowCount } = await client.query(`SELECT FROM pg_roles WHERE rolname = '${owner}'`);
                    if (rowCount === 0)
                        await client.query(`CREATE ROLE ${owner} LOGIN REPLICATION PASSWORD '${BenchServer.password}'`);
                },
            );
            return server;
        } catch (error) {
            await server.stop();
            throw error;
        }
    }

    /** A database as its owner. */
    public address(name: string): Address {
        return { host, port: this.port, name, user: owner, password: BenchServer.password };
    }

    /** A database as a superuser. */
    public administration(name = "postgres"): Address {
        return { host, port: this.port, name, user: superuser, password: BenchServer.password };
    }

    /** Runs statements as a superuser, one after the other, none in a transaction. */
    public async administer(statements: readonly string[], name?: string): Promise<void> {
        await withClient(this.administration(name), { step: "bench", statementSeconds: 0 }, async (client) => {
            for (const statement of statements) await client.query(statement);
        });
    }

    public async createDatabase(name: string): Promise<void> {
        await this.administer([
            `CREATE DATABASE ${name} OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
            // Work that is left from before must not be done in the time of what comes.
            "CHECKPOINT",
        ]);
    }

    public async dropDatabase(name: string): Promise<void> {
        await this.administer([`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]);
    }

    /** Core-seconds of all its processes so far. */
    public async processorSeconds(): Promise<number> {
        return this.process.pid === undefined ? 0 : familySeconds(this.process.pid);
    }

    /** In order: what is not written is written. */
    public async stop(): Promise<void> {
        if (this.process.exitCode !== null || this.process.signalCode !== null) return;
        const ended = once(this.process, "exit");
        this.process.kill("SIGINT");
        await ended;
    }
}
