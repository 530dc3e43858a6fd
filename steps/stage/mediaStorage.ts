/** Makes the directory of the target's media store, and takes the bucket that it may have besides. */
import { mediaStorageContract } from "../../contract/index.ts";
import { dirname } from "node:path";
import { makeTargetDirectory, releaseTargetDirectory } from "../../engine/machines/targetDirectory.ts";
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
    async ({ mediaStore, mediaStorageProvider: provider, user: wanted }, run) => {
        if (provider?.kind === "s3") await withOwnBucket(provider, run, (bucket) => claimBucket(bucket, run.id));
        const say = run.progress.say.bind(run.progress);
        const user = await makeTargetDirectory(dirname(mediaStore), { user: wanted, say });
        await prepareStore(mediaStore, run.id, user);
        return { mediaStore };
    },
    async ({ mediaStore, mediaStorageProvider: provider }, run) => {
        if (provider?.kind === "s3") run.progress.say(await giveBack(provider, run));
        if (!(await removeStore(mediaStore, run.id))) {
            run.progress.note(`${mediaStore} is not this run's and stays as it is`);
        }
        await releaseTargetDirectory(dirname(mediaStore));
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
