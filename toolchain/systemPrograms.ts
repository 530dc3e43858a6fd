/** Programs of the system that the steps are built on, and the browser that the report is tested with. */
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import { installPackages } from "./aptPackages.ts";
import type { Machine } from "./machine.ts";

/** Every program is run under `setpriv`, every lock is taken with `flock`; both are part of util-linux. */
export const systemPrograms = ["setpriv", "flock"] as const;

const browsers = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"] as const;

/**
 * Asserts that the programs nothing here works without are there. They are part of every Linux distribution, so they are not
 * installed: without them no installer could be run either.
 *
 * @throws MigrationError SM-E1180 naming those that are missing
 */
export function requireSystemPrograms(machine: Machine): void {
    const missing = systemPrograms.filter((program) => machine.find(program) === undefined);
    if (missing.length === 0) return;
    throw new MigrationError("SM-E1180", {
        where: "PATH",
        found: `no ${missing.join(" and no ")}`,
        expected: "the programs of util-linux 2.33 or newer",
        fix: "run: apt-get install util-linux",
    });
}

/** A browser of the Chromium family, as an absolute path. */
export function findChromium(machine: Machine): string | undefined {
    return browsers.map((browser) => machine.find(browser)).find((path) => path !== undefined);
}

/**
 * Finds a browser of the Chromium family, or installs Debian's.
 *
 * @throws MigrationError SM-E1180 when none is found and none can be installed
 */
export async function ensureChromium(machine: Machine, progress: Progress): Promise<string> {
    const found = findChromium(machine);
    if (found !== undefined) return found;
    await installPackages(machine, ["chromium"], "a browser that opens the report in tests", progress);
    const installed = findChromium(machine);
    if (installed !== undefined) return installed;
    throw new MigrationError("SM-E1180", {
        where: "PATH",
        found: "no chromium, although its package was installed",
        expected: `one of ${browsers.join(", ")}`,
    });
}

/** What exports and bundles are made and opened with, by hand or not, and the Debian package that each is in. */
export const archivePrograms = { gpg: "gnupg", gpgconf: "gnupg", zip: "zip", xz: "xz-utils", zstd: "zstd" } as const;

/** Names of {@link archivePrograms} that are not on PATH. */
export function missingArchivePrograms(machine: Machine): (keyof typeof archivePrograms)[] {
    const names: (keyof typeof archivePrograms)[] = ["gpg", "gpgconf", "zip", "xz", "zstd"];
    return names.filter((name) => machine.find(name) === undefined);
}

/**
 * Finds the programs that exports are made with, or installs Debian's.
 *
 * @throws MigrationError SM-E1180 when some are missing and cannot be installed
 */
export async function ensureArchivePrograms(machine: Machine, progress: Progress): Promise<void> {
    const missing = missingArchivePrograms(machine);
    if (missing.length === 0) return;
    const packages = [...new Set(missing.map((name) => archivePrograms[name]))];
    await installPackages(machine, packages, "programs that exports are made with", progress);
    const left = missingArchivePrograms(machine);
    if (left.length === 0) return;
    throw new MigrationError("SM-E1180", {
        where: "PATH",
        found: `no ${left.join(" and no ")}, although ${packages.join(" and ")} were installed`,
        expected: "the programs that exports are made with",
    });
}
