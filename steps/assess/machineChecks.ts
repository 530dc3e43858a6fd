/** Checks of the machine: is the service what the stack says, and is there room for what will be written? */
import { lstat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { serviceControl } from "../hosts/service.ts";
import { queryOne } from "../postgres/connection.ts";
import { finding, type AssessmentCheck } from "./check.ts";

/** A restored database can be larger than the one it came from: fresh indexes are smaller, but write-ahead log and sorts need room too. */
const restoreFactor = 1.3;
/** An uncompressed directory dump holds no indexes; it never exceeds the database. */
const dumpFactor = 1;

export const machineChecks: readonly AssessmentCheck[] = [
    {
        id: "source-service",
        cost: "cheap",
        async run({ spec }) {
            const status = await serviceControl(spec.source.service).status();
            return status.running
                ? []
                : [finding("SM-W0710", `${spec.source.service.kind}: ${status.evidence.join("; ")}`)];
        },
    },
    {
        id: "free-space",
        cost: "cheap",
        async run({ spec, client }) {
            const { bytes, media } = await queryOne(
                client,
                z.object({ bytes: z.coerce.number(), media: z.coerce.number() }),
                "SELECT pg_database_size(current_database())::text AS bytes, coalesce((SELECT sum(media_length)::text FROM local_media_repository), '0') AS media",
            );
            const needs = new Map<string, { free: number; need: number; path: string }>();
            const need = async (path: string, amount: number): Promise<void> => {
                const existing = await nearestExisting(path);
                const { bavail, bsize } = await statfs(existing);
                const device = String((await lstat(existing)).dev);
                const known = needs.get(device) ?? { free: bavail * bsize, need: 0, path: existing };
                needs.set(device, { ...known, need: known.need + amount });
            };
            await need(spec.run.directory, bytes * dumpFactor);
            await need(spec.targetDirectory, bytes * restoreFactor + media);
            return [...needs.values()]
                .filter(({ free, need: needed }) => free < needed)
                .map(({ free, need: needed, path }) =>
                    finding(
                        "SM-E1201",
                        `${gib(needed)} are needed on the file system of ${path}, ${gib(free)} are free`,
                    ),
                );
        },
    },
];

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

async function nearestExisting(path: string): Promise<string> {
    for (let candidate = path; candidate !== "/"; candidate = dirname(candidate)) {
        if ((await lstat(candidate).catch(() => undefined)) !== undefined) return candidate;
    }
    return "/";
}
