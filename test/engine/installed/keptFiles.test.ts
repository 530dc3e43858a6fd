import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { KeptFiles } from "../../../engine/installed/keptFiles.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { expectError } from "../../support/expectError.ts";

describe("files of an installed homeserver that a run has written", () => {
    let directory: string;
    const file = (name: string): string => join(directory, name);
    const open = () => KeptFiles.open(thisMachine, join(directory, "run"));
    const like = { mode: 0o640, uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-kept-"));
        await thisMachine.run("mkdir", ["-m", "0700", join(directory, "run")], { timeoutSeconds: 5 });
        await writeFile(file("homeserver.yaml"), "before\n");
        await chmod(file("homeserver.yaml"), 0o604);
    });
    afterEach(() => rm(directory, { recursive: true }));

    it("are as they were once they are put back, whoever does it: content, mode, and whether they were there", async () => {
        const kept = await open();
        await kept.write(file("homeserver.yaml"), "ours\n", like);
        await kept.write(file("new.yaml"), "ours\n", like);
        expect((await stat(file("homeserver.yaml"))).mode & 0o777).to.equal(0o604);
        expect((await stat(file("new.yaml"))).mode & 0o777).to.equal(0o640);
        await (await open()).write(file("homeserver.yaml"), "ours again\n", like);
        expect(await (await open()).original(file("homeserver.yaml"))).to.equal("before\n");
        await (await open()).requireWritten();
        expect(await (await open()).putBack()).to.deep.equal([]);
        expect(await readFile(file("homeserver.yaml"), "utf8")).to.equal("before\n");
        expect((await stat(file("homeserver.yaml"))).mode & 0o777).to.equal(0o604);
        await expectMissing(file("new.yaml"));
        expect(await (await open()).putBack()).to.deep.equal([]);
    });

    it("are left alone, and told, where somebody else has written them since", async () => {
        await (await open()).write(file("homeserver.yaml"), "ours\n", like);
        await writeFile(file("homeserver.yaml"), "the installer's\n");
        const refused = await expectError("SM-E1602", async () => (await open()).requireWritten());
        expect(refused.detail.where).to.equal(file("homeserver.yaml"));
        await expectError("SM-E1602", async () => (await open()).write(file("homeserver.yaml"), "ours again\n", like));
        expect(await readFile(file("homeserver.yaml"), "utf8")).to.equal("the installer's\n");
        expect(await (await open()).putBack()).to.deep.equal([
            `${file("homeserver.yaml")} was written by somebody else since: it stays`,
        ]);
        expect(await readFile(file("homeserver.yaml"), "utf8")).to.equal("the installer's\n");
    });

    it("are not as they were written where an installer has put back its own", async () => {
        await (await open()).write(file("homeserver.yaml"), "ours\n", like);
        await writeFile(file("homeserver.yaml"), "before\n");
        await expectError("SM-E1602", async () => (await open()).requireWritten());
    });

    it("are written, or put back, by whoever comes after a kill between the record and the file", async () => {
        await (await open()).write(file("homeserver.yaml"), "ours\n", like);
        await writeFile(file("homeserver.yaml"), "before\n");
        await (await open()).write(file("homeserver.yaml"), "ours\n", like);
        expect(await readFile(file("homeserver.yaml"), "utf8")).to.equal("ours\n");
        await (await open()).write(file("homeserver.yaml"), "opened\n", like);
        // As it was before: the kill came first.
        await writeFile(file("homeserver.yaml"), "ours\n");
        await (await open()).write(file("homeserver.yaml"), "opened\n", like);
        expect(await readFile(file("homeserver.yaml"), "utf8")).to.equal("opened\n");
        await writeFile(file("homeserver.yaml"), "ours\n");
        expect(await (await open()).putBack()).to.deep.equal([]);
        expect(await readFile(file("homeserver.yaml"), "utf8")).to.equal("before\n");
    });
});

async function expectMissing(path: string): Promise<void> {
    expect(await stat(path).catch(() => undefined), path).to.equal(undefined);
}
