import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { installedVersion } from "../../toolchain/installedPackages.ts";
import { projectFileProblem } from "../../toolchain/projectFile.ts";
import { cliProblem, nodeProblem, packageProblem, pinnedNames } from "../../toolchain/runtimeRules.ts";

const root = dirname(dirname(import.meta.dirname));

describe("by what the program may be run", () => {
    it("is Node from 20.19.0 on", () => {
        for (const version of ["20.19.0", "20.20.2", "22.0.0", "24.1.0"])
            expect(nodeProblem(version, "node"), version).to.equal(undefined);
        for (const version of ["20.18.9", "18.20.4", "16.20.2"])
            expect(nodeProblem(version, "node")?.code, version).to.equal("SM-E0224");
    });

    it("is exactly the pinned packages", () => {
        for (const name of pinnedNames) expect(packageProblem(name, installedVersion(name)), name).to.equal(undefined);
        for (const version of ["1.2.2", "v4.5.0", undefined])
            expect(packageProblem("@pulumi/command", version)?.code).to.equal("SM-E0223");
        expect(packageProblem("@pulumi/pulumi", "3.270.0")?.detail).to.include({
            found: "@pulumi/pulumi 3.270.0",
            expected: "exactly 3.248.0",
        });
        expect(installedVersion("@pulumi/nothing")).to.equal(undefined);
    });

    it("is a CLI that is new enough, and of major version 3", () => {
        expect(cliProblem("3.250.0", "pulumi")).to.equal(undefined);
        expect(cliProblem("3.271.4", "pulumi")).to.equal(undefined);
        for (const version of ["3.249.1", "2.25.2", "4.0.0", "unknown"])
            expect(cliProblem(version, "pulumi")?.code, version).to.equal("SM-E0226");
    });
});

describe("Pulumi.yaml", () => {
    let directory: string;
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-project-file-"));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    it("of this project has the program loaded by tsx alone", () => {
        expect(projectFileProblem(root)).to.equal(undefined);
    });

    for (const [text, found] of [
        ["runtime: nodejs", "no typescript, which Pulumi takes for true"],
        ["runtime: {name: nodejs, options: {nodeargs: --import tsx}}", "no typescript, which Pulumi takes for true"],
        ["runtime: {name: nodejs, options: {typescript: true, nodeargs: --import tsx}}", "typescript: true"],
        ['runtime: {name: nodejs, options: {typescript: "false", nodeargs: --import tsx}}', 'typescript: "false"'],
        ["runtime: {name: nodejs, options: {typescript: false}}", "no nodeargs: Node is not told of tsx"],
        ["runtime: {name: nodejs, options: {typescript: false, nodeargs: -r x}}", 'nodeargs: "-r x"'],
        ["name: [", "a file that is missing, or that does not say how the program is run"],
    ] as const) {
        it(`is refused with SM-E0225 as ${text}`, async () => {
            await writeFile(join(directory, "Pulumi.yaml"), text);
            const problem = projectFileProblem(directory);
            expect([problem?.code, problem?.detail.found]).to.deep.equal(["SM-E0225", found]);
        });
    }

    it("may give Node more arguments than the one that is needed", async () => {
        const text =
            "runtime: {name: nodejs, options: {typescript: false, nodeargs: --enable-source-maps --import=tsx}}";
        await writeFile(join(directory, "Pulumi.yaml"), text);
        expect(projectFileProblem(directory)).to.equal(undefined);
    });
});
