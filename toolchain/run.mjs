#!/usr/bin/env node
/**
 * Runs a TypeScript program of this project, right after `git clone` too: `node toolchain/run.mjs <script.ts> [arguments]`.
 *
 * Installs the npm packages when they are not those of package-lock.json. Plain JavaScript on what Node brings, because it runs
 * before there is anything else. The program's exit code or signal becomes its own.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { refuseOldNode } from "./nodeGuard.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lockFile = join(root, "package-lock.json");
const stampFile = join(root, "node_modules", ".package-lock.sha256");
/** npm's own record of what it installed. */
const recordFile = join(root, "node_modules", ".package-lock.json");

const say = (line) => console.error(`[toolchain] ${line}`);

/** Whether npm's record names every package of the lock file in the same version; optional ones may be absent. */
function recordMatches() {
    if (!existsSync(recordFile)) return false;
    const wanted = JSON.parse(readFileSync(lockFile, "utf8")).packages;
    const installed = JSON.parse(readFileSync(recordFile, "utf8")).packages;
    return Object.entries(wanted).every(([path, entry]) => {
        if (path === "") return true;
        const found = installed[path];
        if (found === undefined) return entry.optional === true;
        return found.version === entry.version && found.integrity === entry.integrity;
    });
}

/** The process's end: `{ code, signal }`. SIGINT and SIGTERM that reach us are passed on. */
function runToEnd(program, args, options) {
    return new Promise((settle, fail) => {
        const child = spawn(program, args, { stdio: "inherit", ...options });
        const forward = (signal) => {
            // A terminal sends ^C to the whole group; passed on it would count as the second one, which kills.
            if (signal === "SIGINT" && process.stdin.isTTY) return;
            child.kill(signal);
        };
        for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward);
        child.once("error", fail);
        child.once("exit", (code, signal) => {
            for (const each of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(each, forward);
            settle({ code, signal });
        });
    });
}

function endAs({ code, signal }) {
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
}

/** Makes node_modules what package-lock.json says, unless it is. */
async function installPackages() {
    const stamp = createHash("sha256").update(readFileSync(lockFile)).digest("hex");
    if (existsSync(stampFile) && readFileSync(stampFile, "utf8").trim() === stamp) return true;
    if (!recordMatches()) {
        const started = Date.now();
        say("installing the npm packages of package-lock.json (npm ci --ignore-scripts)");
        const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        const end = await runToEnd("npm", args, { cwd: root, stdio: ["ignore", 2, 2] });
        if (end.code !== 0) {
            say("npm ci failed: its message is above. Does the registry answer? Nothing else was started.");
            endAs(end);
            return false;
        }
        say(`installed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
    }
    writeFileSync(stampFile, `${stamp}\n`);
    return true;
}

const [script, ...args] = process.argv.slice(2);
if (script === undefined) {
    say("usage: node toolchain/run.mjs <script.ts> [arguments]");
    process.exit(2);
}
refuseOldNode();
if (await installPackages()) {
    endAs(
        await runToEnd(process.execPath, ["--import", import.meta.resolve("tsx"), resolve(root, script), ...args], {}),
    );
}
