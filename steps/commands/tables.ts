/** `synapse-migrate tables`: rows of single tables come back out of a backup, without Pulumi, in an incident. */
import { CommanderError, type Command } from "commander";
import { z } from "zod";
import { thisMachine } from "../../toolchain/machine.ts";
import { findPostgres } from "../../toolchain/postgres.ts";
import { registerUnlocking } from "../../engine/bundle/input/unlocking.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { configuredAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { readPassword } from "../../engine/postgres/server/passwordFile.ts";
import { throwAll } from "../../engine/run/errors.ts";
import { interruption } from "../../engine/run/interruption.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact, registerSecret } from "../../engine/run/redaction.ts";
import { readOwnSecret } from "../../engine/synapse/secrets/readSecretFile.ts";
import { applyPlan } from "../../engine/tables/apply.ts";
import { readPlan } from "../../engine/tables/plan.ts";
import { prepareTables } from "../../engine/tables/prepare.ts";
import { dropSideSchema } from "../../engine/tables/sideSchema.ts";

const cliOptions = z.object({
    backup: z.array(z.string()).optional(),
    backupDatabase: z.string().optional(),
    databaseConfig: z.array(z.string()).optional(),
    host: z.string().optional(),
    port: z.coerce.number().int().min(1).max(65_535).default(5432),
    name: z.string().optional(),
    user: z.string().optional(),
    passwordFile: z.string().optional(),
    tables: z.string().optional(),
    directory: z.string().optional(),
    passphraseFile: z.string().optional(),
    secretKeyFile: z.string().optional(),
    postgresPrograms: z.string().optional(),
    replace: z.boolean().default(false),
    apply: z.string().optional(),
    discard: z.string().optional(),
});
type CliOptions = z.infer<typeof cliOptions>;

const longestPassphrase = 64 * 1024;
const usage = (message: string): CommanderError => new CommanderError(2, "usage", message);
const say = (line: string): void => void process.stderr.write(`${redact(line)}\n`);

/** Adds `tables` to `synapse-migrate`. */
export function registerTables(program: Command): void {
    program
        .command("tables")
        .description("bring rows of single tables back out of a backup: compare, plan, and apply the plan")
        .option("--backup <path...>", "one backup: a file, its parts, or a directory; in any format and encryption")
        .option("--backup-database <name>", "which one of a backup by pg_dumpall that holds several homeservers")
        .option("--tables <names>", "tables, separated by commas: users,profiles")
        .option("--replace", "rows that differ take the backup's values; without it they stay as they are")
        .option("--passphrase-file <path>", "passphrase of the backup; - for standard input")
        .option("--secret-key-file <path>", "armored key, mode 0600, of a backup that is encrypted to a public key")
        .option("--directory <path>", "where plans are written: mode 0700, not below /tmp")
        .option("--postgres-programs <path>", "directory of pg_restore")
        .option("--apply <plan>", "do what a plan says; Synapse must be stopped")
        .option("--discard <plan-or-schema>", "drop the schema with the backup's rows")
        .option("--database-config <path...>", "homeserver.yaml, which names the database")
        .option("--host <host>", "of the database, or the directory of its socket")
        .option("--port <port>", "of the database")
        .option("--name <name>", "of the database")
        .option("--user <role>", "owner of Synapse's tables")
        .option("--password-file <path>", "the role's password, mode 0600")
        .action((given: unknown) => {
            const { data, error } = cliOptions.safeParse(given);
            if (data === undefined)
                throw usage(`--${error.issues[0]?.path.join(".") ?? ""}: ${error.issues[0]?.message ?? ""}`);
            return tables(data);
        });
}

async function tables(options: CliOptions): Promise<void> {
    const modes = [options.backup, options.apply, options.discard].filter((mode) => mode !== undefined);
    if (modes.length !== 1) throw usage("exactly one of --backup, --apply and --discard is needed");
    const address = await addressOf(options);
    const { signal, stop } = interruption();
    try {
        if (options.apply !== undefined) await apply(options.apply, address, signal);
        else if (options.discard !== undefined) await discard(options.discard, address);
        else await prepare(options, address, signal);
    } finally {
        stop();
    }
}

async function prepare(options: CliOptions, address: DatabaseAddress, signal: AbortSignal): Promise<void> {
    const { backup = [], directory, passphraseFile, secretKeyFile, postgresPrograms, replace } = options;
    const names = (options.tables ?? "").split(",").map((name) => name.trim());
    const wanted = names.filter((name) => name !== "").map((name) => name.replace(/^public\./, ""));
    if (directory === undefined || wanted.length === 0) throw usage("--tables and --directory are needed");
    const { plan, planFile, markdownFile, problems } = await prepareTables({
        ...{ backup, backupDatabase: options.backupDatabase, address, directory, replace, signal, tables: wanted },
        progress: lineProgress("tables", (line) => void process.stderr.write(`${line}\n`), redact),
        passphrase: passphraseFile === undefined ? undefined : await readPassphrase(passphraseFile),
        secretKey: secretKeyFile === undefined ? undefined : await readSecretKey(secretKeyFile),
        clientDirectory: postgresPrograms ?? (await findPostgres(thisMachine()))?.directory ?? "",
    });
    for (const { difference, inserts, replaces } of plan.tables) {
        const { table, onlyBackup, onlyLive, different, same } = difference;
        say(
            `${table}: ${onlyBackup.rows} only in the backup, ${onlyLive.rows} only live, ${different.rows} different, ${same} the same; ` +
                `to insert ${inserts}, to replace ${replaces}`,
        );
    }
    say(`what differs, for reading: ${markdownFile}`);
    say(`the backup's rows are in schema ${plan.sideSchema}; --discard ${planFile} drops them`);
    throwAll(problems);
    say(`next, with Synapse stopped: synapse-migrate tables --apply ${planFile}`);
    process.stdout.write(`${planFile}\n`);
}

async function apply(planFile: string, address: DatabaseAddress, signal: AbortSignal): Promise<void> {
    const plan = await readPlan(planFile);
    for (const { table, inserted, replaced } of await applyPlan(plan, address, signal))
        say(`${table}: ${inserted} rows inserted, ${replaced} replaced`);
    say(`the backup's rows stay in schema ${plan.sideSchema} until --discard ${planFile}`);
}

async function discard(planOrSchema: string, address: DatabaseAddress): Promise<void> {
    const schema = planOrSchema.startsWith("synapse_restore_")
        ? planOrSchema
        : (await readPlan(planOrSchema)).sideSchema;
    await withClient(address, { step: "tables" }, (client) => dropSideSchema(client, schema));
    say(`schema ${schema} is dropped`);
}

async function addressOf(options: CliOptions): Promise<DatabaseAddress> {
    const { databaseConfig, host, port, name, user, passwordFile } = options;
    if (databaseConfig === undefined) {
        if (host === undefined || name === undefined || user === undefined)
            throw usage("--database-config, or --host, --name and --user, are needed");
        const password = passwordFile === undefined ? undefined : await readPassword(passwordFile);
        return { host, port, name, user, password };
    }
    return configuredAddress(databaseConfig, passwordFile);
}

async function readPassphrase(path: string): Promise<string> {
    const text = path === "-" ? await standardInput() : await readOwnSecret(path, "the passphrase of the backup");
    const passphrase = text.replace(/\r?\n$/, "");
    registerSecret(passphrase);
    return passphrase;
}

async function readSecretKey(path: string): Promise<string> {
    const secretKey = await readOwnSecret(path, "the secret key of the backup");
    registerUnlocking({ secretKey });
    return secretKey;
}

async function standardInput(): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of process.stdin) {
        const part = Buffer.from(chunk as Uint8Array);
        bytes += part.length;
        if (bytes > longestPassphrase) throw usage("standard input is too long for a passphrase");
        chunks.push(part);
    }
    return Buffer.concat(chunks).toString("utf8");
}
