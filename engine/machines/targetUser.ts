/** Whom a target's servers run as: kept in the target, so that it stays the same whatever is configured or installed later. */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writePrivateFile } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { parseJson } from "../run/parseJson.ts";
import { readTrusted } from "../run/trustedFile.ts";
import { chooseServiceUser, readPasswd, userName, type ServiceUser } from "./serviceUser.ts";

const recordShape = z.strictObject({
    user: z.strictObject({ uid: z.number().int(), gid: z.number().int() }),
});

export const targetUserName = ".target-user.json";

/** Undefined when there is none yet, or none is needed. */
async function recordedUser(directory: string): Promise<ServiceUser | undefined> {
    const text = await readTrusted(join(directory, targetUserName));
    return text === undefined ? undefined : recordShape.parse(parseJson(text)).user;
}

/** Steps that meet here have chosen the same user, from the same configuration; the first record stays. */
export async function recordUser(directory: string, user: ServiceUser): Promise<void> {
    if ((await recordedUser(directory)) !== undefined) return;
    await writePrivateFile(join(directory, targetUserName), `${JSON.stringify({ user })}\n`);
}

/**
 * The user of the target in this directory: the recorded one; the one whom an earlier version gave the target's files to; else the
 * configured one, or the default. Undefined when we are not root. Changes nothing.
 *
 * @param wanted  the name that is configured
 * @throws MigrationError SM-E1208 when the configured one is not fit
 */
export async function targetUser(directory: string, wanted?: string): Promise<ServiceUser | undefined> {
    if (process.geteuid?.() !== 0) {
        if (wanted !== undefined) requireOurselves(wanted);
        return undefined;
    }
    const kept = (await recordedUser(directory)) ?? (await earlierUser(directory));
    if (kept !== undefined) return kept;
    const { uid, gid } = chooseServiceUser(readPasswd(), wanted);
    return { uid, gid };
}

function requireOurselves(wanted: string): void {
    const own = process.geteuid?.() ?? -1;
    const name = userName(readPasswd(), own);
    if (name === wanted) return;
    throw new MigrationError("SM-E1208", {
        where: `target.user: ${wanted}`,
        found: `this program runs as ${name ?? `user id ${own}`}, and only root can start servers as somebody else`,
        expected: "the user that this program runs as, or none",
        fix: "remove `target.user`, or run `pulumi up` as root",
    });
}

/** What version 0.1.0 gave to its service user, and the record beside it that tells that it was ours. */
const traces = [
    ["", ".secrets.files.json"],
    ["", ".configure.files.json"],
    ["postgres/data", "postgres/synapse-migration.json"],
    ["media_store", "media_store/.synapse-migration.json"],
    ["gateway", "gateway/gateway.json"],
] as const;

async function earlierUser(directory: string): Promise<ServiceUser | undefined> {
    for (const [place, record] of traces) {
        const [given, proof] = await Promise.all(
            [place, record].map((path) => lstat(join(directory, path)).catch(() => undefined)),
        );
        if (given?.isDirectory() === true && given.uid !== 0 && proof?.isFile() === true && proof.uid === 0)
            return { uid: given.uid, gid: given.gid };
    }
    return undefined;
}
