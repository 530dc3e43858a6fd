/** A homeserver under systemd on one machine, moved into the one that an installer has made on another. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../rehearsal/directory.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { PulumiStack } from "../../rehearsal/pulumiStack.ts";
import { registerCanary } from "../../rehearsal/source/canary.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { newcomer } from "../support/newcomer.ts";
import { smallPopulation } from "../support/synapse.ts";
import { untilTrue } from "../support/waiting.ts";

const serverName = "moved.test";

describe("the move into an installed homeserver on another machine", function () {
    this.timeout(1_800_000);
    let machines: BootedMachine[] = [];
    let [old, installed]: DebianSynapse[] = [];
    let stack: PulumiStack;
    let directory: string;
    const said: string[] = [];

    const both = (): { source: DebianSynapse; target: DebianSynapse } => {
        if (old === undefined || installed === undefined) throw new Error("they were not made");
        return { source: old, target: installed };
    };

    before(async () => {
        directory = makeRehearsalDirectory();
        machines = await Promise.all([bootMachine({ name: "old" }), bootMachine({ name: "new" })]);
        const [from, to] = machines;
        if (from === undefined || to === undefined) throw new Error("no machines");
        old = await installDebianSynapse(from, { serverName, population: smallPopulation });
        // Both machines come from one image: without it, one server could be taken for the other.
        await to.run(["sh", "-c", "pg_dropcluster --stop 15 main && pg_createcluster 15 main"]);
        installed = await installDebianSynapse(to, { serverName, workers: 1, database: "peer" });
        const { pulumi, postgres, synapse } = await ensureToolchain(
            { pulumi: true, postgres: true, synapse: true },
            () => undefined,
        );
        if (pulumi === undefined || postgres === undefined || synapse === undefined) throw new Error("no toolchain");
        const canary = await registerCanary(old, "installed");
        const service = { kind: "systemd", units: ["matrix-synapse"] };
        stack = await PulumiStack.create({
            name: `installed-${process.pid}`,
            pulumi,
            projectDirectory: join(import.meta.dirname, "../.."),
            directory: join(directory, "pulumi"),
            config: {
                serverName,
                phase: "assess",
                disposable: true,
                source: {
                    kind: "selfHosted",
                    homeserverConfig: old.configPaths,
                    machine: describeMachine(from, "sudo"),
                    service,
                },
                target: {
                    kind: "installed",
                    machine: describeMachine(to, "sudo"),
                    service,
                    homeserverConfig: installed.configPaths,
                    database: { replace: true },
                    directory: join(directory, "target"),
                    synapsePython: synapse.python,
                    postgresPrograms: postgres.directory,
                },
                workDirectory: join(directory, "work"),
                canaryUser: canary.user,
                canaryBaseUrl: old.baseUrl,
            },
            secrets: {
                signingKey: await from.run(["cat", old.signingKeyFile]),
                macaroonSecretKey: old.files.macaroonSecretKey,
                pepper: old.files.pepper,
                canaryPassword: canary.password,
            },
            progress: lineProgress("pulumi", (line) => void said.push(line), redact),
            signal: new AbortController().signal,
        });
    });
    afterEach(function () {
        if (this.currentTest?.state === "failed") console.error(said.slice(-120).join("\n"));
        said.length = 0;
        return closeMachines();
    });
    after(async () => {
        await stack.destroy();
        expect(await removeRehearsalDirectory(directory)).to.deep.equal([]);
        for (const machine of machines) await machine.end();
    });

    /** Files with their modes, owners and digests; units; databases; and how many rows each table has, but for the one that each start of Synapse adds to. */
    const fingerprint = async (): Promise<string> => {
        const { target } = both();
        const files = await target.machine.run([
            "sh",
            "-c",
            `find /etc/matrix-synapse ${target.mediaStore} /etc/systemd/system -printf '%p %m %U %G %y\\n' | sort; find /etc/matrix-synapse ${target.mediaStore} -type f -exec sha256sum {} + | sort`,
        ]);
        const units = await target.machine.run(["systemctl", "is-enabled", ...target.services]);
        // The same object identifier: the very database, and no copy of it.
        const databases = await target.query(
            "SELECT oid, datname, pg_get_userbyid(datdba) FROM pg_database ORDER BY 1",
        );
        const rows = await target.query(
            "SELECT relname, (xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I', relname), false, true, '')))[1] FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'cache_invalidation_stream_by_instance' ORDER BY 1",
        );
        return [files, units, databases, rows].join("\n");
    };
    let asInstalled = "";

    it("is described by init: both machines, where each value comes from, and what is asked of the operator", async () => {
        const { source, target } = both();
        const login = (prefix: string, { machine }: DebianSynapse): string[] => [
            ...[`--${prefix}sudo`, `--${prefix}identity`, machine.access.identityFile],
            ...[`--${prefix}host-key`, machine.access.hostKey],
        ];
        const made = await newcomer(`into-${process.pid}`);
        try {
            const said = await made.synapseMigrate(
                ...["init", "--from", `${operator}@${source.machine.address}`, ...login("", source)],
                ...["--to", `${operator}@${target.machine.address}`, ...login("to-", target)],
                ...["--stack", `into-${process.pid}`, "--target-directory", join(made.directory, "target")],
            );
            expect(said).to.contain("target.database.replace");
            const text = await readFile(made.stackFile, "utf8");
            expect(text).to.match(/target:\n(?:.*\n)*? +kind: installed\n/);
            expect(text).to.contain(`address: ${operator}@${target.machine.address}\n`);
            expect(text).to.match(/# init: the unit of its main process.*\n +units:\n +- matrix-synapse\.service\n/);
            expect(text).not.to.contain(target.files.pepper).and.not.to.contain(source.files.pepper);
            expect(await made.pulumi(["preview"])).to.match(/of moved\.test[^]*findings: 0 blocking/);
        } finally {
            await made.remove();
        }
    });

    it("is refused while people use what is installed", async () => {
        const { target } = both();
        await target.query(
            `INSERT INTO events (stream_ordering, topological_ordering, depth, event_id, type, room_id, sender, processed, outlier,
                contains_url, received_ts, origin_server_ts)
            VALUES (-1, 1, 1, '$somebody', 'm.room.message', '!room:${serverName}', '@somebody:${serverName}', true, false,
                false, extract(epoch FROM now()) * 1000, 0)`,
        );
        const refused = await stack.up("stage").then(
            () => "nothing",
            (error: unknown) => String(error),
        );
        expect(refused).to.contain("SM-E1606");
        expect(await target.answers()).to.equal(true);
        await target.query("DELETE FROM events WHERE event_id = '$somebody'");
    });

    it("is assessed and staged while both serve", async () => {
        const { source, target } = both();
        asInstalled = await fingerprint();
        await stack.preview();
        await stack.up("stage");
        expect(await source.answers()).to.equal(true);
        expect(await target.answers()).to.equal(true);
    });

    it("is started where no client finds it, and taken back without a trace, under another run as well", async () => {
        const { source, target } = both();
        await stack.up("migrate");
        expect(await source.answers()).to.equal(false);
        expect(await target.answers(), "nobody gets in").to.equal(false);
        // Another run: its steps are done before those of the older one are taken back.
        await stack.set("run", "another");
        await stack.up("stage");
        await untilTrue(() => source.answers());
        await untilTrue(() => target.answers());
        await stack.up("assess");
        expect(await fingerprint()).to.equal(asInstalled);
    });

    it("is the same server there, and stays it through a reboot", async () => {
        const { source, target } = both();
        await stack.up("cutover");
        expect(await source.answers()).to.equal(false);
        const { gatewayUrl } = await stack.outputs(z.looseObject({ gatewayUrl: z.string() }));
        expect(gatewayUrl).to.equal(`${target.baseUrl}/`);
        const { expectations } = source;
        if (expectations === undefined) throw new Error("nobody uses it");
        const progress = lineProgress("check", () => undefined, redact);
        const whole = async (): Promise<void> => {
            const checks = await checkHomeserver({ baseUrl: target.baseUrl, expectations, progress });
            expect(checks.filter(({ passed }) => !passed)).to.deep.equal([]);
        };
        await whole();
        await stack.up("cutover", "--expect-no-changes");
        await target.machine.reboot();
        await untilTrue(() => target.answers());
        await stack.up("finish");
        await whole();
        expect(await source.answers()).to.equal(false);
    });
});
