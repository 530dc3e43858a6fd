/** The dumps that are swept, and SQLite databases: each as the guides have it made. */
import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import yazl from "yazl";
import { buffer } from "node:stream/consumers";
import { gpgSymmetric, run } from "../engine/bundle/fixtures.ts";
import { membersOf, type Artefact } from "./artefact.ts";
import { evenly, newlinesNearCopies, type Damage } from "./damages.ts";
import { readDump, readOwnDump, readSqlite, sqlOf } from "./readers.ts";
import type { SourceDatabase } from "./sourceDatabase.ts";
import { contentOfSqlite, makeSqliteDatabase } from "./sqliteDatabase.ts";

const parts = 64;
/** Of a directory, the table of contents and this many files are swept in all their parts; the others at a few places each. */
const sweptWhole = 2;
const partsOfLarge = 16;

/** A directory with one file in it. */
export async function fileOf(directory: string, name: string, content: Buffer): Promise<string> {
    const own = await mkdtemp(join(directory, "artefact-"));
    await writeFile(join(own, name), content, { mode: 0o600 });
    return own;
}

export const gzip = (data: Buffer): Buffer => run("gzip", ["-n"], { input: data });

export async function makeDumps(source: SourceDatabase): Promise<Artefact[]> {
    const { directory } = source;
    const sql = await dumped(source, "plain.sql", []);
    const custom = await dumped(source, "custom.dump", ["--format", "custom"]);
    const files: readonly (readonly [string, string, Buffer])[] = [
        ["plain .sql", "synapse.sql", sql],
        [".sql.gz", "synapse.sql.gz", gzip(sql)],
        [".sql.gz.gpg", "synapse.sql.gz.gpg", gpgSymmetric(gzip(sql), directory)],
        ["-Fc", "synapse.dump", custom],
        ["-Fc -Z0", "synapse.dump", await dumped(source, "z0.dump", ["--format", "custom", "--compress", "0"])],
        ["-Fc .gpg", "synapse.dump.gpg", gpgSymmetric(custom, directory)],
        ["-Ft", "synapse.tar", await dumped(source, "tar.dump", ["--format", "tar"])],
    ];
    const made: Artefact[] = [];
    for (const [name, file, content] of files)
        made.push(await dumpIn(name, file, await fileOf(directory, file, content), source, content));
    for (const [name, level] of [
        ["-Fd -Z0", "0"],
        ["-Fd", "6"],
    ] as const) {
        const own = await mkdtemp(join(directory, "artefact-"));
        await source.dump(["--format", "directory", "--compress", level, "--file", join(own, "synapse.dir")]);
        made.push(await dumpIn(name, "synapse.dir", own, source));
    }
    const compressed = made.at(-1)?.directory ?? "";
    const zip = await zipped(compressed);
    made.push(await dumpIn("-Fd .zip", "db.zip", await fileOf(directory, "db.zip", zip), source, zip));
    const tar = gpgSymmetric(run("tar", ["-czf", "-", "synapse.dir"], { cwd: compressed }), directory);
    const tarFile = await fileOf(directory, "db.tar.gz.gpg", tar);
    made.push(await dumpIn("-Fd .tar.gz.gpg", "db.tar.gz.gpg", tarFile, source, tar));
    return [...made, await ownDump(source)];
}

export async function makeSqlite(source: SourceDatabase): Promise<Artefact[]> {
    const { directory, python } = source;
    const own = await mkdtemp(join(directory, "artefact-"));
    const file = join(own, "homeserver.db");
    await makeSqliteDatabase(file, python);
    const whole = JSON.stringify(await contentOfSqlite(file, python));
    const packed = gpgSymmetric(run("tar", ["-czf", "-", "homeserver.db"], { cwd: own }), directory);
    const kinds = [
        ["homeserver.db", "homeserver.db", own],
        ["homeserver.db .tar.gz.gpg", "db.tar.gz.gpg", await fileOf(directory, "db.tar.gz.gpg", packed)],
    ] as const;
    const made: Artefact[] = [];
    for (const [name, member, at] of kinds)
        made.push({
            name,
            directory: at,
            damages: evenly(member, (await stat(join(at, member))).size, parts),
            read: (damaged, work) => readSqlite(join(damaged, member), work, whole, source),
        });
    return made;
}

async function dumpIn(
    name: string,
    file: string,
    directory: string,
    source: SourceDatabase,
    content?: Buffer,
): Promise<Artefact> {
    const work = await mkdtemp(join(source.directory, "work-"));
    const whole = await sqlOf(join(directory, file), work, source);
    const near = name === "plain .sql" && content !== undefined ? newlinesNearCopies(file, content) : [];
    const damages =
        content === undefined
            ? await eachMember(directory, (member) => member.endsWith("toc.dat"))
            : [...evenly(file, content.length, parts), ...near];
    return {
        name,
        directory,
        damages,
        read: (damaged, into) => readDump(join(damaged, file), into, whole, source),
    };
}

async function ownDump(source: SourceDatabase): Promise<Artefact> {
    const own = await source.ownDump();
    return {
        name: "own dump with manifest",
        directory: own.directory,
        damages: await eachMember(own.directory, (member) => /toc\.dat$|manifest\.json$/.test(member)),
        read: (damaged) => readOwnDump(damaged, own),
    };
}

/** Those files that hold most are damaged in many places, and left out; of the many others every one is damaged or left out, in turn. */
async function eachMember(directory: string, isCentral: (member: string) => boolean): Promise<Damage[]> {
    const sizes: { member: string; bytes: number }[] = [];
    for (const member of await membersOf(directory))
        sizes.push({ member, bytes: (await stat(join(directory, member))).size });
    const others = sizes.filter(({ member }) => !isCentral(member)).sort((a, b) => b.bytes - a.bytes);
    const large = new Set(others.slice(0, sweptWhole).map(({ member }) => member));
    return sizes.flatMap(({ member, bytes }, at) => {
        const missing: Damage = { member, kind: "missing", at: 0 };
        if (!isCentral(member) && !large.has(member)) return at % 2 === 0 ? evenly(member, bytes, 1) : [missing];
        return [...evenly(member, bytes, isCentral(member) ? parts : partsOfLarge), missing];
    });
}

async function dumped(source: SourceDatabase, name: string, args: readonly string[]): Promise<Buffer> {
    const made = await mkdtemp(join(source.directory, "made-"));
    await source.dump([...args, "--file", join(made, name)]);
    return readFile(join(made, name));
}

async function zipped(directory: string): Promise<Buffer> {
    const archive = new yazl.ZipFile();
    for (const member of await membersOf(directory)) archive.addFile(join(directory, member), member);
    archive.end();
    return buffer(archive.outputStream);
}
