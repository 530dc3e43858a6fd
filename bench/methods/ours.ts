/** What this project does instead. */
import { inOwnProcess, taskBase } from "../ownProcess.ts";
import type { Bench, Measurement, Method } from "./method.ts";
import { encryptedDump } from "./programs.ts";

/** `rows`, `indexes` and `hashes` overlap. */
export const direct: Method = {
    id: "direct",
    title: "copy: direct",
    fillsTarget: true,
    measure: (bench, database) => inOwnProcess({ kind: "direct", ...taskBase(bench, database) }),
};

export const load: Method = {
    id: "load",
    title: "the dump of a2 by our loader",
    fillsTarget: true,
    async measure(bench, database) {
        const dump = await encryptedDump(bench);
        return inOwnProcess({ kind: "load", ...taskBase(bench, database), dump, passphraseFile: bench.passphraseFile });
    },
};

/** Every row of both sides, compared. */
export function verify(bench: Bench, database: string): Promise<Measurement> {
    return inOwnProcess({ kind: "verify", ...taskBase(bench, database) });
}
