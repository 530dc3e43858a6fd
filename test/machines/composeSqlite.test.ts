/** The fixture of a homeserver that keeps its rows in a SQLite file and is run by Compose: nothing is moved here. */
import { expect } from "chai";
import { discover } from "../../engine/discover/discover.ts";
import { closeMachines, openMachine } from "../../engine/machines/openMachine.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { installComposeSynapse, type ComposeSynapse } from "../../rehearsal/machines/composeSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { smallPopulation } from "../support/synapse.ts";
import { untilTrue } from "../support/waiting.ts";

describe("a homeserver on SQLite that Compose runs, its file in a volume", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: ComposeSynapse;

    before(async () => {
        machine = await bootMachine({ name: "sqlite" });
        synapse = await installComposeSynapse(machine, {
            ...{ database: "sqlite", data: "volume", population: smallPopulation },
        });
    });
    afterEach(() => closeMachines());
    after(() => machine.end());

    it("has one container, and is found with its file", async () => {
        expect(await machine.run(["docker", "ps", "--format", "{{.Names}}"])).to.equal(`${synapse.container}\n`);
        const { homeservers } = (await discover(openMachine(describeMachine(machine)))).discovery;
        const [found] = homeservers;
        expect(found?.serverName).to.equal(synapse.serverName);
        expect(found?.database).to.deep.include({ kind: "sqlite", path: "/data/homeserver.db" });
        expect(found?.database?.kind === "sqlite" && found.database.sizeBytes).to.be.greaterThan(100_000);
    });

    it("comes back with its machine as the server that it was", async () => {
        const events = await synapse.query("SELECT count(*), max(stream_ordering) FROM events");
        expect(Number(events.split("|")[0])).to.be.greaterThan(smallPopulation.messages);
        await closeMachines();
        await machine.reboot();
        await untilTrue(() => synapse.answers());
        expect(await synapse.query("SELECT count(*), max(stream_ordering) FROM events")).to.equal(events);
        const { baseUrl, expectations } = synapse;
        if (expectations === undefined) throw new Error("it was not filled");
        const progress = lineProgress("check", () => undefined, redact);
        const results = await checkHomeserver({ baseUrl, expectations, progress });
        expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);
    });
});
