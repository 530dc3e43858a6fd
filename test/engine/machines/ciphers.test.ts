import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { runProgram } from "../../../engine/machines/program.ts";
import { cipherArguments, preferredFirst } from "../../../engine/machines/ssh/ciphers.ts";
import { sshEnvironment } from "../../../engine/machines/ssh/environment.ts";
import { masterArguments, sshFiles } from "../../../engine/machines/ssh/sshOptions.ts";

const withAes = "processor\t: 0\nflags\t\t: fpu sse2 aes xsave\n";
const ssh = ["chacha20-poly1305@openssh.com", "aes128-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];

describe("the cipher of a connection to another machine", () => {
    it("is AES where the processor does it by itself, before all others in their own order", () => {
        expect(preferredFirst(ssh, withAes)).to.deep.equal([
            "aes128-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
            "aes128-ctr",
            "aes256-gcm@openssh.com",
        ]);
        expect(preferredFirst(ssh, "processor\t: 0\nFeatures\t: fp asimd aes sha2\n")).to.have.length(4);
    });

    it("is ssh's own choice on a processor without it, and where ssh may not use it", () => {
        expect(preferredFirst(ssh, "flags\t\t: fpu sse2 vaes\n")).to.equal(undefined);
        expect(preferredFirst(ssh, "")).to.equal(undefined);
        expect(preferredFirst(["chacha20-poly1305@openssh.com"], withAes)).to.equal(undefined);
    });

    it("is one of those that ssh's configuration allows, and ssh takes the list", async () => {
        const directory = await mkdtemp(join(tmpdir(), "ciphers-"));
        try {
            const machine = { kind: "ssh", address: "there.example.org", hostKey: "ssh-ed25519 AAAA" } as const;
            const args = masterArguments(machine, sshFiles(directory));
            const listed = async (more: readonly string[]): Promise<string[]> => {
                const options = { environment: sshEnvironment(), timeoutSeconds: 30 };
                const { stdout } = await runProgram("ssh", ["-G", ...more, ...args], options);
                return /^ciphers (\S+)$/m.exec(stdout)?.[1]?.split(",") ?? [];
            };
            const narrow = ["-o", "Ciphers=aes256-ctr,aes128-gcm@openssh.com"];
            const [own, ours] = [await listed([]), await listed(await cipherArguments(args))];
            expect([...ours].sort()).to.deep.equal([...own].sort());
            const narrowed = await listed(await cipherArguments([...narrow, ...args]));
            expect([...narrowed].sort()).to.deep.equal(["aes128-gcm@openssh.com", "aes256-ctr"]);
        } finally {
            await rm(directory, { recursive: true });
        }
    });
});
