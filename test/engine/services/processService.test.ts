import { expect } from "chai";
import { spawn } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { processService } from "../../../engine/services/processService.ts";
import { serviceControl } from "../../../engine/services/service.ts";
import {
    recordedProcess,
    stoppedService,
    type RecordedProcess,
    type StoppedService,
} from "../../../engine/services/serviceControl.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { isAlive, readProcess } from "../../../engine/machines/procfs.ts";
import { looksLikeSynapse } from "../../../engine/services/synapseProcess.ts";
import { expectError } from "../../support/expectError.ts";
import { fakeSynapse, type FakeSynapse } from "./fakeSynapse.ts";
import { untilItPasses } from "../../support/waiting.ts";

const processIn = (stopped: StoppedService): RecordedProcess | undefined =>
    stopped.kind === "process" ? stopped.process : undefined;

describe("a homeserver that is a process", () => {
    let fake: FakeSynapse;
    const quick = { settleSeconds: 0.2, stopSeconds: 5, startSeconds: 15, foregroundSeconds: 0.5 };
    const control = (options = {}) =>
        processService({ kind: "process", pidFile: fake.pidFile }, thisMachine, { ...quick, ...options });

    beforeEach(async () => {
        fake = await fakeSynapse();
    });
    afterEach(() => fake.remove());

    it("is stopped and started again with the same command line, directory, user, groups, umask and known variables", async () => {
        const user = { uid: 65534, gid: 65534, groups: [65534, 33] };
        const pid = await fake.start({ user, environment: { LC_ALL: "C", REGISTRATION_SECRET: "hunter2hunter2" } });
        const before = await fake.told();
        const stopped = await control().stop();
        expect(await readProcess(thisMachine, pid)).to.equal(undefined);
        expect(processIn(stopped)).to.deep.include({ pid, uid: 65534, gid: 65534, umask: 0o27, workingDirectory: "/" });
        expect(processIn(stopped)?.argv).to.deep.equal([...fake.argv]);

        await control().start(stoppedService.parse(JSON.parse(JSON.stringify(stopped))));
        const after = await untilItPasses(fake.told);
        expect(after["pid"]).not.to.equal(pid);
        expect(Number((await readFile(fake.pidFile, "utf8")).trim())).to.equal(after["pid"]);
        expect({ ...after, pid, names: [] }).to.deep.equal({ ...before, names: [] });
        expect(after["names"]).to.include("LC_ALL");
    });

    it("keeps the names of other variables and no value of theirs", async () => {
        await fake.start({ environment: { REGISTRATION_SECRET: "hunter2hunter2" } });
        const { record } = await control().status();
        expect(processIn(record)?.otherVariables).to.include("REGISTRATION_SECRET");
        expect(JSON.stringify(record)).not.to.contain("hunter2");
    });

    it("tells in its status how it runs, without stopping it", async () => {
        await fake.configure({ port: 0 });
        const pid = await fake.start();
        const status = await serviceControl({ kind: "process", pidFile: fake.pidFile }, thisMachine).status();
        expect(status.running).to.equal(true);
        expect(status.evidence).to.have.length(1);
        expect(status.evidence[0]).to.match(new RegExp(`^process ${pid}: /usr/bin/python3 -m synapse.app.homeserver`));
        expect(recordedProcess.parse(processIn(status.record)).ports).to.have.length(1);
        expect(await readProcess(thisMachine, pid)).not.to.equal(undefined);
    });

    it("stays stopped when it was not running", async () => {
        expect(await control().status()).to.deep.include({ running: false, record: { kind: "process" } });
        const stopped = await control().stop();
        expect(stopped).to.deep.equal({ kind: "process" });
        await control().start(stopped);
        expect(await fake.processes()).to.deep.equal([]);
    });

    it("is not started twice", async () => {
        const pid = await fake.start();
        const { record } = await control().status();
        await control().start(record);
        expect((await fake.processes()).map((found) => found.pid)).to.deep.equal([pid]);
    });

    it("refuses with SM-E0710 to signal a process that got the number of an ended homeserver", async () => {
        const other = spawn("sleep", ["60"]);
        try {
            await writeFile(fake.pidFile, `${other.pid ?? 0}\n`);
            const error = await expectError("SM-E0710", () => control().stop());
            expect(error.detail.found).to.contain("sleep 60");
            expect(other.exitCode).to.equal(null);
            expect(await readProcess(thisMachine, other.pid ?? 0)).not.to.equal(undefined);
        } finally {
            other.kill("SIGKILL");
            await once(other, "exit");
        }
    });

    it("refuses a pid file that holds no number with SM-E0710", async () => {
        await writeFile(fake.pidFile, "unix:/run/synapse\n");
        await expectError("SM-E0710", () => control().stop());
    });

    it("reports SM-E0711 and kills nothing when it does not end in time", async () => {
        await fake.configure({ stubborn: true });
        const pid = await fake.start();
        await expectError("SM-E0711", () => control({ stopSeconds: 0.3 }).stop());
        expect(await readProcess(thisMachine, pid)).not.to.equal(undefined);
    });

    it("waits for the processes below it as well", async () => {
        await fake.configure({ children: ["stubborn"] });
        const pid = await fake.start();
        const error = await expectError("SM-E0711", () => control({ stopSeconds: 0.5 }).stop());
        expect(await readProcess(thisMachine, pid)).to.equal(undefined);
        expect(error.detail.found).to.match(/^process \d+: /);
    });

    it("refuses with SM-E0702 before it stops anything while a worker of the same configuration runs", async () => {
        const pid = await fake.start();
        const worker = ["/usr/bin/python3", "-m", "synapse.app.generic_worker", "-c", fake.configFile];
        const workerPid = await fake.start({ argv: worker });
        const error = await expectError("SM-E0702", () => control().stop());
        expect(error.detail.found).to.contain(`process ${workerPid}: /usr/bin/python3 -m synapse.app.generic_worker`);
        expect(error.block).to.contain("nothing was changed");
        expect(await readProcess(thisMachine, pid)).not.to.equal(undefined);
    });

    it("reports SM-E0702 when a watchdog starts it again", async () => {
        const pid = await fake.start();
        const watchdog = (async () => {
            await untilItPasses(async () => {
                if ((await readProcess(thisMachine, pid)) !== undefined) throw new Error("still there");
            });
            await fake.start();
        })();
        const error = await expectError("SM-E0702", () => control({ settleSeconds: 5 }).stop());
        expect(error.detail.found).to.contain("synapse.app.homeserver");
        expect(error.detail.changed).to.contain("was stopped");
        await watchdog;
    });

    it("reports SM-E0702 when something else takes its port", async () => {
        await fake.configure({ port: 0 });
        const pid = await fake.start();
        const port = processIn((await control().status()).record)?.ports[0] ?? 0;
        const server = createServer();
        const taken = untilItPasses(async () => {
            if ((await readProcess(thisMachine, pid)) !== undefined) throw new Error("still there");
            server.listen(port, "127.0.0.1");
            await once(server, "listening");
        });
        try {
            const error = await expectError("SM-E0702", () => control({ settleSeconds: 5 }).stop());
            expect(error.detail.found).to.equal(`something listens on port ${port} again`);
            await taken;
            expect((server.address() as AddressInfo).port).to.equal(port);
        } finally {
            server.close();
        }
    });

    it("refuses with SM-E0712 to stop a daemon whose relative configuration path has lost its directory", async () => {
        const pid = await fake.start({
            argv: ["/usr/bin/python3", "-m", "synapse.app.homeserver", "-c", "homeserver.yaml", "--daemonize"],
        });
        const error = await expectError("SM-E0712", () => control().stop());
        expect(error.detail.found).to.contain("/homeserver.yaml is not found");
        expect(error.detail.fix).to.contain("source.service.command");
        const found = await readProcess(thisMachine, pid);
        expect(found).not.to.equal(undefined);
        process.kill(pid, "SIGKILL");
    });

    it("is started by the given command instead, where there is one", async () => {
        const relative = ["/usr/bin/python3", "-m", "synapse.app.homeserver", "-c", "homeserver.yaml", "--daemonize"];
        await fake.start({ argv: relative });
        const command = ["env", `PYTHONPATH=${join(fake.directory, "packages")}`, ...fake.argv];
        const given = processService({ kind: "process", pidFile: fake.pidFile, command }, thisMachine, quick);
        const stopped = await given.stop();
        await given.start(stopped);
        expect((await fake.processes()).map(({ argv }) => argv)).to.deep.equal([[...fake.argv]]);
    });

    it("gets its pid file from us when it stays in the foreground", async () => {
        const pid = await fake.start({ argv: fake.argv.slice(0, -1) });
        await writeFile(fake.pidFile, String(pid));
        const stopped = await control().stop();
        await rm(fake.pidFile);
        await control().start(stopped);
        const now = Number(await readFile(fake.pidFile, "utf8"));
        expect((await fake.processes()).map((found) => found.pid)).to.deep.equal([now]);
    });

    it("reports SM-E0712 with the last lines of its log when it does not come up again", async () => {
        await fake.start();
        const stopped = await control().stop();
        await fake.configure({ fails: true });
        const error = await expectError("SM-E0712", () => control().start(stopped));
        expect(error.detail.found).to.contain("exit code 3");
        expect(error.detail.found).to.contain("IncorrectDatabaseSetup");
    });
});

describe("a command line", () => {
    it("is Synapse's when it names one of its programs", () => {
        expect(looksLikeSynapse(["/venv/bin/python", "-m", "synapse.app.homeserver", "-c", "x"])).to.equal(true);
        expect(looksLikeSynapse(["/venv/bin/python", "/venv/bin/synapse_homeserver", "-c", "x"])).to.equal(true);
        expect(looksLikeSynapse(["python", "/src/synapse/app/generic_worker.py"])).to.equal(true);
    });

    it("is not Synapse's when it only mentions one", () => {
        expect(looksLikeSynapse(["vim", "notes", "synapse.app.homeserver"])).to.equal(false);
        expect(looksLikeSynapse(["tail", "-f", "/var/log/synapse_homeserver"])).to.equal(false);
        expect(looksLikeSynapse([""])).to.equal(false);
    });

    it("of a process that has ended tells nothing", async () => {
        expect(await isAlive(thisMachine, { pid: 2 ** 22 + 1, startTicks: "1" })).to.equal(false);
    });
});
