/** `synapse-migrate support`: what a run has kept, packed for somebody who is to help, with nobody's name in it. */
import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import type { Command } from "commander";
import { z } from "zod";
import { packing } from "../../engine/bundle/archives/packing.ts";
import { masking } from "../../engine/report/mask.ts";
import { withoutSecrets } from "../../engine/report/safeText.ts";
import { writePrivateFile } from "../../engine/run/atomicFile.ts";
import { programVersion } from "../../engine/run/changedSpec.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { exists } from "../../engine/run/exists.ts";
import { readJournal } from "../../engine/run/journal.ts";
import { notesPath } from "../../engine/run/notes.ts";
import { parseJson } from "../../engine/run/parseJson.ts";
import { runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import { statusLines } from "./status.ts";

export interface SupportBundle {
    readonly file: string;
    /** Names in the archive, sorted. */
    readonly entries: readonly string[];
}

/** Of a file, from its end: what went wrong is there. Bytes. */
const most = 4 * 1024 * 1024;

/**
 * Packs the journal, the evidence, the specifications without their secrets, the notes and the reports of a run. Keys, dumps, tokens of the
 * test account and copies of databases are never looked at. Changes nothing in the run.
 *
 * @param to  the archive, mode 0600; one that is there is replaced
 * @param isPlain  names, addresses and identifiers stay; secrets do not even then
 * @throws MigrationError SM-E0735 where there is no run
 */
export async function writeSupportBundle(directory: string, to: string, isPlain = false): Promise<SupportBundle> {
    const paths = runDirectoryPaths(resolve(directory));
    if (!(await exists(paths.journal)))
        throw new MigrationError("SM-E0735", { where: paths.journal, found: "no journal", changed: "nothing" });
    const found = new Map<string, string>();
    for (const path of [paths.journal, paths.declared, notesPath(paths.path)]) await take(found, path, "");
    for (const folder of [paths.evidence, paths.specs, join(paths.path, "report")])
        for (const name of await namesIn(folder))
            if (/\.(json|md)$/.test(name)) await take(found, join(folder, name), `${basename(folder)}/`);
    const hide = isPlain ? withoutSecrets : masking({ key: randomBytes(32), ...namesOf([...found.values()]) });
    // A journal that cannot be trusted is what somebody may have to look at.
    const status = await readJournal(paths.journal).then(statusLines, (error: unknown) => [String(error)]);
    found.set("status.txt", `${status.join("\n")}\n`);
    found.set("README.txt", about(isPlain));
    const entries = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
    const chunks: Buffer[] = [];
    const archive = packing(async (pack) => {
        for (const [name, text] of entries)
            await new Promise<void>((settled, failed) => {
                pack.entry({ name: `support/${hide(name)}`, mode: 0o600 }, hide(text), (error) => {
                    if (error) failed(error);
                    else settled();
                });
            });
    });
    for await (const chunk of archive) chunks.push(chunk);
    await writePrivateFile(to, gzipSync(Buffer.concat(chunks)));
    return { file: to, entries: entries.map(([name]) => name) };
}

/** Adds `support` to `synapse-migrate`. */
export function registerSupport(program: Command): void {
    program
        .command("support")
        .description(
            "pack what a run has kept for somebody who is to help; names and addresses are replaced, secrets removed",
        )
        .argument("<directory>", "directory of the run: `<work directory>/runs/<run id>`")
        .option("--to <file>", "the archive", "synapse-migration-support.tar.gz")
        .option("--plain", "leave names, addresses and identifiers as they are")
        .action(async (directory: string, given: unknown) => {
            const options = z.object({ to: z.string(), plain: z.boolean().optional() }).parse(given);
            const { file, entries } = await writeSupportBundle(directory, resolve(options.to), options.plain);
            process.stderr.write(`${file}: ${entries.join(", ")}\nread it before you give it away\n`);
        });
}

async function take(found: Map<string, string>, path: string, folder: string): Promise<void> {
    if (!(await exists(path))) return;
    const bytes = await readFile(path);
    const cut = bytes.length > most ? `… the first ${bytes.length - most} bytes are left out\n` : "";
    found.set(folder + basename(path), cut + bytes.subarray(-most).toString("utf8"));
}

const namesIn = async (folder: string): Promise<string[]> => ((await exists(folder)) ? readdir(folder) : []);

/** Fields of specifications that name somebody or a machine. */
const naming = new Set(["host", "hostaddr", "canaryUser", "admin"]);
/** Names that every installation has. */
const usual = new Set(["postgres", "synapse"]);

function namesOf(texts: readonly string[]): { serverName: string | undefined; hosts: string[] } {
    const hosts = new Set([hostname()]);
    let serverName: string | undefined;
    const look = (value: unknown): void => {
        if (typeof value !== "object" || value === null) return;
        for (const [key, entry] of Object.entries(value)) {
            if (key === "serverName" && typeof entry === "string") serverName ??= entry;
            if (naming.has(key) && typeof entry === "string" && !entry.startsWith("/") && !usual.has(entry))
                hosts.add(entry);
            look(entry);
        }
    };
    for (const text of texts) for (const part of [text, ...text.split("\n")]) look(parseJson(part));
    return { serverName, hosts: [...hosts] };
}

function about(isPlain: boolean): string {
    return [
        `Kept by a run of synapse-migration ${programVersion}, Node ${process.version}; packed ${new Date().toISOString()}.`,
        isPlain
            ? "Names and addresses are as they were. Secrets were removed."
            : "Names of people, rooms, events, hosts and addresses were replaced by aliases that hold within this archive alone; secrets were removed.",
        "The journal's hashes are those of the records before that: they cannot be checked here.",
        "Not in it: keys, dumps, tokens, databases, media, Synapse's and PostgreSQL's own logs.",
        "",
    ].join("\n");
}
