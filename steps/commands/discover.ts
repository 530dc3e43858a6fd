/** `synapse-migrate discover`: which homeservers are on a machine, and what they are made of. */
import type { Command } from "commander";
import { z } from "zod";
import { discovery } from "../../engine/discover/discovery.ts";
import { discover } from "../../engine/discover/discover.ts";
import { discoveryText } from "../../engine/discover/text.ts";
import { openMachine } from "../../engine/machines/openMachine.ts";
import { redact } from "../../engine/run/redaction.ts";
import { addMachineOptions, machineNamed, machineOptions } from "./machineOptions.ts";

const cliOptions = machineOptions.extend({ json: z.boolean().optional() });

/** Adds `discover` to `synapse-migrate`. */
export function registerDiscover(program: Command): void {
    const command = program
        .command("discover")
        .description("find the homeservers of a machine: read only, in ten seconds, nothing left behind")
        .argument("[address]", "user@host or user@host:port; this machine when absent")
        .option("--json", "as JSON, whose shape is the schema in engine/discover/discovery.ts");
    addMachineOptions(command).action(async (address: string | undefined, given: unknown) => {
        const options = cliOptions.parse(given);
        const { description } = await machineNamed(address, options);
        const { discovery: found } = await discover(openMachine(description));
        const text =
            options.json === true ? `${JSON.stringify(discovery.parse(found), undefined, 2)}\n` : discoveryText(found);
        process.stdout.write(redact(text));
    });
}
