import { expect } from "chai";
import { Command } from "commander";
import { machineNamed } from "../../../steps/commands/machineOptions.ts";
import { initStack, registerInit } from "../../../steps/commands/init.ts";
import { expectError } from "../../support/expectError.ts";

const hostKey = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)}`;

describe("a machine on the command line", () => {
    it("is this one without an address, and one over ssh with", async () => {
        expect((await machineNamed(undefined, {})).description).to.deep.equal({ kind: "local" });
        expect(await machineNamed("admin@old.example.org:2222", { hostKey: `${hostKey}\n`, sudo: true })).to.deep.equal(
            {
                description: { kind: "ssh", address: "admin@old.example.org:2222", hostKey, become: "sudo" },
                hostKeyFrom: "option",
            },
        );
    });

    it("is refused where it cannot be one (SM-E1451)", async () => {
        const cases = [
            ["root@old example", { hostKey }, /^address$/],
            ["-oProxyCommand=x", {}, /^address$/],
            ["root@old", { hostKey: "AAAA" }, /^--host-key$/],
            ["root@old", { hostKey, identity: "key" }, /^--identity$/],
            [undefined, { sudo: true }, /^--sudo$/],
            [undefined, { hostKey }, /^--host-key$/],
        ] as const;
        for (const [address, options, where] of cases) {
            const { detail } = await expectError("SM-E1451", () => machineNamed(address, options));
            expect(detail.where).to.match(where);
        }
    });
});

describe("init", () => {
    it("takes files or a machine, and not half of each (SM-E1456)", async () => {
        const cases = [
            { from: ["/etc/x.yaml"], login: { sudo: true } },
            { from: ["/etc/x.yaml"], serverName: "example.org" },
            { from: ["root@old", "/etc/x.yaml"] },
            { from: ["root@old"], paths: { "/data": "/srv" } },
        ];
        for (const options of cases) await expectError("SM-E1456", () => initStack({ stack: "s", ...options }));
    });

    it("writes no stack with a target of a kind that it does not know (SM-E1457)", async () => {
        const program = new Command().exitOverride();
        registerInit(program);
        const words = "init --from root@old --to kubernetes --stack s".split(" ");
        const { detail } = await expectError("SM-E1457", () => program.parseAsync(words, { from: "user" }));
        expect(detail.found).to.equal("kubernetes");
    });
});
