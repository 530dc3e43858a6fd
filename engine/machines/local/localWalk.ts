/**
 * The walk of {@link MachineFiles} over files of this machine.
 *
 * Entry for entry it waits for the disk itself, and not for a thread that does: of a store that is in memory, that thread's work would be a
 * fifth of the time. Others get their turn between two entries.
 */
import { lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { hasCode } from "../../run/heldDirectory.ts";
import type { FileFacts, WalkedEntry, WalkOptions } from "../machine.ts";
import { codeOf, factsOf, noFacts } from "./facts.ts";
import { nameOf, pathOf } from "./names.ts";

/** How long others wait for their turn. */
const turnMilliseconds = 5;

export async function* walkLocally(root: string, top: string, options: WalkOptions = {}): AsyncGenerator<WalkedEntry> {
    let since = performance.now();
    for (const entry of walk(root, top, options.enters)) {
        if (performance.now() - since > turnMilliseconds) {
            await setImmediate();
            since = performance.now();
        }
        options.signal?.throwIfAborted();
        yield entry;
    }
}

/** What is in one directory, or the top alone. */
interface Level {
    readonly paths: readonly string[];
    next: number;
    /** Of the directory, and of those above it. */
    readonly identities: readonly string[];
}

function* walk(root: string, top: string, enters: RegExp | undefined): Generator<WalkedEntry> {
    const entered = enters === undefined ? undefined : new RegExp(`^(?:${enters.source})$`);
    const levels: Level[] = [{ paths: [top], next: 0, identities: [] }];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
        const path = level.paths[level.next++];
        if (path === undefined) {
            levels.pop();
            continue;
        }
        const entry = entryAt(root, path);
        if (entry === undefined) continue;
        const { facts, error } = entry;
        const isTop = level.identities.length === 0;
        const isEntered = isTop || entered?.test(path.slice(path.lastIndexOf("/") + 1)) !== false;
        if (error !== undefined || facts.kind !== "directory" || !isEntered) {
            yield entry;
            continue;
        }
        if (level.identities.includes(facts.identity)) {
            yield { ...entry, error: "ELOOP" };
            continue;
        }
        const names = namesAt(root, path);
        if (names === undefined) continue;
        if (!Array.isArray(names)) {
            yield { ...entry, error: names.code };
            continue;
        }
        yield entry;
        levels.push({
            paths: path === "" ? names : names.map((name) => `${path}/${name}`),
            next: 0,
            identities: [...level.identities, facts.identity],
        });
    }
}

/** Undefined for what has vanished. */
function namesAt(root: string, path: string): string[] | { readonly code: string } | undefined {
    try {
        const names = readdirSync(pathOf(join(root, path)), { encoding: "buffer" });
        return names.sort((a, b) => Buffer.compare(a, b)).map(nameOf);
    } catch (error) {
        return hasCode(error, "ENOENT") ? undefined : { code: codeOf(error) };
    }
}

function entryAt(root: string, path: string): WalkedEntry | undefined {
    const place = pathOf(join(root, path));
    let own: FileFacts | undefined;
    try {
        own = factsOf(lstatSync(place, { bigint: true }));
        if (own.kind !== "link") return { path, facts: own };
        const linksTo = realpathSync.native(place, { encoding: "buffer" });
        return { path, facts: factsOf(statSync(linksTo, { bigint: true })), linksTo: nameOf(linksTo) };
    } catch (error) {
        const isGone = hasCode(error, "ENOENT") && (own === undefined || !isThere(place));
        return isGone ? undefined : { path, facts: own ?? noFacts, error: codeOf(error) };
    }
}

function isThere(place: string | Buffer): boolean {
    try {
        lstatSync(place);
        return true;
    } catch {
        return false;
    }
}
