/** The databases of a replication, as the specification of a step names them, and the password that the target's server uses. */
import { dirname, join } from "node:path";
import { removePrivateFile, writePrivateFile } from "../../run/atomicFile.ts";
import { targetUser } from "../../machines/targetUser.ts";
import type { TargetDatabase } from "../../../contract/targetDatabase.ts";
import type { ReplicationAddress } from "../../../contract/replicate.ts";
import type { SelfHostedSource } from "../../../contract/source.ts";
import { registerSecret } from "../../run/redaction.ts";
import type { StepRun } from "../../run/step.ts";
import type { DatabaseAddress } from "../connection.ts";
import { sourceAddress } from "../databases/sourceDatabase.ts";
import { adminAddress, checkedName, incomingName, ownerAddress } from "../databases/targetAddress.ts";
import { replicationName } from "./names.ts";
import type { Replication } from "./sides.ts";

export interface ReplicationSpec {
    readonly source: SelfHostedSource;
    readonly database: TargetDatabase;
    readonly replication?: ReplicationAddress | undefined;
}

/** @param serverDirectory  of the target's server, where that is our own */
export async function replicationOf(
    { source, database, replication }: ReplicationSpec,
    step: string,
    run: StepRun,
    serverDirectory?: string,
): Promise<Replication & { readonly incoming: string }> {
    const incoming = incomingName(checkedName(database.name), run.id);
    const from = await sourceAddress(source);
    if (from.password !== undefined) registerSecret(from.password);
    return {
        ...{ run, step, incoming, source: from, seenFromTarget: replication },
        target: await adminAddress(database, incoming),
        owner: await ownerAddress(database, incoming),
        passwordFile: serverDirectory === undefined ? undefined : passwordFileOf(serverDirectory, run.id),
    };
}

const passwordFileOf = (serverDirectory: string, run: string): string =>
    join(serverDirectory, `${replicationName(run)}.pgpass`);

/** For `passfile` of libpq (PostgreSQL manual 34.16), owned by the user that the server runs as. */
export async function writeServerPassword(path: string, { user, password = "" }: DatabaseAddress): Promise<void> {
    const escaped = (text: string): string => text.replace(/[\\:]/g, "\\$&");
    const owner = await targetUser(dirname(dirname(path)));
    await writePrivateFile(path, `*:*:*:${escaped(user)}:${escaped(password)}\n`, owner === undefined ? {} : { owner });
}

export async function removeServerPassword(path: string): Promise<void> {
    await removePrivateFile(path);
}
