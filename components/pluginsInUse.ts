/** Which Pulumi plugins the engine uses for this program: the official ones, or this project's stand-ins. */
import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { findOnPath, isExecutable, isScript, pulumiHome } from "../toolchain/findProgram.ts";

export interface PluginInUse {
    /** The program that the engine starts. */
    readonly name: string;
    /** `unknown`: none is found where the engine looks, or it is a script of somebody else. */
    readonly kind: "official" | "stand-in" | "unknown";
    /** Version and where it was found, for people. */
    readonly described: string;
}

/** What the plugins are told by. */
export interface PluginSurroundings {
    readonly environment: Readonly<Record<string, string | undefined>>;
    /** Pulumi.yaml. */
    readonly projectFile: string;
    /** Command line of the process that runs this program, which is the language host; undefined where that cannot be read. */
    readonly caller: readonly string[] | undefined;
}

/** In the head of every stand-in. */
const standInMarker = "synapse-migration-stand-in";
const headBytes = 1024;

/** The process's own surroundings. */
export function pluginSurroundings(): PluginSurroundings {
    return {
        environment: process.env,
        projectFile: join(dirname(import.meta.dirname), "Pulumi.yaml"),
        caller: commandLine(process.ppid),
    };
}

function commandLine(processId: number): readonly string[] | undefined {
    try {
        return readFileSync(`/proc/${processId}/cmdline`, "utf8").split("\0");
    } catch {
        return undefined;
    }
}

/**
 * The resource plugin that the engine takes for a package, looked for where and in the order the engine does
 * (sdk/go/common/workspace/plugins.go, `getPluginInfoAndPath`): Pulumi.yaml, PATH, its own directory in exactly the version.
 *
 * @param version  of the npm package, which asks for the plugin of the same version
 */
export function resourcePlugin(
    plugin: string,
    version: string,
    { environment, projectFile }: PluginSurroundings,
): PluginInUse {
    const name = `pulumi-resource-${plugin}`;
    const ofProject = projectPlugin(projectFile, plugin, version);
    if (ofProject !== undefined) return classified(name, join(ofProject, name), "named in Pulumi.yaml", version);
    const ambient = isTruthy(environment["PULUMI_IGNORE_AMBIENT_PLUGINS"])
        ? undefined
        : findOnPath(name, environment["PATH"] ?? "");
    if (ambient !== undefined) return classified(name, ambient, "on PATH, whatever version is asked for", version);
    const directory = join(resolve(pulumiHome(environment)), "plugins", `resource-${plugin}-v${version}`);
    // Pulumi leaves this file beside a plugin that it has not finished to unpack.
    const installed = !existsSync(`${directory}.partial`) && isExecutable(join(directory, name));
    if (installed) return classified(name, join(directory, name), `${version}, in Pulumi's plugin directory`, version);
    return { name, kind: "unknown", described: `${version} is asked for and not found` };
}

/** The host that runs this program. */
export function languageHost({ caller }: PluginSurroundings): PluginInUse {
    const name = "pulumi-language-nodejs";
    const path = caller?.find((word) => basename(word) === name);
    if (path === undefined) return { name, kind: "unknown", described: "not run by a language host that can be seen" };
    return classified(name, path, "that of the Pulumi CLI, or on PATH", "nodejs");
}

/** A stand-in is a script with a marker in its head; an official plugin is never a script. */
function classified(name: string, path: string, where: string, version: string): PluginInUse {
    if (!isScript(path))
        return existsSync(path)
            ? { name, kind: "official", described: `official, ${where}` }
            : { name, kind: "unknown", described: `${where}, and not there` };
    if (head(path).includes(standInMarker))
        return { name, kind: "stand-in", described: `stand-in of synapse-migration for the official ${version}` };
    return { name, kind: "unknown", described: `a script of somebody else, ${where}` };
}

function head(path: string): string {
    const file = openSync(path, "r");
    try {
        const start = Buffer.alloc(headBytes);
        return start.subarray(0, readSync(file, start)).toString("latin1");
    } finally {
        closeSync(file);
    }
}

const project = z.looseObject({
    plugins: z
        .looseObject({
            providers: z
                .array(z.looseObject({ name: z.string(), path: z.string(), version: z.string().optional() }))
                .default([]),
        })
        .optional(),
});

/** @returns the directory that Pulumi.yaml names for the plugin, if it names one that fits */
function projectPlugin(projectFile: string, plugin: string, version: string): string | undefined {
    const providers = project.safeParse(parse(readFileSync(projectFile, "utf8"))).data?.plugins?.providers ?? [];
    const named = providers.find(
        (provider) => provider.name === plugin && (provider.version ?? version).replace(/^v/, "") === version,
    );
    return named === undefined ? undefined : resolve(dirname(projectFile), named.path);
}

/** As Pulumi reads its switches. */
const isTruthy = (value: string | undefined): boolean => value === "1" || value?.toLowerCase() === "true";
