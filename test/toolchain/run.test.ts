import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { execa } from "execa";
import { nodeProblem } from "../../toolchain/runtimeRules.ts";

const root = dirname(dirname(import.meta.dirname));

/** Installs nothing: makes what npm would, and counts how often it was called. */
const fakeNpm = `#!/usr/bin/env node
import { appendFileSync, mkdirSync, symlinkSync } from "node:fs";
appendFileSync("npm-calls", process.argv.slice(2).join(" ") + "\\n");
if (process.env.NPM_FAILS) process.exit(4);
mkdirSync("node_modules", { recursive: true });
try { symlinkSync(${JSON.stringify(join(root, "node_modules", "tsx"))}, "node_modules/tsx"); } catch {}
`;

describe("toolchain/run.mjs", function () {
    this.timeout(20_000);
    let directory: string;
    const run = (
        environment: Record<string, string>,
        ...args: string[]
    ): Promise<{ exitCode?: number; stdout: string; stderr: string }> =>
        execa(process.execPath, [join(directory, "toolchain/run.mjs"), ...args], {
            env: { PATH: `${join(directory, "bin")}:${process.env["PATH"] ?? ""}`, ...environment },
            reject: false,
            stdin: "ignore",
            timeout: 15_000,
        });
    const npmCalls = async (): Promise<string[]> =>
        (await readFile(join(directory, "npm-calls"), "utf8").catch(() => ""))
            .split("\n")
            .filter((line) => line !== "");

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-run-"));
        for (const folder of ["toolchain", "bin"]) await mkdir(join(directory, folder));
        for (const name of ["toolchain/run.mjs", "toolchain/nodeGuard.mjs"])
            await cp(join(root, name), join(directory, name));
        await writeFile(join(directory, "bin/npm"), fakeNpm, { mode: 0o755 });
        await writeFile(
            join(directory, "package.json"),
            JSON.stringify({ type: "module", engines: { node: ">=20.0.0" } }),
        );
        await writeFile(join(directory, "package-lock.json"), JSON.stringify({ packages: { "": {} } }));
        await writeFile(
            join(directory, "script.ts"),
            `const [what, ...rest]: string[] = process.argv.slice(2);
            if (what === "wait") { setInterval(() => undefined, 1000); process.on("SIGTERM", () => process.exit(9)); }
            console.log(JSON.stringify(rest));
            if (what === "die") process.kill(process.pid, "SIGKILL");
            if (what === "seven") process.exitCode = 7;`,
        );
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    it("installs the packages first, once, and passes on arguments and exit code", async () => {
        const { exitCode, stdout, stderr } = await run({}, "script.ts", "seven", "a b", "--c");
        expect([exitCode, stdout], stderr).to.deep.equal([7, '["a b","--c"]']);
        expect(stderr).to.match(/installed in \d+\.\d s/);
        await run({}, "script.ts");
        expect(await npmCalls()).to.have.length(1);
        expect((await npmCalls())[0]).to.match(/^ci --ignore-scripts/);
    });

    it("installs them again when package-lock.json changed", async () => {
        await run({}, "script.ts");
        await writeFile(
            join(directory, "package-lock.json"),
            JSON.stringify({ packages: { "": {}, "node_modules/x": { version: "1" } } }),
        );
        await run({}, "script.ts");
        expect(await npmCalls()).to.have.length(2);
    });

    it("does not install what npm's own record says is there", async () => {
        await run({}, "script.ts");
        const packages = { "node_modules/x": { version: "1", integrity: "i" } };
        const optional = { "node_modules/y": { version: "1", optional: true } };
        await writeFile(
            join(directory, "package-lock.json"),
            JSON.stringify({ packages: { "": {}, ...packages, ...optional } }),
        );
        await writeFile(join(directory, "node_modules/.package-lock.json"), JSON.stringify({ packages }));
        expect((await run({}, "script.ts")).exitCode).to.equal(0);
        expect(await npmCalls()).to.have.length(1);
    });

    it("starts nothing when the installation fails, and ends as it did", async () => {
        const { exitCode, stdout, stderr } = await run({ NPM_FAILS: "1" }, "script.ts");
        expect([exitCode, stdout]).to.deep.equal([4, ""]);
        expect(stderr).to.include("npm ci failed");
    });

    it("refuses a Node that is too old, before anything else", async () => {
        await writeFile(join(directory, "package.json"), JSON.stringify({ engines: { node: ">=99.1.0" } }));
        const { exitCode, stderr } = await run({}, "script.ts");
        expect(exitCode).to.equal(2);
        expect(stderr).to.match(/^SM-E0224[\s\S]* expected Node 99\.1\.0 or newer/);
        expect(await npmCalls()).to.deep.equal([]);
    });

    it("asks for a script when none is named", async () => {
        expect((await run({})).exitCode).to.equal(2);
    });

    it("passes on signals, and ends by the signal that ended the script", async () => {
        await run({}, "script.ts");
        const env = { ...process.env, PATH: `${join(directory, "bin")}:${process.env["PATH"] ?? ""}` };
        const waiting = spawn(process.execPath, [join(directory, "toolchain/run.mjs"), "script.ts", "wait"], { env });
        await once(waiting.stdout, "data");
        waiting.kill("SIGTERM");
        expect(await once(waiting, "exit")).to.deep.equal([9, null]);
        const dying = spawn(process.execPath, [join(directory, "toolchain/run.mjs"), "script.ts", "die"], { env });
        expect(await once(dying, "exit")).to.deep.equal([null, "SIGKILL"]);
    });
});

describe("a Node that is too old", function () {
    this.timeout(20_000);
    /** Makes Node say that it is 18.20.4, before anything of ours is loaded. */
    const older = `data:text/javascript,${encodeURIComponent(
        'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "18.20.4" } });',
    )}`;

    for (const [script, ...args] of [
        ["toolchain/run.mjs", "toolchain/main.ts", "doctor"],
        ["steps/synapse-migrate.mjs", "status", "/nowhere"],
    ] as const) {
        it(`is refused by ${script} with the block of SM-E0224, and nothing else is loaded`, async () => {
            const { exitCode, stdout, stderr } = await execa(
                process.execPath,
                ["--import", older, join(root, script), ...args],
                { reject: false, stdin: "ignore", timeout: 15_000 },
            );
            const problem = nodeProblem("18.20.4", process.execPath);
            expect([exitCode, stdout, stderr]).to.deep.equal([problem?.exitCode, "", problem?.block]);
        });
    }
});
