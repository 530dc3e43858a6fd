import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { removePrivateFile, writePrivateFile } from "../../../engine/run/atomicFile.ts";

const writer = fileURLToPath(new URL("killedWriter.ts", import.meta.url));
const key = "ed25519 a_Test the-whole-signing-key";

describe("what a kill leaves of a private file", () => {
    let directory = "";
    let path = "";
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "partial-files-"));
        path = join(directory, "example.org.signing.key");
    });
    afterEach(() => rm(directory, { recursive: true }));

    /** Everything that any file below the directory holds. */
    const kept = async (): Promise<string> =>
        (await Promise.all((await readdir(directory)).map((name) => readFile(join(directory, name), "utf8")))).join();

    /** Writes the key, and is held between the writing and the renaming. */
    const heldWriter = async () => {
        const child = spawn(process.execPath, ["--import", "tsx", writer, path, key], {
            stdio: ["ignore", "pipe", "inherit"],
        });
        await once(child.stdout, "data");
        expect(await readdir(directory)).to.have.lengthOf(1);
        expect(await kept()).to.equal(key);
        return {
            kill: async (): Promise<void> => {
                child.kill("SIGKILL");
                await once(child, "exit");
            },
        };
    };

    it("is removed by the next write of the same file", async () => {
        await (await heldWriter()).kill();
        await writePrivateFile(path, "another key");
        expect(await readdir(directory)).to.deep.equal(["example.org.signing.key"]);
        expect(await kept()).to.equal("another key");
    });

    it("is removed with the file, and so is what an earlier version left; names that only begin alike stay", async () => {
        await (await heldWriter()).kill();
        await writeFile(`${path}.0123456789ab.partial`, key);
        await writeFile(`${path}.of-others.partial`, "kept");
        await removePrivateFile(path);
        expect(await readdir(directory)).to.deep.equal(["example.org.signing.key.of-others.partial"]);
    });

    it("is not taken from a writer that lives: any number of processes may write the same file", async () => {
        const other = await heldWriter();
        await writePrivateFile(path, "another key");
        expect(await readdir(directory)).to.have.lengthOf(2);
        await other.kill();
        await Promise.all(Array.from({ length: 20 }, (_, index) => writePrivateFile(path, `key ${index}`)));
        expect(await readdir(directory)).to.deep.equal(["example.org.signing.key"]);
        expect(await kept()).to.match(/^key \d+$/);
    });
});
