import { expect } from "chai";
import { runProgram } from "../../../engine/machines/program.ts";
import { registerSecret } from "../../../engine/run/redaction.ts";
import { expectError } from "../../support/expectError.ts";

const node = (script: string): [string, string[]] => [process.execPath, ["-e", script]];

describe("a program that is run", () => {
    it("gets its input and gives back what it wrote", async () => {
        const { stdout, stderr } = await runProgram("cat", [], { input: "ünïcode\n", timeoutSeconds: 10 });
        expect({ stdout, stderr }).to.deep.equal({ stdout: "ünïcode\n", stderr: "" });
    });

    it("gets no variable of ours but those that find and localise it", async () => {
        process.env.SYNAPSE_MIGRATION_TEST_SECRET = "leak";
        try {
            const { stdout } = await runProgram("env", [], { environment: { ADDED: "yes" }, timeoutSeconds: 10 });
            expect(stdout).to.contain("ADDED=yes").and.to.contain("PATH=").and.not.to.contain("leak");
        } finally {
            delete process.env.SYNAPSE_MIGRATION_TEST_SECRET;
        }
    });

    it("has its arguments taken word by word, whatever they hold", async () => {
        const word = `'";$(touch x)\n%s`;
        const { stdout } = await runProgram("printf", ["%s", word], { timeoutSeconds: 10 });
        expect(stdout).to.equal(word);
    });

    it("is reported with its last lines, redacted, when it fails", async () => {
        registerSecret("a-secret-in-stderr");
        const error = await expectError("SM-E1101", () =>
            runProgram(...node("console.error('first\\nthe cause: a-secret-in-stderr'); process.exit(3)"), {
                timeoutSeconds: 10,
            }),
        );
        expect(error.detail.found).to.contain("exit code 3").and.to.contain("the cause: [secret]");
    });

    it("is reported when it cannot be found, is killed, or takes too long", async () => {
        const missing = await expectError("SM-E1101", () => runProgram("/no/such/program", [], { timeoutSeconds: 10 }));
        expect(missing.detail.where).to.equal("/no/such/program");
        const killed = await expectError("SM-E1101", () =>
            runProgram(...node("process.kill(process.pid, 'SIGKILL')"), { timeoutSeconds: 10 }),
        );
        expect(killed.detail.found).to.contain("SIGKILL");
        const late = await expectError("SM-E1101", () => runProgram("sleep", ["60"], { timeoutSeconds: 0.2 }));
        expect(late.detail.found).to.contain("still running after 0.2 s");
    });

    it("is stopped when the step is stopped", async () => {
        const controller = new AbortController();
        const running = runProgram(...node("console.error('up'); setInterval(() => {}, 1000)"), {
            timeoutSeconds: 60,
            signal: controller.signal,
            onErrorLine: () => controller.abort(),
        });
        const error = await expectError("SM-E1101", () => running);
        expect(error.detail.found).to.contain("because this step was stopped");
    });
});
