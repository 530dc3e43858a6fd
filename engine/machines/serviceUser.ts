/** The unprivileged user that the target's Synapse and PostgreSQL run as when this program runs as root. */
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";

export interface ServiceUser {
    readonly uid: number;
    readonly gid: number;
}

/** Tried in this order: Synapse's own packages make the first, PostgreSQL's the second, every system has the last. */
const candidates = ["matrix-synapse", "postgres", "nobody"] as const;
/** What Linux gives `nobody` where no such line exists. */
const nobody: ServiceUser = { uid: 65_534, gid: 65_534 };

/**
 * The user that servers of ours run as and that owns the files they read; undefined when we are not root and so everything
 * is our own anyway.
 */
export function serviceUser(): ServiceUser | undefined {
    if (process.getuid?.() !== 0) return undefined;
    return chooseServiceUser(readFileSync("/etc/passwd", "utf8"));
}

/**
 * Picks the service user out of a passwd file; never root, whatever a line claims.
 *
 * @param passwd  lines `name:password:uid:gid:comment:home:shell`
 */
export function chooseServiceUser(passwd: string): ServiceUser {
    const users = new Map<string, ServiceUser>();
    for (const line of passwd.split("\n")) {
        const [name = "", , uid = "", gid = ""] = line.split(":");
        if (/^[1-9]\d*$/.test(uid) && /^[1-9]\d*$/.test(gid)) users.set(name, { uid: Number(uid), gid: Number(gid) });
    }
    for (const candidate of candidates) {
        const user = users.get(candidate);
        if (user !== undefined) return user;
    }
    return nobody;
}

/** Whether the user may pass through every directory above the path that exists. */
export function canReach(path: string, user: ServiceUser): boolean {
    for (let directory = path; ; directory = dirname(directory)) {
        const stats = statSync(directory, { throwIfNoEntry: false });
        if (stats !== undefined) {
            const bit = stats.uid === user.uid ? 0o100 : stats.gid === user.gid ? 0o010 : 0o001;
            if ((stats.mode & bit) === 0) return false;
        }
        if (directory === dirname(directory)) return true;
    }
}
