/** The fence of a homeserver that systemd runs on a machine that is reached over ssh. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { fenceContract } from "../../contract/index.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { fence } from "../../steps/migrate/fence.ts";
import { expectError } from "../support/expectError.ts";
import { done, undone } from "../support/migrationSpecs.ts";
import { untilTrue } from "../support/waiting.ts";
import { newWorkDirectory } from "../support/workDirectory.ts";

describe("the fence of a homeserver with a worker, under systemd on another machine", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: DebianSynapse;
    let directory: string;

    before(async () => {
        directory = await newWorkDirectory();
        machine = await bootMachine({ name: "fenced" });
        synapse = await installDebianSynapse(machine, { workers: 1, database: "tcp" });
    });
    afterEach(async () => {
        await closeMachines();
        // One that fails does not take the others with it.
        for (const id of ["one", "two", "three"]) await undone(fence, spec(id));
        await closeMachines();
    });
    after(async () => {
        await machine.end();
        await rm(directory, { recursive: true, force: true });
    });

    const spec = (id: string): z.infer<typeof fenceContract.spec> => ({
        run: { id, directory: join(directory, "runs", id) },
        source: {
            kind: "selfHosted",
            serverName: synapse.serverName,
            homeserverConfig: [...synapse.configPaths],
            machine: describeMachine(machine, "sudo"),
            service: { kind: "systemd", units: ["matrix-synapse.service"] },
        },
    });
    const processes = async (): Promise<string> => machine.run(["pgrep", "-fc", "synapse.app"]).catch(() => "0\n");
    const settings = (): Promise<string> =>
        synapse.query("SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text LIKE '%read_only%'");

    it("stops all of it, holds over a reboot of the machine, and is lifted with everything running as before", async () => {
        const { token } = await done(fence, spec("one"), fenceContract.result);
        expect(await processes()).to.equal("0\n");
        await closeMachines();
        await machine.reboot();
        expect(await processes()).to.equal("0\n");
        const { run, source } = spec("one");
        await refuseUnlessStillFenced(source, token, run);
        await undone(fence, spec("one"));
        await machine.run(["systemctl", "is-active", ...synapse.services]);
        expect(await synapse.answers()).to.equal(true);
        expect((await settings()).trim()).to.equal("0");
    });

    it("is refused, while the homeserver serves, where somebody else is in its database, and names who", async () => {
        const psql = ["psql", "-XqAt", "-h", "127.0.0.1", "-U", synapse.database.user, "-d", synapse.database.name];
        await machine.write("/root/.pgpass", `*:*:*:*:${synapse.database.password}\n`, { mode: 0o600 });
        await machine.run([
            ...["systemd-run", "--unit=analysis", "--setenv=PGPASSFILE=/root/.pgpass"],
            ...[...psql, "-c", "SELECT pg_sleep(600)"],
        ]);
        await untilTrue(
            async () =>
                (
                    await synapse.query(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND usename = 'synapse_user'",
                    )
                ).trim() === "1",
        );
        const error = await expectError("SM-E0720", () => done(fence, spec("two"), fenceContract.result));
        expect(error.detail.found).to.match(/held by process \d+: .*psql/);
        expect(await synapse.answers()).to.equal(true);
        await machine.run(["systemctl", "stop", "analysis"]);
        // Its backend would notice only after its sleep.
        await synapse.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'psql' AND usename = 'synapse_user'",
        );
        await undone(fence, spec("two"));
    });

    it("gives the homeserver back where something starts it again past systemd (SM-E0702)", async () => {
        // As a script in a crontab would: not by its unit, and while nobody looks.
        const worker = `/usr/bin/python3 -c 'import time; time.sleep(600)' -m synapse.app.generic_worker --config-path=${synapse.configPaths[0] ?? ""}`;
        const script = `#!/bin/sh\nwhile pgrep -f synapse.app.homeserver; do sleep 0.1; done\nexec ${worker}\n`;
        await machine.write("/usr/local/bin/again", script, { mode: 0o755 });
        await machine.run(["systemd-run", "--unit=again", "/usr/local/bin/again"]);
        const error = await expectError("SM-E0702", () => done(fence, spec("three"), fenceContract.result));
        expect(error.block).to.contain("it serves as before");
        await machine.run(["systemctl", "stop", "again"]);
        await machine.run(["systemctl", "is-active", ...synapse.services]);
        expect(await synapse.answers()).to.equal(true);
    });
});
