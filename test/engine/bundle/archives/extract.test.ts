import { expect } from "chai";
import fc from "fast-check";
import { mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { EntryNames, safeName } from "../../../../engine/bundle/archives/archiveEntry.ts";
import { extractArchive, extractArchives, type ExtractOptions } from "../../../../engine/bundle/archives/extract.ts";
import { packDirectory } from "../../../../engine/bundle/archives/packDirectory.ts";
import type { ErrorCode } from "../../../../engine/run/errorCatalogue.ts";
import { expectError } from "../../../support/expectError.ts";
import { pax, tarMember, tarOf, zipOf } from "../evilArchives.ts";
import { collect, gpgSymmetric, passphrase, run, withDirectory } from "../fixtures.ts";

const long = "d".repeat(90);

/** A small media store, with names of all kinds. */
async function store(directory: string): Promise<string> {
    const root = join(directory, "store");
    const files = ["local_content/Ab/cD/efgh", "local_content/aB/Cd/efgh2", `${long}/${long}/ünïcode`, "empty"];
    for (const [n, name] of files.entries()) {
        await mkdir(join(root, name, ".."), { recursive: true });
        await writeFile(join(root, name), "content".repeat(n * 1000));
    }
    return root;
}

async function extracted(directory: string, archive: Buffer, options: Partial<ExtractOptions> = {}) {
    const path = join(directory, "archive");
    await writeFile(path, archive);
    const destination = join(directory, "out");
    await rm(destination, { recursive: true, force: true });
    return extractArchive([path], { destination, workDirectory: directory, passphrase, ...options });
}

async function refused(code: ErrorCode, archive: Buffer, options: Partial<ExtractOptions> = {}): Promise<string> {
    return withDirectory(async (directory) => {
        const error = await expectError(code, () => extracted(directory, archive, options));
        expect(await readdir(directory), "nothing is left behind").to.deep.equal(["archive"]);
        return error.detail.found;
    });
}

describe("extracting archives", () => {
    for (const format of ["gnu", "posix", "ustar", "v7"])
        it(`unpacks what tar --format=${format} packs, compressed and encrypted`, () =>
            withDirectory(async (directory) => {
                const root = await store(directory);
                if (format === "ustar" || format === "v7") await rm(join(root, long), { recursive: true });
                const archive = run("tar", [`--format=${format}`, "-C", root, "-czf", "-", "."]);
                const { files } = await extracted(directory, gpgSymmetric(archive, directory));
                expect(files).to.equal(format === "ustar" || format === "v7" ? 3 : 4);
                run("diff", ["-r", root, join(directory, "out")]);
            }));

    it("unpacks what zip packs, also encrypted and in parts", () =>
        withDirectory(async (directory) => {
            const root = await store(directory);
            run("zip", ["-qr", join(directory, "a.zip"), "."], { cwd: root });
            const archive = await readFile(join(directory, "a.zip"));
            await extracted(directory, archive);
            run("diff", ["-r", root, join(directory, "out")]);
            await extracted(directory, gpgSymmetric(archive, directory));
            run("diff", ["-r", root, join(directory, "out")]);
            const parts = [join(directory, "p1"), join(directory, "p2")];
            for (const [n, path] of parts.entries())
                await writeFile(path, n === 0 ? archive.subarray(0, 99) : archive.subarray(99));
            const destination = join(directory, "joined");
            const { input } = await extractArchive(parts, { destination, workDirectory: directory });
            expect(input.files.length).to.equal(2);
            run("diff", ["-r", root, destination]);
            expect((await readdir(directory)).filter((name) => name.startsWith("zip-"))).to.deep.equal([]);
        }));

    it("unpacks what it packs itself, and tar unpacks it too", () =>
        withDirectory(async (directory) => {
            const root = await store(directory);
            const archive = await collect(packDirectory(root, { prefix: "media_store" }));
            await extracted(directory, archive);
            run("diff", ["-r", root, join(directory, "out", "media_store")]);
            await mkdir(join(directory, "byTar"));
            run("tar", ["-C", join(directory, "byTar"), "-xf", "-"], { input: archive });
            run("diff", ["-r", root, join(directory, "byTar", "media_store")]);
            expect((await collect(packDirectory(root, { prefix: "media_store" }))).equals(archive)).to.equal(true);
        }));

    it("packs a file of more than 8 GiB with its size in a pax header", () =>
        withDirectory(async (directory) => {
            const bytes = 9 * 2 ** 30;
            await mkdir(join(directory, "in"));
            await writeFile(join(directory, "in", "big"), "");
            await truncate(join(directory, "in", "big"), bytes);
            let head = Buffer.alloc(0);
            for await (const chunk of packDirectory(join(directory, "in"))) {
                head = Buffer.concat([head, chunk]);
                if (head.length >= 2048) break;
            }
            expect(head.toString("latin1", 512, 1024))
                .to.contain(` path=big\n`)
                .and.to.contain(` size=${bytes}\n`);
        }));

    it("packs no links", () =>
        withDirectory(async (directory) => {
            const root = await store(directory);
            await symlink("/etc/passwd", join(root, "link"));
            await expectError("SM-E0931", () => collect(packDirectory(root)));
        }));

    it("gives files mode 0600 and directories 0700, without set-user-id, whatever the archive says", () =>
        withDirectory(async (directory) => {
            await extracted(directory, tarOf({ name: "d/", type: "5", mode: 0o7777 }, { name: "d/su", mode: 0o6755 }));
            expect((await stat(join(directory, "out", "d", "su"))).mode & 0o7777).to.equal(0o600);
            expect((await stat(join(directory, "out", "d"))).mode & 0o7777).to.equal(0o700);
        }));

    it("unpacks a set of archives into one directory, and refuses a name that two of them have", () =>
        withDirectory(async (directory) => {
            const paths = ["1", "2", "3"].map((name) => join(directory, name));
            for (const [n, path] of paths.entries())
                await writeFile(path, gzipSync(tarOf({ name: `origin__${n % 2}`, content: "x" })));
            const destination = join(directory, "out");
            const options = { destination, workDirectory: directory };
            const [one = "", two = "", again = ""] = paths;
            await expectError("SM-E0954", () => extractArchives([[one], [two], [again]], options));
            const { files } = await extractArchives([[one], [two]], options);
            expect([files, await readdir(destination)]).to.deep.equal([2, ["origin__0", "origin__1"]]);
        }));

    it("writes only what is asked for, and reads the rest all the same", () =>
        withDirectory(async (directory) => {
            const archive = tarOf({ name: "a", content: "1" }, { name: "b", content: "2" });
            const progress: number[] = [];
            const onEntry = ({ name }: { name: string }): boolean => name === "b";
            await extracted(directory, archive, { onEntry, onProgress: ({ files }) => progress.push(files) });
            expect(await readdir(join(directory, "out"))).to.deep.equal(["b"]);
            expect(progress).to.deep.equal([1, 2]);
        }));

    it("refuses a destination that exists", () =>
        withDirectory(async (directory) => {
            await mkdir(join(directory, "out"));
            await writeFile(join(directory, "archive"), tarOf({ name: "a" }));
            const options = { destination: join(directory, "out"), workDirectory: directory };
            await expectError("SM-E0957", () => extractArchive([join(directory, "archive")], options));
        }));

    it("unpacks nothing of a message that turns out to be altered at its end", () =>
        withDirectory(async (directory) => {
            const archive = gpgSymmetric(gzipSync(tarOf({ name: "a", content: "x" })), directory);
            archive.writeUInt8(archive.readUInt8(archive.length - 1) ^ 1, archive.length - 1);
            await writeFile(join(directory, "archive"), archive);
            const destination = join(directory, "out");
            const options = { destination, workDirectory: directory, passphrase };
            await expectError("SM-E0924", () => extractArchive([join(directory, "archive")], options));
            expect(await readdir(directory)).not.to.include("out");
        }));

    it("handles a file of more than 2 GiB", () =>
        withDirectory(async (directory) => {
            // The archive is sparse itself: a header, and zeros for the content and the end.
            const bytes = 2 ** 31 + 4096;
            await writeFile(join(directory, "big.tar"), tarMember({ name: "big", size: bytes }));
            await truncate(join(directory, "big.tar"), bytes + 3 * 512);
            const options = { destination: join(directory, "out"), workDirectory: directory, onEntry: () => false };
            const found = await extractArchive([join(directory, "big.tar")], options);
            expect(found.bytes).to.equal(bytes);
        }));
});

const tarCases: [string, ErrorCode, Buffer][] = [
    ["a name that leads out", "SM-E0950", tarOf({ name: "a/../../b" })],
    ["an absolute name", "SM-E0950", tarOf({ name: "/etc/cron.d/x" })],
    ["a name with a line end", "SM-E0950", tarOf({ name: "a\nb" })],
    ["a pax header that overrides a harmless name", "SM-E0950", tarOf(pax({ path: "../x" }), { name: "ok" })],
    ["a name too long for a file system", "SM-E0950", tarOf(pax({ path: "x".repeat(300) }), { name: "ok" })],
    [
        "a symbolic link and a file through it",
        "SM-E0951",
        tarOf({ name: "l", type: "2", link: "/etc" }, { name: "l/x" }),
    ],
    ["a hard link", "SM-E0951", tarOf({ name: "h", type: "1", link: "/etc/shadow" })],
    ["a character device", "SM-E0952", tarOf({ name: "null", type: "3" })],
    ["a block device", "SM-E0952", tarOf({ name: "sda", type: "4" })],
    ["a pipe", "SM-E0952", tarOf({ name: "fifo", type: "6" })],
    ["a sparse file of GNU tar", "SM-E0953", tarOf({ name: "s", type: "S" })],
    ["a sparse file of pax", "SM-E0953", tarOf(pax({ "GNU.sparse.major": "1" }), { name: "s", content: "x" })],
    ["an entry of no known kind", "SM-E0953", tarOf({ name: "m", type: "M" })],
    ["a name twice", "SM-E0954", tarOf({ name: "a" }, { name: "./a" })],
    ["names that differ in case", "SM-E0954", tarOf({ name: "Media" }, { name: "media" })],
    ["names that differ in Unicode form", "SM-E0954", tarOf({ name: "\u00e9" }, { name: "e\u0301" })],
    ["a file that is a directory too", "SM-E0954", tarOf({ name: "a" }, { name: "a/b" })],
    ["a directory that is a file too", "SM-E0954", tarOf({ name: "a/b" }, { name: "A" })],
    ["a directory that has content", "SM-E0956", tarOf({ name: "d/", type: "5", content: "x" })],
    ["an archive without its end", "SM-E0956", tarMember({ name: "a", content: "x" })],
    ["an end of one block", "SM-E0956", Buffer.concat([tarMember({ name: "a" }), Buffer.alloc(512)])],
    ["entries behind the end", "SM-E0956", Buffer.concat([tarOf({ name: "a" }), tarOf({ name: "b" })])],
    [
        "a lone block of zeros",
        "SM-E0956",
        Buffer.concat([tarMember({ name: "a" }), Buffer.alloc(512), tarOf({ name: "b" })]),
    ],
    [
        "an entry wiped behind its pax header",
        "SM-E0956",
        Buffer.concat([tarMember(pax({ path: "b" })), Buffer.alloc(512), tarOf({ name: "c" })]),
    ],
    ["something that is no archive", "SM-E0958", Buffer.from("not an archive")],
    ["a size that is none", "SM-E0956", tarOf(pax({ size: "-1" }), { name: "a" })],
];

describe("refusing tar archives", () => {
    for (const [title, code, archive] of tarCases)
        it(`refuses ${title}`, async () => {
            await refused(code, archive);
            await refused(code, gzipSync(archive));
        });

    it("refuses names that are not UTF-8", async () => {
        const header = tarMember({ name: "caf?" });
        header.writeUInt8(0xe9, 3);
        header.write("      \0 ", 148, "latin1");
        header.write(" ".repeat(8), 148);
        const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0);
        header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
        await refused("SM-E0950", Buffer.concat([header, Buffer.alloc(1024)]));
    });

    it("takes names that differ in case where it is told that the file system does so too", () =>
        withDirectory(async (directory) => {
            const { files } = await extracted(directory, tarOf({ name: "Media" }, { name: "media" }), {
                exactNames: true,
            });
            expect(files).to.equal(2);
        }));

    it("refuses more entries and bytes than are allowed", async () => {
        const archive = tarOf({ name: "a", content: "12345" }, { name: "b", content: "12345" });
        expect(await refused("SM-E0955", archive, { limits: { entries: 1 } })).to.contain("more than 1 entries");
        expect(await refused("SM-E0955", archive, { limits: { bytes: 9 } })).to.contain("10 bytes");
    });

    it("refuses a bomb, and what does not fit onto the disk, before it is written", async () => {
        const huge = 2 ** 32;
        const claims = Buffer.concat([tarMember({ name: "z", size: huge, content: "" }), Buffer.alloc(2 ** 20)]);
        await refused("SM-E0956", claims, { onEntry: () => false });
        const pretended = Buffer.concat([tarMember(pax({ size: String(2 ** 50) })), tarMember({ name: "z" })]);
        await refused("SM-E1201", pretended);
    });

    it("refuses a bomb by its ratio", () =>
        withDirectory(async (directory) => {
            const path = join(directory, "bomb.tgz");
            run("sh", ["-c", "truncate -s 300M a b && tar -cf - a b | gzip -9 > bomb.tgz && rm a b"], {
                cwd: directory,
            });
            const options = { destination: join(directory, "out"), workDirectory: directory, onEntry: () => false };
            await expectError("SM-E0955", () => extractArchive([path], options));
        }));
});

const zipCases: [string, ErrorCode, Buffer][] = [
    ["encrypted entries", "SM-E0940", zipOf({ name: "a", flags: 0x801 })],
    ["strongly encrypted entries", "SM-E0940", zipOf({ name: "a", flags: 0x841 })],
    ["a name twice", "SM-E0942", zipOf({ name: "a" }, { name: "a" })],
    ["names that differ in case", "SM-E0942", zipOf({ name: "d/A" }, { name: "d/a" })],
    ["a file that is a directory too", "SM-E0942", zipOf({ name: "a" }, { name: "a/b" })],
    ["a symbolic link", "SM-E0943", zipOf({ name: "l", mode: 0o120777, content: "/etc/passwd" })],
    ["a pipe", "SM-E0943", zipOf({ name: "l", mode: 0o010644 })],
    ["a wrong size", "SM-E0944", zipOf({ name: "a", content: "12345", size: 4 })],
    ["a wrong size of a stored entry", "SM-E0944", zipOf({ name: "a", content: "12345", size: 4, method: 0 })],
    ["a wrong checksum", "SM-E0944", zipOf({ name: "a", content: "12345", crc: 1 })],
    ["a compression that is not known", "SM-E0944", zipOf({ name: "a", content: "12345", method: 14 })],
    ["a name that is another one before the content", "SM-E0944", zipOf({ name: "a", localName: "b", content: "x" })],
    ["a directory with content", "SM-E0944", zipOf({ name: "a/", content: "x" })],
    ["a name that leads out", "SM-E0946", zipOf({ name: "../a" })],
    ["an absolute name", "SM-E0946", zipOf({ name: "/a" })],
    ["a name with a drive", "SM-E0946", zipOf({ name: "C:evil" })],
    ["a name with backslashes", "SM-E0946", zipOf({ name: "a\\..\\b" })],
    ["a name in code page 437", "SM-E0946", zipOf({ name: Buffer.from([0x81, 0x62]), flags: 0 })],
    ["a name that says it is UTF-8 and is not", "SM-E0946", zipOf({ name: Buffer.from([0x81, 0x62]) })],
    ["a cut", "SM-E0944", zipOf({ name: "a", content: "12345" }).subarray(0, 60)],
    ["something behind its end", "SM-E0944", Buffer.concat([zipOf({ name: "a" }), Buffer.from("more")])],
];

describe("refusing zip archives", () => {
    for (const [title, code, archive] of zipCases) it(`refuses ${title}`, () => refused(code, archive));

    it("refuses what the zip program encrypts and splits", () =>
        withDirectory(async (directory) => {
            await writeFile(
                join(directory, "f"),
                Buffer.from(Array.from({ length: 200_000 }, (_, n) => (n * n * 31) % 251)),
            );
            run("zip", ["-q", "-P", "secret", "e.zip", "f"], { cwd: directory });
            await refused("SM-E0940", await readFile(join(directory, "e.zip")));
            run("zip", ["-q0", "-s", "64k", "s.zip", "f"], { cwd: directory });
            await refused("SM-E0941", await readFile(join(directory, "s.zip")));
            await refused("SM-E0941", await readFile(join(directory, "s.z01")));
        }));

    it("refuses entries that lie upon each other", async () => {
        const archive = zipOf({ name: "a", content: "12345" }, { name: "b", content: "12345" });
        archive.writeUInt32LE(0, archive.length - 22 - 1 - 4);
        expect(await refused("SM-E0944", archive)).to.contain("upon each other");
    });

    it("refuses more entries, bytes, and a higher ratio than are allowed", async () => {
        const archive = zipOf({ name: "a", content: "12345" }, { name: "b", content: "12345" });
        await refused("SM-E0945", archive, { limits: { entries: 1 } });
        await refused("SM-E0945", archive, { limits: { bytes: 9 } });
        await refused("SM-E0945", zipOf({ name: "a", size: 300 * 2 ** 20, content: "x" }));
    });

    it("unpacks zip64 archives and files that are written as a stream", () =>
        withDirectory(async (directory) => {
            await writeFile(join(directory, "f"), "content");
            run("zip", ["-q", "-fz", "z.zip", "f"], { cwd: directory });
            await extracted(directory, await readFile(join(directory, "z.zip")));
            expect(await readFile(join(directory, "out", "f"), "utf8")).to.equal("content");
            await extracted(directory, run("sh", ["-c", "zip -q - f | cat"], { cwd: directory }));
            expect(await readFile(join(directory, "out", "f"), "utf8")).to.equal("content");
        }));
});

describe("names of archive entries", () => {
    it("never leave the directory, whatever they are", () =>
        fc.assert(
            fc.property(fc.array(fc.constantFrom("a", "..", ".", "", "b c", "…")), fc.boolean(), (parts, isTar) => {
                const raw = parts.join("/");
                let name: string;
                try {
                    name = safeName(raw, isTar ? "tar" : "zip", "x");
                } catch {
                    return;
                }
                expect(join("/dest", name)).to.match(/^\/dest(\/|$)/);
                expect(name.split("/")).not.to.include("..");
            }),
        ));

    it("lets directories differ in case only, as in every media store", () => {
        const names = new EntryNames();
        for (const name of ["local_content/Ab/cD/x", "local_content/aB/Cd/y"])
            names.add({ name, kind: "file", bytes: 0 }, "tar", "x");
        expect(() => names.add({ name: "local_content/AB/CD/X", kind: "file", bytes: 0 }, "tar", "x")).to.throw(
            "SM-E0954",
        );
    });
});
