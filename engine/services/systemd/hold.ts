/**
 * What keeps a unit from starting: a file in `/etc/systemd/system/<unit>.d` that asserts what is never the case (systemd.unit(5), `AssertPathExists=`).
 *
 * systemd looks at it whenever anything would start the unit: a person, another unit, a timer, itself at boot or after the process has ended.
 * Against `disable` and `mask`, as they were tried with systemd 252:
 *
 * - `mask` is refused for a unit whose file lies in /etc/systemd/system, and undone by whoever writes a file there (a configuration tool);
 * - `mask --runtime` is over at the next boot;
 * - `disable` removes links that `enable` does not make again (`add-wants`), and keeps nobody from `start` and `enable --now`;
 * - this file is in nobody's way, survives reboots, upgrades and `enable --now`, says `Assertion failed` to whoever tries, and whoever removes it
 *   has undone it: nothing else was changed. Only `systemctl revert`, which takes masks away as well, removes it.
 */
import { z } from "zod";
import type { Machine } from "../../machines/machine.ts";
import { orElse } from "../../machines/procText.ts";
import { MigrationError } from "../../run/errors.ts";
import { hasCode } from "../../run/heldDirectory.ts";
import { parseJson } from "../../run/parseJson.ts";

const hold = z.strictObject({
    /** Main unit of the homeserver. */
    of: z.string(),
    unit: z.string(),
    part: z.enum(["main", "worker", "trigger", "target"]),
    /** Whether it ran when it was first held. */
    active: z.boolean(),
});
export type Hold = z.infer<typeof hold>;

const place = "/etc/systemd/system";
/** Read after all others: what is asserted last stays. */
const fileName = "zz-held-by-synapse-migration.conf";
const mostBytes = 64 * 1024;
const makeSeconds = 20;

const directoryOf = (unit: string): string => `${place}/${unit}.d`;
export const holdFile = (unit: string): string => `${directoryOf(unit)}/${fileName}`;

const prefix = "# synapse-migration: ";

function textOf(held: Hold): string {
    return [
        "# This homeserver has been moved, or is being moved, and must not run here as well: its users would lose what either of the two writes.",
        "# To start it here again, roll the move back. Where that cannot be done any more: remove this file, then `systemctl daemon-reload`.",
        `${prefix}${JSON.stringify(held)}`,
        "[Unit]",
        "AssertPathExists=!/",
        "",
    ].join("\n");
}

/**
 * @returns undefined where the unit is not held
 * @throws MigrationError SM-E1424 for a file that says nothing of ours
 */
export async function readHold({ files, name }: Machine, unit: string): Promise<Hold | undefined> {
    const read = await files.read(holdFile(unit), { atMost: mostBytes, followLinks: false }).catch((error: unknown) => {
        if (hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR")) return undefined;
        throw error;
    });
    if (read === undefined) return undefined;
    const line =
        read.content
            .toString("utf8")
            .split("\n")
            .find((one) => one.startsWith(prefix)) ?? "";
    const parsed = hold.safeParse(parseJson(line.slice(prefix.length)));
    if (parsed.success) return parsed.data;
    throw new MigrationError("SM-E1424", {
        where: `${holdFile(unit)} on ${name}`,
        found: "a file that does not say so",
    });
}

/** Every unit that is held for this homeserver, also one that nobody remembers. */
export async function holdsOf(machine: Machine, main: string): Promise<Hold[]> {
    const names = await orElse(machine.files.list(place), []);
    const units = names.filter((name) => name.endsWith(".d")).map((name) => name.slice(0, -2));
    const found = await Promise.all(units.map((unit) => readHold(machine, unit)));
    return found.filter((one) => one?.of === main).filter((one) => one !== undefined);
}

/**
 * Holds a unit. What a hold that is there already says of the time before stays.
 *
 * @throws MigrationError SM-E1423 when it cannot be written, SM-E1424 when another homeserver's hold is there
 */
export async function placeHold(machine: Machine, wanted: Hold): Promise<void> {
    const { unit } = wanted;
    const before = await readHold(machine, unit);
    if (before !== undefined) {
        if (before.of === wanted.of) return;
        throw new MigrationError("SM-E1424", {
            where: `${holdFile(unit)} on ${machine.name}`,
            found: `it is held for ${before.of}`,
            expected: `a hold for ${wanted.of}, or none`,
        });
    }
    try {
        if ((await machine.files.lstat(directoryOf(unit))) === undefined)
            await machine.run("mkdir", ["-m", "755", "--", directoryOf(unit)], { timeoutSeconds: makeSeconds });
        await machine.files.write(holdFile(unit), textOf(wanted), { mode: 0o644 });
    } catch (error) {
        const isRefused = error instanceof MigrationError ? error.code === "SM-E1101" : isSystemError(error);
        if (!isRefused) throw error;
        throw new MigrationError("SM-E1423", {
            where: `${holdFile(unit)} on ${machine.name}`,
            found: error instanceof MigrationError ? error.detail.found : String(error),
            cause: error,
        });
    }
}

const isSystemError = (error: unknown): boolean => error instanceof Error && "code" in error;

/**
 * Lets a unit start again. Its directory goes with the file where nothing else is in it, as it may have been made for that: what has made it
 * may have been killed, and this as well, so that nobody knows any more. An empty one says nothing to systemd.
 */
export async function removeHold(machine: Machine, unit: string): Promise<void> {
    const inIt = await orElse(machine.files.list(directoryOf(unit)), undefined);
    if (inIt === undefined) return;
    // Also what a write has left that was killed.
    const ours = inIt.filter((name) => name.includes(fileName));
    for (const name of ours) await machine.files.remove(`${directoryOf(unit)}/${name}`);
    if (ours.length === inIt.length) await machine.files.remove(directoryOf(unit));
}
