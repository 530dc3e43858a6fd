import { expect } from "chai";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runPipeline, type Stage } from "../../bench/pipeline.ts";

describe("a pipeline without a shell", () => {
    let directory: string;
    before(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-pipeline-"));
    });
    after(() => rm(directory, { recursive: true, force: true }));

    const stage = (program: string, ...args: readonly string[]): Stage => ({ program, args });
    const run = (stages: readonly [Stage, ...Stage[]], files: { from?: string; to?: string } = {}): Promise<number> =>
        runPipeline({ stages, ...files, environment: {}, timeoutSeconds: 20 });
    const failure = (work: Promise<number>): Promise<string> =>
        work.then(
            () => "no error",
            (error: unknown) => String(error),
        );

    it("hands every byte on, from a file to a file", async () => {
        const [from, to] = [join(directory, "from"), join(directory, "to")];
        const content = Buffer.alloc(5_000_000, "0123456789abcdef\n");
        await writeFile(from, content);
        const seconds = await run([stage("gzip", "-c"), stage("cat"), stage("gunzip", "-c")], { from, to });
        expect((await readFile(to)).equals(content)).to.equal(true);
        expect((await stat(to)).mode & 0o777).to.equal(0o600);
        expect(seconds).to.be.above(0);
    });

    it("fails when any stage does, and names each with what it said", async () => {
        const first = await failure(run([stage("cat", join(directory, "absent")), stage("gzip", "-c")]));
        expect(first).to.contain("cat ended with 1").and.contain("absent");
        const last = await failure(run([stage("yes"), stage("gunzip", "-c")]));
        expect(last).to.contain("gunzip ended with 1").and.contain("yes ended with");
    });
});
