/** Who loads what comes from elsewhere into a database: never a superuser, for whom a dump would run as whatever it likes. */
import { randomBytes } from "node:crypto";
import { escapeIdentifier, escapeLiteral } from "pg";
import { z } from "zod";
import type { TargetDatabase } from "../../../contract/targetDatabase.ts";
import { registerSecret } from "../../run/redaction.ts";
import { queryOne, withClient, type Client, type ConnectionOptions, type DatabaseAddress } from "../connection.ts";
import { scramVerifier } from "../server/scramVerifier.ts";
import { adminAddress, ownerAddress } from "./targetAddress.ts";

export interface Loader {
    readonly address: DatabaseAddress;
    /** Who is to own the database that is made for it. */
    readonly role: string;
    /** What it has made becomes the owner's, once all of it is there. */
    readonly handOver: () => Promise<void>;
}

/**
 * Synapse's role; where that is a superuser, as PostgreSQL's official image makes it, a role of ours with the name of the database, for as long
 * as it takes. What a kill leaves of it is gone with the database ({@link dropLoader}).
 *
 * @param name  of a database that is a run's own
 */
export async function loaderOf(target: TargetDatabase, name: string, options: ConnectionOptions): Promise<Loader> {
    const owner = await ownerAddress(target, name);
    const asOwner = { address: owner, role: target.owner, handOver: () => Promise.resolve() };
    // Of a server that was made here, or is given by its roles, it is none.
    if (target.installed === undefined) return asOwner;
    // By whoever drops it: an administrator who may not is told before anything is stopped.
    return withClient(await adminAddress(target), options, async (client) => {
        if (!(await isSuperuser(client, target.owner))) return asOwner;
        const password = randomBytes(24).toString("hex");
        registerSecret(password);
        const verb = (await hasRole(client, name)) ? "ALTER" : "CREATE";
        await client.query(
            `${verb} ROLE ${escapeIdentifier(name)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
            PASSWORD ${escapeLiteral(scramVerifier(password))}`,
        );
        return {
            address: { ...owner, user: name, password },
            role: name,
            handOver: () =>
                withClient(owner, options, async (superuser) => {
                    const role = escapeIdentifier(name);
                    await superuser.query("BEGIN");
                    await superuser.query(`REASSIGN OWNED BY ${role} TO ${escapeIdentifier(target.owner)}`);
                    await superuser.query(`DROP OWNED BY ${role}`);
                    await superuser.query(`DROP ROLE ${role}`);
                    await superuser.query("COMMIT");
                }),
        };
    });
}

/** After its database was dropped; nothing where it never was. @param client  of an administrator */
export async function dropLoader(client: Client, name: string): Promise<void> {
    if (await hasRole(client, name)) await client.query(`DROP ROLE ${escapeIdentifier(name)}`);
}

const answer = z.object({ yes: z.boolean() });

async function isSuperuser(client: Client, name: string): Promise<boolean> {
    const sql = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND rolsuper) AS yes";
    return (await queryOne(client, answer, sql, [name])).yes;
}

async function hasRole(client: Client, name: string): Promise<boolean> {
    const sql = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS yes";
    return (await queryOne(client, answer, sql, [name])).yes;
}
