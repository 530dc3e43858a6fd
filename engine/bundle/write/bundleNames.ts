/** Names of a bundle's files, as EMS's guide for homeservers that move there has them. The receiver looks for exactly these. */

export const databaseName = "customer_db_export.sql.gz.gpg";
/** The database in pg_dump's directory format instead: in several archives, which unpack into one directory of this name. */
export const databaseDirectory = "customer_db_export.dir";
export const databaseArchive = (number: number): string => `${databaseDirectory}-${number}.tar.gpg`;
const databaseArchiveEnding = /^-\d+\.tar\.gpg(\.part-[^/]+)?$/;
/** An export of matrix-media-repo, in a folder of the archive's own name. */
export const mediaExportName = "customer_media_export.tar.gz.gpg";
export const mediaExportFolder = "customer_media_export";
/** Synapse's media store, in a folder as Synapse calls it by default. */
export const mediaBackupName = "customer_backup_media_export.tar.gz.gpg";
export const mediaBackupFolder = "media_store";
/** The guide has `homeserver.yaml` and the signing key sent as they are; here they are in one encrypted file. */
export const configName = "customer_config_export.tar.gz.gpg";
export const configFolder = "customer_config_export";

export const manifestName = "manifest.json";
export const notesName = "README.md";
export const checksumsName = "SHA256SUMS";

/** Everything that this program puts into the directory of a bundle; all but the last three may be split into parts. */
export const artefactNames = [databaseName, databaseDirectory, mediaExportName, mediaBackupName, configName] as const;
export const openNames = [manifestName, notesName, checksumsName] as const;

/** Whether a name is that of the artefact or of one of its archives, one of its parts, or what a killed attempt has left of either. */
export function belongsTo(artefact: string, name: string): boolean {
    const whole = name.replace(/\.incoming$/, "");
    if (artefact === databaseDirectory)
        return whole.startsWith(artefact) && databaseArchiveEnding.test(whole.slice(artefact.length));
    return (
        whole === artefact || (whole.startsWith(`${artefact}.part-`) && !whole.slice(artefact.length + 1).includes("/"))
    );
}
