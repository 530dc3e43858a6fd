/** Decides for each Pulumi plugin between the official one and our stand-in, and puts the stand-ins where they are found. */
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import { isScript, pulumiHome } from "./findProgram.ts";
import { cacheDirectory, type Machine } from "./machine.ts";
import { cachedCli, type PulumiCli } from "./pulumiCli.ts";
import { commandPluginVersion } from "./versions.ts";

export interface Plugin {
    /** The program that the engine starts. */
    readonly name: "pulumi-language-nodejs" | "pulumi-resource-command";
    readonly kind: "official" | "stand-in";
    readonly path: string;
}

const standIns = {
    "pulumi-language-nodejs": join(import.meta.dirname, "offline", "nodejs", "pulumi-language-nodejs"),
    "pulumi-resource-command": join(import.meta.dirname, "offline", "command", "pulumi-resource-command"),
} as const;

const installSeconds = 60;
const failureKeptMilliseconds = 24 * 60 * 60 * 1000;

/** A stand-in is a script, an official plugin never is. */
const isOfficial = (machine: Machine, path: string): boolean => machine.isExecutable(path) && !isScript(path);

/** The official language host: beside the CLI, as Pulumi's own archive has it, or on PATH. */
function findLanguageHost(machine: Machine, cli: PulumiCli | undefined): string | undefined {
    const name = "pulumi-language-nodejs";
    const onPath = machine.find(name);
    return [
        ...(cli === undefined ? [] : [join(dirname(cli.program), name)]),
        ...(onPath === undefined ? [] : [onPath]),
    ].find((path) => isOfficial(machine, path));
}

/** The official command plugin: in Pulumi's plugin directory, in the version that our npm package asks for, or on PATH. */
function findCommandPlugin(machine: Machine): string | undefined {
    const name = "pulumi-resource-command";
    const folder = `resource-command-v${commandPluginVersion}`;
    const installed = join(resolve(pulumiHome(machine.environment)), "plugins", folder);
    // Pulumi leaves this file beside a plugin that it has not finished to unpack.
    const unfinished = siblings(installed).includes(`${folder}.partial`);
    const onPath = machine.find(name);
    return [...(unfinished ? [] : [join(installed, name)]), ...(onPath === undefined ? [] : [onPath])].find((path) =>
        isOfficial(machine, path),
    );
}

function siblings(path: string): string[] {
    try {
        return readdirSync(dirname(path));
    } catch {
        return [];
    }
}

/** What would be used now, without trying to install anything. */
export function findPlugins(machine: Machine, cli: PulumiCli | undefined): Plugin[] {
    return [
        choose("pulumi-language-nodejs", findLanguageHost(machine, cli)),
        choose("pulumi-resource-command", findCommandPlugin(machine)),
    ];
}

function choose(name: Plugin["name"], official: string | undefined): Plugin {
    return official === undefined
        ? { name, kind: "stand-in", path: standIns[name] }
        : { name, kind: "official", path: official };
}

/**
 * The plugins to use. The official command plugin is installed when it is missing and Pulumi's plugin host answers; that it does
 * not is remembered for a day.
 */
export async function ensurePlugins(machine: Machine, cli: PulumiCli, progress: Progress): Promise<Plugin[]> {
    if (findCommandPlugin(machine) === undefined && !(await failedLately(machine)))
        await install(machine, cli, progress);
    const plugins = findPlugins(machine, cli);
    if (cli.program === cachedCli(machine)) await linkBesideCli(dirname(cli.program), plugins);
    return plugins;
}

async function install(machine: Machine, cli: PulumiCli, progress: Progress): Promise<void> {
    await progress.during(
        `installing the command plugin ${commandPluginVersion} from Pulumi's plugin host`,
        async () => {
            const args = ["plugin", "install", "resource", "command", `v${commandPluginVersion}`];
            try {
                await machine.run(cli.program, args, {
                    timeoutSeconds: installSeconds,
                    environment: { PULUMI_SKIP_UPDATE_CHECK: "true" },
                });
            } catch (error) {
                if (!(error instanceof MigrationError)) throw error;
                progress.say(
                    "the plugin host does not answer: our stand-in is used, and the host is asked again in a day",
                );
                await mkdir(dirname(failureFile(machine)), { recursive: true });
                await writeFile(failureFile(machine), JSON.stringify({ failedAt: Date.now() }));
            }
        },
    );
}

/** Remove this file to have the plugin host asked again at once. */
export function failureFile(machine: Machine): string {
    return join(cacheDirectory(machine.environment), `command-plugin-${commandPluginVersion}.failure.json`);
}

const failure = z.object({ failedAt: z.number() });

async function failedLately(machine: Machine): Promise<boolean> {
    try {
        const { failedAt } = failure.parse(JSON.parse(await readFile(failureFile(machine), "utf8")));
        return Date.now() - failedAt < failureKeptMilliseconds;
    } catch {
        return false;
    }
}

/**
 * Makes `npx pulumi` find the stand-ins that are needed, and no longer find those that are not: the npm package puts the CLI's
 * directory first on PATH. Only links that point to a stand-in are ever touched.
 */
async function linkBesideCli(directory: string, plugins: readonly Plugin[]): Promise<void> {
    for (const { name, kind, path } of plugins) {
        const link = join(directory, name);
        const current = linkTarget(link);
        if (kind === "stand-in" && current !== path && (current !== undefined || !entryExists(link))) {
            const partial = `${link}.${process.pid}.partial`;
            await rm(partial, { force: true });
            await symlink(path, partial);
            await rename(partial, link);
        }
        if (kind === "official" && current?.includes("/toolchain/offline/") === true) await rm(link);
    }
}

function linkTarget(path: string): string | undefined {
    try {
        return readlinkSync(path);
    } catch {
        return undefined;
    }
}

/** A link is there also when what it points to is not. */
function entryExists(path: string): boolean {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
