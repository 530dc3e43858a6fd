/** Synapse's role on the target server. */
import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { escapeIdentifier, escapeLiteral } from "pg";
import { z } from "zod";
import { writePrivateFile } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import { query, queryOne, withClient, type Client, type DatabaseAddress } from "../connection.ts";
import { readPassword } from "./passwordFile.ts";
import { scramVerifier } from "./scramVerifier.ts";

export interface OwnerRole {
    readonly role: string;
    /** Made with a random password when it is absent; kept when it is there. Mode 0600. */
    readonly passwordFile: string;
    /** The server is ours: the role gets the password of the file, whatever it was. */
    readonly managed: boolean;
}

export async function roleExists(client: Client, role: string): Promise<boolean> {
    return (
        (
            await query(client, z.object({ found: z.number() }), "SELECT 1 AS found FROM pg_roles WHERE rolname = $1", [
                role,
            ])
        ).length > 0
    );
}

/** A password for a role: from the file, which is made with a random one when it is not there. */
export async function keptPassword(passwordFile: string): Promise<string> {
    const present = await stat(passwordFile).then(
        () => true,
        () => false,
    );
    if (!present) await writePrivateFile(passwordFile, `${randomBytes(24).toString("base64url")}\n`);
    return readPassword(passwordFile);
}

/**
 * Makes Synapse's role, without any privilege but to log in, and makes sure that its password is the one of the file.
 *
 * @param client  a session of a role that may create roles
 * @throws MigrationError SM-E0509 when the role exists on a server of others and its password is not in the file; SM-E1004 when it is a
 *     wrong one
 */
export async function ensureOwnerRole(client: Client, maintenance: DatabaseAddress, owner: OwnerRole): Promise<void> {
    const { role, passwordFile, managed } = owner;
    const exists = await roleExists(client, role);
    if (exists && !managed) {
        const password = await readPassword(passwordFile).catch((cause: unknown) => {
            throw new MigrationError("SM-E0509", {
                where: `role "${role}" at ${maintenance.host}:${maintenance.port}`,
                found: `the role, and no usable password in ${passwordFile}`,
                expected: `its password in ${passwordFile}, mode 0600`,
                cause,
            });
        });
        await withClient({ ...maintenance, user: role, password }, { step: "database" }, () => Promise.resolve());
    } else {
        const verifier = escapeLiteral(scramVerifier(await keptPassword(passwordFile)));
        await client.query(`${exists ? "ALTER" : "CREATE"} ROLE ${escapeIdentifier(role)} LOGIN PASSWORD ${verifier}`);
    }
    const { member } = await queryOne(
        client,
        z.object({ member: z.boolean() }),
        "SELECT pg_has_role(current_user, $1, 'USAGE') AS member",
        [role],
    );
    // Only who is a member of a role may give databases to it and rename them.
    if (!member) await client.query(`GRANT ${escapeIdentifier(role)} TO CURRENT_USER`);
}
