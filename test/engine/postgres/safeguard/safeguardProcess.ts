/** Runs the step safeguard in a process of its own, for tests that kill it. Its specification is read from standard input. */
import { text } from "node:stream/consumers";
import { safeguard } from "../../../../steps/migrate/safeguard.ts";
import { safeguardContract } from "../../../../contract/index.ts";
import { testRun } from "../../../support/stepRun.ts";

const spec = safeguardContract.spec.parse(JSON.parse(await text(process.stdin)));
await safeguard.act(spec, testRun(spec.run.id, spec.run.directory));
