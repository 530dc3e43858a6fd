/** Whether a source that was fenced still stands where it stood then. */
import type { RunReference, Source } from "../../contract/index.ts";
import { withClient } from "../postgres/connection.ts";
import { sourceAddress } from "../postgres/databases/sourceDatabase.ts";
import { refuseOthersFence } from "./sourceRecord.ts";
import { movements, readWatermarks } from "./watermarks.ts";
import { foreignSessions, listed, stillLive } from "./writingSessions.ts";

/**
 * Refuses unless the source still stands where the token says it was fenced.
 *
 * @throws MigrationError SM-E0702 naming what moved or who is connected, SM-E0741 when another stack holds the fence
 */
export async function refuseUnlessStillFenced(
    source: Source,
    token: { readonly watermarks: Awaited<ReturnType<typeof readWatermarks>> },
    run: RunReference,
): Promise<void> {
    if (source.kind !== "selfHosted") throw new Error(`a source of kind ${source.kind} has no fence to look at`);
    await withClient(await sourceAddress(source), { step: "fence" }, async (client) => {
        await refuseOthersFence(client, run);
        const sessions = await foreignSessions(client);
        if (sessions.length > 0) throw stillLive(listed(sessions));
        const moved = movements(token.watermarks, await readWatermarks(client));
        if (moved.length > 0)
            throw stillLive(`the source has been written to after it was fenced\n${moved.slice(0, 5).join("\n")}`);
    });
}
