/** Who keeps a process running, as far as Linux tells: a unit of systemd, a container, or the parent that would start it again. */
import { readFile } from "node:fs/promises";
import { readProcess, type ProcessFacts } from "../machines/procfs.ts";
import { describe, looksLikeSynapse } from "./synapseProcess.ts";

/**
 * In words, with what takes it away; undefined where nothing is seen, as for a daemon whose parent is init. What looks at a pid file now and
 * then (monit, cron) cannot be seen from here.
 */
export async function keeperOf(kept: ProcessFacts): Promise<string | undefined> {
    const [groups = "", ours = ""] = await Promise.all(
        [kept.pid, "self"].map((pid) => readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "")),
    );
    // Whatever keeps us as well, such as the container that all of this is in, does not keep it alone.
    const found = [groups === ours ? undefined : keeperInGroups(groups), await parentOf(kept)].filter(
        (one) => one !== undefined,
    );
    return found.length === 0 ? undefined : found.join(", ");
}

/** For messages: what it is, and who keeps it. */
export async function describeKept(kept: ProcessFacts): Promise<string> {
    const keeper = await keeperOf(kept);
    return describe(kept) + (keeper === undefined ? "" : `, kept by ${keeper}`);
}

/** @param groups  of `/proc/<pid>/cgroup` (cgroups(7)) */
export function keeperInGroups(groups: string): string | undefined {
    const container = /(?:docker|libpod|containerd|crio|lxc)[-/.:]([0-9a-f]{12})[0-9a-f]*/.exec(groups)?.[1];
    if (container !== undefined)
        return `container ${container} (\`docker update --restart=no ${container}\` and \`docker stop ${container}\`, or as its runtime has it)`;
    // What is started by hand is in a session's scope; cron's and ssh's children are in those services, which do not keep them.
    const unit = /\/([^/\n]+\.service)$/m.exec(groups)?.[1];
    return unit === undefined || /^(user@\d+|cron|crond|ssh|sshd|getty@.*)\.service$/.test(unit)
        ? undefined
        : `systemd unit ${unit} (\`systemctl disable --now ${unit}\`)`;
}

/** The nearest process above that is none of Synapse's own; init takes whoever has lost its parent. */
async function parentOf({ parent }: ProcessFacts): Promise<string | undefined> {
    const above = parent <= 1 ? undefined : await readProcess(parent);
    if (above === undefined) return undefined;
    return looksLikeSynapse(above.argv) ? parentOf(above) : `its parent, ${describe(above)}`;
}
