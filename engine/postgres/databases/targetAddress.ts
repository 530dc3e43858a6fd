/** Addresses of the target's databases, for Synapse's role and for the role that may create and rename databases. */
import type { TargetDatabase } from "../../../contract/targetDatabase.ts";
import { MigrationError } from "../../run/errors.ts";
import type { DatabaseAddress } from "../connection.ts";
import { readPassword } from "../server/passwordFile.ts";
import { adminOf, maintenanceDatabase } from "./installedAdmin.ts";
import { sourceAddress } from "./sourceDatabase.ts";

/** PostgreSQL cuts longer names without an error (NAMEDATALEN, manual 4.1.1). */
const longestName = 63;

/** As Synapse's role. */
export async function ownerAddress(target: TargetDatabase, name: string): Promise<DatabaseAddress> {
    if (target.installed !== undefined) return { ...(await sourceAddress(target.installed.deployment)), name };
    const { host, port, owner } = target;
    return { host, port, name, user: owner, password: await passwordIn(target.ownerPasswordFile) };
}

/** As the role that may create, rename and drop databases. */
export async function adminAddress(target: TargetDatabase, name = maintenanceDatabase): Promise<DatabaseAddress> {
    if (target.installed !== undefined) return adminOf(target.installed, name);
    const { host, port, admin } = target;
    return { host, port, name, user: admin, password: await passwordIn(target.adminPasswordFile) };
}

/** All but installed ones have one. */
async function passwordIn(file: string | undefined): Promise<string> {
    if (file === undefined) throw new Error("a target that is made here has no password file");
    return readPassword(file);
}

/** The database a run restores into, before the swap. */
export function incomingName(name: string, runId: string): string {
    return checkedName(`${name}_incoming_${runId}`);
}

/** What the swap makes of the database that had the target's name before. */
export function previousName(name: string, runId: string): string {
    return checkedName(`${name}_pre_${runId}`);
}

/** The database that the copy of a replaced one is restored into, to see that it can be. */
export function scratchName(name: string, runId: string): string {
    return checkedName(`${name}_safecheck_${runId}`);
}

/** The database that the source's definitions are tried in while the source serves. */
export function trialName(runId: string): string {
    return checkedName(`synapse_trial_${runId}`);
}

/**
 * @throws MigrationError SM-E0805 for the names of PostgreSQL's own databases (B16) and for names it would cut
 */
export function checkedName(name: string): string {
    const found = ["postgres", "template0", "template1"].includes(name)
        ? `"${name}", which PostgreSQL keeps for itself`
        : name === "" || Buffer.byteLength(name) > longestName
          ? `"${name}", ${Buffer.byteLength(name)} bytes`
          : undefined;
    if (found === undefined) return name;
    throw new MigrationError("SM-E0805", {
        where: "the target's database name",
        found,
        expected: `a name of at most ${longestName} bytes, with what the run adds to it`,
    });
}
