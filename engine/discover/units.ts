/** All services that systemd could start on a machine, also those that it has forgotten because they do not run. */
import type { Machine } from "../machines/machine.ts";
import { showUnits } from "../services/systemd/systemctl.ts";
import type { UnitFacts } from "../services/systemd/unitFacts.ts";
import { looksLikeSynapse } from "../services/synapseProcess.ts";

const environment = { SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "" };

/** Undefined where systemd does not run. */
export async function allServices(
    machine: Machine,
    timeoutSeconds: number,
    signal: AbortSignal,
): Promise<UnitFacts[] | undefined> {
    if ((await machine.files.stat("/run/systemd/system")) === undefined) return undefined;
    const [loaded, { stdout }] = await Promise.all([
        showUnits(machine, ["*.service"]),
        machine.run("systemctl", ["list-unit-files", "--type=service", "--full", "--no-legend", "--no-pager"], {
            ...{ timeoutSeconds, signal, environment },
        }),
    ]);
    const forgotten = namesIn(stdout).filter((name) => !loaded.has(name));
    const known = new Map([...loaded, ...(await showUnits(machine, forgotten))]);
    // Instances of a template have no file: what starts them with the homeserver's others names them.
    const ours = [...known.values()].filter(({ words }) => looksLikeSynapse(words));
    const starters = await showUnits(machine, [
        ...new Set(ours.flatMap(({ pulledInBy, partOf }) => [...pulledInBy, ...partOf])),
    ]);
    const started = [...starters.values()].flatMap(({ pullsIn }) => pullsIn);
    const missing = [...new Set(started)].filter((name) => name.endsWith(".service") && !known.has(name));
    return [...known.values(), ...(await showUnits(machine, missing)).values()];
}

/** @param text  a unit a line, then its state; templates are none, and aliases have another line */
export function namesIn(text: string): string[] {
    return text.split("\n").flatMap((line) => {
        const [name = "", state = ""] = line.trim().split(/\s+/);
        return name.endsWith(".service") && !name.endsWith("@.service") && state !== "alias" ? [name] : [];
    });
}
