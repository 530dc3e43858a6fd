/**
 * Loaded into every step of a stack under test (`NODE_OPTIONS=--import`): kills the step right after it has written a record of its journal, once
 * for each kind of record of each step. `SYNAPSE_MIGRATION_TEST_KILLS` is a directory that remembers which were killed.
 */
import { mkdirSync } from "node:fs";
import fsp from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";

const kills = process.env.SYNAPSE_MIGRATION_TEST_KILLS;
const isStep = process.argv[1]?.endsWith("steps/cli.ts") === true;

if (kills !== undefined && isStep) {
    const open = fsp.open;
    fsp.open = async (path, ...rest) => {
        const file = await open(path, ...rest);
        // The journal of a run, not its lock and not the copy beside the target.
        if (!/\/runs\/[a-z0-9]+\/journal\.jsonl$/.test(String(path))) return file;
        const sync = file.sync.bind(file);
        file.sync = async () => {
            await sync();
            const last = JSON.parse((await fsp.readFile(path, "utf8")).trimEnd().split("\n").at(-1));
            if (isFirst(`${last.step}.${last.kind}.${last.action ?? ""}`)) process.kill(process.pid, "SIGKILL");
        };
        return file;
    };
    syncBuiltinESMExports();
}

function isFirst(name) {
    try {
        mkdirSync(join(kills, name));
        return true;
    } catch {
        return false;
    }
}
