/**
 * One of our own ways, in a process of its own, so that its peak memory can be told: `node --import tsx bench/tasks/process.ts`, a task on standard
 * input, what was measured on standard output. See ownProcess.ts.
 */
import { text } from "node:stream/consumers";
import { runTask, taskShape } from "./task.ts";

const task = taskShape.parse(JSON.parse(await text(process.stdin)));
const began = performance.now();
const parts = await runTask(task);
const seconds = (performance.now() - began) / 1000;
const peakBytes = process.resourceUsage().maxRSS * 1024;
process.stdout.write(`${JSON.stringify({ seconds, parts, peakBytes })}\n`);
