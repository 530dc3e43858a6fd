/** Makes the directory of the target's media store. */
import { mediaStorageContract } from "./contract.ts";
import { serviceUser } from "./hosts/serviceUser.ts";
import { prepareStore, removeStore } from "./media/targetStore.ts";
import { defineStep } from "./run/step.ts";

export const mediaStorage = defineStep(
    mediaStorageContract,
    async (spec, run) => {
        await prepareStore(spec.mediaStore, run.id, serviceUser());
        return { mediaStore: spec.mediaStore };
    },
    async (spec, run) => {
        if (!(await removeStore(spec.mediaStore, run.id))) {
            run.progress.say(`${spec.mediaStore} is not this run's and stays as it is`);
        }
    },
);
