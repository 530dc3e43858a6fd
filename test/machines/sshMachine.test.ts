import { expect } from "chai";
import { createConnection } from "node:net";
import { once } from "node:events";
import type { SshMachine } from "../../contract/index.ts";
import { discover } from "../../engine/discover/discover.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { sshMachine, type HeldMachine } from "../../engine/machines/ssh/sshMachine.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { watchReached } from "../../engine/run/machinesReached.ts";
import { until } from "../../engine/run/until.ts";
import { ownBaseUrl } from "../../engine/synapse/api/ownApi.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import { readHomeserverSecrets } from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";

const timeoutSeconds = 20;

/** The error that the work ends with. */
async function refused(work: Promise<unknown>): Promise<MigrationError> {
    try {
        await work;
    } catch (error) {
        if (error instanceof MigrationError) return error;
        throw error;
    }
    throw new Error("it was not refused");
}

describe("a machine over ssh", () => {
    let booted: BootedMachine;
    let synapse: DebianSynapse;
    const held: HeldMachine[] = [];
    const open = (description: SshMachine): HeldMachine => {
        const machine = sshMachine(description);
        held.push(machine);
        return machine;
    };

    /** Of processes whose command line fits. */
    const count = async (pattern: string): Promise<number> =>
        Number((await booted.run(["pgrep", "-fc", pattern]).catch(() => "0")).trim());

    before(async function () {
        this.timeout(600_000);
        booted = await bootMachine({ name: "old" });
        synapse = await installDebianSynapse(booted, { serverName: "old.test" });
    });
    afterEach(async () => {
        await Promise.all(held.splice(0).map((machine) => machine.close()));
        await closeMachines();
    });
    after(async () => {
        await booted.end();
    });

    it("runs programs as root, as an operator who becomes root, and as another user", async () => {
        expect(await open(describeMachine(booted)).userId()).to.equal(0);
        const machine = open(describeMachine(booted, "sudo"));
        expect(await machine.userId()).to.equal(0);
        const words = ["a b", "'", '"', "$HOME", "-x", "", "\n", "ü", "*"];
        const script = "import sys; sys.stdout.write(repr(sys.argv[1:]))";
        const { stdout } = await machine.run("python3", ["-c", script, ...words], { timeoutSeconds });
        expect(stdout).to.equal(`['a b', "'", '"', '$HOME', '-x', '', '\\n', 'ü', '*']`);
        const user = { uid: 65534, gid: 65534 };
        expect((await machine.run("id", ["-u"], { timeoutSeconds, user })).stdout).to.equal("65534\n");
    });

    it("is noted where it is worked on: for files, programs and connections, and not for being held", async () => {
        const machine = open(describeMachine(booted, "sudo"));
        await machine.userId();
        const uses: (() => Promise<unknown>)[] = [
            () => Promise.resolve(),
            () => machine.files.stat("/etc"),
            () => machine.run("true", [], { timeoutSeconds }),
            () => machine.reach({ host: "127.0.0.1", port: 22 }, "port"),
            () => machine.reach({ host: "127.0.0.1", port: 22 }, "port"),
        ];
        const noted: string[][] = [];
        for (const use of uses) {
            const reached = watchReached();
            await use();
            noted.push(reached());
        }
        expect(noted).to.deep.equal([[], ...Array<string[]>(4).fill([machine.name])]);
    });

    it("ends a program that takes too long, and all that it has started", async () => {
        const machine = open(describeMachine(booted));
        const error = await refused(machine.run("sh", ["-c", "sleep 333 & wait"], { timeoutSeconds: 1 }));
        expect(error.code).to.equal("SM-E1101");
        expect(error.detail.where).to.equal(`sh on ${machine.name}`);
        expect(await count("[s]leep 333")).to.equal(0);
    });

    it("leaves nothing behind when it is let go", async () => {
        const machine = open(describeMachine(booted));
        await machine.userId();
        // So many that some of them have only just begun.
        const sleep = (): Promise<MigrationError> => refused(machine.run("sleep", ["444"], { timeoutSeconds: 100 }));
        const running = Promise.all(Array.from({ length: 24 }, sleep));
        await machine.files.stat("/");
        await machine.close();
        for (const { code } of await running) expect(code).to.equal("SM-E1401");
        await until(
            async () => (await count("[s]leep 444|[f]ar_helper")) === 0 || undefined,
            { seconds: 10 },
            () => new Error("something still runs there"),
        );
    });

    it("refuses another host key than the pinned one, and tells the fingerprint of what it was shown (SM-E1402)", async () => {
        const description = describeMachine(booted);
        const hostKey = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)}`;
        const error = await refused(open({ ...description, hostKey }).userId());
        expect(error.code).to.equal("SM-E1402");
        expect(error.detail.found).to.match(/^a key with the fingerprint SHA256:\S+$/);
        const other = await refused(open({ ...description, hostKey: "ssh-rsa AAAA" }).userId());
        expect(other.code).to.equal("SM-E1402");
    });

    it("says who is refused (SM-E1403), who may not become root (SM-E1404), and who does not answer (SM-E1401)", async () => {
        const description = describeMachine(booted);
        expect((await refused(open({ ...description, address: `nobody@${booted.address}` }).userId())).code).to.equal(
            "SM-E1403",
        );
        await booted.run(["mv", "/etc/sudoers.d/admin", "/root/sudoers"]);
        try {
            const error = await refused(open(describeMachine(booted, "sudo")).userId());
            expect(error.code).to.equal("SM-E1404");
            expect(error.detail.found).to.match(/sudo: a password is required/);
        } finally {
            await booted.run(["mv", "/root/sudoers", "/etc/sudoers.d/admin"]);
        }
        const silent = await refused(open({ ...description, address: `root@${booted.address}:2` }).userId());
        expect(silent.code).to.equal("SM-E1401");
        expect(silent.detail.where).to.equal(`root@${booted.address}:2`);
    });

    describe("without a python3", () => {
        const away = "/opt/own/bin/python3";
        const unit = "/etc/systemd/system/own-synapse.service";
        let python: string;

        beforeEach(async () => {
            python = (await booted.run(["realpath", "/usr/bin/python3"])).trim();
            await booted.run(["mkdir", "-p", "/opt/own/bin"]);
            // On the same file system: what runs of it goes on, and is seen under its new path.
            await booted.run(["mv", python, away]);
        });
        afterEach(async () => {
            await booted.run(["mv", away, python]);
            await booted.run(["chmod", "755", python]);
            await booted.run(["rm", "-rf", "/opt/own", "/srv/env", unit]);
            await booted.run(["systemctl", "start", synapse.unit], { timeoutSeconds: 180 });
        });

        const works = async (description: SshMachine): Promise<void> => {
            const machine = open(description);
            expect(await machine.userId()).to.equal(0);
            expect((await machine.run("id", ["-u"], { timeoutSeconds })).stdout).to.equal("0\n");
            expect((await machine.files.stat(synapse.signingKeyFile))?.kind).to.equal("file");
        };

        it("takes the one that Synapse runs by, and no other that anybody may exchange (SM-E1405)", async () => {
            for (const become of [undefined, "sudo"] as const) await works(describeMachine(booted, become));
            for (const [change, undo] of [
                [
                    ["chmod", "757", away],
                    ["chmod", "755", away],
                ],
                [
                    ["chmod", "1777", "/opt/own"],
                    ["chmod", "755", "/opt/own"],
                ],
                [
                    ["chown", "nobody", "/opt/own/bin"],
                    ["chown", "root", "/opt/own/bin"],
                ],
            ] as const) {
                await booted.run(change);
                const error = await refused(open(describeMachine(booted, "sudo")).userId());
                expect([error.code, error.detail.found.includes(away)]).to.deep.equal(["SM-E1405", true]);
                await booted.run(undo);
            }
            await works(describeMachine(booted, "sudo"));
            const { discovery } = await discover(open(describeMachine(booted, "sudo")));
            const found = discovery.homeservers.map(({ serverName, running }) => [serverName, running]);
            expect(found).to.deep.equal([["old.test", true]]);
        });

        it("takes the one that a stopped Synapse's unit names, and asks for one where there is none (SM-E1405)", async () => {
            await booted.run(["systemctl", "stop", synapse.unit], { timeoutSeconds: 60 });
            for (const become of [undefined, "sudo"] as const) {
                const error = await refused(open(describeMachine(booted, become)).userId());
                expect(error.code).to.equal("SM-E1405");
                expect(error.detail.found).to.match(/no python3 in \$PATH, .* a unit of systemd starts/);
            }
            await booted.run(["mkdir", "-p", "/srv/env/bin"]);
            await booted.run(["ln", "-s", away, "/srv/env/bin/python"]);
            await booted.write(unit, "[Service]\nExecStart=/srv/env/bin/python -m synapse.app.homeserver\n");
            for (const become of [undefined, "sudo"] as const) await works(describeMachine(booted, become));
        });
    });

    it("is lost, with its name, when its power is cut in the middle", async function () {
        this.timeout(120_000);
        const machine = open(describeMachine(booted));
        await machine.userId();
        const running = refused(machine.run("sleep", ["300"], { timeoutSeconds: 400 }));
        await booted.cutPower();
        const error = await running;
        expect(error.code).to.equal("SM-E1401");
        expect(error.detail.where).to.equal(machine.name);
        await booted.start();
        expect((await refused(machine.files.stat("/"))).code).to.equal("SM-E1401");
        expect(await open(describeMachine(booted)).userId()).to.equal(0);
    });

    it("reaches ports and sockets", async () => {
        const machine = open(describeMachine(booted, "sudo"));
        for (const as of ["socket", "port"] as const) {
            const near = await machine.reach({ host: "127.0.0.1", port: 22 }, as);
            const socket = near.socket === undefined ? createConnection(near) : createConnection(near.socket);
            const [chunk] = (await once(socket, "data")) as [Buffer];
            socket.destroy();
            expect(chunk.toString("latin1")).to.match(/^SSH-2/);
        }
    });

    it("has a source's configuration, secrets, database and client API", async function () {
        this.timeout(60_000);
        const source = {
            kind: "selfHosted" as const,
            serverName: "old.test",
            homeserverConfig: [...synapse.configPaths],
            machine: describeMachine(booted, "sudo"),
            service: { kind: "process" as const, pidFile: "/run/nothing.pid" },
        };
        const config = await readSourceConfig(source);
        const { signingKeys } = await readHomeserverSecrets(config);
        const address = await sourceAddress(source);
        const options = { step: "test", readOnly: true };
        const { rows } = await withClient(address, options, (client) =>
            client.query<{ count: string }>("SELECT count(*) FROM public.schema_version"),
        );
        const api = new MatrixApi((await ownBaseUrl(config)) ?? "");
        const { status } = await api.ask("/_matrix/client/versions");
        expect([signingKeys.length, rows[0]?.count, status]).to.deep.equal([1, "1", 200]);
    });
});
