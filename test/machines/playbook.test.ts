/** A homeserver whose container a unit of systemd runs, on a machine of its own: the unit is stopped and held, the container's paths are found. */
import { join } from "node:path";
import { expect } from "chai";
import { selfHostedSource, type SelfHostedSource } from "../../contract/source.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { sourceService } from "../../engine/services/service.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { ownBaseUrl } from "../../engine/synapse/api/ownApi.ts";
import { filesOfIdentity, refuseMissingFiles } from "../../engine/synapse/config/missingFiles.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import {
    installPlaybookSynapse,
    playbookUnit,
    type PlaybookSynapse,
} from "../../rehearsal/machines/playbookSynapse.ts";
import { sourceOnMachine } from "../../steps/commands/stackSource.ts";
import { quickAssessment } from "../../steps/assess/assess.ts";
import { targetPython as targetPythonOf } from "../support/bundle.ts";
import { expectError } from "../support/expectError.ts";
import { untilTrue } from "../support/waiting.ts";
import { withWorkDirectory } from "../support/workDirectory.ts";

describe("a homeserver whose container a unit of systemd runs", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: PlaybookSynapse;
    let source: SelfHostedSource;

    before(async () => {
        machine = await bootMachine({ name: "playbook" });
        synapse = await installPlaybookSynapse(machine);
        source = selfHostedSource.parse({
            kind: "selfHosted",
            serverName: synapse.serverName,
            homeserverConfig: synapse.configPaths,
            machine: describeMachine(machine),
            service: { kind: "systemd", units: [playbookUnit] },
        });
    });
    afterEach(() => closeMachines());
    after(async () => {
        await machine.end();
    });

    /** Its paths and its database, whether its container is there or not. */
    async function isRead(): Promise<void> {
        const config = await readSourceConfig(source);
        expect(config.files).to.deep.equal(["/matrix/synapse/config/homeserver.yaml"]);
        expect(config.mediaStorePath).to.equal("/matrix/synapse/storage/media-store");
        await refuseMissingFiles(config, filesOfIdentity(config));
        const { rows } = await withClient(await sourceAddress(source), { step: "assess", readOnly: true }, (client) =>
            client.query<{ name: string }>("SELECT current_database()::text AS name"),
        );
        expect(rows).to.deep.equal([{ name: "synapse" }]);
    }

    it("is found by its unit, with the process in the container, and read through the container's mounts", async () => {
        const { running, record, processes, evidence } = await sourceService(source).status();
        expect(running).to.equal(true);
        expect(processes.map(({ keeping }) => keeping.unit)).to.deep.equal([playbookUnit]);
        expect(record.kind === "systemd" && record.configFiles).to.include("/matrix/synapse/config/homeserver.yaml");
        expect(evidence.join("\n")).to.contain(`${playbookUnit}: active`);
        await isRead();
        const api = new MatrixApi((await ownBaseUrl(await readSourceConfig(source))) ?? "");
        expect((await api.ask("/_matrix/client/versions")).status).to.equal(200);
    });

    it("is found by init as the unit that runs its container, with the paths of the container", async () => {
        const found = await sourceOnMachine({ named: { description: source.machine } });
        expect([found.service, found.homeserverConfig]).to.deep.equal([source.service, source.homeserverConfig]);
        expect(found.config.mediaStorePath).to.equal("/matrix/synapse/storage/media-store");
    });

    it("is stopped and held with its unit, read while its container is gone, and started as it was", async () => {
        const service = sourceService(source);
        const before = (await service.status()).record;
        const stopped = await service.stop(before);
        await service.staysDown(stopped);
        expect(await machine.run(["docker", "ps", "--all", "--format", "{{.Names}}"])).to.not.contain("matrix-synapse");
        const said = await machine.run(["systemctl", "start", playbookUnit]).catch((error: unknown) => String(error));
        expect(said).to.contain("Assertion failed");
        await isRead();
        await closeMachines();
        await machine.reboot();
        expect(await synapse.answers()).to.equal(false);
        expect((await sourceService(source).status()).running).to.equal(false);
        await isRead();
        await sourceService(source).start(before);
        await untilTrue(() => synapse.answers());
        await untilTrue(async () => (await sourceService(source).status()).processes.length === 1);
    });

    it("is not stopped as a container, which its unit would start again (SM-E1476)", async () => {
        const named = sourceService({ ...source, service: { kind: "container", name: "matrix-synapse" } });
        const error = await expectError("SM-E1476", () => named.stop());
        await expectError("SM-E1476", () => named.refuseUnstoppable());
        // Said before anything is made, and not by the fence alone.
        const targetPython = await targetPythonOf();
        const assessed = await withWorkDirectory((directory) =>
            quickAssessment({
                ...{ run: { directory }, quick: true, enforce: false, targetPython },
                source: { ...source, service: { kind: "container", name: "matrix-synapse" } },
                targetDirectory: join(directory, "target"),
            }),
        );
        const said = assessed.findings.filter(({ id }) => id === "SM-E1476");
        expect(said.map(({ fix }) => fix).join()).to.contain(`{kind: systemd, units: [${playbookUnit}]}`);
        expect(error.detail.fix).to.contain(playbookUnit);
        expect((await named.status()).evidence.join("\n")).to.contain("run by a unit of systemd that is active");
        expect(await synapse.answers()).to.equal(true);
    });
});
