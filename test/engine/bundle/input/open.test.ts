import { expect } from "chai";
import fc from "fast-check";
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ByteReader } from "../../../../engine/bundle/streams/byteReader.ts";
import { gunzip } from "../../../../engine/bundle/archives/gunzip.ts";
import { openLayers, type OpenedInput } from "../../../../engine/bundle/input/open.ts";
import type { OpenPgpProgram } from "../../../../engine/bundle/gpg/message.ts";
import { expectError } from "../../../support/expectError.ts";
import type { ErrorCode } from "../../../../engine/run/errorCatalogue.ts";
import { collect, gpgSymmetric, makeKey, passphrase, run, sampleDump, withDirectory, withKeys } from "../fixtures.ts";

const dump = sampleDump();

async function opened(
    directory: string,
    content: Buffer | string | Buffer[],
    options: { passphrase?: string; openPgp?: OpenPgpProgram } = { passphrase },
): Promise<{ bytes: Buffer; input: OpenedInput }> {
    const parts = Array.isArray(content) ? content : [Buffer.from(content)];
    const paths = parts.map((_, n) => join(directory, `input-${n}`));
    for (const [n, path] of paths.entries()) await writeFile(path, parts[n] ?? "");
    const { stream, finished } = openLayers(paths, { ...options, workDirectory: directory });
    try {
        const bytes = await collect(stream);
        return { bytes, input: await finished };
    } catch (error) {
        const reported = await finished.then(
            () => undefined,
            (reason: unknown) => reason,
        );
        expect(reported, "the promise tells the error of the stream").to.equal(error);
        throw error;
    }
}

async function refused(code: ErrorCode, content: Buffer | string, openPgp?: OpenPgpProgram, secret = passphrase) {
    return withDirectory((directory) =>
        expectError(code, () =>
            opened(directory, content, { passphrase: secret, ...(openPgp === undefined ? {} : { openPgp }) }),
        ),
    );
}

describe("opening an input through its layers", () => {
    it("reads .sql.gz.gpg as the guides make it, and tells what it read", () =>
        withDirectory(async (directory) => {
            const encrypted = gpgSymmetric(run("gzip", [], { input: dump }), directory);
            const { bytes, input } = await opened(directory, encrypted);
            expect(bytes.toString()).to.equal(dump);
            expect(input.layers).to.deep.equal(["gpg", "gzip"]);
            const sha256 = createHash("sha256").update(encrypted).digest("hex");
            expect(input.files).to.deep.equal([{ path: join(directory, "input-0"), bytes: encrypted.length, sha256 }]);
        }));

    it("leaves neither a home directory nor an agent of gpg behind", () =>
        withDirectory(async (directory) => {
            const encrypted = gpgSymmetric(dump, directory);
            const before = await agents();
            await opened(directory, encrypted);
            await expectError("SM-E0920", () => opened(directory, encrypted, { passphrase: "wr0ng-passphrase" }));
            expect((await readdir(directory)).filter((name) => name.startsWith("gnupg-"))).to.deep.equal([]);
            expect(await agents()).to.deep.equal(before);
        }));

    it("joins parts, wherever they were cut", () =>
        withDirectory(async (directory) => {
            const encrypted = gpgSymmetric(gzipSync(dump), directory);
            const parts = [encrypted.subarray(0, 7), encrypted.subarray(7, 5000), encrypted.subarray(5000)];
            const { bytes, input } = await opened(directory, parts);
            expect(bytes.toString()).to.equal(dump);
            expect(input.files.map((file) => file.bytes)).to.deep.equal(parts.map((part) => part.length));
        }));

    it("reads armored messages and plain files", () =>
        withDirectory(async (directory) => {
            expect((await opened(directory, gpgSymmetric(dump, directory, "--armor"))).bytes.toString()).to.equal(dump);
            expect((await opened(directory, dump)).input.layers).to.deep.equal([]);
        }));

    it("does not claim to have finished when its reader stops early", () =>
        withDirectory(async (directory) => {
            const path = join(directory, "dump.gpg");
            await writeFile(path, gpgSymmetric(sampleDump(200_000), directory));
            const { stream, finished } = openLayers([path], { passphrase, workDirectory: directory });
            for await (const chunk of stream) if (chunk.length > 0) break;
            const outcome = await finished.then(
                () => "finished",
                (error: unknown) => String(error),
            );
            expect(outcome).to.contain("not read to its end");
            expect((await readdir(directory)).filter((name) => name.startsWith("gnupg-"))).to.deep.equal([]);
        }));

    it("stops when it is told to", () =>
        withDirectory(async (directory) => {
            const path = join(directory, "dump.gpg");
            await writeFile(path, gpgSymmetric(sampleDump(200_000), directory));
            const controller = new AbortController();
            const { stream } = openLayers([path], { passphrase, workDirectory: directory, signal: controller.signal });
            let failure: unknown;
            try {
                for await (const chunk of stream) if (chunk.length > 0) controller.abort(new Error("stop"));
            } catch (error) {
                failure = error;
            }
            expect(String(failure)).to.equal("Error: stop");
        }));

    it("refuses formats it does not read, with the command that converts them", async () => {
        const compressed = (program: string): Buffer => run(program, ["-c"], { input: dump });
        for (const program of ["xz", "bzip2", "zstd"]) {
            const { detail } = await refused("SM-E0914", compressed(program));
            expect(detail.fix).to.contain(`${program} --decompress`);
        }
    });

    it("refuses what is no file", () =>
        withDirectory(async (directory) => {
            for (const path of [directory, join(directory, "absent")]) {
                const { stream } = openLayers([path], { workDirectory: directory });
                await expectError("SM-E0931", () => collect(stream));
            }
        }));

    it("refuses a file that grows while it is read", () =>
        withDirectory(async (directory) => {
            const path = join(directory, "dump.sql");
            await writeFile(path, "-- x\n".repeat(200_000));
            const { stream } = openLayers([path], { workDirectory: directory });
            await expectError("SM-E0931", async () => {
                let isFirst = true;
                for await (const chunk of stream) {
                    if (isFirst && chunk.length > 0) await writeFile(path, "more", { flag: "a" });
                    isFirst = false;
                }
            });
        }));
});

for (const openPgp of ["gpg", "openpgp.js"] as const)
    describe(`decrypting with ${openPgp}`, () => {
        it("refuses a wrong passphrase, and none", () =>
            withDirectory(async (directory) => {
                const encrypted = gpgSymmetric(dump, directory);
                await refused("SM-E0920", encrypted, openPgp, "wrong");
                const { detail } = await refused("SM-E0920", encrypted, openPgp, "");
                expect(detail.found).to.contain("no passphrase was given");
            }));

        it("refuses what is altered, cut off, or has something behind it", () =>
            withDirectory(async (directory) => {
                const encrypted = gpgSymmetric(dump, directory, "--compress-algo", "none");
                const altered = Buffer.from(encrypted);
                altered.writeUInt8(altered.readUInt8(20_000) ^ 1, 20_000);
                await refused("SM-E0924", altered, openPgp);
                await refused("SM-E0925", encrypted.subarray(0, 30_000), openPgp);
                await refused("SM-E0924", Buffer.concat([encrypted, Buffer.from("garbage garbage")]), openPgp);
                await refused("SM-E0924", Buffer.concat([encrypted, encrypted]), openPgp);
            }));

        it("refuses a message of which only the header is there, for which gpg itself ends with 0", () =>
            withDirectory(async (directory) => {
                await refused("SM-E0925", gpgSymmetric(dump, directory).subarray(0, 15), openPgp);
            }));

        it("reads armored messages, and refuses one that is cut off", () =>
            withDirectory(async (directory) => {
                const armored = gpgSymmetric(dump, directory, "--armor");
                const { bytes } = await opened(directory, armored, { passphrase, openPgp });
                expect(bytes.toString()).to.equal(dump);
                await refused("SM-E0925", armored.subarray(0, armored.length >> 1), openPgp);
                if (openPgp === "openpgp.js") await refused("SM-E0924", `${armored.toString()}more\n`, openPgp);
            }));

        it("refuses messages without integrity protection", () =>
            withDirectory(async (directory) => {
                const bare = gpgSymmetric(dump, directory, "--rfc2440", "--disable-mdc", "--cipher-algo", "3DES");
                await refused("SM-E0923", bare, openPgp);
            }));

        it("refuses a message that is encrypted again inside", () =>
            withDirectory(async (directory) => {
                await refused("SM-E0927", gpgSymmetric(gpgSymmetric(dump, directory), directory), openPgp);
            }));

        it("refuses a message to somebody else's key, and one that is only signed", () =>
            withDirectory((directory) =>
                withKeys(directory, async (home) => {
                    makeKey(home, "somebody", "default", "never");
                    const sealed = [
                        "--batch",
                        "--trust-model",
                        "always",
                        "--recipient",
                        "somebody@example.org",
                        "--encrypt",
                    ];
                    const { detail } = await refused("SM-E0921", run("gpg", sealed, { input: dump, home }), openPgp);
                    expect(detail.found).to.match(/key [0-9A-F]{16}/);
                    const signing = ["--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--sign"];
                    await refused("SM-E0926", run("gpg", signing, { input: dump, home }), openPgp);
                }),
            ));
    });

describe("decompressing gzip", () => {
    const broken: [string, (whole: Buffer) => Buffer, string][] = [
        ["a missing trailer", (whole) => whole.subarray(0, -8), "before the end"],
        ["half a trailer", (whole) => whole.subarray(0, -3), "within its trailer"],
        ["a cut in the data", (whole) => whole.subarray(0, 5000), "before the end"],
        ["a cut in the header", (whole) => whole.subarray(0, 6), "within a header"],
        ["garbage behind it", (whole) => Buffer.concat([whole, Buffer.from("garbage")]), "7 bytes that are not gzip"],
        ["zeros behind it", (whole) => Buffer.concat([whole, Buffer.alloc(512)]), "512 bytes of zeros"],
        ["a wrong checksum", (whole) => flipped(whole, whole.length - 8), "checksum"],
        ["a wrong size", (whole) => flipped(whole, whole.length - 4), "size"],
        ["an unknown method", (whole) => flipped(whole, 2), "method 9"],
        [
            "unknown flags",
            (whole) => Buffer.concat([whole.subarray(0, 3), Buffer.from([0x80]), whole.subarray(4)]),
            "flags",
        ],
        ["altered data", (whole) => flipped(whole, 2000), "damaged"],
        [
            "a second member that is cut off",
            (whole) => Buffer.concat([whole, whole.subarray(0, 4000)]),
            "before the end",
        ],
    ];
    for (const [title, damage, found] of broken)
        it(`refuses ${title}`, async () => {
            const { detail } = await refused("SM-E0910", damage(run("gzip", ["-6"], { input: dump })));
            expect(detail.found).to.match(new RegExp(`${found}|checksum`));
        });

    it("reads headers with a name, a comment, extra fields and a checksum", () =>
        withDirectory(async (directory) => {
            const path = join(directory, "dump.sql");
            await writeFile(path, dump);
            run("gzip", ["-N", path]);
            const named = await readFile(`${path}.gz`);
            expect((await opened(directory, named)).bytes.toString()).to.equal(dump);
        }));

    it("gives what every sequence of members holds, whatever the chunks", () =>
        fc.assert(
            fc.asyncProperty(
                fc.array(fc.uint8Array({ maxLength: 2000 }), { minLength: 1, maxLength: 5 }),
                fc.integer({ min: 1, max: 300 }),
                async (members, chunkBytes) => {
                    const whole = Buffer.concat(members.map((member) => gzipSync(member)));
                    const content = await collect(gunzip(new ByteReader(chunked(whole, chunkBytes)), "x"));
                    expect(content.equals(Buffer.concat(members))).to.equal(true);
                },
            ),
            { numRuns: 100 },
        ));

    it("accepts no beginning of a file as the whole, but where members end", () =>
        fc.assert(
            fc.asyncProperty(
                fc.integer({ min: 1, max: 1e6 }),
                fc.integer({ min: 1, max: 300 }),
                async (cut, chunkBytes) => {
                    const whole = gzipSync("a small dump ".repeat(50));
                    const part = whole.subarray(0, cut % whole.length);
                    if (part.length === 0) return;
                    await expectError("SM-E0910", () =>
                        collect(gunzip(new ByteReader(chunked(part, chunkBytes)), "x")),
                    );
                },
            ),
            { numRuns: 100 },
        ));
});

function flipped(whole: Buffer, at: number): Buffer {
    const copy = Buffer.from(whole);
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
    return copy;
}

// eslint-disable-next-line @typescript-eslint/require-await -- it stands for a stream
async function* chunked(whole: Buffer, bytes: number): AsyncGenerator<Buffer, void> {
    for (let at = 0; at < whole.length; at += bytes) yield whole.subarray(at, at + bytes);
}

/** Agents of gpg that run below a directory of this module. */
async function agents(): Promise<string[]> {
    const found: string[] = [];
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
        const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
        if (command.includes("gpg-agent") && command.includes("gnupg-")) found.push(command);
    }
    return found;
}
