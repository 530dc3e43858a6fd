/** An estimate of the downtime, until a rehearsal has measured it. */

/** Stopping, proving, swapping, starting and probing: independent of the size. */
const fixedSeconds = 20;
/** `pg_dump -Fd -j2`, `pg_restore -j2` and two hashes of every row on two cores: measured at about 70 MB of database a second. */
const databaseBytesPerSecond = 70e6;
/** The final pass reads every media file once more on both sides. */
const mediaBytesPerSecond = 200e6;

/** Seconds from the fence to the opening of the gateway, for copy mode `archive`. */
export function predictedDowntime(sizes: { readonly databaseBytes: number; readonly mediaBytes: number }): number {
    return Math.ceil(
        fixedSeconds + sizes.databaseBytes / databaseBytesPerSecond + sizes.mediaBytes / mediaBytesPerSecond,
    );
}
