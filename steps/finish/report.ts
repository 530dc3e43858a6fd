/** Renders the report out of journal and evidence. */
import { reportContract } from "../../contract/index.ts";
import { writeReport } from "../../engine/report/write.ts";
import { defineStep } from "../../engine/run/step.ts";

export const report = defineStep(reportContract, async ({ run: reference, directory, phase, environment }, run) => {
    const { headline, ...files } = await writeReport(directory, { run: reference, phase, environment });
    run.progress.say(`${headline}: ${files.html}`);
    return files;
});
