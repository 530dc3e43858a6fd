import { expect } from "chai";
import { createHash } from "node:crypto";
import {
    appendFile,
    chmod,
    mkdir,
    mkdtemp,
    readdir,
    readFile,
    rm,
    stat,
    symlink,
    utimes,
    writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import type { Machine } from "../../../engine/machines/machine.ts";
import { MediaIndex } from "../../../engine/media/mediaIndex.ts";
import { openStore } from "../../../engine/media/readStore.ts";
import { newScanNotes } from "../../../engine/media/scan.ts";
import { packMediaStore } from "../../../engine/media/packStore.ts";
import { copyPass, walkDigest, type CopyPass } from "../../../engine/media/sourcePass.ts";
import { prepareStore, requireApart } from "../../../engine/media/targetStore.ts";
import { hashedFiles, TreeDigest } from "../../../engine/media/treeDigest.ts";
import { expectError } from "../../support/expectError.ts";
import { helperMachine, type HelperMachine } from "../../support/helperMachine.ts";

const folders = ["local_content", "local_thumbnails"];

describe("a media store on another machine", function () {
    this.timeout(60_000);
    let far: HelperMachine;
    let [directory, source, target] = ["", "", ""];

    beforeEach(async () => {
        far = await helperMachine();
        directory = await mkdtemp(join(tmpdir(), "far-store-"));
        [source, target] = [join(directory, "source"), join(directory, "target")];
        for (const folder of folders) await mkdir(join(source, folder), { recursive: true });
        await mkdir(target);
    });
    afterEach(async () => {
        await far.close();
        await rm(directory, { recursive: true });
    });

    const put = async (path: string, content: string | Buffer = path): Promise<void> => {
        await mkdir(dirname(join(source, path)), { recursive: true });
        await writeFile(join(source, path), content);
    };
    const many = async (count: number): Promise<void> => {
        for (let n = 0; n < count; n++) await put(`local_content/${n % 10}a/bc/${n}`, `content of ${n}`);
    };
    const pass = async (machine: Machine = far, index = "index"): Promise<CopyPass> => {
        const store = await openStore(machine, source, folders);
        const media = await MediaIndex.open(join(directory, index));
        try {
            return await copyPass({ source: store, targetRoot: target, folders, index: media, owner: undefined });
        } finally {
            await media.close({ compact: true });
        }
    };
    const digestOf = async (root: string): Promise<string> => {
        const digest = new TreeDigest();
        for await (const file of hashedFiles(root, folders, newScanNotes())) digest.add(file);
        return digest.value();
    };
    const asked = (op: string): number => far.asked.get(op) ?? 0;

    it("is copied whole, with its times of change, in far fewer requests than it has files", async () => {
        await many(1000);
        await put("local_content/ab/cd/large", Buffer.alloc(5_000_001, "large"));
        await put("local_thumbnails/ab/cd/empty", "");
        const long = new Date("2019-05-06T07:08:09.123Z");
        await utimes(join(source, "local_content/ab/cd/large"), long, long);
        const { files, copied, changing, treeDigest, walk } = await pass();
        expect({ files, copied, changing }).to.deep.equal({ files: 1002, copied: 1002, changing: [] });
        expect(treeDigest).to.equal(await digestOf(source));
        expect(treeDigest).to.equal(await digestOf(target));
        expect((await stat(join(target, "local_content/ab/cd/large"))).mtime).to.deep.equal(long);
        expect((await stat(join(target, "local_content/0a/bc/0"))).mode & 0o777).to.equal(0o640);
        expect(asked("pour")).to.be.below(400);
        const store = await openStore(far, source, folders);
        expect(await walkDigest({ source: store, folders })).to.equal(walk);
        expect((await pass(thisMachine, "other")).walk).to.equal(walk);
    });

    it("is not read again by a second pass, but for what is new or changed, and what is gone goes", async () => {
        await many(300);
        await pass();
        const before = asked("pour");
        expect(await pass()).to.include({ files: 300, copied: 0, removed: 0 });
        expect([asked("pour") - before, asked("hash")]).to.deep.equal([0, 0]);
        await appendFile(join(source, "local_content/0a/bc/0"), "more");
        await put("local_content/new/one");
        await rm(join(source, "local_content/1a/bc/1"));
        expect(await pass()).to.include({ files: 300, copied: 2, removed: 1 });
        expect(await digestOf(target)).to.equal(await digestOf(source));
    });

    it("sends no file whose copy is there and was forgotten, but its digest, and sends one that is another", async () => {
        await many(50);
        await pass();
        await writeFile(join(target, "local_content/0a/bc/0"), "CONTENT OF 0");
        const before = asked("pour");
        expect(await pass(far, "another index")).to.include({ files: 50, copied: 1 });
        expect([asked("pour") - before, asked("hash")]).to.deep.equal([1, 50]);
        expect(await readFile(join(target, "local_content/0a/bc/0"), "utf8")).to.equal("content of 0");
    });

    it("is told of files that change while they are read, that vanish, or become something else", async () => {
        await many(4);
        await put("local_content/0a/bc/large", Buffer.alloc(6_000_000));
        const meddled: Machine = {
            ...far,
            files: {
                ...far.files,
                pour: async (path, take, signal) => {
                    if (path.endsWith("/1")) await rm(path);
                    if (path.endsWith("/2")) {
                        await rm(path);
                        await mkdir(path);
                    }
                    const poured = await far.files.pour(path, take, signal);
                    if (!path.endsWith("large") && !path.endsWith("/3")) return poured;
                    await appendFile(path, "more");
                    return { ...poured, after: (await far.files.stat(path)) ?? poured.after };
                },
            },
        };
        const { files, changing } = await pass(meddled);
        expect(files).to.equal(1);
        expect(changing).to.deep.equal(["local_content/0a/bc/large", "local_content/2a/bc/2", "local_content/3a/bc/3"]);
    });

    it("is refused with the machine's name where it is not fit (SM-E0963)", async () => {
        const where = async (): Promise<string> => (await expectError("SM-E0963", () => pass())).detail.where;
        await symlink("/etc/passwd", join(source, "local_content/passwd"));
        expect(await where()).to.equal(`${source}/local_content/passwd on far.example.org`);
        await rm(join(source, "local_content/passwd"));
        await symlink("/nowhere", join(source, "local_content/nowhere"));
        expect(await where()).to.match(/nowhere on far\.example\.org$/);
        await rm(source, { recursive: true });
        expect(await where()).to.equal(`${source} on far.example.org`);
    });

    it("is refused where a file may not be read (SM-E0963)", async function () {
        if (process.geteuid?.() !== 0) this.skip();
        await chmod(directory, 0o755);
        await put("local_content/ab/cd/secret");
        await chmod(join(source, "local_content/ab/cd/secret"), 0o600);
        const theirs = await helperMachine({ uid: 65_534 });
        try {
            const error = await expectError("SM-E0963", () => pass(theirs));
            expect(error.detail.where).to.match(/secret on far\.example\.org$/);
            expect(error.detail.found).to.contain("EACCES");
        } finally {
            await theirs.close();
        }
    });

    it("has whatever is wrong below a directory that is not Synapse's for itself", async () => {
        await put("local_content/ab/cd/1");
        await put("local_content/not ours/loop/1");
        await symlink("..", join(source, "local_content/not ours/loop/up"));
        await symlink("/nowhere", join(source, "local_content/not ours/gone"));
        await put("local_content/old.synapse-migration-partial/x");
        const { files, notes } = await pass();
        expect({ files, ...notes }).to.deep.equal({
            files: 1,
            foreign: ["local_content/not ours"],
            partial: ["local_content/old.synapse-migration-partial"],
            caseTwins: 0,
        });
    });

    it("ends the pass with the error of the connection where that is lost (SM-E1401), and is copied on from there", async () => {
        await many(500);
        const cut: Machine = {
            ...far,
            files: {
                ...far.files,
                pour: async (path, take, signal) => {
                    if (path.endsWith("/249")) far.process.kill("SIGKILL");
                    return far.files.pour(path, take, signal);
                },
            },
        };
        await expectError("SM-E1401", () => pass(cut));
        far = await helperMachine();
        const { files, copied } = await pass();
        expect(files).to.equal(500);
        expect(copied).to.be.below(500);
        expect(await digestOf(target)).to.equal(await digestOf(source));
    });

    it("is not the target itself, nor around it, when it comes back to this machine (SM-E0963)", async () => {
        const run = "0123";
        await rm(target, { recursive: true });
        await prepareStore(target, run, undefined);
        await requireApart(await openStore(far, source, folders), target);
        for (const place of [target, directory])
            await expectError("SM-E0963", async () => requireApart(await openStore(far, place, folders), target));
    });

    it("is copied through no link that somebody has made in the target's store (SM-E1207)", async () => {
        await put("local_content/ab/cd/1");
        await put("local_content/ab/ce/2", Buffer.alloc(3_000_000));
        const elsewhere = join(directory, "elsewhere");
        await mkdir(elsewhere);
        for (const name of ["cd", "ce"]) {
            await mkdir(join(target, "local_content/ab"), { recursive: true });
            await symlink(elsewhere, join(target, "local_content/ab", name));
            await expectError("SM-E1207", () => pass());
            await rm(join(target, "local_content"), { recursive: true });
        }
        expect(await readdir(elsewhere)).to.deep.equal([]);
    });

    it("is copied into folders that are made again where they are removed between two files", async () => {
        await many(30);
        let removed = 0;
        const meddled: Machine = {
            ...far,
            files: {
                ...far.files,
                pour: async (path, take, signal) => {
                    const poured = await far.files.pour(path, take, signal);
                    if (!path.endsWith("9")) return poured;
                    removed++;
                    await rm(join(target, "local_content/9a"), { recursive: true, force: true });
                    return poured;
                },
            },
        };
        expect(await pass(meddled)).to.include({ files: 30, copied: 30 });
        expect(removed).to.equal(3);
    });

    it("is packed as one of this machine is", async () => {
        await many(300);
        await put("local_content/ab/cd/large", Buffer.alloc(3_000_000, "large"));
        const packed = async (machine: Machine): Promise<string> => {
            const hash = createHash("sha256");
            const store = await openStore(machine, source, folders);
            const signal = new AbortController().signal;
            const options = { store, folders, prefix: "media", notes: newScanNotes(), signal, onFile: () => undefined };
            for await (const chunk of packMediaStore(options)) hash.update(chunk);
            return hash.digest("hex");
        };
        expect(await packed(far)).to.equal(await packed(thisMachine));
    });

    it("takes bounded memory, however large its files are", async function () {
        this.timeout(120_000);
        const content = Buffer.alloc(4_000_000, "0123456789abcdef!");
        for (let n = 0; n < 150; n++) await put(`local_content/ab/cd/${n}`, content);
        let peak = 0;
        const before = process.memoryUsage.rss();
        const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5);
        try {
            expect(await pass()).to.include({ files: 150, copied: 150 });
        } finally {
            clearInterval(watch);
        }
        expect(peak - before).to.be.below(256 * 1024 * 1024);
    });
});
