/** A homeserver that keeps its rows in an SQLite file and is run by Compose on another machine: found, fenced, its file brought here, given back. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import {
    assessContract,
    fenceContract,
    takeFileContract,
    type RunReference,
    type SelfHostedSource,
} from "../../contract/index.ts";
import { discover } from "../../engine/discover/discover.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { closeMachines, openMachine } from "../../engine/machines/openMachine.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../rehearsal/directory.ts";
import { installComposeSynapse, type ComposeSynapse } from "../../rehearsal/machines/composeSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { assess } from "../../steps/assess/assess.ts";
import { fence } from "../../steps/migrate/fence.ts";
import { takeFile } from "../../steps/migrate/takeFile.ts";
import { synapsePython } from "../engine/sqlite/sqliteSource.ts";
import { expectError } from "../support/expectError.ts";
import { done, undone } from "../support/migrationSpecs.ts";
import { smallPopulation } from "../support/synapse.ts";
import { untilTrue } from "../support/waiting.ts";

describe("a homeserver on SQLite that Compose runs, its file in a volume", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: ComposeSynapse;
    let python: string;
    let run: RunReference;
    const rows = "SELECT count(*), max(stream_ordering) FROM events";
    const source = (): SelfHostedSource => ({
        ...{ kind: "selfHosted", serverName: synapse.serverName, homeserverConfig: [...synapse.configPaths] },
        ...{ machine: describeMachine(machine, "sudo"), service: synapse.service },
    });
    const taking = (fenceToken?: string) => ({
        ...{ run, source: source(), targetPython: python },
        ...(fenceToken === undefined ? {} : { fenceToken }),
    });
    const assessing = () => ({
        ...{ run, source: source(), targetPython: python, targetDirectory: join(directory, "target") },
        ...{ copy: { mode: "port" }, quick: false, enforce: false, acknowledged: ["SM-W0745"] },
    });
    let directory: string;

    before(async () => {
        python = await synapsePython();
        directory = makeRehearsalDirectory();
        run = { id: "r1", directory: join(directory, "runs", "r1") };
        machine = await bootMachine({ name: "sqlite" });
        synapse = await installComposeSynapse(machine, {
            ...{ database: "sqlite", data: "volume", population: smallPopulation },
        });
    });
    afterEach(() => closeMachines());
    after(async () => {
        await machine.end();
        await removeRehearsalDirectory(directory);
    });

    it("has one container, and is found with its file", async () => {
        expect(await machine.run(["docker", "ps", "--format", "{{.Names}}"])).to.equal(`${synapse.container}\n`);
        const { homeservers } = (await discover(openMachine(describeMachine(machine)))).discovery;
        const [found] = homeservers;
        expect(found?.serverName).to.equal(synapse.serverName);
        expect(found?.database).to.deep.include({ kind: "sqlite", path: "/data/homeserver.db" });
        expect(found?.database?.kind === "sqlite" && found.database.sizeBytes).to.be.greaterThan(100_000);
    });

    it("comes back with its machine as the server that it was", async () => {
        const events = await synapse.query("SELECT count(*), max(stream_ordering) FROM events");
        expect(Number(events.split("|")[0])).to.be.greaterThan(smallPopulation.messages);
        await closeMachines();
        await machine.reboot();
        await untilTrue(() => synapse.answers());
        expect(await synapse.query("SELECT count(*), max(stream_ordering) FROM events")).to.equal(events);
        const { baseUrl, expectations } = synapse;
        if (expectations === undefined) throw new Error("it was not filled");
        const progress = lineProgress("check", () => undefined, redact);
        const results = await checkHomeserver({ baseUrl, expectations, progress });
        expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);
    });

    it("is looked at and copied while it serves, and nothing of ours is left on its machine", async () => {
        const { findings, notRun } = await done(assess, assessing(), assessContract.result);
        expect(findings.filter(({ severity }) => severity === "error")).to.deep.equal([]);
        expect(notRun, "there is no target yet").to.deep.equal(["target-clock"]);
        const { file } = await done(takeFile, taking(), takeFileContract.result);
        expect(await rowsOf(file)).to.equal(await synapse.query(rows));
        expect(await synapse.answers()).to.equal(true);
        await undone(takeFile, taking());
        expect(await machine.run(["find", "/var/tmp", "-name", "synapse-migration-*"])).to.equal("");
    });

    it("refuses a stack that would copy it from server to server (SM-E0505)", async () => {
        const direct = { ...assessing(), copy: { mode: "direct" } };
        await expectError("SM-E0505", () => done(assess, direct, assessContract.result));
    });

    it("is stopped for good, its file brought here as it stands, and serves again when it is given back", async () => {
        const spec = { run, source: source() };
        const { token } = await done(fence, spec, fenceContract.result);
        await synapse.compose("up", "--detach").catch(() => "");
        await untilTrue(
            async () => !(await machine.run(["docker", "ps", "--format", "{{.Names}}"])).includes("synapse"),
        );
        await closeMachines();
        await machine.reboot();
        await refuseUnlessStillFenced(source(), token, run);
        // Made anew, a container is not the one that is held.
        await synapse.compose("up", "--detach", "--force-recreate", "--no-start");
        await machine.run(["docker", "start", synapse.container]);
        await untilTrue(async () =>
            (await synapse.compose("logs", "synapse")).includes("attempt to write a readonly database"),
        );
        expect(await synapse.answers()).to.equal(false);
        await synapse.compose("stop", "--timeout", "10");
        const { file } = await done(takeFile, taking(token), takeFileContract.result);
        const digest = createHash("sha256")
            .update(await readFile(file))
            .digest("hex");
        const volume = (
            await machine.run(["docker", "volume", "inspect", "--format", "{{.Mountpoint}}", "matrix_data"])
        ).trim();
        expect(await machine.run(["sha256sum", `${volume}/homeserver.db`])).to.contain(digest);
        await undone(takeFile, taking(token));
        await undone(fence, spec);
        await untilTrue(() => synapse.answers());
        expect(await machine.run(["ls", volume])).not.to.contain("synapse-migration");
    });

    it("does not stay fenced once somebody there has opened its file, who is named with the machine", async () => {
        const spec = { run, source: source() };
        const { token } = await done(fence, spec, fenceContract.result);
        const unit = [
            "systemd-run",
            "--unit=somebody",
            "--property=BindPaths=/var/lib/docker/volumes/matrix_data/_data:/mnt",
        ];
        await machine.run([...unit, "tail", "--follow", "/mnt/homeserver.db"]);
        await untilTrue(async () => (await machine.run(["pgrep", "--count", "tail"]).catch(() => "0")).trim() !== "0");
        const { detail } = await expectError("SM-E0702", () => refuseUnlessStillFenced(source(), token, run));
        expect(detail.found).to.contain("tail").and.to.contain(machine.address);
        await machine.run(["systemctl", "stop", "somebody.service"]);
        await refuseUnlessStillFenced(source(), token, run);
        await undone(fence, spec);
        await untilTrue(() => synapse.answers());
    });

    async function rowsOf(file: string): Promise<string> {
        const program = `import sqlite3, sys\nfor row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*row, sep="|")`;
        return (await runProgram(python, ["-c", program, file, rows], { timeoutSeconds: 30 })).stdout;
    }
});
