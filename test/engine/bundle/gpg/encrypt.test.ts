import { expect } from "chai";
import { createHash } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encryptStream } from "../../../../engine/bundle/gpg/encrypt.ts";
import type { Recipient } from "../../../../engine/bundle/gpg/message.ts";
import { openLayers } from "../../../../engine/bundle/input/open.ts";
import { expectError } from "../../../support/expectError.ts";
import { collect, makeKey, passphrase, run, sampleDump, withDirectory, withKeys } from "../fixtures.ts";

const dump = Buffer.from(sampleDump(20_000));

// eslint-disable-next-line @typescript-eslint/require-await -- it stands for a stream
async function* stream(fails = false): AsyncGenerator<Buffer, void> {
    for (let at = 0; at < dump.length; at += 10_000) yield dump.subarray(at, at + 10_000);
    if (fails) throw new Error("the input failed");
}

const decrypt = [
    "--batch",
    "--no-symkey-cache",
    "--pinentry-mode",
    "loopback",
    "--passphrase",
    passphrase,
    "--decrypt",
];

for (const openPgp of ["gpg", "openpgp.js"] as const)
    describe(`encrypting with ${openPgp}`, () => {
        const encrypted = (
            directory: string,
            recipient: Recipient,
            more: { partBytes?: number; fails?: boolean } = {},
        ) =>
            encryptStream(stream(more.fails), {
                recipient,
                destination: join(directory, "dump.sql.gpg"),
                workDirectory: directory,
                openPgp,
                partBytes: more.partBytes,
            });

        it("makes what gpg --decrypt reads, readable by its owner only", () =>
            withDirectory((directory) =>
                withKeys(directory, async (home) => {
                    const { files } = await encrypted(directory, { passphrase });
                    const path = join(directory, "dump.sql.gpg");
                    const bytes = await readFile(path);
                    const sha256 = createHash("sha256").update(bytes).digest("hex");
                    expect(files).to.deep.equal([{ path, bytes: bytes.length, sha256 }]);
                    expect(bytes.length, "nothing was compressed").to.be.within(dump.length, dump.length + 5000);
                    expect((await stat(path)).mode & 0o777).to.equal(0o600);
                    expect(run("gpg", decrypt, { input: bytes, home }).equals(dump)).to.equal(true);
                    expect(await readdir(directory)).to.deep.equal(["dump.sql.gpg"]);
                }),
            ));

        it("splits as split does, and reads it back", () =>
            withDirectory(async (directory) => {
                const { files } = await encrypted(directory, { passphrase }, { partBytes: 100_000 });
                expect(files.slice(0, -1).every(({ bytes }) => bytes === 100_000)).to.equal(true);
                expect(files[1]?.path).to.match(/dump\.sql\.gpg\.part-ab$/);
                const opened = openLayers(
                    files.map(({ path }) => path),
                    { passphrase, workDirectory: directory },
                );
                expect((await collect(opened.stream)).equals(dump)).to.equal(true);
                expect((await opened.finished).files).to.deep.equal(files);
            }));

        it("encrypts to a receiver's key, and refuses one that is expired or cannot encrypt", () =>
            withDirectory((directory) =>
                withKeys(directory, async (home) => {
                    const publicKeyFile = join(directory, "key.asc");
                    await writeFile(publicKeyFile, makeKey(home, "signer", "sign", "never"));
                    await expectError("SM-E0928", () => encrypted(directory, { publicKeyFile }));
                    await writeFile(publicKeyFile, "no key");
                    await expectError("SM-E0928", () => encrypted(directory, { publicKeyFile }));
                    const before = ["--faked-system-time", "20200101T000000"];
                    await writeFile(publicKeyFile, makeKey(home, "former", "default", "1y", ...before));
                    await expectError("SM-E0922", () => encrypted(directory, { publicKeyFile }));
                    expect(await readdir(directory), "nothing is left").to.deep.equal(["key.asc"]);
                    await writeFile(publicKeyFile, makeKey(home, "receiver", "default", "never"));
                    await encrypted(directory, { publicKeyFile });
                    const bytes = await readFile(join(directory, "dump.sql.gpg"));
                    expect(run("gpg", ["--batch", "--decrypt"], { input: bytes, home }).equals(dump)).to.equal(true);
                }),
            ));

        it("leaves nothing when its input fails, and replaces no file", () =>
            withDirectory(async (directory) => {
                let failure = "";
                await encrypted(directory, { passphrase }, { fails: true, partBytes: 100_000 }).catch(
                    (error: unknown) => (failure = String(error)),
                );
                expect([failure, await readdir(directory)]).to.deep.equal(["Error: the input failed", []]);
                await expectError("SM-E0928", () => encrypted(directory, { passphrase: "" }));
                await writeFile(join(directory, "dump.sql.gpg"), "precious");
                await expectError("SM-E0957", () => encrypted(directory, { passphrase }));
                expect(await readFile(join(directory, "dump.sql.gpg"), "utf8")).to.equal("precious");
            }));
    });
