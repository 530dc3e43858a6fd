/** Asks the started target what only the same server can answer, before anybody else may ask. */
import { createHash } from "node:crypto";
import { canaryChecks } from "../../engine/probe/canaryChecks.ts";
import { serverChecks } from "../../engine/probe/serverChecks.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { readCanaryTraces, type CanaryTraces } from "../../engine/probe/canaryFile.ts";
import { probeContract, type Check } from "../../contract/index.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { hasCode } from "../../engine/run/heldDirectory.ts";
import { defineStep } from "../../engine/run/step.ts";

export const probe = defineStep(probeContract, async (spec, run) => {
    const api = new MatrixApi(spec.baseUrl);
    const account = { user: spec.canaryUser, password: spec.canaryPassword, pepper: spec.pepper };
    const checks = await run.progress.during("probing the target", async () => [
        ...(await serverChecks(api, spec.serverName, spec.verifyKeys)),
        ...(await accountChecks(spec.canaryFile, (traces) =>
            canaryChecks(api, traces, account, { runId: run.id, mediaServer: spec.mediaServer }),
        )),
    ]);
    await run.evidence({ checks });
    refuseFailed(checks);
    return {
        proof: createHash("sha256").update(JSON.stringify(checks)).digest("hex"),
        passed: checks.filter(({ state }) => state === "passed").length,
        warnings: checks.filter(({ state }) => state === "warning"),
        notRun: checks.filter(({ state }) => state === "not-run"),
    };
});

/** Without what the account has left, nothing of it can be asked for; the server is asked nevertheless. */
async function accountChecks(
    file: string | undefined,
    checks: (traces: CanaryTraces | undefined) => Promise<Check[]>,
): Promise<Check[]> {
    if (file === undefined) return checks(undefined);
    const traces = await readCanaryTraces(file).catch((error: unknown) => {
        // What a parser says of it may quote a token.
        const found = hasCode(error, "ENOENT")
            ? "there is no such file"
            : "it is not what the step `canary` has written";
        return { id: "canary-traces", state: "failed" as const, evidence: `${file}: ${found}` };
    });
    return "id" in traces ? [traces] : checks(traces);
}

function refuseFailed(checks: readonly Check[]): void {
    const failed = checks.filter(({ state }) => state === "failed");
    if (failed.length === 0) return;
    throw new MigrationError("SM-E0602", {
        where: "the started target, behind the closed gateway",
        found: failed.map(({ id, evidence }) => `${id}: ${evidence}`).join("\n"),
        expected: "the answers of the source",
        changed: "the target is started, nobody can reach it; declare phase `stage` to start the source again",
    });
}
