/** A server with the database of a real, filled homeserver: what the swept dumps are made of. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../rehearsal/directory.ts";
import { SourceCluster } from "../../rehearsal/source/cluster.ts";
import { dump } from "../../steps/migrate/dump.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { testRun } from "../support/stepRun.ts";
import { synapseDump } from "../support/synapseDump.ts";

export const serverName = "rehearsal.test";
const timeoutSeconds = 120;
const scratchName = "scratch";

export interface OwnDump {
    /** Holds `dump/` and `dump-manifest.json`. */
    readonly directory: string;
    readonly digest: string;
}

export class SourceDatabase {
    /** All that is made lives in it; removed by {@link stop}. */
    public readonly directory: string;
    /** Directory of PostgreSQL's programs. */
    public readonly programs: string;
    public readonly python: string;
    private readonly cluster: SourceCluster;
    private loading: Promise<unknown> = Promise.resolve();

    private constructor(directory: string, programs: string, python: string, cluster: SourceCluster) {
        this.directory = directory;
        this.programs = programs;
        this.python = python;
        this.cluster = cluster;
    }

    public static async start(): Promise<SourceDatabase> {
        const { postgres, synapse } = await ensureToolchain({ postgres: true, synapse: true }, () => undefined);
        if (postgres === undefined || synapse === undefined)
            throw new Error("the toolchain has no PostgreSQL or Synapse");
        const archive = await synapseDump(serverName);
        const directory = makeRehearsalDirectory();
        try {
            const programs = postgres.directory;
            const cluster = await SourceCluster.start({ directory: join(directory, "postgresql"), programs });
            const source = new SourceDatabase(directory, programs, synapse.python, cluster);
            await source.program("pg_restore", ["--no-owner", "--no-acl", "--exit-on-error", archive]);
            await cluster.administer(`CREATE DATABASE ${scratchName}`);
            return source;
        } catch (error) {
            await removeRehearsalDirectory(directory);
            throw error;
        }
    }

    /** Ends every process that runs from the directory, and removes it. */
    public async stop(): Promise<void> {
        await removeRehearsalDirectory(this.directory);
    }

    /** @param args  of pg_dump, the file included */
    public async dump(args: readonly string[]): Promise<void> {
        await this.program("pg_dump", args);
    }

    /** What the dump step makes. */
    public async ownDump(): Promise<OwnDump> {
        const directory = join(this.directory, "own");
        await mkdir(directory, { mode: 0o700 });
        const { host, port, name: database, user, password } = this.cluster.synapse;
        const args = { host, port, database, user, password };
        const config = join(this.directory, "homeserver.yaml");
        const settings = {
            server_name: serverName,
            media_store_path: "/nowhere",
            database: { name: "psycopg2", args },
        };
        await writeFile(config, JSON.stringify(settings), { mode: 0o600 });
        const { manifestDigest } = await dump.act(
            {
                run: { id: "sweep", directory },
                source: {
                    kind: "selfHosted",
                    serverName,
                    homeserverConfig: [config],
                    machine: { kind: "local" },
                    service: { kind: "process", pidFile: join(directory, "homeserver.pid") },
                },
                fenceToken: "f".repeat(64),
                jobs: 2,
                clientDirectory: this.programs,
            },
            testRun("sweep", directory),
        );
        return { directory, digest: manifestDigest };
    }

    /** Runs statements in a database without tables, and undoes them. The SQLSTATE that ended them, undefined when nothing did. */
    public async refusalOf(statements: string): Promise<string | undefined> {
        const work = this.loading.then(() => this.tried(statements));
        this.loading = work.catch(() => undefined);
        return work;
    }

    private async tried(statements: string): Promise<string | undefined> {
        const { host, port, user, password } = this.cluster.administration;
        return withClient({ host, port, name: scratchName, user, password }, { step: "sweep" }, async (client) => {
            await client.query("BEGIN");
            try {
                await client.query(statements);
                return undefined;
            } catch (error) {
                return error instanceof Error && "code" in error ? String(error.code) : String(error);
            } finally {
                await client.query("ROLLBACK");
            }
        });
    }

    private async program(name: "pg_dump" | "pg_restore", args: readonly string[]): Promise<void> {
        const { host, port, name: database, user, password } = this.cluster.synapse;
        await runProgram(
            join(this.programs, name),
            ["--host", host, "--port", String(port), "--username", user, "--dbname", database, ...args],
            { environment: { PGPASSWORD: password }, timeoutSeconds },
        );
    }
}
