/** Databases to merge into, and backups of them, for tests of `synapse-migrate tables`. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../../../engine/machines/program.ts";
import { redact } from "../../../engine/run/redaction.ts";
import { lineProgress } from "../../../engine/run/progress.ts";
import { prepareTables, type PreparedTables, type TablesOptions } from "../../../engine/tables/prepare.ts";
import type { TestCluster } from "../../support/cluster.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

/** A homeserver's database, and what is asked of it. */
export class LiveDatabase {
    public readonly cluster: TestCluster;
    public readonly name: string;

    constructor(cluster: TestCluster, name: string) {
        this.cluster = cluster;
        this.name = name;
    }

    public query(sql: string): Promise<Record<string, unknown>[]> {
        return this.cluster.query(this.name, sql);
    }

    /** A backup of it as it is now, or of some tables. */
    public async dump(format: "plain" | "custom" = "plain", tables: readonly string[] = []): Promise<string> {
        const address = this.cluster.superuserAddress(this.name);
        const passwords = join(this.cluster.directory, "pgpass-tables");
        await writeFile(passwords, `*:*:*:*:${address.password ?? ""}\n`, { mode: 0o600 });
        const file = join(this.cluster.directory, this.cluster.newName("tables-backup"));
        const connection = ["-h", address.host, "-p", String(address.port), "-U", address.user, "-d", this.name];
        await runProgram(
            join(this.cluster.programs, "pg_dump"),
            ["-F", format, "-f", file, ...tables.flatMap((table) => ["-t", table]), ...connection],
            {
                environment: { PGPASSFILE: passwords },
                timeoutSeconds: 60,
            },
        );
        return file;
    }

    public async schemas(): Promise<string[]> {
        const rows = await this.query(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'synapse\\_restore\\_%' ORDER BY nspname",
        );
        return rows.map(({ nspname }) => String(nspname));
    }

    /** What a table is: rows in any order, as text. */
    public async rows(table: string): Promise<string[]> {
        const rows = await this.query(`SELECT t::text AS row FROM public.${table} t ORDER BY 1`);
        return rows.map(({ row }) => String(row));
    }
}

export async function liveDatabase(cluster: TestCluster): Promise<LiveDatabase> {
    return new LiveDatabase(cluster, await cluster.createDatabase("synapse", cluster.newName("tables")));
}

type Wanted = Pick<TablesOptions, "backup" | "tables"> & Partial<TablesOptions>;

/** Prepares, and hands what came of it to the work while its files are there. */
export function withPrepared<T>(
    live: LiveDatabase,
    wanted: Wanted,
    work: (prepared: PreparedTables) => Promise<T>,
): Promise<T> {
    return withWorkDirectory(async (directory) =>
        work(
            await prepareTables({
                ...{ directory, address: live.cluster.address(live.name), clientDirectory: live.cluster.programs },
                progress: lineProgress("tables", () => undefined, redact),
                ...wanted,
            }),
        ),
    );
}
