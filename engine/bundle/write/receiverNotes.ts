/** The notes for who receives a bundle: what is in it, how to check it, and how to unpack it by hand. Pure. */
import type { Artefact } from "./artefact.ts";
import { artefactsOf, type BundleManifest, type DatabaseSection, type PlainDatabase } from "./bundleManifest.ts";
import { configFolder, databaseDirectory, mediaBackupFolder, mediaExportFolder } from "./bundleNames.ts";

/** Markdown. Its commands work in a shell in the bundle's directory, with the standard programs only. */
export function receiverNotes(manifest: BundleManifest): string {
    const { database, media, configuration, serverName, fencedAt } = manifest;
    const rows = database.tables.reduce((sum, table) => sum + table.rows, 0);
    const dumps = database.format === "plain" ? [database.artefact] : database.artefacts;
    const { quarantined, longestBytes } = media.export;
    return `# The homeserver ${serverName}, to be moved to you

Made by synapse-migration at ${manifest.madeAt}, run ${manifest.run}. ${fence(fencedAt)}

| file | holds | bytes |
| --- | --- | --- |
| ${dumps.map(namesOf).join(", ")} | PostgreSQL database: ${database.tables.length} tables, ${rows} rows, of PostgreSQL ${database.dump.serverVersion}, Synapse's schema ${database.synapse.schemaVersion} | ${dumps.reduce((sum, { bytes }) => sum + bytes, 0)} |
| ${namesOf(media.export.artefact)} | export of matrix-media-repo, version 2: ${media.export.media} media, ${media.export.bytes} bytes | ${media.export.artefact.bytes} |
| ${namesOf(media.backup.artefact)} | the same media as Synapse stores them, with thumbnails: ${media.backup.files} files, ${media.backup.bytes} bytes | ${media.backup.artefact.bytes} |
| ${namesOf(configuration.artefact)} | homeserver.yaml with pepper and macaroon secret, and the signing key | ${configuration.artefact.bytes} |
| manifest.json | sizes, SHA-256, rows of each table, positions of sequences | |

The files are encrypted ${manifest.encryption === "passphrase" ? "with a passphrase, which comes to you another way" : "to the public key that you gave"}.

## 1. Check that all has arrived

    sha256sum --check SHA256SUMS

## 2. Unpack

${splitNote(manifest)}Each command fails as a whole when a part of it does:

    set -o pipefail
    umask 077

    ${unpackDatabase(database).join("\n    ")}
    ${decrypt(media.export.artefact)} | tar --extract --gzip
    ${decrypt(media.backup.artefact)} | tar --extract --gzip
    ${decrypt(configuration.artefact)} | tar --extract --gzip

${database.format === "plain" ? plainNotes(database) : directoryNotes()}

manifest.json has the rows of each table to compare with, for example of \`events\`: ${rowsOf(manifest, "events")}, of \`users\`: ${rowsOf(manifest, "users")}.
${oneTimeKeys(fencedAt)}

## 4. Media

Into matrix-media-repo, from the folder ${mediaExportFolder} (${media.export.parts.length} archives, and nothing else may be in it):

    MACHINE_ID=1 gdpr_import -directory ${mediaExportFolder}

- \`uploads.maxBytes\` must be at least ${longestBytes}, the longest of the media, or the importer refuses what is longer.
- \`MACHINE_ID\` must be one that no running process has; without it the importer stops and asks.
- The importer's \`-verify\` reads no file. Count what has arrived in its database: ${media.export.media} rows of \`media\` with the origin ${serverName}.
- ${quarantined} media are quarantined, and are served again after the import until you quarantine them again. The dump names them:
  \`SELECT media_id FROM local_media_repository WHERE quarantined_by IS NOT NULL\`.

Or into Synapse's own store: \`media_store_path\` becomes the folder ${mediaBackupFolder}.

## 5. Identity

Take all of ${configFolder} over: the signing key (${Object.keys(manifest.verifyKeys).join(", ")}), \`password_config.pepper\` and
\`macaroon_secret_key\`. Without them other servers reject this one, and nobody can log in.

## Left out on purpose

${[...database.leftOut, ...media.leftOut, ...configuration.leftOut.map((setting) => `homeserver.yaml: \`${setting}\``)].map((line) => `- ${line}`).join("\n")}
`;
}

function unpackDatabase(database: DatabaseSection): string[] {
    if (database.format === "plain") return [`${decrypt(database.artefact)} | gunzip > customer_db_export.sql`];
    const endings = new Set(database.members.map(({ name }) => name.replace(/^.*\.dat/, "")));
    return [
        ...database.artefacts.map((artefact) => `${decrypt(artefact)} | tar --extract`),
        ...(endings.has(".zst") ? [`zstd --decompress --quiet --rm ${databaseDirectory}/*.zst`] : []),
        ...(endings.has(".gz") ? [`gunzip ${databaseDirectory}/*.gz`] : []),
    ];
}

const createDatabase = "createdb --template template0 --encoding UTF8 --locale C --owner synapse synapse";

const plainNotes = ({
    dump,
}: PlainDatabase): string => `The last line of the dump is \`-- PostgreSQL database dump complete\`, but for \`\\unrestrict\`. Its SHA-256 is

    echo "${dump.sha256}  customer_db_export.sql" | sha256sum --check

## 3. Database

It is a plain dump without owners and privileges: for \`psql\`, not for \`pg_restore\`. \`psql\` of a PostgreSQL older than August 2025 does not
know its lines \`\\restrict\` and \`\\unrestrict\`.

    ${createDatabase}
    psql --no-psqlrc --set ON_ERROR_STOP=1 --single-transaction --username synapse --dbname synapse --file customer_db_export.sql`;

const directoryNotes = (): string => `## 3. Database

It is a dump in pg_dump's directory format, without owners and privileges: for \`pg_restore\`, not for \`psql\`. Its archives all unpack into
the one folder ${databaseDirectory}, and none of them is of use without the others.

    ${createDatabase}
    pg_restore --exit-on-error --jobs 4 --username synapse --dbname synapse ${databaseDirectory}

Where synapse-migration receives it, \`source.database\` is this directory, as it came.`;

function fence(fencedAt: string | null): string {
    return fencedAt === null
        ? "**A rehearsal: the old server runs on. Do not let this copy reach the network.**"
        : `The old server was stopped at ${fencedAt} and does not run any more.`;
}

function oneTimeKeys(fencedAt: string | null): string {
    return fencedAt === null
        ? "Empty `e2e_one_time_keys_json` before the first start: the old server goes on handing these keys out."
        : "Keep `e2e_one_time_keys_json`: the old server was stopped before the dump, so no key was handed out twice.";
}

function splitNote(manifest: BundleManifest): string {
    const split = artefactsOf(manifest).some(({ files }) => files.length > 1);
    return split ? "Files are split; their parts are joined in the order of their names. " : "";
}

const namesOf = ({ name, files: [first, ...others] }: Artefact): string =>
    others.length === 0 ? (first?.name ?? name) : `${name}.part-* (${others.length + 1} parts)`;

/** Parts sort as they are numbered. */
const decrypt = ({ name, files: [first, ...others] }: Artefact): string =>
    others.length === 0 && first?.name === name
        ? `gpg --no-symkey-cache --decrypt ${name}`
        : `cat ${name}.part-* | gpg --no-symkey-cache --decrypt`;

const rowsOf = ({ database }: BundleManifest, table: string): number =>
    database.tables.find(({ schema, name }) => schema === "public" && name === table)?.rows ?? 0;
