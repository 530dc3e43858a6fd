/** The Synapse that the rehearsal and the tests run: a virtual environment in the cache, with every version pinned. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import { installPackages } from "./aptPackages.ts";
import { reachableCacheDirectory, type Machine } from "./machine.ts";
import { isAtLeast, oldestPython, synapseVersion } from "./versions.ts";

export interface SynapseEnvironment {
    /** The interpreter that has `synapse.app.homeserver`. */
    readonly python: string;
    readonly version: string;
}

/** What Python says about itself. */
export interface PythonFacts {
    readonly program: string;
    /** The file behind it and behind the links of every environment made with it. */
    readonly executable: string;
    /** For example `3.11.7`. */
    readonly version: string;
    /** Whether `python -m venv` can put pip into what it makes. */
    readonly hasVenv: boolean;
    /** Whether C extensions can be built against it. */
    readonly hasHeaders: boolean;
    /** Whether it is the system's, so that the system's packages complete it. */
    readonly isSystem: boolean;
}

const interpreters = ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "usr/bin/python3"] as const;
const requirements = join(import.meta.dirname, "synapse-requirements.txt");
/** Written last: an environment without it is half made and is made again. */
const finishedMarker = ".finished";
const probe = `
import importlib.util, json, os, sys, sysconfig
has = lambda name: importlib.util.find_spec(name) is not None
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
print(json.dumps({"executable": os.path.realpath(sys.executable), "version": "%d.%d.%d" % sys.version_info[:3],
                  "hasVenv": has("venv") and has("ensurepip"), "hasHeaders": os.path.exists(header),
                  "isSystem": sys.base_prefix == "/usr"}))
`;
const probed = z.object({
    executable: z.string(),
    version: z.string(),
    hasVenv: z.boolean(),
    hasHeaders: z.boolean(),
    isSystem: z.boolean(),
});

/**
 * The interpreter to build on: the first that lacks nothing, else the first of a version that will do. Of root's only those that the user
 * whom servers run as can reach.
 */
export async function findPython(machine: Machine): Promise<PythonFacts | undefined> {
    const usable: PythonFacts[] = [];
    for (const name of interpreters) {
        const program = name.includes("/") ? systemProgram(machine, name) : machine.find(name);
        if (program === undefined) continue;
        const facts = await factsOf(machine, program);
        if (facts === undefined || !isAtLeast(facts.version, oldestPython.join("."))) continue;
        if (!machine.isReachable(facts.executable)) continue;
        if (facts.hasVenv && facts.hasHeaders) return facts;
        usable.push(facts);
    }
    return usable[0];
}

function systemProgram(machine: Machine, path: string): string | undefined {
    const program = join(machine.root, path);
    return machine.isExecutable(program) ? program : undefined;
}

async function factsOf(machine: Machine, program: string): Promise<PythonFacts | undefined> {
    try {
        const { stdout } = await machine.run(program, ["-c", probe], { timeoutSeconds: 20 });
        return { program, ...probed.parse(JSON.parse(stdout)) };
    } catch {
        // A version manager's shim answers for versions it does not have with an error; such a name is not an interpreter.
        return undefined;
    }
}

/** The environment in the cache, when it was made to its end from the same pins. */
export async function findSynapse(machine: Machine): Promise<SynapseEnvironment | undefined> {
    const directory = await environmentDirectory(machine);
    const python = join(directory, "bin", "python");
    if (!machine.isExecutable(python)) return undefined;
    const marker = await readFile(join(directory, finishedMarker), "utf8").catch(() => undefined);
    return marker?.trim() === synapseVersion ? { python, version: synapseVersion } : undefined;
}

async function environmentDirectory(machine: Machine): Promise<string> {
    const pins = createHash("sha256")
        .update(await readFile(requirements))
        .digest("hex")
        .slice(0, 12);
    return join(reachableCacheDirectory(machine), `synapse-${synapseVersion}-${pins}`);
}

/**
 * The packages of Debian that are missing to build the environment with this interpreter.
 *
 * @param python  absent when none was found: the system's is installed
 */
export function missingPackages(machine: Machine, python: PythonFacts | undefined): string[] {
    const packages = new Set<string>();
    if (python === undefined) for (const name of ["python3", "python3-venv", "python3-dev"]) packages.add(name);
    if (python?.isSystem === true && !python.hasVenv) packages.add("python3-venv");
    if (python?.isSystem === true && !python.hasHeaders) packages.add("python3-dev");
    // Debian has a pg_config in a package without headers too; that one only says that libpq-dev is needed.
    const hasLibpq =
        machine.find("pg_config") !== undefined && machine.hasHeader("libpq-fe.h", "postgresql/libpq-fe.h");
    if (!hasLibpq) packages.add("libpq-dev");
    if (machine.find("gcc") === undefined && machine.find("cc") === undefined) packages.add("gcc");
    if (!machine.hasHeader("stdlib.h")) packages.add("libc6-dev");
    return [...packages];
}

/**
 * Finds the environment, or makes it: its packages from the registry that pip is set to, its C extension built here.
 *
 * @throws MigrationError SM-E1180 when Python or a compiler is missing and cannot be installed; SM-E1101 when pip fails
 */
export async function ensureSynapse(machine: Machine, progress: Progress): Promise<SynapseEnvironment> {
    const found = await findSynapse(machine);
    if (found !== undefined) return found;
    const missing = missingPackages(machine, await findPython(machine));
    if (missing.length > 0) await installPackages(machine, missing, `building Synapse ${synapseVersion}`, progress);
    const python = await findPython(machine);
    if (python === undefined || !python.hasVenv || !python.hasHeaders) {
        throw new MigrationError("SM-E1180", {
            where: python?.program ?? "PATH",
            found: python === undefined ? "no Python that will do" : `Python ${python.version} without venv or headers`,
            expected: `Python ${oldestPython.join(".")} or newer, with venv, ensurepip and Python.h`,
            fix: "run: apt-get install python3 python3-venv python3-dev",
        });
    }
    const directory = await environmentDirectory(machine);
    await progress.during(`making an environment for Synapse ${synapseVersion} in ${directory}`, async () => {
        await rm(directory, { recursive: true, force: true });
        await mkdir(dirname(directory), { recursive: true, mode: 0o755 });
        await machine.run(python.program, ["-m", "venv", directory], { timeoutSeconds: 300 });
        const pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "-r",
            requirements,
        ];
        await machine.run(join(directory, "bin", "python"), pip, { timeoutSeconds: 1800 });
        await writeFile(join(directory, finishedMarker), `${synapseVersion}\n`);
    });
    return { python: join(directory, "bin", "python"), version: synapseVersion };
}
