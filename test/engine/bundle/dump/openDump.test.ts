import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { openDump, type OpenDumpOptions } from "../../../../engine/bundle/dump/openDump.ts";
import { readOpened } from "../../../../engine/bundle/dump/readOpened.ts";
import { inspectPlainDump } from "../../../../engine/postgres/plainDump/inspect.ts";
import type { PlainDumpContent } from "../../../../engine/postgres/plainDump/content.ts";
import type { ErrorCode } from "../../../../engine/run/errorCatalogue.ts";
import { MigrationError } from "../../../../engine/run/errors.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import {
    bundlePassphrase,
    compressed,
    encrypted,
    newDirectory,
    pgDump,
    plainDump,
    tarred,
    zipped,
} from "../../../support/bundle.ts";
import { expectError } from "../../../support/expectError.ts";
import { testRun } from "../../../support/stepRun.ts";

describe("openDump", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    /** Holds a dump in each of pg_dump's formats. */
    let directory: string;
    let plain: Buffer;
    let expected: ReturnType<typeof essence>;

    before(async () => {
        cluster = await testCluster();
        const database = await cluster.createDatabase("synapse", cluster.newName("source"));
        directory = await newDirectory(cluster);
        plain = await plainDump(cluster, database);
        await pgDump(cluster, database, ["--format", "custom", "--file", join(directory, "custom")]);
        await pgDump(cluster, database, ["--format", "tar", "--file", join(directory, "tar")]);
        await pgDump(cluster, database, ["--format", "directory", "--file", join(directory, "dump.dir")]);
        expected = essence(await inspectPlainDump(chunks(plain)));
    });

    const options = async (more: Partial<OpenDumpOptions> = {}): Promise<OpenDumpOptions> => {
        const workDirectory = await newDirectory(cluster, "work");
        const { progress } = testRun("r1", workDirectory);
        const given = { passphrase: bundlePassphrase, clientDirectory: cluster.programs };
        return { ...given, workDirectory, progress, ...more };
    };
    const read = async (paths: readonly string[], given: OpenDumpOptions) => {
        const opened = await openDump(paths, given);
        try {
            const content = await readOpened(opened, inspectPlainDump);
            return { content, ...(await opened.finished) };
        } finally {
            await opened.close();
        }
    };
    const file = async (name: string, content: Buffer): Promise<string> => {
        const path = join(await newDirectory(cluster), name);
        await writeFile(path, content);
        return path;
    };
    const custom = () => readFile(join(directory, "custom"));

    /** What each of the formats is made of, and the layers that are peeled off it. */
    const formats: readonly (readonly [string, () => Promise<string[]>, readonly string[]])[] = [
        ["a plain dump", async () => [await file("synapse.sql", plain)], []],
        ["a compressed one", async () => [await file("synapse.sql.gz", compressed(plain))], ["gzip"]],
        [
            "an encrypted and compressed one",
            async () => [await file("postgres-export.sql.gz.gpg", encrypted(compressed(plain), directory))],
            ["gpg", "gzip"],
        ],
        [
            "parts of one",
            async () => {
                const whole = encrypted(compressed(plain), directory);
                const third = Math.ceil(whole.length / 3);
                const into = await newDirectory(cluster);
                const parts = ["aa", "ab", "ac"].map((suffix) => join(into, `dump.sql.gz.gpg.part-${suffix}`));
                for (const [at, part] of parts.entries())
                    await writeFile(part, whole.subarray(at * third, (at + 1) * third));
                return parts;
            },
            ["gpg", "gzip"],
        ],
        ["a custom dump", () => Promise.resolve([join(directory, "custom")]), []],
        [
            "an encrypted custom dump",
            async () => [await file("synapse.dump.gpg", encrypted(await custom(), directory))],
            ["gpg"],
        ],
        ["a tar dump", () => Promise.resolve([join(directory, "tar")]), []],
        ["a dump in directory format", () => Promise.resolve([join(directory, "dump.dir")]), []],
        [
            "a zip of a dump in directory format",
            async () => [await zipped(join(directory, "dir.zip"), join(directory, "dump.dir"))],
            ["zip"],
        ],
        [
            "a tar.gz of a dump in directory format",
            () => Promise.resolve([tarred(join(directory, "dump.dir"))]),
            ["gzip", "tar"],
        ],
        [
            "a zip of a plain dump",
            async () => [await zipped(join(directory, "sql.zip"), await file("synapse.sql", plain))],
            ["zip"],
        ],
        [
            "a zip of a compressed plain dump",
            async () => [await zipped(join(directory, "gz.zip"), await file("synapse.sql.gz", compressed(plain)))],
            ["zip"],
        ],
        ["a dump whose name lies", async () => [await file("backup.zip", compressed(plain))], ["gzip"]],
    ];
    for (const [title, make, layers] of formats) {
        it(`reads ${title} as the same tables and rows, and leaves nothing behind`, async () => {
            const paths = await make();
            const before = paths.map((path) => listing(path));
            const given = await options();
            const { content, files, layers: peeled } = await read(paths, given);
            expect(essence(content)).to.deep.equal(expected);
            expect(peeled).to.deep.equal(layers);
            expect(files.map((found) => found.path)).to.deep.equal(isDirectory(paths) ? [] : paths);
            expect(readdirSync(given.workDirectory)).to.deep.equal([]);
            expect(paths.map((path) => listing(path))).to.deep.equal(before);
        });
    }

    const throughTerminal = (data: Buffer): Buffer =>
        Buffer.from(data.toString("latin1").replaceAll("\n", "\r\n"), "latin1");
    for (const [title, make] of [
        ["a plain dump", () => Promise.resolve(throughTerminal(plain))],
        ["a custom dump", async () => throughTerminal(await custom())],
        ["a custom dump that was compressed afterwards", async () => compressed(throughTerminal(await custom()))],
        ["a compressed dump", () => Promise.resolve(throughTerminal(compressed(plain)))],
        ["an encrypted dump", () => Promise.resolve(throughTerminal(encrypted(compressed(plain), directory)))],
        ["a tar dump", async () => throughTerminal(await readFile(join(directory, "tar")))],
    ] as const)
        it(`says of ${title} that it went through a terminal, and how to take that back`, async () => {
            const path = await file("dump", await make());
            const error = await expectError("SM-E0933", async () => read([path], await options()));
            expect(error.block).to.contain("sed 's/\\r$//'");
            const mended = `${path}.mended`;
            await writeFile(
                mended,
                execFileSync("sed", ["s/\r$//", path], {
                    env: { LC_ALL: "C", PATH: process.env.PATH ?? "" },
                    maxBuffer: 2 ** 28,
                }),
            );
            if (title !== "a custom dump that was compressed afterwards")
                expect(essence((await read([mended], await options())).content)).to.deep.equal(expected);
        });

    it("names a dump that PowerShell has written", async () => {
        const path = await file("dump.sql", Buffer.from(`\uFEFF${plain.toString()}`, "utf16le"));
        await expectError("SM-E0933", async () => read([path], await options()));
    });

    /** What is refused, and how. */
    const refused: (readonly [string, () => Promise<string[]>, ErrorCode])[] = [
        ["a file that is no dump", async () => [await file("notes.sql", Buffer.from("dear diary\n"))], "SM-E0917"],
        ["a directory without a dump in it", async () => [await newDirectory(cluster)], "SM-E0917"],
        [
            "a directory of dumps, which are none in directory format",
            async () => {
                const into = await newDirectory(cluster);
                for (const name of ["a.sql", "b.sql"]) await writeFile(join(into, name), plain);
                return [into];
            },
            "SM-E0917",
        ],
        [
            "a zip of two files",
            async () => [
                await zipped(join(directory, "two.zip"), await file("a.sql", plain), await file("b.sql", plain)),
            ],
            "SM-E0917",
        ],
        ["two dumps", async () => [await file("monday.sql", plain), await file("tuesday.sql", plain)], "SM-E0930"],
        ["a file that is not there", () => Promise.resolve([join(directory, "absent.sql")]), "SM-E0931"],
        [
            "a file that was cut inside of its compression",
            async () => [await file("cut.sql.gz", compressed(plain).subarray(0, 40_000))],
            "SM-E0910",
        ],
        [
            "a plain dump that was cut",
            async () => [await file("cut.sql", plain.subarray(0, plain.length >> 1))],
            "SM-E0901",
        ],
        [
            "an encrypted file that was cut",
            async () => {
                const whole = encrypted(compressed(plain), directory);
                return [await file("cut.sql.gz.gpg", whole.subarray(0, whole.length - 1000))];
            },
            "SM-E0925",
        ],
        [
            "a custom dump that was cut",
            async () => {
                const whole = await custom();
                return [await file("cut.dump", whole.subarray(0, whole.length >> 1))];
            },
            "SM-E0905",
        ],
        [
            "a tar dump that was cut, which pg_restore would read for ever",
            async () => {
                const whole = await readFile(join(directory, "tar"));
                return [await file("cut.tar", whole.subarray(0, Math.floor(whole.length / 1024) * 512))];
            },
            "SM-E0956",
        ],
        [
            "a dump in directory format that misses a file",
            async () => {
                const copy = join(await newDirectory(cluster), "copy.dir");
                execFileSync("cp", ["-r", join(directory, "dump.dir"), copy]);
                await rm(join(copy, largest(copy)));
                return [copy];
            },
            "SM-E0905",
        ],
        [
            "a dump in directory format with a file that was cut",
            async () => {
                const copy = join(await newDirectory(cluster), "copy.dir");
                execFileSync("cp", ["-r", join(directory, "dump.dir"), copy]);
                const path = join(copy, largest(copy));
                await truncate(path, statSync(path).size >> 1);
                return [copy];
            },
            "SM-E0905",
        ],
    ];
    refused.push([
        "a custom dump with a key that pg_restore passes over without a word",
        async () => {
            // An entry's section, 4 for what comes after the data, behind the word that says what it is.
            const [before, after] = ["CONSTRAINT\0\x04\0\0\0", "CONSTRAINT\0\x84\0\0\0"];
            const whole = await custom();
            const at = whole.indexOf(before, 0, "latin1");
            expect(at).to.be.greaterThan(0);
            whole.write(after, at, "latin1");
            return [await file("keyless.dump", whole)];
        },
        "SM-E0905",
    ]);
    for (const [title, make, code] of refused) {
        it(`refuses ${title}`, async () => {
            const paths = await make();
            const given = await options();
            await expectError(code, () => read(paths, given));
            expect(readdirSync(given.workDirectory)).to.deep.equal([]);
        });
    }

    /** A flipped bit of a length makes a message look cut off. */
    const openPgp = /E092[45]/;
    /** Whatever stumbles over the damage first is not to be believed: a reader of SQL, gzip, pg_restore, tar. */
    const damaged: readonly (readonly [string, () => Promise<Buffer>, RegExp])[] = [
        ["dump.sql.gz", () => Promise.resolve(compressed(plain)), /E0910/],
        ["dump.sql.gz.gpg", () => Promise.resolve(encrypted(compressed(plain), directory)), openPgp],
        ["dump.sql.gpg", () => Promise.resolve(encrypted(plain, directory)), openPgp],
        ["synapse.dump.gpg", async () => encrypted(await custom(), directory), openPgp],
        [
            "dump.tar.gz.gpg",
            async () => encrypted(await readFile(tarred(join(directory, "dump.dir"))), directory),
            openPgp,
        ],
    ];
    for (const [name, make, code] of damaged)
        it(`names the layer that proves that ${name} was altered, wherever it was`, async () => {
            const whole = await make();
            const places = Array.from({ length: 12 }, (_, at) => Math.floor((whole.length * (at + 0.5)) / 12));
            for (const at of places) {
                const altered = Buffer.from(whole);
                altered.writeUInt8(altered.readUInt8(at) ^ 4, at);
                const path = await file(name, altered);
                const error = await read([path], await options()).catch((caught: unknown) => caught);
                expect(error instanceof MigrationError ? error.code : error, `byte ${at}`).to.match(code);
            }
        });

    it("refuses another passphrase, and none", async () => {
        const path = await file("dump.sql.gz.gpg", encrypted(compressed(plain), directory));
        await expectError("SM-E0920", async () => read([path], await options({ passphrase: "wr0ng-passphrase" })));
        const { clientDirectory, workDirectory, progress } = await options();
        await expectError("SM-E0920", () => read([path], { clientDirectory, workDirectory, progress }));
    });
});

/** What does not depend on the format: pg_dump itself orders nothing else differently. */
function essence({ tables, sequences }: PlainDumpContent) {
    return { tables: tables.map(({ schema, name, rows, digest }) => ({ schema, name, rows, digest })), sequences };
}

function listing(path: string): string {
    const { mtimeMs, size } = statSync(path);
    return `${path} ${size} ${mtimeMs}`;
}

const isDirectory = ([path = ""]: readonly string[]): boolean => statSync(path).isDirectory();

function largest(directory: string): string {
    const size = (name: string): number => statSync(join(directory, name)).size;
    const data = readdirSync(directory).filter((name) => name !== "toc.dat");
    return data.sort((a, b) => size(b) - size(a))[0] ?? "";
}

async function* chunks(data: Buffer): AsyncGenerator<Buffer> {
    for (let at = 0; at < data.length; at += 65_536) yield await Promise.resolve(data.subarray(at, at + 65_536));
}
