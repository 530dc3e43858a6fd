/** {@link replicate} in a process of its own: a task on standard input, the run on standard output. Started by ownProcess.ts. */
import { text } from "node:stream/consumers";
import { replicate, replicateShape } from "./replicate.ts";

const run = await replicate(replicateShape.parse(JSON.parse(await text(process.stdin))));
process.stdout.write(`${JSON.stringify({ ...run, peakBytes: process.resourceUsage().maxRSS * 1024 })}\n`);
