/**
 * Loaded into every step of a stack under test (`NODE_OPTIONS=--import`): kills the step right after it has written a record of its journal, once
 * for each kind of record of each step. `SYNAPSE_MIGRATION_TEST_KILLS` is a directory that remembers which were killed; nothing is killed as long
 * as it is not there. With `SYNAPSE_MIGRATION_TEST_RESUME` the step is run again at once, as the next `pulumi up` would run it.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import fsp from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";

const { SYNAPSE_MIGRATION_TEST_KILLS: kills, SYNAPSE_MIGRATION_TEST_RESUME: resumes } = process.env;
const isStep = /steps\/(cli\.ts|synapse-migrate\.mjs)$/.test(process.argv[1] ?? "");
/** Far more than a step has records. */
const mostAttempts = 100;

if (kills !== undefined && isStep && existsSync(kills)) {
    if (resumes === undefined) killAtRecords();
    else runAgainUntilItEnds();
}

function killAtRecords() {
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

/** The program itself runs below this process, which only looks how it ends. */
function runAgainUntilItEnds() {
    const input = readFileSync(0);
    const env = { ...process.env };
    delete env.SYNAPSE_MIGRATION_TEST_RESUME;
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
        const args = [...process.execArgv, ...process.argv.slice(1)];
        const { status, signal } = spawnSync(process.execPath, args, {
            input,
            env,
            stdio: ["pipe", "inherit", "inherit"],
        });
        if (signal !== "SIGKILL") process.exit(status ?? 1);
    }
    process.exit(1);
}

function isFirst(name) {
    try {
        mkdirSync(join(kills, name));
        return true;
    } catch {
        return false;
    }
}
