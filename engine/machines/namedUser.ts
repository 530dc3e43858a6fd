/** Users of this machine by their name. */
import { readFile } from "node:fs/promises";
import type { ServiceUser } from "./serviceUser.ts";

/** Undefined for a name that no user has. */
export async function namedUser(name: string, passwdFile = "/etc/passwd"): Promise<ServiceUser | undefined> {
    for (const line of (await readFile(passwdFile, "utf8")).split("\n")) {
        const [user, , uid = "", gid = ""] = line.split(":");
        if (user === name && /^\d+$/.test(uid) && /^\d+$/.test(gid)) return { uid: Number(uid), gid: Number(gid) };
    }
    return undefined;
}
