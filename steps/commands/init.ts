/** `synapse-migrate init`: turns a homeserver into the configuration of a stack, secrets encrypted by `pulumi config`. */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { installedVersion } from "../../toolchain/installedPackages.ts";
import { passphraseNamed } from "../../toolchain/passphrase.ts";
import { backendNamed } from "../../toolchain/backend.ts";
import { projectFileProblem } from "../../toolchain/projectFile.ts";
import { cliProblem, packageProblem, pinnedNames } from "../../toolchain/runtimeRules.ts";
import type { Finding } from "../../contract/index.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { MigrationError, throwAll } from "../../engine/run/errors.ts";
import { configCommands, type PulumiCommand, type StackSettings } from "./configCommands.ts";
import { filesOfIdentity, filesOfTarget, refuseMissingFiles } from "../../engine/synapse/config/missingFiles.ts";
import { readHomeserverSecrets } from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { formatSigningKeys } from "../../engine/synapse/secrets/signingKey.ts";
import { foundPostgres, foundSynapse, pulumiProgram } from "./foundPrograms.ts";
import { addMachineOptions, machineNamed, machineOptions, type MachineOptions } from "./machineOptions.ts";
import { openQuestions, sourceComments, installedComments, targetComments, withComments } from "./stackComments.ts";
import { sourceOfFiles, sourceOnMachine, type StackSource } from "./stackSource.ts";

export interface InitOptions {
    /** Files or directories as given to Synapse's `--config-path`, in order; or one machine, as `user@host` or `local`. */
    readonly from: readonly string[];
    /** How a machine is logged in to. */
    readonly login?: MachineOptions;
    /** Which of the machine's homeservers is meant, where there are several. */
    readonly serverName?: string;
    /** The machine of the homeserver that it is moved into, as `user@host`; a target of kind local when absent. */
    readonly to?: string;
    readonly toLogin?: MachineOptions;
    readonly stack: string;
    /** Where directories that the configuration names are on this machine. */
    readonly paths?: Readonly<Record<string, string>>;
    /** Directory with `Pulumi.yaml`; this project by default. */
    readonly project?: string;
    /** Where the target is to live; `/var/lib/synapse-migration/<stack>/target` by default. */
    readonly targetDirectory?: string;
    /** Python that has the target's Synapse; found by the toolchain by default. */
    readonly synapsePython?: string;
    /** Directory of the PostgreSQL programs; found by the toolchain by default. */
    readonly postgresPrograms?: string;
    /** Overrides `pid_file`. */
    readonly pidFile?: string;
    /** As for `pulumi stack init`; the backend's own by default. */
    readonly secretsProvider?: string;
    /** What PATH and Pulumi's own settings are taken from; that of the process by default. */
    readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface InitResult {
    readonly stackFile: string;
    readonly serverName: string;
    /** What only the operator can know, a line each. */
    readonly open: readonly string[];
    /** What reading the homeserver found; nothing here kept the stack from being written. */
    readonly findings: readonly Finding[];
}

const projectDirectory = resolve(import.meta.dirname, "..", "..");
const pulumiSeconds = 120;
/** What Pulumi, its backends and its secrets providers read; nothing else is handed to it. */
const passedOn = /^(PULUMI_|AWS_|AZURE_|ARM_|GOOGLE_|CLOUDSDK_|VAULT_|XDG_|HTTPS?_PROXY$|NO_PROXY$|SSL_CERT_)/i;

/**
 * Writes `stacks/Pulumi.<stack>.yaml`, in phase `assess`. Makes the stack when there is none; sets the keys anew when there is.
 *
 * Everything is read and checked before Pulumi is called. Secrets go to Pulumi on its standard input.
 *
 * @throws MigrationError as `readHomeserverConfig` and `readHomeserverSecrets`; SM-E0231 for files that are not here; SM-E0206 without a pid file; SM-E1111 when
 *     Synapse, PostgreSQL or Pulumi is not found; SM-E0223, SM-E0225, SM-E0226 when Pulumi could not run the program; SM-E0221
 *     without the stack's passphrase; SM-E0234 where Pulumi has no backend; SM-E1101 when Pulumi fails otherwise
 */
export async function initStack(options: InitOptions): Promise<InitResult> {
    const { stack, environment = process.env } = options;
    const source = await sourceOf(options);
    const { config } = source;
    await refuseMissingFiles(config, [...filesOfIdentity(config), ...filesOfTarget(config)]);
    const secrets = await readHomeserverSecrets(config);
    const target = await targetOf(options, config.serverName);
    const project = options.project ?? projectDirectory;
    const { homeserverConfig, paths, machine, service } = source;
    const settings: StackSettings = {
        serverName: config.serverName,
        ...{ homeserverConfig, paths, machine, service },
        targetDirectory: options.targetDirectory ?? join("/var/lib/synapse-migration", stack, "target"),
        synapsePython: options.synapsePython ?? (await foundSynapse()),
        postgresPrograms: options.postgresPrograms ?? (await foundPostgres()),
        signingKey: formatSigningKeys(secrets.signingKeys),
        pepper: secrets.pepper,
        macaroonSecretKey: secrets.macaroon.value,
        ...(source.config.database.kind === "sqlite" ? { copy: "port" as const } : {}),
        installed: target,
    };

    const program = pulumiProgram(environment["PATH"] ?? "", [project, projectDirectory]);
    const passed = Object.fromEntries(
        Object.entries(environment).filter(([name]) => passedOn.test(name) || name === "HOME" || name === "PATH"),
    );
    const pulumi = async ({ args, input }: PulumiCommand): Promise<string> => {
        const { stdout } = await runProgram(program, ["--non-interactive", "--cwd", project, ...args], {
            environment: Object.fromEntries(Object.entries(passed).map(([name, value]) => [name, value ?? ""])),
            timeoutSeconds: pulumiSeconds,
            input: input ?? "",
        });
        return stdout;
    };
    const version = (await pulumi({ args: ["version"] })).trim().replace(/^v/, "");
    throwAll(
        [
            projectFileProblem(project),
            ...pinnedNames.map((name) => packageProblem(name, installedVersion(name))),
            cliProblem(version, program),
        ].filter((problem) => problem !== undefined),
    );
    await mkdir(join(project, "stacks"), { recursive: true });
    try {
        if (!stackNames(await pulumi({ args: ["stack", "ls", "--json"] })).includes(stack)) {
            const provider =
                options.secretsProvider === undefined ? [] : ["--secrets-provider", options.secretsProvider];
            await pulumi({ args: ["stack", "init", stack, "--no-select", ...provider] });
        }
        for (const command of configCommands(stack, settings)) await pulumi(command);
    } catch (error) {
        throw backendNamed(passphraseNamed(error, stack));
    }
    const stackFile = join(project, "stacks", `Pulumi.${stack}.yaml`);
    const open = openQuestions(source, settings.targetDirectory, target);
    await comment(stackFile, source, target, open);
    return {
        ...{ stackFile, open },
        serverName: config.serverName,
        findings: [...config.findings, ...secrets.findings],
    };
}

/** A homeserver of the same name, on another machine. @throws MigrationError as {@link sourceOnMachine} */
async function targetOf({ to, toLogin = {} }: InitOptions, serverName: string): Promise<StackSource | undefined> {
    if (to === undefined) return undefined;
    return sourceOnMachine({ named: await machineNamed(to, toLogin), serverName });
}

async function sourceOf({ from, login = {}, paths = {}, pidFile, serverName }: InitOptions): Promise<StackSource> {
    const machine = from.find(isMachine);
    if (machine === undefined) {
        const [superfluous] = Object.keys({ ...login, ...(serverName === undefined ? {} : { serverName }) });
        if (superfluous === undefined) return sourceOfFiles(from, { paths, pidFile });
        throw new MigrationError("SM-E1456", {
            where: `--from ${from.join(" ")}`,
            found: `files, and ${superfluous}, which is for a machine`,
        });
    }
    if (from.length > 1 || Object.keys(paths).length > 0)
        throw new MigrationError("SM-E1456", {
            where: `--from ${from.join(" ")}`,
            found:
                from.length > 1
                    ? "more than one machine, or files beside it"
                    : "a machine, and --path, which is for files",
        });
    const named = await machineNamed(machine === "local" ? undefined : machine, login);
    return sourceOnMachine({ named, serverName, pidFile });
}

/** A file of such a name is a file. */
const isMachine = (from: string): boolean => (from === "local" || /^[^/]+@[^/]+$/.test(from)) && !existsSync(from);

/** Pulumi, which has written the values, keeps comments when it sets one. */
async function comment(
    stackFile: string,
    source: StackSource,
    target: StackSource | undefined,
    open: readonly string[],
): Promise<void> {
    const comments = [
        ...(source.found === undefined ? [] : sourceComments(source.found)),
        ...(target?.found === undefined ? targetComments : installedComments(target.found)),
    ];
    const head = ["What only you can know:", ...open.map((line) => `- ${line}`)];
    await writeFile(stackFile, withComments(await readFile(stackFile, "utf8"), comments, head));
}

const cliOptions = machineOptions.extend({
    from: z.array(z.string()).min(1),
    to: z.string().default("local"),
    toIdentity: z.string().optional(),
    toSudo: z.boolean().optional(),
    toHostKey: z.string().optional(),
    serverName: z.string().optional(),
    stack: z.string(),
    path: z
        .array(z.string().regex(/^\/[^=]*=\//, "must be /directory/of/the/configuration=/directory/here"))
        .transform((pairs): Record<string, string> => {
            const cut = pairs.map((pair) => [pair, pair.indexOf("=")] as const);
            return Object.fromEntries(cut.map(([pair, at]) => [pair.slice(0, at), pair.slice(at + 1)]));
        })
        .optional(),
    targetDirectory: z.string().optional(),
    synapsePython: z.string().optional(),
    postgresPrograms: z.string().optional(),
    pidFile: z.string().optional(),
    secretsProvider: z.string().optional(),
});

/** Adds `init` to `synapse-migrate`. */
export function registerInit(program: Command): void {
    const command = program
        .command("init")
        .description("describe the move of a homeserver as a stack, secrets encrypted by Pulumi")
        .requiredOption(
            "--from <source...>",
            "user@host or `local`, where it is found; or homeserver.yaml, several files or directories, in Synapse's order",
        )
        .option(
            "--to <machine>",
            "where the target is to be: local, which is the default; or user@host, into what is installed there",
        )
        .option("--to-identity <file>", "as --identity, for the target's machine")
        .option("--to-sudo", "as --sudo, for the target's machine")
        .option("--to-host-key <key>", "as --host-key, for the target's machine")
        .option("--server-name <name>", "which of the machine's homeservers is meant")
        .requiredOption("--stack <name>", "the stack to write")
        .option(
            "--path <pairs...>",
            "/data=/srv/x/data: where a directory that homeserver.yaml names is on this machine",
        )
        .option("--target-directory <path>", "where the target is to live")
        .option("--synapse-python <path>", "Python that has the target's Synapse")
        .option("--postgres-programs <path>", "directory of initdb, postgres, pg_dump and pg_restore")
        .option("--pid-file <path>", "the source's pid file, where homeserver.yaml names none")
        .option("--secrets-provider <url>", "as for `pulumi stack init`");
    addMachineOptions(command).action(async (given: unknown) => {
        const parsed = cliOptions.parse(given);
        // Absent and undefined are not the same to a function that has defaults.
        const { path: paths, identity, sudo, hostKey, to, toIdentity, toSudo, toHostKey, ...others } = parsed;
        if (to !== "local" && !isMachine(to))
            throw new MigrationError("SM-E1457", { where: `--to ${to}`, found: to, expected: "local, or user@host" });
        const isPresent = ([, value]: [string, unknown]): boolean => value !== undefined;
        const present = Object.entries({ ...others, paths }).filter(isPresent);
        const login = Object.fromEntries(Object.entries({ identity, sudo, hostKey }).filter(isPresent));
        const toLogin = Object.fromEntries(
            Object.entries({ identity: toIdentity, sudo: toSudo, hostKey: toHostKey }).filter(isPresent),
        );
        const { stackFile, serverName, findings, open } = await initStack({
            from: parsed.from,
            ...(to === "local" ? {} : { to, toLogin }),
            ...{ stack: parsed.stack, login },
            ...Object.fromEntries(present),
        });
        const say = (line: string): void => void process.stderr.write(`${line}\n`);
        say(`${stackFile} describes the move of ${serverName}; its phase is assess`);
        for (const { id, evidence, fix } of findings) say(`${id} ${evidence}\n    fix: ${fix}`);
        say("what only you can know, as it stands at the top of that file:");
        for (const line of open) say(`  - ${line}`);
        say(`next: npx pulumi preview --stack ${parsed.stack}`);
    });
}

function stackNames(json: string): string[] {
    const listed = z.array(z.looseObject({ name: z.string() })).parse(JSON.parse(json));
    return listed.map(({ name }) => name.split("/").at(-1) ?? name);
}
