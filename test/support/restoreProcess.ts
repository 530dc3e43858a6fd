/** The step restore in a process of its own, to be killed. Its specification comes on standard input. */
import { text } from "node:stream/consumers";
import { restoreContract } from "../../contract/index.ts";
import { restore } from "../../steps/migrate/restore.ts";
import { testRun } from "./stepRun.ts";

const spec = restoreContract.spec.parse(JSON.parse(await text(process.stdin)));
await restore.act(spec, testRun(spec.run.id, spec.run.directory));
