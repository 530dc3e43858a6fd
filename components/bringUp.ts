/** Has the servers of the target run that were started and do not run any more: `pulumi up` makes true what it declares. */
import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { reaches } from "./config/effective.ts";
import type { MigrationConfig } from "./config/parseConfig.ts";
import { stepInterpreter } from "./migrationStep.ts";
import type { Assessment } from "./assessment.ts";
import type { AnyTargetLayout } from "./targets/target.ts";

/**
 * A preview says what is down; `up` starts it before anything is declared, as all that is declared needs it.
 *
 * @throws RunError when it does not come up
 */
export async function bringUp(
    config: MigrationConfig,
    target: AnyTargetLayout,
    { down = [] }: Assessment,
): Promise<void> {
    if (down.length === 0 || !reaches(config.phase, "stage")) return;
    const lines = down.join("\n");
    if (pulumi.runtime.isDryRun()) {
        await pulumi.log.warn(`not as it should be:\n${lines}\n\`pulumi up\` starts it again`);
        return;
    }
    await pulumi.log.warn(`starting again:\n${lines}`);
    // On the way back what is taken back is not started first.
    const interpreter = [...stepInterpreter("serve"), "--phase", config.phase];
    await local
        .run({ interpreter, command: target.directory, logging: local.Logging.Stderr })
        .catch((error: unknown) => {
            // The message ends in the command's own error block; the stack is that of the call to the engine.
            throw new pulumi.RunError(error instanceof Error ? error.message : String(error));
        });
}
