/** A homeserver under systemd on one machine, moved into the one that a playbook has made on another: containers, and a database's administrator inside of one. */
import type { Service } from "../../contract/index.ts";
import { installDebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { installPlaybookSynapse, playbookUnit } from "../../rehearsal/machines/playbookSynapse.ts";
import { smallPopulation } from "../support/synapse.ts";
import { intoMove } from "./intoMove.ts";
import { unitFacts } from "./unitFacts.ts";

const serverName = "moved.test";
const old: Service = { kind: "systemd", units: ["matrix-synapse"] };
const installed: Service = { kind: "systemd", units: [playbookUnit] };

intoMove("a homeserver under systemd into one of a playbook", {
    name: "intoplaybook",
    serverName,
    services: { old, installed },
    old: (machine) => installDebianSynapse(machine, { serverName, population: smallPopulation }),
    installed: (machine) => installPlaybookSynapse(machine, { serverName }),
    signingKey: ({ machine, signingKeyFile }) => machine.run(["cat", signingKeyFile]),
    isWritten: [/ +units:\n +- matrix-synapse\.service\n/, / +homeserverConfig:\n +- \/data\/homeserver.yaml\n/],
    state: async ({ machine }) => {
        const files = await machine.run([
            "sh",
            "-c",
            "find /matrix/synapse /etc/systemd/system -printf '%p %m %U %G %y\\n' | sort; find /matrix/synapse -type f -exec sha256sum {} + | sort",
        ]);
        return [files, await unitFacts(machine, [playbookUnit, "matrix-postgres.service"])].join("\n");
    },
});
