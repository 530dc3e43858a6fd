/** The record of a source's fence beside the SQLite file that its rows are in: a file of its own, as nothing is ever written into that one. */
import { randomBytes } from "node:crypto";
import type { Machine } from "../../machines/machine.ts";
import { placeOn } from "../../machines/placeOn.ts";
import { parseSourceRecord, type RecordPlace, type SourceRecord } from "../sourceRecord.ts";

/** A record takes a few hundred bytes. */
const atMostBytes = 65_536;
const linkSeconds = 30;
/** Of a first record that somebody else's comes before; then there is one to meet. */
const attempts = 3;

export const recordFile = (database: string): string => `${database}.synapse-migration`;

/** @param database  path of `homeserver.db` on the machine, without links */
export function recordBesideFile(machine: Machine, database: string): RecordPlace {
    const path = recordFile(database);
    const read = async (): Promise<SourceRecord | undefined> => {
        if ((await machine.files.lstat(path)) === undefined) return undefined;
        const { content } = await machine.files.read(path, { atMost: atMostBytes, followLinks: false });
        return parseSourceRecord(content.toString("utf8"), placeOn(machine, path));
    };
    return {
        read,
        async change(change) {
            for (let attempt = 1; ; attempt += 1) {
                const found = await read();
                const changed = change(found);
                if (JSON.stringify(changed) === JSON.stringify(found)) return changed;
                if (changed === undefined) await machine.files.remove(path);
                else if (found !== undefined) await machine.files.write(path, `${JSON.stringify(changed)}\n`);
                else if (!(await placedFirst(machine, path, `${JSON.stringify(changed)}\n`))) {
                    if (attempt === attempts) throw new Error(`${path} is written and removed by somebody else`);
                    continue;
                }
                return changed;
            }
        },
    };
}

/** A name is linked only where it is not there yet: of two that write the first record one comes too late. */
async function placedFirst(machine: Machine, path: string, content: string): Promise<boolean> {
    const ours = `${path}.${randomBytes(6).toString("hex")}`;
    await machine.files.write(ours, content);
    try {
        await machine.run("ln", ["--", ours, path], { timeoutSeconds: linkSeconds });
        return true;
    } catch (error) {
        if ((await machine.files.lstat(path)) !== undefined) return false;
        throw error;
    } finally {
        await machine.files.remove(ours);
    }
}
