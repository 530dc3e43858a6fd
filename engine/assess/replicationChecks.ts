/** Checks for a copy that follows the source: what both servers lack for it, and the way of the target's server to the source's. */
import type { Finding } from "../../contract/index.ts";
import { withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { isAtHome } from "../postgres/databaseAddress.ts";
import { sourceAddress } from "../postgres/databases/sourceDatabase.ts";
import { sourceReadiness } from "../postgres/replication/sourcePreflight.ts";
import { subscriptionRefusal, upstreamOf } from "../postgres/replication/subscription.ts";
import { targetProblems } from "../postgres/replication/targetPreflight.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck, AssessmentContext } from "./check.ts";
import { documentedFindings } from "./conclusion.ts";
import { onTargetServer, orFinding } from "./targetChecks.ts";

/** What following the source needs: also that a slot is free, which is not the case any more once it is followed. */
export const replicationChecks: readonly AssessmentCheck[] = [
    {
        id: "replication-source",
        cost: "cheap",
        async run({ client, spec: { copy, source } }) {
            if (copy?.mode !== "replicate") return [];
            try {
                const address = await sourceAddress(source);
                const { problems, findings } = await sourceReadiness(client, address);
                return [
                    ...problems.flatMap(documentedFindings),
                    ...findings,
                    ...unknownPlace(address, copy.replication),
                ];
            } catch (error) {
                return documentedFindings(error);
            }
        },
    },
    {
        // Behind a firewall, or kept out by pg_hba.conf, it would first be met when the copy begins.
        id: "replication-way",
        cost: "thorough",
        async run({ spec: { copy, source, targetServer } }) {
            if (copy?.mode !== "replicate") return [];
            const address = await sourceAddress(source);
            // Where nothing is said, the other check asks for it.
            if (unknownPlace(address, copy.replication).length > 0) return "not-run";
            return wayToSource(address, copy.replication, targetServer);
        },
    },
    {
        // A server of our own has all of it.
        id: "replication-target",
        cost: "cheap",
        async run({ spec: { copy, targetServer } }) {
            if (copy?.mode !== "replicate" || targetServer?.kind !== "existing") return [];
            const { host, port, admin } = targetServer;
            return orFinding("SM-E0522", () =>
                onTargetServer(targetServer, async (client) =>
                    (await targetProblems(client, admin, `${host}:${port}`)).flatMap(documentedFindings),
                ),
            );
        },
    },
];

type Place = { readonly host: string; readonly port: number } | undefined;

/** SM-E1304 where the source's address means something else on the target's machine, or lets us in alone, and nobody has said what it is there. */
function unknownPlace(address: DatabaseAddress, replication: Place): Finding[] {
    const { machine, host, via, user } = address;
    if (replication !== undefined || !isAtHome(address)) return [];
    const fix =
        "set `replicationAddress` to the host:port at which the target's server finds it, and let that be reached: listen_addresses, pg_hba.conf, firewall";
    if (via?.user !== undefined) {
        const found = `${host} lets role "${user}" in as system user ${via.user} alone, who is not the user of the target's server`;
        return [
            finding("SM-E1304", found, `${fix}; give the role a password, in the file source.database.passwordFile`),
        ];
    }
    return machine === undefined
        ? []
        : [finding("SM-E1304", `${host} is the source's server on ${machine} alone`, fix)];
}

/** Asks from where the target's server is: by itself where it is there, else from this machine, where it will be. */
async function wayToSource(
    address: DatabaseAddress,
    replication: Place,
    server: AssessmentContext["spec"]["targetServer"],
): Promise<Finding[]> {
    const upstream = upstreamOf(address, replication);
    const where = `${upstream.host}:${upstream.port}`;
    if (server?.kind !== "existing") {
        const place = replication === undefined ? address : { ...address, ...replication, via: undefined };
        return orFinding("SM-E1304", () =>
            withClient(place, { step: "assess", readOnly: true }, () => Promise.resolve([])),
        );
    }
    return orFinding("SM-E0522", () =>
        onTargetServer(server, async (client) => {
            // Nothing stays of it: the transaction is rolled back.
            await client.query("SET default_transaction_read_only = off");
            const refusal = await subscriptionRefusal(client, "synapse_migration_way", upstream);
            return refusal === undefined ? [] : [finding("SM-E1304", `${where}: ${refusal}`)];
        }),
    );
}
