import { expect } from "chai";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { refuseIfBlocked, type Assessment } from "../../components/assessment.ts";
import { readableError } from "../../components/readableError.ts";
import program from "../../index.ts";
import { MigrationError, MigrationErrors } from "../../engine/run/errors.ts";
import { record, valueOf, type RecorderOptions } from "./recorder.ts";
import { assessment } from "./stepResults.ts";
import { configWith, facts, rawConfig, secretTexts, type Setting } from "./stacks.ts";

const finding = { id: "SM-E0512", severity: "error", evidence: "events_stream_seq is behind", fix: "setval" } as const;
const blocked: Assessment = { ...assessment, errors: 1, findings: [finding] };

describe("the program", () => {
    const asked: Readonly<Record<string, unknown>>[] = [];
    const answering =
        (answer: Assessment): NonNullable<RecorderOptions["run"]> =>
        (inputs) => {
            asked.push(inputs);
            return { stdout: JSON.stringify(answer) };
        };

    /** Runs index.ts on a stack with this configuration. */
    async function run(changes: Readonly<Record<string, Setting>>, options: RecorderOptions = {}) {
        const before = process.env["PULUMI_CONFIG_SECRET_KEYS"];
        process.env["PULUMI_CONFIG_SECRET_KEYS"] = JSON.stringify(facts.encrypted);
        try {
            return await record(
                () => {
                    pulumi.runtime.setAllConfig(rawConfig(changes), [...facts.encrypted]);
                    return program();
                },
                { run: answering(assessment), ...options },
            );
        } finally {
            if (before === undefined) delete process.env["PULUMI_CONFIG_SECRET_KEYS"];
            else process.env["PULUMI_CONFIG_SECRET_KEYS"] = before;
        }
    }

    const failure = (attempt: Promise<unknown>): Promise<Error> =>
        attempt.then(
            () => {
                throw new Error("it did not fail");
            },
            (error: unknown) => {
                if (error instanceof Error) return error;
                throw new Error("it failed with something that is no error");
            },
        );

    beforeEach(() => asked.splice(0));

    it("looks quickly, from where all runs live, with the secrets on standard input", async () => {
        await run({ phase: "assess" });
        expect(asked).to.have.length(1);
        const [call] = asked;
        expect(call).to.deep.include({
            command: "--do",
            interpreter: ["node", "steps/synapse-migrate.mjs", "assess"],
        });
        const spec: unknown = JSON.parse(z.string().parse(call?.["stdin"]));
        expect(spec).to.deep.include({
            run: { directory: "/srv/work/runs", disposable: false },
            quick: true,
            enforce: false,
            signingKey: secretTexts.signingKey,
            pepper: secretTexts.pepper,
        });
    });

    it("takes the run that the assessment finds, and looks into that of the configuration", async () => {
        const { recording, result } = await run(
            { phase: "stage" },
            { run: answering({ ...assessment, runId: "found7" }) },
        );
        expect(result.runId).to.equal("found7");
        expect(recording.spec("secrets")).to.have.deep.property("run", {
            id: "found7",
            directory: "/srv/work/runs/found7",
            disposable: false,
            stack: "test",
            target: "/srv/target",
        });
        expect((await run({ phase: "assess", run: "mine" })).result.runId).to.equal("mine");
        expect(JSON.parse(z.string().parse(asked[1]?.["stdin"]))).to.have.nested.property(
            "run.directory",
            "/srv/work/runs/mine",
        );
    });

    it("gives out what people and the next stage of a pipeline need, and no secret", async () => {
        const { result } = await run({ phase: "cutover" });
        const outputs = await valueOf(pulumi.output(result));
        expect(outputs).to.deep.include({ serverName: "example.org", phase: "cutover", runId: "r1", findings: [] });
        expect(outputs).to.have.nested.property("report.html", "/srv/reports/r1/report.html");
        expect(outputs).to.have.nested.property("proofs.verify", "e".repeat(64));
        for (const secret of Object.values(secretTexts)) expect(JSON.stringify(outputs)).not.to.include(secret);
    });

    it("declares nothing when the assessment found what blocks", async () => {
        const error = await failure(run({ phase: "stage" }, { run: answering(blocked) }));
        expect(error.message).to.match(/SM-E0300[\s\S]*SM-E0512 events_stream_seq is behind[\s\S]*setval/);
    });

    it("declares nothing at the cut-over that nobody could prove, until that is acknowledged", async () => {
        const nobody = { canaryUser: undefined, canaryPassword: undefined };
        const error = await failure(run({ phase: "cutover", ...nobody }));
        expect(error.message).to.match(/SM-E0300[\s\S]*SM-W0605/);
        const { recording } = await run({ phase: "cutover", ...nobody, acknowledge: "SM-W0605" });
        expect(recording.names).to.include.members(["fence", "commit"]);
        expect((await run({ phase: "migrate", ...nobody })).recording.names).to.include("fence");
    });

    it("only tells what blocks as long as it only looks", async () => {
        const { recording } = await run({ phase: "assess" }, { run: answering(blocked) });
        expect(recording.names).to.have.members(["assess", "report"]);
    });

    it("shows what is wrong with the configuration as blocks, without asking anything", async () => {
        const error = await failure(run({ phase: "stge", phse: "stage" }));
        expect(error.message).to.include("SM-E0211").and.to.include("SM-E0201");
        expect(error.stack).to.equal(undefined);
        expect(asked).to.have.length(0);
    });

    it("passes on why the assessment could not look", async () => {
        const failing = (): never => {
            // As an error comes from the engine.
            throw Object.assign(new Error(), { code: 2, details: "exit status 9: SM-E0203 duplicate key" });
        };
        const error = await failure(run({ phase: "assess" }, { run: failing }));
        expect(error.message).to.include("SM-E0203 duplicate key").and.not.to.include(" at ");
    });
});

describe("refuseIfBlocked", () => {
    const committed: Assessment = { ...blocked, committed: true };
    const codeOf = (phase: string, found: Assessment, changes = {}): string | undefined => {
        try {
            refuseIfBlocked(configWith({ phase, ...changes }), found);
            return undefined;
        } catch (error) {
            return error instanceof MigrationError ? error.code : "another error";
        }
    };

    it("refuses the way back over the commit, unless the target may be destroyed", () => {
        for (const phase of ["assess", "stage", "migrate"]) {
            expect(codeOf(phase, committed), phase).to.equal("SM-E1501");
            expect(codeOf(phase, committed, { disposable: "true" }), phase).to.equal(undefined);
        }
    });

    it("goes on after the commit, whatever the source looks like", () => {
        for (const phase of ["cutover", "finish"]) expect(codeOf(phase, committed), phase).to.equal(undefined);
    });
});

describe("readableError", () => {
    const error = new MigrationError("SM-E0212", { where: "serverName", found: "nothing" });

    it("shows blocks, one after the other, and no stack", () => {
        const readable = readableError(new MigrationErrors([error, error]));
        expect(readable.message.match(/SM-E0212/g)).to.have.length(2);
        expect(readable.stack).to.equal(undefined);
        expect(pulumi.RunError.isInstance(readable)).to.equal(true);
    });

    it("keeps the stack of an error that nobody expected, as text", () => {
        expect(readableError(new TypeError("x is not a function")).message).to.match(/x is not a function[\s\S]* at /);
        expect(readableError("thrown text").message).to.equal("thrown text");
    });
});
