/**
 * `npm run sweep`: damages every kind of artefact everywhere, and tells which layer finds it. Exit code 1 when something is not found.
 *
 * `--output DIRECTORY` for the table as JSON and Markdown; `--only TEXT` for the artefacts whose names have it.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Copy, withChecksums, type Artefact } from "./artefact.ts";
import type { Damage } from "./damages.ts";
import { makeDumps, makeSqlite } from "./makeDumps.ts";
import { makeMediaArchives, makeStores } from "./makeMedia.ts";
import { rowOf, tableOf, writeReport, type Swept, type Tried } from "./report.ts";
import { SourceDatabase } from "./sourceDatabase.ts";
import { hangs, judged, missed } from "./verdict.ts";

type TryOne = (damage: Damage | undefined) => Promise<Tried["verdict"]>;

const atOnce = 2;
/** More of them would take the sweep's time, and say nothing new. */
const mostHanging = 4;
/** Nothing in them, or not in all of them, covers what they hold. */
const unprotected = /^(plain \.sql|-Fc|-Fc -Z0|-Ft|-Fd -Z0|-Fd|homeserver\.db|media store \.tar|media export \.tgz)$/;

const { values } = parseArgs({ options: { output: { type: "string" }, only: { type: "string" } } });
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => ending.abort());

/** Failures that nobody waited for end a process: a defect of whatever was read. */
const unhandled: unknown[] = [];
process.on("unhandledRejection", (error) => unhandled.push(error));

async function artefacts(source: SourceDatabase): Promise<Artefact[]> {
    const made: Artefact[] = [];
    for (const make of [makeStores, makeMediaArchives, makeSqlite, makeDumps]) made.push(...(await make(source)));
    const both: Artefact[] = [];
    for (const artefact of made)
        both.push(artefact, ...(unprotected.test(artefact.name) ? [await withChecksums(artefact)] : []));
    const { only = "" } = values;
    return both.filter(({ name }) => name.includes(only));
}

/** Tries damages one after the other, in a directory of its own. */
async function withTries<T>(artefact: Artefact, directory: string, work: (tryOne: TryOne) => Promise<T>): Promise<T> {
    const place = await mkdtemp(join(directory, "try-"));
    try {
        const [input, scratch] = [join(place, "in"), join(place, "work")];
        const copy = await Copy.make(artefact.directory, input);
        return await work(async (damage) => {
            await copy.damage(damage);
            await rm(scratch, { recursive: true, force: true });
            await mkdir(scratch, { mode: 0o700 });
            return judged(() => artefact.read(input, scratch));
        });
    } finally {
        await rm(place, { recursive: true, force: true });
    }
}

async function sweep(artefact: Artefact, directory: string): Promise<Swept> {
    const began = performance.now();
    const unharmed = await withTries(artefact, directory, (tryOne) => tryOne(undefined));
    if (unharmed.kind !== "benign") throw new Error(`${artefact.name} unharmed is ${JSON.stringify(unharmed)}`);
    const tries: Tried[] = [];
    const queue = artefact.damages.values();
    const worker = async (tryOne: TryOne): Promise<void> => {
        for (const damage of queue) {
            ending.signal.throwIfAborted();
            const hung = tries.filter(({ verdict }) => verdict.kind === "missed" && verdict.read === hangs).length;
            const verdict =
                hung < mostHanging ? await tryOne(damage) : missed(`not tried, after ${mostHanging} that hang`);
            tries.push({ damage, verdict });
        }
    };
    await Promise.all(Array.from({ length: atOnce }, () => withTries(artefact, directory, worker)));
    for (const error of unhandled.splice(0)) {
        const damage: Damage = { member: "some damage", kind: "missing", at: 0 };
        tries.push({ damage, verdict: missed(`a rejection that nothing handles: ${String(error)}`) });
    }
    return { artefact: artefact.name, seconds: Math.round(performance.now() - began) / 1000, tries };
}

const output =
    values.output === undefined ? await mkdtemp(join(tmpdir(), "corruption-sweep-")) : resolve(values.output);
const source = await SourceDatabase.start();
try {
    const swept: Swept[] = [];
    for (const artefact of await artefacts(source)) {
        const done = await sweep(artefact, source.directory);
        swept.push(done);
        const { damages, notFound } = rowOf(done);
        say(`${artefact.name}: ${damages} damages, ${notFound.length} not found, ${done.seconds.toFixed(1)} s`);
    }
    await writeReport(output, swept);
    say(`\n${tableOf(swept)}\nwritten to ${output}`);
    process.exitCode = swept.some((each) => rowOf(each).notFound.length > 0) ? 1 : 0;
} finally {
    await source.stop();
}
