/** A throw-away PostgreSQL cluster for the source homeserver. */
import { randomBytes } from "node:crypto";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import pg from "pg";
import { removeStaleLock } from "../../engine/postgres/server/staleLock.ts";
import { serviceUser } from "../../engine/machines/serviceUser.ts";
import { runProgram, type ProgramOptions } from "../../engine/machines/program.ts";
import { giveToServiceUser, makeServiceDirectory } from "../directory.ts";
import { freePort } from "../../engine/machines/freePort.ts";

/** How to reach a database. */
export interface DatabaseAddress {
    readonly host: string;
    readonly port: number;
    readonly name: string;
    readonly user: string;
    readonly password: string;
}

export interface SourceClusterArgs {
    /** Made for the cluster; must not hold anything. */
    readonly directory: string;
    /** Of initdb and pg_ctl. */
    readonly programs: string;
    /** Another server may follow it. */
    readonly replicates?: boolean;
}

const administrator = "rehearsal";
const startSeconds = 60;
const stopSeconds = 30;
const queryMilliseconds = 30_000;

/**
 * A running cluster with one empty database for Synapse, owned by an unprivileged role, UTF8/C/C as Synapse demands.
 *
 * It writes nothing through to disk: what is lost in a crash is only a rehearsal's.
 */
export class SourceCluster {
    private constructor(
        /** Synapse's database, as its owner. */
        public readonly synapse: DatabaseAddress,
        /** The same database, as a superuser of the cluster. */
        public readonly administration: DatabaseAddress,
        private readonly data: string,
        private readonly programs: string,
    ) {}

    /** @throws MigrationError SM-E1101 when initdb or pg_ctl fail */
    public static async start(args: SourceClusterArgs): Promise<SourceCluster> {
        makeServiceDirectory(args.directory);
        const data = join(args.directory, "data");
        const password = randomBytes(18).toString("base64url");
        await initialise(args, data, password);
        const port = await freePort();
        appendFileSync(join(data, "postgresql.conf"), settings(port, args.replicates === true));
        const cluster = new SourceCluster(
            {
                host: "127.0.0.1",
                port,
                name: "synapse",
                user: "synapse",
                password: randomBytes(18).toString("base64url"),
            },
            { host: "127.0.0.1", port, name: "postgres", user: administrator, password },
            data,
            args.programs,
        );
        await cluster.startAgain();
        try {
            await cluster.makeDatabase(args.replicates === true);
        } catch (error) {
            await cluster.stop();
            throw error;
        }
        return cluster;
    }

    /** Runs one statement in Synapse's database as a superuser of the cluster. */
    public async administer(statement: string): Promise<pg.QueryResult> {
        return query({ ...this.administration, name: this.synapse.name }, statement);
    }

    /** Runs one statement in Synapse's database as its owner. */
    public async query(statement: string): Promise<pg.QueryResult> {
        return query(this.synapse, statement);
    }

    /** Starts the server, as its machine does at boot. */
    public async startAgain(): Promise<void> {
        await removeStaleLock(this.data);
        const log = join(dirname(this.data), "postgresql.log");
        const args = ["start", "-D", this.data, "-l", log, "-w", "-t", String(startSeconds)];
        await run(this.programs, "pg_ctl", args, startSeconds);
    }

    /** Ends all sessions and stops the server. Does nothing when it does not run. */
    public async stop(): Promise<void> {
        const running = await run(this.programs, "pg_ctl", ["status", "-D", this.data], stopSeconds).then(
            () => true,
            () => false,
        );
        if (!running) return;
        await run(
            this.programs,
            "pg_ctl",
            ["stop", "-D", this.data, "-m", "fast", "-w", "-t", String(stopSeconds)],
            stopSeconds + 5,
        );
    }

    private async makeDatabase(replicates: boolean): Promise<void> {
        const { user, password, name } = this.synapse;
        await query(
            this.administration,
            `CREATE ROLE ${user} LOGIN ${replicates ? "REPLICATION" : ""} PASSWORD ${pg.escapeLiteral(password)}`,
        );
        await query(
            this.administration,
            `CREATE DATABASE ${name} OWNER ${user} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
        );
    }
}

async function initialise(args: SourceClusterArgs, data: string, password: string): Promise<void> {
    const passwordFile = join(args.directory, "password");
    writeFileSync(passwordFile, password, { mode: 0o600 });
    giveToServiceUser(passwordFile);
    const options = ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync"];
    try {
        await run(
            args.programs,
            "initdb",
            [`--pgdata=${data}`, `--username=${administrator}`, `--pwfile=${passwordFile}`, ...options],
            startSeconds,
        );
    } finally {
        rmSync(passwordFile);
    }
}

const settings = (port: number, replicates: boolean): string =>
    [
        "",
        "listen_addresses = '127.0.0.1'",
        `port = ${port}`,
        "unix_socket_directories = ''",
        "fsync = off",
        "synchronous_commit = off",
        "full_page_writes = off",
        "max_connections = 60",
        "logging_collector = off",
        ...(replicates ? ["wal_level = logical"] : []),
        "",
    ].join("\n");

async function run(programs: string, program: string, args: readonly string[], timeoutSeconds: number): Promise<void> {
    const user = serviceUser();
    const options: ProgramOptions = { workingDirectory: "/", timeoutSeconds };
    await runProgram(join(programs, program), args, user === undefined ? options : { ...options, user });
}

async function query(address: DatabaseAddress, statement: string): Promise<pg.QueryResult> {
    const { host, port, name: database, user, password } = address;
    const client = new pg.Client({
        host,
        port,
        database,
        user,
        password,
        connectionTimeoutMillis: queryMilliseconds,
        query_timeout: queryMilliseconds,
    });
    await client.connect();
    try {
        return await client.query(statement);
    } finally {
        await client.end();
    }
}
