import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
    destinationIn,
    destinationOf,
    fingerprintOf,
    keysIn,
    knownHostKey,
    shownHostKey,
} from "../../../engine/machines/ssh/hostKey.ts";
import { runProgram } from "../../../engine/machines/program.ts";
import { expectError } from "../../support/expectError.ts";
import { makeKey } from "../../../rehearsal/machines/sshAccess.ts";

describe("the host key of a machine", () => {
    let directory: string;
    before(async () => {
        directory = await mkdtemp(join(tmpdir(), "host-key-"));
    });
    after(() => rm(directory, { recursive: true }));

    it("is looked for under the name that ssh knows the machine by", () => {
        const text = "hostname 192.0.2.7\nport 2222\nuserknownhostsfile ~/.ssh/known_hosts /etc/k\nproxyjump none\n";
        expect(destinationIn(text, "old")).to.deep.include({
            host: "192.0.2.7",
            port: "2222",
            knownAs: "[192.0.2.7]:2222",
        });
        expect(destinationIn(text, "old").knownHostsFiles.at(-1)).to.equal("/etc/k");
        expect(destinationIn(`${text}hostkeyalias old\n`, "old").knownAs).to.equal("old");
        expect(destinationIn("hostname a\nport 22\nproxyjump b\n", "a")).to.deep.include({
            knownAs: "a",
            isBehindAnother: true,
        });
    });

    it("is asked of ssh as it is configured", async () => {
        expect(await destinationOf("root@192.0.2.7:2222")).to.deep.include({ host: "192.0.2.7", port: "2222" });
    });

    it("is the best of known_hosts, hashed names included; revoked keys and authorities are none", async () => {
        const { publicKey } = await makeKey();
        const file = join(directory, "known_hosts");
        const key = publicKey.split(" ").slice(0, 2).join(" ");
        await writeFile(file, `@revoked h ssh-ed25519 AAAA\nh ssh-rsa BBBB\nh ${key}\n`);
        const knows = (): Promise<string | undefined> =>
            knownHostKey({
                host: "h",
                port: "22",
                knownAs: "h",
                knownHostsFiles: [file, "/not/there"],
                isBehindAnother: false,
            });
        expect(await knows()).to.equal(key);
        await runProgram("ssh-keygen", ["-q", "-H", "-f", file], { timeoutSeconds: 20 });
        expect(await knows()).to.equal(key);
        expect(keysIn("@cert-authority * ssh-rsa AAAA\n# x\n")).to.deep.equal([]);
    });

    it("has the fingerprint that ssh-keygen shows", async () => {
        const { publicKey } = await makeKey();
        const file = join(directory, "key.pub");
        await writeFile(file, `${publicKey}\n`);
        const { stdout } = await runProgram("ssh-keygen", ["-lf", file], { timeoutSeconds: 20 });
        expect(stdout).to.contain(` ${fingerprintOf(publicKey)} `);
    });

    it("cannot be asked for where another machine is on the way (SM-E1450), or nothing answers (SM-E1401)", async () => {
        const at = { host: "127.0.0.1", port: "1", knownAs: "x", knownHostsFiles: [] };
        await expectError("SM-E1450", () => shownHostKey({ ...at, isBehindAnother: true }));
        await expectError("SM-E1401", () => shownHostKey({ ...at, isBehindAnother: false }));
    });
});
