/** `synapse-migrate slots`: replication slots that runs of this program have left on a source, and what they cost its disk. */
import type { Command } from "commander";
import { z } from "zod";
import { dropForgotten, listSlots, slotLines } from "../../engine/postgres/replication/forgottenSlots.ts";
import { redact } from "../../engine/run/redaction.ts";
import { configuredAddress } from "../../engine/postgres/databases/sourceDatabase.ts";

const cliOptions = z.object({ config: z.array(z.string()).min(1), drop: z.string().optional() });
/** Of a forgotten slot that is only listed. */
const foundSome = 14;

/** Adds `slots` to `synapse-migrate`. */
export function registerSlots(program: Command): void {
    program
        .command("slots")
        .description("list the replication slots of this program on a source's server; drop one that nobody reads")
        .requiredOption("--config <path...>", "homeserver.yaml of the source, which names its database")
        .option("--drop <name>", "drop this slot, and the publication of its name")
        .action(async (options: unknown) => {
            const { config, drop } = cliOptions.parse(options);
            const address = await configuredAddress(config);
            if (drop !== undefined) await dropForgotten(address, drop);
            const slots = await listSlots(address);
            process.stdout.write(`${redact(slotLines(slots).join("\n"))}\n`);
            if (slots.some(({ active }) => !active)) process.exitCode = foundSome;
        });
}
