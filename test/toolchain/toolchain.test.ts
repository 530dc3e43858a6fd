import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { findOnPath, pulumiHome } from "../../toolchain/findProgram.ts";
import { cacheDirectory, thisMachine } from "../../toolchain/machine.ts";
import {
    ensureArchivePrograms,
    ensureChromium,
    findChromium,
    requireSystemPrograms,
} from "../../toolchain/systemPrograms.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { describe as describePrerequisites, isMet, prerequisites } from "../../toolchain/doctor.ts";
import { postgresPrograms } from "../../toolchain/postgres.ts";
import { codeOf, FakeMachine, keptProgress } from "./fakeMachine.ts";

describe("the toolchain", () => {
    let machine: FakeMachine;
    beforeEach(async () => {
        machine = await FakeMachine.make();
        for (const program of ["setpriv", "flock"]) await machine.program(`bin/${program}`);
    });
    afterEach(() => machine.remove());

    it("is told at once when everything is there: about a second on a quiet machine", async () => {
        await ensureToolchain({ pulumi: true, postgres: true }, () => undefined);
        const started = performance.now();
        const lines: string[] = [];
        const { pulumi, postgres } = await ensureToolchain(
            { pulumi: true, postgres: true },
            (line) => void lines.push(line),
        );
        expect((performance.now() - started) / 1000).to.be.below(10);
        expect(pulumi?.version).to.match(/^3\./);
        expect(pulumi?.environment["PULUMI_SKIP_UPDATE_CHECK"]).to.equal("true");
        expect(lines.some((line) => line.includes("offline plugins in use"))).to.equal(pulumi?.plugins === "offline");
        expect(postgres?.directory).to.be.a("string");
    });

    it("holds only what was asked for", async () => {
        expect(await ensureToolchain({}, () => undefined, machine)).to.deep.equal({});
        expect(machine.runs).to.deep.equal([]);
    });

    it("is set up once when two ask at the same time", async () => {
        machine.isRoot = true;
        machine.answer = async (program, args) => {
            if (args.includes("install"))
                for (const each of postgresPrograms) await machine.program(`usr/lib/postgresql/15/bin/${each}`);
            return program === "apt-get" ? "" : "postgres (PostgreSQL) 15.18";
        };
        const set = (): ReturnType<typeof ensureToolchain> =>
            ensureToolchain({ postgres: true }, () => undefined, machine);
        const [one, other] = await Promise.all([set(), set()]);
        expect(one).to.deep.equal(other);
        expect(machine.runs.filter((run) => run.includes("install"))).to.have.length(1);
    });

    it("cannot be set up without the programs that everything is run with", async () => {
        machine.environment["PATH"] = "/nowhere";
        expect(await codeOf(ensureToolchain({ postgres: true }, () => undefined, machine))).to.equal("SM-E1180");
        expect(() => requireSystemPrograms(machine)).to.throw("no setpriv and no flock");
    });

    it("has the programs that exports are made with, or installs those that are missing", async () => {
        expect(await codeOf(ensureArchivePrograms(machine, keptProgress()))).to.equal("SM-E1180");
        machine.isRoot = true;
        for (const name of ["gpg", "gpgconf"]) await machine.program(`bin/${name}`);
        expect(await codeOf(ensureArchivePrograms(machine, keptProgress())), "apt-get brought nothing").to.equal(
            "SM-E1180",
        );
        machine.answer = async (_, args) => {
            if (args.includes("install"))
                for (const name of ["zip", "xz", "zstd"]) await machine.program(`bin/${name}`);
            return "";
        };
        await ensureArchivePrograms(machine, keptProgress());
        const installed = machine.runs.filter((run) => run.includes("install"));
        expect(installed.at(-1)).to.contain("zip xz-utils zstd").and.not.to.contain("gnupg");
        await ensureArchivePrograms(machine, keptProgress());
        expect(machine.runs.filter((run) => run.includes("install"))).to.have.length(installed.length);
    });

    it("has a browser of any of its names, or installs one", async () => {
        machine.isRoot = true;
        expect(await codeOf(ensureChromium(machine, keptProgress()))).to.equal("SM-E1180");
        machine.answer = async (_, args) => {
            if (args.includes("install")) await machine.program("bin/chromium");
            return "";
        };
        expect(await ensureChromium(machine, keptProgress())).to.match(/\/chromium$/);
        machine.environment["PATH"] = `${machine.root}/other`;
        await machine.program("other/google-chrome");
        expect(findChromium(machine)).to.match(/google-chrome$/);
    });
});

describe("the machine", () => {
    it("keeps the cache where XDG says, when that is absolute", () => {
        expect(cacheDirectory({ XDG_CACHE_HOME: "/c", HOME: "/h" })).to.equal("/c/synapse-migration");
        expect(cacheDirectory({ XDG_CACHE_HOME: "c", HOME: "/h" })).to.equal("/h/.cache/synapse-migration");
    });

    it("keeps Pulumi's things where PULUMI_HOME says", () => {
        expect(pulumiHome({ PULUMI_HOME: "/p", HOME: "/h" })).to.equal("/p");
        expect(pulumiHome({ HOME: "/h" })).to.equal("/h/.pulumi");
        expect(pulumiHome({})).to.match(/^\/.*\.pulumi$/);
    });

    it("looks for programs in absolute directories only", () => {
        expect(findOnPath("node", ".::relative")).to.equal(undefined);
        expect(findOnPath("env", "/nowhere:/usr/bin")).to.equal("/usr/bin/env");
    });

    it("passes proxies on to installers, but not Pulumi's secrets", async () => {
        const machine = thisMachine({ ...process.env, HTTPS_PROXY: "proxy", PULUMI_CONFIG_PASSPHRASE: "canary" });
        const { stdout } = await machine.run("env", [], { timeoutSeconds: 10 });
        expect(stdout).to.include("HTTPS_PROXY=proxy").and.not.to.include("canary");
    });
});

describe("the doctor", () => {
    it("lists every prerequisite with version and origin", async () => {
        const list = await prerequisites(thisMachine());
        for (const name of [
            "node",
            "npm packages",
            "pulumi CLI",
            "pulumi-language-nodejs",
            "pulumi-resource-command",
            "python",
        ])
            expect(list.find((each) => each.name === name)?.version, name).to.be.a("string");
        for (const name of [
            "go",
            "postgres server and clients",
            "synapse",
            "setpriv",
            "flock",
            "gpg",
            "zip",
            "chromium",
        ])
            expect(list.map((each) => each.name)).to.include(name);
    });

    it("gives the command that fixes what is missing", async () => {
        const machine = await FakeMachine.make();
        try {
            const list = await prerequisites(machine);
            const lines = describePrerequisites(list).join("\n");
            expect(list.every(isMet)).to.equal(false);
            expect(lines).to.match(/MISSING pulumi CLI +not found\n +fix: npm run toolchain/);
            expect(lines)
                .to.match(/MISSING synapse/)
                .and.to.match(/MISSING go/);
        } finally {
            await machine.remove();
        }
    });

    it("shows the block of what is there and wrong: Pulumi.yaml, a stack's passphrase, an old pulumi on PATH", async () => {
        const machine = await FakeMachine.make();
        try {
            await machine.program("bin/pulumi");
            // npm puts its launcher before what the user has.
            await machine.program("npm/pulumi", "#!/usr/bin/env node\n");
            machine.environment["PATH"] = ["npm", "bin"].map((name) => join(machine.root, name)).join(":");
            machine.answer = (_, args) => (args[0] === "version" ? "v3.100.0" : undefined);
            await mkdir(join(machine.root, "stacks"));
            await writeFile(join(machine.root, "Pulumi.yaml"), "name: x\nruntime: nodejs\n");
            await writeFile(join(machine.root, "stacks/Pulumi.prod.yaml"), "encryptionsalt: v1:a:v1:b:c\n");
            const list = await prerequisites(machine, { project: machine.root, stack: "prod" });
            const codes = list.flatMap(({ name, problem }) =>
                problem === undefined ? [] : [`${problem.code} ${name}`],
            );
            expect(codes).to.deep.equal([
                "SM-E0225 Pulumi.yaml",
                "SM-E0221 secrets of prod",
                "SM-E0226 pulumi on PATH",
            ]);
            expect(list.every(isMet)).to.equal(false);
            const lines = describePrerequisites(list).join("\n");
            expect(lines).to.match(/WRONG +secrets of prod +neither [^]*SM-E0221 [^]*fix +name a file of mode 0600/);
            expect(lines).to.match(/SM-E0226 [^]*found +Pulumi 3\.100\.0/);
            const other = await prerequisites(machine, { project: machine.root, stack: "dev" });
            expect(describePrerequisites(other).join("\n")).to.match(
                /MISSING secrets of dev[^]*fix: npx synapse-migrate/,
            );
        } finally {
            await machine.remove();
        }
    });

    it("does not call missing what is not needed where its purpose is served", () => {
        const [line] = describePrerequisites([{ name: "go", fix: "install Go", optional: true }]);
        expect(line).to.match(/^ok +go +not there, not needed here$/);
    });
});
