/** Lists what the project needs: what was found, where, and the command that gets what is missing. Changes nothing. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { MigrationError } from "../engine/run/errors.ts";
import { installedVersion } from "./installedPackages.ts";
import { passphraseProblem } from "./passphrase.ts";
import { findPostgres } from "./postgres.ts";
import { projectFileProblem } from "./projectFile.ts";
import { findPulumiCli, cachedCli, findRefusedCli } from "./pulumiCli.ts";
import { findPlugins, failureFile, type Plugin } from "./pulumiPlugins.ts";
import { cliProblem, nodeProblem, packageProblem, pinnedNames } from "./runtimeRules.ts";
import { findS3Server } from "./s3Server.ts";
import { findPython, findSynapse, missingPackages } from "./synapse.ts";
import { archivePrograms, findChromium, systemPrograms } from "./systemPrograms.ts";
import type { Machine } from "./machine.ts";
import { oldestPostgresMajor, oldestPython, postgresPackage, pulumiVersion, synapseVersion } from "./versions.ts";

/** One prerequisite. */
export interface Prerequisite {
    readonly name: string;
    /** Absent when it is missing. */
    readonly version?: string | undefined;
    /** Where it comes from. */
    readonly from?: string | undefined;
    /** The command that gets it. */
    readonly fix: string;
    /** Whether the project can do without it here, for example Go where there is a CLI already. */
    readonly optional?: boolean;
    /** It is there, and nothing can be done with it: says why. */
    readonly problem?: MigrationError | undefined;
}

const root = dirname(import.meta.dirname);
const setUp = "npm run toolchain";

export interface DoctorOptions {
    /** Directory with Pulumi.yaml, and stacks/ below it; this project by default. */
    readonly project?: string;
    /** Stack whose passphrase is looked for. Not given: none is, for stacks may have different ones. */
    readonly stack?: string | undefined;
}

/** Looks for every prerequisite of the project, those that are already covered by others included. */
export async function prerequisites(
    machine: Machine,
    { project = root, stack }: DoctorOptions = {},
): Promise<Prerequisite[]> {
    const cli = await findPulumiCli(machine);
    const refusedCli = await findRefusedCli(machine);
    const python = await findPython(machine);
    const postgres = await findPostgres(machine);
    const synapse = await findSynapse(machine);
    const buildPackages = missingPackages(machine, python);
    return [
        {
            name: "node",
            version: process.versions.node,
            from: process.execPath,
            fix: "install Node 20.19 or newer",
            problem: nodeProblem(process.versions.node, process.execPath),
        },
        npmPackages(),
        ...pinnedNames.map(pinnedPackage),
        {
            name: "Pulumi.yaml",
            version: "runs the program with tsx",
            from: project,
            fix: "see the error",
            problem: projectFileProblem(project),
        },
        ...(stack === undefined
            ? []
            : [await stackPassphrase(machine, project, stack), ...(await stackSlots(project, stack))]),
        {
            name: "pulumi CLI",
            version: cli?.version,
            from:
                cli === undefined
                    ? undefined
                    : `${cli.program}${cli.program === cachedCli(machine) ? " (npx pulumi)" : ""}`,
            fix: `${setUp}   (Pulumi ${pulumiVersion}, by its npm package or built with Go)`,
        },
        ...(refusedCli === undefined
            ? []
            : [
                  {
                      name: "pulumi on PATH",
                      version: refusedCli.version,
                      from: refusedCli.program,
                      fix: "npx pulumi",
                      problem: cliProblem(refusedCli.version, refusedCli.program),
                  },
              ]),
        {
            name: "go",
            ...(await programVersion(machine, "go", ["version"])),
            fix: "install Go 1.26 or newer; needed where Pulumi's download host does not answer, and by tests of S3 storage",
            optional: cli !== undefined,
        },
        ...findPlugins(machine, cli).map((plugin) => pluginPrerequisite(machine, plugin)),
        {
            name: "postgres server and clients",
            version: postgres?.version,
            from: postgres?.directory,
            fix: `${setUp}   (as root; or: apt-get install ${postgresPackage}; ${oldestPostgresMajor} or newer)`,
        },
        {
            name: "python",
            version: python?.version,
            from: python?.program,
            fix: `apt-get install python3 python3-venv python3-dev   (${oldestPython.join(".")} or newer)`,
            optional: synapse !== undefined,
        },
        {
            name: "to build psycopg2",
            version: buildPackages.length === 0 ? "complete" : undefined,
            from: "libpq, C compiler, headers",
            fix: `apt-get install ${buildPackages.join(" ")}`,
            optional: synapse !== undefined,
        },
        {
            name: "synapse",
            version: synapse?.version,
            from: synapse?.python,
            fix: `${setUp}   (Synapse ${synapseVersion})`,
        },
        ...(await Promise.all(
            systemPrograms.map(async (name) => ({
                name,
                ...(await programVersion(machine, name, ["--version"])),
                fix: "apt-get install util-linux",
            })),
        )),
        ...(await Promise.all(
            Object.entries(archivePrograms).map(async ([name, packaged]) => ({
                name,
                ...(await programVersion(machine, name, ["--version"])),
                fix: `${setUp}   (as root; or: apt-get install ${packaged}; for tests and rehearsals of bundles)`,
            })),
        )),
        {
            name: "versitygw",
            version: findS3Server(machine)?.version,
            from: findS3Server(machine)?.program,
            fix: "npm test   (built with Go 1.26 or newer; only the tests of S3 storage need it)",
            optional: true,
        },
        {
            name: "chromium",
            ...(await programVersion(machine, findChromium(machine), ["--version"])),
            fix: `${setUp}   (as root; or: apt-get install chromium; only the report's test needs it)`,
        },
    ];
}

function npmPackages(): Prerequisite {
    const record = join(root, "node_modules", ".package-lock.json");
    const entries = existsSync(record)
        ? z.object({ packages: z.record(z.string(), z.unknown()) }).parse(JSON.parse(readFileSync(record, "utf8")))
              .packages
        : {};
    const count = Object.keys(entries).length;
    return {
        name: "npm packages",
        version: count === 0 ? undefined : `${count} packages`,
        from: join(root, "node_modules"),
        fix: "npm ci --ignore-scripts",
    };
}

function pinnedPackage(name: (typeof pinnedNames)[number]): Prerequisite {
    const version = installedVersion(name);
    const problem = packageProblem(name, version);
    return { name, version, from: join(root, "node_modules", name), fix: "npm ci --ignore-scripts", problem };
}

async function stackPassphrase(machine: Machine, project: string, stack: string): Promise<Prerequisite> {
    const file = join(project, "stacks", `Pulumi.${stack}.yaml`);
    const problem = existsSync(file) ? await passphraseProblem(file, machine.environment) : undefined;
    return {
        name: `secrets of ${stack}`,
        version: existsSync(file) ? "no passphrase is missing" : undefined,
        from: file,
        fix: `npx synapse-migrate init --from homeserver.yaml --stack ${stack}`,
        problem,
    };
}

/** Of a stack that moves a homeserver that runs. */
async function stackSlots(project: string, stack: string): Promise<Prerequisite[]> {
    const file = join(project, "stacks", `Pulumi.${stack}.yaml`);
    if (!existsSync(file)) return [];
    // Its packages need not be there before the others are looked for.
    const { slotsOfSource } = await import("./replicationSlots.ts");
    const { seen, problem } = await slotsOfSource(file);
    if (seen === undefined) return [];
    return [{ name: `slots of ${stack}`, version: seen, from: file, fix: "see the error", problem }];
}

function pluginPrerequisite(machine: Machine, plugin: Plugin): Prerequisite {
    const again = plugin.name === "pulumi-resource-command" ? `rm -f ${failureFile(machine)} && ${setUp}` : setUp;
    return {
        name: plugin.name,
        version: plugin.kind === "official" ? "official" : "stand-in (offline plugins in use)",
        from: plugin.path,
        fix: `${again}   (where Pulumi's hosts answer, the official one is used)`,
    };
}

async function programVersion(
    machine: Machine,
    name: string | undefined,
    args: readonly string[],
): Promise<{ version?: string; from?: string }> {
    const program = name?.startsWith("/") === false ? machine.find(name) : name;
    if (program === undefined) return {};
    try {
        const { stdout } = await machine.run(program, args, { timeoutSeconds: 30 });
        return { version: /\d+\.\d+(?:\.\d+)*/.exec(stdout)?.[0] ?? stdout.trim(), from: program };
    } catch {
        return { version: "does not run", from: program };
    }
}

/** Whether the project can do without it, or it is there. */
export function isMet(prerequisite: Prerequisite): boolean {
    if (prerequisite.problem !== undefined) return false;
    return (
        prerequisite.optional === true ||
        (prerequisite.version !== undefined && prerequisite.version !== "does not run")
    );
}

/** The list as lines of text, with the fix below what is missing. */
export function describe(list: readonly Prerequisite[]): string[] {
    const width = Math.max(...list.map(({ name }) => name.length)) + 2;
    return list.flatMap((each) => {
        if (each.problem !== undefined) {
            const block = each.problem.block.split("\n").map((line) => `${" ".repeat(8)}${line}`);
            return [`WRONG   ${each.name.padEnd(width)}${each.problem.detail.found}`, ...block];
        }
        const mark = isMet(each) ? "ok     " : "MISSING";
        const found =
            each.version === undefined ? (isMet(each) ? "not there, not needed here" : "not found") : each.version;
        const from = each.version === undefined || each.from === undefined ? "" : `   ${each.from}`;
        const line = `${mark} ${each.name.padEnd(width)}${found}${from}`;
        return isMet(each) ? [line] : [line, `${" ".repeat(8 + width)}fix: ${each.fix}`];
    });
}
