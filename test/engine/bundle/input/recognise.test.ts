import { expect } from "chai";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { recognise, type Content } from "../../../../engine/bundle/input/recognise.ts";
import { expectError } from "../../../support/expectError.ts";
import { tarOf, zipOf } from "../evilArchives.ts";
import { gpgSymmetric, passphrase, run, sampleDump, withDirectory } from "../fixtures.ts";

const dump = sampleDump();
const sqlite = Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(4080)]);

type Case = [name: string, content: (directory: string) => Buffer | string, layers: string, is: Content];
const encrypt = (content: Buffer | string) => (directory: string) => gpgSymmetric(content, directory);

/** What the guides hand over. */
const cases: Case[] = [
    ["postgres-export.sql.gz.gpg", encrypt(gzipSync(dump)), "gpg gzip", "plain-dump"],
    ["HOST-database_export.sql.gz.gpg", encrypt(gzipSync(sampleDump(100_000))), "gpg gzip", "plain-dump"],
    ["synapse_db_20260216_030001.sql", () => dump, "", "plain-dump"],
    ["handmade.sql", () => "SET statement_timeout = 0;\n", "", "plain-dump"],
    ["synapse.dump", () => Buffer.from("PGDMP\x01\x0e\x00"), "", "custom-dump"],
    ["synapse.dump.gpg", encrypt(Buffer.from("PGDMP\x01\x0e\x00")), "gpg", "custom-dump"],
    ["dump.tar", () => tarOf({ name: "toc.dat", content: "PGDMP" }, { name: "1.dat" }), "", "tar-dump"],
    ["homeserver.db", () => sqlite, "", "sqlite"],
    [
        "homeserver.db.tar.gz.gpg",
        encrypt(gzipSync(tarOf({ name: "path/to/homeserver.db", content: sqlite }))),
        "gpg gzip tar",
        "sqlite",
    ],
    [
        "export-part-1.tgz.gpg",
        encrypt(gzipSync(tarOf({ name: "example.org__AbCdEf", content: "x" }))),
        "gpg gzip tar",
        "mmr-archive",
    ],
    ["export-manifest.tgz", () => gzipSync(tarOf({ name: "manifest.json", content: "{}" })), "gzip tar", "mmr-archive"],
    [
        "HOST-media_export.tar.gz",
        () => gzipSync(tarOf({ name: "media_store/local_content/ab/cd/x" })),
        "gzip tar",
        "media-store",
    ],
    [
        "ID-live-DOMAIN-synapse-database.zip",
        () => zipOf({ name: "ID.dir/1.dat.gz" }, { name: "ID.dir/toc.dat" }),
        "zip",
        "directory-dump",
    ],
    ["ID-live-DOMAIN-media-DOMAIN.zip", () => zipOf({ name: "ID-media/export-part-1.tgz" }), "zip", "mmr-archive"],
    ["other.tar", () => tarOf({ name: "readme" }), "tar", "tar"],
    ["other.zip", () => zipOf({ name: "readme" }), "zip", "zip"],
    ["archive.zip.gpg", encrypt(zipOf({ name: "readme" })), "gpg zip", "zip"],
    ["picture.png", () => Buffer.from("89504e470d0a1a0a", "hex"), "", "unknown"],
    ["empty", () => "", "", "unknown"],
];

describe("recognising files", () => {
    for (const [name, content, layers, is] of cases)
        it(`takes ${name} for ${is}`, () =>
            withDirectory(async (directory) => {
                const path = join(directory, name);
                const bytes = Buffer.from(content(directory));
                await writeFile(path, bytes);
                const found = await recognise(path, { passphrase });
                expect(found).to.deep.equal({
                    layers: layers.split(" ").filter(Boolean),
                    content: is,
                    bytes: bytes.length,
                    warnings: [],
                });
            }));

    const lies: [string, (directory: string) => Buffer | string, string][] = [
        ["dump.sql.gz", () => dump, "plain-dump"],
        ["dump.sql", () => gzipSync(dump), "gzip, then plain-dump"],
        ["dump.sql.gz.gpg", encrypt(dump), "gpg, then plain-dump"],
        ["dump.sql.gz.gpg", () => gzipSync(dump), "gzip, then plain-dump"],
        ["homeserver.db", () => dump, "plain-dump"],
        ["export.zip", () => tarOf({ name: "x" }), "tar"],
    ];
    for (const [name, content, is] of lies)
        it(`warns of a ${name} that is ${is}`, () =>
            withDirectory(async (directory) => {
                await writeFile(join(directory, name), content(directory));
                const { warnings } = await recognise(join(directory, name), { passphrase });
                expect(warnings.map(({ id }) => id)).to.deep.equal(["SM-W0910"]);
                expect(warnings[0]?.evidence).to.contain(`is ${is}`);
            }));

    it("looks into the parts of a file together, and warns where it may not look", () =>
        withDirectory(async (directory) => {
            const encrypted = gpgSymmetric(gzipSync(dump), directory);
            const paths = [join(directory, "d.sql.gz.gpg.part-aa"), join(directory, "d.sql.gz.gpg.part-ab")];
            for (const [n, path] of paths.entries())
                await writeFile(path, n === 0 ? encrypted.subarray(0, 100) : encrypted.subarray(100));
            const found = await recognise(paths, { passphrase });
            expect([found.content, found.bytes, found.warnings]).to.deep.equal(["plain-dump", encrypted.length, []]);
            const closed = await recognise(paths);
            expect([closed.layers, closed.content]).to.deep.equal([["gpg"], "unknown"]);
            expect(closed.warnings.map(({ id }) => id)).to.deep.equal(["SM-W0920"]);
        }));

    it("refuses a wrong passphrase, what is not read here, and what is not there", () =>
        withDirectory(async (directory) => {
            await writeFile(join(directory, "a"), gpgSymmetric(dump, directory));
            await expectError("SM-E0920", () => recognise(join(directory, "a"), { passphrase: "wr0ng-passphrase" }));
            await writeFile(join(directory, "b"), run("xz", ["-c"], { input: dump }));
            await expectError("SM-E0914", () => recognise(join(directory, "b")));
            await expectError("SM-E0931", () => recognise(join(directory, "c")));
        }));
});

describe("recognising directories", () => {
    const directories: [string, Content, string][] = [
        ["toc.dat", "directory-dump", ""],
        ["ID-live-DOMAIN-synapse-database.dir/toc.dat", "directory-dump", "ID-live-DOMAIN-synapse-database.dir"],
        ["path/to/media_store/local_content/ab/cd/x", "media-store", "path/to/media_store"],
        ["ID-live-DOMAIN-media-DOMAIN/export-part-1.tgz", "mmr-archive", "ID-live-DOMAIN-media-DOMAIN"],
        ["something/else", "unknown", "something/else"],
    ];
    for (const [name, content, at] of directories)
        it(`takes one with ${name} for ${content}`, () =>
            withDirectory(async (directory) => {
                await mkdir(join(directory, name, ".."), { recursive: true });
                await writeFile(join(directory, name), "12345");
                const found = await recognise(directory);
                expect([found.content, found.bytes, found.path]).to.deep.equal([content, 5, join(directory, at)]);
            }));

    it("looks at the file that is the only one in it", () =>
        withDirectory(async (directory) => {
            await mkdir(join(directory, "path"));
            await writeFile(join(directory, "path", "homeserver.db"), sqlite);
            const found = await recognise(directory);
            expect([found.content, found.path]).to.deep.equal(["sqlite", join(directory, "path", "homeserver.db")]);
        }));
});
