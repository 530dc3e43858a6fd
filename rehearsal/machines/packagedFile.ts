/** Files of packages of Debian's that the machines' own image has not: unpacked, and kept in the cache of the set-up. */
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MigrationError } from "../../engine/run/errors.ts";
import { exists } from "../../engine/run/exists.ts";
import { lockFile } from "../../engine/run/fileLock.ts";
import { thisMachine, type Machine } from "../../toolchain/machine.ts";
import { archiveSite, machinesDirectory } from "./baseMachine.ts";

export interface PackagedFile {
    /** Debian's code name of it. */
    readonly release: string;
    readonly packageName: string;
    /** In the package, relative to its root. */
    readonly path: string;
}

const fetchSeconds = 600;

/** @returns where it is kept on this machine */
export async function packagedFile({ release, packageName, path }: PackagedFile): Promise<string> {
    const kept = join(machinesDirectory(), `${packageName}-${release}`);
    if (await exists(kept)) return kept;
    await mkdir(machinesDirectory(), { recursive: true });
    const lock = await lockFile(`${kept}.lock`, `a download, process ${process.pid}`, fetchSeconds);
    const directory = `${kept}.partial`;
    try {
        if (!(await exists(kept))) {
            await rm(directory, { recursive: true, force: true });
            await unpacked(thisMachine(), directory, release, packageName);
            await rename(join(directory, "root", path), kept);
        }
        return kept;
    } finally {
        await rm(directory, { recursive: true, force: true });
        await lock.release();
    }
}

/** apt works with sources and state of its own there: this machine's are left alone. */
async function unpacked(machine: Machine, directory: string, release: string, packageName: string): Promise<void> {
    for (const name of ["state/lists/partial", "cache/archives/partial", "package", "root"])
        await mkdir(join(directory, name), { recursive: true });
    const sources = join(directory, "sources.list");
    await writeFile(sources, `deb ${await archiveSite(machine)} ${release} main\n`);
    const own = [
        ...[`Dir::Etc::sourcelist=${sources}`, "Dir::Etc::sourceparts=/dev/null", `Dir::State=${directory}/state`],
        ...["Dir::State::status=/var/lib/dpkg/status", `Dir::Cache=${directory}/cache`, "APT::Sandbox::User=root"],
    ].flatMap((setting) => ["-o", setting]);
    const options = { workingDirectory: join(directory, "package"), timeoutSeconds: fetchSeconds };
    await machine.run("apt-get", [...own, "--quiet", "update"], options);
    await machine.run("apt-get", [...own, "--quiet", "download", packageName], options);
    const [file] = (await readdir(join(directory, "package"))).filter((name) => name.endsWith(".deb"));
    if (file === undefined)
        throw new MigrationError("SM-E1180", {
            where: `apt-get download ${packageName}`,
            found: `no package of Debian ${release}`,
            expected: "a program for the machines of the tests",
        });
    await machine.run("dpkg-deb", ["--extract", join(directory, "package", file), join(directory, "root")], {
        timeoutSeconds: fetchSeconds,
    });
}
