/** What the set-up asks of the machine it runs on. Tests answer with a machine of their own. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { canReach, serviceUser } from "../engine/machines/serviceUser.ts";
import { runProgram, type ProgramOptions, type ProgramResult } from "../engine/machines/program.ts";
import { findOnPath, homeOf, isExecutable } from "./findProgram.ts";

export interface Machine {
    /** The caller's variables. Programs of the set-up get all but {@link notPassedOn}: installers need proxies and registries. */
    readonly environment: Readonly<Record<string, string | undefined>>;
    /** Where the system's directories are: `/`. */
    readonly root: string;
    readonly isRoot: boolean;
    /** Whether packages are installed with apt-get. */
    readonly isDebianLike: boolean;
    /** The first executable file of that name on PATH, as an absolute path. */
    find(program: string): string | undefined;
    /** Whether the path is an executable file that is not empty. */
    isExecutable(path: string): boolean;
    /** Whether the user whom our servers run as can reach the path; see `serviceUser`. */
    isReachable(path: string): boolean;
    /** Whether one of the C headers is among those of the system. */
    hasHeader(...names: readonly string[]): boolean;
    /** Runs a program to its end; see `runProgram`. */
    run(program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult>;
}

/** Secrets of Pulumi's that no installer has a use for. */
const notPassedOn: ReadonlySet<string> = new Set([
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
]);

const headerDirectories = ["/usr/include", "/usr/local/include"];

/** The machine this process runs on. */
export function thisMachine(environment: NodeJS.ProcessEnv = process.env): Machine {
    const passedOn = Object.fromEntries(
        Object.entries(environment).flatMap(([name, value]) =>
            value === undefined || notPassedOn.has(name) ? [] : [[name, value] as const],
        ),
    );
    return {
        environment,
        root: "/",
        isRoot: process.getuid?.() === 0,
        isDebianLike: isExecutable("/usr/bin/apt-get") && isExecutable("/usr/bin/dpkg"),
        find: (program) => findOnPath(program, environment["PATH"] ?? ""),
        isExecutable,
        isReachable: (path) => {
            const user = serviceUser();
            return user === undefined || canReach(path, user);
        },
        hasHeader: (...names) =>
            headerDirectories.some((directory) => names.some((name) => existsSync(join(directory, name)))),
        run: (program, args, options) =>
            runProgram(program, args, { ...options, environment: { ...passedOn, ...options.environment } }),
    };
}

/** Where the set-up keeps what it makes: `$XDG_CACHE_HOME/synapse-migration`, or below `~/.cache`. */
export function cacheDirectory(environment: Machine["environment"]): string {
    const base = environment["XDG_CACHE_HOME"];
    return join(base?.startsWith("/") === true ? base : join(homeOf(environment), ".cache"), "synapse-migration");
}

/** For what root makes and another user runs, where root's own cache is closed to that user. */
const systemCache = "var/cache/synapse-migration";

/** {@link cacheDirectory} where the user whom our servers run as can reach it, else the system's cache. */
export function reachableCacheDirectory(machine: Machine): string {
    const cache = cacheDirectory(machine.environment);
    return machine.isReachable(cache) ? cache : join(machine.root, systemCache);
}
