/** Makes sure that nothing of anybody's is lost in the swap: the target's database is absent, empty, or was copied and the copy proven. */
import { safeguardContract } from "../../contract/migrate.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import {
    describeObjects,
    inspectDatabase,
    replaceFix,
    type DatabaseState,
} from "../../engine/postgres/databases/databaseState.ts";
import { describeMarker, refuseCommitted } from "../../engine/postgres/databases/marker.ts";
import { copyDatabase, removeCopy } from "../../engine/postgres/safeguard/safeguardCopy.ts";
import { readDatabaseFacts, refuseStandby } from "../../engine/postgres/server/serverFacts.ts";
import { adminAddress, checkedName, previousName } from "../../engine/postgres/databases/targetAddress.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep } from "../../engine/run/step.ts";

/**
 * Raises SM-E0804 naming what is there unless it may be replaced, SM-E0707 for a committed target, SM-E0805 and SM-E0806 (B16), SM-E0708
 * once this run has swapped, and what {@link copyDatabase} raises. Undone by removing the copy.
 *
 * Not covered here: whether it is the source's own database, which the steps that know the source refuse (SM-E0803).
 */
export const safeguard = defineStep(
    safeguardContract,
    async ({ database, replace = false, jobs = 2 }, run) => {
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
        const seen = { database: name, state: previous.state, marker: describeMarker(previous.marker) };
        await run.evidence(seen);
        if (previous.state !== "occupied") return { previous: previous.state };
        // The mark of a run says that another run works here, or did: its own undo is the way, not a replacement.
        if (!replace || previous.marker !== undefined) throw notEmpty(previous, where);
        if (swapped) throw alreadySwapped(run.id, where);
        const { checks, ...copy } = await copyDatabase(database, jobs, run);
        await run.evidence({ ...seen, copy, checks });
        return { previous: "copied" as const, ...copy };
    },
    async ({ database }, run) => {
        run.progress.say(await removeCopy(database, run));
    },
);

function notEmpty(found: DatabaseState, where: string): MigrationError {
    const marked = found.marker !== undefined;
    return new MigrationError("SM-E0804", {
        where,
        found: `${describeObjects(found)}${marked ? `; ${describeMarker(found.marker)}` : ""}`,
        expected: "no database with this name, or an empty one",
        fix: marked
            ? "undo that run first by declaring phase `stage` for it, or choose another database name"
            : replaceFix,
    });
}

function alreadySwapped(run: string, where: string): MigrationError {
    return new MigrationError("SM-E0708", {
        where,
        found: `what run ${run} has restored, and beside it what this run has put aside`,
        expected: "a run that has not swapped yet",
        fix: "undo the swap first by declaring phase `stage`, or give the run a new id (config `run`)",
    });
}
