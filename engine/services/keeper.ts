/** Who keeps a process running, as far as Linux tells: a unit of systemd, a container, or the parent that would start it again. */
import { keepingIn, type Keeping } from "../machines/controlGroup.ts";
import { orElse, procText, type ProcReader } from "../machines/procText.ts";
import { readProcess, type ProcessFacts } from "../machines/procfs.ts";
import { describe, looksLikeSynapse } from "./synapseProcess.ts";

/**
 * In words, with what takes it away; undefined where nothing is seen, as for a daemon whose parent is init. What looks at a pid file now and
 * then (monit, cron) cannot be seen from here.
 */
export async function keeperOf(machine: ProcReader, kept: ProcessFacts): Promise<string | undefined> {
    const ours = keepingIn(await orElse(procText(machine, "/proc/self/cgroup"), ""));
    // Whatever keeps us as well, such as the container that all of this is in, does not keep it alone.
    const isOurs = JSON.stringify(ours) === JSON.stringify(kept.keeping);
    const found = [isOurs ? undefined : describeKeeper(kept.keeping), await parentOf(machine, kept)].filter(
        (one) => one !== undefined,
    );
    return found.length === 0 ? undefined : found.join(", ");
}

/** For messages: what it is, and who keeps it. */
export async function describeKept(machine: ProcReader, kept: ProcessFacts): Promise<string> {
    const keeper = await keeperOf(machine, kept);
    return describe(kept) + (keeper === undefined ? "" : `, kept by ${keeper}`);
}

const shownDigits = 12;

/** In words, with what takes it away; undefined for what is started by hand, or by something that does not keep what it starts. */
export function describeKeeper({ unit, userUnit, container }: Keeping): string | undefined {
    if (container !== undefined) {
        const id = /^[0-9a-f]{64}$/.test(container) ? container.slice(0, shownDigits) : container;
        return `container ${id} (\`docker update --restart=no ${id}\` and \`docker stop ${id}\`, or as its runtime has it)`;
    }
    if (userUnit !== undefined)
        return `unit ${userUnit} of a user's systemd (\`systemctl --user disable --now ${userUnit}\`)`;
    return unit === undefined || !keepsWhatItStarts(unit)
        ? undefined
        : `systemd unit ${unit} (\`systemctl disable --now ${unit}\`)`;
}

/** What is started by hand is in a session's scope; cron's and ssh's children are in those services, which do not keep them. */
export function keepsWhatItStarts(unit: string): boolean {
    return (
        unit.endsWith(".service") &&
        !/^(user@\d+|cron|crond|ssh|sshd|ssh@.*|sshd@.*|getty@.*|console-getty)\.service$/.test(unit)
    );
}

/** The nearest process above that is none of Synapse's own; init takes whoever has lost its parent. */
async function parentOf(machine: ProcReader, { parent }: ProcessFacts): Promise<string | undefined> {
    const above = parent <= 1 ? undefined : await readProcess(machine, parent);
    if (above === undefined) return undefined;
    return looksLikeSynapse(above.argv) ? parentOf(machine, above) : `its parent, ${describe(above)}`;
}
