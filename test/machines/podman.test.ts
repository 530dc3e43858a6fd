/** A homeserver that Podman runs, on a machine of its own: stopped for good by its units, and refused where only a container could be held. */
import { expect } from "chai";
import { selfHostedSource, type SelfHostedSource } from "../../contract/source.ts";
import { unstoppable } from "../../engine/fence/unstoppable.ts";
import { closeMachines, openMachine } from "../../engine/machines/openMachine.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { bridgeGateway } from "../../engine/services/containers/engineCalls.ts";
import { sourceService } from "../../engine/services/service.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { ownBaseUrl } from "../../engine/synapse/api/ownApi.ts";
import { filesOfIdentity, refuseMissingFiles } from "../../engine/synapse/config/missingFiles.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import { readHomeserverSecrets } from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { synapseImage } from "../../rehearsal/machines/containerImages.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import {
    installPodmanSynapse,
    podmanMedia,
    podmanOptions,
    podmanUnit,
    type PodmanSynapse,
} from "../../rehearsal/machines/podmanSynapse.ts";
import { sourceOnMachine } from "../../steps/commands/stackSource.ts";
import { expectError } from "../support/expectError.ts";
import { untilTrue } from "../support/waiting.ts";

describe("a homeserver that Podman runs", function () {
    this.timeout(900_000);
    let machine: BootedMachine;
    let synapse: PodmanSynapse;
    let source: SelfHostedSource;

    before(async () => {
        machine = await bootMachine({ name: "podman", podman: true });
        synapse = await installPodmanSynapse(machine);
        source = selfHostedSource.parse({
            kind: "selfHosted",
            serverName: synapse.serverName,
            homeserverConfig: synapse.configPaths,
            machine: describeMachine(machine),
            service: synapse.service,
        });
    });
    afterEach(() => closeMachines());
    after(async () => {
        await machine.end();
    });

    const names = async (): Promise<string[]> =>
        (await machine.run(["podman", "ps", "--all", "--format", "{{.Names}}"])).trim().split("\n").sort();
    const unitState = (): Promise<string> =>
        machine.run(["systemctl", "show", "--property=ActiveState,UnitFileState", podmanUnit]);

    /** Its paths and its database, whether its container is there or not. */
    async function isRead(): Promise<void> {
        const config = await readSourceConfig(source);
        expect(config.files).to.deep.equal([`${synapse.volume}/homeserver.yaml`]);
        expect(config.mediaStorePath).to.equal(`${podmanMedia}/store`);
        await refuseMissingFiles(config, filesOfIdentity(config));
        const secrets = await readHomeserverSecrets(config);
        expect(secrets.signingKeys.map(({ id }) => id)).to.deep.equal(Object.keys(synapse.files.verifyKeys));
        const address = await sourceAddress(source);
        expect(address.host).to.equal("database");
        const { rows } = await withClient(address, { step: "assess", readOnly: true }, (client) =>
            client.query<{ name: string }>("SELECT current_database()::text AS name"),
        );
        expect(rows).to.deep.equal([{ name: "synapse" }]);
    }

    it("is found by its unit, read through a volume and a directory, and reached through Podman's network", async () => {
        const { running, processes, evidence } = await sourceService(source).status();
        expect(running).to.equal(true);
        expect(processes.map(({ keeping }) => keeping.unit)).to.deep.equal([podmanUnit]);
        expect(evidence.join("\n")).to.contain(`${podmanUnit}: active`);
        expect(await unstoppable(source)).to.deep.equal([]);
        await isRead();
        const api = new MatrixApi((await ownBaseUrl(await readSourceConfig(source))) ?? "");
        expect((await api.ask("/_matrix/client/versions")).status).to.equal(200);
        expect(await bridgeGateway(openMachine(source.machine), "podman")).to.equal("10.88.0.1");
    });

    it("is found by init as the unit that runs its container", async () => {
        const found = await sourceOnMachine({ named: { description: source.machine } });
        expect([found.service, found.homeserverConfig]).to.deep.equal([source.service, source.homeserverConfig]);
        expect(found.config.mediaStorePath).to.equal(`${podmanMedia}/store`);
    });

    it("is stopped for good with its unit, whoever starts it, also after a reboot, and started as it was", async () => {
        const installed = [await names(), await unitState()];
        const before = (await sourceService(source).status()).record;
        const stopped = await sourceService(source).stop(before);
        await sourceService(source).staysDown(stopped);
        const nothingStarts = async (): Promise<void> => {
            const habits = [
                ["systemctl", "start", podmanUnit],
                ["systemctl", "restart", podmanUnit],
                ["podman", "start", "synapse"],
                ["systemctl", "start", "podman-restart.service"],
            ];
            for (const habit of habits) await machine.run(habit).catch(() => "");
            expect(await names()).to.deep.equal(["database"]);
            expect(await synapse.answers()).to.equal(false);
            expect((await sourceService(source).status()).running).to.equal(false);
        };
        await nothingStarts();
        await isRead();
        await closeMachines();
        await machine.reboot();
        await nothingStarts();
        await isRead();
        await sourceService(source).start(before);
        await untilTrue(() => synapse.answers());
        expect([await names(), await unitState()]).to.deep.equal(installed);
        expect((await sourceService(source).status()).processes).to.have.length(1);
    });

    it("is told when somebody runs it in another container while it is held (SM-E0702)", async () => {
        const before = (await sourceService(source).status()).record;
        const stopped = await sourceService(source).stop(before);
        await machine.run(["podman", "run", "--detach", "--name=again", ...podmanOptions, synapseImage]);
        await untilTrue(() => synapse.answers());
        const error = await expectError("SM-E0702", () => sourceService(source).staysDown(stopped));
        expect(error.detail.found).to.contain("synapse.app.homeserver");
        await machine.run(["podman", "rm", "--force", "--time=60", "again"]);
        await sourceService(source).start(before);
        await untilTrue(() => synapse.answers());
    });

    it("is not stopped as a container, which its unit would start again (SM-E1476)", async () => {
        const named: SelfHostedSource = {
            ...source,
            service: { kind: "container", name: "synapse", engine: "podman" },
        };
        const [said, ...more] = await unstoppable(named);
        expect([said?.code, more]).to.deep.equal(["SM-E1476", []]);
        expect(said?.fix).to.contain(`{kind: systemd, units: [${podmanUnit}]}`);
        await expectError("SM-E1476", () => sourceService(named).stop());
        expect(await synapse.answers()).to.equal(true);
    });

    it("is refused where its container is still there once it has ended, for Podman cannot hold it (SM-E1480)", async () => {
        await machine.run(["systemctl", "disable", "--now", podmanUnit]);
        await machine.run([
            "podman",
            "run",
            "--detach",
            "--name=alone",
            "--restart=always",
            ...podmanOptions,
            synapseImage,
        ]);
        await untilTrue(() => synapse.answers());
        const found = await sourceOnMachine({ named: { description: source.machine } });
        expect(found.service).to.deep.equal({ kind: "container", name: "alone", engine: "podman" });
        const alone: SelfHostedSource = { ...source, service: found.service };
        expect((await sourceService(alone).status()).running).to.equal(true);
        expect((await readSourceConfig(alone)).mediaStorePath).to.equal(`${podmanMedia}/store`);
        expect((await sourceAddress(alone)).host).to.equal("database");
        expect((await unstoppable(alone)).map(({ code }) => code)).to.deep.equal(["SM-E1480"]);
        await expectError("SM-E1480", () => sourceService(alone).stop());
        expect(await synapse.answers()).to.equal(true);
    });

    it("is refused where a unit starts a container that is there already (SM-E1480)", async () => {
        const unit = "container-alone.service";
        await machine.write(
            `/etc/systemd/system/${unit}`,
            await machine.run(["podman", "generate", "systemd", "--name", "alone"]),
        );
        await machine.run(["podman", "stop", "--time=60", "alone"]);
        await machine.run(["systemctl", "daemon-reload"]);
        await machine.run(["systemctl", "start", unit]);
        await untilTrue(() => synapse.answers());
        const started: SelfHostedSource = { ...source, service: { kind: "systemd", units: [unit] } };
        expect((await unstoppable(started)).map(({ code }) => code)).to.deep.equal(["SM-E1480"]);
        await expectError("SM-E1480", () => sourceService(started).stop());
        expect(await synapse.answers()).to.equal(true);
    });
});
