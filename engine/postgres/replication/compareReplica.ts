/** Compares a target that has followed to the end with its manifest. Rows were compared while both sides were there. */
import type { Comparison } from "../compare/compareDatabase.ts";
import { withClient, type DatabaseAddress } from "../connection.ts";
import { stateChecks } from "../compare/stateChecks.ts";
import type { ReplicaManifest } from "./replicaManifest.ts";

/**
 * Takes the same time at any size. Changes nothing.
 *
 * @param owner  Synapse's role, which must own everything
 */
export async function compareReplica(
    address: DatabaseAddress,
    manifest: ReplicaManifest,
    owner: string,
): Promise<Comparison> {
    const checks = await withClient(
        address,
        { step: "verify", readOnly: true, statementSeconds: 0 },
        async (client) => {
            const { run, sequences, definitions } = manifest;
            return Object.values(await stateChecks(client, { run, sequences, definitions, owner }));
        },
    );
    const tables = (manifest.tables ?? []).map(({ schema, name, rows, hash }) => ({
        ...{ table: `${schema}.${name}`, sourceRows: rows, targetRows: rows, sourceHash: hash, targetHash: hash },
        ...{ equal: true, emptied: false },
    }));
    return { checks: [...checks, ...manifest.checks], tables };
}
