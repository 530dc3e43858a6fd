/** Who matrix-media-repo's importer is run as, and whether that one can do it. */
import { stat } from "node:fs/promises";
import type { MediaRepoTarget } from "../../../contract/index.ts";
import { namedUser } from "../../machines/namedUser.ts";
import { runProgram } from "../../machines/program.ts";
import type { ServiceUser } from "../../machines/serviceUser.ts";
import { MigrationError } from "../../run/errors.ts";

const testSeconds = 10;

/**
 * Undefined when we are not root, and so can be nobody else.
 *
 * @throws MigrationError SM-E0533 when it is not said, is nobody, or is root
 */
export async function importerUser({ user, config }: MediaRepoTarget): Promise<ServiceUser | undefined> {
    if (process.getuid?.() !== 0) return undefined;
    if (user === undefined) {
        const owner = await stat(config).catch(() => undefined);
        if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
        throw cannotRun("target.media.user", `nothing, and ${config} belongs to root or is not there`);
    }
    const found = await namedUser(user);
    if (found === undefined) throw cannotRun("target.media.user", `"${user}", which this machine does not know`);
    if (found.uid === 0) throw cannotRun("target.media.user", `"${user}", which is root`);
    return found;
}

/**
 * @param directories  of datastores: written to
 * @throws MigrationError SM-E0533 when it may not
 */
export async function requireUsable(
    { importer, config }: MediaRepoTarget,
    directories: readonly string[],
    user: ServiceUser | undefined,
): Promise<void> {
    const needs = [
        ["-x", importer, "run"],
        ["-r", config, "read"],
        ...directories.map((path) => ["-w", path, "write to"]),
    ] as const;
    for (const [flag = "", path = "", what = ""] of needs) {
        const options = { timeoutSeconds: testSeconds, workingDirectory: "/", ...(user === undefined ? {} : { user }) };
        const may = await runProgram("test", [flag, path], options).then(
            () => true,
            (error: unknown) => {
                if (error instanceof MigrationError && error.code === "SM-E1101") return false;
                throw error;
            },
        );
        if (may) continue;
        const who = user === undefined ? "who runs the migration" : `the user ${user.uid}`;
        throw cannotRun(path, `${who} cannot ${what} it, or it is not there`);
    }
}

function cannotRun(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0533", { where, found, expected: "the user that matrix-media-repo runs as" });
}
