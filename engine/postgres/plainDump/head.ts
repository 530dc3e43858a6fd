/** What stands before the first line of a plain dump: what may, and what a terminal, a shell or `2>&1` has left there. */
import { MigrationError } from "../../run/errors.ts";
import type { ByteSource } from "./byteSource.ts";

/** Within this, pg_dump's first line is looked for. */
const longestHead = 64 * 1024;
/** Of one message, and the white space before it. */
const longestMessage = 400;
const firstLine = /^-- PostgreSQL database (?:cluster )?dump(\r*)\n/m;
/** What pg_dump says on its standard error. */
const message = /^pg_dump(?:all)?: /;
const failure = /^pg_dump(?:all)?: (?:error|\[.*\]|fatal)/i;
/** Is for the reader of statements to judge. */
const statement =
    /^\s*(?:--|\/\*|\\|(?:ALTER|BEGIN|COMMENT|COPY|CREATE|DROP|GRANT|INSERT|LOCK|REVOKE|SELECT|SET|START)\b)/i;
const [utf8Mark, utf16Marks] = ["efbbbf", ["fffe", "feff"]];

/**
 * Passes a byte order mark, and warnings of pg_dump in front of the dump.
 *
 * @param source  at its beginning
 * @throws MigrationError SM-E0933 for a dump whose line ends or characters were changed, SM-E0934 for any other message in front
 */
export async function passHead(source: ByteSource): Promise<void> {
    while (source.buffer.length < longestHead && !firstLine.test(source.buffer.toString("latin1")))
        if (!(await source.extend())) break;
    const mark = source.buffer.toString("hex", 0, 3);
    if (utf16Marks.some((utf16) => mark.startsWith(utf16))) throw changed("UTF-16 text", inShell);
    if (mark === utf8Mark) source.moveTo(utf8Mark.length / 2);
    const text = source.buffer.toString("latin1", source.at);
    const found = firstLine.exec(text);
    if (found !== null && found[1] !== "") throw changed("CR LF at the end of every line", onTerminal);
    const lines = text.slice(0, found?.index ?? longestHead).split("\n");
    const foreign = lines.findIndex((line) => !isPassed(line));
    if (foreign >= 0) {
        const line = lines[foreign] ?? "";
        if (statement.test(line) || (found === null && !message.test(line))) return;
        throw inFront(line, foreign + 1);
    }
    if (found !== null) source.moveTo(source.at + found.index);
}

/**
 * Between two statements.
 *
 * @throws MigrationError SM-E0934
 */
export function refuseMessage(source: ByteSource): void {
    const text = source.buffer.toString("latin1", source.at, source.at + longestMessage);
    const line = text.trimStart();
    if (!message.test(line)) return;
    source.moveTo(source.at + text.length - line.length);
    throw new MigrationError("SM-E0934", {
        where: `line ${source.line} of the dump`,
        found: shown(line),
        expected: "SQL alone",
    });
}

function isPassed(line: string): boolean {
    return line.trim() === "" || line.trimEnd() === "--" || (message.test(line) && !failure.test(line));
}

/** Other programs' messages may hold anything, a password on a traced command line too: their first word alone is shown. */
function shown(line: string): string {
    const [first = ""] = line.replaceAll(/[^ -~\n]/g, "").split("\n");
    if (message.test(first)) return first.slice(0, 200);
    const [word = ""] = first.trim().split(/\s/);
    return /[=@/]/.test(word) ? "a message of another program" : `a message that begins with ${word.slice(0, 30)}`;
}

function inFront(line: string, number: number): MigrationError {
    const terminal = line.includes("\r") ? ", with CR LF at its end as a terminal makes it" : "";
    return new MigrationError("SM-E0934", {
        where: `line ${number} of the dump`,
        found: `${shown(line)}${terminal}, in front of the dump`,
        expected: "-- PostgreSQL database dump, with nothing but warnings of pg_dump before it",
    });
}

const onTerminal =
    "`sed 's/\\r$//' FILE > NEW` takes away exactly what a terminal has added; or dump again without one: `docker exec CONTAINER pg_dump … > FILE`, " +
    "`kubectl exec POD -- pg_dump … > FILE`, without `-t` or `-it`";
const inShell =
    "PowerShell's `>` writes UTF-16: let pg_dump write the file, `pg_dump --file FILE …`, or use a shell whose `>` changes nothing (cmd, sh)";

function changed(found: string, fix: string): MigrationError {
    return new MigrationError("SM-E0933", {
        where: "line 1 of the dump",
        found,
        expected: "the bytes as pg_dump writes them: UTF-8, LF at the end of a line",
        fix,
    });
}
