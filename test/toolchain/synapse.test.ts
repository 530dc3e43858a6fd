import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { thisMachine } from "../../toolchain/machine.ts";
import { ensureSynapse, findPython, findSynapse, missingPackages, type PythonFacts } from "../../toolchain/synapse.ts";
import { synapseVersion } from "../../toolchain/versions.ts";
import { codeOf, FakeMachine, keptProgress } from "./fakeMachine.ts";

const facts = (changes: Partial<PythonFacts> = {}): string =>
    JSON.stringify({
        executable: "/usr/bin/python3.11",
        version: "3.11.2",
        hasVenv: true,
        hasHeaders: true,
        isSystem: true,
        ...changes,
    });

describe("Synapse's environment", () => {
    let machine: FakeMachine;
    beforeEach(async () => {
        machine = await FakeMachine.make();
        for (const header of ["libpq-fe.h", "stdlib.h"]) machine.headers.add(header);
        for (const program of ["python3", "pg_config", "gcc"]) await machine.program(`bin/${program}`);
        machine.answer = async (_, args) => {
            const directory = args[1] === "venv" ? args[2] : undefined;
            if (directory !== undefined)
                await machine.program(join(directory.slice(machine.root.length), "bin/python"));
            return facts();
        };
    });
    afterEach(() => machine.remove());

    it("is made once, from the pinned requirements, and found after that", async () => {
        const made = await ensureSynapse(machine, keptProgress());
        expect(made.version).to.equal(synapseVersion);
        expect(machine.runs.filter((run) => run.includes("synapse-requirements.txt"))).to.have.length(1);
        machine.runs.length = 0;
        expect(await ensureSynapse(machine, keptProgress())).to.deep.equal(made);
        expect(machine.runs).to.deep.equal([]);
    });

    it("is made again when it was left half made", async () => {
        const { python } = await ensureSynapse(machine, keptProgress());
        const directory = dirname(dirname(python));
        await writeFile(join(directory, ".finished"), "");
        await writeFile(join(directory, "left over"), "");
        expect(await findSynapse(machine)).to.equal(undefined);
        await ensureSynapse(machine, keptProgress());
        expect(existsSync(join(directory, "left over"))).to.equal(false);
        expect(await readFile(join(directory, ".finished"), "utf8")).to.equal(`${synapseVersion}\n`);
    });

    it("is made in the system's cache when the user who runs it could not enter ours", async () => {
        machine.unreachable = ["home"];
        const { python } = await ensureSynapse(machine, keptProgress());
        expect(python.startsWith(join(machine.root, "var/cache/synapse-migration/"))).to.equal(true);
        expect(await findSynapse(machine)).to.deep.equal({ python, version: synapseVersion });
    });

    it("has no finished marker when pip fails", async () => {
        const { answer } = machine;
        machine.answer = (program, args) => (args.includes("pip") ? undefined : answer(program, args));
        expect(await codeOf(ensureSynapse(machine, keptProgress()))).to.equal("SM-E1101");
        expect(await findSynapse(machine)).to.equal(undefined);
    });

    it("has what it needs to be built installed first, as root", async () => {
        machine.isRoot = true;
        machine.headers.clear();
        await ensureSynapse(machine, keptProgress());
        expect(machine.runs.find((run) => run.includes("install"))).to.match(/libpq-dev libc6-dev$/);
    });

    it("is an error that names the packages when they cannot be installed", async () => {
        machine.headers.clear();
        expect(await codeOf(ensureSynapse(machine, keptProgress()))).to.equal("SM-E1180");
    });

    it("is an error when Python stays incomplete", async () => {
        machine.answer = () => facts({ hasVenv: false, isSystem: false });
        expect(await codeOf(ensureSynapse(machine, keptProgress()))).to.equal("SM-E1180");
    });
});

describe("the Python that Synapse is built on", () => {
    let machine: FakeMachine;
    beforeEach(async () => {
        machine = await FakeMachine.make();
        for (const name of ["python3", "python3.12", "python3.10"]) await machine.program(`bin/${name}`);
    });
    afterEach(() => machine.remove());

    it("is the first complete one that is new enough; names that do not run are passed over", async () => {
        machine.answer = (program) => {
            if (program.endsWith("python3")) return facts({ version: "3.9.2" });
            if (program.endsWith("python3.12")) return undefined;
            return facts({ version: "3.10.0" });
        };
        expect((await findPython(machine))?.version).to.equal("3.10.0");
    });

    it("is the system's incomplete one when there is none better, and its packages complete it", async () => {
        machine.answer = () => facts({ hasVenv: false, hasHeaders: false });
        const python = await findPython(machine);
        expect(python?.program).to.match(/python3$/);
        expect(missingPackages(machine, python)).to.include.members([
            "python3-venv",
            "python3-dev",
            "libpq-dev",
            "gcc",
        ]);
    });

    it("is not one that the user who runs Synapse cannot reach; the system's is looked at too", async () => {
        machine.unreachable = ["bin"];
        machine.answer = (program) => facts({ executable: program });
        expect(await findPython(machine)).to.equal(undefined);
        const program = await machine.program("usr/bin/python3");
        expect((await findPython(machine))?.program).to.equal(program);
    });

    it("is the system's when there is none at all", async () => {
        machine.answer = () => undefined;
        const python = await findPython(machine);
        expect(python).to.equal(undefined);
        expect(missingPackages(machine, python)).to.include.members(["python3", "python3-venv", "python3-dev"]);
    });

    it("is found on this machine", async () => {
        expect((await findPython(thisMachine()))?.version).to.match(/^3\.\d+\.\d+$/);
    });
});
