/** Passwords of database roles: read from files of mode 0600, and given to PostgreSQL's programs in one. */
import { join } from "node:path";
import { removePrivateFile, writePrivateFile } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import { registerSecret } from "../../run/redaction.ts";
import { readOwnSecret } from "../../synapse/secrets/readSecretFile.ts";
import type { DatabaseAddress } from "../connection.ts";

/**
 * Reads a password; a final line end does not count.
 *
 * @throws MigrationError SM-E1003 when the file is missing, a link, empty, too large, or others may read it
 */
export async function readPassword(path: string): Promise<string> {
    const password = (await readOwnSecret(path, "the password of a database role")).replace(/\r?\n$/, "");
    if (/[\0\r\n]/.test(password))
        throw new MigrationError("SM-E1003", { where: path, found: "more than one line", expected: "a password" });
    registerSecret(password);
    return password;
}

/**
 * Runs the work with a password file for `PGPASSFILE` (PostgreSQL manual 34.16), which is removed afterwards.
 * Its name is the step's, so that what a kill leaves is overwritten by the next attempt.
 *
 * @param directory  the run directory, mode 0700
 */
export async function withPasswordFile<T>(
    directory: string,
    step: string,
    { user, password }: DatabaseAddress,
    work: (path: string) => Promise<T>,
): Promise<T> {
    const path = join(directory, `pgpass-${step}`);
    await writePrivateFile(path, `*:*:*:${escapeField(user)}:${escapeField(password ?? "")}\n`);
    try {
        return await work(path);
    } finally {
        await removePrivateFile(path);
    }
}

/**
 * The password that libpq finds in a password file: of the first line whose fields are those of the address, or `*`.
 *
 * @returns undefined where no line is for this address; libpq then goes on without one
 */
export function passwordIn(text: string, { host, port, name, user }: DatabaseAddress): string | undefined {
    // libpq calls a server on a socket "localhost" where the directory is the one that it was built for, and takes the directory too.
    const hosts = host.startsWith("/") ? [host, "localhost"] : [host];
    for (const line of text.split(/\r?\n/)) {
        if (line.startsWith("#")) continue;
        const fields = [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map(([, field = ""]) =>
            field.replace(/\\(.)/g, "$1"),
        );
        const [forHost, forPort, forName, forUser, password] = fields;
        const fits = (field: string | undefined, values: readonly string[]): boolean =>
            field === "*" || values.some((value) => value === field);
        if (!(fits(forHost, hosts) && fits(forPort, [String(port)]) && fits(forName, [name]) && fits(forUser, [user])))
            continue;
        if (password !== undefined && password !== "") registerSecret(password);
        return password;
    }
    return undefined;
}

function escapeField(text: string): string {
    return text.replace(/[\\:]/g, "\\$&");
}
