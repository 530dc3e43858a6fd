/** Homeservers that systemd runs as Debian's packages set it up, moved by the commands of docs/other-machine.md. */
import { expect } from "chai";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { smallPopulation } from "../support/synapse.ts";
import { typeSystemctl, unitFacts } from "./unitFacts.ts";
import { wholeMove, type WholeMove } from "./wholeMove.ts";

const unitsOf = ({ unit, services }: DebianSynapse): string[] => [...new Set([unit, ...services])];

const move: Pick<WholeMove<DebianSynapse>, "state" | "habits" | "secrets" | "stepsThere"> = {
    state: (synapse) => unitFacts(synapse.machine, unitsOf(synapse)),
    habits: async (synapse) => {
        const units = unitsOf(synapse);
        await typeSystemctl(
            synapse.machine,
            units.flatMap((unit) => ["start", "restart"].map((command) => [command, unit])),
        );
        await typeSystemctl(synapse.machine, [["enable", "--now", ...units]]);
        const states = await synapse.machine.run(["systemctl", "show", "--property=ActiveState", "--value", ...units]);
        expect(states.split(/\n+/).filter((state) => state !== "")).to.deep.equal(units.map(() => "inactive"));
    },
    secrets: ({ files, database }) => [files.registrationSharedSecret, files.pepper, ...passwords(database)],
    stepsThere: ["copy"],
};

const passwords = ({ password }: DebianSynapse["database"]): string[] => (password === undefined ? [] : [password]);

wholeMove("a homeserver that systemd runs with two workers, its database letting in its user by name", {
    ...move,
    name: "units",
    install: (machine) => installDebianSynapse(machine, { workers: 2, database: "peer", population: smallPopulation }),
    isFound: ({ service, workers }) => {
        expect(service).to.deep.include({ kind: "systemd" });
        expect(workers).to.have.length(2);
    },
    isWritten: [/kind: systemd\n/, / +units:\n +- matrix-synapse\.service\n/],
});

wholeMove("a homeserver that systemd runs as one process, its database with a password at a socket", {
    ...move,
    name: "unit",
    install: (machine) => installDebianSynapse(machine, { database: "socket", population: smallPopulation }),
    isFound: ({ service, workers }) => {
        expect(service).to.deep.include({ kind: "systemd" });
        expect(workers).to.deep.equal([]);
    },
    isWritten: [/kind: systemd\n/, / +units:\n +- matrix-synapse\.service\n/],
});
