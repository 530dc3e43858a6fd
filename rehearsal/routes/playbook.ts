/** From a homeserver that a playbook has installed on another machine: units of systemd that run containers, their files below `/matrix`. */
import { bootMachine } from "../machines/machine.ts";
import { installPlaybookSynapse } from "../machines/playbookSynapse.ts";
import type { MachineRoute } from "./route.ts";

export const playbook: MachineRoute = {
    place: "machine",
    description: "a homeserver whose container a unit of systemd runs on another machine, over ssh",
    boot: () => bootMachine({ name: "old" }),
    async install(machine, { serverName, population }) {
        const source = await installPlaybookSynapse(machine, { serverName, population });
        const { expectations } = source;
        if (expectations === undefined) throw new Error("it was to be filled");
        return { ...source, expectations };
    },
};
