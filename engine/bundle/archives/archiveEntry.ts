/** What may come out of an archive: names that stay inside, each once, files and directories only. */
import { createHash } from "node:crypto";
import { MigrationError } from "../../run/errors.ts";
import type { ErrorCode } from "../../run/errorCatalogue.ts";

export type ArchiveKind = "tar" | "zip";

/** A file or a directory of an archive. Owner, mode and times are not taken over: files become 0600, directories 0700. */
export interface ArchiveEntry {
    /** Relative, `/` between directories, no `.` or `..` in it. */
    readonly name: string;
    readonly kind: "file" | "directory";
    /** Bytes, 0 for a directory. */
    readonly bytes: number;
}

const unsafeName = { tar: "SM-E0950", zip: "SM-E0946" } as const satisfies Record<ArchiveKind, ErrorCode>;
const sameName = { tar: "SM-E0954", zip: "SM-E0942" } as const satisfies Record<ArchiveKind, ErrorCode>;

const longestName = 255;
const longestPath = 4000;

/**
 * The name below the directory to unpack to; empty for that directory itself.
 *
 * @throws MigrationError SM-E0950 tar, SM-E0946 zip
 */
export function safeName(raw: string, archive: ArchiveKind, where: string): string {
    const problem = nameProblem(raw, archive);
    if (problem !== undefined)
        throw new MigrationError(unsafeName[archive], {
            where,
            found: `${JSON.stringify(raw.slice(0, 300))} ${problem}`,
            expected: "relative names in UTF-8 that stay inside of the directory",
        });
    return segmentsOf(raw).join("/");
}

function nameProblem(raw: string, archive: ArchiveKind): string | undefined {
    const segments = segmentsOf(raw);
    if (raw === "") return "is no name";
    if (raw.startsWith("/")) return "is absolute";
    if (segments.includes("..")) return "leads out of the directory";
    if (raw.includes("\uFFFD")) return "is not UTF-8";
    // eslint-disable-next-line no-control-regex -- they are what is looked for
    if (/[\u0000-\u001f\u007f]/.test(raw)) return "has control characters";
    if (archive === "zip" && raw.includes("\\")) return "has backslashes";
    if (archive === "zip" && /^[A-Za-z]:/.test(raw)) return "names a drive";
    if (Buffer.byteLength(raw) > longestPath) return `is longer than ${longestPath} bytes`;
    if (segments.some((segment) => Buffer.byteLength(segment) > longestName)) return "has too long a part";
    return undefined;
}

function segmentsOf(raw: string): string[] {
    return raw.split("/").filter((segment) => segment !== "" && segment !== ".");
}

/**
 * The names that were seen, of which no two may fall together.
 *
 * Compared without case and in Unicode's NFC: on some file systems such names are one. Two *directories* that fall together do no harm
 * (Synapse's media store is full of `Ab` beside `aB`), two files do, and a file and a directory do. Digests stand for the names, so
 * that a million of them fit into memory.
 */
export class EntryNames {
    private readonly files = new Set<string>();
    private readonly directories = new Set<string>();
    private readonly exact: boolean;

    /** @param exact  tells names that differ only in case or Unicode form apart */
    constructor(exact = false) {
        this.exact = exact;
    }

    /** @throws MigrationError SM-E0954 tar, SM-E0942 zip */
    public add(entry: ArchiveEntry, archive: ArchiveKind, where: string): void {
        const key = this.keyOf(entry.name);
        const isTaken = this.files.has(key) || (entry.kind === "file" && this.directories.has(key));
        if (isTaken || this.isBelowFile(entry.name))
            throw new MigrationError(sameName[archive], {
                where,
                found: `${JSON.stringify(entry.name)} falls together with an entry before it`,
                expected: "each name once, also without regard to case and Unicode form",
            });
        (entry.kind === "file" ? this.files : this.directories).add(key);
    }

    /** Remembers the directories above a name on the way. */
    private isBelowFile(name: string): boolean {
        for (let end = name.lastIndexOf("/"); end > 0; end = name.lastIndexOf("/", end - 1)) {
            const parent = this.keyOf(name.slice(0, end));
            if (this.files.has(parent)) return true;
            if (this.directories.has(parent)) return false;
            this.directories.add(parent);
        }
        return false;
    }

    private keyOf(name: string): string {
        const folded = this.exact ? name : name.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
        return createHash("sha256").update(folded).digest().toString("latin1", 0, 12);
    }
}
