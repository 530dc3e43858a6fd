/**
 * Compose, as the plug-in `docker compose` is: of the Debian after the machines' own, which has none. Its program needs nothing that the older one
 * does not have. Its package is unpacked, and kept in the cache of the set-up.
 */
import { copyFile, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MigrationError } from "../../engine/run/errors.ts";
import { exists } from "../../engine/run/exists.ts";
import { lockFile } from "../../engine/run/fileLock.ts";
import { thisMachine, type Machine } from "../../toolchain/machine.ts";
import { archiveSite, machinesDirectory } from "./baseMachine.ts";
import type { BootedMachine } from "./machine.ts";

const release = "trixie";
const packageName = "docker-compose";
const inPackage = "usr/libexec/docker/cli-plugins/docker-compose";
/** Where Docker looks for what an administrator has installed. */
const place = "/usr/local/lib/docker/cli-plugins/docker-compose";
const fetchSeconds = 600;

/** Puts it onto a machine. */
export async function installCompose(machine: BootedMachine): Promise<void> {
    const file = machine.path(place);
    await mkdir(dirname(file), { recursive: true });
    await copyFile(await composePlugin(), file);
}

async function composePlugin(): Promise<string> {
    const kept = join(machinesDirectory(), `compose-${release}`);
    if (await exists(kept)) return kept;
    await mkdir(machinesDirectory(), { recursive: true });
    const lock = await lockFile(
        join(machinesDirectory(), "compose.lock"),
        `a download, process ${process.pid}`,
        fetchSeconds,
    );
    const directory = join(machinesDirectory(), "compose.partial");
    try {
        if (!(await exists(kept))) {
            await rm(directory, { recursive: true, force: true });
            await unpacked(thisMachine(), directory);
            await rename(join(directory, "root", inPackage), kept);
        }
        return kept;
    } finally {
        await rm(directory, { recursive: true, force: true });
        await lock.release();
    }
}

/** apt works with sources and state of its own there: this machine's are left alone. */
async function unpacked(machine: Machine, directory: string): Promise<void> {
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
            expected: "Compose for the machines of the tests",
        });
    await machine.run("dpkg-deb", ["--extract", join(directory, "package", file), join(directory, "root")], {
        timeoutSeconds: fetchSeconds,
    });
}
