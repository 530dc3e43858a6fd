/** The directory of a target: made in one place for all steps, which may meet there at the same moment; and given up again. */
import { lstat, readdir, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { hasCode, shapeDirectory, unfitDirectory } from "../run/heldDirectory.ts";
import { until } from "../run/until.ts";
import { exchangeableBy } from "./exchangeable.ts";
import { databaseSuperuser, mayPass, readPasswd, userName, type ServiceUser } from "./serviceUser.ts";
import { recordUser, targetUser, targetUserName } from "./targetUser.ts";

/** There where the directory was made by us, and goes with its content. */
const madeName = ".target-made";

/** Everybody may pass through, to what they know the name of and may read; as we are nobody else's root, nobody but us. */
const passableMode = 0o711;
const privateMode = 0o700;
/** Between making a directory and giving it its mode, another step may see it. */
const patienceSeconds = 2;

export interface TargetDirectoryOptions {
    /** The name of the user that is configured. */
    readonly user?: string | undefined;
    /** Told what people should know. */
    readonly say?: (line: string) => void;
}

/**
 * Makes the directory, or takes one that is there, and records whom the target's servers run as. It is ours: nothing in it can be
 * exchanged by the user that the servers run as. Safe to repeat, and for many processes at once.
 *
 * @returns the user; undefined when we are not root
 * @throws MigrationError SM-E1206 when that user cannot reach it; SM-E1207 when that user could exchange it, or it belongs to somebody else;
 *     SM-E1208 when the configured user is not fit
 */
export async function makeTargetDirectory(
    directory: string,
    { user: wanted, say }: TargetDirectoryOptions = {},
): Promise<ServiceUser | undefined> {
    const user = await targetUser(directory, wanted);
    await requireReachable(directory, user);
    await makeParents(dirname(directory), user);
    const exchangeable = user === undefined ? undefined : await exchangeableBy(directory, user);
    if (exchangeable !== undefined) throw unfitDirectory(exchangeable.directory, exchangeable.reason);
    const isNew = await shapeDirectory(directory, {
        mode: user === undefined ? privateMode : passableMode,
        // A directory that is there may be one that everybody may look into.
        fits: (mode) => (mode & 0o022) === 0 && (user === undefined || (mode & 0o111) === 0o111),
        takenFrom: user === undefined ? [] : [user.uid],
    });
    // A kill in between leaves an empty directory in the end, which is nobody's harm.
    if (isNew) await writePrivateFile(join(directory, madeName), "");
    if (user !== undefined) await recordUser(directory, user);
    // Steps that meet here may have been configured differently only by hand; the record decides.
    const settled = await targetUser(directory);
    if (say !== undefined && settled !== undefined) for (const line of remarks(settled, wanted)) say(line);
    return settled;
}

/**
 * Gives up what {@link makeTargetDirectory} made, when nothing else is left in it.
 *
 * @param made  by us, as is known from elsewhere: an earlier version noted it in the records of its steps
 */
export async function releaseTargetDirectory(directory: string, made = false): Promise<void> {
    const names = await readdir(directory).catch(() => [""]);
    const isOurs = (name: string): boolean =>
        [madeName, targetUserName].some((ours) => name === ours || name.startsWith(`${ours}.`));
    if (!names.every(isOurs)) return;
    await removePrivateFile(join(directory, targetUserName));
    if (!made && !names.includes(madeName)) return;
    await removePrivateFile(join(directory, madeName));
    await rmdir(directory).catch((error: unknown) => {
        if (!hasCode(error, "ENOTEMPTY") && !hasCode(error, "ENOENT")) throw error;
    });
}

function remarks({ uid }: ServiceUser, wanted: string | undefined): string[] {
    const name = userName(readPasswd(), uid);
    return [
        ...(wanted === undefined || name === wanted
            ? []
            : [
                  `the target goes on as ${name ?? `user id ${uid}`}, whom its files belong to: \`target.user\` is for a new target`,
              ]),
        ...(name === databaseSuperuser
            ? [
                  `SM-W1209 the target's servers run as ${databaseSuperuser}, as an earlier version had it: superuser of every database server of this machine that trusts its name`,
              ]
            : []),
    ];
}

/** @throws MigrationError SM-E1206 */
async function requireReachable(directory: string, user: ServiceUser | undefined): Promise<void> {
    if (user === undefined) return;
    let refused: MigrationError | undefined;
    const reachable = await until(
        async () => {
            refused = await unreachable(directory, user);
            return refused === undefined || undefined;
        },
        { seconds: patienceSeconds, everyMilliseconds: 100 },
    );
    if (reachable !== true && refused !== undefined) throw refused;
}

/** Every directory on the way needs the execute bit for a user that is neither its owner nor in its group. */
async function unreachable(directory: string, user: ServiceUser): Promise<MigrationError | undefined> {
    for (let path = dirname(directory); ; path = dirname(path)) {
        const found = await stat(path).catch(() => undefined);
        if (found !== undefined && !mayPass(found, user)) {
            const { mode, uid, gid } = found;
            return new MigrationError("SM-E1206", {
                where: path,
                found: `mode 0${(mode & 0o777).toString(8)}, owner ${uid}, group ${gid}`,
                expected: `user ${user.uid}, whom the target's servers run as, may go through it to ${directory}`,
                fix: `choose another target directory, or \`chmod o+x ${path}\``,
            });
        }
        if (path === dirname(path)) return undefined;
    }
}

async function makeParents(directory: string, user: ServiceUser | undefined): Promise<void> {
    if ((await lstat(directory).catch(() => undefined)) !== undefined || directory === dirname(directory)) return;
    await makeParents(dirname(directory), user);
    await shapeDirectory(directory, { mode: user === undefined ? privateMode : passableMode });
}
