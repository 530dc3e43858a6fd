import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { expect } from "chai";
import { ensureS3Server, findS3Server } from "../../toolchain/s3Server.ts";
import { s3ServerVersion } from "../../toolchain/versions.ts";
import { codeOf, FakeMachine, keptProgress } from "./fakeMachine.ts";

const cached = `home/.cache/synapse-migration/versitygw-${s3ServerVersion}/versitygw`;

describe("the S3 server of the tests", () => {
    let machine: FakeMachine;
    beforeEach(async () => {
        machine = await FakeMachine.make();
    });
    afterEach(() => machine.remove());

    it("is built once, into a file that gets its name at the end, and then found", async () => {
        await machine.program("bin/go");
        machine.answer = async (_, args) => {
            const output = args[args.indexOf("-o") + 1] ?? "";
            expect(output).to.match(/\.partial$/);
            await machine.program(output.slice(machine.root.length));
            return "";
        };
        expect(findS3Server(machine)).to.equal(undefined);
        const made = await ensureS3Server(machine, keptProgress());
        expect(made).to.deep.equal({ program: `${machine.root}/${cached}`, version: s3ServerVersion });
        expect(await readdir(dirname(made.program))).to.deep.equal(["versitygw"]);
        expect(await ensureS3Server(machine, keptProgress())).to.deep.equal(made);
        expect(machine.runs).to.have.length(1);
    });

    it("leaves nothing behind when the build fails", async () => {
        await machine.program("bin/go");
        machine.answer = () => undefined;
        expect(await codeOf(ensureS3Server(machine, keptProgress()))).to.equal("SM-E1101");
        expect(await readdir(dirname(`${machine.root}/${cached}`))).to.deep.equal([]);
    });

    it("is an error with a way on where there is no Go", async () => {
        expect(await codeOf(ensureS3Server(machine, keptProgress()))).to.equal("SM-E1180");
    });
});
