import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { fingerprintOf } from "../../engine/machines/ssh/hostKey.ts";
import { machineNamed } from "../../steps/commands/machineOptions.ts";
import { initStack } from "../../steps/commands/init.ts";
import { newcomer, type Newcomer } from "../support/newcomer.ts";
import { expectError } from "../support/expectError.ts";
import { discover } from "../../engine/discover/discover.ts";
import { discovery, type Discovery } from "../../engine/discover/discovery.ts";
import { discoveryText } from "../../engine/discover/text.ts";
import { openMachine, closeMachines } from "../../engine/machines/openMachine.ts";
import type { SshMachine } from "../../contract/index.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";

/** Paths that the system itself writes while nobody does anything. */
const busy =
    /^\/(proc|sys|run|dev|tmp\/systemd-private|var\/(log|lib\/(postgresql|redis|systemd|nginx)|spool|tmp\/systemd-private))\b/;

describe("discover", function () {
    this.timeout(120_000);
    let booted: BootedMachine;
    let synapse: DebianSynapse;

    before(async function () {
        this.timeout(600_000);
        booted = await bootMachine({ name: "old" });
        synapse = await installDebianSynapse(booted, { serverName: "old.test", workers: 2 });
    });
    afterEach(() => closeMachines());
    after(() => booted.end());

    const look = async (description: SshMachine): Promise<{ found: Discovery; seconds: number }> => {
        const started = performance.now();
        const { discovery: found } = await discover(openMachine(description));
        // Parsed, as it is a promise to whoever reads the JSON.
        return {
            found: discovery.parse(JSON.parse(JSON.stringify(found))),
            seconds: (performance.now() - started) / 1000,
        };
    };
    const filesThere = async (): Promise<string[]> =>
        (await booted.run(["find", "/", "-xdev", "-newermt", "-5 minutes", "-printf", "%p %s %m %T@\n"]))
            .split("\n")
            .filter((line) => !busy.test(line));
    const commandsThere = async (): Promise<string[]> =>
        (await booted.run(["ps", "-eo", "args"]))
            .split("\n")
            .filter((line) => !/sshd|^ps |kworker|systemd|^postgres: .*idle/.test(line))
            .sort();

    for (const as of ["root", "sudo"] as const) {
        it(`names all of a homeserver as ${as}, in under ten seconds, and leaves nothing`, async () => {
            await look(describeMachine(booted, as));
            await closeMachines();
            const before = [await filesThere(), await commandsThere()];
            const { found, seconds } = await look(describeMachine(booted, as));
            await closeMachines();
            expect([await filesThere(), await commandsThere()]).to.deep.equal(before);
            expect(seconds).to.be.lessThan(10);
            const [homeserver, ...more] = found.homeservers;
            expect(more).to.deep.equal([]);
            expect(homeserver).to.deep.include({
                serverName: "old.test",
                running: true,
                service: { kind: "systemd", units: ["matrix-synapse.service"] },
                configFiles: ["/etc/matrix-synapse/homeserver.yaml", "/etc/matrix-synapse/conf.d"],
                workingDirectory: "/var/lib/matrix-synapse",
                notUnderstood: [],
            });
            expect(homeserver?.user?.name).to.equal("matrix-synapse");
            expect(homeserver?.version.running).to.match(/^1\.\d+/);
            expect(homeserver?.version.installed).to.equal(homeserver?.version.running);
            expect(homeserver?.workers).to.deep.include.members(
                ["generic_worker1", "generic_worker2"].map((name) => ({
                    ...homeserver?.workers.find((one) => one.name === name),
                    ...{ name, app: "generic_worker", running: true, unit: `matrix-synapse-worker@${name}.service` },
                })),
            );
            expect(homeserver?.database).to.deep.include({ kind: "postgres", name: "synapse", user: "synapse_user" });
            const { database } = homeserver ?? {};
            if (database?.kind !== "postgres") throw new Error("no database");
            expect(database.notSeen).to.equal(undefined);
            expect(database.serverVersion).to.match(/^15\./);
            expect(database.sizeBytes).to.be.greaterThan(1e6);
            expect(homeserver?.media).to.deep.include({ path: synapse.mediaStore, complete: true });
            const [proxy] = found.reverseProxies;
            expect(proxy).to.deep.include({ program: "nginx", unit: "nginx.service", ports: [80] });
            expect(proxy?.mentions.map(({ text }) => text)).to.include("server_name old.test _;");
            expect([found.notSeen, found.notUnderstood]).to.deep.equal([[], []]);
            expect(JSON.stringify(found)).not.to.contain(synapse.database.password);
        });
    }

    it("says without rights what it could not see", async () => {
        const { found } = await look({ ...describeMachine(booted), address: `${operator}@${booted.address}` });
        expect(found.asRoot).to.equal(false);
        expect(found.notSeen.join()).to.match(/not root/);
        const [homeserver] = found.homeservers;
        expect(homeserver).to.deep.include({
            running: true,
            service: { kind: "systemd", units: ["matrix-synapse.service"] },
        });
        expect(homeserver?.serverName).to.equal(undefined);
        expect(homeserver?.notUnderstood.join()).to.match(/SM-E0203 .*EACCES/);
    });
    it("shows the fingerprint of a host key that nobody knows, and takes it from whoever has compared it (SM-E1450)", async () => {
        const address = `root@${booted.address}`;
        const { hostKey } = booted.access;
        const fingerprint = fingerprintOf(hostKey);
        const { detail } = await expectError("SM-E1450", () => machineNamed(address, {}, () => Promise.resolve(false)));
        expect(detail.found).to.equal(`it shows ssh-ed25519, fingerprint ${fingerprint}`);
        expect(detail.fix).to.contain(`--host-key "${hostKey.split(" ").slice(0, 2).join(" ")}"`);
        const named = await machineNamed(address, {}, (question) => Promise.resolve(question.includes(fingerprint)));
        expect(named.hostKeyFrom).to.equal("confirmed");
    });

    describe("init --from user@host", function () {
        this.timeout(240_000);
        const stack = `discover-${process.pid}`;

        let made: Newcomer;
        before(async () => {
            made = await newcomer(stack);
        });
        after(() => made.remove());

        it("writes a stack that says where its values come from, and whose preview is green", async () => {
            const { environment, directory, stackFile, pulumi } = made;
            const { hostKey, identityFile } = booted.access;
            const options = {
                ...{ from: [`${operator}@${booted.address}`], stack, environment },
                login: { hostKey, identity: identityFile, sudo: true },
                targetDirectory: join(directory, "target"),
            };
            const { open, serverName } = await initStack(options);
            expect(serverName).to.equal("old.test");
            expect(open.join("\n")).to.match(
                /target.gateway.port.*\n.*SM-W0745.*\n.*canaryUser.*\n.*nginx, \/etc\/nginx\/sites-enabled\/matrix/,
            );
            const text = await readFile(stackFile, "utf8");
            for (const secret of [synapse.database.password, synapse.files.registrationSharedSecret])
                expect(text).not.to.contain(secret);
            expect(text).to.match(/^# Written by synapse-migrate init\./);
            expect(text).to.match(/# init: given on the command line with --host-key\n +hostKey: ssh-ed25519 /);
            expect(text).to.match(/# init: the unit of its main process.*\n +units:\n +- matrix-synapse.service/);
            // What others have added stays, and once is as often.
            await writeFile(stackFile, text.replace("config:", "# mine\nconfig:"));
            await initStack(options);
            // Pulumi encrypts anew with another nonce, and appends what was taken out before.
            const steady = (of: string): string[] =>
                of
                    .split("\n")
                    .filter((line) => !line.includes("secure:"))
                    .sort();
            expect(steady(await readFile(stackFile, "utf8"))).to.deep.equal(steady(`${text}# mine\n`));
            await closeMachines();
            // Of all that only the operator can say, what the assessment insists on.
            await pulumi(["config", "set", "acknowledge", "SM-W0745"]);
            expect(await readFile(stackFile, "utf8")).to.contain("# init: the unit of its main process");
            const said = await pulumi(["preview"]);
            if (!/of old\.test[^]*findings: 0 blocking/.test(said)) throw new Error(said);
        });

        it("says which homeservers there are where none of that name is (SM-E1453)", async () => {
            const { hostKey, identityFile } = booted.access;
            const { detail } = await expectError("SM-E1453", () =>
                initStack({
                    ...{ from: [`root@${booted.address}`], stack, serverName: "other.test" },
                    login: { hostKey, identity: identityFile },
                }),
            );
            expect(detail.found).to.equal("old.test");
        });
    });

    describe("of a machine with two homeservers, one that is stopped, and none", () => {
        const other = "/etc/other-synapse/homeserver.yaml";

        it("tells both apart, and workers are those of the one whose configuration they have", async () => {
            await synapse.query(`CREATE ROLE "matrix-synapse" LOGIN;
                CREATE DATABASE peer OWNER "matrix-synapse" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';`);
            const yaml = await booted.run(["cat", "/etc/matrix-synapse/homeserver.yaml"]);
            const own = yaml
                .replace(/^listeners:[^]*?(?=^\w)/m, "")
                .replace(/^pid_file:.*$/m, "pid_file: /run/other.pid")
                .replace(
                    /^database:[^]*?(?=^\w)/m,
                    "database: {name: psycopg2, args: {user: matrix-synapse, dbname: peer, host: /var/run/postgresql}}\n",
                );
            await booted.run(["install", "-d", "-o", "matrix-synapse", "/etc/other-synapse", "/var/lib/other-synapse"]);
            await booted.write(other, `server_name: other.test\nreport_stats: false\n${own}`, {
                mode: 0o640,
                owner: "matrix-synapse",
            });
            const unit = (await booted.run(["cat", "/etc/systemd/system/matrix-synapse.service"]))
                .replace(/^PartOf.*\n|^ReloadPropagatedFrom.*\n|^ExecStartPre.*\n/gm, "")
                .replace(/^(ExecStart=\S+ -m synapse.app.homeserver).*$/m, `$1 --config-path=${other}`);
            await booted.write("/etc/systemd/system/other.service", unit);
            await booted.run(["systemctl", "daemon-reload"]);
            await booted.run(["systemctl", "start", "other.service"], { timeoutSeconds: 120 });
            const { found } = await look(describeMachine(booted));
            const [first, second] = ["old.test", "other.test"].map((name) =>
                found.homeservers.find((one) => one.serverName === name),
            );
            expect([first?.running, first?.workers.length, second?.running, second?.workers.length]).to.deep.equal([
                true,
                2,
                true,
                0,
            ]);
            expect(second?.service).to.deep.equal({ kind: "systemd", units: ["other.service"] });
            // Nobody but the homeserver's own user is let in, and that without a password.
            expect(second?.database).to.deep.include({ kind: "postgres", name: "peer", host: "/var/run/postgresql" });
            const peer = second?.database?.kind === "postgres" ? second.database : undefined;
            expect([peer?.notSeen, peer?.via]).to.deep.equal([undefined, "a relay as user matrix-synapse"]);
            expect(peer?.sizeBytes).to.be.greaterThan(1e6);
            const { hostKey, identityFile } = booted.access;
            await expectError("SM-E1453", () =>
                initStack({ from: [`root@${booted.address}`], stack: "s", login: { hostKey, identity: identityFile } }),
            );
        });

        it("finds what is stopped, and not enabled, by its unit", async () => {
            await booted.run(["systemctl", "stop", "other.service", synapse.unit], { timeoutSeconds: 120 });
            await booted.run(["systemctl", "disable", "matrix-synapse.service"]);
            const { found } = await look(describeMachine(booted));
            const told = found.homeservers.map(({ serverName, running, service, workers }) => [
                serverName,
                running,
                service,
                workers.length,
            ]);
            expect(told).to.have.deep.members([
                ["old.test", false, { kind: "systemd", units: ["matrix-synapse.service"] }, 2],
                ["other.test", false, { kind: "systemd", units: ["other.service"] }, 0],
            ]);
            expect(found.homeservers[0]?.version.installed).to.match(/^1\./);
        });

        it("finds none where there is none, which init refuses (SM-E1452)", async () => {
            await booted.run([
                "rm",
                "-r",
                "/etc/systemd/system/other.service",
                ...["matrix-synapse.service", "matrix-synapse-worker@.service", "matrix-synapse.target"].map(
                    (name) => `/etc/systemd/system/${name}`,
                ),
            ]);
            await booted.run(["systemctl", "daemon-reload"]);
            const { found } = await look(describeMachine(booted));
            expect(found.homeservers).to.deep.equal([]);
            expect(discoveryText(found)).to.match(/: no homeserver, /);
            const { hostKey, identityFile } = booted.access;
            await expectError("SM-E1452", () =>
                initStack({ from: [`root@${booted.address}`], stack: "s", login: { hostKey, identity: identityFile } }),
            );
        });
    });
});
