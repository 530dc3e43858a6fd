/** Whether people use the homeserver that is to be moved into: then it is none to be moved into. */
import { z } from "zod";
import type { Finding, SelfHostedSource } from "../../contract/index.ts";
import { query, withClient } from "../postgres/connection.ts";
import { readMarker } from "../postgres/databases/marker.ts";
import { sourceAddress } from "../postgres/databases/sourceDatabase.ts";
import { MigrationError } from "../run/errors.ts";
import { finding } from "../run/finding.ts";

const millisecondsOfLately = 3_600_000;

/** @throws MigrationError SM-E1606 */
export async function refuseUsed(deployment: SelfHostedSource): Promise<void> {
    const count = await eventsLately(deployment);
    if (count === 0) return;
    throw new MigrationError("SM-E1606", {
        where: deployment.serverName,
        found: inWords(count),
        expected: "a homeserver that nobody has written to for an hour",
        changed: "nothing: it was not stopped",
    });
}

export async function usedLately(deployment: SelfHostedSource): Promise<Finding[]> {
    const count = await eventsLately(deployment);
    return count === 0 ? [] : [finding("SM-E1606", inWords(count))];
}

const inWords = (count: number): string => `${count} events of its own users within the last hour`;

/** Events that its own users have sent within an hour; none where what is there is what a run of ours has put there. */
async function eventsLately(deployment: SelfHostedSource): Promise<number> {
    const address = await sourceAddress(deployment);
    return withClient(address, { step: "assess", readOnly: true }, async (client) => {
        if ((await readMarker(client)) !== undefined) return 0;
        const [there] = await query(
            client,
            z.object({ table: z.string().nullable() }),
            "SELECT to_regclass('public.events')::text AS table",
        );
        if (there?.table == null) return 0;
        const [sent] = await query(
            client,
            z.object({ count: z.number() }),
            `SELECT count(*)::int AS count FROM public.events
            WHERE sender LIKE '%:' || $1 AND received_ts > extract(epoch FROM now()) * 1000 - $2`,
            [deployment.serverName.replace(/[\\%_]/g, "\\$&"), millisecondsOfLately],
        );
        return sent?.count ?? 0;
    });
}
