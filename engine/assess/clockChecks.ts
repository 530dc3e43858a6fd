/** Checks of the clocks: a move sets what one machine has dated beside what another one will date. (B51) */
import type { z } from "zod";
import type { assessContract, Finding } from "../../contract/index.ts";
import { clockSkew, serverClock, type ClockSkew } from "../postgres/server/clockSkew.ts";
import { MigrationError } from "../run/errors.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck } from "./check.ts";
import { onTargetServer } from "./targetChecks.ts";

type TargetServer = z.infer<typeof assessContract.spec>["targetServer"];

/** Seconds. Less is what machines have that nobody keeps in time. */
const worthSaying = 5;
/** Seconds. More is a clock that was never set, and no drift. */
const blocking = 60;

export const targetClockId = "target-clock";

export const clockChecks: readonly AssessmentCheck[] = [
    {
        id: "source-clock",
        cost: "cheap",
        run: async ({ client }) => skewFindings("source", await clockSkew(() => serverClock(client))),
    },
    {
        id: targetClockId,
        cost: "cheap",
        // The server that a bundle is restored to is the receiver's.
        run: ({ spec: { bundle, targetServer } }) =>
            bundle === undefined ? targetClock(targetServer) : Promise.resolve([]),
    },
];

/** A server of its own runs on this machine. That another one cannot be asked says the check of its version. */
export async function targetClock(server: TargetServer): Promise<Finding[] | "not-run"> {
    if (server === undefined) return "not-run";
    if (server.kind === "managed") return [];
    try {
        const skew = await onTargetServer(server, (client) => clockSkew(() => serverClock(client)));
        return skewFindings("target", skew);
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        return "not-run";
    }
}

/** @returns SM-E1204 or SM-W1204; nothing of a difference that may as well be the network's */
export function skewFindings(whose: "source" | "target", { seconds, uncertainty }: ClockSkew): Finding[] {
    const certain = Math.abs(seconds) - uncertainty;
    if (certain <= worthSaying) return [];
    const way = `${Math.abs(seconds).toFixed(1)} s ${seconds > 0 ? "ahead of" : "behind"}`;
    const evidence = `the clock of the ${whose}'s PostgreSQL server is ${way} this machine's, to within ${uncertainty.toFixed(1)} s`;
    return [finding(certain > blocking ? "SM-E1204" : "SM-W1204", evidence)];
}
