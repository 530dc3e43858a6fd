import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { openLayers } from "../../../../engine/bundle/input/open.ts";
import { recognise } from "../../../../engine/bundle/input/recognise.ts";
import { registerUnlocking } from "../../../../engine/bundle/input/unlocking.ts";
import { redact } from "../../../../engine/run/redaction.ts";
import { expectError } from "../../../support/expectError.ts";
import { collect, gpgSymmetric, passphrase, run, sampleDump, withDirectory } from "../fixtures.ts";

const dump = sampleDump(400);
const keyPassphrase = "the key's own 9 words";

interface Keys {
    /** gpg's. */
    readonly home: string;
    readonly directory: string;
    /** Armored, and locked with {@link keyPassphrase}. */
    readonly locked: string;
    /** Another one, armored and not locked. */
    readonly other: string;
}

/** Made once: keys take their time. */
let made: Pick<Keys, "home" | "locked" | "other"> | undefined;

before(function () {
    this.timeout(120_000);
    const home = mkdtempSync(join(tmpdir(), "gpg-"));
    newKey(home, "backup", "rsa3072", keyPassphrase);
    newKey(home, "other", "future-default", "");
    made = { home, locked: exported(home, "backup", keyPassphrase), other: exported(home, "other", "") };
});

after(() => {
    if (made === undefined) return;
    run("gpgconf", ["--kill", "gpg-agent"], { home: made.home });
    rmSync(made.home, { recursive: true, force: true });
});

function withTwoKeys(work: (keys: Keys) => Promise<void>): Promise<void> {
    return withDirectory((directory) => {
        if (made === undefined) throw new Error("there are no keys");
        return work({ ...made, directory });
    });
}

for (const openPgp of ["gpg", "openpgp.js"] as const) {
    const read = async ({ directory }: Keys, message: Buffer, secretKey: string | undefined, phrase?: string) => {
        const path = join(directory, "dump.sql.gpg");
        await writeFile(path, message);
        const opening = { openPgp, passphrase: phrase, secretKey, workDirectory: directory };
        const { stream, finished } = openLayers([path], opening);
        const content = (await collect(stream)).toString();
        await finished;
        return content;
    };

    describe(`a message to a public key, decrypted with ${openPgp}`, function () {
        this.timeout(60_000);

        it("is read with the secret key, locked or not, and armored or not, and leaves nothing behind", () =>
            withTwoKeys(async (keys) => {
                const { home, locked, other, directory } = keys;
                expect(await read(keys, sealed(home, ["backup"]), locked, keyPassphrase)).to.equal(dump);
                expect(await read(keys, sealed(home, ["other"]), other)).to.equal(dump);
                expect(await read(keys, sealed(home, ["backup"], "--armor"), locked, keyPassphrase)).to.equal(dump);
                expect(readdirSync(directory)).to.deep.equal(["dump.sql.gpg"]);
            }));

        it("is read when there are several recipients, hidden ones, or a passphrase besides", () =>
            withTwoKeys(async (keys) => {
                const { home, locked, other } = keys;
                expect(await read(keys, sealed(home, ["backup", "other"]), other)).to.equal(dump);
                expect(await read(keys, sealed(home, ["other"], "--throw-keyids"), other)).to.equal(dump);
                const both = ["--symmetric", "--passphrase", passphrase, "--pinentry-mode", "loopback"];
                expect(await read(keys, sealed(home, ["backup"], ...both), locked, keyPassphrase)).to.equal(dump);
                // Its own passphrase, and a key that it is not encrypted to.
                expect(await read(keys, sealed(home, ["backup"], ...both), other, passphrase)).to.equal(dump);
            }));

        it("does not keep files of the same source from being encrypted with the passphrase", () =>
            withTwoKeys(async (keys) => {
                const message = gpgSymmetric(dump, keys.directory);
                expect(await read(keys, message, keys.other, passphrase)).to.equal(dump);
                await expectError("SM-E0920", () => read(keys, message, keys.other));
            }));

        it("is refused with another key, naming both", () =>
            withTwoKeys(async (keys) => {
                const error = await expectError("SM-E0921", () =>
                    read(keys, sealed(keys.home, ["backup"]), keys.other),
                );
                expect(error.detail.found).to.match(
                    /to the key [0-9A-F]{16}; the secret key given is [0-9A-F]{16}, [0-9A-F]{16}/,
                );
                await expectError("SM-E0921", () => read(keys, sealed(keys.home, ["backup"]), undefined, passphrase));
            }));

        it("is refused with a locked key, and none or another passphrase", () =>
            withTwoKeys(async (keys) => {
                const message = sealed(keys.home, ["backup"]);
                const without = await expectError("SM-E0929", () => read(keys, message, keys.locked));
                expect(without.detail.found).to.include("is locked, and no passphrase");
                const wrong = await expectError("SM-E0929", () => read(keys, message, keys.locked, passphrase));
                expect(wrong.detail.found).to.include("the passphrase does not unlock");
            }));

        it("is refused with what is no secret key", () =>
            withTwoKeys(async (keys) => {
                const message = sealed(keys.home, ["backup"]);
                const open = run("gpg", ["--batch", "--armor", "--export", "backup@example.org"], { home: keys.home });
                const error = await expectError("SM-E0929", () => read(keys, message, open.toString()));
                expect(error.detail.found).to.include("public key");
                await expectError("SM-E0929", () => read(keys, message, "not a key"));
                await expectError("SM-E0929", () => read(keys, message, keys.other.slice(0, 200)));
            }));

        it("is refused when it was altered or cut off, wherever", () =>
            withTwoKeys(async (keys) => {
                const message = sealed(keys.home, ["other"]);
                for (const at of [0.3, 0.6, 0.95].map((part) => Math.floor(message.length * part))) {
                    const altered = Buffer.from(message);
                    altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
                    await expectError("SM-E0924", () => read(keys, altered, keys.other));
                    await expectError("SM-E0925", () => read(keys, message.subarray(0, at), keys.other));
                }
                // Within what the session key is encrypted in.
                const altered = Buffer.from(message);
                altered.writeUInt8(altered.readUInt8(70) ^ 1, 70);
                await expectError("SM-E0921", () => read(keys, altered, keys.other));
            }));
    });
}

describe("a secret key", function () {
    this.timeout(60_000);

    it("makes a file recognised that is skipped without it", () =>
        withTwoKeys(async ({ home, directory, other }) => {
            const path = join(directory, "dump.sql.gpg");
            await writeFile(path, sealed(home, ["other"]));
            expect((await recognise(path)).warnings.map(({ id }) => id)).to.deep.equal(["SM-W0920"]);
            expect((await recognise(path, { secretKey: other })).content).to.equal("plain-dump");
        }));

    it("is kept out of all that is said, and so is the session key that gpg repeats", () =>
        withTwoKeys(async ({ home, directory, other }) => {
            registerUnlocking({ secretKey: other });
            for (const line of other.split("\n").filter((each) => each.length === 64))
                expect(redact(`x ${line} y`)).to.equal("x [secret] y");
            expect(redact("-----BEGIN PGP PRIVATE KEY BLOCK-----")).to.include("BEGIN");
            const message = sealed(home, ["other"]);
            const path = join(directory, "dump.sql.gpg");
            await writeFile(path, message.subarray(0, -400));
            const opening = { secretKey: other, workDirectory: directory, openPgp: "gpg" as const };
            const error = await expectError("SM-E0925", () => collect(openLayers([path], opening).stream));
            expect(error.detail.found).to.not.match(/\d:[0-9A-F]{32}/);
        }));

    it("starts no agent, and has gpg keep no file of it", () =>
        withTwoKeys(async ({ home, directory, other }) => {
            const path = join(directory, "dump.sql.gpg");
            await writeFile(path, sealed(home, ["other"]));
            const { stream } = openLayers([path], { secretKey: other, workDirectory: directory, openPgp: "gpg" });
            const seen: string[] = [];
            for await (const chunk of stream) {
                if (chunk.length === 0) continue;
                for (const name of readdirSync(directory).filter((each) => each.startsWith("gnupg-")))
                    seen.push(...readdirSync(join(directory, name)));
                expect(agentsIn(directory)).to.equal("");
            }
            expect(seen.filter((name) => name.startsWith("private-keys") || name.startsWith("S."))).to.deep.equal([]);
            expect(existsSync(path)).to.equal(true);
        }));
});

/** What `gpg --encrypt` makes of the dump. */
function sealed(home: string, recipients: readonly string[], ...more: readonly string[]): Buffer {
    const to = recipients.flatMap((name) => ["--recipient", `${name}@example.org`]);
    return run("gpg", ["--batch", "--trust-model", "always", ...more, ...to, "--encrypt"], { input: dump, home });
}

function newKey(home: string, name: string, algorithm: string, phrase: string): void {
    const loopback = ["--batch", "--pinentry-mode", "loopback", "--passphrase", phrase];
    const id = `${name} <${name}@example.org>`;
    run("gpg", [...loopback, "--quick-gen-key", id, algorithm, algorithm === "rsa3072" ? "sign" : "default", "never"], {
        home,
    });
    if (algorithm !== "rsa3072") return;
    const listed = run("gpg", ["--batch", "--with-colons", "--list-keys", `${name}@example.org`], { home }).toString();
    const fingerprint = /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? "";
    run("gpg", [...loopback, "--quick-add-key", fingerprint, algorithm, "encr", "never"], { home });
}

function exported(home: string, name: string, phrase: string): string {
    const loopback = ["--batch", "--pinentry-mode", "loopback", "--passphrase", phrase];
    return run("gpg", [...loopback, "--armor", "--export-secret-keys", `${name}@example.org`], { home }).toString();
}

/** Agents whose home is below the directory. */
function agentsIn(directory: string): string {
    const processes = execFileSync("ps", ["-eo", "args"]).toString().split("\n");
    return processes.filter((line) => line.includes("gpg-agent") && line.includes(directory)).join("\n");
}
