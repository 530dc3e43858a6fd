/** A homeserver under systemd on one machine, moved into the one that an installer has made on another. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { Service } from "../../contract/index.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { newcomer } from "../support/newcomer.ts";
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
    before: (made) => {
        it("is described by init: both machines, where each value comes from, and what is asked of the operator", async () => {
            const { old, installed } = made();
            const login = (prefix: string, { machine }: DebianSynapse): string[] => [
                ...[`--${prefix}sudo`, `--${prefix}identity`, machine.access.identityFile],
                ...[`--${prefix}host-key`, machine.access.hostKey],
            ];
            const written = await newcomer(`into-${process.pid}`);
            try {
                const said = await written.synapseMigrate(
                    ...["init", "--from", `${operator}@${old.machine.address}`, ...login("", old)],
                    ...["--to", `${operator}@${installed.machine.address}`, ...login("to-", installed)],
                    ...["--stack", `into-${process.pid}`, "--target-directory", join(written.directory, "target")],
                );
                expect(said).to.contain("target.database.replace");
                const text = await readFile(written.stackFile, "utf8");
                expect(text).to.match(/target:\n(?:.*\n)*? +kind: installed\n/);
                expect(text).to.contain(`address: ${operator}@${installed.machine.address}\n`);
                expect(text).to.match(
                    /# init: the unit of its main process.*\n +units:\n +- matrix-synapse\.service\n/,
                );
                expect(text).not.to.contain(installed.files.pepper).and.not.to.contain(old.files.pepper);
                expect(await written.pulumi(["preview"])).to.match(/of moved\.test[^]*findings: 0 blocking/);
            } finally {
                await written.remove();
            }
        });

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
