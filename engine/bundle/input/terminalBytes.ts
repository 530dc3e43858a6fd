/** Whether a binary file went through a terminal, which puts a CR before every LF: `docker exec -t … pg_dump -Fc > FILE`. */
import { MigrationError } from "../../run/errors.ts";
import { ByteReader, type Bytes } from "../streams/byteReader.ts";
import { readFiles } from "./inputFiles.ts";
import { formatOf, magicBytes } from "./magic.ts";

/** Looked at. */
const headBytes = 1024 * 1024;
/** Of an untouched file, one LF of 256 has a CR before it by chance. */
const enough = 8;
const [lineFeed, carriageReturn] = [10, 13];

/**
 * @param paths  of one input, in its parts
 * @throws MigrationError SM-E0933
 */
export async function refuseTerminalBytes(paths: readonly string[]): Promise<void> {
    const file = readFiles(paths.slice(0, 1), []);
    try {
        await refuseTerminalStream(file, paths.join(", "));
    } finally {
        await file.return();
    }
}

/**
 * Looks at the beginning; what is text is passed. Whoever made the stream ends it.
 *
 * @throws MigrationError SM-E0933
 */
export async function refuseTerminalStream(stream: Bytes, where: string): Promise<void> {
    const head = await new ByteReader(stream).peek(headBytes);
    if (!isBinary(head) || !hasBeenChanged(head)) return;
    throw new MigrationError("SM-E0933", {
        where,
        found: "a CR before every LF in a file that is no text: a terminal has added them",
        expected: "the bytes as the program wrote them",
        fix:
            "`LC_ALL=C sed 's/\\r$//' FILE > NEW` takes away exactly what the terminal has added; or dump again without one: " +
            "`docker exec CONTAINER pg_dump … > FILE`, `kubectl exec POD -- pg_dump … > FILE`, without `-t` or `-it`",
    });
}

function isBinary(head: Buffer): boolean {
    const format = formatOf(head.subarray(0, magicBytes));
    // Armored, a message of gpg is text, and may have either line end; so may what is in an archive.
    if (format === "gpg") return ((head[0] ?? 0) & 0x80) !== 0;
    if (format === "tar") return head.toString("latin1", 0, 8) === "toc.dat\0";
    return format === "gzip" || format === "zip" || format === "custom-dump";
}

function hasBeenChanged(head: Buffer): boolean {
    let lineEnds = 0;
    for (let at = head.indexOf(lineFeed); at >= 0; at = head.indexOf(lineFeed, at + 1)) {
        if (head[at - 1] !== carriageReturn) return false;
        lineEnds += 1;
    }
    return lineEnds >= enough;
}
