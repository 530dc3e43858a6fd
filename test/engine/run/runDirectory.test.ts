import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { expectError } from "../../support/expectError.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

describe("the directory of a run", () => {
    it("is made for us alone, with its parents", () =>
        withWorkDirectory(async (directory) => {
            await prepareRunDirectory(join(directory, "runs", "r1"));
            for (const path of [join(directory, "runs", "r1"), join(directory, "runs", "r1", "evidence")]) {
                expect((await stat(path)).mode & 0o777).to.equal(0o700);
            }
        }));

    it("is refused below a directory for temporary files, and not made", async () => {
        const parent = await mkdtemp(join(tmpdir(), "run-directory-"));
        try {
            await expectError("SM-E1202", () => prepareRunDirectory(join(parent, "r1")));
            expect(await stat(join(parent, "r1")).catch(() => "absent")).to.equal("absent");
        } finally {
            await rm(parent, { recursive: true });
        }
    });

    it("is refused on a file system that forgets", async () => {
        await expectError("SM-E1202", () => prepareRunDirectory("/dev/shm/synapse-migration-test"));
    });

    it("is refused when others may write into it, and when it is a file", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory);
            await chmod(directory, 0o777);
            await expectError("SM-E1202", () => prepareRunDirectory(directory));
            await writeFile(`${directory}/file`, "");
            await expectError("SM-E1202", () => prepareRunDirectory(`${directory}/file`));
            expect(dirname(directory)).to.contain("test-runs");
        }));
});
