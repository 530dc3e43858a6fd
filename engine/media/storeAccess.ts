/**
 * Whether the target's Synapse can read and write what is in its media store. The files are read as root, who always can: content that is
 * proven says nothing of that.
 */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Check } from "../../contract/index.ts";
import { mayPass, permits, readPasswd, userName, type Permissions, type ServiceUser } from "../machines/serviceUser.ts";
import { MigrationError } from "../run/errors.ts";
import { namedAtMost, passed } from "./mediaChecks.ts";
import type { SeeEntry } from "./scan.ts";

export const accessCheckId = "media.access";

/** Synapse opens media for reading, and thumbnails that it makes again for writing; it makes and removes files in directories. */
const rights = { file: 0o6, directory: 0o7 } as const;

/** Collects what the user may not use while a store is walked. */
export class StoreAccess {
    private readonly user: ServiceUser;
    private readonly groups: readonly number[];
    private readonly root: string;
    private readonly named: string[] = [];
    private readonly fixes = new Set<string>();
    private entries = 0;
    private unusable = 0;

    /** @param user  whom Synapse runs as; absent where that is ourselves */
    private constructor(root: string, user: ServiceUser | undefined) {
        this.root = root;
        this.user = user ?? { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
        // Who is changed to another user loses all further groups.
        this.groups = user === undefined ? (process.getgroups?.() ?? []) : [];
    }

    /** Looks at the store itself and, for a user that we are not, at the way to it. */
    public static async of(root: string, user: ServiceUser | undefined): Promise<StoreAccess> {
        const access = new StoreAccess(root, user);
        for (let path = dirname(root); user !== undefined; path = dirname(path)) {
            const facts = await stat(path);
            if (!mayPass(facts, user)) access.note(path, facts, "pass through it", `chmod o+x ${path}`);
            if (path === dirname(path)) break;
        }
        access.judge("", await stat(root), "directory");
        return access;
    }

    public readonly see: SeeEntry = (path, facts) => {
        this.judge(path, facts, facts.kind === "directory" ? "directory" : "file");
    };

    public check(): Check {
        const { uid, gid } = this.user;
        if (this.unusable === 0)
            return passed(accessCheckId, `user ${uid}:${gid} can read and write all ${this.entries} entries`);
        return { id: accessCheckId, state: "failed", evidence: this.evidence().replaceAll("\n", "; ") };
    }

    /** Undefined when Synapse can use everything. */
    public error(changed: string): MigrationError | undefined {
        if (this.unusable === 0) return undefined;
        const { uid, gid } = this.user;
        return new MigrationError("SM-E0840", {
            where: this.root,
            found: this.evidence(),
            expected: `files and directories that user ${named(uid)}, group ${gid}, whom the target's Synapse runs as, may read and write`,
            fix: `\`${[...this.fixes].join(" && ")}\`, then run the same command again`,
            changed,
        });
    }

    private judge(path: string, facts: Permissions, kind: keyof typeof rights): void {
        this.entries++;
        if (permits(facts, this.user, rights[kind], this.groups)) return;
        const { uid, gid } = this.user;
        // Never the whole store: what this program keeps in it stays root's.
        const [folder = ""] = path.split("/");
        const place = join(this.root, folder);
        const fix =
            path === ""
                ? `chown ${uid}:${gid} ${place} && chmod u+rwx ${place}`
                : `chown -R ${uid}:${gid} ${place} && chmod -R u+rwX ${place}`;
        this.note(path === "" ? this.root : path, facts, kind === "file" ? "read and write it" : "use it", fix);
    }

    private note(path: string, { uid, gid, mode }: Permissions, what: string, fix: string): void {
        this.unusable++;
        this.fixes.add(fix);
        if (this.named.length < namedAtMost)
            this.named.push(
                `${path}: owner ${named(uid)}, group ${gid}, mode 0${(mode & 0o7777).toString(8)}: user ${this.user.uid} cannot ${what}`,
            );
    }

    private evidence(): string {
        const more = this.unusable - this.named.length;
        return [...this.named, ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
    }
}

function named(uid: number): string {
    const name = userName(readPasswd(), uid);
    return name === undefined ? String(uid) : `${name} (${uid})`;
}
