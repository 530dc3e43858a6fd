/** A homeserver that Compose runs on one machine, moved into the one that somebody has made with Compose on another. */
import type { Service } from "../../contract/index.ts";
import { composeDirectory, installComposeSynapse } from "../../rehearsal/machines/composeSynapse.ts";
import { smallPopulation } from "../support/synapse.ts";
import { containerFacts } from "./containerFacts.ts";
import { intoMove } from "./intoMove.ts";

const serverName = "moved.test";
const service: Service = { kind: "compose", project: "matrix", services: ["synapse"] };

intoMove("a homeserver that Compose runs into an installed one", {
    name: "intocompose",
    serverName,
    services: { old: service, installed: service },
    old: (machine) => installComposeSynapse(machine, { serverName, population: smallPopulation }),
    installed: (machine) => installComposeSynapse(machine, { serverName, workers: 1 }),
    signingKey: ({ signingKey }) => Promise.resolve(signingKey),
    isWritten: [/ +kind: compose\n/, / +project: matrix\n/, / +services:\n +- synapse\n/],
    state: async ({ machine }) => {
        const data = `${composeDirectory}/data`;
        const files = await machine.run([
            "sh",
            "-c",
            `find ${composeDirectory} -printf '%p %m %U %G %y\\n' | sort; find ${data} -type f -exec sha256sum {} + | sort`,
        ]);
        return [files, await containerFacts(machine)].join("\n");
    },
});
