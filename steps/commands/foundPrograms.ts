/** The programs that a stack names, and the one that writes it: those of this machine, or how they come there. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { MigrationError } from "../../engine/run/errors.ts";
import { thisMachine } from "../../toolchain/machine.ts";
import { findPostgres } from "../../toolchain/postgres.ts";
import { findSynapse } from "../../toolchain/synapse.ts";

/**
 * `pulumi` on PATH, else the one that npm installed with a project.
 *
 * @throws MigrationError SM-E1111
 */
export function pulumiProgram(path: string, projects: readonly string[]): string {
    const directories = [
        ...path.split(delimiter).filter((directory) => directory !== ""),
        ...projects.map(binDirectory),
    ];
    const program = directories
        .map((directory) => join(directory, "pulumi"))
        .find((candidate) => existsSync(candidate));
    if (program === undefined) throw missing("pulumi", "PATH and node_modules/.bin");
    return program;
}

const binDirectory = (project: string): string => join(project, "node_modules", ".bin");

/** @throws MigrationError SM-E1111 */
export async function foundSynapse(): Promise<string> {
    const found = await findSynapse(thisMachine());
    if (found === undefined) throw missing("a Python that has Synapse", "this machine", "--synapse-python");
    return found.python;
}

/** @throws MigrationError SM-E1111 */
export async function foundPostgres(): Promise<string> {
    const found = await findPostgres(thisMachine());
    if (found === undefined) throw missing("PostgreSQL's programs", "this machine", "--postgres-programs");
    return found.directory;
}

function missing(what: string, where: string, option?: string): MigrationError {
    return new MigrationError("SM-E1111", {
        where,
        found: `${what} was not found`,
        fix: `\`npm run toolchain\` sets it up${option === undefined ? "" : `; or give ${option}`}`,
    });
}
