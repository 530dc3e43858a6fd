/** A process that does a step: it writes into the target when it is told to, and says what it has come to. `workerProcess.ts <run as JSON>` */
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { runReference } from "../../../contract/index.ts";
import { MigrationError } from "../../../engine/run/errors.ts";
import { doStep } from "../../../engine/run/runStep.ts";
import { defineStep } from "../../../engine/run/step.ts";
import { exists } from "../../../engine/run/exists.ts";
import { untilTrue } from "../../support/waiting.ts";

const [spec, result] = [z.strictObject({ run: runReference }), z.strictObject({})];
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const work = defineStep({ name: "restore", phase: "migrate", version: 1, spec, result }, async ({ run }) => {
    const target = run.target ?? "";
    say("acting");
    await untilTrue(() => exists(join(target, "go")));
    await appendFile(join(target, "written"), `${process.pid}\n`);
    return {};
});

const run = runReference.parse(JSON.parse(process.argv[2] ?? ""));
await doStep({ step: work, spec: { run }, write: () => undefined, signal: new AbortController().signal }).then(
    () => say("done"),
    (error: unknown) => say(error instanceof MigrationError ? error.block : String(error)),
);
