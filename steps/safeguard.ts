/** Makes sure that nothing of anybody's is put aside by the swap: the target's database is absent or empty. */
import { safeguardContract } from "./contract/migrate.ts";
import { withClient } from "./postgres/connection.ts";
import { describeObjects, inspectDatabase } from "./postgres/databaseState.ts";
import { describeMarker, refuseCommitted } from "./postgres/marker.ts";
import { readDatabaseFacts, refuseStandby } from "./postgres/serverFacts.ts";
import { adminAddress, checkedName, previousName } from "./postgres/targetAddress.ts";
import { MigrationError } from "./run/errors.ts";
import { defineStep } from "./run/step.ts";

/**
 * Raises SM-E0804 naming what is there, SM-E0707 for a committed target, SM-E0805 and SM-E0806 (B16). There is no undo: nothing is changed.
 *
 * Not covered here: whether it is the source's own database, which the steps that know the source refuse (SM-E0803).
 */
export const safeguard = defineStep(safeguardContract, async ({ database }, run) => {
    const name = checkedName(database.name);
    const where = `database ${name} at ${database.host}:${database.port}`;
    const maintenance = await adminAddress(database);
    const options = { step: "safeguard", signal: run.signal };
    refuseStandby(await withClient(maintenance, options, readDatabaseFacts), where);
    const final = await inspectDatabase(maintenance, name, options);
    refuseCommitted(final.marker, where);
    // After this run's own swap, what stood here before has another name.
    const swapped = final.marker?.run === run.id && final.marker.state !== "staged";
    const previous = swapped ? await inspectDatabase(maintenance, previousName(name, run.id), options) : final;
    await run.evidence({ database: name, state: previous.state, marker: describeMarker(previous.marker) });
    if (previous.state !== "occupied") return { previous: previous.state };
    const other = previous.marker === undefined ? undefined : `; ${describeMarker(previous.marker)}`;
    throw new MigrationError("SM-E0804", {
        where,
        found: `${describeObjects(previous)}${other ?? ""}`,
        expected: "no database with this name, or an empty one",
        ...(other === undefined
            ? {}
            : { fix: "undo that run first by declaring phase `stage` for it, or choose another database name" }),
    });
});
