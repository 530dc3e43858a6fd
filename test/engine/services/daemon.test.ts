import { expect } from "chai";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
    exactly,
    runningDaemon,
    startDaemon,
    startDetached,
    stopDaemon,
    waitUntilReady,
    type DaemonOptions,
} from "../../../engine/services/daemon.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { readProcess } from "../../../engine/machines/procfs.ts";
import { expectError } from "../../support/expectError.ts";
import { untilItPasses } from "../../support/waiting.ts";

describe("a server of ours", () => {
    let directory: string;
    let options: DaemonOptions;
    /** Tells last: who waits for that has a server that is all it will be. */
    const running = (extra: string) =>
        `import fs from "node:fs"; setInterval(() => 0, 60000); ${extra}; fs.writeFileSync(process.argv[2], JSON.stringify(process.env));`;

    const define = async (extra = ""): Promise<void> => {
        const script = join(directory, "server.mjs");
        await writeFile(script, running(extra));
        options = {
            program: process.execPath,
            args: [script, join(directory, "told")],
            workingDirectory: "/",
            pidFile: join(directory, "server.pid"),
            logFile: join(directory, "server.log"),
        };
    };
    const told = () => untilItPasses(() => readFile(join(directory, "told"), "utf8"));

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "daemon-"));
        await define();
    });
    afterEach(async () => {
        await stopDaemon(options.pidFile, exactly(options), { graceSeconds: 0, kill: true });
        await rm(directory, { recursive: true });
    });

    it("is started once, is found again, and is stopped", async () => {
        const first = await startDaemon(options);
        expect(await startDaemon(options)).to.deep.include({ pid: first.pid, startTicks: first.startTicks });
        expect(await runningDaemon(options.pidFile, exactly(options))).to.not.equal(undefined);
        expect(await stopDaemon(options.pidFile, exactly(options), { graceSeconds: 5 })).to.equal(true);
        expect(await runningDaemon(options.pidFile, exactly(options))).to.equal(undefined);
        expect(await stopDaemon(options.pidFile, exactly(options), { graceSeconds: 5 })).to.equal(false);
    });

    it("is found by its command line when its pid file was never written", async () => {
        const first = await startDaemon(options);
        await told();
        await rm(options.pidFile);
        expect((await startDaemon(options)).pid).to.equal(first.pid);
        expect(await runningDaemon(options.pidFile, exactly(options))).to.not.equal(undefined);
    });

    it("is not mistaken for a later process with its number", async () => {
        const { pid } = await startDaemon(options);
        const other = exactly({ ...options, args: ["another"] });
        const file = join(directory, "other.pid");
        await writeFile(file, `${pid} 1\n`);
        expect(await runningDaemon(file, other)).to.equal(undefined);
        expect(await stopDaemon(file, other, { graceSeconds: 1, kill: true })).to.equal(false);
        expect(await runningDaemon(options.pidFile, exactly(options))).to.not.equal(undefined);
    });

    it("is no process that its pid file names and that is another program: that one is never signalled", async () => {
        const { pid, startTicks } = await startDaemon(options);
        const file = join(directory, "other.pid");
        await writeFile(file, `${pid} ${startTicks}\n`, { mode: 0o600 });
        const other = exactly({ ...options, args: ["another"] });
        expect(await runningDaemon(file, other)).to.equal(undefined);
        expect(await stopDaemon(file, other, { graceSeconds: 1, kill: true })).to.equal(false);
        expect(await readProcess(thisMachine, pid)).to.not.equal(undefined);
    });

    it("gets nothing of our environment but what finds programs", async () => {
        process.env["CANARY_SECRET"] = "never passed on";
        try {
            await startDaemon({ ...options, environment: { ADDED: "yes" } });
            const environment = JSON.parse(await told()) as Record<string, string>;
            expect(environment).to.include({ ADDED: "yes", LANG: "C.UTF-8" });
            expect(environment).not.to.have.property("CANARY_SECRET");
        } finally {
            delete process.env["CANARY_SECRET"];
        }
    });

    it("runs as the given user, with none of our groups, and writes to a log that is ours alone", async () => {
        await promisify(execFile)("chmod", ["0777", directory]);
        options = { ...options, user: { uid: 65534, gid: 65534 } };
        const { pid } = await startDaemon(options);
        await told();
        expect(await readProcess(thisMachine, pid)).to.deep.include({ uid: 65534, gid: 65534, groups: [] });
        expect((await stat(options.logFile)).mode & 0o777).to.equal(0o600);
    });

    it("outlives a SIGKILL to the process group that started it", async () => {
        const starter = join(directory, "starter.mts");
        const module = fileURLToPath(new URL("../../../engine/services/daemon.ts", import.meta.url));
        const code = `import { startDaemon } from ${JSON.stringify(module)}; await startDaemon(${JSON.stringify(options)}); process.stdout.write("started"); setInterval(() => 0, 60000);`;
        await writeFile(starter, code);
        const caller = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), starter], {
            detached: true,
            stdio: ["ignore", "pipe", "inherit"],
        });
        await once(caller.stdout, "data");
        process.kill(-(caller.pid ?? 0), "SIGKILL");
        await once(caller, "exit");
        expect(await runningDaemon(options.pidFile, exactly(options))).to.not.equal(undefined);
    });

    it("is killed only when that is allowed", async () => {
        await define(`process.on("SIGTERM", () => 0);`);
        await startDaemon(options);
        await told();
        await expectError("SM-E0711", () => stopDaemon(options.pidFile, exactly(options), { graceSeconds: 0.2 }));
        expect(await runningDaemon(options.pidFile, exactly(options))).to.not.equal(undefined);
        expect(await stopDaemon(options.pidFile, exactly(options), { graceSeconds: 0.2, kill: true })).to.equal(true);
    });

    it("reports SM-E0712 with its last words when it ends instead of answering", async () => {
        await define(`console.error("port is taken"); process.exit(1);`);
        const daemon = await startDaemon(options);
        const waiting = { daemon, ready: () => Promise.resolve(false), timeoutSeconds: 10, logFile: options.logFile };
        const error = await expectError("SM-E0712", () => waitUntilReady(waiting));
        expect(error.detail.found).to.match(/has ended\nport is taken$/);
    });

    it("reports SM-E0712 when it does not answer in time", async () => {
        const daemon = await startDaemon(options);
        const waiting = { daemon, ready: () => Promise.resolve(false), timeoutSeconds: 0.2, logFile: options.logFile };
        expect((await expectError("SM-E0712", () => waitUntilReady(waiting))).detail.found).to.contain(
            "runs and does not answer",
        );
    });

    it("reports SM-E0712 when its program does not exist", async () => {
        const missing = { ...options, program: "/nowhere/server" };
        await expectError("SM-E0712", () => startDaemon(missing));
    });

    it("tells how it ended", async () => {
        const detached = { workingDirectory: "/", environment: {}, logFile: options.logFile };
        const failed = await startDetached({ program: "/bin/false", args: [], ...detached });
        const killed = await startDetached({ program: "/bin/sleep", args: ["60"], ...detached });
        expect(killed.exitCode()).to.equal(undefined);
        process.kill(killed.pid, "SIGKILL");
        await untilItPasses(() =>
            Promise.resolve(expect([failed.exitCode(), killed.exitCode()]).to.deep.equal([1, 128])),
        );
    });
});
