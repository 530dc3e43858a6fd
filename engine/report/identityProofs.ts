/** Which checks show that it is the same server, and which of these did not. Pure. */
import { probeContract, verifyContract } from "../../contract/index.ts";
import type { Outcome, ReportedCheck } from "./reportRecord.ts";

/** One thing that another server could not have, or not all of it. */
interface IdentityProof {
    /** As the headline names it when it was not shown. */
    readonly what: string;
    readonly step: string;
    /** Ids of the check, one for each way to show it; each that was made must have passed. */
    readonly checks: readonly string[];
    /** Whether the source has nothing of the kind, so that there is nothing to show. */
    readonly needless?: (checks: readonly ReportedCheck[]) => boolean;
}

const [verify, probe] = [verifyContract.name, probeContract.name];
const sessions = "old-access-token";
const guests = "guest-token-macaroon";

/**
 * That the server answers, has versions or takes new messages proves nothing of the kind: every Synapse does.
 *
 * What only a test account could have left on a running source stays on the list where the source came as files: nobody has seen it there.
 */
const identityProofs: readonly IdentityProof[] = [
    { what: "signing key and server name", step: probe, checks: ["server-keys"] },
    { what: "database rows", step: verify, checks: ["database-rows", "replica-rows"] },
    { what: "media files", step: verify, checks: ["media.complete", "media.arrived"] },
    { what: "passwords", step: probe, checks: ["password-pepper"] },
    { what: "sessions and devices", step: probe, checks: [sessions] },
    { what: "sync positions", step: probe, checks: ["old-sync-token"] },
    { what: "rooms and messages", step: probe, checks: ["known-event"] },
    { what: "media downloads", step: probe, checks: ["known-media"] },
    // Where the test account left everything else and no guest token, the source gives none.
    { what: "guest tokens", step: probe, checks: [guests], needless: (checks) => passedIn(checks, probe, [sessions]) },
];

/** What of it was not shown by a check that ran, passed and still stands; empty when it is proven the same server. */
export function notProven(checks: readonly ReportedCheck[]): Outcome["notProven"] {
    const standing = checks.filter(({ stands }) => stands);
    return identityProofs.flatMap(({ what, step, checks: ids, needless }) => {
        if (passedIn(standing, step, ids)) return [];
        const seen = standing.filter((check) => check.step === step && ids.includes(check.id));
        const open = seen.find(({ state }) => state !== "passed");
        if (open?.state === "not-run" && needless?.(standing) === true) return [];
        const reason = open?.evidence ?? "there is no evidence of the check";
        return [{ what, step, check: open?.id ?? ids[0] ?? "", reason }];
    });
}

function passedIn(checks: readonly ReportedCheck[], step: string, ids: readonly string[]): boolean {
    const seen = checks.filter((check) => check.step === step && ids.includes(check.id));
    return seen.length > 0 && seen.every(({ state }) => state === "passed");
}
