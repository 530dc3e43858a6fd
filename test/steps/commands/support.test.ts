import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { openJournal } from "../../../engine/run/journal.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { writeSupportBundle } from "../../../steps/commands/support.ts";
import { expectError } from "../../support/expectError.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const token = `syt_c2VjcmV0_abcdefghijklmnop_0a1b2c`;

describe("what is packed for somebody who is to help (P48)", () => {
    /** A run that has written down what it should, and keeps what nobody else may see. */
    async function aRun(directory: string): Promise<void> {
        const { evidence, specs, digestKey } = await prepareRunDirectory(directory);
        const journal = openJournal(join(directory, "journal.jsonl"));
        await journal.append({ step: "probe", phase: "migrate", kind: "intent" });
        const message = `@alice:example.org was not let in from 192.0.2.17 with ${token}`;
        await journal.append({ step: "probe", phase: "migrate", kind: "failed", error: { code: "SM-E0601", message } });
        const spec = {
            source: { serverName: "example.org", database: { host: "db.example.net" } },
            canaryUser: "watcher",
        };
        writeFileSync(join(specs, "probe.json"), JSON.stringify(spec));
        writeFileSync(
            join(evidence, "probe.json"),
            JSON.stringify({ events: ["!room:example.org"], host: "db.example.net" }),
        );
        writeFileSync(digestKey, "the-digest-key-of-the-run");
        writeFileSync(join(directory, "canary.json"), JSON.stringify({ token }));
        writeFileSync(join(directory, "notes.log"), "2026-11-30T00:00:00.000Z do note [probe] watcher stays\n");
    }

    const textOf = (file: string): string =>
        execFileSync("tar", ["-xzOf", file], { encoding: "utf8", maxBuffer: 2 ** 24 });

    it("has no names, no addresses, no tokens and no keys, and all that tells what happened", () =>
        withWorkDirectory(async (directory) => {
            await aRun(directory);
            const to = join(directory, "support.tar.gz");
            const { entries } = await writeSupportBundle(directory, to);
            expect(entries).to.deep.equal([
                "README.txt",
                "evidence/probe.json",
                "journal.jsonl",
                "notes.log",
                "specs/probe.json",
                "status.txt",
            ]);
            expect(statSync(to).mode & 0o777).to.equal(0o600);
            const text = textOf(to);
            for (const hidden of [
                "alice",
                "example.org",
                "example.net",
                "192.0.2.17",
                "watcher",
                "!room:",
                token,
                "digest-key",
            ])
                expect(text).not.to.contain(hidden);
            for (const told of ["SM-E0601", "was not let in", '"kind":"failed"', "probe  begun  failed"])
                expect(text).to.contain(told);
        }));

    it("has the names where that is asked for, and never secrets", () =>
        withWorkDirectory(async (directory) => {
            await aRun(directory);
            const to = join(directory, "support.tar.gz");
            await writeSupportBundle(directory, to, true);
            const text = textOf(to);
            expect(text).to.contain("@alice:example.org");
            expect(text).not.to.contain(token);
        }));

    it("has the end of what is too long, and a journal that cannot be trusted", () =>
        withWorkDirectory(async (directory) => {
            await aRun(directory);
            writeFileSync(join(directory, "notes.log"), `${"x".repeat(5_000_000)}\nthe last line\n`);
            const journal = join(directory, "journal.jsonl");
            writeFileSync(journal, readFileSync(journal, "utf8").replace("intent", "action"));
            const to = join(directory, "support.tar.gz");
            await writeSupportBundle(directory, to);
            const text = textOf(to);
            expect(text).to.contain("bytes are left out").and.to.contain("the last line").and.to.contain("SM-E0701");
            expect(text.length).to.be.lessThan(4_300_000);
        }));

    it("is refused with SM-E0735 where there is no run, and nothing is written", () =>
        withWorkDirectory(async (directory) => {
            const to = `${directory}.tar.gz`;
            await expectError("SM-E0735", () => writeSupportBundle(directory, to));
            expect(statSync(to, { throwIfNoEntry: false })).to.equal(undefined);
        }));
});
