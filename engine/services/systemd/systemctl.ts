/** Asks and tells a machine's systemd, by `systemctl`. */
import type { Machine } from "../../machines/machine.ts";
import { MigrationError } from "../../run/errors.ts";
import { properties, unitsIn, type UnitFacts } from "./unitFacts.ts";

const askSeconds = 30;
/** The program's own words, whatever terminal and pager there are. */
const environment = { SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "" };

/**
 * What systemd knows of units. One that it does not know has the load state `not-found`.
 *
 * @throws MigrationError SM-E1421 where systemd does not run
 */
export async function showUnits(machine: Machine, names: readonly string[]): Promise<Map<string, UnitFacts>> {
    if (names.length === 0) return new Map();
    try {
        const { stdout } = await machine.run(
            "systemctl",
            ["show", "--no-pager", `--property=${properties.join(",")}`, "--", ...names],
            { timeoutSeconds: askSeconds, environment },
        );
        return new Map(unitsIn(stdout).map((unit) => [unit.name, unit]));
    } catch (error) {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1101") throw error;
        throw new MigrationError("SM-E1421", { where: machine.name, found: error.detail.found, cause: error });
    }
}

/**
 * Starts or stops units and waits until it is done. That it could not be done is told by their states, and why by what is returned.
 *
 * @returns what systemctl has said where it has failed
 */
export async function tellUnits(
    machine: Machine,
    verb: "start" | "stop" | "reset-failed",
    names: readonly string[],
    wait: { readonly seconds: number; readonly signal?: AbortSignal | undefined },
): Promise<string | undefined> {
    if (names.length === 0) return undefined;
    try {
        await machine.run("systemctl", [verb, "--no-ask-password", "--", ...names], {
            timeoutSeconds: wait.seconds,
            environment,
            ...(wait.signal === undefined ? {} : { signal: wait.signal }),
        });
        return undefined;
    } catch (error) {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1101") throw error;
        wait.signal?.throwIfAborted();
        return error.detail.found;
    }
}

/** Has systemd read all unit files anew. @throws MigrationError SM-E1423 when it cannot */
export async function reloadUnits(machine: Machine, changed: string): Promise<void> {
    try {
        await machine.run("systemctl", ["daemon-reload", "--no-ask-password"], {
            timeoutSeconds: reloadSeconds,
            environment,
        });
    } catch (error) {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1101") throw error;
        const found = `systemctl daemon-reload: ${error.detail.found}`;
        throw new MigrationError("SM-E1423", { where: machine.name, found, changed, cause: error });
    }
}

/** It runs all generators, and waits behind whatever systemd does at that moment. */
const reloadSeconds = 120;
const journalLines = 12;

/** The end of a unit's journal, for errors; empty where there is none. */
export async function journalEnd(machine: Machine, unit: string): Promise<string> {
    const args = ["--unit", unit, "--lines", String(journalLines), "--no-pager", "--output", "cat", "--quiet"];
    try {
        const { stdout } = await machine.run("journalctl", args, { timeoutSeconds: askSeconds, environment });
        return stdout.trimEnd();
    } catch (error) {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1101") throw error;
        return "";
    }
}
