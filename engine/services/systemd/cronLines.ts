/** Lines of crontabs that mention a homeserver: cron starts at its hour whatever they say, and no unit tells of it. */
import type { Machine } from "../../machines/machine.ts";
import { orElse } from "../../machines/procText.ts";
import { redact } from "../../run/redaction.ts";

const directories = [
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/var/spool/cron/crontabs",
    "/var/spool/cron",
];
const mostBytes = 64 * 1024;
const shown = 8;
const longest = 200;

/** @param words  names of units and paths of configuration files */
export async function cronLines({ files }: Machine, words: readonly string[]): Promise<string[]> {
    const listed = await Promise.all(
        directories.map(async (directory) =>
            (await orElse(files.list(directory), [])).map((name) => `${directory}/${name}`),
        ),
    );
    const lines = await Promise.all(
        ["/etc/crontab", ...listed.flat()].map(async (path) => {
            const read = await orElse(files.read(path, { atMost: mostBytes }), undefined);
            return linesWith(read?.content.toString("utf8") ?? "", words).map((line) => `${path}: ${line}`);
        }),
    );
    return lines.flat().slice(0, shown);
}

/** Pure. Comments are passed over. */
export function linesWith(text: string, words: readonly string[]): string[] {
    const wanted = [...words.map((word) => word.replace(/\.service$/, "")), "synctl", "synapse.app."];
    return text
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => !line.startsWith("#") && wanted.some((word) => line.includes(word)))
        .map((line) => redact(line).slice(0, longest));
}
