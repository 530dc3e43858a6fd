/** `synapse-migrate slots`: replication slots that runs of this program have left on a source, and what they cost its disk. */
import { userInfo } from "node:os";
import type { Command } from "commander";
import { z } from "zod";
import { describeAddress, withClient, type DatabaseAddress } from "./postgres/connection.ts";
import { slotsOfThisProgram, type ProgramSlot } from "./postgres/replication/forgottenSlots.ts";
import { dropPublication } from "./postgres/replication/publication.ts";
import { dropSlot } from "./postgres/replication/slot.ts";
import { MigrationError } from "./run/errors.ts";
import { redact, registerSecret } from "./run/redaction.ts";
import { readHomeserverConfig, requirePostgres } from "./synapse/homeserverConfig.ts";

const cliOptions = z.object({ config: z.array(z.string()).min(1), drop: z.string().optional() });
const mebibyte = 1024 * 1024;
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
            const address = await addressOf(config);
            if (drop !== undefined) await dropForgotten(address, drop);
            const slots = await listSlots(address);
            process.stdout.write(`${redact(slotLines(slots).join("\n"))}\n`);
            if (slots.some(({ active }) => !active)) process.exitCode = foundSome;
        });
}

/** The database that a homeserver's configuration names. @throws MigrationError as `readHomeserverConfig`; SM-E0505 for SQLite */
export async function addressOf(homeserverConfig: readonly string[]): Promise<DatabaseAddress> {
    const { host, port, name, user, password } = requirePostgres(await readHomeserverConfig(homeserverConfig));
    if (password !== undefined) registerSecret(password);
    return { host, port, name, user: user ?? userInfo().username, password };
}

export function listSlots(address: DatabaseAddress): Promise<ProgramSlot[]> {
    return withClient(address, { step: "slots", readOnly: true }, slotsOfThisProgram);
}

/** A line each: whose it is, whether something reads from it, and how much it keeps. */
export function slotLines(slots: readonly ProgramSlot[]): string[] {
    if (slots.length === 0) return ["no slot of this program is on the server"];
    return slots.map(({ name, database, active, retainedBytes }) => {
        const kept = `${(retainedBytes / mebibyte).toFixed(1)} MiB of write-ahead log kept`;
        return `${name}  database ${database}  ${active ? "a target follows" : "nobody reads it"}  ${kept}`;
    });
}

/** @throws MigrationError SM-E1311 for a slot that a target reads from, or that is not of this program or database */
export async function dropForgotten(address: DatabaseAddress, name: string): Promise<void> {
    await withClient(address, { step: "slots" }, async (client) => {
        const slot = (await slotsOfThisProgram(client)).find((each) => each.name === name);
        if (slot === undefined || slot.active || slot.database !== address.name)
            throw new MigrationError("SM-E1311", {
                where: describeAddress(address),
                found:
                    slot === undefined
                        ? `no slot ${name} of this program`
                        : slot.active
                          ? `a target follows with slot ${name}`
                          : `slot ${name} is of database ${slot.database}`,
                expected: "a slot of this program and of this database that nobody reads",
            });
        await client.query("SET default_transaction_read_only = off");
        await dropSlot(client, name);
        await dropPublication(client, name);
    });
}
