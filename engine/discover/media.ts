/** Where a homeserver's media are and how many, as far as there is time to count them. */
import type { Machine } from "../machines/machine.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import { isMapping } from "../synapse/config/configTree.ts";
import { s3Buckets, s3Module } from "../synapse/config/mediaStorageProviders.ts";
import { reasonOf } from "./budget.ts";
import type { Media } from "./discovery.ts";

type Counted = Pick<Media, "sizeBytes" | "files" | "remoteBytes" | "complete">;

/** Counts what a store holds until all is counted or the signal aborts. @throws an error of the system for a store that is not there */
export async function countStore(machine: Machine, path: string, signal: AbortSignal): Promise<Counted> {
    const counted = { sizeBytes: 0, files: 0, remoteBytes: 0 };
    try {
        for await (const entry of machine.files.walk(path, "", { signal })) {
            if (entry.path === "" && entry.error !== undefined) throw systemError(entry.error, path);
            if (entry.facts.kind !== "file") continue;
            counted.files++;
            counted.sizeBytes += entry.facts.size;
            if (entry.path.startsWith("remote_")) counted.remoteBytes += entry.facts.size;
        }
    } catch (error) {
        if (signal.aborted) return { ...counted, complete: false };
        throw error;
    }
    return { ...counted, complete: true };
}

function systemError(code: string, path: string): Error {
    return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** @param seconds  for counting */
export async function mediaOf(config: HomeserverConfig, seconds: number): Promise<Media> {
    const { machine, mediaStorePath: path, sections } = config;
    const nothing: Counted = { sizeBytes: 0, files: 0, remoteBytes: 0, complete: false };
    const unseen: string[] = [];
    const told = async <T>(look: () => Promise<T> | T, otherwise: T): Promise<T> => {
        try {
            return await look();
        } catch (error) {
            unseen.push(reasonOf(error));
            return otherwise;
        }
    };
    const over = AbortSignal.timeout(Math.max(1, Math.round(seconds * 1000)));
    const counted = await told(async () => {
        if ((await machine.files.stat(path)) === undefined) throw new Error(`${path} is not there`);
        return countStore(machine, path, over);
    }, nothing);
    const buckets = await told(() => s3Buckets(sections), []);
    const providers = sections["media_storage_providers"];
    const modules = (Array.isArray(providers) ? (providers as unknown[]) : []).flatMap((one) =>
        isMapping(one) && typeof one["module"] === "string" && one["module"] !== s3Module ? [one["module"]] : [],
    );
    return {
        path,
        ...counted,
        buckets: buckets.map(({ bucket, prefix, endpoint }) => ({
            bucket,
            prefix,
            ...(endpoint === undefined ? {} : { endpoint }),
        })),
        otherProviders: modules,
        ...(unseen.length === 0 ? {} : { notSeen: unseen.join("; ") }),
    };
}
