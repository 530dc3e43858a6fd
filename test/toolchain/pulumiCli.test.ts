import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { expect } from "chai";
import { cachedCli, ensurePulumiCli, findPulumiCli } from "../../toolchain/pulumiCli.ts";
import { pulumiVersion } from "../../toolchain/versions.ts";
import { codeOf, FakeMachine, keptProgress } from "./fakeMachine.ts";

const cached = `pulumi/versions/${pulumiVersion}/bin/pulumi`;

describe("the Pulumi CLI", () => {
    let machine: FakeMachine;
    beforeEach(async () => {
        machine = await FakeMachine.make();
        machine.answer = (_, args) => (args[0] === "version" ? `v${pulumiVersion}` : "");
    });
    afterEach(() => machine.remove());

    it("is looked for where the npm package keeps it, before PATH", async () => {
        const program = await machine.program(cached);
        await machine.program("bin/pulumi");
        expect(cachedCli(machine)).to.equal(program);
        expect(await findPulumiCli(machine)).to.deep.equal({ program, version: pulumiVersion });
    });

    it("is taken from PATH when it is there and new enough", async () => {
        const program = await machine.program("bin/pulumi");
        machine.answer = () => "v3.260.1\n";
        expect(await findPulumiCli(machine)).to.deep.equal({ program, version: "3.260.1" });
    });

    for (const version of ["v3.249.9", "v4.0.0", "no version"]) {
        it(`is not taken from PATH as ${version}`, async () => {
            await machine.program("bin/pulumi");
            machine.answer = () => version;
            expect(await findPulumiCli(machine)).to.equal(undefined);
        });
    }

    it("is not the npm package's own launcher on PATH, which would start a download when asked", async () => {
        await machine.program("bin/pulumi", "#!/usr/bin/env node\n");
        expect(await findPulumiCli(machine)).to.equal(undefined);
        expect(machine.runs).to.deep.equal([]);
    });

    it("is not taken when what is there does not run", async () => {
        await machine.program(cached);
        machine.answer = () => undefined;
        expect(await findPulumiCli(machine)).to.equal(undefined);
    });

    it("is downloaded by the npm package when that works, and not built", async () => {
        await machine.program("bin/go");
        machine.answer = async (program) => {
            if (program === process.execPath) await machine.program(cached);
            return `v${pulumiVersion}`;
        };
        expect((await ensurePulumiCli(machine, keptProgress())).version).to.equal(pulumiVersion);
        expect(machine.runs.filter((run) => run.startsWith("bin/go"))).to.deep.equal([]);
    });

    it("is built where the download does not work, into a file that gets its name at the end", async () => {
        await machine.program("bin/go");
        machine.answer = async (program, args) => {
            if (program === process.execPath) return undefined;
            const output = args[args.indexOf("-o") + 1];
            if (program.endsWith("/go") && output !== undefined) {
                expect(output).to.match(/\.partial$/);
                await machine.program(output.slice(machine.root.length));
            }
            return `v${pulumiVersion}`;
        };
        const progress = keptProgress();
        const { program } = await ensurePulumiCli(machine, progress);
        expect(program).to.equal(cachedCli(machine));
        expect(await readdir(dirname(program))).to.deep.equal(["pulumi"]);
        expect(progress.lines.join("\n")).to.include("download did not work").and.to.include("building Pulumi");
    });

    it("leaves nothing behind when the build fails", async () => {
        await machine.program("bin/go");
        machine.answer = () => undefined;
        expect(await codeOf(ensurePulumiCli(machine, keptProgress()))).to.equal("SM-E1101");
        expect(await readdir(dirname(cachedCli(machine)))).to.deep.equal([]);
    });

    it("is an error with a way on where it can be neither downloaded nor built", async () => {
        machine.answer = () => undefined;
        expect(await codeOf(ensurePulumiCli(machine, keptProgress()))).to.equal("SM-E1180");
    });

    it("is an error when what was set up is of another version", async () => {
        machine.answer = async (program) => {
            if (program === process.execPath) await machine.program(cached);
            return "v3.1.0";
        };
        expect(await codeOf(ensurePulumiCli(machine, keptProgress()))).to.equal("SM-E1180");
    });
});
