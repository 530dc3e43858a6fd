/** Programs that boot machines, and who may: all that is needed of the machine that the tests run on. */
import { MigrationError } from "../../engine/run/errors.ts";
import type { Progress } from "../../engine/run/progress.ts";
import { installPackages } from "../../toolchain/aptPackages.ts";
import type { Machine } from "../../toolchain/machine.ts";

/** Each with the package of Debian that has it. */
const programs = {
    debootstrap: "debootstrap",
    "systemd-nspawn": "systemd-container",
    ssh: "openssh-client",
    "ssh-keygen": "openssh-client",
    ip: "iproute2",
} as const;

/** All are part of util-linux: without them nothing of the project works. */
const required = ["unshare", "nsenter", "mount", "flock", "setpriv"] as const;

const missing = (machine: Machine): [string, string][] =>
    Object.entries(programs).filter(([program]) => machine.find(program) === undefined);

/**
 * Installs what is missing.
 *
 * @throws MigrationError SM-E1180 when we are not root, or something cannot be installed
 */
export async function ensureOuterPrograms(machine: Machine, progress: Progress): Promise<void> {
    if (!machine.isRoot) {
        throw new MigrationError("SM-E1180", {
            where: "the tests of whole machines",
            found: "we are not root, who alone can boot machines with systemd-nspawn",
            expected: "root on a Debian-like system",
            fix: "run: sudo npm run test:machines",
        });
    }
    const lacking = required.filter((program) => machine.find(program) === undefined);
    if (lacking.length > 0) {
        throw new MigrationError("SM-E1180", {
            where: "PATH",
            found: `no ${lacking.join(" and no ")}`,
            expected: "the programs of util-linux",
            fix: "run: apt-get install util-linux mount",
        });
    }
    const before = missing(machine);
    if (before.length === 0) return;
    const packages = [...new Set(before.map(([, name]) => name))];
    await installPackages(machine, packages, "programs that boot machines for tests", progress);
    const after = missing(machine);
    if (after.length === 0) return;
    throw new MigrationError("SM-E1180", {
        where: "PATH",
        found: `no ${after.map(([program]) => program).join(" and no ")}, although ${packages.join(" and ")} were installed`,
        expected: "the programs that boot machines for tests",
    });
}
