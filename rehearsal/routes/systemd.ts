/**
 * From a homeserver that systemd runs on another machine, as Debian's packages set it and its database up: reached over ssh by an operator who may
 * `sudo`, with a database that lets Synapse's user in by its name.
 */
import { installDebianSynapse } from "../machines/debianSynapse.ts";
import { bootMachine } from "../machines/machine.ts";
import type { MachineRoute } from "./route.ts";

/** Beside the main process; they are found, and not named. */
const workers = 2;

export const systemd: MachineRoute = {
    place: "machine",
    description: "a homeserver with workers that systemd runs on another machine, over ssh",
    boot: () => bootMachine({ name: "old" }),
    async install(machine, { serverName, population }) {
        const source = await installDebianSynapse(machine, { serverName, workers, population, database: "peer" });
        const { expectations } = source;
        if (expectations === undefined) throw new Error("it was to be filled");
        return {
            ...{ ...source, expectations },
            signingKey: await machine.run(["cat", source.signingKeyFile]),
            service: { kind: "systemd", units: ["matrix-synapse"] },
        };
    },
};
