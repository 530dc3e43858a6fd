/** Whether the keys that a homeserver has retired can be what its configuration says. A move carries them as they are. */
import type { Finding } from "../../contract/index.ts";
import { finding } from "../run/finding.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { SigningKey } from "../synapse/secrets/signingKey.ts";

/** Milliseconds. Nothing was signed before Matrix was announced; a time in seconds lies in January 1970. */
const firstMatrix = Date.UTC(2014, 8, 1);

/**
 * Other servers take an event for genuine when its key had not expired at the event's time, so a wrong time disowns history, or lets a key
 * that was given up sign on; and a key that is listed as old has expired, whatever else is said of it.
 *
 * @param now  milliseconds
 * @returns SM-E0550 for a key that still signs, SM-W0551 for a time that cannot be right
 */
export function oldSigningKeyFindings(
    old: HomeserverConfig["oldSigningKeys"],
    current: readonly Pick<SigningKey, "id" | "verifyKey">[],
    now = Date.now(),
): Finding[] {
    return Object.entries(old).flatMap(([id, { key, expiredTs }]) => {
        const same = current.find(({ id: own, verifyKey }) => own === id || verifyKey === key.replace(/=+$/, ""));
        if (same !== undefined) {
            const also = same.id === id ? "" : `, whose public key is that of ${same.id}`;
            return [finding("SM-E0550", `old_signing_keys has ${id}${also}, and the server signs with ${same.id}`)];
        }
        const said = `the expired_ts of ${id} is ${expiredTs}`;
        if (expiredTs < firstMatrix) {
            const seconds = expiredTs * 1000 >= firstMatrix ? `; were it seconds, ${instant(expiredTs * 1000)}` : "";
            return [finding("SM-W0551", `${said}, in milliseconds ${instant(expiredTs)}${seconds}`)];
        }
        return expiredTs > now ? [finding("SM-W0551", `${said}, which is to come: ${instant(expiredTs)}`)] : [];
    });
}

/** Any number may be there; not every one is a time. */
function instant(milliseconds: number): string {
    const date = new Date(milliseconds);
    return Number.isNaN(date.getTime()) ? "no time at all" : date.toISOString();
}
