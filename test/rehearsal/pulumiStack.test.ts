import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { PulumiStack } from "../../rehearsal/pulumiStack.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { untilTrue } from "../support/waiting.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";

/** Writes down how it was called, and does what the real one does to files; fails and hangs on demand. */
const cli = `#!${process.execPath}
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
const words = process.argv.slice(2);
const directory = import.meta.dirname;
appendFileSync(directory + "/calls", JSON.stringify({ words, environment: process.env }) + "\\n");
if (words.includes("init")) {
    mkdirSync("stacks", { recursive: true });
    writeFileSync("stacks/Pulumi." + words.at(-1) + ".yaml", "encryptionsalt: v1");
}
if (words.includes("--secret")) appendFileSync(directory + "/secrets", readFileSync(0));
if (words.includes("output")) console.log('{"gatewayUrl":"http://127.0.0.1:1"}');
if (words.includes("up") && existsSync(directory + "/fail")) {
    console.log("Updating\\n\\nDiagnostics:\\n  warning: using pulumi-x from $PATH\\n  SM-E0801 another server: s3cret-value");
    process.exitCode = 255;
}
if (words.includes("preview") && existsSync(directory + "/hang")) {
    process.on("SIGINT", () => process.exit(1));
    console.log("hanging");
    setInterval(() => {}, 1000);
}
`;

describe("the stack of a rehearsal", () => {
    let directory: string;
    let stack: PulumiStack;
    let said: string[];
    let aborter: AbortController;

    beforeEach(async () => {
        directory = mkdtempSync(join(tmpdir(), "rehearsal-stack-"));
        for (const name of ["project", "pulumi"]) mkdirSync(join(directory, name));
        writeFileSync(join(directory, "package.json"), '{"type":"module"}');
        writeFileSync(join(directory, "cli"), cli);
        chmodSync(join(directory, "cli"), 0o755);
        said = [];
        aborter = new AbortController();
        stack = await PulumiStack.create({
            name: "rehearsal-1",
            pulumi: {
                program: join(directory, "cli"),
                home: join(directory, "home"),
                environment: {},
                plugins: "offline",
                version: "3.250.0",
            },
            projectDirectory: join(directory, "project"),
            directory: join(directory, "pulumi"),
            config: { serverName: "rehearsal.test", source: { kind: "selfHosted" } },
            secrets: { pepper: "s3cret-value" },
            progress: lineProgress("pulumi", (line) => said.push(line), redact),
            signal: aborter.signal,
        });
    });

    afterEach(() => {
        rmSync(directory, { recursive: true, force: true });
    });

    const calls = (): string => readFileSync(join(directory, "calls"), "utf8");
    const thrown = async (work: Promise<unknown>): Promise<unknown> =>
        work.then(() => undefined).catch((error: unknown) => error);

    it("gives secrets to `pulumi config` on standard input only, and the passphrase in a file", () => {
        expect(readFileSync(join(directory, "secrets"), "utf8")).to.equal("s3cret-value");
        expect(calls()).not.to.include("s3cret-value");
        expect(calls()).not.to.include(readFileSync(join(directory, "pulumi", "passphrase"), "utf8"));
        expect(readFileSync(join(directory, "pulumi", "stack.yaml"), "utf8"))
            .to.include("synapse-migration:serverName: rehearsal.test")
            .and.not.include("s3cret-value");
    });

    it("leaves no file in the project", () => {
        expect(existsSync(join(directory, "project", "stacks", "Pulumi.rehearsal-1.yaml"))).to.equal(false);
    });

    it("declares the phase before it makes it true", async () => {
        await stack.up("stage", "--expect-no-changes");
        const words = calls()
            .trimEnd()
            .split("\n")
            .map((line) =>
                z
                    .object({ words: z.array(z.string()) })
                    .parse(JSON.parse(line))
                    .words.slice(3, 7)
                    .join(" "),
            );
        expect(words.slice(-2)).to.deep.equal(["config set phase stage", "up --yes --skip-preview --stack"]);
        expect(await stack.outputs(z.object({ gatewayUrl: z.string() }))).to.deep.equal({
            gatewayUrl: "http://127.0.0.1:1",
        });
    });

    it("says why an operation failed, without secrets and without the noise about plugins", async () => {
        writeFileSync(join(directory, "fail"), "");
        const error = await thrown(stack.up("migrate"));
        expect(error).to.be.instanceOf(MigrationError).that.includes({ code: "SM-E1101" });
        const block = error instanceof MigrationError ? error.block : "";
        expect(block).to.include("SM-E0801 another server: [secret]").and.not.include("$PATH");
        expect([...said, readFileSync(join(directory, "pulumi", "pulumi.log"), "utf8")].join()).not.to.include(
            "s3cret",
        );
    });

    it("is interrupted as Ctrl-C does, and destroyed nevertheless", async () => {
        writeFileSync(join(directory, "hang"), "");
        const previewing = thrown(stack.preview());
        await untilTrue(() => Promise.resolve(said.join().includes("hanging")));
        aborter.abort(new Error("interrupted by SIGINT"));
        expect(String(await previewing)).to.include("interrupted by SIGINT");
        await stack.destroy();
        expect(calls()).to.include('"destroy","--yes"').and.include('"stack","rm","--yes"');
        expect(String(await thrown(stack.preview()))).to.include("interrupted by SIGINT");
    });
});
