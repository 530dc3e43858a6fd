/** Follows in a process of its own, which a test kills: says one line when it is at the moment that was asked for, and waits there. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { follow } from "../../../../engine/postgres/replication/follow.ts";
import { testRun } from "../../../support/stepRun.ts";
import { copyRowsByDump } from "./copyByDump.ts";

const address = z.object({
    host: z.string(),
    port: z.number(),
    name: z.string(),
    user: z.string(),
    password: z.string(),
});
const inputShape = z.object({
    ...{ source: address, target: address, owner: address },
    ...{ id: z.string(), directory: z.string(), phase: z.enum(["copying", "following"]), programs: z.string() },
});

const chunks: Buffer[] = [];
for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
const { id, directory, phase, programs, ...addresses } = inputShape.parse(JSON.parse(Buffer.concat(chunks).toString()));

const longMilliseconds = 60_000;
const wait = async (): Promise<void> => {
    process.stdout.write("here\n");
    await delay(longMilliseconds);
};
await follow(
    { ...addresses, step: "follow", run: testRun(id, directory) },
    {
        jobs: 1,
        copy: async (copy, run) => {
            if (phase === "copying") await wait();
            return copyRowsByDump(programs)(copy, run);
        },
    },
);
await wait();
