/**
 * An independent check of a homeserver: everything that was put into the source is looked for, over HTTP only and with none of
 * the code that moved it.
 */
import { registerSecret, redact } from "../engine/run/redaction.ts";
import type { Progress } from "../engine/run/progress.ts";
import { accountChecks } from "./check/accounts.ts";
import { encryptionChecks } from "./check/encryption.ts";
import { identityChecks } from "./check/identity.ts";
import { mediaChecks } from "./check/media.ts";
import type { Checked, HomeserverCheck } from "./check/outcome.ts";
import { roomChecks } from "./check/rooms.ts";
import { syncChecks } from "./check/sync.ts";
import { writeChecks } from "./check/writes.ts";
import type { Expectations } from "./source/expectations.ts";
import { MatrixClient } from "./source/matrixClient.ts";

export interface CheckArgs {
    /** What clients use: the gateway. Without a final slash. */
    readonly baseUrl: string;
    readonly expectations: Expectations;
    readonly progress: Progress;
    readonly signal?: AbortSignal;
}

export interface CheckResult {
    readonly name: string;
    readonly passed: boolean;
    /** What was looked at, or what is wrong. Without secrets. */
    readonly detail: string;
}

/** What reads comes before what writes: a sync from an old token is asked before anything new is there. */
const checks: readonly HomeserverCheck[] = [
    ...identityChecks,
    ...accountChecks,
    ...syncChecks,
    ...roomChecks,
    ...mediaChecks,
    ...encryptionChecks,
    ...writeChecks,
];
const shownProblems = 3;

/** Runs all checks, whatever the first ones say. May be repeated on the same server. */
export async function checkHomeserver(args: CheckArgs): Promise<CheckResult[]> {
    const { baseUrl, expectations, progress, signal } = args;
    for (const secret of secretsOf(expectations)) registerSecret(secret);
    const client = new MatrixClient(baseUrl, signal === undefined ? {} : { signal });
    const results: CheckResult[] = [];
    for (const check of checks) {
        const result = await runCheck(check, { client, expected: expectations });
        signal?.throwIfAborted();
        progress.say(`${result.passed ? "ok    " : "FAILED"} ${result.name}: ${result.detail}`);
        results.push(result);
    }
    return results;
}

async function runCheck(check: HomeserverCheck, checked: Checked): Promise<CheckResult> {
    try {
        const { problems, seen } = await check.run(checked);
        if (problems.length === 0) return { name: check.name, passed: true, detail: seen };
        const more = problems.length > shownProblems ? `; and ${problems.length - shownProblems} more` : "";
        return failed(check, problems.slice(0, shownProblems).join("; ") + more);
    } catch (error) {
        return failed(check, error instanceof Error ? error.message : String(error));
    }
}

const failed = ({ name }: HomeserverCheck, detail: string): CheckResult => ({
    name,
    passed: false,
    detail: redact(detail),
});

function secretsOf({ users, guest, deactivated }: Expectations): string[] {
    return [
        guest.accessToken,
        deactivated.password,
        ...users.flatMap(({ password, devices }) => [password, ...devices.map(({ accessToken }) => accessToken)]),
    ];
}
