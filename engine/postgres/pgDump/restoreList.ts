/** Which entries of an archive are restored: not what stays with the source's server, nor what only a superuser may make. */
import { escapeIdentifier } from "pg";
import { writePrivateFile } from "../../run/atomicFile.ts";
import type { Definition } from "../catalogue/catalogue.ts";
import { withClient, type ConnectionOptions, type DatabaseAddress } from "../connection.ts";
import { ownersExtensions } from "../server/extensions.ts";
import { runPostgresProgram } from "../server/clientPrograms.ts";
import { join } from "node:path";
import { listArchive, type ArchiveEntry } from "./dumpArchive.ts";

export interface RestoreList {
    readonly clientDirectory: string;
    readonly archive: string;
    /** Of the database that was dumped: an extension that is not among them is left out. */
    readonly definitions: readonly Definition[];
    /** The database that is restored into, as the role that will own everything in it. */
    readonly target: DatabaseAddress;
    /** The same database, as the role that makes extensions which the owner may not make. */
    readonly admin?: DatabaseAddress | undefined;
}

/**
 * Makes the extensions that the owner may not make, and writes the list of all else that is to be restored, for `pg_restore --use-list`.
 *
 * @throws MigrationError SM-E0515 where the admin may not make one either
 */
export async function writeRestoreList(
    listFile: string,
    { clientDirectory, archive, definitions, target, admin }: RestoreList,
    options: ConnectionOptions,
): Promise<void> {
    const entries = await listArchive(clientDirectory, archive);
    const carried = entries.filter(({ kind, name }) => kind === "EXTENSION" && isCarried(definitions, name));
    const names = carried.map(({ name }) => name);
    const own =
        names.length === 0 ? [] : await withClient(target, options, (client) => ownersExtensions(client, names));
    const others = carried.filter(({ name }) => !own.includes(name));
    const made = admin === undefined ? [] : await placesOf(clientDirectory, archive, others, listFile);
    if (admin !== undefined && made.length > 0)
        await withClient(admin, options, async (client) => {
            for (const { name, schema } of made) {
                const place = escapeIdentifier(schema);
                await client.query(
                    `CREATE SCHEMA IF NOT EXISTS ${place} AUTHORIZATION ${escapeIdentifier(target.user)};
                    CREATE EXTENSION IF NOT EXISTS ${escapeIdentifier(name)} SCHEMA ${place} CASCADE`,
                );
            }
        });
    const isRestored = (entry: ArchiveEntry): boolean => {
        if (entry.kind === "EVENT TRIGGER" || / COMMENT - (EXTENSION|EVENT TRIGGER) /.test(entry.line)) return false;
        if (entry.kind === "SCHEMA") return !made.some(({ schema }) => entry.line.includes(` SCHEMA - ${schema} `));
        if (entry.kind !== "EXTENSION") return true;
        return own.includes(entry.name) || (carried.includes(entry) && admin === undefined);
    };
    await writeList(listFile, entries.filter(isRestored));
}

interface PlacedExtension {
    readonly name: string;
    readonly schema: string;
}

/** Where the source has them: `CREATE EXTENSION IF NOT EXISTS pageinspect WITH SCHEMA public;`. Read, never run. */
async function placesOf(
    clientDirectory: string,
    archive: string,
    extensions: readonly ArchiveEntry[],
    listFile: string,
): Promise<PlacedExtension[]> {
    if (extensions.length === 0) return [];
    await writeList(listFile, extensions);
    const { stdout } = await runPostgresProgram(
        join(clientDirectory, "pg_restore"),
        ["--use-list", listFile, "--file", "-", archive],
        { timeoutSeconds: 120 },
    );
    const statement = /^CREATE EXTENSION IF NOT EXISTS (\S+) WITH SCHEMA ("(?:[^"]|"")+"|\S+);$/gm;
    return [...stdout.matchAll(statement)].map(([, name = "", schema = ""]) => ({
        name: plain(name),
        schema: plain(schema),
    }));
}

const plain = (name: string): string => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name);

function isCarried(definitions: readonly Definition[], name: string): boolean {
    return definitions.some((definition) => definition.kind === "extension" && plain(definition.name) === name);
}

const writeList = (file: string, entries: readonly ArchiveEntry[]): Promise<void> =>
    writePrivateFile(file, entries.map(({ line }) => `${line}\n`).join(""));
