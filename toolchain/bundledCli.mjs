/**
 * The command line in one piece: every step is a process of its own, and translating hundreds of files of TypeScript for each costs more
 * than many a step's work. Made when it is missing or older than what it is made of, so the sources stay the truth.
 *
 * Plain JavaScript, because it runs before there is anything that reads TypeScript.
 */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const entry = "steps/cli.ts";
const directory = join(root, "node_modules", ".cache", "synapse-migrate");
const recordFile = join(directory, "current.json");
/** What npm has installed: it is in the bundle, too. */
const installed = "node_modules/.package-lock.json";
/** A step takes half a day at most, and loads what it needs when it needs it. */
const keptMilliseconds = 2 * 24 * 3_600_000;

/**
 * The entry of a bundle that is made of the sources as they are now.
 *
 * @returns undefined where none can be made, for example because nothing may be written: then the sources are run as they are
 */
export async function bundledCli() {
    try {
        return (await current().catch(() => undefined)) ?? (await build());
    } catch {
        // Who cannot have it in one piece has it in many, and is told there what is wrong with them.
        return undefined;
    }
}

/** What tells whether a file was changed: its path, when, and how long it is. */
function traceOf(path) {
    const { mtimeMs, size } = statSync(join(root, path));
    return [path, mtimeMs, size];
}

/** Throws for a record that cannot be read, and where something that it names is gone: then it is of other sources. */
async function current() {
    const text = await readFile(recordFile, "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    const record = JSON.parse(text);
    // Copied with all of node_modules: what is in it names the files of the place it came from.
    if (record.root !== root) return undefined;
    const isSame = record.traces.every(([path, ...was]) => {
        const [, ...is] = traceOf(path);
        return is.every((value, at) => value === was[at]);
    });
    if (!isSame) return undefined;
    const file = join(directory, record.name, "cli.mjs");
    statSync(file);
    return file;
}

async function build() {
    const { build: bundle, stop } = await import("esbuild");
    await mkdir(directory, { recursive: true });
    const made = await mkdtemp(join(directory, "bundle-"));
    try {
        const { metafile } = await bundle({
            absWorkingDir: root,
            entryPoints: [entry],
            outdir: made,
            outExtension: { ".js": ".mjs" },
            bundle: true,
            // Each step loads its own part.
            splitting: true,
            format: "esm",
            platform: "node",
            target: "node20",
            sourcemap: true,
            metafile: true,
            logLevel: "silent",
            // Packages that are no modules ask for others by `require`.
            banner: {
                js: `import { createRequire as requireFrom } from "node:module"; const require = requireFrom(${JSON.stringify(join(root, "package.json"))});`,
            },
            plugins: [ownPlaces],
        });
        const sources = Object.keys(metafile.inputs).filter((path) => !path.startsWith("node_modules/"));
        const record = { root, name: basename(made), traces: [installed, ...sources].map(traceOf) };
        const written = join(made, "record.json");
        await writeFile(written, JSON.stringify(record));
        // Of two that are made at the same moment, either will do.
        await rename(written, recordFile);
        // Others may be about the same, and what stays is in nobody's way.
        await removeOld(record.name).catch(() => undefined);
        return join(made, "cli.mjs");
    } catch (error) {
        await rm(made, { recursive: true, force: true });
        throw error;
    } finally {
        // A program of its own, which would stay beside a step for as long as that takes.
        await stop();
    }
}

/** A file that asks where it is, for what lies beside it, is told where its source is. */
const ownPlaces = {
    name: "own-places",
    setup({ onLoad }) {
        onLoad({ filter: /\.ts$/ }, async ({ path }) => {
            // Packages bring no TypeScript that is run.
            if (relative(root, path).startsWith("node_modules")) return undefined;
            const text = await readFile(path, "utf8");
            const contents = text
                .replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href))
                .replaceAll("import.meta.dirname", JSON.stringify(dirname(path)));
            return { contents, loader: "ts" };
        });
    },
};

async function removeOld(name) {
    for (const other of await readdir(directory)) {
        if (other === name || other === basename(recordFile)) continue;
        const path = join(directory, other);
        const { mtimeMs } = await stat(path);
        if (Date.now() - mtimeMs > keptMilliseconds) await rm(path, { recursive: true, force: true });
    }
}
