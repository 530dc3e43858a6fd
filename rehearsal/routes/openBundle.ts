/** Opens a bundle as its receiver does by hand: with gpg, gzip, tar, sha256sum and psql, and with none of the code that made it. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { runProgram } from "../../steps/hosts/program.ts";
import { MigrationError } from "../../steps/run/errors.ts";
import type { ClusterRouteArgs } from "./route.ts";

export interface OpenBundleArgs extends Pick<ClusterRouteArgs, "cluster" | "source" | "postgresPrograms" | "signal"> {
    readonly bundle: string;
    readonly passphrase: string;
    /** Made for what is taken out. */
    readonly directory: string;
}

export interface OpenedBundle {
    /** Files of the bundle, in the order of their parts. */
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
    const dump = await decrypted(names.database, "customer_db_export.sql.gz", args);
    await program("gunzip", [dump], args);
    await compareWithSource(dump.replace(/\.gz$/, ""), args);
    await program(
        "tar",
        ["--extract", "--gzip", "--file", await decrypted(names.mediaExport, "export.tar.gz", args)],
        args,
    );
    await checkMediaExport(join(directory, "customer_media_export"), args);
    const config = await decrypted(names.configuration, "configuration.tar.gz", args);
    await program("tar", ["--extract", "--gzip", "--file", config], args);
    return {
        database: partsOf(names.database, bundle),
        mediaBackup: partsOf(names.mediaBackup, bundle),
        homeserverConfig: join(directory, "customer_config_export", "homeserver.yaml"),
        signingKey: join(directory, "customer_config_export", `${source.serverName}.signing.key`),
    };
}

/** psql takes the dump without an error, and every table has as many rows as the source's. */
async function compareWithSource(dump: string, args: OpenBundleArgs): Promise<void> {
    const { cluster, postgresPrograms } = args;
    const { host, port, user, password } = cluster.administration;
    const psql = (database: string, more: readonly string[]): Promise<string> =>
        program(
            join(postgresPrograms, "psql"),
            [
                ...["--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--quiet", "--tuples-only", "--no-align"],
                ...["--host", host, "--port", String(port), "--username", user, "--dbname", database, ...more],
            ],
            args,
            args.directory,
            { PGPASSWORD: password },
        );
    // Not in Synapse's database: the fence has made that read-only.
    const create = `CREATE DATABASE ${scratchDatabase} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`;
    await psql(cluster.administration.name, ["--command", create]);
    await psql(scratchDatabase, ["--single-transaction", "--file", dump]);
    // One row a table: its name, and its rows counted.
    const count = `SELECT relname, (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM public.%I', relname), false, true, '')))[1]
         FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname COLLATE "C"`;
    const [expected, found] = [
        await psql(cluster.synapse.name, ["--command", count]),
        await psql(scratchDatabase, ["--command", count]),
    ];
    if (found !== expected || !/^events\|[1-9]/m.test(found))
        throw lacking(dump, "psql made another database of it than the source's: row counts differ");
    await psql(cluster.administration.name, ["--command", `DROP DATABASE ${scratchDatabase}`]);
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
