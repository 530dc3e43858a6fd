/** `npm run toolchain`: sets up everything. `npm run toolchain -- doctor`: lists what is there and what is missing. */
import { Command } from "commander";
import { z } from "zod";
import { MigrationError } from "../engine/run/errors.ts";
import { describe, isMet, prerequisites } from "./doctor.ts";
import { thisMachine } from "./machine.ts";
import { ensureToolchain } from "./toolchain.ts";

const doctorOptions = z.object({ stack: z.string().optional() });

const program = new Command("toolchain")
    .description("sets up what the project needs; finds before it installs")
    .action(async () => {
        const started = performance.now();
        const wanted = { pulumi: true, postgres: true, synapse: true, chromium: true, archives: true };
        const { pulumi, postgres, synapse, chromium } = await ensureToolchain(wanted, console.error);
        console.log(`pulumi    ${pulumi?.version ?? ""}  ${pulumi?.program ?? ""}  (${pulumi?.plugins ?? ""} plugins)`);
        console.log(`postgres  ${postgres?.version ?? ""}  ${postgres?.directory ?? ""}`);
        console.log(`synapse   ${synapse?.version ?? ""}  ${synapse?.python ?? ""}`);
        console.log(`chromium  ${chromium?.program ?? ""}`);
        console.log(`everything is there after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    });

program
    .command("doctor")
    .description("lists every prerequisite, and the command that gets what is missing; changes nothing")
    .option("--stack <name>", "look also for the passphrase of this stack's secrets")
    .action(async (options: unknown) => {
        const list = await prerequisites(thisMachine(), doctorOptions.parse(options));
        for (const line of describe(list)) console.log(line);
        if (!list.every(isMet)) process.exitCode = 3;
    });

try {
    await program.parseAsync();
} catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    console.error(error.block);
    process.exitCode = error.exitCode;
}
