/** The homeserver's database out of a plain dump: all of a dump of pg_dump, one part of one of pg_dumpall. */
import { clusterSections, isClusterDump, type ClusterSection } from "../../postgres/plainDump/clusterSections.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Progress } from "../../run/progress.ts";
import { ByteReader, type Bytes } from "../streams/byteReader.ts";
import { HeldStream } from "../streams/heldStream.ts";

export interface HomeserverDump {
    readonly where: string;
    /** The database that is meant, where there are several homeservers. */
    readonly database: string | undefined;
    /** The bytes once more from their beginning. */
    readonly again: () => Bytes;
    readonly progress: Progress;
    readonly signal: AbortSignal | undefined;
}

const headBytes = 64 * 1024;
/** No other program has all of them. */
const synapseTables = ["events", "users", "state_groups", "schema_version"];

/**
 * A dump of a whole server is read twice: which of its databases is meant is known at its end.
 *
 * @throws MigrationError SM-E0909 when none of the databases is a homeserver's, SM-E0935 when several are; those of {@link clusterSections}
 */
export async function* homeserverDump(dump: Bytes, options: HomeserverDump): Bytes {
    const held = new HeldStream(dump);
    try {
        const reader = new ByteReader(held.rest());
        if (!isClusterDump(await reader.peek(headBytes))) {
            yield* reader.rest();
            return;
        }
        const section = await chosenSection(reader.rest(), options).catch(async (error: unknown) => {
            throw await held.failureOr(error);
        });
        yield* slice(options.again(), section);
    } finally {
        await held.close();
    }
}

async function chosenSection(dump: Bytes, options: HomeserverDump): Promise<ClusterSection> {
    const { where, database, progress, signal } = options;
    const sections = await progress.during("looking for the homeserver among the databases of the dump", () =>
        clusterSections(dump, signal),
    );
    const names = sections.map((section) => section.database).join(", ");
    const homeservers = sections.filter(({ tables }) => synapseTables.every((table) => tables.has(table)));
    const meant = database === undefined ? homeservers : homeservers.filter((section) => section.database === database);
    const [section, ...others] = meant;
    if (section === undefined)
        throw new MigrationError("SM-E0909", {
            where,
            found: `a dump of a whole server; none of its databases is ${database === undefined ? "a homeserver's" : `a homeserver's of the name ${database}`}: ${names}`,
            expected: `a database with the tables ${synapseTables.join(", ")}`,
            fix: "was the right server dumped? `psql --list` shows the databases of one; `source.databaseName` must be one of those above",
        });
    if (others.length > 0)
        throw new MigrationError("SM-E0935", {
            where,
            found: meant.map((one) => one.database).join(", "),
            expected: "one database with Synapse's tables",
        });
    progress.say(
        `database ${section.database} is read out of a dump of a whole server; left out: roles, tablespaces, and the databases ` +
            sections.flatMap((other) => (other === section ? [] : [other.database])).join(", "),
    );
    return section;
}

/** Reads on to the end, so that every layer is. */
async function* slice(dump: Bytes, { from, to }: ClusterSection): Bytes {
    let at = 0;
    for await (const chunk of dump) {
        const part = chunk.subarray(Math.max(0, from - at), Math.max(0, to - at));
        at += chunk.length;
        if (part.length > 0) yield part;
    }
}
