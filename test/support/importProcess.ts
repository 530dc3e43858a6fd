/** The step import in a process of its own, to be killed. Its specification comes on standard input. */
import { text } from "node:stream/consumers";
import { importContract } from "../../contract/index.ts";
import { importDump } from "../../steps/migrate/import.ts";
import { testRun } from "./stepRun.ts";

const spec = importContract.spec.parse(JSON.parse(await text(process.stdin)));
await importDump.act(spec, testRun(spec.run.id, spec.run.directory));
