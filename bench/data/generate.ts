/** Fills a database with a homeserver that never was: Synapse's own schema, and rows that follow from their number. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../../engine/machines/program.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { sessionFunctions } from "./expressions.ts";
import { shapeOf } from "./shape.ts";
import { eventStatements } from "./tables/events.ts";
import { peopleStatements } from "./tables/people.ts";
import { positionStatements } from "./tables/positions.ts";
import { serverStatements } from "./tables/servers.ts";
import { stateStatements } from "./tables/state.ts";

export interface Generation {
    /** Of Synapse's role; empty, UTF8, C. */
    readonly address: DatabaseAddress & { readonly password: string };
    /** Directory of pg_restore. */
    readonly programs: string;
    /** An archive of a database that Synapse made. */
    readonly schema: string;
    /** For a password file. */
    readonly directory: string;
    readonly events: number;
    readonly say?: (line: string) => void;
}

const restoreSeconds = 3600;
/** What a Synapse asks before it starts: which schema this is. */
const schemaTables = ["schema_version", "schema_compat_version", "applied_schema_deltas"];

/**
 * Indexes and keys are made when the rows are there, so that PostgreSQL checks that they hold.
 *
 * The same number of events gives the same rows, whatever else differs.
 */
export async function generate(generation: Generation): Promise<void> {
    const { address, events, say = () => undefined } = generation;
    const shape = shapeOf(events);
    await restore(generation, ["--section=pre-data"]);
    await restore(generation, ["--data-only", ...schemaTables.flatMap((table) => ["-t", table])]);
    say(`making the rows of ${events} events`);
    await withClient(address, { step: "bench", statementSeconds: 0 }, async (client) => {
        // The plan of a statement must not change the order in which rows are numbered.
        await client.query("SET search_path = public; SET jit = off; SET work_mem = '256MB'");
        for (const statement of [
            ...sessionFunctions(shape),
            ...eventStatements(shape),
            ...stateStatements(shape),
            ...peopleStatements(shape),
            ...serverStatements(shape),
            ...positionStatements(shape),
        ])
            await client.query(statement);
    });
    say("making indexes and keys");
    await restore(generation, ["--section=post-data", "--jobs=2"]);
    await withClient(address, { step: "bench", statementSeconds: 0 }, (client) => client.query("VACUUM ANALYZE"));
}

async function restore(
    { address, programs, schema, directory }: Generation,
    options: readonly string[],
): Promise<void> {
    const passwords = join(directory, "passwords");
    await writeFile(passwords, `*:*:*:*:${address.password}\n`, { mode: 0o600 });
    const target = ["-h", address.host, "-p", String(address.port), "-U", address.user, "-d", address.name];
    await runProgram(
        join(programs, "pg_restore"),
        ["--no-owner", "--no-acl", "--exit-on-error", ...options, ...target, schema],
        { environment: { PGPASSFILE: passwords }, timeoutSeconds: restoreSeconds },
    );
}
