/** A homeserver as playbooks install it, a unit of systemd that runs a container, moved by the commands of docs/from-compose.md. */
import { expect } from "chai";
import { installPlaybookSynapse, playbookUnit } from "../../rehearsal/machines/playbookSynapse.ts";
import { smallPopulation } from "../support/synapse.ts";
import { untilNoneRuns } from "./containerFacts.ts";
import { typeSystemctl, unitFacts } from "./unitFacts.ts";
import { wholeMove } from "./wholeMove.ts";

wholeMove("a homeserver whose container a unit of systemd runs", {
    name: "playbook",
    install: (machine) => installPlaybookSynapse(machine, { population: smallPopulation }),
    state: async ({ machine }) => {
        // Made anew at each start, they keep nothing but their names.
        const names = await machine.run(["docker", "ps", "--all", "--format", "{{.Names}} {{.State}}"]);
        const units = await unitFacts(machine, [playbookUnit, "matrix-postgres.service"]);
        return [units, ...names.split("\n").sort()].join("\n");
    },
    habits: async ({ machine }) => {
        await typeSystemctl(machine, [
            ["start", playbookUnit],
            ["restart", playbookUnit],
            ["enable", "--now", playbookUnit],
        ]);
        await machine.run(["docker", "start", "matrix-synapse"]).catch(() => "");
        await untilNoneRuns(machine);
    },
    isFound: ({ service }) => {
        expect(service.kind === "container" && service.container).to.deep.include({
            ...{ name: "matrix-synapse", unit: playbookUnit },
        });
    },
    isWritten: [
        /kind: systemd\n/,
        / +units:\n +- matrix-synapse\.service\n/,
        / +homeserverConfig:\n +- \/data\/homeserver.yaml\n/,
    ],
    secrets: ({ files, signingKey }) => [files.registrationSharedSecret, files.pepper, signingKey],
    stepsThere: ["copy"],
});
