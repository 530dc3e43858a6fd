/** `synapse-migrate release`: gives a committed target free, so that its stack may be forgotten while its servers go on. */
import type { Command } from "commander";
import { MigrationError } from "../../engine/run/errors.ts";
import { describeRecord, readTargetRecord, writeTargetRecord } from "../../engine/run/ownership/targetRecord.ts";

/** Adds `release` to `synapse-migrate`. */
export function registerRelease(program: Command): void {
    program
        .command("release")
        .description("give a committed target free: `pulumi destroy` then forgets it, and stops and removes nothing")
        .argument("<directory>", "the target's directory: `target.directory` of its stack")
        .option("--confirm <server name>", "do it, and not only show what there is; the name of the homeserver")
        .action(async (directory: string, options: { readonly confirm?: string }) => {
            for (const line of await releaseTarget(directory, options.confirm)) process.stderr.write(`${line}\n`);
        });
}

/**
 * @param confirmed  the homeserver's name; without it nothing is changed
 * @returns what there is, and what was done
 * @throws MigrationError SM-E1505 when there is nothing to give free, or the name is another one
 */
export async function releaseTarget(directory: string, confirmed: string | undefined): Promise<string[]> {
    const record = await readTargetRecord(directory);
    const refuse = (found: string, expected: string): MigrationError =>
        new MigrationError("SM-E1505", { where: directory, found, expected, changed: "nothing" });
    if (record === undefined) throw refuse("no record of a target", "a committed target");
    if (record.state === "held") throw refuse(describeRecord(record), "a committed target");
    const { serverName = record.run } = record;
    const shown = `${directory} is ${serverName}: ${describeRecord(record)}`;
    if (confirmed === undefined) return [shown, `to give it free: --confirm ${serverName}`];
    if (confirmed !== serverName) throw refuse(`--confirm ${confirmed}`, `--confirm ${serverName}`);
    await writeTargetRecord(directory, { ...record, state: "released" });
    return [
        shown,
        "it is free now, and goes on. `pulumi up` takes the protection away; then `pulumi destroy` forgets the stack, and stops and removes nothing",
    ];
}
