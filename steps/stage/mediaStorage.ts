/** Makes the directory of the target's media store, and takes the bucket that it may have besides. */
import { mediaStorageContract } from "../../contract/index.ts";
import { serviceUser } from "../../engine/machines/serviceUser.ts";
import {
    claimBucket,
    describeUnreleased,
    hasLostItsKeys,
    releaseBucket,
    withOwnBucket,
    type OwnBucket,
} from "../../engine/media/s3/targetBucket.ts";
import { prepareStore, removeStore } from "../../engine/media/targetStore.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

export const mediaStorage = defineStep(
    mediaStorageContract,
    async ({ mediaStore, mediaStorageProvider: provider }, run) => {
        if (provider?.kind === "s3") await withOwnBucket(provider, run, (bucket) => claimBucket(bucket, run.id));
        await prepareStore(mediaStore, run.id, serviceUser());
        return { mediaStore };
    },
    async ({ mediaStore, mediaStorageProvider: provider }, run) => {
        if (provider?.kind === "s3") run.progress.say(await giveBack(provider, run));
        if (!(await removeStore(mediaStore, run.id))) {
            run.progress.note(`${mediaStore} is not this run's and stays as it is`);
        }
    },
);

/** @returns what became of the bucket */
async function giveBack(provider: OwnBucket, run: StepRun): Promise<string> {
    // Taken back from the specification that the run has kept: the directory can still be removed, the bucket cannot be reached.
    if (hasLostItsKeys(provider)) return describeUnreleased(provider, run);
    const removed = await withOwnBucket(provider, run, (bucket) => releaseBucket(bucket, run));
    return removed === undefined
        ? `the bucket ${provider.bucket} is not this run's and stays as it is`
        : `${removed} objects of this run were removed from the bucket ${provider.bucket}`;
}
