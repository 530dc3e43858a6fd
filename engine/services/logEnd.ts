/** The end of a server's log, as an error quotes it. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { redact } from "../run/redaction.ts";

const linesInError = 12;
/** Bytes of its end. */
const mostQuoted = 64 * 1024;

/** Whoever runs as the server's user may have put another file's name in its place: what is no file of its own is not quoted. */
export async function lastLines(logFile: string): Promise<string> {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const log = await open(logFile, flags).catch(() => undefined);
    try {
        const facts = await log?.stat();
        if (log === undefined || facts?.isFile() !== true || facts.nlink !== 1) return "";
        const bytes = Buffer.alloc(Math.min(facts.size, mostQuoted));
        await log.read(bytes, 0, bytes.length, facts.size - bytes.length);
        const lines = redact(bytes.toString("utf8")).trimEnd().split("\n").slice(-linesInError);
        return lines.join("") === "" ? "" : `\n${lines.join("\n")}`;
    } finally {
        await log?.close();
    }
}
