/** Synapse in the machines' Debian, where its own package has it. */
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MigrationError } from "../../engine/run/errors.ts";
import type { Progress } from "../../engine/run/progress.ts";
import type { Machine } from "../../toolchain/machine.ts";
import { ensureSynapse } from "../../toolchain/synapse.ts";

/** Where Synapse's own package for Debian puts its environment. */
export const machineEnvironment = "/opt/venvs/matrix-synapse";

/** All that Synapse is built on, of which the file for the toolchain's own environment is the only list. */
export const requirements = join(import.meta.dirname, "..", "..", "toolchain", "synapse-requirements.txt");

/** What Debian's package has for workers, and the toolchain's own environment has no use for. */
export const forRedis = ["hiredis==3.5.0", "txredisapi==1.5.0"] as const;

/** Runs a program in the machine's root. */
export type InRoot = (program: string, args: readonly string[], timeoutSeconds: number) => Promise<string>;

const python = join(machineEnvironment, "bin", "python");
const minutes = 60;
const pipInstall = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
/** To build psycopg2 with. */
const buildPackages = ["gcc", "libc6-dev", "libpq-dev", "python3-dev"];

/**
 * Puts Synapse into a root. The packages of the toolchain's environment are copied where they were made for the same Python, as building them
 * again takes minutes; where they do not run in the machine, or are for another Python, pip installs them anew.
 */
export async function putSynapse(machine: Machine, root: string, inRoot: InRoot, progress: Progress): Promise<void> {
    const ours = await ensureSynapse(machine, progress);
    await inRoot("/usr/bin/python3", ["-m", "venv", machineEnvironment], 5 * minutes);
    const packages = await sitePackages(machine, ours.python);
    const place = join(root, machineEnvironment, "lib", basename(dirname(packages)), "site-packages");
    // The directory's name is that of Python's major and minor version.
    const isSamePython = (await readdir(join(root, machineEnvironment, "lib"))).includes(basename(dirname(packages)));
    if (isSamePython) {
        await copyEnvironment(dirname(dirname(ours.python)), packages, place, root);
        await machine.run(ours.python, [...pipInstall, "--no-deps", "--no-compile", "--target", place, ...forRedis], {
            timeoutSeconds: 10 * minutes,
        });
        if (await runs(inRoot)) {
            await inRoot(python, ["-m", "compileall", "-q", "-j", "0", place.slice(root.length)], 10 * minutes);
            return;
        }
        progress.say("the toolchain's packages do not run in the machine: pip installs them there");
    }
    await installAnew(machine, root, inRoot, progress);
    if (!(await runs(inRoot))) {
        throw new MigrationError("SM-E1180", {
            where: root,
            found: `Synapse cannot be imported by ${python}`,
            expected: "an environment that starts a homeserver",
        });
    }
}

async function sitePackages(machine: Machine, interpreter: string): Promise<string> {
    const program = "import sysconfig; print(sysconfig.get_path('purelib'))";
    return (await machine.run(interpreter, ["-c", program], { timeoutSeconds: minutes })).stdout.trim();
}

/** Compiled files hold the path they were compiled at: they are left out, and made in the machine. */
async function copyEnvironment(from: string, packages: string, place: string, root: string): Promise<void> {
    await cp(packages, place, {
        recursive: true,
        preserveTimestamps: true,
        verbatimSymlinks: true,
        filter: (path) => basename(path) !== "__pycache__",
    });
    const [programs, own] = [join(from, "bin"), join(root, machineEnvironment, "bin")];
    const present = new Set(await readdir(own));
    for (const entry of await readdir(programs, { withFileTypes: true })) {
        if (!entry.isFile() || present.has(entry.name)) continue;
        // A script's first line names the interpreter it belongs to.
        const text = await readFile(join(programs, entry.name), "utf8");
        if (!text.startsWith("#!")) continue;
        await writeFile(join(own, entry.name), text.replaceAll(from, machineEnvironment), { mode: 0o755 });
    }
}

async function runs(inRoot: InRoot): Promise<boolean> {
    return inRoot(python, ["-c", "import hiredis, psycopg2, txredisapi, synapse.app.homeserver"], 2 * minutes).then(
        () => true,
        () => false,
    );
}

/** Where a Debian-like system has the certificates that it trusts, as one file. */
const trusted = "/etc/ssl/certs/ca-certificates.crt";

async function installAnew(machine: Machine, root: string, inRoot: InRoot, progress: Progress): Promise<void> {
    const inside = "/var/tmp/synapse-requirements.txt";
    await writeFile(join(root, inside), await readFile(requirements));
    await inRoot("/usr/bin/apt-get", ["-q", "-y", "update"], 10 * minutes);
    await inRoot(
        "/usr/bin/apt-get",
        ["-q", "-y", "install", "--no-install-recommends", ...buildPackages],
        20 * minutes,
    );
    // What pip is set to here may be a registry, or a way to one, that only this machine trusts.
    const own = await readFile(join(root, trusted));
    await writeFile(join(root, trusted), await readFile(join(machine.root, trusted)));
    await progress.during("installing Synapse in the machines' Debian", () =>
        inRoot(python, [...pipInstall, "--force-reinstall", "-r", inside, ...forRedis], 30 * minutes),
    );
    await writeFile(join(root, trusted), own);
    await rm(join(root, inside));
}
