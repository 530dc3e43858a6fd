/** Compares a target that has followed to the end with its manifest. Rows were compared while both sides were there. */
import type { Check } from "../../contract/shared.ts";
import { compareDefinitions, describeDifference, readDefinitions, readOwners } from "../catalogue.ts";
import { foreignOwners, outcome, type Comparison } from "../compareDatabase.ts";
import { withClient, type DatabaseAddress } from "../connection.ts";
import { describeMarker, readMarker } from "../marker.ts";
import { compareSequences, readSequences } from "../sequences.ts";
import { readDatabaseFacts } from "../serverFacts.ts";
import { sequenceFaults } from "../synapseSequences.ts";
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
            const { encoding, collate, ctype } = await readDatabaseFacts(client);
            const marker = await readMarker(client);
            const definitions = await readDefinitions(client);
            const sequences = await readSequences(client);
            const faults = (await sequenceFaults(client)).filter(({ state }) => state !== "unknown");
            const broken = faults.filter(({ breaks }) => breaks);
            const differences = compareDefinitions(manifest.definitions, definitions).map(describeDifference);
            const owners = await readOwners(client);
            return [
                outcome(
                    "database-marker",
                    marker?.run === manifest.run ? [] : [describeMarker(marker)],
                    describeMarker(marker),
                ),
                outcome(
                    "database-encoding",
                    encoding === "UTF8" && collate === "C" && ctype === "C"
                        ? []
                        : [`${encoding}, ${collate}, ${ctype}`],
                    "UTF8, C, C",
                ),
                outcome(
                    "database-sequences",
                    compareSequences(manifest.sequences, sequences),
                    `${sequences.length} sequences equal, is_called too`,
                ),
                {
                    ...outcome(
                        "database-sequence-positions",
                        (broken.length > 0 ? broken : faults).map(
                            ({ sequence, evidence }) => `${sequence} ${evidence}`,
                        ),
                        "no sequence is behind its columns or stream_positions",
                    ),
                    ...(broken.length === 0 && faults.length > 0 ? { state: "warning" as const } : {}),
                },
                outcome("database-definitions", differences, `${definitions.length} definitions equal`),
                outcome(
                    "database-owners",
                    foreignOwners(owners, owner),
                    `${owners.length} objects are owned by ${owner}`,
                ),
            ] satisfies Check[];
        },
    );
    const tables = (manifest.tables ?? []).map(({ schema, name, rows, hash }) => ({
        ...{ table: `${schema}.${name}`, sourceRows: rows, targetRows: rows, sourceHash: hash, targetHash: hash },
        ...{ equal: true, emptied: false },
    }));
    return { checks: [...checks, ...manifest.checks], tables };
}
