/** What the migration runs on, for the report, and what people should know of it at once. */
import { createRequire } from "node:module";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { languageHost, pluginSurroundings, resourcePlugin, type PluginSurroundings } from "./pluginsInUse.ts";

const manifest = z.looseObject({ version: z.string() });

/**
 * Versions by name. Stays the same from one run to the next, unless something was installed. `plugins` says `offline` when a stand-in is in
 * use, `official` when none is, and `unknown` when that cannot be told.
 */
export function runtimeEnvironment(surroundings: PluginSurroundings = pluginSurroundings()): Record<string, string> {
    const load = createRequire(import.meta.url);
    const version = (path: string): string => manifest.parse(load(path)).version;
    const command = version("@pulumi/command/package.json");
    const plugins = [languageHost(surroundings), resourcePlugin("command", command, surroundings)];
    const every = plugins.every(({ kind }) => kind === "official") ? "official" : "unknown";
    return {
        "synapse-migration": version("../package.json"),
        node: process.versions.node,
        "@pulumi/pulumi": version("@pulumi/pulumi/package.json"),
        "@pulumi/command": command,
        ...Object.fromEntries(plugins.map(({ name, described }) => [name, described])),
        plugins: plugins.some(({ kind }) => kind === "stand-in") ? "offline" : every,
    };
}

/** Warns, once in a preview and once in an update, that a plugin is not Pulumi's. */
export async function warnOfStandIns(environment: Readonly<Record<string, string>>): Promise<void> {
    if (environment["plugins"] !== "offline") return;
    const standIns = Object.entries(environment).filter(([, described]) => described.startsWith("stand-in "));
    await pulumi.log.warn(
        `Pulumi's own plugins are not in use: ${standIns.map(([name, described]) => `${name} is a ${described}`).join("; ")}. ` +
            "Where Pulumi's plugin host can be reached, `npm run toolchain` installs the official ones.",
    );
}
