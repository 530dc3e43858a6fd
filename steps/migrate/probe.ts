/** Asks the started target what only the same server can answer, before anybody else may ask. */
import { createHash } from "node:crypto";
import type { z } from "zod";
import { canaryChecks } from "../../engine/probe/canaryChecks.ts";
import { serverChecks } from "../../engine/probe/serverChecks.ts";
import { targetBaseUrl } from "../../engine/installed/askInstalled.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { filesChecks } from "../../engine/probe/filesChecks.ts";
import { removeTemporaryAdmin, type TemporaryAdminArgs } from "../../engine/probe/temporaryAdmin.ts";
import { removeTraces, userIdOf } from "../../engine/probe/traces.ts";
import { ownerAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { readCanaryTraces, type CanaryTraces } from "../../engine/probe/canaryFile.ts";
import { probeContract, type Check } from "../../contract/index.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { hasCode } from "../../engine/run/heldDirectory.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

const step = "probe";
type ProbeSpec = z.infer<typeof probeContract.spec>;

export const probe = defineStep(probeContract, act, async ({ known, serverName }, run) => {
    if (known === undefined) return;
    const { database } = known;
    const address = await ownerAddress(database, database.name);
    await removeTemporaryAdmin({ address, serverName, step }, run).catch((error: unknown) => {
        // Undone with its database: the token was good for minutes, and the account for nothing else.
        if (!(error instanceof MigrationError)) throw error;
        run.progress.note(`the temporary account could not be looked for: ${error.message}`);
    });
});

async function act(spec: ProbeSpec, run: StepRun): Promise<z.infer<typeof probeContract.result>> {
    const api = new MatrixApi(await targetBaseUrl(spec));
    const checks = await run.progress.during("probing the target", async () => [
        ...(await serverChecks(api, spec.serverName, spec.verifyKeys)),
        ...(await withTraces(spec.canaryFile, (traces) => accountChecks(api, traces, spec, run))),
    ]);
    await run.evidence({ checks });
    refuseFailed(checks);
    return {
        proof: createHash("sha256").update(JSON.stringify(checks)).digest("hex"),
        passed: checks.filter(({ state }) => state === "passed").length,
        warnings: checks.filter(({ state }) => state === "warning"),
        notRun: checks.filter(({ state }) => state === "not-run"),
    };
}

/** Of a source that comes as files, the account could leave nothing behind: it looks for what the database names. */
async function accountChecks(
    api: MatrixApi,
    traces: CanaryTraces | undefined,
    spec: ProbeSpec,
    run: StepRun,
): Promise<Check[]> {
    const { known, serverName, mediaServer, pepper, canaryUser: user, canaryPassword: password } = spec;
    if (traces !== undefined || known === undefined || user === undefined || password === undefined)
        return canaryChecks(api, traces, { user, password, pepper }, { runId: run.id, mediaServer });
    const address = await ownerAddress(known.database, known.database.name);
    const place = { api, address, serverName };
    const account = { user, password, pepper };
    const { mayLackMedia } = known;
    const removed = () => takeBack({ ...place, step }, userIdOf(user, serverName), run);
    const checks = await filesChecks({ ...place, account, mayLackMedia, mediaServer, runId: run.id }).catch(
        async (error: unknown) => {
            await removed();
            throw error;
        },
    );
    return [...checks, await removed()];
}

/** Room, medium and session of the probe, of attempts that were killed, too. What cannot be removed is said, and fails nothing. */
async function takeBack(args: TemporaryAdminArgs, userId: string, run: StepRun): Promise<Check> {
    const id = "probe-traces";
    try {
        const { left, removed } = await removeTraces(args, userId, run);
        if (left.length === 0)
            return { id, state: "passed", evidence: `${removed.length} traces of the probe are gone` };
        const stay = `${left.length} traces of the probe stay until the cut-over, whose step clear-traces tries again: ${left.join("; ")}`;
        run.progress.note(stay);
        return { id, state: "warning", evidence: stay };
    } catch (error) {
        run.signal.throwIfAborted();
        const why = error instanceof Error ? error.message : String(error);
        const unsure = `the probe's room, medium and session may still be there: ${why}`;
        run.progress.note(unsure);
        return { id, state: "warning", evidence: unsure };
    }
}

/** Without what the account has left, nothing of it can be asked for; the server is asked nevertheless. */
async function withTraces(
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
