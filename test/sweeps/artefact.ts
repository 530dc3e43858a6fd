/** What is swept: the files of an artefact, where they are damaged, and how they are read. */
import { createHash } from "node:crypto";
import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { damaged, type Damage } from "./damages.ts";
import type { Verdict } from "./verdict.ts";

export interface Artefact {
    readonly name: string;
    /** Holds its files and nothing else. */
    readonly directory: string;
    readonly damages: readonly Damage[];
    /**
     * @param directory  like the artefact's own, with a file damaged
     * @param work  empty, mode 0700
     */
    readonly read: (directory: string, work: string) => Promise<Verdict>;
}

/** With more files than these, at most so many damages are tried. */
const [fewMembers, mostOfMany] = [16, 128];

/** Names of all files, with `/` between directories. */
export async function membersOf(directory: string): Promise<string[]> {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
        .sort();
}

/**
 * The same artefact as its maker would have protected it, swept at the same places. Of a directory of many files, at some of them: each try
 * reads them all, and what it finds does not depend on the place.
 */
export async function withChecksums(artefact: Artefact): Promise<Artefact> {
    const { directory, name } = artefact;
    const members = await membersOf(directory);
    const copy = `${directory}-sums`;
    await materialise(directory, copy);
    const sums = await Promise.all(
        members.map(async (member) => {
            const sha256 = createHash("sha256")
                .update(await readFile(join(directory, member)))
                .digest("hex");
            return { member, text: `${sha256}  ${member}\n` };
        }),
    );
    const [only] = sums;
    if (sums.length === 1 && only !== undefined) await writeFile(join(copy, `${only.member}.sha256`), only.text);
    else await writeFile(join(copy, "SHA256SUMS"), sums.map(({ text }) => text).join(""));
    const every = members.length > fewMembers ? Math.ceil(artefact.damages.length / mostOfMany) : 1;
    const damages = artefact.damages.filter((_, at) => at % every === 0);
    return { ...artefact, name: `${name} with SHA-256 sums`, directory: copy, damages };
}

/** The files under other names, one of them damaged at a time. What reads them must leave them as they are. */
export class Copy {
    private readonly from: string;
    private readonly to: string;
    /** The file that is not as it was. */
    private changed: string | undefined;

    private constructor(from: string, to: string) {
        this.from = from;
        this.to = to;
    }

    public static async make(from: string, to: string): Promise<Copy> {
        await materialise(from, to);
        return new Copy(from, to);
    }

    public async damage(damage: Damage | undefined): Promise<void> {
        await this.mend();
        if (damage === undefined) return;
        const { member } = damage;
        const content = damaged(await readFile(join(this.from, member)), damage);
        this.changed = member;
        // It is a link: writing to it would write to the whole one.
        await rm(join(this.to, member));
        if (content !== undefined) await writeFile(join(this.to, member), content);
    }

    private async mend(): Promise<void> {
        if (this.changed === undefined) return;
        await rm(join(this.to, this.changed), { force: true });
        await link(join(this.from, this.changed), join(this.to, this.changed));
        this.changed = undefined;
    }
}

async function materialise(from: string, to: string): Promise<void> {
    await mkdir(to, { mode: 0o700 });
    for (const member of await membersOf(from)) {
        const path = join(to, member);
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await link(join(from, member), path);
    }
}
