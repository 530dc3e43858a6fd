/**
 * Loaded into every step of a stack under test (`NODE_OPTIONS=--import`): fills the file system of `SYNAPSE_MIGRATION_TEST_FILL`, a directory, right after
 * a step has noted that it begins, once for each step. Which were met is remembered beside that directory.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, statfsSync, writeSync } from "node:fs";
import { execFileSync } from "node:child_process";
import fsp from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";

const directory = process.env.SYNAPSE_MIGRATION_TEST_FILL;
const isStep = /steps\/(cli\.ts|synapse-migrate\.mjs)$/.test(process.argv[1] ?? "");

if (directory !== undefined && isStep) {
    const open = fsp.open;
    fsp.open = async (path, ...rest) => {
        const file = await open(path, ...rest);
        if (!/\/runs\/[a-z0-9]+\/journal\.jsonl$/.test(String(path))) return file;
        const sync = file.sync.bind(file);
        file.sync = async () => {
            await sync();
            const last = JSON.parse(readFileSync(path, "utf8").trimEnd().split("\n").at(-1));
            if (last.kind === "intent" && isFirst(last.step)) fill();
        };
        return file;
    };
    syncBuiltinESMExports();
}

function isFirst(step) {
    try {
        mkdirSync(join(`${directory}.filled`, step));
        return true;
    } catch {
        return false;
    }
}

/** All but the last blocks at once, then block by block until the kernel refuses. */
function fill() {
    const ballast = join(directory, `ballast.${process.pid}`);
    const { bavail, bsize } = statfsSync(directory);
    const most = (bavail - 64) * bsize;
    if (most > 0) execFileSync("fallocate", ["--length", String(most), ballast]);
    const file = openSync(ballast, "a");
    try {
        for (;;) {
            writeSync(file, Buffer.alloc(bsize, 1));
            fsyncSync(file);
        }
    } catch (error) {
        if (error.code !== "ENOSPC") throw error;
    } finally {
        closeSync(file);
    }
}
