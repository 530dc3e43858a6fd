/** A homeserver whose database lets in the user that it runs as by its name, as Debian's PostgreSQL does, on a machine that is reached over ssh. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { z } from "zod";
import { fenceContract, type SelfHostedSource } from "../../contract/index.ts";
import { foreignSessions } from "../../engine/fence/writingSessions.ts";
import { lookAtSessions } from "../../engine/fence/sessionOwners.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { sourceMachine } from "../../engine/machines/sourceMachine.ts";
import { tableFingerprints } from "../../engine/postgres/compare/fingerprint.ts";
import { inSnapshot, queryOne, withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { copyDatabase } from "../../engine/postgres/directCopy/copyDatabase.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { fence } from "../../steps/migrate/fence.ts";
import { testCluster } from "../support/cluster.ts";
import { expectError } from "../support/expectError.ts";
import { newRun } from "../support/migrationDump.ts";
import { done, undone } from "../support/migrationSpecs.ts";
import { untilTrue } from "../support/waiting.ts";
import { newWorkDirectory } from "../support/workDirectory.ts";

const options = { step: "test", readOnly: true, statementSeconds: 0 };

describe("a homeserver whose database has peer authentication, on another machine", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: DebianSynapse;
    let directory: string;

    before(async () => {
        directory = await newWorkDirectory();
        machine = await bootMachine({ name: "peer" });
        synapse = await installDebianSynapse(machine, { workers: 1, database: "peer" });
    });
    afterEach(() => closeMachines());
    after(async () => {
        await machine.end();
        await rm(directory, { recursive: true, force: true });
    });

    const source = (how: "root" | "sudo" | "operator" = "sudo"): SelfHostedSource => {
        const { become, ...plain } = describeMachine(machine, "sudo");
        const description = how === "root" ? describeMachine(machine) : how === "sudo" ? { ...plain, become } : plain;
        return {
            kind: "selfHosted",
            serverName: synapse.serverName,
            homeserverConfig: [...synapse.configPaths],
            machine: description,
            service: { kind: "systemd", units: ["matrix-synapse.service"] },
        };
    };
    /** What is there of relays: directories and processes. */
    const left = async (): Promise<string> =>
        (
            await machine.run([
                "sh",
                "-c",
                "ls -d /run/synapse-migration-* 2>/dev/null; pgrep -f '[s]ocket_relay|[f]ar_helper' || true",
            ])
        ).trim();
    const nothingLeft = (): Promise<void> => untilTrue(async () => (await left()) === "");

    it("is reached as root and as an operator who becomes root, and nothing is left behind", async () => {
        for (const how of ["root", "sudo"] as const) {
            const address = await sourceAddress(source(how));
            const { rows } = await withClient(address, options, (client) =>
                client.query("SELECT session_user::text AS role"),
            );
            expect([rows, address.via?.user]).to.deep.equal([[{ role: "matrix-synapse" }], "matrix-synapse"]);
            expect(await left()).not.to.equal("");
            await closeMachines();
            await nothingLeft();
        }
    });

    it("lets nobody else of its machine in by the way that is made for us", async () => {
        await sourceAddress(source());
        const [place = ""] = (await machine.run(["sh", "-c", "ls -d /run/synapse-migration-*/.s*"])).split("\n");
        expect(await machine.run(["stat", "-c", "%a %U", place, join(place, "..")])).to.equal("600 admin\n700 admin\n");
        const script = `import socket,sys,struct
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(struct.pack(">II", 8, 80877103)); print(s.recv(1))`;
        const attempt = async (user: string): Promise<string> =>
            machine
                .run(["runuser", "-u", user, "--", "python3", "-c", script, place])
                .catch((error: unknown) => String(error));
        expect(await attempt("admin")).to.match(/^b'[NS]'/);
        expect(await attempt("nobody")).to.match(/Permission denied/);
        await machine.run(["chmod", "0755", join(place, "..")]);
        await machine.run(["chmod", "0666", place]);
        for (const user of ["nobody", "root"]) expect(await attempt(user)).to.match(/^b''|Broken pipe|reset by peer/);
    });

    it("is refused to an operator who may not become root, with the way out (SM-E1442)", async () => {
        await machine.run(["usermod", "-aG", "nogroup", "admin"]);
        await machine.run(["sh", "-c", "chmod -R g+rX /etc/matrix-synapse; chmod g+r /etc/matrix-synapse/*"]);
        const { detail, block } = await expectError("SM-E1442", () => sourceAddress(source("operator")));
        expect(detail.where).to.equal(`synapse@/var/run/postgresql:5432 on admin@${machine.address}`);
        expect(detail.found).to.match(/as user matrix-synapse: only root may do that as another user/);
        expect(block).to.match(/set `machine.become` to `sudo`/);
    });

    it("has no relay any more after a kill of who held it, in the middle of a statement", async () => {
        const script = fileURLToPath(import.meta.resolve("./sourceOwner.ts"));
        const owner = spawn(process.execPath, ["--import", "tsx", script, JSON.stringify(source())], {
            stdio: ["ignore", "pipe", "inherit"],
        });
        const ended = once(owner, "exit");
        await Promise.race([once(owner.stdout, "data"), ended.then(() => Promise.reject(new Error("it has ended")))]);
        owner.kill("SIGKILL");
        await ended;
        await nothingLeft();
        await untilTrue(
            async () =>
                (
                    await synapse.query(
                        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'",
                    )
                ).trim() === "0",
        );
    });

    it("tells the homeserver's sessions from those that come through the relay", async () => {
        await withClient(await sourceAddress(source()), options, async (client) => {
            const { own, foreign, unknown } = await lookAtSessions(client, source(), 10);
            expect([foreign, unknown]).to.deep.equal([[], []]);
            expect(own.length).to.be.greaterThan(1);
        });
    });

    it("is copied through it, row for row", async () => {
        const cluster = await testCluster();
        const target = cluster.address(await cluster.createDatabase());
        const address = await sourceAddress(source());
        await withClient(address, options, (client) =>
            inSnapshot(client, undefined, async () => {
                const shape = z.object({ snapshot: z.string() });
                const { snapshot } = await queryOne(client, shape, "SELECT pg_export_snapshot() AS snapshot");
                await copyDatabase(
                    {
                        source: address,
                        target,
                        snapshot,
                        clientDirectory: cluster.programs,
                        step: "test",
                        jobs: 3,
                        standsStill: false,
                    },
                    await newRun(cluster),
                );
                const rows = async (of: DatabaseAddress, at?: string): Promise<unknown> =>
                    (
                        await tableFingerprints(of, {
                            step: "test",
                            jobs: 2,
                            ...(at === undefined ? {} : { snapshot: at }),
                        })
                    ).map(({ name, rows, hash }) => [name, rows, hash]);
                expect(await rows(target)).to.deep.equal(await rows(address, snapshot));
            }),
        );
    });

    it("is fenced and given back: no session but the homeserver's is counted, also after a reboot, when it is stopped", async () => {
        const spec = { run: { id: "one", directory: join(directory, "runs", "one") }, source: source() };
        await done(fence, spec, fenceContract.result);
        expect(await synapse.answers()).to.equal(false);
        await closeMachines();
        await machine.reboot();
        await withClient(await sourceAddress(source()), options, async (client) => {
            expect(await foreignSessions(client)).to.deep.equal([]);
        });
        await closeMachines();
        await undone(fence, spec);
        await untilTrue(() => synapse.answers());
        expect(
            (await sourceMachine(source()).files.list("/run")).filter((name) => name.startsWith("synapse-migration-"))
                .length,
        ).to.be.lessThan(2);
        await closeMachines();
        await nothingLeft();
    });
});
