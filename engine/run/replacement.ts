/**
 * Whether a deletion is the second half of a replacement: Pulumi makes the new resource first, which the journal answers for a step that is
 * done, and then deletes the old one. Taking the step back there would end what the new resource stands for.
 */
import { readFile, rm } from "node:fs/promises";
import { writePrivateFile } from "./atomicFile.ts";

/** Pulumi starts its plugin anew for each operation; a person who calls a step by hand has no such parent. */
const plugin = /(^|\/)pulumi-resource-command/;

/** Remembers which operation was answered from the journal. */
export async function rememberAnswer(file: string, caller = callingOperation()): Promise<void> {
    const operation = await caller;
    if (operation !== undefined) await writePrivateFile(file, operation);
}

/** Whether the operation that deletes is the one that was answered; asked once. */
export async function isReplacement(file: string, caller = callingOperation()): Promise<boolean> {
    const [answered, operation] = [await readFile(file, "utf8").catch(() => undefined), await caller];
    await rm(file, { force: true });
    return answered !== undefined && answered === operation;
}

/** The plugin's process, told apart from a later one with its number. Undefined when it is none. */
async function callingOperation(): Promise<string | undefined> {
    const read = (name: string): Promise<string> => readFile(`/proc/${process.ppid}/${name}`, "utf8").catch(() => "");
    const [stat, command, boot] = [
        await read("stat"),
        await read("cmdline"),
        await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => ""),
    ];
    if (!command.split("\0").some((word) => plugin.test(word))) return undefined;
    const startTicks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return startTicks === undefined ? undefined : `${process.ppid} ${startTicks} ${boot.trim()}\n`;
}
