/** Stops the source and proves, in its database, that it can no longer write. */
import { readFile, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { dirname, join } from "node:path";
import type { ClientBase } from "pg";
import { z } from "zod";
import { fenceContract, type RunReference, type Source } from "./contract.ts";
import { describeSession, exclusiveLockRefusal, foreignSessions, type Session } from "./fence/sessions.ts";
import { tokenDigest, tokenFile, writeToken } from "./fence/token.ts";
import { movements, readWatermarks } from "./fence/watermarks.ts";
import { writePrivateFile } from "./hosts/atomicFile.ts";
import { serviceControl, stoppedService } from "./hosts/service.ts";
import { withClient } from "./postgres/connection.ts";
import { sourceAddress } from "./postgres/sourceDatabase.ts";
import { MigrationError } from "./run/errors.ts";
import { defineStep } from "./run/step.ts";

/** Connections of a server that has just been stopped end within this time. */
const sessionsGoneSeconds = 20;
/** For how long the streams are seen standing still. */
const stillSeconds = 2;

export const fence = defineStep(
    fenceContract,
    async ({ source }, run) => {
        const service = serviceControl(source.service, { signal: run.signal });
        const address = await sourceAddress(source);
        await claimFence(run);
        // Recorded before anything is stopped: the undo has to know how the service ran even when we are killed in the middle.
        await run.once("service", async () => (await service.status()).record);
        await run.progress.during("stopping the source homeserver", () => service.stop());
        return withClient(address, { step: "fence" }, async (client) => {
            const sessions = await run.progress.during("waiting for its database sessions to end", () =>
                sessionsGone(client),
            );
            await run.once("read-only", () => makeReadOnly(client, address.name));
            await refuseOpenTransactions(client);
            const before = await readWatermarks(client);
            await delay(stillSeconds * 1000, undefined, { signal: run.signal });
            const moved = movements(before, await readWatermarks(client));
            if (moved.length > 0) throw stillLive(`the database still changes\n${moved.slice(0, 5).join("\n")}`);
            const fencedAt = await run.once("fenced-at", () => Promise.resolve(new Date().toISOString()));
            const token = { run: run.id, serverName: source.serverName, fencedAt, watermarks: before };
            await writeToken(run.directory, token);
            await run.evidence({
                checks: [
                    {
                        id: "service-stopped",
                        state: "passed",
                        evidence: "the process has ended and nothing took its place",
                    },
                    { id: "no-sessions", state: "passed", evidence: `${sessions} sessions have ended, none is left` },
                    {
                        id: "exclusive-lock",
                        state: "passed",
                        evidence: "an exclusive lock on every table was granted at once",
                    },
                    {
                        id: "streams-still",
                        state: "passed",
                        evidence: `all sequences and row counters stood still for ${stillSeconds} s`,
                    },
                ],
                fencedAt,
                watermarks: before,
            });
            return { token: tokenDigest(token), fencedAt, stillSeconds, sessionsEnded: sessions };
        });
    },
    async ({ source }, run) => {
        if (!(await holdsFence(run))) {
            run.progress.say("a newer run holds the fence: the source stays stopped");
            return;
        }
        const actions = new Map(
            (await run.journal.read())
                .filter((record) => record.step === "fence" && record.kind === "action")
                .map((record) => [record.action, record.result]),
        );
        if (actions.has("read-only")) {
            const address = await sourceAddress(source);
            await withClient(address, { step: "fence" }, (client) =>
                restoreReadOnly(client, address.name, actions.get("read-only")),
            );
        }
        if (actions.has("service")) {
            const service = serviceControl(source.service);
            await run.progress.during("starting the source homeserver again", () =>
                service.start(stoppedService.parse(actions.get("service"))),
            );
        }
        await rm(tokenFile(run.directory), { force: true });
        await rm(fenceHolderFile(run), { force: true });
    },
);

/**
 * Refuses unless the source still stands where the token says it was fenced.
 *
 * @throws MigrationError SM-E0702 naming what moved or who is connected
 */
export async function refuseUnlessStillFenced(
    source: Source,
    token: { readonly watermarks: Awaited<ReturnType<typeof readWatermarks>> },
): Promise<void> {
    await withClient(await sourceAddress(source), { step: "fence" }, async (client) => {
        const sessions = await foreignSessions(client);
        if (sessions.length > 0) throw stillLive(listed(sessions));
        const moved = movements(token.watermarks, await readWatermarks(client));
        if (moved.length > 0)
            throw stillLive(`the source has been written to after it was fenced\n${moved.slice(0, 5).join("\n")}`);
    });
}

async function sessionsGone(client: ClientBase): Promise<number> {
    const first = await foreignSessions(client);
    const deadline = Date.now() + sessionsGoneSeconds * 1000;
    for (let sessions = first; ; sessions = await foreignSessions(client)) {
        if (sessions.length === 0) return first.length;
        if (Date.now() > deadline) throw stillLive(listed(sessions));
        await delay(200);
    }
}

async function refuseOpenTransactions(client: ClientBase): Promise<void> {
    const refusal = await exclusiveLockRefusal(client);
    if (refusal !== undefined) throw stillLive(`an exclusive lock was refused: ${refusal}`);
    const { rows } = await client.query(
        "SELECT count(*)::int AS prepared FROM pg_prepared_xacts WHERE database = current_database()",
    );
    const [{ prepared }] = z.tuple([z.object({ prepared: z.number() })]).parse(rows);
    if (prepared > 0) throw stillLive(`${prepared} prepared transactions wait to be committed`);
}

const settingRows = z.array(z.object({ setting: z.string() }));

/** New sessions of the source cannot write, even if somebody starts it again. The earlier setting is returned for the undo. */
async function makeReadOnly(client: ClientBase, database: string): Promise<{ previous: string | null }> {
    const { rows } = await client.query(
        `SELECT unnest(setconfig) AS setting FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
         WHERE setrole = 0 AND datname = current_database()`,
    );
    const name = "default_transaction_read_only";
    const previous =
        settingRows
            .parse(rows)
            .find(({ setting }) => setting.startsWith(`${name}=`))
            ?.setting.slice(name.length + 1) ?? null;
    await client.query(`ALTER DATABASE ${client.escapeIdentifier(database)} SET ${name} = on`);
    return { previous };
}

async function restoreReadOnly(client: ClientBase, database: string, recorded: unknown): Promise<void> {
    const { previous } = z.object({ previous: z.string().nullable() }).parse(recorded);
    const target = `ALTER DATABASE ${client.escapeIdentifier(database)}`;
    // This session began read-only, as every session of a fenced database does.
    await client.query("SET default_transaction_read_only = off");
    if (previous === null) await client.query(`${target} RESET default_transaction_read_only`);
    else await client.query(`${target} SET default_transaction_read_only = ${client.escapeLiteral(previous)}`);
}

/** All runs of a stack share the directory above theirs. */
const fenceHolderFile = (run: RunReference): string => join(dirname(run.directory), "fence-holder");

async function claimFence(run: RunReference): Promise<void> {
    await writePrivateFile(fenceHolderFile(run), run.id);
}

async function holdsFence(run: RunReference): Promise<boolean> {
    const holder = await readFile(fenceHolderFile(run), "utf8").catch(() => run.id);
    return holder.trim() === run.id;
}

const listed = (sessions: Session[]): string =>
    `sessions on its database:\n${sessions.slice(0, 8).map(describeSession).join("\n")}`;

function stillLive(found: string): MigrationError {
    return new MigrationError("SM-E0702", {
        where: "the source homeserver",
        found,
        expected: "no session, no open transaction, and streams that stand still",
        changed:
            "the source was stopped; declare phase `stage` to start it again, or end what is named above and run this again",
    });
}
