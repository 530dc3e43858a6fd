import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { fenceContract } from "../../../contract/index.ts";
import { machineChecks } from "../../../engine/assess/machineChecks.ts";
import { fenceChecks } from "../../../engine/assess/fenceChecks.ts";
import { readFenceHolder } from "../../../engine/fence/fenceHolder.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { signalProcess } from "../../../engine/machines/procfs.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { homeserversOf } from "../../../engine/services/synapseProcess.ts";
import { keepingIn } from "../../../engine/machines/controlGroup.ts";
import { describeKeeper } from "../../../engine/services/keeper.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { expectError } from "../../support/expectError.ts";
import { done, sourceOf } from "../../support/migrationSpecs.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";
import { untilTrue } from "../../support/waiting.ts";
import { findingsOf } from "../../engine/assess/runCheck.ts";
import { fencedSource } from "./fencedSource.ts";

const keeperInGroups = (groups: string): string | undefined => describeKeeper(keepingIn(groups));

describe("who keeps a homeserver running", () => {
    it("is told by its control group: a unit, a container, and nobody where it was started by hand or by cron", () => {
        expect(keeperInGroups("0::/system.slice/matrix-synapse.service\n")).to.contain("matrix-synapse.service");
        const id = "3f4e5d6c7b8a".padEnd(64, "0");
        for (const group of [`0::/system.slice/docker-${id}.scope`, `12:pids:/docker/${id}`, `0::/libpod-${id}`])
            expect(keeperInGroups(`${group}\n`)).to.contain("container 3f4e5d6c7b8a");
        for (const group of ["user.slice/user-0.slice/session-3.scope", "system.slice/cron.service", ""])
            expect(keeperInGroups(`0::/${group}\n`)).to.equal(undefined);
    });
});

/** As the units of packages and containers run it: in the foreground, and again three seconds after it has ended. */
describe("a source that something keeps running", function () {
    this.timeout(300_000);
    let synapse: TestSynapse;
    let keeper: ChildProcess | undefined;
    before(async () => {
        synapse = await startTestSynapse();
        await synapse.homeserver.stop();
    });
    afterEach(async () => {
        if (keeper?.pid !== undefined) {
            keeper.kill("SIGKILL");
            await once(keeper, "exit");
        }
        keeper = undefined;
        const left = () => homeserversOf(thisMachine, [synapse.homeserver.files.configFile]);
        for (const one of await left()) signalProcess(one, "SIGTERM");
        await untilTrue(async () => (await left()).length === 0);
    });
    after(() => synapse.stop());

    /** @param keep  what is done with `$1`, the number of the process */
    async function kept(keep: string): Promise<void> {
        const program = join(synapse.directory, "keep.sh");
        const command = synapse.homeserver.startCommand.filter((word) => word !== "--daemonize").join(" ");
        await writeFile(
            program,
            `#!/bin/sh\ncd ${synapse.homeserver.files.configFile.replace(/[^/]+$/, "")}\nwhile :; do ${command} & p=$!; ${keep}; wait $p; sleep 3; done\n`,
        );
        await chmod(program, 0o755);
        keeper = spawn("/bin/sh", [program], { ...serviceUser(), stdio: "ignore" });
        await untilTrue(() => synapse.homeserver.answers());
    }

    it("is given back with who starts it again, when that comes three seconds after the stop (SM-E0702)", async () => {
        await kept(`echo $p > ${synapse.homeserver.files.pidFile}`);
        const source = fencedSource(synapse);
        const before = await source.processId();
        const error = await expectError("SM-E0702", () => done(fence, source.spec("kept"), fenceContract.result));
        expect(error.detail.found)
            .to.match(/was kept by its parent, process \d+: \/bin\/sh/)
            .and.to.contain("keep.sh");
        expect(error.block).to.contain("the source was stopped and was started again: it serves as before");
        expect(await synapse.homeserver.answers()).to.equal(true);
        expect(await source.processId(), "by its keeper").not.to.equal(before);
        expect(await source.settings()).to.deep.equal([]);
        expect(await readFenceHolder(join(synapse.directory, "runs"))).to.equal(undefined);
    });

    it("is not stopped, and not said to be down, where no pid file names it (SM-E0558)", async () => {
        await kept(":");
        const spec = { source: sourceOf(synapse) };
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const address = { host, port, name, user, password };
        const [found] = await findingsOf(fenceChecks, "fence-service", address, spec);
        expect(found?.id).to.equal("SM-E0558");
        expect(found?.evidence).to.match(/names no running process; process \d+: .*kept by .*keep\.sh/);
        expect(found?.evidence).to.contain(`${synapse.homeserver.baseUrl} answers as a homeserver`);
        expect(await findingsOf(machineChecks, "source-service", address, spec)).to.deep.equal([]);
        const error = await expectError("SM-E0558", () =>
            done(fence, fencedSource(synapse).spec("unnamed"), fenceContract.result),
        );
        expect(error.block).to.contain("nothing: the source was not stopped");
        expect(await synapse.homeserver.answers()).to.equal(true);
    });
});
