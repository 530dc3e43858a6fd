/** A homeserver that Compose runs on another machine, moved by the commands of docs/from-compose.md, rolled back, moved again, and left for good. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { discovery } from "../../engine/discover/discovery.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { runRecord } from "../../engine/report/reportRecord.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";
import {
    composeDirectory,
    installComposeSynapse,
    type ComposeSynapse,
} from "../../rehearsal/machines/composeSynapse.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { makeServiceDirectory } from "../../rehearsal/directory.ts";
import { registerCanary } from "../../rehearsal/source/canary.ts";
import { stackOutputs } from "../support/e2eStack.ts";
import { newcomer, type Newcomer } from "../support/newcomer.ts";
import { smallPopulation } from "../support/synapse.ts";
import { untilTrue } from "../support/waiting.ts";

describe("the move of a homeserver that Compose runs on another machine", function () {
    this.timeout(1_800_000);
    let machine: BootedMachine;
    let synapse: ComposeSynapse;
    let made: Newcomer;
    let login: string[];

    before(async () => {
        machine = await bootMachine({ name: "moved" });
        synapse = await installComposeSynapse(machine, { workers: 1, population: smallPopulation });
        made = await newcomer(`compose-${process.pid}`);
        const { hostKey, identityFile } = machine.access;
        login = ["--sudo", "--identity", identityFile, "--host-key", hostKey];
    });
    afterEach(() => closeMachines());
    after(async () => {
        await made.pulumi(["destroy", "--yes", "--skip-preview"]).catch(() => "");
        expect(await made.remove(), "processes that were left").to.equal(0);
        await machine.end();
    });

    const source = (): string => `${operator}@${machine.address}`;
    const outputs = async () => stackOutputs.parse(JSON.parse(await made.pulumi(["stack", "output", "--json"])));
    /** Which containers there are, whether they run, and what would start them again. */
    const containers = async (): Promise<string> => {
        const ids = (await machine.run(["docker", "ps", "--all", "--quiet", "--no-trunc"])).trim().split("\n").sort();
        const format =
            "{{.Name}} {{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.PidsLimit}}";
        // No limit is shown as two words, in this order of how it came about.
        return (await machine.run(["docker", "inspect", "--format", format, ...ids])).replace(
            /<no value>|\b0$/gm,
            "none",
        );
    };
    /** As everybody types it who has edited the file, or come back to the machine. */
    const habit = async (): Promise<void> => {
        await synapse.compose("up", "--detach").catch(() => "");
        await untilTrue(
            async () => !/synapse|worker/.test(await machine.run(["docker", "ps", "--format", "{{.Names}}"])),
        );
        expect(await synapse.answers()).to.equal(false);
    };

    it("is described by discover and init: what it is, where each value comes from, and what only the operator knows", async () => {
        const { stackFile, directory, synapseMigrate, pulumi } = made;
        const found = await synapseMigrate("discover", source(), ...login, "--json");
        const [homeserver] = discovery.parse(JSON.parse(found.slice(found.indexOf("{")))).homeservers;
        expect(homeserver?.service.kind === "container" && homeserver.service.container.compose).to.deep.include({
            ...{ project: "matrix", service: "synapse", workingDirectory: composeDirectory },
        });
        const stack = ["--stack", `compose-${process.pid}`];
        const target = ["--target-directory", makeServiceDirectory(join(directory, "target"))];
        const said = await synapseMigrate("init", "--from", source(), "--to", "local", ...login, ...stack, ...target);
        expect(said).to.contain(`docker compose`).and.to.contain(composeDirectory);
        const text = await readFile(stackFile, "utf8");
        expect(text)
            .to.match(/kind: compose\n/)
            .and.to.match(
                /# init: a label that Compose gave container matrix-synapse-1, of \/srv\/matrix\n +project: matrix\n/,
            )
            .and.to.match(/# init: .*service of its main process.*\n +services:\n +- synapse\n/)
            .and.to.match(
                /# init: .*as container matrix-synapse-1 has them\n +homeserverConfig:\n +- \/data\/homeserver.yaml\n/,
            );
        for (const secret of [synapse.files.registrationSharedSecret, synapse.files.pepper, synapse.signingKey.trim()])
            expect(text).not.to.contain(secret);
        const canary = await registerCanary(synapse, "compose");
        await pulumi(["config", "set", "disposable", "true", "--type", "bool"]);
        await pulumi(["config", "set", "canaryUser", canary.user]);
        await pulumi(["config", "set", "canaryBaseUrl", synapse.baseUrl]);
        await pulumi(["config", "set", "--secret", "canaryPassword"], canary.password);
        const preview = await pulumi(["preview"]);
        expect(preview).to.match(/of machine\.test[^]*findings: 0 blocking/);
        expect(await synapse.answers()).to.equal(true);
    });

    it("is fenced, stays down whatever is typed there, and serves again as before when the move is taken back", async () => {
        const before = await containers();
        await made.up("stage");
        expect(await synapse.answers(), "it serves while the target is made").to.equal(true);
        await made.up("migrate");
        expect(await synapse.answers()).to.equal(false);
        await habit();
        await made.up("stage");
        await untilTrue(() => synapse.answers());
        expect(await containers()).to.equal(before);
    });

    it("is the same server on the target, and the machine it was on never starts it again", async () => {
        for (const phase of ["migrate", "cutover"]) await made.up(phase);
        const { gatewayUrl, report } = await outputs();
        const { expectations } = synapse;
        if (expectations === undefined) throw new Error("nobody uses it");
        const progress = lineProgress("check", () => undefined, redact);
        const checks = await checkHomeserver({ baseUrl: gatewayUrl.replace(/\/$/, ""), expectations, progress });
        expect(checks.filter(({ passed }) => !passed)).to.deep.equal([]);
        await made.up("finish");
        const { outcome, steps, source: left } = runRecord.parse(JSON.parse(await readFile(report.json, "utf8")));
        expect(outcome).to.include({ state: "proven" });
        expect(left).to.equal(`self-hosted on ${source()}`);
        const places = Object.fromEntries(steps.map(({ name, machines }) => [name, machines]));
        for (const step of ["assess", "secrets", "canary", "fence", "copy", "media-early", "media-final", "commit"])
            expect(places[step], step).to.deep.equal([`${source()} (sudo)`, "this machine"]);
        for (const step of ["gateway", "swap", "open"]) expect(places[step], step).to.deep.equal(["this machine"]);
        await habit();
        await machine.reboot();
        await habit();
    });
});
