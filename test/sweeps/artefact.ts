/** What is swept: the files of an artefact, where they are damaged, and how they are read. */
import { createHash } from "node:crypto";
import { link, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
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
    /** Whether SHA-256 sums lie beside it. */
    readonly checksums?: boolean;
}

/** Names of all files, with `/` between directories. */
export async function membersOf(directory: string): Promise<string[]> {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
        .sort();
}

/** The same artefact as its maker would have protected it, swept at the same places. */
export async function withChecksums(artefact: Artefact): Promise<Artefact> {
    const { directory, name } = artefact;
    const members = await membersOf(directory);
    const copy = `${directory}-sums`;
    await materialise(directory, copy, undefined);
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
    return { ...artefact, name: `${name} with SHA-256 sums`, directory: copy, checksums: true };
}

/** The files under other names; the damaged one is a file of its own. */
export async function materialise(from: string, to: string, damage: Damage | undefined): Promise<void> {
    await mkdir(to, { mode: 0o700 });
    for (const member of await membersOf(from)) {
        const path = join(to, member);
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        if (damage?.member !== member) {
            await link(join(from, member), path);
            continue;
        }
        const content = damaged(await readFile(join(from, member)), damage);
        if (content !== undefined) await writeFile(path, content);
    }
}
