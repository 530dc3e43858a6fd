/** The connection to the source's machine is lost in the middle of the fence: nothing hangs, the machine is named, and what is run again ends well. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { fenceContract } from "../../contract/index.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { doStep } from "../../engine/run/runStep.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { fence } from "../../steps/migrate/fence.ts";
import { CuttableWay } from "../support/cuttableWay.ts";
import { done, undone } from "../support/migrationSpecs.ts";
import { newWorkDirectory } from "../support/workDirectory.ts";

describe("a connection that is cut", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: DebianSynapse;
    let way: CuttableWay;
    let directory: string;

    before(async () => {
        directory = await newWorkDirectory();
        machine = await bootMachine({ name: "cut" });
        synapse = await installDebianSynapse(machine);
        way = await CuttableWay.to(machine.address, 22);
    });
    afterEach(async () => {
        way.mend();
        await closeMachines();
    });
    after(async () => {
        await way.stop();
        await machine.end();
        await rm(directory, { recursive: true, force: true });
    });

    const spec = (id: string): z.infer<typeof fenceContract.spec> => ({
        run: { id, directory: join(directory, "runs", id) },
        source: {
            kind: "selfHosted",
            serverName: synapse.serverName,
            homeserverConfig: [...synapse.configPaths],
            machine: { ...describeMachine(machine), address: `root@127.0.0.1:${way.port}` },
            service: { kind: "systemd", units: ["matrix-synapse.service"] },
        },
    });

    /** Fences it, and cuts the way when the step says so; what it ends with. */
    async function cutAt(id: string, line: string): Promise<MigrationError> {
        const write = (text: string): void => {
            if (text.includes(line)) way.cut();
        };
        try {
            await doStep({ step: fence, spec: spec(id), write, signal: new AbortController().signal });
        } catch (error) {
            if (error instanceof MigrationError) return error;
            throw error;
        }
        throw new Error(`it was not cut at "${line}"`);
    }

    for (const [id, line] of [
        ["stop", "stopping the source homeserver"],
        ["prove", "waiting for its database sessions to end"],
    ] as const) {
        it(`in the middle of the fence (${line}) names the machine, and the fence is made by running it again`, async () => {
            const error = await cutAt(id, line);
            expect(["SM-E1401", "SM-E1102"]).to.include(error.code);
            expect(error.detail.where).to.contain(`root@127.0.0.1:${way.port}`);
            expect(error.detail.changed).to.match(/THE SOURCE IS DOWN|the source/);
            way.mend();
            await closeMachines();
            const { fencedAt } = await done(fence, spec(id), fenceContract.result);
            expect(fencedAt).to.be.a("string");
            expect(await synapse.answers()).to.equal(false);
            await undone(fence, spec(id));
            expect(await synapse.answers()).to.equal(true);
        });

        it(`in the middle of the fence (${line}) is taken back by its undo once the machine answers`, async () => {
            const error = await cutAt(`${id}2`, line);
            expect(error.detail.where).to.contain(`root@127.0.0.1:${way.port}`);
            way.mend();
            await closeMachines();
            await undone(fence, spec(`${id}2`));
            expect(await synapse.answers()).to.equal(true);
            await machine.run(["systemctl", "is-enabled", "matrix-synapse.service"]);
        });
    }
});
