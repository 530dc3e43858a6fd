/** What keeps a process together with others, as its control group tells (cgroups(7)): a unit of systemd, or a container. */

/** Who keeps a process running. All are absent for what was started by hand, where its control group tells nothing. */
export interface Keeping {
    /** A service or scope of the system's own systemd. */
    readonly unit?: string;
    /** A service or scope of a user's systemd, in whose unit `user@<uid>.service` it is. */
    readonly userUnit?: string;
    /** Id of a container, of 64 hexadecimal digits; for a system in a container of LXC's or systemd's, its name. */
    readonly container?: string;
}

/** As Docker, Podman, containerd and CRI-O name a container's group, with both drivers: `/docker/<id>`, `docker-<id>.scope`, `libpod-<id>`. */
const containerId = /(?:^|[/:.-])([0-9a-f]{64})(?:[./]|$)/;
const namedContainer =
    /^\/(?:lxc(?:\.payload)?[./]|machine\.slice\/(?:systemd-nspawn@|machine-|lxc-))([^/]+?)(?:\.(?:service|scope))?(?:\/|$)/;

/** @param text  of `/proc/<pid>/cgroup`, of either version or of both at once */
export function keepingIn(text: string): Keeping {
    const paths = pathsIn(text);
    const container = paths.map((path) => containerId.exec(path)?.[1]).find((id) => id !== undefined);
    if (container !== undefined) return { container };
    const [path = ""] = paths;
    const named = namedContainer.exec(path)?.[1];
    if (named !== undefined) return { container: named };
    // What is below a unit's group is made by the unit itself; a user's own units are below that of their systemd.
    const [unit, userUnit] = path.split("/").filter((name) => /\.(service|scope)$/.test(name));
    if (unit === undefined) return {};
    return /^user@\d+\.service$/.test(unit) && userUnit !== undefined ? { unit, userUnit } : { unit };
}

/** systemd's own hierarchy first: the version 2 one, or that of version 1 that is named after it; the others follow it where they are there. */
function pathsIn(text: string): string[] {
    const lines = text.split("\n").flatMap((line) => {
        const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
        return controllers === undefined || path === undefined ? [] : [{ controllers, path }];
    });
    const rank = (controllers: string): number => (controllers === "name=systemd" ? 0 : controllers === "" ? 1 : 2);
    return lines.sort((a, b) => rank(a.controllers) - rank(b.controllers)).map(({ path }) => path);
}
