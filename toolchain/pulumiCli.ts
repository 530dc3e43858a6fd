/**
 * The Pulumi CLI, kept where the npm package `pulumi` keeps it, so that `npx pulumi` is the one command on every machine:
 * `$PULUMI_HOME/versions/<version>/bin/pulumi` (lib/cache.js and lib/resolve.js of that package).
 */
import { randomBytes } from "node:crypto";
import { realpathSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import { findOnPath, isScript, pulumiHome } from "./findProgram.ts";
import type { Machine } from "./machine.ts";
import { isAcceptedCli } from "./runtimeRules.ts";
import { pulumiVersion } from "./versions.ts";

export interface PulumiCli {
    readonly program: string;
    /** Without a leading `v`. */
    readonly version: string;
}

/** The npm package downloads from Pulumi's host; where that does not answer it fails within seconds. */
const downloadSeconds = 300;
/** Cold and on two cores it takes about four minutes. */
const buildSeconds = 3600;
const moduleDirectory = join(import.meta.dirname, "pulumi-cli");
const commandPackage = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";
const versionVariable = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/** Where `npx pulumi` looks for the CLI, and puts it. */
export function cachedCli(machine: Machine): string {
    return join(resolve(pulumiHome(machine.environment)), "versions", pulumiVersion, "bin", "pulumi");
}

/**
 * The CLI that `npx pulumi` runs, else one on PATH of the same major version and not older.
 *
 * A `pulumi` on PATH that is a script is the npm package itself, which npm puts there: asking it would start the download.
 */
export async function findPulumiCli(machine: Machine): Promise<PulumiCli | undefined> {
    const onPath = cliOnPath(machine);
    for (const program of [cachedCli(machine), ...(onPath === undefined ? [] : [onPath])]) {
        if (!machine.isExecutable(program)) continue;
        const version = await versionOf(machine, program);
        if (version !== undefined && isAcceptedCli(version)) return { program, version };
    }
    return undefined;
}

/** The CLI that the word `pulumi` runs in a terminal, when it is of a version that the program refuses with SM-E0226. */
export async function findRefusedCli(machine: Machine): Promise<PulumiCli | undefined> {
    const program = cliOnPath(machine);
    const version = program === undefined ? undefined : await versionOf(machine, program);
    return program === undefined || version === undefined || isAcceptedCli(version) ? undefined : { program, version };
}

/** npm puts its launcher first on PATH for whatever it runs: what comes after that is looked at, too. */
function cliOnPath(machine: Machine): string | undefined {
    const program = (machine.environment["PATH"] ?? "")
        .split(delimiter)
        .map((directory) => findOnPath("pulumi", directory))
        .find((path) => path !== undefined && !isScript(path));
    return program === undefined ? undefined : realpathSync(program);
}

async function versionOf(machine: Machine, program: string): Promise<string | undefined> {
    try {
        const { stdout } = await machine.run(program, ["version"], {
            timeoutSeconds: 30,
            environment: { PULUMI_SKIP_UPDATE_CHECK: "true" },
        });
        return /^v?(\d+\.\d+\.\d+\S*)/.exec(stdout.trim())?.[1];
    } catch {
        // A damaged or foreign program is as good as none: it is replaced, or passed over.
        return undefined;
    }
}

/**
 * Finds the CLI; else has the npm package download it; else builds it from its Go modules into the same place.
 *
 * @throws MigrationError SM-E1180 when it cannot be downloaded and there is no Go; SM-E1101 when the build fails
 */
export async function ensurePulumiCli(machine: Machine, progress: Progress): Promise<PulumiCli> {
    const found = await findPulumiCli(machine);
    if (found !== undefined) return found;
    const failure = await progress.during(`downloading Pulumi ${pulumiVersion} with its npm package`, () =>
        download(machine),
    );
    if (failure !== undefined) {
        progress.say(`the download did not work: ${failure.split("\n").at(-1) ?? ""}`);
        const go = machine.find("go");
        if (go === undefined) {
            throw new MigrationError("SM-E1180", {
                where: cachedCli(machine),
                found: "no Pulumi CLI; its host does not answer, and there is no Go to build it with",
                expected: `Pulumi ${pulumiVersion}, or Go 1.26 or newer`,
                fix: "let this machine reach Pulumi's download host, put `pulumi` on PATH, or install Go; then run: npm run toolchain",
            });
        }
        await progress.during(`building Pulumi ${pulumiVersion} from its Go modules (minutes, once)`, () =>
            build(machine, go),
        );
    }
    const made = await findPulumiCli(machine);
    if (made !== undefined) return made;
    throw new MigrationError("SM-E1180", {
        where: cachedCli(machine),
        found: "what was set up does not run, or is of another version",
        expected: `Pulumi ${pulumiVersion}`,
    });
}

/** @returns why it did not work, or undefined when it did */
async function download(machine: Machine): Promise<string | undefined> {
    const launcher = join(dirname(import.meta.dirname), "node_modules", "pulumi", "run.js");
    try {
        await machine.run(process.execPath, [launcher, "version"], { timeoutSeconds: downloadSeconds });
        return undefined;
    } catch (error) {
        if (error instanceof MigrationError) return error.detail.found;
        throw error;
    }
}

/** The program appears under its name whole or not at all. */
async function build(machine: Machine, go: string): Promise<void> {
    const program = cachedCli(machine);
    const partial = `${program}.${randomBytes(6).toString("hex")}.partial`;
    await mkdir(dirname(program), { recursive: true });
    try {
        await machine.run(
            go,
            [
                "build",
                "-trimpath",
                "-o",
                partial,
                "-ldflags",
                `-s -w -X ${versionVariable}=v${pulumiVersion}`,
                commandPackage,
            ],
            {
                workingDirectory: moduleDirectory,
                environment: { CGO_ENABLED: "0", GOWORK: "off" },
                timeoutSeconds: buildSeconds,
            },
        );
        await rename(partial, program);
    } finally {
        await rm(partial, { force: true });
    }
}
