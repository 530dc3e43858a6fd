/** Installs packages of a Debian-like system. */
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import type { Machine } from "./machine.ts";

/** Whether {@link installPackages} can work here. */
export function canInstallPackages(machine: Machine): boolean {
    return machine.isRoot && machine.isDebianLike;
}

/**
 * Installs packages without what they recommend, after reading the package lists anew.
 *
 * @param purpose  what is missing without them, for the error
 * @throws MigrationError SM-E1180 when we are not root or the system has no apt-get; SM-E1101 when apt-get fails
 */
export async function installPackages(
    machine: Machine,
    packages: readonly string[],
    purpose: string,
    progress: Progress,
): Promise<void> {
    const list = packages.join(" ");
    if (!canInstallPackages(machine)) {
        throw new MigrationError("SM-E1180", {
            where: purpose,
            found: machine.isDebianLike
                ? "we are not root and so cannot install packages"
                : "this system has no apt-get",
            expected: `the programs that Debian's packages ${list} hold`,
            fix: machine.isDebianLike
                ? `run: sudo apt-get install --no-install-recommends ${list}`
                : `install what your system calls ${list}, and put its programs on PATH`,
        });
    }
    const apt = (...args: string[]): Promise<unknown> =>
        machine.run("apt-get", ["-q", "-y", "-o", "DPkg::Lock::Timeout=300", ...args], {
            environment: { DEBIAN_FRONTEND: "noninteractive" },
            timeoutSeconds: 1800,
        });
    await progress.during("reading the package lists", () => apt("update"));
    await progress.during(`installing ${list}`, () => apt("install", "--no-install-recommends", ...packages));
}
