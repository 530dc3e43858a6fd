import { existsSync } from "node:fs";
import { execa } from "execa";
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import * as contracts from "../../contract/index.ts";
import { phaseOf, stepNamed, stepNames } from "../../steps/registry.ts";
import { withWorkDirectory } from "../support/workDirectory.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Call {
    readonly args: readonly string[];
    readonly input?: string;
    readonly environment?: Record<string, string>;
}

async function call({
    args,
    input = "",
    environment = {},
}: Call): Promise<{ code: number; stdout: string; stderr: string }> {
    const { exitCode, stdout, stderr } = await execa(process.execPath, ["steps/synapse-migrate.mjs", ...args], {
        cwd: root,
        input,
        env: environment,
        reject: false,
        timeout: 60_000,
    });
    return { code: exitCode ?? -1, stdout, stderr };
}

describe("synapse-migrate", () => {
    it("has a subcommand for the contract of every step, in the contract's phase", async () => {
        const named = Object.values(contracts).flatMap((contract) => {
            const isContract = typeof contract === "object" && "phase" in contract && "result" in contract;
            return isContract ? [contract] : [];
        });
        expect([...stepNames].sort()).to.deep.equal(named.map(({ name }) => name).sort());
        for (const { name, phase } of named) {
            expect(phaseOf(name), name).to.equal(phase);
            expect((await stepNamed(name))?.contract.name).to.equal(name);
        }
    });

    it("lists its commands, and those that only people use", async () => {
        const { code, stdout } = await call({ args: ["--help"] });
        expect(code).to.equal(0);
        for (const command of ["fence", "restore", "status", "init"]) expect(stdout).to.contain(command);
    });

    it("does a step, answers from the journal, and takes it back", () =>
        withWorkDirectory(async (directory) => {
            const input = JSON.stringify({ run: { id: "r1", directory }, serverName: "a.test" });
            const step = (flag: string) => call({ args: ["guard-stage", flag], input });
            expect(await step("--do")).to.deep.include({ code: 0, stdout: '{"guards":"stage"}' });
            expect((await step("--do")).stderr).to.contain("the journal has the answer");
            expect(await step("--undo")).to.deep.include({ code: 0, stdout: "" });
            const status = await call({ args: ["status", directory] });
            expect(status.stdout).to.match(/^guard-stage {2}clean {2}undone/);
        }));

    it("prints the journal's result for --reprint, changes nothing, and refuses what says something else", () =>
        withWorkDirectory(async (directory) => {
            const run = { id: "r1", directory };
            const step = (flag: string, serverName: string) =>
                call({ args: ["guard-stage", flag], input: JSON.stringify({ run, serverName }) });
            await step("--do", "a.test");
            const journal = () => readFile(join(directory, "journal.jsonl"), "utf8");
            const before = await journal();
            expect(await step("--reprint", "a.test")).to.deep.include({ code: 0, stdout: '{"guards":"stage"}' });
            const changed = await step("--reprint", "b.test");
            expect(changed).to.deep.include({ code: 7, stdout: "" });
            expect(changed.stderr).to.match(/SM-E0717[\s\S]*another value of serverName[\s\S]*phase `assess`/);
            expect(await journal()).to.equal(before);

            await step("--undo", "a.test");
            const undone = await step("--reprint", "a.test");
            expect(undone).to.deep.include({ code: 7, stdout: "" });
            expect(undone.stderr).to.match(/SM-E0715[\s\S]*its last record is "undone"/);
        }));

    it("has no result to print again where the journal is another one, and makes none", () =>
        withWorkDirectory(async (directory) => {
            const input = JSON.stringify({ run: { id: "r1", directory }, serverName: "a.test" });
            const { code, stdout, stderr } = await call({ args: ["guard-stage", "--reprint"], input });
            expect({ code, stdout }).to.deep.equal({ code: 7, stdout: "" });
            expect(stderr).to.match(/SM-E0715[\s\S]*no journal, or an empty one/);
            expect(existsSync(directory)).to.equal(false);
        }));

    it("wants exactly one thing to do", async () => {
        for (const args of [["fence"], ["fence", "--do", "--undo"]]) {
            const { code, stderr } = await call({ args, input: "{}" });
            expect(code).to.equal(2);
            expect(stderr).to.contain("exactly one of --do, --again, --undo and --reprint");
        }
    });

    it("refuses input that is no specification, without repeating it", async () => {
        const { code, stderr } = await call({ args: ["fence", "--do"], input: '{"pepper": "canary-secret' });
        expect(code).to.equal(2);
        expect(stderr).to.contain("SM-E0200").and.to.contain("nothing was changed").and.not.to.contain("canary-secret");
        expect((await call({ args: ["fence", "--do"], input: "x".repeat(1024 * 1024 + 1) })).stderr).to.contain(
            "more than 1048576 bytes",
        );
    });

    it("takes no secret from the command line, and does not repeat it (B14)", async () => {
        for (const args of [
            ["fence", "--pepper=hush-hush"],
            ["init", "--signing-key", "hush-hush"],
        ]) {
            const { code, stderr } = await call({ args });
            expect(code).to.equal(2);
            expect(stderr).to.contain("SM-E0210").and.not.to.contain("hush-hush");
        }
    });

    it("answers a quick assessment without a journal, and reports what it cannot read as a finding", () =>
        withWorkDirectory(async (directory) => {
            const spec = {
                run: { directory },
                source: {
                    kind: "selfHosted",
                    serverName: "a.test",
                    homeserverConfig: ["/no/such/homeserver.yaml"],
                    machine: { kind: "local" },
                    service: { kind: "process", pidFile: "/no/such.pid" },
                },
                targetDirectory: join(directory, "target"),
                targetPython: "/usr/bin/python3",
                quick: true,
                enforce: false,
            };
            const { code, stdout } = await call({ args: ["assess", "--do"], input: JSON.stringify(spec) });
            expect(code).to.equal(0);
            expect(contracts.assessContract.result.parse(JSON.parse(stdout)).errors).to.be.greaterThan(0);
            expect(await readFile(join(directory, "journal.jsonl"), "utf8").catch(() => "absent")).to.equal("absent");
        }));
});
