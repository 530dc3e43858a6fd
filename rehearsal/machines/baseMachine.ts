/** The Debian that every machine of the tests is an overlay of: made once, and kept in the cache of the set-up. */
import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { lockFile } from "../../engine/run/fileLock.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { exists } from "../../engine/run/exists.ts";
import { lineProgress, type Progress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { reachableCacheDirectory, thisMachine, type Machine } from "../../toolchain/machine.ts";
import * as recipe from "./baseRecipe.ts";
import { forRedis, machineEnvironment, putSynapse, requirements, type InRoot } from "./machineSynapse.ts";
import { ensureOuterPrograms } from "./outerPrograms.ts";

/** Another run of tests may be making it: about two minutes on two cores, longer where packages come slowly. */
const buildSeconds = 3600;
/** To be raised when what is done with the recipe changes. */
const workmanship = 1;

let made: Promise<string> | undefined;

/**
 * The root directory that machines are overlays of. Nothing may be written to it.
 *
 * @throws MigrationError SM-E1180 when we are not root, or a program is missing and cannot be installed; SM-E1101 when an installer fails
 */
export function baseMachine(): Promise<string> {
    return (made ??= make(thisMachine()));
}

/** Where the machines of the tests and what they are made of are kept. */
export function machinesDirectory(machine: Machine = thisMachine()): string {
    return join(reachableCacheDirectory(machine), "machines");
}

async function make(machine: Machine): Promise<string> {
    const progress = lineProgress("machines", (line) => void process.stderr.write(`${line}\n`), redact);
    await ensureOuterPrograms(machine, progress);
    const parent = machinesDirectory(machine);
    const root = join(parent, `base-${await digest()}`);
    if (await exists(root)) return root;
    await mkdir(parent, { recursive: true, mode: 0o755 });
    const lock = await lockFile(join(parent, "base.lock"), `a build, process ${process.pid}`, buildSeconds);
    try {
        if (!(await exists(root))) await build(machine, root, progress);
    } finally {
        await lock.release();
    }
    return root;
}

/** Of all that a base is made of: another one has another name, and neither is in the way of the other. */
async function digest(): Promise<string> {
    const content = JSON.stringify({ workmanship, recipe, machineEnvironment, forRedis });
    return createHash("sha256")
        .update(content)
        .update(await readFile(requirements))
        .digest("hex")
        .slice(0, 12);
}

/** A root is there whole or not at all. Whoever holds the lock owns what a build that was killed has left. */
async function build(machine: Machine, root: string, progress: Progress): Promise<void> {
    const partial = join(dirname(root), "base.partial");
    await rm(partial, { recursive: true, force: true });
    const include = `--include=${recipe.packages.join(",")}`;
    const site = await archiveSite(machine);
    try {
        await progress.during(`making a Debian for the machines of the tests in ${root} (once, about 1.5 GB)`, () =>
            enclosed(
                machine,
                "debootstrap",
                ["--variant=minbase", include, recipe.release, partial, site],
                buildSeconds,
            ),
        );
        const inRoot: InRoot = (program, args, seconds) =>
            enclosed(machine, "chroot", [partial, program, ...args], seconds);
        await putSynapse(machine, partial, inRoot, progress);
        await furnish(partial, inRoot);
        await rename(partial, root);
    } finally {
        await rm(partial, { recursive: true, force: true });
    }
}

/**
 * With namespaces of its own: what it mounts and starts is gone when it ends, also when it is killed.
 *
 * @returns what it wrote
 */
async function enclosed(machine: Machine, program: string, args: readonly string[], seconds: number): Promise<string> {
    const own = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"];
    const { stdout } = await machine.run("unshare", [...own, "--", program, ...args], {
        environment: { DEBIAN_FRONTEND: "noninteractive", LANG: "C.UTF-8" },
        timeoutSeconds: seconds,
    });
    return stdout;
}

/** The archive that this machine's own packages come from: it is reached, and there is no name of one in this code. */
async function archiveSite(machine: Machine): Promise<string> {
    const wanted = ["Created-By: Packages", `Codename: ${recipe.release}`, "Origin: Debian", "Component: main"];
    const { stdout } = await machine.run("apt-get", ["indextargets", "--format", "$(SITE)", ...wanted], {
        timeoutSeconds: 60,
    });
    const [site] = stdout.split("\n").filter((line) => line !== "");
    if (site !== undefined) return site;
    throw new MigrationError("SM-E1180", {
        where: "apt-get indextargets",
        found: `no archive of Debian ${recipe.release} among the sources of packages`,
        expected: "the archive that the machines of the tests are installed from",
        fix: `add Debian ${recipe.release} to the sources in /etc/apt and run: apt-get update`,
    });
}

async function furnish(root: string, inRoot: InRoot): Promise<void> {
    const { name, group, home } = recipe.synapseUser;
    await inRoot(
        "/usr/sbin/useradd",
        ["--system", "--gid", group, "--home-dir", home, "--shell", nobodysShell, name],
        60,
    );
    await inRoot("/usr/sbin/useradd", ["--create-home", "--shell", "/bin/bash", recipe.operator], 60);
    await inRoot("/usr/bin/systemctl", ["disable", ...recipe.disabledUnits], 120);
    await inRoot("/usr/bin/systemctl", ["enable", ...recipe.enabledUnits], 120);
    for (const path of recipe.removed) await rm(join(root, path), { recursive: true, force: true });
    for (const [path, content] of Object.entries(recipe.files)) {
        const file = join(root, path);
        await mkdir(dirname(file), { recursive: true });
        // It may be a link, to a file of the machine that the tests run on.
        await rm(file, { force: true });
        await writeFile(file, content);
        await chmod(file, recipe.privateFiles[path] ?? 0o644);
    }
}

const nobodysShell = "/usr/sbin/nologin";
