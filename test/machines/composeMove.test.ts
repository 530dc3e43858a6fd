/** A homeserver that Compose runs, with a worker, moved by the commands of docs/from-compose.md. */
import { expect } from "chai";
import { composeDirectory, installComposeSynapse } from "../../rehearsal/machines/composeSynapse.ts";
import { smallPopulation } from "../support/synapse.ts";
import { containerFacts, untilNoneRuns } from "./containerFacts.ts";
import { wholeMove } from "./wholeMove.ts";

wholeMove("a homeserver that Compose runs with a worker", {
    name: "compose",
    install: (machine) => installComposeSynapse(machine, { workers: 1, population: smallPopulation }),
    state: ({ machine }) => containerFacts(machine),
    habits: async (synapse) => {
        // As everybody types it who has edited the file, or come back to the machine.
        await synapse.compose("up", "--detach").catch(() => "");
        await untilNoneRuns(synapse.machine);
    },
    isFound: ({ service }) => {
        expect(service.kind === "container" && service.container.compose).to.deep.include({
            ...{ project: "matrix", service: "synapse", workingDirectory: composeDirectory },
        });
    },
    isWritten: [
        /kind: compose\n/,
        /# init: a label that Compose gave container matrix-synapse-1, of \/srv\/matrix\n +project: matrix\n/,
        /# init: .*service of its main process.*\n +services:\n +- synapse\n/,
        /# init: .*as container matrix-synapse-1 has them\n +homeserverConfig:\n +- \/data\/homeserver.yaml\n/,
    ],
    secrets: ({ files, signingKey }) => [files.registrationSharedSecret, files.pepper, signingKey],
    stepsThere: ["copy"],
});
