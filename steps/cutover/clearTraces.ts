/** Removes the test account's rooms, media, guest and sessions from the homeserver that serves now: nothing asks for them any more. */
import { clearTracesContract } from "../../contract/index.ts";
import { ownerAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { removeTemporaryAdmin } from "../../engine/probe/temporaryAdmin.ts";
import { removeTraces, userIdOf } from "../../engine/probe/traces.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep } from "../../engine/run/step.ts";
import { targetBaseUrl } from "../../engine/installed/askInstalled.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";

const step = "clear-traces";
/** The evidence has all of them. */
const mostSaid = 10;

/** After the opening, when nobody waits for it. The homeserver is moved by then: what cannot be removed is said, and fails nothing. */
export const clearTraces = defineStep(
    clearTracesContract,
    async ({ serverName, database, baseUrl, deployment, canaryUser }, run) => {
        const args = {
            address: await ownerAddress(database, database.name),
            serverName,
            api: new MatrixApi(await targetBaseUrl({ baseUrl, deployment })),
            step,
        };
        try {
            const { removed, left } = await removeTraces(args, userIdOf(canaryUser, serverName), run);
            await run.evidence({ removed, left });
            if (left.length > 0)
                run.progress.note(
                    `${left.length} traces of the test account stay; the call in brackets, with an administrator's token, removes each: ${left.slice(0, mostSaid).join("; ")}`,
                );
            return { removed: removed.length, left: left.length };
        } catch (error) {
            run.signal.throwIfAborted();
            run.progress.note(
                `the test account's rooms, media, guest and sessions may still be there: ${error instanceof Error ? error.message : String(error)}`,
            );
            return { removed: 0 };
        }
    },
    async ({ serverName, database }, run) => {
        const address = await ownerAddress(database, database.name);
        await removeTemporaryAdmin({ address, serverName, step }, run).catch((error: unknown) => {
            // Undone with its database: the token was good for minutes, and the account for nothing else.
            if (!(error instanceof MigrationError)) throw error;
            run.progress.note(`the temporary account could not be looked for: ${error.message}`);
        });
    },
);
