/** Checks of the clocks: a move sets what one machine has dated beside what another one will date. (B51) */
import type { z } from "zod";
import type { assessContract, Finding } from "../../contract/index.ts";
import type { Machine } from "../machines/machine.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import type { Client } from "../postgres/connection.ts";
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
/** For a program that does nothing but say the time. */
const answerSeconds = 30;

const sourceServer = "the source's PostgreSQL server";

export const targetClockId = "target-clock";
export const sourceClockId = "source-clock";

export const clockChecks: readonly AssessmentCheck[] = [
    {
        id: sourceClockId,
        cost: "cheap",
        run: ({ spec, client }) => sourceClock(sourceMachine(spec.source), client),
    },
    {
        id: targetClockId,
        cost: "cheap",
        // The server that a bundle is restored to is the receiver's.
        run: ({ spec: { bundle, targetServer } }) =>
            bundle === undefined ? targetClock(targetServer) : Promise.resolve([]),
    },
];

/**
 * Of the homeserver's machine, where that is another one, and of its database's server. A clock that both go by is told of once.
 *
 * @param client  absent for a database that is a file
 */
export async function sourceClock(machine: Machine, client?: Client): Promise<Finding[]> {
    const ofServer = client === undefined ? undefined : await clockSkew(() => serverClock(client));
    const ofMachine = machine.isHere ? undefined : await machineClock(machine);
    if (ofServer === undefined) return ofMachine === undefined ? [] : skewFindings(machine.name, ofMachine);
    if (ofMachine === undefined) return skewFindings(sourceServer, ofServer);
    const apart = Math.abs(ofMachine.seconds - ofServer.seconds) - ofMachine.uncertainty - ofServer.uncertainty;
    // What the server says is the more exact of the two.
    if (apart <= 0) return skewFindings(`${sourceServer} on ${machine.name}`, ofServer);
    return [...skewFindings(machine.name, ofMachine), ...skewFindings(sourceServer, ofServer)];
}

/** It says whole seconds, and is taken to be in the middle of one. */
async function machineClock(machine: Machine): Promise<ClockSkew> {
    const { seconds, uncertainty } = await clockSkew(async () => {
        const { stdout } = await machine.run("date", ["+%s"], { timeoutSeconds: answerSeconds });
        return Number(stdout.trim()) + 0.5;
    });
    return { seconds, uncertainty: uncertainty + 0.5 };
}

/** A server of its own runs on this machine. That another one cannot be asked says the check of its version. */
export async function targetClock(server: TargetServer): Promise<Finding[] | "not-run"> {
    if (server === undefined) return "not-run";
    if (server.kind === "managed") return [];
    try {
        const skew = await onTargetServer(server, (client) => clockSkew(() => serverClock(client)));
        return skewFindings("the target's PostgreSQL server", skew);
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        return "not-run";
    }
}

/**
 * @param whose  `root@old.example.org`
 * @returns SM-E1204 or SM-W1204; nothing of a difference that may as well be the network's
 */
export function skewFindings(whose: string, { seconds, uncertainty }: ClockSkew): Finding[] {
    const certain = Math.abs(seconds) - uncertainty;
    if (certain <= worthSaying) return [];
    const way = `${Math.abs(seconds).toFixed(1)} s ${seconds > 0 ? "ahead of" : "behind"}`;
    const evidence = `the clock of ${whose} is ${way} this machine's, to within ${uncertainty.toFixed(1)} s`;
    return [finding(certain > blocking ? "SM-E1204" : "SM-W1204", evidence)];
}
