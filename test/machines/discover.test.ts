import { expect } from "chai";
import { discover } from "../../engine/discover/discover.ts";
import { discovery, type Discovery } from "../../engine/discover/discovery.ts";
import { discoveryText } from "../../engine/discover/text.ts";
import { openMachine, closeMachines } from "../../engine/machines/openMachine.ts";
import type { SshMachine } from "../../contract/index.ts";
import { installDebianSynapse, type DebianSynapse } from "./support/debianSynapse.ts";
import { describeMachine } from "./support/descriptions.ts";
import { bootMachine, type BootedMachine } from "./support/machine.ts";
import { operator } from "./support/baseRecipe.ts";

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
});
