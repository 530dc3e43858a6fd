/** Counts and digests the rows in a file of pg_dump's directory format, as the loader does with those of a plain dump. */
import { CopyLines, LineFault, largestScan } from "../../../postgres/plainDump/copyLines.ts";
import { MigrationError } from "../../../run/errors.ts";

export interface MemberRows {
    readonly rows: number;
    /** Of the lines, in whatever order: see `LineSum`. */
    readonly digest: string;
    /** Of the lines. */
    readonly bytes: number;
}

/** What pg_dump writes behind the end mark `\.` and its line end. */
const afterEndMark = "\n\n";

/**
 * Reads one decompressed member, chunk by chunk; it keeps none of them.
 *
 * @throws MigrationError SM-E0906 when its lines are damaged, it has no end mark, or other bytes behind it
 */
export class MemberReading {
    private readonly lines = new CopyLines(undefined);
    private readonly where: string;
    private rows = 0;
    private bytes = 0;
    /** What came behind the end mark; undefined before it. */
    private tail: string | undefined;

    /** @param where  names it in errors */
    constructor(where: string) {
        this.where = where;
    }

    public take(chunk: Buffer): void {
        for (let rest = chunk; rest.length > 0;) {
            if (this.tail === undefined) {
                const now = rest.subarray(0, largestScan);
                rest = rest.subarray(this.scan(now));
            } else {
                this.tail += rest.subarray(0, afterEndMark.length + 1).toString("latin1");
                if (this.tail.length > afterEndMark.length) throw this.damaged("more than pg_dump writes behind \\.");
                return;
            }
        }
    }

    public finish(): MemberRows {
        if (this.tail === undefined) throw this.damaged(`it ends after ${this.rows} rows, and before \\.`);
        if (this.tail !== afterEndMark) throw this.damaged("less than pg_dump writes behind \\.");
        return { rows: this.rows, digest: this.lines.sum.toString(), bytes: this.bytes };
    }

    /** @returns how many bytes it has used */
    private scan(data: Buffer): number {
        try {
            const { before, dataEnd, rows, end } = this.lines.scan(data, 0);
            this.rows += rows;
            this.bytes += dataEnd + (before?.length ?? 0);
            if (end === undefined) return data.length;
            this.tail = "";
            return end;
        } catch (error) {
            if (!(error instanceof LineFault)) throw error;
            throw this.damaged(`row ${this.rows + 1} or later: ${error.message}`);
        }
    }

    private damaged(found: string): MigrationError {
        const expected = "rows as COPY writes them, and \\. behind the last";
        return new MigrationError("SM-E0906", { where: this.where, found, expected });
    }
}
