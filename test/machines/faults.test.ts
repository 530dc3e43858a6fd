/** What can be lost on a source's machine between `stage`, the fence and the commit, each told with the machine's name, and mended by running the same again. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { fenceContract } from "../../contract/index.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { machineEnvironment } from "../../rehearsal/machines/machineSynapse.ts";
import { makeKey } from "../../rehearsal/machines/sshAccess.ts";
import { workersDirectory } from "../../rehearsal/machines/synapseUnits.ts";
import { fence } from "../../steps/migrate/fence.ts";
import { expectError } from "../support/expectError.ts";
import { done, undone } from "../support/migrationSpecs.ts";
import { untilTrue } from "../support/waiting.ts";
import { newWorkDirectory } from "../support/workDirectory.ts";

type Spec = z.infer<typeof fenceContract.spec>;

describe("faults of another machine in the middle of a move", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: DebianSynapse;
    let directory: string;
    let name: string;
    /** What {@link untouched} is to find. */
    let installed: string;
    /** What was fenced and not given back. */
    let standing: Spec | undefined;
    /** A script that ends the fault. */
    let mend = "true";

    before(async () => {
        directory = await newWorkDirectory();
        machine = await bootMachine({ name: "faulty" });
        synapse = await installDebianSynapse(machine, { workers: 1, database: "tcp" });
        name = `${operator}@${machine.address} (sudo)`;
        installed = await units();
    });
    afterEach(async () => {
        await closeMachines();
        // One that fails does not take the others with it.
        await machine.run(["sh", "-c", mend]).catch(() => undefined);
        mend = "true";
        if (standing !== undefined) await givenBack(standing);
    });
    after(async () => {
        await machine.end();
        await rm(directory, { recursive: true, force: true });
    });

    const spec = (id: string, hostKey = machine.access.hostKey): Spec => ({
        run: { id, directory: join(directory, "runs", id) },
        source: {
            kind: "selfHosted",
            serverName: synapse.serverName,
            homeserverConfig: [...synapse.configPaths],
            machine: { ...describeMachine(machine, "sudo"), hostKey },
            service: { kind: "systemd", units: ["matrix-synapse.service"] },
        },
    });
    async function fenced(of: Spec): Promise<z.infer<typeof fenceContract.result>> {
        const result = await done(fence, of, fenceContract.result);
        standing = of;
        return result;
    }
    /** Processes and files of its units: others than before where anything was stopped, started or held. */
    const units = (): Promise<string> =>
        machine.run([
            "sh",
            "-c",
            `systemctl show -p Id -p MainPID -p ActiveState ${synapse.services.join(" ")}; find /etc/systemd/system | sort`,
        ]);
    /** It serves, and nobody has done anything to it or to its database. */
    async function untouched(): Promise<void> {
        expect(await units()).to.equal(installed);
        expect(await synapse.answers()).to.equal(true);
        await free();
    }
    /** Nothing in its database says that it is fenced. */
    async function free(): Promise<void> {
        const settings = "SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text LIKE '%read_only%'";
        expect((await synapse.query(settings)).trim()).to.equal("0");
    }
    /** Given back, with new processes. */
    async function givenBack(of: Spec): Promise<void> {
        await undone(fence, of);
        expect(await synapse.answers()).to.equal(true);
        await machine.run(["systemctl", "is-active", ...synapse.services]);
        await free();
        standing = undefined;
        installed = await units();
        await closeMachines();
    }

    it("another host key stops nothing (SM-E1402), and with the pin set to it the fence is made", async () => {
        const { hostKey: before, knownHostsFile } = machine.access;
        const [file, publicFile] = ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"] as const;
        const keys = await Promise.all([file, publicFile].map((path) => readFile(machine.path(path), "utf8")));
        const other = await makeKey();
        // The tests themselves know both.
        await writeFile(knownHostsFile, `${machine.address} ${other.publicKey}\n`, { flag: "a" });
        await machine.write(file, other.privateKey, { mode: 0o600 });
        await machine.write(publicFile, `${other.publicKey}\n`);
        await machine.run(["systemctl", "restart", "ssh.service"]);

        const { detail } = await expectError("SM-E1402", () => fenced(spec("key")));
        expect([detail.where, detail.expected]).to.deep.equal([name, before]);
        await untouched();
        await closeMachines();
        const { token } = await fenced(spec("key", other.publicKey));
        await closeMachines();
        // A stack that still has the old one cannot take it back, nor go on.
        expect((await expectError("SM-E1402", () => undone(fence, spec("key")))).detail.where).to.equal(name);
        const { run, source } = spec("key");
        await expectError("SM-E1402", () => refuseUnlessStillFenced(source, token, run));
        expect(await synapse.answers()).to.equal(false);
        await closeMachines();
        await givenBack(spec("key", other.publicKey));

        await machine.write(file, keys[0] ?? "", { mode: 0o600 });
        await machine.write(publicFile, keys[1] ?? "");
        await machine.run(["systemctl", "restart", "ssh.service"]);
    });

    it("sudo that is withdrawn stops nothing (SM-E1404), keeps a fence as it is, and is asked for by its undo", async () => {
        const rule = `/etc/sudoers.d/${operator}`;
        const withdraw = () => machine.run(["mv", rule, "/root/withdrawn"]);
        const restore = () => machine.run(["mv", "/root/withdrawn", rule]);
        await withdraw();
        expect((await expectError("SM-E1404", () => fenced(spec("sudo")))).detail.where).to.equal(name);
        await untouched();
        await restore();
        await closeMachines();
        const { token } = await fenced(spec("sudo"));
        await closeMachines();
        await withdraw();
        const { run, source } = spec("sudo");
        await expectError("SM-E1404", () => refuseUnlessStillFenced(source, token, run));
        await closeMachines();
        const { detail, block } = await expectError("SM-E1404", () => undone(fence, spec("sudo")));
        expect(detail.where).to.equal(name);
        expect(block).to.contain("NOPASSWD");
        expect(await synapse.answers()).to.equal(false);
        await restore();
        await closeMachines();
        await refuseUnlessStillFenced(source, token, run);
        await givenBack(spec("sudo"));
    });

    it("a worker that is started by hand past what holds its unit is named, before it is connected and after (SM-E0702)", async () => {
        const { token } = await fenced(spec("hand"));
        const { run, source } = spec("hand");
        const config = [...synapse.configPaths, `${workersDirectory}/generic_worker1.yaml`];
        const worker = ["-m", "synapse.app.generic_worker", ...config.map((path) => `--config-path=${path}`)].join(" ");
        const refused = async (pid: string): Promise<void> => {
            const { detail } = await expectError("SM-E0702", () => refuseUnlessStillFenced(source, token, run));
            expect(detail.found).to.contain(`it runs again on ${name}:`);
            expect(detail.found).to.match(new RegExp(`process ${pid}: .*synapse.app.generic_worker`));
        };
        // While its modules are read it has opened nothing.
        const reading = await byHand(`/usr/bin/python3 -c 'import time; time.sleep(600)' ${worker}`);
        await refused(reading);
        await machine.run(["kill", reading]);
        // By itself it comes to its end at the database, which takes nothing in; told to pass over that, it serves.
        const refusedItself = await byHand(`${machineEnvironment}/bin/python ${worker}`);
        await untilTrue(async () => !(await runs(refusedItself)));
        await refuseUnlessStillFenced(source, token, run);
        const writable = "PGOPTIONS=-cdefault_transaction_read_only=off";
        const serving = await byHand(`env ${writable} ${machineEnvironment}/bin/python ${worker}`);
        const own = "usename = 'synapse_user' AND application_name NOT LIKE 'synapse-migration%'";
        const sessions = () => synapse.query(`SELECT count(*) FROM pg_stat_activity WHERE ${own}`);
        await untilTrue(async () => (await sessions()).trim() !== "0");
        await refused(serving);
        await machine.run(["kill", serving]);
        await untilTrue(async () => !(await runs(serving)));
        await givenBack(spec("hand"));
    });

    for (const [pages, what, unit] of [
        [0, "none of its units", "matrix-synapse.service"],
        [1, "one of its units, but not the next,", "matrix-synapse-worker@generic_worker1.service"],
    ] as const) {
        it(`a disk with room to hold ${what} has the homeserver serve on (SM-E1423)`, async () => {
            const place = "/etc/systemd/system";
            const full = `mkdir -p /run/full && mount -t tmpfs -o size=256k tmpfs /run/full && cp -a ${place}/. /run/full
                dd if=/dev/zero of=/run/full/filling bs=4096 2>/dev/null || true
                truncate -s -${pages * 4096} /run/full/filling && mount --bind /run/full ${place} && systemctl daemon-reload`;
            const unmount = `umount ${place}; umount /run/full; systemctl daemon-reload`;
            mend = unmount;
            await machine.run(["sh", "-ec", full]);
            const before = await units();
            const { detail, block } = await expectError("SM-E1423", () => fenced(spec(`full${pages}`)));
            expect(detail.where).to.contain(`/etc/systemd/system/${unit}.d/`).and.to.contain(`on ${name}`);
            expect(detail.found).to.match(/No space left|ENOSPC/);
            expect(block).to.contain("nothing: the source was not stopped");
            expect(await units()).to.equal(before);
            await machine.run(["sh", "-ec", unmount]);
            mend = "true";
            await untouched();
            await closeMachines();
            await fenced(spec(`full${pages}`));
            expect(await synapse.answers()).to.equal(false);
            await givenBack(spec(`full${pages}`));
        });
    }

    const runs = (pid: string): Promise<boolean> =>
        machine.run(["kill", "-0", pid]).then(
            () => true,
            () => false,
        );

    /** As somebody does who is logged in; its process id. It is no child of systemd's, and goes on when they log out. */
    async function byHand(command: string): Promise<string> {
        const line = `cd /var/lib/matrix-synapse && exec setsid ${command}`;
        const script = `setpriv --reuid=matrix-synapse --regid=nogroup --clear-groups sh -c "$0" >/dev/null 2>&1 </dev/null & echo $!`;
        const pid = (await machine.run(["sh", "-c", script, line])).trim();
        mend = `kill ${pid}`;
        await untilTrue(async () => (await machine.run(["cat", `/proc/${pid}/cmdline`])).includes("generic_worker\0"));
        return pid;
    }
});
