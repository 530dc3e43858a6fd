/** The step copy in a process of its own, to be killed, or to be asked how much memory it took. Its specification comes on standard input. */
import { text } from "node:stream/consumers";
import { copyContract } from "../../contract/index.ts";
import { copy } from "../../steps/migrate/directCopy.ts";
import { testRun } from "./stepRun.ts";

const spec = copyContract.spec.parse(JSON.parse(await text(process.stdin)));
const result = await copy.act(spec, testRun(spec.run.id, spec.run.directory));
/** Kilobytes (getrusage(2)). */
const peakMemory = process.resourceUsage().maxRSS;
process.stdout.write(JSON.stringify({ result, peakMemory }));
