/** Whole moves of homeservers on another machine, whatever runs them: by the commands of the guides, rolled back, moved again, and left for good. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { discovery, type Homeserver } from "../../engine/discover/discovery.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { runRecord } from "../../engine/report/reportRecord.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { makeServiceDirectory } from "../../rehearsal/directory.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { registerCanary } from "../../rehearsal/source/canary.ts";
import type { FilledHomeserver } from "../../rehearsal/source/population.ts";
import type { Expectations } from "../../rehearsal/source/expectations.ts";
import { stackOutputs } from "../support/e2eStack.ts";
import { newcomer, type Newcomer } from "../support/newcomer.ts";
import { untilTrue } from "../support/waiting.ts";

/** What is asked of every homeserver, whatever runs it. */
interface MovedHomeserver extends FilledHomeserver {
    readonly machine: BootedMachine;
    readonly expectations?: Expectations;
    answers(): Promise<boolean>;
}

/** What is particular to one kind of deployment. */
export interface WholeMove<Synapse extends MovedHomeserver> {
    /** Of the stack and the machine: letters. */
    readonly name: string;
    /** Put on a machine that was booted, and filled. */
    readonly install: (machine: BootedMachine) => Promise<Synapse>;
    /** What a rollback has to bring back, as text: units and their enablement, or containers and their restart policies. */
    readonly state: (synapse: Synapse) => Promise<string>;
    /** What people there type to have it run, each of it; whether that succeeds does not matter. Resolves when it has come to its end. */
    readonly habits: (synapse: Synapse) => Promise<void>;
    /** What `discover` has to have found. */
    readonly isFound: (homeserver: Homeserver) => void;
    /** What `init` has to have written into the stack's file. */
    readonly isWritten: readonly RegExp[];
    /** What must be in no file of the stack. */
    readonly secrets: (synapse: Synapse) => readonly string[];
    /** Steps that work with the machine beside those that always do. */
    readonly stepsThere: readonly string[];
}

/** Describes the move as one suite. */
export function wholeMove<Synapse extends MovedHomeserver>(title: string, move: WholeMove<Synapse>): void {
    describe(`the move of ${title} on another machine`, function () {
        this.timeout(1_800_000);
        let machine: BootedMachine;
        let synapse: Synapse;
        let made: Newcomer;
        let login: string[];
        /** Before anything was fenced. */
        let installed: string;
        const stack = `${move.name}-${process.pid}`;

        before(async () => {
            machine = await bootMachine({ name: move.name });
            synapse = await move.install(machine);
            installed = await move.state(synapse);
            made = await newcomer(stack);
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
        const staysDown = async (): Promise<void> => {
            await move.habits(synapse);
            expect(await synapse.answers(), "it serves").to.equal(false);
        };

        it("is described by discover and init: what it is, where each value comes from, and what only the operator knows", async () => {
            const { stackFile, directory, synapseMigrate, pulumi } = made;
            const found = await synapseMigrate("discover", source(), ...login, "--json");
            const { homeservers } = discovery.parse(JSON.parse(found.slice(found.indexOf("{"))));
            expect(homeservers.map(({ serverName }) => serverName)).to.deep.equal([synapse.serverName]);
            for (const homeserver of homeservers) move.isFound(homeserver);
            const target = ["--target-directory", makeServiceDirectory(join(directory, "target"))];
            await synapseMigrate("init", "--from", source(), "--to", "local", ...login, "--stack", stack, ...target);
            const text = await readFile(stackFile, "utf8");
            for (const written of move.isWritten) expect(text).to.match(written);
            for (const secret of move.secrets(synapse)) expect(text).not.to.contain(secret.trim());
            const canary = await registerCanary(synapse, move.name);
            await pulumi(["config", "set", "disposable", "true", "--type", "bool"]);
            await pulumi(["config", "set", "canaryUser", canary.user]);
            await pulumi(["config", "set", "canaryBaseUrl", synapse.baseUrl]);
            await pulumi(["config", "set", "--secret", "canaryPassword"], canary.password);
            expect(await pulumi(["preview"])).to.match(/of machine\.test[^]*findings: 0 blocking/);
            expect(await synapse.answers()).to.equal(true);
        });

        it("is fenced, stays down whatever is typed there and when it reboots, and serves again as before when the move is taken back", async () => {
            await made.up("stage");
            expect(await synapse.answers(), "it serves while the target is made").to.equal(true);
            await made.up("migrate");
            expect(await synapse.answers()).to.equal(false);
            await staysDown();
            await machine.reboot();
            await staysDown();
            await made.up("stage");
            await untilTrue(() => synapse.answers());
            expect(await move.state(synapse)).to.equal(installed);
        });

        it("is the same server on the target after all of it in one go, and the machine it was on never starts it again", async () => {
            await made.up("cutover");
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
            const always = ["assess", "secrets", "canary", "fence", "media-early", "media-final", "commit"];
            for (const step of [...always, ...move.stepsThere])
                expect(places[step], step).to.deep.equal([`${source()} (sudo)`, "this machine"]);
            for (const step of ["gateway", "swap", "open"]) expect(places[step], step).to.deep.equal(["this machine"]);
            await staysDown();
            await machine.reboot();
            await staysDown();
        });
    });
}
