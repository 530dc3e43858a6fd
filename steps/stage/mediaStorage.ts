/** Makes the directory of the target's media store, and takes the bucket that it may have besides. */
import { mediaStorageContract } from "../../contract/index.ts";
import { serviceUser } from "../../engine/machines/serviceUser.ts";
import { claimBucket, releaseBucket, withOwnBucket } from "../../engine/media/s3/targetBucket.ts";
import { prepareStore, removeStore } from "../../engine/media/targetStore.ts";
import { defineStep } from "../../engine/run/step.ts";

export const mediaStorage = defineStep(
    mediaStorageContract,
    async ({ mediaStore, mediaStorageProvider: provider }, run) => {
        if (provider?.kind === "s3") await withOwnBucket(provider, run, (bucket) => claimBucket(bucket, run.id));
        await prepareStore(mediaStore, run.id, serviceUser());
        return { mediaStore };
    },
    async ({ mediaStore, mediaStorageProvider: provider }, run) => {
        if (provider?.kind === "s3") {
            const removed = await withOwnBucket(provider, run, (bucket) => releaseBucket(bucket, run));
            run.progress.say(
                removed === undefined
                    ? `the bucket ${provider.bucket} is not this run's and stays as it is`
                    : `${removed} objects of this run were removed from the bucket ${provider.bucket}`,
            );
        }
        if (!(await removeStore(mediaStore, run.id))) {
            run.progress.say(`${mediaStore} is not this run's and stays as it is`);
        }
    },
);
