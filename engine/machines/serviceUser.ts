/** The unprivileged user that the target's Synapse and PostgreSQL run as when this program runs as root. */
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { MigrationError } from "../run/errors.ts";

export interface ServiceUser {
    readonly uid: number;
    readonly gid: number;
}

export interface NamedUser extends ServiceUser {
    readonly name: string;
}

/** Tried in this order: what Synapse's own packages make, what others call it, and what every system has. */
const candidates = ["matrix-synapse", "synapse"] as const;
/** What Linux gives `nobody` where no such line exists. */
const nobody: NamedUser = { name: "nobody", uid: 65_534, gid: 65_534 };
/** May do everything in every cluster of the machine that has peer authentication, which is how packages set PostgreSQL up. */
export const databaseSuperuser = "postgres";

/**
 * The user that a new target's servers run as when nobody says which; undefined when we are not root and so everything is our own anyway.
 * A target that is there has one already: see targetUser.ts.
 */
export function serviceUser(): ServiceUser | undefined {
    if (process.geteuid?.() !== 0) return undefined;
    const { uid, gid } = chooseServiceUser(readPasswd());
    return { uid, gid };
}

export const readPasswd = (): string => readFileSync("/etc/passwd", "utf8");

/**
 * Picks the service user out of a passwd file; never root, whatever a line claims, and never the superuser of PostgreSQL.
 *
 * @param passwd  lines `name:password:uid:gid:comment:home:shell`
 * @param wanted  the one that is configured
 * @throws MigrationError SM-E1208 when the configured one is root, PostgreSQL's or not there
 */
export function chooseServiceUser(passwd: string, wanted?: string): NamedUser {
    const users = usersIn(passwd);
    if (wanted !== undefined) return fitUser(users, wanted);
    for (const candidate of [...candidates, nobody.name]) {
        const user = users.get(candidate);
        if (user !== undefined && unfitness(users, user) === undefined) return user;
    }
    return nobody;
}

/** The name of a user id; undefined where no line has it. */
export function userName(passwd: string, uid: number): string | undefined {
    return [...usersIn(passwd).values()].find((user) => user.uid === uid)?.name;
}

function usersIn(passwd: string): Map<string, NamedUser> {
    const users = new Map<string, NamedUser>();
    for (const line of passwd.split("\n")) {
        const [name = "", , uid = "", gid = ""] = line.split(":");
        if (/^\d+$/.test(uid) && /^\d+$/.test(gid)) users.set(name, { name, uid: Number(uid), gid: Number(gid) });
    }
    return users;
}

function fitUser(users: ReadonlyMap<string, NamedUser>, wanted: string): NamedUser {
    const user = users.get(wanted);
    const found = user === undefined ? "a user that this machine does not know" : unfitness(users, user);
    if (user !== undefined && found === undefined) return user;
    throw new MigrationError("SM-E1208", {
        where: `target.user: ${wanted}`,
        found: found ?? "",
        expected: "a system user that nothing else uses",
    });
}

function unfitness(users: ReadonlyMap<string, NamedUser>, { uid, gid }: ServiceUser): string | undefined {
    if (uid === 0) return "root";
    if (gid === 0) return "a user of root's group";
    if (uid === users.get(databaseSuperuser)?.uid)
        return `the user ${databaseSuperuser}, who is superuser of every database server that trusts its name`;
    return undefined;
}

/** Whether the user may pass through every directory above the path that exists. */
export function canReach(path: string, user: ServiceUser): boolean {
    for (let directory = path; ; directory = dirname(directory)) {
        const stats = statSync(directory, { throwIfNoEntry: false });
        if (stats !== undefined && !mayPass(stats, user)) return false;
        if (directory === dirname(directory)) return true;
    }
}

/** Whose a file is, and what it lets them do. */
export type Permissions = ServiceUser & { readonly mode: number };

/** Whether the user, who is in no further group, may pass through a directory. */
export function mayPass(directory: Permissions, user: ServiceUser): boolean {
    return permits(directory, user, 0o1);
}

/**
 * Whether the mode of a file lets a user do something with it. Lists of access control (acl(5)) are not looked at.
 *
 * @param wanted  4 to read, 2 to write, 1 to execute or to pass through, added up
 * @param groups  further groups of the user
 */
export function permits(
    { uid, gid, mode }: Permissions,
    user: ServiceUser,
    wanted: number,
    groups: readonly number[] = [],
): boolean {
    // The first that fits decides alone: an owner without a right does not get it as one of the group.
    const shift = uid === user.uid ? 6 : gid === user.gid || groups.includes(gid) ? 3 : 0;
    return ((mode >> shift) & wanted) === wanted;
}
