/** A homeserver on an SQLite file in a volume that Compose runs, moved onto PostgreSQL by the commands of docs/from-compose.md. */
import { expect } from "chai";
import { installComposeSynapse } from "../../rehearsal/machines/composeSynapse.ts";
import { smallPopulation } from "../support/synapse.ts";
import { containerFacts, untilNoneRuns } from "./containerFacts.ts";
import { wholeMove } from "./wholeMove.ts";

wholeMove("a homeserver on SQLite that Compose runs", {
    name: "sqlite",
    install: (machine) =>
        installComposeSynapse(machine, { database: "sqlite", data: "volume", population: smallPopulation }),
    state: async ({ machine }) => {
        // The fence takes the right to write to the file from everybody.
        const data = "/var/lib/docker/volumes/matrix_data/_data";
        const files = await machine.run(["find", data, "-maxdepth", "1", "-printf", "%f %m %U %G\\n"]);
        // Beside a file that is open are its journals, or are not.
        const steady = files.split("\n").filter((line) => !/-(wal|shm|journal) /.test(line));
        return [await containerFacts(machine), ...steady.sort()].join("\n");
    },
    habits: async (synapse) => {
        await synapse.compose("up", "--detach").catch(() => "");
        await untilNoneRuns(synapse.machine);
    },
    isFound: ({ database }) => {
        expect(database).to.deep.include({ kind: "sqlite", path: "/data/homeserver.db" });
    },
    isWritten: [/kind: compose\n/, / +services:\n +- synapse\n/, /:copy: port\n/],
    secrets: ({ files, signingKey }) => [files.registrationSharedSecret, files.pepper, signingKey],
    stepsThere: ["take-file"],
});
