/** Which processes of a machine have a file open, by whatever name it has for them: a container's has another path, and the same file. */
import type { Machine } from "./machine.ts";
import { allProcesses, type ProcessFacts } from "./procfs.ts";
import { undefinedUnlessLost } from "./unlessLost.ts";

/** What a link in /proc says of anything but a file that has a name: `socket:[1]`, `pipe:[2]`, `anon_inode:…`, devices. */
const isNoFile = /^(?!\/)|^\/(dev|proc|sys)\//;

/**
 * Empty where nobody has one of them open; processes that we may not look into are none.
 *
 * @param identities  of the files, see `FileFacts`
 */
export async function holdersOf(machine: Machine, identities: ReadonlySet<string>): Promise<ProcessFacts[]> {
    const holders = await Promise.all(
        (await allProcesses(machine)).map(async (process) =>
            (await holdsOne(machine, process.pid, identities)) ? process : undefined,
        ),
    );
    return holders.filter((holder) => holder !== undefined);
}

async function holdsOne(machine: Machine, pid: number, identities: ReadonlySet<string>): Promise<boolean> {
    const directory = `/proc/${pid}/fd`;
    // Processes end while they are looked at.
    const links = await machine.files.links(directory).catch(undefinedUnlessLost);
    const open = [...(links ?? [])]
        .filter(([, target]) => !isNoFile.test(target))
        .map(([number]) => `${directory}/${number}`);
    const found = await Promise.all(open.map((path) => machine.files.stat(path).catch(undefinedUnlessLost)));
    return found.some((facts) => facts !== undefined && identities.has(facts.identity));
}
