/** Opens a bundle as its receiver does by hand: with gpg, gzip, tar, sha256sum and psql, and with none of the code that made it. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { runProgram } from "../../engine/machines/program.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import type { ClusterRouteArgs } from "./route.ts";

export interface OpenBundleArgs extends Pick<ClusterRouteArgs, "cluster" | "source" | "postgresPrograms" | "signal"> {
    readonly bundle: string;
    readonly passphrase: string;
    /** Made for what is taken out. */
    readonly directory: string;
}

export interface OpenedBundle {
    /** Files of the bundle, in the order of their parts, or its directory where the database is in several archives. */
    readonly database: readonly string[];
    readonly mediaBackup: readonly string[];
    /** Taken out. */
    readonly homeserverConfig: string;
    readonly signingKey: string;
}

const timeoutSeconds = 600;
const scratchDatabase = "bundle_by_hand";
/** What the guide has them called. */
const names = {
    database: "customer_db_export.sql.gz.gpg",
    mediaExport: "customer_media_export.tar.gz.gpg",
    mediaBackup: "customer_backup_media_export.tar.gz.gpg",
    configuration: "customer_config_export.tar.gz.gpg",
} as const;

const archiveManifest = z.object({
    entity_id: z.string(),
    media: z.record(z.string(), z.object({ file_name: z.string(), size_bytes: z.number(), sha256: z.string() })),
});
const counts = z.array(z.object({ rows: z.string() })).length(1);

/** @throws MigrationError SM-E1192 for a bundle that does not hold what the source has */
export async function openBundle(args: OpenBundleArgs): Promise<OpenedBundle> {
    const { bundle, directory, source } = args;
    mkdirSync(directory, { mode: 0o700 });
    await program("sha256sum", ["--check", "--strict", "SHA256SUMS"], args, bundle);
    const isPlain = readdirSync(bundle).some((name) => name.startsWith(names.database));
    await (isPlain ? restorePlainDump(args) : restoreDirectoryDump(args));
    await program(
        "tar",
        ["--extract", "--gzip", "--file", await decrypted(names.mediaExport, "export.tar.gz", args)],
        args,
    );
    await checkMediaExport(join(directory, "customer_media_export"), args);
    const config = await decrypted(names.configuration, "configuration.tar.gz", args);
    await program("tar", ["--extract", "--gzip", "--file", config], args);
    return {
        database: isPlain ? partsOf(names.database, bundle) : [bundle],
        mediaBackup: partsOf(names.mediaBackup, bundle),
        homeserverConfig: join(directory, "customer_config_export", "homeserver.yaml"),
        signingKey: join(directory, "customer_config_export", `${source.serverName}.signing.key`),
    };
}

/** psql takes the dump without an error. */
async function restorePlainDump(args: OpenBundleArgs): Promise<void> {
    const dump = await decrypted(names.database, "customer_db_export.sql.gz", args);
    await program("gunzip", [dump], args);
    await compareWithSource(
        args,
        ["psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet", "--single-transaction"],
        ["--file", dump.replace(/\.gz$/, "")],
    );
}

/** All archives unpack into one directory, which pg_restore takes without an error. */
async function restoreDirectoryDump(args: OpenBundleArgs): Promise<void> {
    const { bundle, directory } = args;
    const archives = readdirSync(bundle).flatMap((name) => /^customer_db_export\.dir-\d+\.tar\.gpg/.exec(name) ?? []);
    for (const name of new Set(archives)) {
        const archive = await decrypted(name, name.replace(/\.gpg$/, ""), args);
        await program("tar", ["--extract", "--file", archive], args);
    }
    const dump = join(directory, "customer_db_export.dir");
    const compressed = readdirSync(dump).filter((name) => name.endsWith(".zst"));
    if (compressed.length > 0) await program("zstd", ["--decompress", "--quiet", "--rm", ...compressed], args, dump);
    await compareWithSource(args, ["pg_restore", "--exit-on-error", "--jobs", "2"], [dump]);
}

/**
 * Every table has as many rows as the source's.
 *
 * @param restore  a program of PostgreSQL and its options
 * @param dump  what comes last on its command line
 */
async function compareWithSource(
    args: OpenBundleArgs,
    [restore, ...options]: readonly [string, ...string[]],
    dump: readonly string[],
): Promise<void> {
    const { cluster, postgresPrograms, directory } = args;
    const { host, port, user, password } = cluster.administration;
    const run = (name: string, database: string, more: readonly string[]): Promise<string> =>
        program(
            join(postgresPrograms, name),
            ["--host", host, "--port", String(port), "--username", user, "--dbname", database, ...more],
            args,
            directory,
            { PGPASSWORD: password },
        );
    const psql = (database: string, command: string): Promise<string> =>
        run("psql", database, ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", command]);
    // Not in Synapse's database: the fence has made that read-only.
    const create = `CREATE DATABASE ${scratchDatabase} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`;
    await psql(cluster.administration.name, create);
    await run(restore, scratchDatabase, [...options, ...dump]);
    // One row a table: its name, and its rows counted.
    const count = `SELECT relname, (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM public.%I', relname), false, true, '')))[1]
         FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname COLLATE "C"`;
    const [expected, found] = [await psql(cluster.synapse.name, count), await psql(scratchDatabase, count)];
    if (found !== expected || !/^events\|[1-9]/m.test(found))
        throw lacking(dump.join(" "), `${restore} made another database of it than the source's: row counts differ`);
    await psql(cluster.administration.name, `DROP DATABASE ${scratchDatabase}`);
}

/** As matrix-media-repo's importer would: every file of the manifest, in whichever of the archives. */
async function checkMediaExport(directory: string, args: OpenBundleArgs): Promise<void> {
    for (const part of readdirSync(directory))
        await program("tar", ["--extract", "--gzip", "--file", part], args, directory);
    const manifest = archiveManifest.parse(JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8")));
    const entries = Object.values(manifest.media);
    for (const { file_name, size_bytes, sha256 } of entries) {
        const content = readFileSync(join(directory, file_name));
        if (content.length !== size_bytes || createHash("sha256").update(content).digest("hex") !== sha256)
            throw lacking(directory, `${file_name} is not as manifest.json says`);
    }
    const { rows } = await args.cluster.query(
        "SELECT count(*)::text AS rows FROM local_media_repository WHERE media_length IS NOT NULL",
    );
    const [expected] = counts.parse(rows);
    if (manifest.entity_id !== args.source.serverName || String(entries.length) !== expected?.rows)
        throw lacking(
            directory,
            `${entries.length} media of ${manifest.entity_id}; the source has ${expected?.rows ?? "none"}`,
        );
}

/** The file or its parts, joined and decrypted. @returns the path of what was in it */
async function decrypted(name: string, to: string, args: OpenBundleArgs): Promise<string> {
    const { bundle, directory, passphrase } = args;
    const whole = join(directory, name);
    for (const part of partsOf(name, bundle))
        await pipeline(createReadStream(part), createWriteStream(whole, { flags: "a", mode: 0o600 }));
    const home = join(directory, "gnupg");
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const quiet = ["--batch", "--pinentry-mode", "loopback", "--no-symkey-cache", "--passphrase-fd", "0"];
    await runProgram("gpg", [...quiet, "--output", join(directory, to), "--decrypt", whole], {
        input: `${passphrase}\n`,
        environment: { GNUPGHOME: home },
        timeoutSeconds,
        signal: args.signal,
    });
    await runProgram("gpgconf", ["--kill", "all"], { environment: { GNUPGHOME: home }, timeoutSeconds });
    return join(directory, to);
}

function partsOf(name: string, bundle: string): string[] {
    const files = readdirSync(bundle).filter((file) => file === name || file.startsWith(`${name}.part-`));
    if (files.length === 0) throw lacking(bundle, `no ${name}`);
    return files.sort().map((file) => join(bundle, file));
}

async function program(
    name: string,
    args: readonly string[],
    { directory, signal }: OpenBundleArgs,
    workingDirectory = directory,
    environment: Readonly<Record<string, string>> = {},
): Promise<string> {
    const { stdout } = await runProgram(name, args, { workingDirectory, environment, timeoutSeconds, signal });
    return stdout;
}

function lacking(where: string, found: string): MigrationError {
    return new MigrationError("SM-E1192", {
        where,
        found,
        expected: "all that the source has",
        changed: "only what belongs to the rehearsal",
    });
}
