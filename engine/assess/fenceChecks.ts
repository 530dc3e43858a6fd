/** Checks of what only the fence would meet, with the source stopped already: found while there is time, and no downtime. */
import type { Finding, SelfHostedSource } from "../../contract/index.ts";
import {
    exemptRoles,
    heldListeners,
    missingRights,
    preparedTransactions,
    sessionObstacles,
    standby,
    type Obstacle,
} from "../fence/obstacles.ts";
import { unnamedHomeserver } from "../fence/unnamedHomeserver.ts";
import { unstoppable } from "../fence/unstoppable.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck, AssessmentContext } from "./check.ts";

/** A preview has no time for more; what comes and goes is looked at again by the fence. */
const sessionSeconds = 1;

/** What may be gone by the time of the fence does not stand in the way of preparing the move. */
const passing: Partial<Record<ErrorCode, ErrorCode>> = { "SM-E0720": "SM-W0720", "SM-E0721": "SM-W0721" };

const looks: Readonly<Record<string, (context: AssessmentContext) => Promise<Obstacle[]>>> = {
    "fence-service": ({ spec }) => serviceObstacles(spec.source),
    "fence-sessions": ({ client, spec }) => sessionObstacles(client, spec.source, { seconds: sessionSeconds }),
    "fence-prepared-transactions": ({ client }) => preparedTransactions(client),
    "fence-standby": ({ client }) => standby(client),
    "fence-rights": ({ client }) => missingRights(client),
    "fence-read-only": ({ client }) => exemptRoles(client),
    "fence-listeners": ({ spec }) => heldListeners(spec.source),
};

export const fenceChecks: readonly AssessmentCheck[] = Object.entries(looks).map(([id, look]) => ({
    id,
    cost: "cheap",
    async run(context) {
        // A rehearsal takes a snapshot of a source that goes on.
        if (context.spec.rehearsal === true) return [];
        return (await look(context)).map(asFinding);
    },
}));

/** Whether what is to be stopped is found, and can be. */
export async function serviceObstacles(source: SelfHostedSource): Promise<Obstacle[]> {
    return [...(await unnamedHomeserver(source)), ...(await unstoppable(source))];
}

export function asFinding({ code, found, fix }: Obstacle): Finding {
    return finding(passing[code] ?? code, found.replaceAll("\n", "; "), fix);
}
