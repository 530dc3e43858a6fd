/** Gives the restored and verified database the name that Synapse connects to. The database that had it is kept. */
import { swapContract } from "../../contract/migrate.ts";
import { readManifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { swapBack, swapDatabases, type SwapNames } from "../../engine/postgres/databases/swapDatabases.ts";
import {
    adminAddress,
    checkedName,
    ownerAddress,
    previousName,
} from "../../engine/postgres/databases/targetAddress.ts";
import { forgetCopy } from "../../engine/postgres/directCopy/doneTasks.ts";
import { defineStep } from "../../engine/run/step.ts";

export const swap = defineStep(
    swapContract,
    async (spec, run) => {
        const maintenance = await adminAddress(spec.database);
        const options = { step: "swap", signal: run.signal };
        // Nothing that holds data is put aside unless its copy is there and is the one that was checked.
        const copied =
            spec.copy === undefined
                ? {}
                : { copiedOid: (await readManifest(spec.copy.manifestFile, spec.copy.digest)).database.oid };
        const names = { ...namesOf(spec), ...copied };
        const previous = await swapDatabases(maintenance, names, run.id, options);
        // The copy is done, which the journal says by now: no attempt of it goes on where another one stopped.
        await withClient(await ownerAddress(spec.database, spec.database.name), options, forgetCopy);
        const swappedAt = await run.recorded("swapped-at", () => Promise.resolve(new Date().toISOString()));
        await run.evidence({ name: spec.database.name, incoming: spec.incoming, previous, swappedAt });
        return { name: spec.database.name, ...(previous === undefined ? {} : { previous }), swappedAt };
    },
    async (spec, run) => {
        const maintenance = await adminAddress(spec.database);
        const names = namesOf(spec);
        const renamed = await swapBack(maintenance, names, run.id, { step: "swap" }, spec.run.disposable === true);
        if (renamed) run.progress.say(`database ${names.name} is called ${names.incoming} again`);
        else run.progress.note(`database ${names.name} is not this run's: nothing was renamed`);
    },
);

function namesOf({ database: { name }, incoming, run }: Parameters<typeof swap.act>[0]): SwapNames {
    return { name: checkedName(name), incoming: checkedName(incoming), previous: previousName(name, run.id) };
}
