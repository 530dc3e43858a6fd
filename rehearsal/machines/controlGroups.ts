/**
 * Control groups of one machine's own.
 *
 * systemd-nspawn makes its groups, `payload` and `supervisor`, below the one it is started in. Two machines started in the same one would share
 * them, and with them every unit of the same name: a unit that stops in one machine would wait for the processes of the other's.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Makes a group in every hierarchy, below that which this process is in.
 *
 * @returns their directories
 */
export function makeGroups(name: string): string[] {
    return hierarchies().map((parent) => {
        const group = join(parent, name);
        mkdirSync(group, { recursive: true });
        // Nothing can join a cpuset of cgroup v1 that names no processor and no memory.
        for (const file of ["cpuset.cpus", "cpuset.mems"]) {
            const inherited = read(join(parent, file));
            if (inherited !== "" && read(join(group, file)) === "") writeFileSync(join(group, file), inherited);
        }
        return group;
    });
}

/** Whatever the process starts is in them, too. */
export function joinGroups(groups: readonly string[], pid: number): void {
    for (const group of groups) writeFileSync(join(group, "cgroup.procs"), String(pid));
}

/** Processes of the groups and of those below them. */
export function processesIn(groups: readonly string[]): number[] {
    const lists = groups.flatMap((group) => tree(group)).map((group) => read(join(group, "cgroup.procs")));
    return [...new Set(lists.flatMap((list) => list.split("\n").filter((line) => line !== "")))].map(Number);
}

/** Removes the groups, in which no process may be. What is gone already is passed over. */
export function removeGroups(groups: readonly string[]): void {
    // Those below come after it in the list.
    for (const group of groups.flatMap((root) => tree(root)).reverse()) rmdirSync(group);
}

function tree(group: string): string[] {
    let entries;
    try {
        entries = readdirSync(group, { withFileTypes: true });
    } catch {
        return []; // A unit that ends takes its group with it.
    }
    const below = entries.filter((entry) => entry.isDirectory());
    return [group, ...below.flatMap(({ name }) => tree(join(group, name)))];
}

/** Directories of the groups that this process is in: of cgroup v1 one a controller, of cgroup v2 one (cgroups(7)). */
function hierarchies(): string[] {
    const mounts = mounted();
    const lines = readFileSync("/proc/self/cgroup", "utf8").trimEnd().split("\n");
    const found = lines.flatMap((line) => {
        const [, controllers = "", ...path] = line.split(":");
        const mount = mounts.find((one) => one.controllers === controllers);
        return mount === undefined ? [] : [join(mount.directory, path.join(":").replace(mount.root, "/"))];
    });
    return [...new Set(found)];
}

interface Mounted {
    readonly directory: string;
    /** Which group of the hierarchy is its root, where that is not the hierarchy's own: as in a container. */
    readonly root: string | RegExp;
    /** As in /proc/self/cgroup; empty for cgroup v2. */
    readonly controllers: string;
}

function mounted(): Mounted[] {
    const known = new Set(
        readFileSync("/proc/self/cgroup", "utf8")
            .split("\n")
            .map((line) => line.split(":")[1] ?? ""),
    );
    return readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .flatMap((line) => {
            const [before = "", after = ""] = line.split(" - ");
            const [, , , root = "", directory = ""] = before.split(" ");
            const [type, , options = ""] = after.split(" ");
            if (type === "cgroup2") return [{ directory, root, controllers: "" }];
            if (type !== "cgroup") return [];
            const words = options.split(",");
            const controllers = [...known].find(
                (name) => name !== "" && name.split(",").every((word) => words.includes(word)),
            );
            return controllers === undefined ? [] : [{ directory, root, controllers }];
        });
}

function read(path: string): string {
    try {
        return readFileSync(path, "utf8").trim();
    } catch {
        return "";
    }
}
