/** A homeserver under systemd on one machine, moved into the one that an installer has made on another. */
import { expect } from "chai";
import type { Service } from "../../contract/index.ts";
import { installDebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { smallPopulation } from "../support/synapse.ts";
import { intoMove } from "./intoMove.ts";

const serverName = "moved.test";
const service: Service = { kind: "systemd", units: ["matrix-synapse"] };

intoMove("a homeserver under systemd into an installed one", {
    name: "installed",
    serverName,
    services: { old: service, installed: service },
    old: (machine) => installDebianSynapse(machine, { serverName, population: smallPopulation }),
    installed: async (machine) => {
        // Both machines come from one image: without it, one server could be taken for the other.
        await machine.run(["sh", "-c", "pg_dropcluster --stop 15 main && pg_createcluster 15 main"]);
        return installDebianSynapse(machine, { serverName, workers: 1, database: "peer" });
    },
    signingKey: ({ machine, signingKeyFile }) => machine.run(["cat", signingKeyFile]),
    state: async ({ machine, mediaStore, services }) => {
        const units = await machine.run(["systemctl", "is-enabled", ...services]);
        const directories = `/etc/matrix-synapse ${mediaStore}`;
        const files = await machine.run([
            "sh",
            "-c",
            `find ${directories} /etc/systemd/system -printf '%p %m %U %G %y\\n' | sort; find ${directories} -type f -exec sha256sum {} + | sort`,
        ]);
        return [files, units].join("\n");
    },
    isWritten: [/# init: the unit of its main process.*\n +units:\n +- matrix-synapse\.service\n/],
    before: (made) => {
        it("is refused while people use what is installed", async () => {
            const { installed, stack } = made();
            await installed.query(
                `INSERT INTO events (stream_ordering, topological_ordering, depth, event_id, type, room_id, sender, processed, outlier,
                contains_url, received_ts, origin_server_ts)
            VALUES (-1, 1, 1, '$somebody', 'm.room.message', '!room:${serverName}', '@somebody:${serverName}', true, false,
                false, extract(epoch FROM now()) * 1000, 0)`,
            );
            const refused = await stack.up("stage").then(
                () => "nothing",
                (error: unknown) => String(error),
            );
            expect(refused).to.contain("SM-E1606");
            expect(await installed.answers()).to.equal(true);
            await installed.query("DELETE FROM events WHERE event_id = '$somebody'");
        });
    },
});
