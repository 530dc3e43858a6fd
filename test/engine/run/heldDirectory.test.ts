import {
    chmod,
    chown,
    link,
    lstat,
    mkdir,
    mkdtemp,
    readdir,
    readFile,
    rename,
    rm,
    stat,
    symlink,
    writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
    holdBelow,
    holdDirectory,
    removeBelow,
    removeTree,
    shapeDirectory,
} from "../../../engine/run/heldDirectory.ts";
import { readTrusted } from "../../../engine/run/trustedFile.ts";
import { expectError } from "../../support/expectError.ts";

const asRoot = process.geteuid?.() === 0;
const stranger = 2;

describe("what root does where others may write", () => {
    let directory = "";
    let elsewhere = "";
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "held-directory-"));
        elsewhere = join(directory, "elsewhere");
        await mkdir(elsewhere, { mode: 0o755 });
        await writeFile(join(elsewhere, "precious"), "precious");
    });
    afterEach(() => rm(directory, { recursive: true }));

    const untouched = async (): Promise<void> => {
        expect(await readdir(elsewhere)).to.deep.equal(["precious"]);
        expect(await readFile(join(elsewhere, "precious"), "utf8")).to.equal("precious");
        const { mode, uid } = await stat(elsewhere);
        expect([mode & 0o7777, uid]).to.deep.equal([0o755, process.geteuid?.()]);
    };

    it("gives no mode and no owner to what a link leads to: SM-E1207", async () => {
        const path = join(directory, "gateway");
        await symlink(elsewhere, path);
        await expectError("SM-E1207", () => shapeDirectory(path, { mode: 0o700, owner: { uid: 1, gid: 1 } }));
        await rm(path);
        await writeFile(path, "");
        await expectError("SM-E1207", () => holdDirectory(path));
        await untouched();
    });

    it("makes, and removes, no file below a link on the way to it", async () => {
        const store = join(directory, "store");
        await mkdir(join(store, "local_content"), { recursive: true });
        await symlink(elsewhere, join(store, "local_content", "aa"));
        const make = { mode: 0o750, owner: undefined };
        const error = await expectError("SM-E1207", () => holdBelow(store, "local_content/aa/bb", make));
        expect(error.detail).to.deep.include({ where: `${store}/local_content/aa/bb` });
        await expectError("SM-E1207", () => holdBelow(store, "local_content/../../elsewhere", make));
        await removeBelow(store, "local_content/aa/precious");
        await untouched();
    });

    it("goes on in the directory that was opened, whatever takes its name meanwhile", async () => {
        const path = join(directory, "gateway");
        await mkdir(path);
        const held = await holdDirectory(path);
        await rename(path, join(directory, "moved"));
        await symlink(elsewhere, path);
        await writeFile(held.at("state.json"), "closed");
        await held.close();
        expect(await readdir(join(directory, "moved"))).to.deep.equal(["state.json"]);
        await untouched();
    });

    it("removes a tree with the links in it, and nothing that they lead to", async () => {
        const tree = join(directory, "tree");
        await mkdir(join(tree, "a", "b"), { recursive: true });
        await writeFile(join(tree, "a", "b", "file"), "");
        await symlink(elsewhere, join(tree, "a", "link"));
        await removeTree(tree);
        await symlink(elsewhere, tree);
        await removeTree(tree);
        await removeTree(tree);
        expect(await readdir(directory)).to.deep.equal(["elsewhere"]);
        await untouched();
    });

    it("leaves what is outside of a tree alone while somebody exchanges its directories for links", async () => {
        const tree = join(directory, "tree");
        let over = false;
        const exchange = async (): Promise<void> => {
            for (let turn = 0; !over; turn++) {
                const [name, aside] = [join(tree, "x"), join(directory, `aside-${turn}`)];
                await rename(name, aside).catch(() => undefined);
                await symlink(elsewhere, name).catch(() => undefined);
                await rm(name).catch(() => undefined);
                await rename(aside, name).catch(() => undefined);
            }
        };
        const exchanging = exchange();
        for (let round = 0; round < 100; round++) {
            await mkdir(join(tree, "x"), { recursive: true }).catch(() => undefined);
            await writeFile(join(tree, "x", "precious"), "").catch(() => undefined);
            await removeTree(tree).catch(() => undefined);
        }
        over = true;
        await exchanging;
        expect(await readFile(join(elsewhere, "precious"), "utf8")).to.be.a("string");
        expect((await lstat(elsewhere)).isDirectory()).to.equal(true);
    });

    it("believes no record that is a link, has a second name, is no file, or that others may write: SM-E1207", async () => {
        const path = join(directory, "gateway.pid");
        expect(await readTrusted(path)).to.equal(undefined);
        await writeFile(path, "1 2\n", { mode: 0o600 });
        expect(await readTrusted(path)).to.equal("1 2\n");
        await link(path, join(directory, "second"));
        await expectError("SM-E1207", () => readTrusted(path));
        await rm(join(directory, "second"));
        await chmod(path, 0o620);
        await expectError("SM-E1207", () => readTrusted(path));
        await chmod(path, 0o600);
        await symlink(path, join(directory, "link"));
        await expectError("SM-E1207", () => readTrusted(join(directory, "link")));
        await expectError("SM-E1207", () => readTrusted(elsewhere));
        if (!asRoot) return;
        await chown(path, stranger, stranger);
        await expectError("SM-E1207", () => readTrusted(path));
        expect(await readTrusted(path, [stranger])).to.equal("1 2\n");
    });
});
