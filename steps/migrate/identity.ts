/** Makes the installed homeserver the one that was moved: its signing key, its secrets. Starts nothing. */
import { createHash } from "node:crypto";
import { identityContract } from "../../contract/index.ts";
import { anothers, heldInstalled, releaseInstalled, requireHeld } from "../../engine/installed/holder.ts";
import { movedIdentity } from "../../engine/installed/movedIdentity.ts";
import { removeIdentity, requireIdentity, writeIdentity } from "../../engine/installed/writtenIdentity.ts";
import { registerSecret } from "../../engine/run/redaction.ts";
import { refuseRewritten } from "../../engine/synapse/config/writtenFiles.ts";
import { defineStep } from "../../engine/run/step.ts";

export const identity = defineStep(
    identityContract,
    async ({ source, deployment, signingKeyFile, secretsFile, verifyKeys }, run) => {
        const directory = await requireHeld(run.reference);
        // Days may have passed since they were written and compared.
        await refuseRewritten(run, "nothing: the identity was not written");
        const { moved, given } = await movedIdentity({ source, signingKeyFile, secretsFile });
        for (const secret of [given.pepper, given.macaroonSecretKey]) registerSecret(secret ?? "");
        const written = await run.progress.during("writing the identity", () =>
            writeIdentity(deployment, moved, { run: run.id, directory }),
        );
        await requireIdentity(deployment, given);
        await run.evidence({ written, verifyKeys });
        const digest = createHash("sha256")
            .update(JSON.stringify([written, verifyKeys]))
            .digest("hex");
        return { written: [...written], digest };
    },
    async ({ deployment }, run) => {
        const directory = await heldInstalled(run.reference, "service");
        if (directory === undefined) {
            run.progress.note(anothers);
            return;
        }
        for (const line of await removeIdentity(deployment, directory)) run.progress.note(line);
        await releaseInstalled(directory);
    },
);
