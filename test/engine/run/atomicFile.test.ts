import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { makePrivateDirectory, writePrivateFile } from "../../../engine/run/atomicFile.ts";

describe("private files", () => {
    let directory = "";
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "atomic-file-"));
    });
    afterEach(() => rm(directory, { recursive: true }));

    it("are readable by their owner alone, and replace what was there", async () => {
        const path = join(directory, "file");
        await writeFile(path, "old", { mode: 0o644 });
        await writePrivateFile(path, "new");
        expect(await readFile(path, "utf8")).to.equal("new");
        expect((await stat(path)).mode & 0o777).to.equal(0o600);
        expect(await readdir(directory)).to.deep.equal(["file"]);
    });

    it("replace a link instead of writing through it", async () => {
        const elsewhere = join(directory, "elsewhere");
        await writeFile(elsewhere, "untouched");
        await symlink(elsewhere, join(directory, "file"));
        await writePrivateFile(join(directory, "file"), "new");
        expect(await readFile(elsewhere, "utf8")).to.equal("untouched");
    });

    it("leave nothing behind when they cannot be written", async () => {
        await makePrivateDirectory(join(directory, "file"));
        await writePrivateFile(join(directory, "file"), "new").then(
            () => expect.fail("a directory was replaced"),
            () => undefined,
        );
        expect(await readdir(directory)).to.deep.equal(["file"]);
    });

    it("live in directories that are narrowed to their owner", async () => {
        const path = join(directory, "a", "b");
        await makePrivateDirectory(path);
        await chmod(path, 0o755);
        await makePrivateDirectory(path);
        expect((await stat(path)).mode & 0o777).to.equal(0o700);
    });
});
