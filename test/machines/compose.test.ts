/** A homeserver that Compose runs in containers, on a machine of its own: found, read, stopped for good, and given back as it was. */
import { constants } from "node:os";
import { expect } from "chai";
import { selfHostedSource, type SelfHostedSource } from "../../contract/source.ts";
import { refuseMissingFiles, filesOfIdentity } from "../../engine/synapse/config/missingFiles.ts";
import { closeMachines, openMachine } from "../../engine/machines/openMachine.ts";
import type { Machine } from "../../engine/machines/machine.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { until } from "../../engine/run/until.ts";
import { unstoppable } from "../../engine/fence/unstoppable.ts";
import { sourceService, serviceControl } from "../../engine/services/service.ts";
import { ranBefore, stoppedService, type StoppedService } from "../../engine/services/serviceControl.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { ownBaseUrl } from "../../engine/synapse/api/ownApi.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import { readHomeserverSecrets } from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";
import {
    composeDirectory,
    installComposeSynapse,
    type ComposeSynapse,
} from "../../rehearsal/machines/composeSynapse.ts";
import { synapseImage } from "../../rehearsal/machines/containerImages.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { sourceOnMachine } from "../../steps/commands/stackSource.ts";
import { expectError } from "../support/expectError.ts";
import { untilTrue } from "../support/waiting.ts";
import { killedAfter } from "./killedAfter.ts";

const worker = "matrix-generic_worker1-1";
/** A held homeserver has ended by then. */
const endSeconds = 60;

/** Its bit in the masks of proc(5). */
const sigterm = 1n << BigInt(constants.signals.SIGTERM - 1);

describe("a homeserver that Compose runs, with a worker", function () {
    this.timeout(900_000);
    let machine: BootedMachine;
    let synapse: ComposeSynapse;
    let source: SelfHostedSource;
    /** As it was when it was installed. */
    let installed: string;

    before(async () => {
        machine = await bootMachine({ name: "compose" });
        synapse = await installComposeSynapse(machine, { workers: 1 });
        source = selfHostedSource.parse({
            kind: "selfHosted",
            serverName: synapse.serverName,
            homeserverConfig: synapse.configPaths,
            machine: describeMachine(machine),
            service: synapse.service,
        });
        installed = await facts();
    });
    afterEach(() => closeMachines());
    after(async () => {
        await machine.end();
    });

    const control = (on: Machine = openMachine(source.machine)) =>
        serviceControl(source.service, on, { configFiles: source.homeserverConfig });
    /** As it is kept between two runs of a step. */
    const kept = async (): Promise<StoppedService> =>
        stoppedService.parse(JSON.parse(JSON.stringify((await control().status()).record)));
    /** The first process of a container gets no signal that it has no handler for: a stop would wait for its time to be over. */
    async function hearsStop(container: string): Promise<boolean> {
        const pid = (await machine.run(["docker", "inspect", "--format", "{{.State.Pid}}", container])).trim();
        const status = await machine.run(["cat", `/proc/${pid}/status`]).catch(() => "");
        const caught = /^SigCgt:\s+([0-9a-f]+)$/m.exec(status)?.[1];
        return caught !== undefined && (BigInt(`0x${caught}`) & sigterm) !== 0n;
    }
    const serves = async (): Promise<void> => {
        await untilTrue(() => synapse.answers());
        for (const container of [synapse.container, worker]) await untilTrue(() => hearsStop(container));
    };

    /** Everything that starting the homeserver again has to bring back: all that is not of this one start. */
    async function facts(): Promise<string> {
        const inspected: unknown = JSON.parse(await machine.run(["docker", "inspect", synapse.container, worker]));
        const ofOneStart =
            /^(Pid|RestartCount|ExecIDs|StartedAt|FinishedAt|ExitCode|Health|SandboxID|SandboxKey|EndpointID|IPAddress|MacAddress|Ports|ResolvConfPath)$/;
        return JSON.stringify(
            inspected,
            (key, value: unknown) => {
                if (ofOneStart.test(key)) return undefined;
                // A start makes empty lists of what is absent; no limit is 0 and null.
                return (Array.isArray(value) && value.length === 0) || (key === "PidsLimit" && value === 0)
                    ? null
                    : value;
            },
            1,
        );
    }

    const processes = async (): Promise<string> => machine.run(["pgrep", "-f", "synapse[.]app"]).catch(() => "none");

    /** By habit, by a script, by the engine, by the machine itself. */
    async function nothingServes(): Promise<void> {
        for (const command of [
            ["docker", "compose", "--project-directory", composeDirectory, "up", "--detach"],
            ["docker", "start", synapse.container, worker],
            ["docker", "compose", "--project-directory", composeDirectory, "restart"],
            ["systemctl", "restart", "docker.service"],
        ]) {
            await machine.run(command).catch(() => "");
            await until(
                async () => {
                    expect(await synapse.answers(), command.join(" ")).to.equal(false);
                    return (await processes()) === "none" || undefined;
                },
                { seconds: endSeconds },
                async () => new Error(`after ${command.join(" ")} there is process ${await processes()}`),
            );
        }
        expect((await control().status()).running).to.equal(false);
    }

    it("is found by its labels, with its worker, and with what would start both again", async () => {
        const { running, record, evidence, processes: found } = await control().status();
        expect(running).to.equal(true);
        expect(
            record.kind === "containers" && record.containers.map(({ name, part }) => `${part} ${name}`),
        ).to.deep.equal([`main ${synapse.container}`, `worker ${worker}`]);
        expect(record.kind === "containers" && record.ports).to.deep.equal([8008]);
        expect(record.kind === "containers" && record.configFiles).to.include(
            `${composeDirectory}/data/homeserver.yaml`,
        );
        expect(found).to.have.length(2);
        expect(evidence.join("\n"))
            .to.contain(`service synapse of matrix in ${composeDirectory}`)
            .and.to.contain("restart policy unless-stopped");
    });

    it("is read through its mounts, and reached through its networks", async () => {
        const config = await readSourceConfig(source);
        expect(config.mediaStorePath).to.equal(`${composeDirectory}/data/media_store`);
        expect(config.pidFile).to.equal(`${composeDirectory}/data/homeserver.pid`);
        await refuseMissingFiles(config, filesOfIdentity(config));
        const secrets = await readHomeserverSecrets(config);
        expect(secrets.signingKeys.map(({ id }) => id)).to.deep.equal(Object.keys(synapse.files.verifyKeys));
        const address = await sourceAddress(source);
        expect(address.host).to.equal("db");
        const { rows } = await withClient(address, { step: "assess", readOnly: true }, (client) =>
            client.query<{ name: string }>("SELECT current_database()::text AS name"),
        );
        expect(rows).to.deep.equal([{ name: "synapse" }]);
        const api = new MatrixApi((await ownBaseUrl(config)) ?? "");
        expect((await api.ask("/_matrix/client/versions")).status).to.equal(200);
    });

    it("is stopped for good, whoever starts its containers, also after a reboot, and started as it was", async () => {
        const before = await kept();
        const stopped = await control().stop(before);
        const { seconds, evidence } = await control().staysDown(stopped);
        expect(seconds).to.equal(4);
        expect(evidence).to.contain(synapse.container).and.to.contain("restart policy `no`");
        // Its database is still reached by the name that the container has for it.
        expect((await sourceAddress(source)).host).to.equal("db");
        await nothingServes();
        await closeMachines();
        await machine.reboot();
        expect(await processes()).to.equal("none");
        await nothingServes();
        await control().start(before);
        await serves();
        expect(await facts()).to.equal(installed);
    });

    it("is as it was after a reboot, too, once it was started again", async () => {
        const before = await kept();
        await control().stop(before);
        await control().start(before);
        await closeMachines();
        await machine.reboot();
        await serves();
        expect(await facts()).to.equal(installed);
    });

    it("is started when all that was kept beside is lost, with the restart policy of Synapse's own examples", async () => {
        await control().stop(await kept());
        const found = await kept();
        expect(ranBefore(found)).to.equal(true);
        await control().start(found);
        await serves();
        expect(await facts()).to.equal(installed);
    });

    it("is told by its name where Compose makes its containers anew, and those are started in their place", async () => {
        const before = await kept();
        const stopped = await control().stop(before);
        await synapse.compose("up", "--detach", "--force-recreate", "synapse", "generic_worker1");
        const error = await expectError("SM-E0702", () => control().staysDown(stopped));
        expect(error.detail.found).to.contain(`container ${synapse.container}`).and.to.contain("running");
        await control().stop(before);
        await control().start(before);
        await serves();
        // Their ids are new.
        installed = await facts();
        expect(installed).to.contain("unless-stopped").and.not.to.contain('"PidsLimit": 1');
    });

    it("comes to the right end when it is stopped and started after kills at every point of both", async () => {
        for (let after = 0; ; after++) {
            const before = await kept();
            const stopping = killedAfter(openMachine(source.machine), after);
            await control(stopping.machine).stop(before).catch(stopping.refuseOther);
            const stopped = await control().stop(before);
            expect(await processes()).to.equal("none");
            const starting = killedAfter(openMachine(source.machine), after);
            await control(starting.machine).start(stopped).catch(starting.refuseOther);
            await control().start(before);
            await serves();
            expect(await facts(), `after ${after} changes`).to.equal(installed);
            if (!stopping.wasKilled() && !starting.wasKilled()) break;
        }
    });

    it("is refused under a name that is not there (SM-E1470), and under that of something else (SM-E1472)", async () => {
        const of = (services: string[]): SelfHostedSource => ({
            ...source,
            service: { kind: "compose", project: "matrix", services },
        });
        const error = await expectError("SM-E1470", () => sourceService(of(["homeserver"])).status());
        expect(error.detail.found).to.contain(synapse.container);
        await expectError("SM-E1472", () => sourceService(of(["redis"])).status());
    });

    it("is found by init as a service of its project, or as a container where it was made by hand", async () => {
        const named = { description: source.machine };
        const found = await sourceOnMachine({ named });
        expect([found.service, found.homeserverConfig]).to.deep.equal([source.service, source.homeserverConfig]);
        expect(found.config.mediaStorePath).to.equal(`${composeDirectory}/data/media_store`);
        await synapse.compose("stop", "synapse", "generic_worker1");
        await synapse.compose("rm", "--force", "synapse", "generic_worker1");
        const data = `${composeDirectory}/data:/data`;
        const options = ["--restart=always", "--network=matrix_default", "--publish=8008:8008", `--volume=${data}`];
        await machine.run(["docker", "run", "--detach", "--name=alone", ...options, synapseImage]);
        await untilTrue(() => synapse.answers());
        const alone = await sourceOnMachine({ named });
        expect(alone.service).to.deep.equal({ kind: "container", name: "alone" });
        const run: SelfHostedSource = {
            ...source,
            service: alone.service,
            homeserverConfig: [...alone.homeserverConfig],
        };
        expect((await sourceService(run).status()).running).to.equal(true);
        expect((await sourceAddress(run)).host).to.equal("db");
        expect(await unstoppable(run)).to.deep.equal([]);
        await machine.run(["docker", "rm", "--force", "alone"]);
        // Gone once it is stopped: said before that, by the assessment.
        const [, ...passing] = options;
        await machine.run(["docker", "run", "--detach", "--rm", "--name=once", ...passing, synapseImage]);
        await untilTrue(() => synapse.answers());
        const once = await unstoppable({ ...run, service: { kind: "container", name: "once" } });
        expect(once.map(({ code }) => code)).to.deep.equal(["SM-E1479"]);
        expect(await synapse.answers()).to.equal(true);
        await machine.run(["docker", "rm", "--force", "once"]);
        await synapse.compose("up", "--detach");
        await serves();
        installed = await facts();
    });

    it("is neither stopped nor started by somebody who is not root there (SM-E1471, SM-E1478)", async () => {
        const before = await kept();
        const asOperator = openMachine({ ...describeMachine(machine), address: `${operator}@${machine.address}` });
        await expectError("SM-E1471", () => control(asOperator).status());
        await expectError("SM-E1478", () => control(asOperator).refuseUnstoppable());
        await expectError("SM-E1478", () => control(asOperator).stop(before));
        await expectError("SM-E1478", () => control(asOperator).start(before));
    });
});
