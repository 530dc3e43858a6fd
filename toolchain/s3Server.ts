/** versitygw, a server that speaks S3 over a directory: what the tests of storage providers talk to. Built from its Go modules, once. */
import { randomBytes } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import { cacheDirectory, type Machine } from "./machine.ts";
import { s3ServerVersion } from "./versions.ts";

export interface S3Server {
    /** An absolute path. */
    readonly program: string;
    readonly version: string;
}

/** Cold and on two cores it takes about two minutes. */
const buildSeconds = 3600;
const moduleDirectory = join(import.meta.dirname, "versitygw");
const commandPackage = "github.com/versity/versitygw/cmd/versitygw";

/** The version is in the path: what is there whole was built from these pins. */
function cachedServer(machine: Machine): string {
    return join(cacheDirectory(machine.environment), `versitygw-${s3ServerVersion}`, "versitygw");
}

export function findS3Server(machine: Machine): S3Server | undefined {
    const program = cachedServer(machine);
    return machine.isExecutable(program) ? { program, version: s3ServerVersion } : undefined;
}

/**
 * Finds the server in the cache, else builds it.
 *
 * @throws MigrationError SM-E1180 when there is no Go, SM-E1101 when the build fails
 */
export async function ensureS3Server(machine: Machine, progress: Progress): Promise<S3Server> {
    const found = findS3Server(machine);
    if (found !== undefined) return found;
    const program = cachedServer(machine);
    const go = machine.find("go");
    if (go === undefined) {
        throw new MigrationError("SM-E1180", {
            where: program,
            found: "no Go on PATH to build versitygw with, the S3 server of the tests",
            expected: "Go 1.26 or newer",
            fix: "install Go (https://go.dev/dl), put `go` on PATH; then run the tests again",
        });
    }
    // The program appears under its name whole or not at all.
    const partial = `${program}.${randomBytes(6).toString("hex")}.partial`;
    await mkdir(dirname(program), { recursive: true });
    try {
        await progress.during(`building versitygw ${s3ServerVersion} from its Go modules (minutes, once)`, () =>
            machine.run(go, ["build", "-trimpath", "-o", partial, "-ldflags", "-s -w", commandPackage], {
                workingDirectory: moduleDirectory,
                environment: { CGO_ENABLED: "0", GOWORK: "off" },
                timeoutSeconds: buildSeconds,
            }),
        );
        await rename(partial, program);
    } finally {
        await rm(partial, { force: true });
    }
    return { program, version: s3ServerVersion };
}
