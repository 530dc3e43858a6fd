/** Sets up what the project needs: finds before it installs, installs nothing twice, says what it does and how long it took. */
import { mkdir } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { lineProgress, type Progress } from "../engine/run/progress.ts";
import { redact } from "../engine/run/redaction.ts";
import { lockFile } from "../engine/run/fileLock.ts";
import { pulumiHome } from "./findProgram.ts";
import { cacheDirectory, thisMachine, type Machine } from "./machine.ts";
import { ensurePostgres, findPostgres, type PostgresPrograms } from "./postgres.ts";
import { ensurePulumiCli, findPulumiCli, type PulumiCli } from "./pulumiCli.ts";
import { ensurePlugins, type Plugin } from "./pulumiPlugins.ts";
import { ensureS3Server, findS3Server, type S3Server } from "./s3Server.ts";
import { ensureSynapse, findSynapse, type SynapseEnvironment } from "./synapse.ts";
import {
    ensureArchivePrograms,
    ensureChromium,
    findChromium,
    missingArchivePrograms,
    requireSystemPrograms,
} from "./systemPrograms.ts";

/** What to set up. What is not asked for is not looked for. */
export interface Wanted {
    readonly pulumi?: boolean;
    readonly postgres?: boolean;
    readonly synapse?: boolean;
    readonly chromium?: boolean;
    /** gpg, zip and the like: what the tests and the rehearsals of bundles make exports with. */
    readonly archives?: boolean;
    /** A server that speaks S3, for the tests of storage providers. */
    readonly s3?: boolean;
}

export interface PulumiToolchain {
    /** The CLI, an absolute path. */
    readonly program: string;
    /** Value of PULUMI_HOME. */
    readonly home: string;
    /** To be added to the environment of every Pulumi command; PATH is complete. */
    readonly environment: Readonly<Record<string, string>>;
    /** `offline` when a stand-in is used for at least one plugin. */
    readonly plugins: "official" | "offline";
    readonly version: string;
}

/** What was set up: a part is there when it was asked for. */
export interface Toolchain {
    readonly pulumi?: PulumiToolchain;
    readonly postgres?: PostgresPrograms;
    readonly synapse?: SynapseEnvironment;
    readonly chromium?: { readonly program: string };
    readonly s3?: S3Server;
}

/** Another set-up may be building Pulumi and Synapse. */
const lockSeconds = 3600;

/**
 * Sets up what is wanted and says where it is. Takes about a second when everything is there.
 *
 * @param log  gets whole lines, without a line end
 * @throws MigrationError SM-E1180 when something is missing and cannot be set up here; SM-E1101 when an installer fails
 */
export async function ensureToolchain(
    want: Wanted,
    log: (line: string) => void,
    machine: Machine = thisMachine(),
): Promise<Toolchain> {
    const progress = lineProgress("toolchain", log, redact);
    requireSystemPrograms(machine);
    const [cli, postgres, synapse] = await Promise.all([
        want.pulumi === true ? findPulumiCli(machine) : undefined,
        want.postgres === true ? findPostgres(machine) : undefined,
        want.synapse === true ? findSynapse(machine) : undefined,
    ]);
    const chromium = want.chromium === true ? findChromium(machine) : undefined;
    const s3 = want.s3 === true ? findS3Server(machine) : undefined;
    const complete =
        (want.pulumi !== true || cli !== undefined) &&
        (want.postgres !== true || postgres !== undefined) &&
        (want.synapse !== true || synapse !== undefined) &&
        (want.chromium !== true || chromium !== undefined) &&
        (want.s3 !== true || s3 !== undefined) &&
        (want.archives !== true || missingArchivePrograms(machine).length === 0);
    const install = async (): Promise<Toolchain> => {
        if (want.archives === true) await ensureArchivePrograms(machine, progress);
        return installed();
    };
    const installed = async (): Promise<Toolchain> => ({
        // The server comes before Synapse: with it comes a pg_config.
        ...(want.postgres === true ? { postgres: postgres ?? (await ensurePostgres(machine, progress)) } : {}),
        ...(want.synapse === true ? { synapse: synapse ?? (await ensureSynapse(machine, progress)) } : {}),
        ...(want.chromium === true
            ? { chromium: { program: chromium ?? (await ensureChromium(machine, progress)) } }
            : {}),
        ...(want.s3 === true ? { s3: s3 ?? (await ensureS3Server(machine, progress)) } : {}),
        ...(want.pulumi === true ? { pulumi: await pulumiToolchain(machine, cli, progress) } : {}),
    });
    return complete ? install() : whileLocked(machine, install);
}

/** Two set-ups at once would install the same thing twice: the second waits, and then finds it. */
async function whileLocked<T>(machine: Machine, work: () => Promise<T>): Promise<T> {
    const directory = cacheDirectory(machine.environment);
    await mkdir(directory, { recursive: true });
    const lock = await lockFile(join(directory, "toolchain.lock"), `a set-up, process ${process.pid}`, lockSeconds);
    try {
        return await work();
    } finally {
        await lock.release();
    }
}

async function pulumiToolchain(
    machine: Machine,
    found: PulumiCli | undefined,
    progress: Progress,
): Promise<PulumiToolchain> {
    const cli = found ?? (await ensurePulumiCli(machine, progress));
    const plugins = await ensurePlugins(machine, cli, progress);
    const offline = plugins.filter(({ kind }) => kind === "stand-in");
    if (offline.length > 0)
        progress.say(`offline plugins in use: stand-ins for ${offline.map(({ name }) => name).join(" and ")}`);
    return {
        program: cli.program,
        version: cli.version,
        home: resolve(pulumiHome(machine.environment)),
        plugins: offline.length > 0 ? "offline" : "official",
        environment: pulumiEnvironment(machine, cli, plugins),
    };
}

/**
 * What Pulumi commands need in their environment.
 *
 * Automatic acquisition is switched off only where the plugin host is known not to answer: it would cost seconds per operation.
 * PULUMI_IGNORE_AMBIENT_PLUGINS is never set: it hides the stand-ins.
 */
export function pulumiEnvironment(
    machine: Machine,
    cli: PulumiCli,
    plugins: readonly Plugin[],
): Record<string, string> {
    const standIns = plugins.filter(({ kind }) => kind === "stand-in").map(({ path }) => dirname(path));
    const withoutHost = plugins.some(({ name, kind }) => name === "pulumi-resource-command" && kind === "stand-in");
    return {
        PATH: [...standIns, dirname(cli.program), machine.environment["PATH"] ?? ""].join(delimiter),
        PULUMI_HOME: resolve(pulumiHome(machine.environment)),
        PULUMI_SKIP_UPDATE_CHECK: "true",
        ...(withoutHost ? { PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true" } : {}),
    };
}
