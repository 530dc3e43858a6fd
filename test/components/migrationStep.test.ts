import { createRequire } from "node:module";
import { expect } from "chai";
import { z } from "zod";
import { readResult } from "../../components/migrationStep.ts";
import { assessContract, stageUndoContract } from "../../contract/index.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { unwrappedSecret, type Registered } from "./recorder.ts";
import { stepOutput } from "./stepResults.ts";
import { declare, secretTexts } from "./stacks.ts";

const everyStep = async (changes: Parameters<typeof declare>[0] = {}): Promise<readonly Registered[]> =>
    (await declare({ phase: "finish", ...changes })).recording.commands;

/** What an update does again. */
const again = ["assess", "report", "clear-traces", "cleanup", "clear-export"];

describe("MigrationStep", () => {
    it("asks for the command plugin 1.2.1, the version that package.json pins exactly", async () => {
        const manifest = z
            .looseObject({ dependencies: z.record(z.string(), z.string()) })
            .parse(createRequire(import.meta.url)("../../package.json"));
        expect(manifest.dependencies["@pulumi/command"]).to.equal("1.2.1");
        for (const { name, version } of await everyStep()) expect(version, name).to.equal("1.2.1");
    });

    it("runs the step's subcommand without a shell, in the project's directory", async () => {
        for (const { name, inputs } of await everyStep()) {
            expect(inputs["interpreter"], name).to.deep.equal(["node", "steps/synapse-migrate.mjs", name]);
            expect(inputs, name).to.include({ create: "--do", delete: "--undo", logging: "stderr" });
            expect(inputs, name).not.to.have.any.keys("dir", "assetPaths", "archivePaths");
            if (!again.includes(name)) expect(inputs, name).not.to.have.property("environment");
        }
    });

    it("answers from the journal on an update, unless it may always be done again, and takes no previous output", async () => {
        for (const { name, inputs } of await everyStep()) {
            expect(inputs["update"], name).to.equal(again.includes(name) ? "--again" : "--reprint");
            expect(inputs["addPreviousOutputInEnv"], name).to.equal(false);
        }
    });

    it("is replaced for another version or another run only", async () => {
        for (const { name, inputs, replaceOnChanges } of await everyStep({ run: "other" })) {
            expect(replaceOnChanges, name).to.include("triggers[*]");
            const triggers = z.array(z.unknown()).parse(inputs["triggers"]);
            expect(triggers, name).to.deep.equal([1, "other"]);
        }
    });

    it("has a limit for each operation", async () => {
        for (const { name, timeouts } of await everyStep())
            expect(timeouts, name).to.deep.equal({
                create: "12h",
                update: again.includes(name) ? "12h" : "10m",
                delete: "30m",
            });
    });

    it("keeps specification and progress secret, and the result readable", async () => {
        for (const { name, inputs, secretOutputs } of await everyStep()) {
            expect(unwrappedSecret(inputs["stdin"]), name).to.be.a("string");
            expect(secretOutputs, name).to.deep.equal(["stderr"]);
        }
    });

    it("lets no secret into any request but inside of a wrapped specification", async () => {
        const { recording } = await declare({ phase: "finish" });
        for (const { name, type, inputs } of recording.all) {
            const { stdin, ...rest } = inputs;
            const open = JSON.stringify([rest, unwrappedSecret(stdin) === undefined ? stdin : "wrapped"]);
            for (const secret of Object.values(secretTexts)) expect(open, `${type} ${name}`).not.to.include(secret);
        }
    });

    it("hands the secrets to the steps that need them, and to no other", async () => {
        const { recording } = await declare({ phase: "finish" });
        const holders = (secret: string): string[] =>
            recording.names.filter((name) => JSON.stringify(recording.spec(name)).includes(secret));
        expect(holders(secretTexts.signingKey)).to.have.members(["assess", "secrets"]);
        expect(holders(secretTexts.pepper)).to.have.members(["assess", "secrets", "probe"]);
        expect(holders(secretTexts.macaroonSecretKey)).to.have.members(["assess", "secrets"]);
        expect(holders(secretTexts.canaryPassword)).to.have.members(["canary", "probe"]);
    });
});

describe("readResult", () => {
    it("reads what the contract describes", () => {
        expect(readResult(stageUndoContract, '{"guards":"stage"}')).to.deep.equal({ guards: "stage" });
    });

    for (const [title, stdout] of [
        ["an answer that is not JSON", "done"],
        ["no answer", ""],
        ["an answer of another shape", '{"guard":"stage"}'],
    ] as const) {
        it(`refuses ${title}`, () => {
            expect(() => readResult(stageUndoContract, stdout))
                .to.throw(MigrationError)
                .with.property("code", "SM-E0213");
        });
    }

    it("names the fields that are wrong", () => {
        const stdout = stepOutput("assess").replace('"tables":170', '"tables":-1');
        expect(() => readResult(assessContract, stdout)).to.throw(/sizes\.tables/);
    });
});
