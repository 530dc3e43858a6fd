/**
 * From a homeserver that Compose runs on another machine, as the documentation of Synapse's image has it: its database is on the project's network
 * alone, its files below `/data` of the container; reached over ssh by an operator who may `sudo`.
 */
import { installComposeSynapse } from "../machines/composeSynapse.ts";
import { bootMachine } from "../machines/machine.ts";
import type { MachineRoute } from "./route.ts";

/** Beside the main process; it is found, and not named. */
const workers = 1;

export const compose: MachineRoute = {
    place: "machine",
    description: "a homeserver with a worker that docker compose runs on another machine, over ssh",
    boot: () => bootMachine({ name: "old" }),
    async install(machine, { serverName, population }) {
        const source = await installComposeSynapse(machine, { serverName, workers, population });
        const { expectations } = source;
        if (expectations === undefined) throw new Error("it was to be filled");
        return { ...source, expectations };
    },
};
