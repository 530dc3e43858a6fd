/** One pass over a store on another machine, in a process of its own: a task on standard input, what was measured on standard output. */
import { text } from "node:stream/consumers";
import { machine as machineShape } from "../../contract/machine.ts";
import { closeMachines, openMachine } from "../../engine/machines/openMachine.ts";
import { MediaIndex } from "../../engine/media/mediaIndex.ts";
import { openStore } from "../../engine/media/readStore.ts";
import { copyPass } from "../../engine/media/sourcePass.ts";
import { z } from "zod";

const task = z
    .object({ machine: machineShape, source: z.string(), target: z.string(), index: z.string() })
    .parse(JSON.parse(await text(process.stdin)));
const began = performance.now();
const folders = ["local_content"];
const source = await openStore(openMachine(task.machine), task.source, folders);
const index = await MediaIndex.open(task.index);
const { files, copied } = await copyPass({ source, targetRoot: task.target, folders, index, owner: undefined });
await index.close({ compact: true });
await closeMachines();
const seconds = (performance.now() - began) / 1000;
const peakBytes = process.resourceUsage().maxRSS * 1024;
process.stdout.write(`${JSON.stringify({ seconds, files, copied, peakBytes })}\n`);
