import { expect } from "chai";
import { bundleSources, declare, problemsWith, s3Keys, source, summary, target, type Setting } from "./stacks.ts";

const own = { kind: "s3", bucket: "media", endpoint: "https://s3.example.org", region: "here" };
const withProvider = (mediaStorageProvider: object, changes: Readonly<Record<string, Setting>> = {}) => ({
    target: { ...target, mediaStorageProvider },
    ...changes,
});
const told = ["assess", "secrets", "media-storage", "media-early", "media-final", "configure", "verify"] as const;

describe("media in S3", () => {
    it("go to a bucket of the target's own with the keys of the stack, which only steps that need them are told", async () => {
        const { recording } = await declare({ phase: "finish", ...withProvider(own, s3Keys) });
        const { s3AccessKeyId: accessKeyId, s3SecretAccessKey: secretAccessKey } = s3Keys;
        for (const step of told)
            expect(recording.spec(step), step)
                .to.have.property("mediaStorageProvider")
                .that.deep.equals({ ...own, prefix: "", accessKeyId, secretAccessKey });
        for (const { name, inputs } of recording.commands) {
            const { stdin, ...open } = inputs;
            expect(JSON.stringify(open), name).not.to.include(secretAccessKey);
            if (!told.some((step) => step === name))
                expect(JSON.stringify(stdin), name).not.to.include(secretAccessKey);
        }
        const others = recording.all.filter(({ type }) => type !== "command:local:Command");
        expect(JSON.stringify(others)).not.to.include(secretAccessKey);
    });

    it("go there without keys where the process has a role", async () => {
        const { recording } = await declare({ phase: "stage", ...withProvider(own) });
        expect(recording.spec("configure")).to.have.deep.property("mediaStorageProvider", { ...own, prefix: "" });
    });

    it("stay in the source's bucket where that is kept", async () => {
        const { recording } = await declare({ phase: "migrate", ...withProvider({ kind: "keep" }) });
        for (const step of told)
            expect(recording.spec(step), step).to.have.deep.property("mediaStorageProvider", { kind: "keep" });
    });

    it("come into the target's store where nothing is said", async () => {
        const { recording } = await declare({ phase: "migrate" });
        for (const step of told) expect(recording.spec(step), step).not.to.have.property("mediaStorageProvider");
    });

    const where = "target.mediaStorageProvider";
    for (const [title, changes, expected] of [
        ["a kind that there is not", withProvider({ kind: "azure" }), `SM-E0211 ${where}.kind`],
        ["no bucket", withProvider({ kind: "s3" }), `SM-E0212 ${where}.bucket`],
        ["an endpoint that is no URL", withProvider({ ...own, endpoint: "s3.example" }), `SM-E0211 ${where}.endpoint`],
        [
            "a class that Synapse's module refuses",
            withProvider({ ...own, storageClass: "GLACIER" }),
            `SM-E0211 ${where}.storageClass`,
        ],
        [
            "a secret among what is plain",
            withProvider({ ...own, secretAccessKey: "x" }),
            `SM-E0201 ${where}.secretAccessKey`,
        ],
        ["a key without its secret", withProvider(own, { s3AccessKeyId: "a" }), "SM-E0212 s3SecretAccessKey"],
        ["a secret without its key", withProvider(own, { s3SecretAccessKey: "a" }), "SM-E0212 s3AccessKeyId"],
        [
            "a rehearsal that would write there",
            withProvider({ kind: "keep" }, { rehearsal: "true" }),
            `SM-E0211 ${where}.kind`,
        ],
        ["a bucket for a bundle", withProvider(own, { source: bundleSources.backup }), `SM-E0211 ${where}.kind`],
    ] as const) {
        it(`refuses ${title}`, () => {
            expect(summary(problemsWith({ source, ...changes }))).to.deep.equal([expected]);
        });
    }

    it("refuses keys without a bucket that they are for", () => {
        expect(summary(problemsWith(s3Keys))).to.deep.equal(["SM-E0211 s3AccessKeyId", "SM-E0211 s3SecretAccessKey"]);
    });
});
