/** Debian's Podman for a machine of the tests: a layer upon their common root, for only few machines have it. Kept in the cache of the set-up. */
import { createHash } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { exists } from "../../engine/run/exists.ts";
import { lockFile } from "../../engine/run/fileLock.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { thisMachine, type Machine } from "../../toolchain/machine.ts";
import { archiveSite, machinesDirectory } from "./baseMachine.ts";
import { release } from "./baseRecipe.ts";

/**
 * With what Debian recommends for networks whose containers know each other by name. Not crun: in these machines it puts all containers into one
 * control group, and the end of one ends all others. The root has runc.
 */
const packages = ["podman", "netavark", "aardvark-dns"];
const buildSeconds = 1800;

/** Mounts what is to be seen as a root, and has what is unpacked there set up: what it mounts is gone with its namespaces. */
const install = `set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mkdir -p "$2/root/packages"
cp "$2"/cache/archives/*.deb "$2/root/packages"
chroot "$2/root" sh -c 'dpkg --install /packages/*.deb'
chroot "$2/root" systemctl add-wants multi-user.target writable-cgroups.service
rm -r "$2/root/packages"
`;

/**
 * The directory of a layer, to be laid upon a root.
 *
 * @param base  the root that it is for
 * @throws MigrationError SM-E1101 when an installer fails
 */
export async function podmanLayer(base: string): Promise<string> {
    const content = JSON.stringify([basename(base), packages, install]);
    const digest = createHash("sha256").update(content).digest("hex").slice(0, 12);
    const layer = join(machinesDirectory(), `podman-${digest}`);
    if (await exists(layer)) return layer;
    const machine = thisMachine();
    const progress = lineProgress("machines", (line) => void process.stderr.write(`${line}\n`), redact);
    const lock = await lockFile(
        join(machinesDirectory(), "podman.lock"),
        `a build, process ${process.pid}`,
        buildSeconds,
    );
    const partial = join(machinesDirectory(), "podman.partial");
    try {
        if (await exists(layer)) return layer;
        await rm(partial, { recursive: true, force: true });
        await progress.during("adding Podman to the machines of the tests (once, about 0.1 GB)", () =>
            build(machine, base, partial),
        );
        await rename(join(partial, "upper"), layer);
        return layer;
    } finally {
        await rm(partial, { recursive: true, force: true });
        await lock.release();
    }
}

/** apt works with sources and state of its own there, and knows what the root has: this machine's are left alone. */
async function build(machine: Machine, base: string, directory: string): Promise<void> {
    for (const name of ["state/lists/partial", "cache/archives/partial", "upper", "work", "root"])
        await mkdir(join(directory, name), { recursive: true });
    const sources = join(directory, "sources.list");
    await writeFile(sources, `deb ${await archiveSite(machine)} ${release} main\n`);
    const own = [
        ...[`Dir::Etc::sourcelist=${sources}`, "Dir::Etc::sourceparts=/dev/null", `Dir::State=${directory}/state`],
        ...[`Dir::State::status=${base}/var/lib/dpkg/status`, `Dir::Cache=${directory}/cache`],
        "APT::Sandbox::User=root",
    ].flatMap((setting) => ["-o", setting]);
    const options = { environment: { DEBIAN_FRONTEND: "noninteractive" }, timeoutSeconds: buildSeconds };
    await machine.run("apt-get", [...own, "--quiet", "update"], options);
    const download = ["--quiet", "--yes", "--no-install-recommends", "--download-only", "install", ...packages];
    await machine.run("apt-get", [...own, ...download], options);
    const namespaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"];
    await machine.run("unshare", [...namespaces, "--", "sh", "-c", install, "sh", base, directory], options);
}
