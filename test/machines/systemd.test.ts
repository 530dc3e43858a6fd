/** A homeserver that systemd runs, on a machine of its own: stopped for good, and given back exactly as it was. */
import { expect } from "chai";
import { closeMachines, openMachine } from "../../engine/machines/openMachine.ts";
import type { Machine } from "../../engine/machines/machine.ts";
import { allProcesses } from "../../engine/machines/procfs.ts";
import { serviceControl } from "../../engine/services/service.ts";
import { ranBefore, stoppedService, type StoppedService } from "../../engine/services/serviceControl.ts";
import { expectError } from "../support/expectError.ts";
import { untilTrue } from "../support/waiting.ts";
import { killedAfter } from "./killedAfter.ts";
import { unitFacts } from "./unitFacts.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";

const main = "matrix-synapse.service";
const workers = ["matrix-synapse-worker@generic_worker1.service", "matrix-synapse-worker@generic_worker2.service"];
const target = "matrix-synapse.target";
const units = [main, ...workers, target];

describe("a homeserver that systemd runs with two workers and a target", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: DebianSynapse;
    /** As it was when it was installed. */
    let installed: string;

    before(async () => {
        machine = await bootMachine({ name: "units" });
        synapse = await installDebianSynapse(machine, { workers: 2, database: "tcp" });
        // What `disable` would remove and `enable` not make again, and settings of the administrator's own.
        await machine.run(["systemctl", "add-wants", "graphical.target", main]);
        await machine.write(`/etc/systemd/system/${main}.d/own.conf`, "[Service]\nNice=1\n");
        await machine.write("/etc/cron.d/synapse", "# no line\n0 4 * * 0 root systemctl restart matrix-synapse\n");
        await machine.run(["systemctl", "daemon-reload"]);
        installed = await facts();
    });
    afterEach(() => closeMachines());
    after(async () => {
        await machine.end();
    });

    const far = (user = "root"): Machine =>
        openMachine({
            kind: "ssh",
            address: `${user}@${machine.address}`,
            hostKey: machine.access.hostKey,
            identityFile: machine.access.identityFile,
        });
    const control = (on: Machine = far(), names = [main]) =>
        serviceControl({ kind: "systemd", units: names }, on, { configFiles: synapse.configPaths });
    /** As it is kept between two runs of a step. */
    const kept = async (): Promise<StoppedService> =>
        stoppedService.parse(JSON.parse(JSON.stringify((await control().status()).record)));

    /** Everything that starting the homeserver again has to bring back. */
    const facts = (): Promise<string> => unitFacts(machine, units);

    /** By habit, by a script, by the machine itself. */
    async function nothingStartsIt(): Promise<void> {
        for (const command of [
            ["start", main],
            ["restart", main],
            ["enable", "--now", main],
            ["reload-or-restart", main],
            ["start", target],
            ["start", ...workers],
        ]) {
            const said = await machine.run(["systemctl", ...command]).then(
                () => "it was done",
                (error: unknown) => String(error),
            );
            expect(said, command.join(" ")).to.contain("Assertion failed");
        }
        const states = await machine.run(["systemctl", "show", "--property=ActiveState", "--value", ...units]);
        expect(states.split(/\n+/).filter((state) => state !== "")).to.deep.equal(units.map(() => "inactive"));
        expect(await synapse.answers()).to.equal(false);
    }

    const serves = (): Promise<void> => untilTrue(() => synapse.answers());

    it("is found with its workers and its target, of which the configuration names none, and with what starts it", async () => {
        const { running, record, evidence, processes } = await control().status();
        expect(running).to.equal(true);
        expect(record.kind === "systemd" && record.units.map(({ name, part }) => `${part} ${name}`)).to.deep.equal([
            `main ${main}`,
            ...workers.map((name) => `worker ${name}`),
            `target ${target}`,
        ]);
        expect(record.kind === "systemd" && record.ports).to.include(8008);
        expect(processes.map(({ keeping }) => keeping.unit)).to.deep.equal([main, ...workers]);
        expect(evidence.join("\n"))
            .to.contain("Restart=always")
            .and.to.contain("started by graphical.target")
            .and.to.contain("mentioned in /etc/cron.d/synapse: 0 4 * * 0 root systemctl restart matrix-synapse");
    });

    it("is looked at with all other processes of its machine in well under a second", async () => {
        const there = far();
        await there.userId();
        const started = performance.now();
        const found = await allProcesses(there);
        expect(performance.now() - started).to.be.lessThan(1000);
        expect(found.map(({ pid }) => pid)).to.include(1);
    });

    it("is stopped for good, whoever tries to start it, also after a reboot, and started as it was", async () => {
        const before = await kept();
        const stopped = await control().stop(before);
        expect(await control().staysDown(stopped)).to.deep.include({ seconds: 4 });
        await nothingStartsIt();
        expect((await control().status()).running).to.equal(false);
        await closeMachines();
        await machine.reboot();
        await nothingStartsIt();
        await control().start(before);
        await serves();
        expect(await facts()).to.equal(installed);
    });

    it("is as it was after a reboot, too, once it was started again", async () => {
        const before = await kept();
        await control().stop(before);
        await control().start(before);
        await closeMachines();
        await machine.reboot();
        await serves();
        expect(await facts()).to.equal(installed);
    });

    it("is started as it was by what its units say, when all that was kept beside is lost", async () => {
        await control().stop(await kept());
        const found = await kept();
        expect(ranBefore(found)).to.equal(true);
        await control().start(found);
        await serves();
        expect(await facts()).to.equal(installed);
    });

    it("leaves a worker stopped that was stopped before, and holds it meanwhile", async () => {
        const [first = "", second = ""] = workers;
        await machine.run(["systemctl", "stop", second]);
        const idle = await facts();
        const before = await kept();
        await control().stop(before);
        const refused = await machine.run(["systemctl", "start", second]).catch((error: unknown) => String(error));
        expect(refused).to.contain("Assertion failed");
        await control().start(before);
        await serves();
        expect(await facts()).to.equal(idle);
        await machine.run(["systemctl", "start", first, second]);
        expect(await facts()).to.equal(installed);
    });

    it("comes to the right end when it is stopped and started after kills at every point of both", async function () {
        this.timeout(1_200_000);
        for (let after = 0; ; after++) {
            const before = await kept();
            const stopping = killedAfter(far(), after);
            await control(stopping.machine).stop(before).catch(stopping.refuseOther);
            const stopped = await control().stop(before);
            expect(await machine.run(["systemctl", "is-active", ...units]).catch(() => "none")).to.equal("none");
            const starting = killedAfter(far(), after);
            await control(starting.machine).start(stopped).catch(starting.refuseOther);
            await control().start(before);
            await serves();
            expect(await facts(), `after ${after} changes`).to.equal(installed);
            if (!stopping.wasKilled() && !starting.wasKilled()) break;
        }
    });

    it("is not stopped where a process of it runs outside of units that have files (SM-E0712, SM-E0702)", async () => {
        const worker = [
            ...["/opt/venvs/matrix-synapse/bin/python", "-c", "import time; time.sleep(600)"],
            ...["-m", "synapse.app.generic_worker", `--config-path=${synapse.configPaths[0] ?? ""}`],
        ];
        await machine.run(["systemd-run", "--unit=by-hand", ...worker]);
        expect((await expectError("SM-E0712", () => control().stop())).detail.found).to.contain("systemd-run");
        await machine.run(["systemctl", "stop", "by-hand"]);
        // In the scope of a session, as what is started at a terminal.
        await machine.run(["systemd-run", "--unit=session", "systemd-run", "--scope", "--unit=typed", ...worker]);
        await untilTrue(
            async () =>
                (await machine.run(["systemctl", "show", "-P", "ActiveState", "typed.scope"])).trim() === "active",
        );
        const error = await expectError("SM-E0702", () => control().stop());
        expect(error.detail.changed).to.equal("nothing was changed");
        await machine.run(["systemctl", "stop", "typed.scope"]);
        expect(await facts()).to.equal(installed);
    });

    it("is refused under a name that is not there (SM-E1420), or is something else's (SM-E1425)", async () => {
        await expectError("SM-E1420", () => control(far(), ["synapse.service"]).status());
        const error = await expectError("SM-E1425", () => control(far(), ["nginx.service"]).status());
        expect(error.detail.found).to.contain("nginx");
        expect(error.detail.where).to.contain(`on root@${machine.address}`);
    });

    it("is neither stopped nor started by somebody who is not root there (SM-E1422)", async () => {
        const before = await kept();
        await expectError("SM-E1422", () => control(far(operator)).stop(before));
        await expectError("SM-E1422", () => control(far(operator)).start(before));
    });

    it("is not stopped where it cannot be held (SM-E1423), or another homeserver's hold is there (SM-E1424)", async () => {
        const place = `/etc/systemd/system/${target}.d`;
        await machine.write(place, "no directory\n");
        await expectError("SM-E1423", () => control().stop());
        await machine.run(["rm", place]);
        await control().start(await kept());
        await machine.write(`${place}/zz-held-by-synapse-migration.conf`, "[Unit]\n");
        await expectError("SM-E1424", () => control().stop());
        await machine.run(["rm", "-r", place]);
        await machine.run(["systemctl", "daemon-reload"]);
        await control().start(await kept());
        expect(await facts()).to.equal(installed);
    });

    it("is told with its machine's name when that is not reached any more (SM-E1401)", async () => {
        const before = await kept();
        const watching = control();
        await watching.stop(before);
        const lost = expectError("SM-E1401", () => watching.staysDown(before));
        await machine.cutPower();
        expect((await lost).detail.where).to.equal(`root@${machine.address}`);
        await closeMachines();
        await machine.start();
        await control().start(before);
        await serves();
        expect(await facts()).to.equal(installed);
    });
});
