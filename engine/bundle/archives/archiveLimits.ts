/** How much an archive may unpack to: against bombs, and against disks that fill up. */
import { statfs } from "node:fs/promises";
import { MigrationError } from "../../run/errors.ts";
import type { ErrorCode } from "../../run/errorCatalogue.ts";
import type { ArchiveEntry, ArchiveKind } from "./archiveEntry.ts";

export interface ArchiveLimits {
    /** Files and directories; 1 000 000 by default. */
    readonly entries?: number;
    /** Bytes of all files together; by default only the free disk space is a limit. */
    readonly bytes?: number;
    /** Unpacked bytes for each byte of input, looked at above 256 MiB; 200 by default. A dump has 5 to 20. */
    readonly ratio?: number;
}

const ratioFrom = 256 * 1024 * 1024;
const keptFree = 64 * 1024 * 1024;
const askAgainAfter = 256 * 1024 * 1024;
const tooMuch = { tar: "SM-E0955", zip: "SM-E0945" } as const satisfies Record<ArchiveKind, ErrorCode>;

/** Counts what an archive unpacks to and refuses what is too much before it is written. */
export class ArchiveAllowance {
    public files = 0;
    public bytes = 0;
    private entries = 0;
    private free = 0;
    private freeAsOf = -Infinity;
    private readonly directory: string;
    private readonly limits: Required<ArchiveLimits>;

    /** @param directory  on the file system that is written to */
    constructor(directory: string, limits: ArchiveLimits = {}) {
        this.directory = directory;
        this.limits = { entries: 1_000_000, bytes: Infinity, ratio: 200, ...limits };
    }

    /**
     * Takes the next entry into account.
     *
     * @param inputBytes  bytes of input read so far, or of the whole archive where its sizes are known before
     * @throws MigrationError SM-E0955 tar, SM-E0945 zip, SM-E1201 disk
     */
    public async admit(entry: ArchiveEntry, archive: ArchiveKind, inputBytes: number, where: string): Promise<void> {
        const { limits } = this;
        this.entries++;
        this.files += entry.kind === "file" ? 1 : 0;
        this.bytes += entry.bytes;
        const refuse = (found: string, expected: string): MigrationError =>
            new MigrationError(tooMuch[archive], { where: `${where}: ${entry.name}`, found, expected });
        if (this.entries > limits.entries)
            throw refuse(`more than ${limits.entries} entries`, `at most that many (limit \`entries\`)`);
        if (this.bytes > limits.bytes)
            throw refuse(`${this.bytes} bytes in ${this.entries} entries`, `at most ${limits.bytes} (limit \`bytes\`)`);
        // The entry's own content is not read yet: what compresses best may unpack to a thousand times its size.
        const ratio = (this.bytes - (archive === "tar" ? entry.bytes : 0)) / Math.max(1, inputBytes);
        if (this.bytes > ratioFrom && ratio > limits.ratio)
            throw refuse(`${Math.round(ratio)} times the input's size`, `at most ${limits.ratio} (limit \`ratio\`)`);
        await this.refuseFullDisk(entry.bytes, where);
    }

    private async refuseFullDisk(next: number, where: string): Promise<void> {
        if (this.bytes - this.freeAsOf > askAgainAfter) {
            const { bavail, bsize } = await statfs(this.directory);
            this.free = bavail * bsize;
            this.freeAsOf = this.bytes - next;
        }
        const needed = this.bytes - this.freeAsOf + keptFree;
        if (needed > this.free)
            throw new MigrationError("SM-E1201", {
                where: this.directory,
                found: `${this.free} bytes free`,
                expected: `${needed} for the next entries of ${where}`,
            });
    }
}
