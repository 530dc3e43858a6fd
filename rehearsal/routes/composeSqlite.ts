/** From a homeserver that Compose runs on another machine on an SQLite file: that is the newcomer's own set-up, and every sixth that one meets. */
import { installComposeSynapse } from "../machines/composeSynapse.ts";
import { bootMachine } from "../machines/machine.ts";
import type { MachineRoute } from "./route.ts";

export const composeSqlite: MachineRoute = {
    place: "machine",
    description: "a homeserver on an SQLite file that docker compose runs on another machine, over ssh",
    config: { copy: "port" },
    boot: () => bootMachine({ name: "old" }),
    async install(machine, { serverName, population }) {
        const source = await installComposeSynapse(machine, {
            ...{ serverName, population, database: "sqlite" },
            data: "volume",
        });
        const { expectations } = source;
        if (expectations === undefined) throw new Error("it was to be filled");
        return { ...source, expectations };
    },
};
