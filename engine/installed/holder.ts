/** Which run of a stack works on the installed homeserver, and where all of its runs keep what was there before any of them. */
import { dirname, join } from "node:path";
import { readdir, rm } from "node:fs/promises";
import { z } from "zod";
import type { RunReference } from "../../contract/shared.ts";
import { makePrivateDirectory, writePrivateFile } from "../run/atomicFile.ts";
import { exists } from "../run/exists.ts";
import { parseJson } from "../run/parseJson.ts";
import { readTrusted } from "../run/trustedFile.ts";

const holder = z.strictObject({ run: z.string() });
/**
 * `media`: what was sent while it still ran, from phase `stage` on. `service`: that it is stopped, and all that is changed while it is; a newer run
 * that has only staged leaves that to the older one, which takes it back.
 */
export type Part = "media" | "service";
const holderName = (part: Part): string => `holder-${part}.json`;
const holderNames: readonly string[] = [holderName("media"), holderName("service")];

const recordsName = ".installed";

/** Beside the directories of the runs: to a newer run, what an older one has written would look like the installer's. No run has such an id. */
const directoryOf = ({ directory }: RunReference): string => join(dirname(directory), recordsName);

/** The assessment's, whose run may not have begun. */
interface IdentifiedLater {
    readonly id?: string | undefined;
    readonly directory: string;
}

/** Whether any run has sent media there, or begun to. @param run  without an id, its directory is the one that all are kept in */
export function isPlaced({ id, directory }: IdentifiedLater): Promise<boolean> {
    const runs = id === undefined ? directory : dirname(directory);
    return exists(join(runs, recordsName, holderName("media")));
}

/** Makes the run the one that works on it. @returns the directory of the records */
export async function claimInstalled(run: RunReference, part: Part): Promise<string> {
    const directory = directoryOf(run);
    await makePrivateDirectory(directory);
    await writePrivateFile(join(directory, holderName(part)), `${JSON.stringify({ run: run.id })}\n`);
    return directory;
}

/**
 * Pulumi undoes the steps of an older run once those of a newer one are done: what they would take back is the newer one's by then.
 *
 * @returns the directory of the records; undefined where another run works on it, or none
 */
export async function heldInstalled(run: RunReference, part: Part): Promise<string | undefined> {
    const directory = directoryOf(run);
    const text = await readTrusted(join(directory, holderName(part)));
    const found = text === undefined ? undefined : holder.parse(parseJson(text));
    return found?.run === run.id ? directory : undefined;
}

/** As {@link heldInstalled}, of a step that comes after the one that claims it. @throws Error where the order of the steps was not kept */
export async function requireHeld(run: RunReference): Promise<string> {
    const directory = await heldInstalled(run, "service");
    if (directory === undefined) throw new Error(anothers);
    return directory;
}

/** Gives it up, once nothing is recorded any more. */
export async function releaseInstalled(directory: string): Promise<void> {
    const names = await readdir(directory);
    if (names.every((name) => holderNames.includes(name))) await forgetInstalled(directory);
}

/** What was there before is needed no more: it holds the installer's own secrets. */
export const forgetInstalled = (directory: string): Promise<void> => rm(directory, { recursive: true, force: true });

export const anothers = "a newer run works on the installed homeserver, or none does: it stays as it is";
